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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_default_is_asked_when_nothing_is_said),
        cmocka_unit_test(test_the_environment_is_cut_at_commas),
        cmocka_unit_test(test_the_command_line_comes_before_the_environment),
        cmocka_unit_test(test_too_long_an_environment_is_refused),
        cmocka_unit_test(test_an_environment_without_a_server_is_refused),
        cmocka_unit_test(test_advice_fits_the_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
