/* test_access_log.c — lines of access logs, good ones and bad ones, each with what becomes of it. */
#include "tests/support/test_prelude.h"

#include "client/cmd/access_log.h"

#define TIME "[17/May/2015:10:05:03 +0000]"
#define TIME_US INT64_C(1431857103000000)
#define REST " \"GET / HTTP/1.1\" 200 12"

static enum access_log_outcome parse(const char *line, struct access_log_entry *entry) {
    return access_log_parse((const uint8_t *)line, strlen(line), entry);
}

static void test_good_lines_give_host_and_time(void **state) {
    static const struct {
        const char *line, *host;
        int64_t at_us;
    } cases[] = {
        {"192.0.2.1 - - " TIME REST, "192.0.2.1", TIME_US},
        {"192.0.2.1 - - " TIME REST " \"http://a.example/\" \"Agent/1.0 (x; y)\"", "192.0.2.1", TIME_US},
        {"192.0.2.1 - - " TIME REST "\r", "192.0.2.1", TIME_US},
        {"2001:db8::1 - - " TIME REST, "2001:db8::1", TIME_US},
        {"fe80::1%eth0 - - " TIME REST, "fe80::1%eth0", TIME_US},
        {"client.example ident frank " TIME REST, "client.example", TIME_US},
        {"192.0.2.1 - Ann Lee " TIME REST, "192.0.2.1", TIME_US},
        {"192.0.2.1 - - " TIME " \"GET /\\\"x\\\" HTTP/1.0\" 404 -", "192.0.2.1", TIME_US},
        {"192.0.2.1 - - " TIME " \"ends in \\\\\" 404 -", "192.0.2.1", TIME_US},
        {"192.0.2.1 - - " TIME " \"\" 400 0 \"\" \"\"", "192.0.2.1", TIME_US},
        {"192.0.2.1 - - " TIME " \"-\" - -", "192.0.2.1", TIME_US},
        {"192.0.2.1 - - " TIME " \"\\x16\\x03\x81\" 400 226", "192.0.2.1", TIME_US},
        {"192.0.2.1 - - " TIME REST " \"-\" \"Agent\" 0.004 \"extra", "192.0.2.1", TIME_US},
        {"192.0.2.1 - - " TIME REST " \"a \\\"b\\\"\" \"c \\\"d\\\"\"", "192.0.2.1", TIME_US},
        {"192.0.2.1 - - " TIME " \"GET /\" 200 99999999999999999999999", "192.0.2.1", TIME_US},
        {"h - - [29/Feb/2024:23:59:59 +0000]" REST, "h", INT64_C(1709251199000000)},
        {"h - - [29/Feb/2000:00:00:00 +0000]" REST, "h", INT64_C(951782400000000)},
        {"h - - [31/Dec/2016:23:59:60 +0000]" REST, "h", INT64_C(1483228800000000)},
        {"h - - [01/Jan/1970:00:00:00 +0000]" REST, "h", 0},
        {"h - - [31/Dec/2199:23:59:59 +0000]" REST, "h", INT64_C(7258118399000000)},
        {"h - - [01/Jun/2024:12:00:00 +0530]" REST, "h", INT64_C(1717223400000000)},
        {"h - - [01/Jun/2024:12:00:00 -0930]" REST, "h", INT64_C(1717277400000000)},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct access_log_entry entry = {{NULL, 0}, -1};
        enum access_log_outcome outcome = parse(cases[i].line, &entry);
        if (outcome != ACCESS_LOG_OK) {
            fail_msg("%s: %s", cases[i].line, access_log_outcome_text(outcome));
        }
        assert_int_equal(entry.host.len, strlen(cases[i].host));
        assert_memory_equal(entry.host.data, cases[i].host, entry.host.len);
        assert_int_equal(entry.at_us, cases[i].at_us);
    }
}

