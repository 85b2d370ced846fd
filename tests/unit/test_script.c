/* test_script.c — arguments, records and replies of the Lua scripts, byte by byte. */
#include "tests/support/test_prelude.h"

#include "server/store/script.h"

#define START_US INT64_C(1800000000000000)

static const struct bucket_limit two_limits[] = {
    {.id = 0x01020304, .algorithm = BUCKET_TOKEN, .count = 250, .period_s = 3, .burst_utok = 10000000},
    {.id = 7, .algorithm = BUCKET_LEAKY, .count = 1, .period_s = 1, .burst_utok = 5000000},
};

static size_t pack(const struct bucket_limit *limits, uint32_t n_limits, int64_t cost_tokens, bool peek,
                   uint8_t *out, size_t cap) {
    struct script_check check = {
        .limits = limits, .n_limits = n_limits, .cost_tokens = cost_tokens, .peek = peek};
    return script_check_pack(&check, out, cap);
}

static bool parse_reply(struct bytes reply, const struct bucket_limit *limits, uint32_t n_limits,
                        int64_t cost_tokens, bool peek, struct bucket_verdict *verdict) {
    struct script_check check = {
        .limits = limits, .n_limits = n_limits, .cost_tokens = cost_tokens, .peek = peek};
    struct bucket_record record;
    return script_check_parse(reply, &check, verdict, &record);
}

static struct bytes bytes_of(const void *data, size_t n) {
    return (struct bytes){data, n};
}

static void test_bodies_are_whole_scripts(void **state) {
    (void)state;
    assert_string_equal(script_check.name, "check");
    assert_int_equal(strlen(script_check.body), script_check.body_bytes);
    assert_int_equal(strncmp(script_check.body, "#!lua\n", 6), 0);
    assert_null(strstr(script_check.body, "include"));
    assert_non_null(strstr(script_check.body, "local function refill"));
    assert_int_equal(strlen(script_check.sha1), SCRIPT_SHA1_BYTES);
}

static void test_argument_is_packed_as_documented(void **state) {
    (void)state;
    const uint8_t expected[SCRIPT_CHECK_HEAD_BYTES + SCRIPT_CHECK_LIMIT_BYTES] = {
        1,    0x80, 0x84, 0x1e, 0, 0, 0, 0, 0, /* peek, 2000000 utok */
        4,    3,    2,    1,                   /* id */
        250,  0,    0,    0,    0, 0, 0, 0,    /* count */
        3,    0,    0,    0,    0, 0, 0, 0,    /* period */
        0x80, 0x96, 0x98, 0,    0, 0, 0, 0,    /* 10000000 utok */
    };
    uint8_t argument[SCRIPT_CHECK_ARG_MAX_BYTES];
    assert_int_equal(pack(two_limits, 1, 2, true, argument, sizeof argument), sizeof expected);
    assert_memory_equal(argument, expected, sizeof expected);
    assert_int_equal(pack(two_limits, 2, 2, false, argument, sizeof argument), 9 + 2 * 28);
    assert_int_equal(argument[0], 0);
}

static void test_charges_follow_the_limits(void **state) {
    (void)state;
    const int64_t charges_utok[] = {1000000, 0};
    const uint8_t expected[2 * SCRIPT_CHECK_CHARGE_BYTES] = {0x40, 0x42, 0x0f};
    struct script_check check = {
        .limits = two_limits, .n_limits = 2, .cost_tokens = 1, .charges_utok = charges_utok};
    uint8_t argument[SCRIPT_CHECK_ARG_MAX_BYTES];
    assert_int_equal(script_check_pack(&check, argument, sizeof argument), 9 + 2 * 28 + sizeof expected);
    assert_int_equal(argument[0], 2);
    assert_memory_equal(argument + 9 + 2 * 28, expected, sizeof expected);
}

static void test_argument_that_does_not_fit_is_refused(void **state) {
    (void)state;
    uint8_t argument[SCRIPT_CHECK_ARG_MAX_BYTES];
    struct bucket_limit many[BUCKET_MAX_LIMITS + 1];
    for (size_t i = 0; i < sizeof many / sizeof many[0]; i++) {
        many[i] = two_limits[0];
    }
    assert_int_equal(pack(many, 0, 1, false, argument, sizeof argument), 0);
    assert_int_equal(pack(many, BUCKET_MAX_LIMITS + 1, 1, false, argument, 1000), 0);
    assert_int_equal(pack(many, 1, 1, false, argument, 36), 0);
    assert_int_equal(pack(many, 8, 1, false, argument, sizeof argument), 9 + 8 * 28);
    struct bucket_limit ban = {.id = 1, .period_s = 1, .burst_utok = 1};
    assert_int_equal(pack(&ban, 1, 1, false, argument, sizeof argument), 0);
    struct script_check largest = {
        .limits = many, .n_limits = 8, .charges_utok = (const int64_t[BUCKET_MAX_LIMITS]){0}};
    assert_int_equal(script_check_pack(&largest, argument, sizeof argument), sizeof argument);
    assert_int_equal(script_check_pack(&largest, argument, sizeof argument - 1), 0);
}

