/* test_option.c — every type of option is read strictly, shown as it is written, and freed. */
#include "tests/support/test_prelude.h"

#include "server/base/option.h"

#define SAMPLE_OPTIONS(X)                                                                                      \
    X(path, PATH, "", 0, 8, false, "FILE", "p")                                                                \
    X(user, TEXT, "", 0, 8, false, "NAME", "u")                                                                \
    X(listen, ADDRESS, "127.0.0.1:80", 0, 65535, false, "HOST:PORT", "l")                                      \
    X(admin, ADDRESS_OR_OFF, "off", 0, 65535, false, "HOST:PORT|off", "a")                                     \
    X(nodes, ADDRESSES, "a:1,b:2", 1, 65535, false, "HOST:PORT,...", "n")                                      \
    X(count, INTEGER, "5", 1, 10, true, "N", "c")                                                              \
    X(room, BYTES, "2KiB", 1024, 1048576, false, "BYTES", "r")                                                 \
    X(patience, DURATION, "20ms", 1000, 60000000, false, "DURATION", "t")                                      \
    X(colour, CHOICE, "green", 0, 0, false, "red|green|blue", "o")

struct sample {
    SAMPLE_OPTIONS(OPTION_FIELD)
};

#define SAMPLE_SPEC(...) OPTION_SPEC(struct sample, __VA_ARGS__)
static const struct option_spec specs[] = {SAMPLE_OPTIONS(SAMPLE_SPEC)};
enum { N_SPECS = sizeof specs / sizeof specs[0] };

static struct bytes bytes_of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static bool set(struct sample *sample, const char *name, const char *text, struct status *status) {
    const struct option_spec *spec = options_find(specs, N_SPECS, bytes_of(name));
    assert_non_null(spec);
    return option_set(spec, sample, bytes_of(text), status);
}

static void assert_refused(struct sample *sample, const char *name, const char *text, const char *reason) {
    struct status status;
    assert_false(set(sample, name, text, &status));
    assert_string_equal(status.text, reason);
}

static void assert_address(const char *text, const char *host, uint16_t port) {
    struct option_address address;
    struct status status;
    assert_true(option_read_address(bytes_of(text), 0, &address, &status));
    assert_string_equal(address.host, host);
    assert_int_equal(address.port, port);
    assert_false(address.is_off);
}

static void assert_no_address(const char *text, const char *why) {
    struct option_address address;
    struct status status;
    char reason[256];
    snprintf(reason, sizeof reason, "'%s' is not an address, such as 127.0.0.1:7380 (%s)", text, why);
    assert_false(option_read_address(bytes_of(text), 0, &address, &status));
    assert_string_equal(status.text, reason);
}

static int set_up(void **state) {
    struct status status;
    struct sample *sample = calloc(1, sizeof *sample);
    if (sample == NULL || !options_set_defaults(specs, N_SPECS, sample, &status)) {
        return -1;
    }
    *state = sample;
    return 0;
}

static int tear_down(void **state) {
    struct sample *sample = *state;
    options_deinit(specs, N_SPECS, sample);
    bool is_clean = sample->path == NULL && sample->nodes == NULL;
    free(sample);
    return is_clean ? 0 : -1;
}

static void test_defaults_fill_the_struct(void **state) {
    const struct sample *sample = *state;
    assert_string_equal(sample->path, "");
    assert_string_equal(sample->listen.host, "127.0.0.1");
    assert_int_equal(sample->listen.port, 80);
    assert_true(sample->admin.is_off);
    assert_string_equal(sample->nodes, "a:1,b:2");
    assert_int_equal(sample->count, 5);
    assert_int_equal(sample->room, 2048);
    assert_int_equal(sample->patience_us, 20000);
    assert_int_equal(sample->colour, 1);
}

