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
    assert_int_equal(options.hedge, SLUICE_HEDGE_NOTHING);
    assert_int_equal(options.hedge_after_ms, 1);
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
    given.hedge = SLUICE_HEDGE_CHECKS;
    given.hedge_after_ms = 60000;
    assert_true(client_options_read(&options, &given, NULL, 0));
    assert_int_equal(options.max_retries, 0);
    assert_int_equal(options.hedge, SLUICE_HEDGE_CHECKS);
    assert_int_equal(options.hedge_after_ms, 60000);
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
    assert_refused((struct sluice_options){.on_failure = (enum sluice_on_failure)4},
                   "on_failure: 4 is none of enum sluice_on_failure");
    assert_refused((struct sluice_options){.hedge = (enum sluice_hedge)3},
                   "hedge: 3 is none of enum sluice_hedge");
    assert_refused((struct sluice_options){.hedge_after_ms = 60001}, "hedge_after_ms: 60001, at most 60000");
}

#define LOCAL(...) ((struct sluice_options){.on_failure = SLUICE_ON_FAILURE_LOCAL, __VA_ARGS__})

static void assert_local(struct sluice_options given, int64_t count, int64_t period_s, int64_t burst_tokens) {
    struct client_options options;
    char message[SLUICE_MESSAGE_BYTES] = "";
    assert_true(client_options_read(&options, &given, message, sizeof message));
    assert_int_equal(options.local_limit.count, count);
    assert_int_equal(options.local_limit.period_s, period_s);
    assert_int_equal(options.local_limit.algorithm, BUCKET_TOKEN);
    assert_int_equal(options.local_limit.burst_utok, burst_tokens * 1000000);
    assert_int_equal(options.local_max_keys, given.local_max_keys > 0 ? given.local_max_keys : 16384);
}

static void test_local_limit_is_read(void **state) {
    (void)state;
    assert_local(LOCAL(.local_rate_tokens = 100), 100, 1, 100);
    assert_local(LOCAL(.local_rate_tokens = 6000, .local_period_s = 60, .local_burst_tokens = 7), 100, 1, 7);
    assert_local(LOCAL(.local_rate_tokens = 20, .local_period_s = 3600, .local_max_keys = 1), 1, 180, 1);
    assert_local(LOCAL(.local_rate_tokens = 10000000, .local_burst_tokens = 1000000000), 10000000, 1,
                 1000000000);
    assert_local(LOCAL(.local_rate_tokens = 1, .local_period_s = 2592000), 1, 2592000, 1);
}

static void test_wrong_local_limit_is_named(void **state) {
    (void)state;
    assert_refused(LOCAL(.local_burst_tokens = 5),
                   "local_rate_tokens: 0, SLUICE_ON_FAILURE_LOCAL needs a rate");
    assert_refused(LOCAL(.local_rate_tokens = 10000001),
                   "local_rate_tokens, local_period_s: rate 10000001 per 1 s: more than 10000000 per second");
    assert_refused(
        LOCAL(.local_rate_tokens = UINT64_MAX),
        "local_rate_tokens, local_period_s: rate 9223372036854775807 per 1 s: more than 10000000 per "
        "second");
    assert_refused(LOCAL(.local_rate_tokens = 1, .local_period_s = 2592001),
                   "local_rate_tokens, local_period_s: rate 1 per 2592001 s: less than 1 per 30 days");
    assert_refused(LOCAL(.local_rate_tokens = 1, .local_burst_tokens = 1000000001),
                   "local_burst_tokens: 1000000001, at most 1000000000");
    assert_refused(LOCAL(.local_rate_tokens = 1, .local_max_keys = 16777217),
                   "local_max_keys: 16777217, at most 16777216");
}

static void test_local_limit_is_not_read_where_it_does_not_count(void **state) {
    struct sluice_options given = {.on_failure = SLUICE_ON_FAILURE_DENY, .local_burst_tokens = UINT64_MAX};
    struct client_options options;
    (void)state;
    assert_true(client_options_read(&options, &given, NULL, 0));
    assert_int_equal(options.local_limit.burst_utok, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_and_all_zero_mean_the_defaults),
        cmocka_unit_test(test_what_is_said_is_taken),
        cmocka_unit_test(test_wrong_ones_are_named),
        cmocka_unit_test(test_local_limit_is_read),
        cmocka_unit_test(test_wrong_local_limit_is_named),
        cmocka_unit_test(test_local_limit_is_not_read_where_it_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
