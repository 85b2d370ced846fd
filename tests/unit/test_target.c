/* test_target.c — who is asked: the command line, then the environment, then the default. */
#include "tests/support/test_prelude.h"

#include "client/cmd/target.h"

static void test_the_default_is_asked_when_nothing_is_said(void **state) {
    struct options_list none = {.n = 0};
    struct target target;
    struct status status;
    (void)state;
    assert_true(target_init(&target, &none, NULL, 250000, &status));
    assert_int_equal(target.options.n_servers, 1);
    assert_string_equal(target.options.servers[0], "127.0.0.1:7380");
    assert_int_equal(target.options.timeout_ms, 250);
    target_deinit(&target);
    assert_true(target_init(&target, &none, "", 1, &status));
    assert_string_equal(target.options.servers[0], "127.0.0.1:7380");
    assert_int_equal(target.options.timeout_ms, 1);
    target_deinit(&target);
}

static void test_the_environment_is_cut_at_commas(void **state) {
    struct options_list none = {.n = 0};
    struct target target;
    struct status status;
    (void)state;
    assert_true(target_init(&target, &none, "a:1,[::1]:2,,c", 1000, &status));
    assert_int_equal(target.options.n_servers, 3);
    assert_string_equal(target.options.servers[0], "a:1");
    assert_string_equal(target.options.servers[1], "[::1]:2");
    assert_string_equal(target.options.servers[2], "c");
    target_deinit(&target);
}

static void test_the_command_line_comes_before_the_environment(void **state) {
    struct options_list given = {.items = {"x:1", "y:2"}, .n = 2};
    struct target target;
    struct status status;
    (void)state;
    assert_true(target_init(&target, &given, "a:1", 1000, &status));
    assert_int_equal(target.options.n_servers, 2);
    assert_string_equal(target.options.servers[1], "y:2");
    target_deinit(&target);
}

static void test_too_long_an_environment_is_refused(void **state) {
    struct options_list none = {.n = 0};
    struct target target;
    struct status status;
    (void)state;
    assert_false(target_init(&target, &none, "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", 1000, &status));
    assert_string_equal(status.text, "SLUICE_SERVER: more than 16 servers");
}

static void test_an_environment_without_a_server_is_refused(void **state) {
    struct options_list none = {.n = 0};
    struct target target;
    struct status status;
    (void)state;
    assert_false(target_init(&target, &none, ",,", 1000, &status));
    assert_string_equal(status.text, "SLUICE_SERVER: only commas, no server");
}

static void test_advice_fits_the_failure(void **state) {
    (void)state;
    assert_string_equal(target_advice(SLUICE_UNAVAILABLE, "cannot connect to a:1: Connection refused"),
                        "; is sluiced running? (--server)");
    assert_string_equal(target_advice(SLUICE_UNAVAILABLE, "store: the shard of this key cannot be reached"),
                        "");
    assert_string_equal(target_advice(SLUICE_INVALID_ARGUMENT, "key: 300 bytes, at most 256"), "");
}

static void test_arguments_name_a_check(void **state) {
    char tenant[] = "demo", resource[] = "hello", key[] = "alice";
    char *const arguments[] = {tenant, resource, key};
    (void)state;
    struct sluice_check check = target_check_of(arguments, NULL);
    assert_int_equal(check.key_len, 5);
    assert_int_equal(check.cost, 1);
    assert_int_equal(check.idempotency_key_len, 0);
    check = target_check_of(arguments, "once");
    assert_int_equal(check.idempotency_key_len, 4);
}

static void test_tokens_are_named_when_they_are_wrong(void **state) {
    struct status status;
    uint64_t tokens = 7;
    (void)state;
    assert_true(target_read_tokens("TOKENS", "0", 0, &tokens, &status));
    assert_int_equal(tokens, 0);
    assert_true(target_read_tokens("TOKENS", "1000000000", 1, &tokens, &status));
    assert_int_equal(tokens, 1000000000);
    assert_false(target_read_tokens("TOKENS", "0", 1, &tokens, &status));
    assert_memory_equal(status.text, "TOKENS: ", 8);
    assert_false(target_read_tokens("TOKENS", "1000000001", 1, &tokens, &status));
    assert_false(target_read_tokens("TOKENS", "many", 1, &tokens, &status));
    assert_int_equal(tokens, 1000000000);
}

static void test_bad_server_opens_no_client(void **state) {
    struct options_list bad = {.items = {"nonsense"}, .n = 1};
    struct status status = {""};
    (void)state;
    assert_null(target_open(&bad, NULL, 1000, &status));
    assert_string_not_equal(status.text, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_default_is_asked_when_nothing_is_said),
        cmocka_unit_test(test_the_environment_is_cut_at_commas),
        cmocka_unit_test(test_the_command_line_comes_before_the_environment),
        cmocka_unit_test(test_too_long_an_environment_is_refused),
        cmocka_unit_test(test_an_environment_without_a_server_is_refused),
        cmocka_unit_test(test_advice_fits_the_failure),
        cmocka_unit_test(test_arguments_name_a_check),
        cmocka_unit_test(test_tokens_are_named_when_they_are_wrong),
        cmocka_unit_test(test_bad_server_opens_no_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