static void test_what_is_shown_is_what_was_set(void **state) {
    struct sample *sample = *state;
    char shown[OPTION_SHOWN_BYTES];
    for (size_t i = 0; i < N_SPECS; i++) {
        option_show(&specs[i], sample, shown, sizeof shown);
        assert_string_equal(shown, specs[i].default_text);
    }
    struct status status;
    assert_true(set(sample, "listen", "[::1]:0", &status));
    option_show(options_find(specs, N_SPECS, bytes_of("listen")), sample, shown, sizeof shown);
    assert_string_equal(shown, "[::1]:0");
}

static void test_types_are_described_with_their_range(void **state) {
    (void)state;
    static const char *const types[N_SPECS] = {"path",
                                               "text",
                                               "address",
                                               "address or off",
                                               "addresses, comma-separated",
                                               "integer, 1 to 10",
                                               "bytes, 1KiB to 1MiB",
                                               "duration, 1ms to 1min",
                                               "one of red, green, blue"};
    char shown[OPTION_SHOWN_BYTES];
    for (size_t i = 0; i < N_SPECS; i++) {
        option_show_type(&specs[i], shown, sizeof shown);
        assert_string_equal(shown, types[i]);
    }
}

static void test_a_refused_text_changes_nothing(void **state) {
    struct sample *sample = *state;
    assert_refused(sample, "count", "11", "11 is above the maximum, 10");
    assert_refused(sample, "count", "5x", "'5x' is not a whole number, such as 10");
    assert_refused(sample, "room", "1000", "1000 is below the minimum, 1KiB");
    assert_refused(sample, "patience", "2min", "2min is above the maximum, 1min");
    assert_refused(sample, "colour", "gree", "'gree' is not one of red|green|blue");
    assert_refused(sample, "colour", "red|green", "'red|green' is not one of red|green|blue");
    assert_refused(sample, "path", "123456789", "has 9 bytes; 0 to 8 are allowed");
    assert_refused(sample, "user", "123456789", "has 9 bytes; 0 to 8 are allowed");
    assert_refused(sample, "path", "a\nb", "'a?b' has a control character");
    assert_refused(sample, "listen", "off",
                   "'off' is not an address, such as 127.0.0.1:7380 (the port is missing)");
    assert_refused(sample, "nodes", "a:1,",
                   "'' is not an address, such as 127.0.0.1:7380 (the port is missing)");
    assert_refused(sample, "nodes", "a:1, b:2",
                   "' b:2' is not an address, such as 127.0.0.1:7380 (the host is neither a name nor numeric)");
    assert_refused(sample, "nodes", "a:0", "'a:0': port: 0 is below the minimum, 1");
    test_defaults_fill_the_struct(state);
}

static void test_a_later_text_replaces_an_earlier_one(void **state) {
    struct sample *sample = *state;
    struct status status;
    assert_true(set(sample, "path", "x", &status));
    assert_true(set(sample, "path", "12345678", &status));
    assert_string_equal(sample->path, "12345678");
    assert_true(set(sample, "user", "some one", &status));
    assert_string_equal(sample->user, "some one");
    assert_true(set(sample, "nodes", "", &status));
    assert_string_equal(sample->nodes, "");
    assert_true(set(sample, "nodes", "[::1]:7,h.example:65535", &status));
    assert_string_equal(sample->nodes, "[::1]:7,h.example:65535");
    assert_true(set(sample, "admin", "0.0.0.0:1", &status));
    assert_false(sample->admin.is_off);
    assert_true(set(sample, "colour", "blue", &status));
    assert_int_equal(sample->colour, 2);
}

static void test_addresses_are_host_and_port(void **state) {
    (void)state;
    assert_address("127.0.0.1:7380", "127.0.0.1", 7380);
    assert_address("redis-1.example_net:1", "redis-1.example_net", 1);
    assert_address("[::1]:7380", "::1", 7380);
    assert_address("[::]:0", "::", 0);
    assert_address("1.2.3.4.example:65535", "1.2.3.4.example", 65535);
}