static void test_bad_lines_are_refused_for_the_right_reason(void **state) {
    static const struct {
        const char *line;
        enum access_log_outcome outcome;
    } cases[] = {
        {"", ACCESS_LOG_EMPTY},
        {"\r", ACCESS_LOG_EMPTY},
        {"lonely", ACCESS_LOG_HOST},
        {" - - " TIME REST, ACCESS_LOG_HOST},
        {"192.0.2.1\t- - " TIME REST, ACCESS_LOG_HOST},
        {"caf\xc3\xa9 - - " TIME REST, ACCESS_LOG_HOST},
        {"192.0.2.1 " TIME REST, ACCESS_LOG_IDENTITY},
        {"192.0.2.1 -  " TIME REST, ACCESS_LOG_IDENTITY},
        {"192.0.2.1 - - 17/May/2015:10:05:03 +0000" REST, ACCESS_LOG_IDENTITY},
        {"192.0.2.1 - - [17/May/2015:10:05:03]" REST, ACCESS_LOG_TIME},
        {"192.0.2.1 - - [17/may/2015:10:05:03 +0000]" REST, ACCESS_LOG_TIME},
        {"192.0.2.1 - - [17/Foo/2015:10:05:03 +0000]" REST, ACCESS_LOG_TIME},
        {"192.0.2.1 - - [7/May/2015:10:05:03 +0000]" REST, ACCESS_LOG_TIME},
        {"192.0.2.1 - - [00/May/2015:10:05:03 +0000]" REST, ACCESS_LOG_TIME},
        {"192.0.2.1 - - [32/May/2015:10:05:03 +0000]" REST, ACCESS_LOG_TIME},
        {"192.0.2.1 - - [31/Apr/2015:10:05:03 +0000]" REST, ACCESS_LOG_TIME},
        {"192.0.2.1 - - [29/Feb/2023:10:05:03 +0000]" REST, ACCESS_LOG_TIME},
        {"192.0.2.1 - - [29/Feb/2100:10:05:03 +0000]" REST, ACCESS_LOG_TIME},
        {"192.0.2.1 - - [17/May/2015:24:05:03 +0000]" REST, ACCESS_LOG_TIME},
        {"192.0.2.1 - - [17/May/2015:10:60:03 +0000]" REST, ACCESS_LOG_TIME},
        {"192.0.2.1 - - [17/May/2015:10:05:61 +0000]" REST, ACCESS_LOG_TIME},
        {"192.0.2.1 - - [17/May/2015:10:05:03 0000]" REST, ACCESS_LOG_TIME},
        {"192.0.2.1 - - [17/May/2015:10:05:03 +1500]" REST, ACCESS_LOG_TIME},
        {"192.0.2.1 - - [17/May/2015:10:05:03 +0060]" REST, ACCESS_LOG_TIME},
        {"192.0.2.1 - - [31/Dec/1969:23:59:59 +0000]" REST, ACCESS_LOG_TIME},
        {"192.0.2.1 - - [01/Jan/1970:00:00:00 +0100]" REST, ACCESS_LOG_TIME},
        {"192.0.2.1 - - [01/Jan/2200:00:00:00 +0000]" REST, ACCESS_LOG_TIME},
        {"192.0.2.1 - - [17/May/2015:10:05:03 +0000", ACCESS_LOG_TIME},
        {"192.0.2.1 - - " TIME, ACCESS_LOG_REQUEST},
        {"192.0.2.1 - - " TIME " GET / 200 12", ACCESS_LOG_REQUEST},
        {"192.0.2.1 - - " TIME " \"GET / HTTP/1.1 200 12", ACCESS_LOG_REQUEST},
        {"192.0.2.1 - - " TIME " \"ends in a quote \\\"", ACCESS_LOG_REQUEST},
        {"192.0.2.1 - - " TIME " \"ends in a backslash \\", ACCESS_LOG_REQUEST},
        {"192.0.2.1 - - " TIME " \"GET /\"", ACCESS_LOG_STATUS},
        {"192.0.2.1 - - " TIME " \"GET /\" 20 12", ACCESS_LOG_STATUS},
        {"192.0.2.1 - - " TIME " \"GET /\" 2000 12", ACCESS_LOG_STATUS},
        {"192.0.2.1 - - " TIME " \"GET /\" ok 12", ACCESS_LOG_STATUS},
        {"192.0.2.1 - - " TIME " \"GET /\" 200", ACCESS_LOG_SIZE},
        {"192.0.2.1 - - " TIME " \"GET /\" 200 ", ACCESS_LOG_SIZE},
        {"192.0.2.1 - - " TIME " \"GET /\" 200 12x", ACCESS_LOG_SIZE},
        {"192.0.2.1 - - " TIME " \"GET /\" 200 -1", ACCESS_LOG_SIZE},
        {"192.0.2.1 - - " TIME REST " ", ACCESS_LOG_TAIL},
        {"192.0.2.1 - - " TIME REST " \"http://a.example/\"", ACCESS_LOG_TAIL},
        {"192.0.2.1 - - " TIME REST " \"-\" \"agent without end", ACCESS_LOG_TAIL},
        {"192.0.2.1 - - " TIME REST " \"-\" \"agent\"glued", ACCESS_LOG_TAIL},
        {"192.0.2.1 - - " TIME REST " - -", ACCESS_LOG_TAIL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct access_log_entry entry = {{NULL, 77}, -1};
        enum access_log_outcome outcome = parse(cases[i].line, &entry);
        if (outcome != cases[i].outcome) {
            fail_msg("%s: %s", cases[i].line, access_log_outcome_text(outcome));
        }
        assert_int_equal(entry.host.len, 77);
    }
}

static void test_a_nul_byte_makes_a_line_bad(void **state) {
    static const char line[] = "192.0.2.1 - - " TIME " \"GET /\0 HTTP/1.1\" 200 12";
    struct access_log_entry entry;
    (void)state;
    assert_int_equal(access_log_parse((const uint8_t *)line, sizeof line - 1, &entry), ACCESS_LOG_NUL);
}

static void test_a_host_may_have_255_bytes_and_no_more(void **state) {
    char line[512];
    struct access_log_entry entry;
    (void)state;
    memset(line, 'h', sizeof line);
    strcpy(line + ACCESS_LOG_HOST_MAX_BYTES, " - - " TIME REST);
    assert_int_equal(parse(line, &entry), ACCESS_LOG_OK);
    assert_int_equal(entry.host.len, 255);
    memset(line, 'h', sizeof line);
    strcpy(line + ACCESS_LOG_HOST_MAX_BYTES + 1, " - - " TIME REST);
    assert_int_equal(parse(line, &entry), ACCESS_LOG_HOST);
}

/* Each beginning of a good line is copied to memory of just its size: a sanitizer sees reading beyond. */
static void test_a_line_cut_anywhere_is_read_inside_its_bounds(void **state) {
    static const char line[] = "192.0.2.1 - - " TIME " \"GET /\\\"x HTTP/1.1\" 200 12 \"r\" \"a\"";
    struct access_log_entry entry;
    size_t n_good = 0;
    (void)state;
    for (size_t n = 1; n < sizeof line; n++) {
        uint8_t *cut = malloc(n);
        assert_non_null(cut);
        memcpy(cut, line, n);
        n_good += access_log_parse(cut, n, &entry) == ACCESS_LOG_OK;
        free(cut);
    }
    assert_int_equal(n_good, 3); /* up to "1" and "12" of the size, and whole */
}

static void test_days_from_civil_knows_the_calendar(void **state) {
    (void)state;
    assert_int_equal(access_log_days_from_civil(1970, 1, 1), 0);
    assert_int_equal(access_log_days_from_civil(1969, 12, 31), -1);
    assert_int_equal(access_log_days_from_civil(2000, 3, 1), 11017);
    assert_int_equal(access_log_days_from_civil(1900, 2, 28), -25509);
    assert_int_equal(access_log_days_from_civil(1, 1, 1), -719162);
    assert_int_equal(access_log_days_from_civil(2400, 2, 29), 157113);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_lines_give_host_and_time),
        cmocka_unit_test(test_bad_lines_are_refused_for_the_right_reason),
        cmocka_unit_test(test_a_nul_byte_makes_a_line_bad),
        cmocka_unit_test(test_a_host_may_have_255_bytes_and_no_more),
        cmocka_unit_test(test_a_line_cut_anywhere_is_read_inside_its_bounds),
        cmocka_unit_test(test_days_from_civil_knows_the_calendar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
