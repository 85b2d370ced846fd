/* test_check_redis.c — the check script in a real redis-server: random traces against C, and what only Redis
 * can show: that the script loads, the real time, expiry, and that a denial writes nothing. */
#include "tests/support/test_prelude.h"

#include <inttypes.h>
#include <time.h>

#include "tests/property/rational.h"
#include "tests/property/trace.h"
#include "tests/property/script_redis.h"

enum { N_TRACES = 200, N_CHECKS = 100 };

static int64_t wall_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int set_up(void **state) {
    script_redis_set_up(state);
    script_redis_load(*state, &script_check);
    return 0;
}

/* One check on `key`; now_us < 0: at the server's own time. Returns the raw answer. */
static struct redis_answer eval(struct script_redis *redis, const char *key, const struct trace *trace,
                                int64_t now_us) {
    uint8_t argument[SCRIPT_CHECK_ARG_MAX_BYTES];
    char now[32];
    snprintf(now, sizeof now, "%" PRId64, now_us);
    struct script_check check = trace_script_check(trace);
    size_t n = script_check_pack(&check, argument, sizeof argument);
    const struct bytes args[] = {text_bytes("EVALSHA"), text_bytes(script_check.sha1),
                                 text_bytes("1"),       text_bytes(key),
                                 {argument, n},         text_bytes(now)};
    return script_redis_send(redis, args, now_us < 0 ? 5 : 6);
}

static struct bucket_verdict parse(struct redis_answer answer, const struct trace *trace) {
    struct bucket_verdict verdict = {0};
    struct bucket_record record;
    struct script_check check = trace_script_check(trace);
    if (answer.kind != REDIS_BULK || !script_check_parse(answer.text, &check, &verdict, &record)) {
        fail_msg("reply of %zu bytes not understood: %.*s", answer.text.len, (int)answer.text.len,
                 (const char *)answer.text.data);
    }
    return verdict;
}

/* A trace of one plain limit. */
static struct trace trace_of(int64_t count, int64_t period_s, int64_t burst_tokens) {
    struct trace trace = {.n_limits = 1, .cost_tokens = 1};
    trace.limits[0] = (struct bucket_limit){.id = 1, .burst_utok = burst_tokens * BUCKET_UTOK_PER_TOKEN};
    assert_true(bucket_set_rate(&trace.limits[0], count, period_s, NULL));
    return trace;
}

static void test_script_loads_under_its_hash(void **state) {
    script_redis_load(*state, &script_check);
}

static void assert_same_record(struct script_redis *redis, const char *key,
                               const struct bucket_record *record) {
    uint8_t expected[SCRIPT_RECORD_MAX_BYTES];
    size_t n = script_record_pack(record, expected);
    struct redis_answer answer = script_redis_call(redis, "GET", key, NULL);
    assert_int_equal(answer.kind, REDIS_BULK);
    assert_int_equal(answer.text.len, n);
    assert_memory_equal(answer.text.data, expected, n);
}

/* The traces live in the future, so that no record expires by the server's clock. */
static void test_random_checks_decide_as_c_does(void **state) {
    struct script_redis *redis = *state;
    int64_t start_us = wall_us() + TRACE_YEAR_US;
    for (uint64_t i = 0; i < N_TRACES; i++) {
        struct trace trace;
        struct bucket_record record = {0};
        struct bucket_verdict expected = {0};
        char key[32];
        snprintf(key, sizeof key, "trace %" PRIu64, i);
        trace_begin(&trace, trace_seed(), i, start_us);
        trace.may_step_back = trace.may_change_quota = trace.may_peek = trace.may_charge = true;
        for (int j = 0; j < N_CHECKS; j++) {
            struct bucket_verdict verdict = parse(eval(redis, key, &trace, trace.now_us), &trace);
            trace_check(&record, &trace, &expected);
            if (!trace_same_verdict(&verdict, &expected)) {
                fail_msg("C and Redis decided differently (seed %" PRIu64 ", trace %" PRIu64 ", check %d)",
                         trace_seed(), i, j);
            }
            if (expected.changed) {
                assert_same_record(redis, key, &record);
            }
            trace_next(&trace, &expected);
        }
    }
}

static void test_record_expires_when_it_is_full(void **state) {
    struct script_redis *redis = *state;
    struct trace trace = trace_of(3, 1, 10);
    int64_t now_us = wall_us() + TRACE_YEAR_US;
    struct bucket_verdict verdict = parse(eval(redis, "expiry", &trace, now_us), &trace);
    assert_int_equal(verdict.full_after_us, 333334);
    assert_int_equal(script_redis_call(redis, "PEXPIRETIME", "expiry", NULL).integer,
                     (now_us + 333334 + 999) / 1000);
}