static void test_record_survives_packing(void **state) {
    (void)state;
    struct bucket_record record = {.at_us = START_US, .n_levels = 2, .levels = {{9, -1}, {8, 12345678901}}};
    struct bucket_record read;
    uint8_t bytes[SCRIPT_RECORD_MAX_BYTES];
    size_t n = script_record_pack(&record, bytes);
    assert_int_equal(n, 33);
    assert_true(script_record_parse(bytes_of(bytes, n), &read));
    assert_int_equal(read.at_us, START_US);
    assert_int_equal(read.n_levels, 2);
    assert_int_equal(read.levels[0].id, 9);
    assert_int_equal(read.levels[0].utok, -1);
    assert_int_equal(read.levels[1].utok, 12345678901);
}

static void test_what_no_script_wrote_is_no_record(void **state) {
    (void)state;
    struct bucket_record record = {.at_us = START_US, .n_levels = 8};
    uint8_t bytes[SCRIPT_RECORD_MAX_BYTES + SCRIPT_RECORD_LEVEL_BYTES] = {0};
    assert_int_equal(script_record_pack(&record, bytes), SCRIPT_RECORD_MAX_BYTES);
    const size_t wrong_sizes[] = {0, 1, 9, 20, 22, SCRIPT_RECORD_MAX_BYTES - 1, sizeof bytes};
    for (size_t i = 0; i < sizeof wrong_sizes / sizeof *wrong_sizes; i++) {
        assert_false(script_record_parse(bytes_of(bytes, wrong_sizes[i]), &record));
        assert_int_equal(record.n_levels, 0);
    }
    assert_true(script_record_parse(bytes_of(bytes, 21), &record));
    bytes[0] = 2;
    assert_false(script_record_parse(bytes_of(bytes, 21), &record));
    bytes[0] = 1;
    bytes[8] = 0x80; /* before 1970 */
    assert_false(script_record_parse(bytes_of(bytes, 21), &record));
}

/* A reply: a tag and a time, unless tag is 0, then a record, unless it has no levels. */
static struct bytes make_reply(uint8_t *out, uint8_t tag, int64_t now_us, const struct bucket_record *record) {
    size_t n = 0;
    if (tag != 0) {
        struct bucket_record head = {.at_us = now_us};
        n = script_record_pack(&head, out);
        out[0] = tag;
    }
    if (record->n_levels > 0) {
        n += script_record_pack(record, out + n);
    }
    return bytes_of(out, n);
}

enum { REPLY_BYTES = SCRIPT_RECORD_HEAD_BYTES + SCRIPT_RECORD_MAX_BYTES };

/* For two_limits, cost 2, no peek. */
static bool parse(uint8_t tag, int64_t now_us, const struct bucket_record *record,
                  struct bucket_verdict *verdict) {
    uint8_t bytes[REPLY_BYTES];
    return parse_reply(make_reply(bytes, tag, now_us, record), two_limits, 2, 2, false, verdict);
}

static void test_reply_tells_what_a_check_tells(void **state) {
    (void)state;
    struct bucket_record record = {0};
    struct bucket_verdict checked, parsed;
    for (int i = 0; i < 3; i++) {
        bucket_check(&record, two_limits, 2, 2, START_US, false, &checked);
        assert_int_equal(checked.allowed, i < 2);
        assert_true(parse(checked.allowed ? 0 : 2, START_US, &record, &parsed));
        assert_int_equal(parsed.allowed, checked.allowed);
        assert_int_equal(parsed.limit_index, 1);
        assert_int_equal(parsed.remaining_utok, checked.remaining_utok);
        assert_int_equal(parsed.retry_after_us, checked.retry_after_us);
        assert_int_equal(parsed.reset_after_us, checked.reset_after_us);
        assert_int_equal(parsed.wait_us, checked.wait_us);
    }
    assert_int_equal(parsed.retry_after_us, 1000000);
}

static void test_reply_of_a_clock_behind_counts_from_it(void **state) {
    (void)state;
    struct bucket_record record = {.at_us = START_US, .n_levels = 2, .levels = {{0x01020304, 0}, {7, 1000000}}};
    struct bucket_verdict verdict;
    assert_true(parse(3, START_US - 500000, &record, &verdict));
    assert_true(verdict.allowed);
    assert_int_equal(verdict.wait_us, 2500000);
}