static void test_what_is_no_address_is_refused_with_the_reason(void **state) {
    (void)state;
    static const char bracket[] = "an IPv6 address stands in brackets, as in [::1]:7380";
    static const char host[] = "the host is neither a name nor numeric";
    static const char no_host[] = "the host is missing; 0.0.0.0 or [::] stands for every interface";
    assert_no_address("", "the port is missing");
    assert_no_address("localhost", "the port is missing");
    assert_no_address("7380", "the port is missing");
    assert_no_address(":7380", no_host);
    assert_no_address("[]:7380", no_host);
    assert_no_address("::1:7380", bracket);
    assert_no_address("[::1]", bracket);
    assert_no_address("[::1]x:1", bracket);
    assert_no_address("[127.0.0.1]:1", host);
    assert_no_address("[::g]:1", host);
    assert_no_address("127.1:1", host);
    assert_no_address("300.0.0.1:1", host);
    assert_no_address("a b:1", host);
    assert_no_address("http//x:1", host);
    char text[OPTION_HOST_BYTES + 3];
    struct option_address address;
    struct status status;
    memset(text, 'a', sizeof text);
    strcpy(text + OPTION_HOST_BYTES, ":1");
    assert_false(option_read_address(bytes_of(text), 0, &address, &status));
    assert_true(option_read_address(bytes_of(text + 1), 0, &address, &status));
    assert_false(option_read_address((struct bytes){(const uint8_t *)"a\0b:1", 5}, 0, &address, &status));
    assert_false(option_read_address((struct bytes){(const uint8_t *)"[::1\0]:1", 8}, 0, &address, &status));
}

static void test_ports_are_16_bits(void **state) {
    (void)state;
    struct option_address address;
    struct status status;
    assert_false(option_read_address(bytes_of("a:65536"), 0, &address, &status));
    assert_string_equal(status.text, "'a:65536': port: 65536 is above the maximum, 65535");
    assert_false(option_read_address(bytes_of("a:http"), 0, &address, &status));
    assert_string_equal(status.text, "'a:http': port: 'http' is not a whole number, such as 10");
}

static const char *guess(const char *wanted) {
    struct option_guess guess = {.wanted = bytes_of(wanted)};
    option_guess_offer(&guess, "max_inflight");
    option_guess_offer(&guess, "workers");
    option_guess_offer(&guess, "listen");
    option_guess_offer(&guess, "listen_x");
    return guess.best;
}

static void test_a_guess_is_within_two_edits(void **state) {
    (void)state;
    assert_string_equal(guess("workres"), "workers");
    assert_string_equal(guess("worker"), "workers");
    assert_string_equal(guess("maxinflights"), "max_inflight");
    assert_string_equal(guess("listem"), "listen");
    assert_string_equal(guess("listen_"), "listen");
    assert_null(guess("workersss_"));
    assert_null(guess("port"));
    assert_null(guess(""));
    assert_null(guess("a_name_that_is_much_too_long_to_be_one_of_ours"));
}

static void test_names_are_found_whole(void **state) {
    (void)state;
    assert_ptr_equal(options_find(specs, N_SPECS, bytes_of("count")), &specs[5]);
    assert_null(options_find(specs, N_SPECS, bytes_of("coun")));
    assert_null(options_find(specs, N_SPECS, bytes_of("counts")));
    assert_null(options_find(specs, N_SPECS, bytes_of("")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults_fill_the_struct, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_shown_is_what_was_set, set_up, tear_down),
        cmocka_unit_test(test_types_are_described_with_their_range),
        cmocka_unit_test_setup_teardown(test_a_refused_text_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_later_text_replaces_an_earlier_one, set_up, tear_down),
        cmocka_unit_test(test_addresses_are_host_and_port),
        cmocka_unit_test(test_what_is_no_address_is_refused_with_the_reason),
        cmocka_unit_test(test_ports_are_16_bits),
        cmocka_unit_test(test_a_guess_is_within_two_edits),
        cmocka_unit_test(test_names_are_found_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