static void test_expired_record_is_a_full_bucket(void **state) {
    struct script_redis *redis = *state;
    struct trace trace = trace_of(1000, 1, 5);
    trace.cost_tokens = 5;
    assert_true(parse(eval(redis, "gone", &trace, -1), &trace).allowed);
    int64_t end_us = wall_us() + 5000000;
    while (script_redis_call(redis, "EXISTS", "gone", NULL).integer != 0) {
        assert_true(wall_us() < end_us);
    }
    assert_true(parse(eval(redis, "gone", &trace, -1), &trace).allowed);
}

static void test_time_is_the_servers(void **state) {
    struct script_redis *redis = *state;
    struct trace trace = trace_of(1, 3600, 10);
    int64_t before_us = wall_us();
    struct redis_answer answer = eval(redis, "now", &trace, -1);
    int64_t after_us = wall_us();
    struct bucket_record record;
    assert_int_equal(answer.kind, REDIS_BULK);
    assert_true(script_record_parse(answer.text, &record));
    assert_in_range(record.at_us, before_us, after_us);
    assert_same_record(redis, "now", &record);
}

/* On the real clock, with every admission dated by the script itself. */
static void test_never_more_than_burst_and_rate_on_the_real_clock(void **state) {
    enum { N_HAMMERED = 20000 };
    struct script_redis *redis = *state;
    struct trace trace = trace_of(500, 1, 20);
    struct rational_window window;
    int n_allowed = 0;
    rational_window_start(&window, &trace.limits[0]);
    for (int i = 0; i < N_HAMMERED; i++) {
        struct redis_answer answer = eval(redis, "hammered", &trace, -1);
        struct bucket_record record;
        if (parse(answer, &trace).allowed && script_record_parse(answer.text, &record)) {
            assert_true(rational_window_admit(&window, 1, record.at_us));
            n_allowed++;
        }
    }
    assert_in_range(n_allowed, 21, N_HAMMERED - 1);
}

static void test_denial_issues_no_set(void **state) {
    enum { N_DENIED = 1000 };
    struct script_redis *redis = *state;
    struct trace trace = trace_of(1, 86400, 1);
    assert_true(parse(eval(redis, "denied", &trace, -1), &trace).allowed);
    assert_int_equal(script_redis_call(redis, "CONFIG", "RESETSTAT", NULL).kind, REDIS_STATUS);
    for (int i = 0; i < N_DENIED; i++) {
        assert_false(parse(eval(redis, "denied", &trace, -1), &trace).allowed);
    }
    assert_int_equal(redis_link_calls_of(&redis->link, "evalsha"), N_DENIED);
    assert_int_equal(redis_link_calls_of(&redis->link, "get"), N_DENIED);
    assert_int_equal(redis_link_calls_of(&redis->link, "time"), N_DENIED);
    assert_int_equal(redis_link_calls_of(&redis->link, "set"), 0);
}

static void test_value_of_another_kind_is_no_record(void **state) {
    struct script_redis *redis = *state;
    struct trace trace = trace_of(1, 86400, 2);
    assert_int_equal(script_redis_call(redis, "SET", "foreign", "not one of ours, 21 b", NULL).kind,
                     REDIS_STATUS);
    struct bucket_verdict verdict = parse(eval(redis, "foreign", &trace, -1), &trace);
    assert_true(verdict.allowed);
    assert_int_equal(verdict.remaining_utok, BUCKET_UTOK_PER_TOKEN);
}

static void test_full_memory_is_refused_before_anything_runs(void **state) {
    struct script_redis *redis = *state;
    struct trace trace = trace_of(1, 1, 10);
    script_redis_call(redis, "CONFIG", "SET", "maxmemory", "1", NULL);
    assert_int_equal(script_redis_call(redis, "CONFIG", "RESETSTAT", NULL).kind, REDIS_STATUS);
    struct redis_answer answer = eval(redis, "oom", &trace, -1);
    assert_int_equal(answer.kind, REDIS_ERROR);
    assert_memory_equal(answer.text.data, "OOM ", 4);
    assert_int_equal(redis_link_calls_of(&redis->link, "time"), 0);
    script_redis_call(redis, "CONFIG", "SET", "maxmemory", "0", NULL);
    assert_true(parse(eval(redis, "oom", &trace, -1), &trace).allowed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_script_loads_under_its_hash),
        cmocka_unit_test(test_random_checks_decide_as_c_does),
        cmocka_unit_test(test_record_expires_when_it_is_full),
        cmocka_unit_test(test_expired_record_is_a_full_bucket),
        cmocka_unit_test(test_time_is_the_servers),
        cmocka_unit_test(test_never_more_than_burst_and_rate_on_the_real_clock),
        cmocka_unit_test(test_denial_issues_no_set),
        cmocka_unit_test(test_value_of_another_kind_is_no_record),
        cmocka_unit_test(test_full_memory_is_refused_before_anything_runs),
    };
    return cmocka_run_group_tests(tests, set_up, script_redis_tear_down);
}