static void test_record_told_is_dated_from_the_check(void **state) {
    (void)state;
    struct script_check check = {.limits = two_limits, .n_limits = 2, .cost_tokens = 2};
    struct bucket_record record = {.at_us = START_US, .n_levels = 2, .levels = {{0x01020304, 7}, {7, 1}}}, told;
    struct bucket_verdict verdict;
    uint8_t bytes[REPLY_BYTES];
    assert_true(script_check_parse(make_reply(bytes, 2, START_US + 30, &record), &check, &verdict, &told));
    assert_int_equal(told.at_us, -30);
    assert_int_equal(told.n_levels, 2);
    assert_int_equal(told.levels[0].utok, 7);
    assert_true(script_check_parse(make_reply(bytes, 0, 0, &record), &check, &verdict, &told));
    assert_int_equal(told.at_us, 0);
}

static void test_reply_that_breaks_the_rules_is_refused(void **state) {
    (void)state;
    const struct bucket_record good = {
        .at_us = START_US, .n_levels = 2, .levels = {{0x01020304, 8000000}, {7, 3000000}}};
    struct bucket_verdict verdict;
    assert_true(parse(0, 0, &good, &verdict));
    memset(&verdict, 0x5a, sizeof verdict);
    const struct bucket_verdict untouched = verdict;
    struct bucket_record bad = good;
    bad.levels[1].utok = 3000001; /* more than burst - cost */
    assert_false(parse(0, 0, &bad, &verdict));
    bad.levels[1].utok = -1;
    assert_false(parse(0, 0, &bad, &verdict));
    bad = good;
    bad.levels[0].id = 8;
    assert_false(parse(0, 0, &bad, &verdict));
    bad = good;
    bad.n_levels = 1;
    assert_false(parse(0, 0, &bad, &verdict));
    bad = good;
    bad.at_us = BUCKET_MAX_NOW_US + 1;
    assert_false(parse(0, 0, &bad, &verdict));
    assert_false(parse(3, START_US + 1, &good, &verdict));
    assert_false(parse(3, START_US - BUCKET_CLOCK_SLACK_US - 1, &good, &verdict));
    assert_false(parse(4, START_US, &good, &verdict));
    assert_false(parse(2, -1, &good, &verdict));
    assert_false(parse(2, START_US, &good, &verdict)); /* denied, though there is enough */
    assert_memory_equal(&verdict, &untouched, sizeof verdict);
}

static void test_peek_takes_only_a_look(void **state) {
    (void)state;
    const struct bucket_record record = {
        .at_us = START_US, .n_levels = 2, .levels = {{0x01020304, 8000000}, {7, 3000000}}};
    uint8_t bytes[REPLY_BYTES];
    struct bucket_verdict verdict;
    struct bytes reply = make_reply(bytes, 2, START_US, &record);
    assert_true(parse_reply(reply, two_limits, 2, 2, true, &verdict));
    assert_true(verdict.allowed);
    assert_int_equal(verdict.remaining_utok, 3000000);
    assert_false(parse_reply(make_reply(bytes, 0, 0, &record), two_limits, 2, 2, true, &verdict));
    assert_false(parse_reply(make_reply(bytes, 3, START_US, &record), two_limits, 2, 2, true, &verdict));
}

static void test_cut_replies_are_refused(void **state) {
    (void)state;
    const struct bucket_record record = {
        .at_us = START_US, .n_levels = 2, .levels = {{0x01020304, 1000000}, {7, 1000000}}};
    uint8_t bytes[REPLY_BYTES];
    struct bucket_verdict verdict;
    struct bytes reply = make_reply(bytes, 2, START_US, &record);
    assert_true(parse_reply(reply, two_limits, 2, 2, false, &verdict));
    for (size_t n = 0; n < reply.len; n++) {
        bool is_shorter_record = n == 9 + 21;
        bool parsed = parse_reply(bytes_of(bytes, n), two_limits, 2, 2, false, &verdict);
        assert_int_equal(parsed, is_shorter_record);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies_are_whole_scripts),
        cmocka_unit_test(test_argument_is_packed_as_documented),
        cmocka_unit_test(test_charges_follow_the_limits),
        cmocka_unit_test(test_argument_that_does_not_fit_is_refused),
        cmocka_unit_test(test_record_survives_packing),
        cmocka_unit_test(test_what_no_script_wrote_is_no_record),
        cmocka_unit_test(test_reply_tells_what_a_check_tells),
        cmocka_unit_test(test_reply_of_a_clock_behind_counts_from_it),
        cmocka_unit_test(test_record_told_is_dated_from_the_check),
        cmocka_unit_test(test_reply_that_breaks_the_rules_is_refused),
        cmocka_unit_test(test_peek_takes_only_a_look),
        cmocka_unit_test(test_cut_replies_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
