/* test_client_options.c — what is not said has its default; what is wrong is named. */
#include "tests/support/test_prelude.h"

#include "client/client_options.h"

static const char *const servers[] = {"a:1", "b:2"};

static void assert_defaults(const struct sluice_options *given) {
    struct client_options options;
    assert_true(client_options_read(&options, given, NULL, 0));
    assert_int_equal(options.n_servers, 1);
    assert_string_equal(options.servers[0], "127.0.0.1:7380");
    assert_int_equal(options.timeout_ms, 1000);
    assert_int_equal(options.max_retries, 2);
    assert_int_equal(options.on_failure, SLUICE_ON_FAILURE_REPORT);
}

static void test_nothing_and_all_zero_mean_the_defaults(void **state) {
    (void)state;
    assert_defaults(NULL);
    assert_defaults(&(struct sluice_options){.servers = NULL});
}

static void test_what_is_said_is_taken(void **state) {
    struct sluice_options given = {.servers = servers,
                                   .n_servers = 2,
                                   .timeout_ms = 60000,
                                   .max_retries = 10,
                                   .on_failure = SLUICE_ON_FAILURE_DENY};
    struct client_options options;
    (void)state;
    assert_true(client_options_read(&options, &given, NULL, 0));
    assert_ptr_equal(options.servers, servers);
    assert_int_equal(options.n_servers, 2);
    assert_int_equal(options.timeout_ms, 60000);
    assert_int_equal(options.max_retries, 10);
    assert_int_equal(options.on_failure, SLUICE_ON_FAILURE_DENY);
    given.max_retries = SLUICE_NO_RETRIES;
    assert_true(client_options_read(&options, &given, NULL, 0));
    assert_int_equal(options.max_retries, 0);
}

static void assert_refused(struct sluice_options given, const char *why) {
    struct client_options options;
    char message[SLUICE_MESSAGE_BYTES];
    assert_false(client_options_read(&options, &given, message, sizeof message));
    assert_string_equal(message, why);
}

static void test_wrong_ones_are_named(void **state) {
    (void)state;
    assert_refused((struct sluice_options){.servers = servers}, "servers: 0 given, 1 to 64 are needed");
    assert_refused((struct sluice_options){.servers = servers, .n_servers = 65},
                   "servers: 65 given, 1 to 64 are needed");
    assert_refused((struct sluice_options){.timeout_ms = 60001}, "timeout_ms: 60001, at most 60000");
    assert_refused((struct sluice_options){.max_retries = 11}, "max_retries: 11, -1 to 10 are possible");
    assert_refused((struct sluice_options){.max_retries = -2}, "max_retries: -2, -1 to 10 are possible");
    assert_refused((struct sluice_options){.on_failure = (enum sluice_on_failure)3},
                   "on_failure: 3 is none of enum sluice_on_failure");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_and_all_zero_mean_the_defaults),
        cmocka_unit_test(test_what_is_said_is_taken),
        cmocka_unit_test(test_wrong_ones_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
