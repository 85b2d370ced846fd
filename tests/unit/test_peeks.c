/* test_peeks.c — a look at all records of a quota takes nothing, and says what a check would be told. */
#include "tests/support/test_prelude.h"

#include "tests/support/limiter_bench.h"

static const char both[] = "tenants: {t: {r: {limits: [{name: own, rate: 1/day, burst: 5},"
                           " {name: all, rate: 1/day, burst: 3, scope: resource}]}}}";

static void test_a_look_takes_nothing_and_asks_every_record(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    struct bench_call call = bench_ask(&bench, LIMITER_PEEK, 3);
    assert_true(call.call.decision.allowed && call.call.decision.matched);
    assert_int_equal(call.call.decision.granted_tokens, 0);
    assert_string_equal(call.limit_name, "all");
    assert_int_equal(call.call.decision.remaining_tokens, 3);
    assert_int_equal(call.call.decision.source, DECISION_STORE);
    assert_int_equal(bench.truth->n_calls, 2);
    assert_int_equal(bench_level(&bench, BUCKET_PER_KEY), 5);
    assert_int_equal(bench_level(&bench, BUCKET_PER_RESOURCE), 3);
    assert_int_equal(metric_get(&bench.metrics.peeks), 1);
    assert_int_equal(metric_get(&bench.metrics.allowed_store), 0);
    bench_close(&bench);
}

static void test_the_longest_denial_is_told(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    bench_ask(&bench, LIMITER_CHECK, 3);
    struct bench_call call = bench_ask(&bench, LIMITER_PEEK, 3); /* 1 lacks of `own`, 3 of `all` */
    assert_false(call.call.decision.allowed);
    assert_string_equal(call.limit_name, "all");
    bench_close(&bench);
}

static void test_a_look_for_what_is_there_is_content_with_one(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    struct bench_call call = bench_call_of(LIMITER_PEEK, 50);
    call.call.at_most = true;
    bench_finish(&bench, &call);
    assert_true(call.call.decision.allowed);
    assert_int_equal(call.call.decision.granted_tokens, 0);
    assert_int_equal(call.call.decision.remaining_tokens, 3);
    bench_close(&bench);
}

static void test_a_look_does_not_wait_for_a_check(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    struct bench_call check = bench_call_of(LIMITER_CHECK, 1), look = bench_call_of(LIMITER_PEEK, 1);
    assert_true(bench_start(&bench, &check));
    assert_true(bench_start(&bench, &look));
    bench_pass(&bench, BENCH_ROUND_TRIP_US);
    assert_int_equal(look.n_done, 1);
    bench_pass(&bench, BENCH_ROUND_TRIP_US);
    assert_int_equal(check.n_done, 1);
    bench_close(&bench);
}

static void test_what_fails_is_looked_at_locally_and_takes_nothing(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    bench.store.failure = STORE_DOWN;
    bench.store.down_scopes = MODEL_SCOPE(BUCKET_PER_RESOURCE);
    for (int i = 0; i < 5; i++) {
        struct bench_call call = bench_ask(&bench, LIMITER_PEEK, 3);
        assert_true(call.call.decision.allowed && call.call.decision.degraded);
        assert_int_equal(call.call.decision.source, DECISION_LOCAL);
    }
    bench.store.is_down = true;
    assert_true(bench_ask(&bench, LIMITER_PEEK, 3).call.decision.allowed);
    assert_int_equal(metric_get(&bench.metrics.degraded_down), 6);
    assert_int_equal(metric_get(&bench.metrics.allowed_local), 0);
    bench_close(&bench);
}

static void test_a_look_in_shadow_mode_counts_nothing(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, "tenants: {t: {r: {mode: shadow, limits: [{rate: 1/day, burst: 1}]}}}");
    struct bench_call call = bench_ask(&bench, LIMITER_PEEK, 2);
    assert_true(call.call.decision.allowed && call.call.decision.would_deny);
    assert_int_equal(metric_get(&bench.metrics.would_deny), 0);
    bench_close(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_look_takes_nothing_and_asks_every_record),
        cmocka_unit_test(test_the_longest_denial_is_told),
        cmocka_unit_test(test_a_look_for_what_is_there_is_content_with_one),
        cmocka_unit_test(test_a_look_does_not_wait_for_a_check),
        cmocka_unit_test(test_what_fails_is_looked_at_locally_and_takes_nothing),
        cmocka_unit_test(test_a_look_in_shadow_mode_counts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
