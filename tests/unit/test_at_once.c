/* test_at_once.c — what is decided without a question is what the whole way comes to, and takes as much. */
#include "tests/support/test_prelude.h"

#include "tests/support/limiter_bench.h"

enum { HOT_PER_S = 100, WARM_UP_CHECKS = 400, CHECK_EVERY_US = 1000 };

static struct bytes text(const char *string) {
    return (struct bytes){.data = (const uint8_t *)string, .len = strlen(string)};
}

/* Of resource r, key alice. */
static bool decide(struct limiter_bench *bench, const char *tenant, int64_t cost_tokens,
                   struct limiter_found *found, struct decision *decision) {
    struct limiter_query query = {text(tenant), text("r"), text("alice"), cost_tokens};
    return limiter_decide(bench->limiter, &query, bench->now_us, found, decision);
}

static const char other_ways[] =
    "default: deny\n"
    "tenants:\n"
    "  free: { r: { unlimited: true } }\n"
    "  banned: { r: { limits: [ { name: none, rate: 0/s, burst: 7 } ] } }\n"
    "  tried: { r: { mode: shadow, limits: [ { rate: 1/h, burst: 1 } ] } }\n"
    "  wide: { r: { limits: [ { name: all, rate: 1/h, burst: 1, scope: tenant } ] } }\n"
    "  both: { r: { limits: [ { name: own, rate: 1/h, burst: 1 }, "
    "{ name: all, rate: 1/h, burst: 9, scope: resource } ] } }\n";

static void test_what_has_no_bucket_is_decided(void **state) {
    struct limiter_bench bench;
    struct limiter_found found;
    struct decision decision;
    (void)state;
    bench_open(&bench, other_ways);
    assert_true(decide(&bench, "free", 3, &found, &decision));
    assert_true(decision.allowed && decision.matched && decision.granted_tokens == 3);
    assert_true(decide(&bench, "nobody", 3, &found, &decision));
    assert_true(!decision.allowed && !decision.matched && decision.granted_tokens == 0);
    assert_true(decide(&bench, "banned", 1, &found, &decision));
    assert_false(decision.allowed);
    assert_string_equal(decision.limit_name, "none");
    assert_int_equal(decision.retry_after_us, BUCKET_MAX_EXACT);
    assert_int_equal(metric_get(&bench.metrics.allowed_none), 1);
    assert_int_equal(metric_get(&bench.metrics.denied_none), 2);
    bench_close(&bench);
}

static void test_shadows_and_wide_limits_go_the_whole_way(void **state) {
    static const char *const tenants[] = {"tried", "wide", "both"};
    struct limiter_bench bench;
    (void)state;
    bench_open(&bench, other_ways);
    for (size_t i = 0; i < sizeof tenants / sizeof tenants[0]; i++) {
        for (int n = 0; n < 3; n++) {
            struct limiter_found found;
            struct decision decision;
            assert_false(decide(&bench, tenants[i], 1, &found, &decision));
            struct bench_call call = bench_call_of(LIMITER_CHECK, 1);
            call.call.tenant = text(tenants[i]);
            bench_finish(&bench, &call);
        }
    }
    bench_close(&bench);
}

static const char alice[] = "tenants: { t: { r: { limits: [ { name: own, rate: 200/s, burst: 100 } ] } } }";
static const char alice_spent[] = "tenants: { t: { r: { limits: [ { name: own, rate: 1/h, burst: 5 } ] } } }";

static void test_what_can_never_be_granted_is_told_so(void **state) {
    struct limiter_bench bench;
    struct limiter_found found;
    struct decision decision;
    (void)state;
    bench_open(&bench, alice_spent);
    assert_false(bench_ask(&bench, LIMITER_CHECK, 6).call.decision.allowed);
    bench_pass(&bench, 1000);
    assert_true(decide(&bench, "t", 6, &found, &decision));
    assert_int_equal(decision.retry_after_us, BUCKET_MAX_EXACT);
    bench_close(&bench);
}

static void test_the_first_check_asks_and_a_denial_stands(void **state) {
    struct limiter_bench bench;
    struct limiter_found found;
    struct decision decision;
    (void)state;
    bench_open(&bench, alice_spent);
    assert_false(decide(&bench, "t", 5, &found, &decision));
    struct bench_call first = bench_ask(&bench, LIMITER_CHECK, 5);
    assert_true(first.call.decision.allowed);
    assert_false(decide(&bench, "t", 2, &found, &decision));
    struct bench_call denied = bench_ask(&bench, LIMITER_CHECK, 2);
    assert_false(denied.call.decision.allowed);
    uint64_t n_calls = bench.truth->n_calls;

    bench_pass(&bench, 1000000);
    assert_true(decide(&bench, "t", 2, &found, &decision));
    assert_true(decision.matched && !decision.allowed && decision.granted_tokens == 0);
    assert_int_equal(decision.source, DECISION_DENIED_CACHE);
    assert_string_equal(decision.limit_name, "own");
    assert_int_equal(decision.limit_tokens, 5);
    assert_in_range(decision.retry_after_us, denied.call.decision.retry_after_us - 1002000,
                    denied.call.decision.retry_after_us - 998000);
    assert_false(decide(&bench, "t", 1, &found, &decision)); /* less might be there */
    int64_t retry_after_us = decision.retry_after_us;
    assert_true(decide(&bench, "t", 4, &found, &decision));
    assert_int_equal(decision.retry_after_us, retry_after_us + 2 * INT64_C(3600000000));
    assert_true(decide(&bench, "t", 6, &found, &decision));
    assert_int_equal(decision.retry_after_us, BUCKET_MAX_EXACT);
    assert_int_equal(bench.truth->n_calls, n_calls);
    assert_int_equal(metric_get(&bench.metrics.denied_denied_cache), 3);
    bench_close(&bench);
}

/* By two limits: what is above either's burst is never granted; else the limit that denied says the least. */
static void test_a_higher_cost_is_told_a_later_time(void **state) {
    struct limiter_bench bench;
    struct limiter_found found;
    struct decision decision;
    (void)state;
    bench_open(&bench, "tenants: { t: { r: { limits: [ { name: fast, rate: 1/s, burst: 10 }, "
                       "{ name: slow, rate: 1/h, burst: 20 } ] } } }");
    assert_true(bench_ask(&bench, LIMITER_CHECK, 10).call.decision.allowed);
    assert_false(bench_ask(&bench, LIMITER_CHECK, 1).call.decision.allowed);
    assert_true(decide(&bench, "t", 1, &found, &decision));
    int64_t retry_after_us = decision.retry_after_us;
    assert_true(decide(&bench, "t", 9, &found, &decision));
    assert_int_equal(decision.retry_after_us, retry_after_us + 8000000);
    assert_true(decide(&bench, "t", 11, &found, &decision));
    assert_int_equal(decision.retry_after_us, BUCKET_MAX_EXACT);
    bench_close(&bench);
}

static void test_a_lease_counts_as_there_until_it_is_spent(void **state) {
    struct limiter_bench bench;
    struct decision decision;
    (void)state;
    bench_open_hot(&bench, "tenants: { t: { r: { limits: [ { name: own, rate: 1000/s, burst: 1000 } ] } } }",
                   HOT_PER_S);
    for (int i = 0; i < WARM_UP_CHECKS; i++) {
        struct limiter_found found;
        if (decide(&bench, "t", 1, &found, &decision)) {
            assert_int_equal(decision.source, DECISION_LEASE);
            /* Nothing is asked but a check a millisecond: by either figure next to nothing is missing. */
            assert_in_range(decision.remaining_tokens, 900, 1000);
            assert_in_range(decision.reset_after_us, 0, 100 * 1000);
        } else {
            struct bench_call call = bench_call_of(LIMITER_CHECK, 1);
            bench_finish(&bench, &call);
        }
        bench_pass(&bench, CHECK_EVERY_US);
    }
    assert_true(metric_get(&bench.metrics.allowed_lease) > WARM_UP_CHECKS / 2);
    bench_close(&bench);
}

/* Checks of alice, each decided at once if it can be; returns how many were granted, and counts what was decided so. */
static int64_t run(struct limiter_bench *bench, int n_checks, int *n_at_once) {
    int64_t n_granted = 0;
    for (int i = 0; i < n_checks; i++) {
        struct bench_call call = bench_call_of(LIMITER_CHECK, 1);
        struct decision decision;
        if (decide(bench, "t", 1, &call.call.found, &decision)) {
            n_granted += decision.granted_tokens;
            ++*n_at_once;
        } else {
            call.call.is_found = true;
            bench_finish(bench, &call);
            n_granted += call.call.decision.granted_tokens;
        }
        bench_pass(bench, CHECK_EVERY_US);
    }
    return n_granted;
}

static void test_a_hot_key_is_served_from_its_lease(void **state) {
    struct limiter_bench bench;
    int n_at_once = 0;
    (void)state;
    bench_open_hot(&bench, alice, HOT_PER_S);
    int64_t begun_us = bench.now_us;
    int64_t n_granted = run(&bench, WARM_UP_CHECKS, &n_at_once);
    n_at_once = 0;
    n_granted += run(&bench, WARM_UP_CHECKS, &n_at_once);
    assert_true(n_at_once > WARM_UP_CHECKS * 9 / 10);
    assert_true(metric_get(&bench.metrics.allowed_lease) > 0);
    int64_t due = 100 + (bench.now_us - begun_us) * 200 / 1000000;
    assert_in_range(n_granted, due * 95 / 100, due);

    struct hotkey rows[HOTKEYS_MAX];
    assert_int_equal(hotkeys_copy(bench.hotkeys, bench.now_us, rows), 1);
    assert_true(rows[0].is_hot);
    assert_in_range(rows[0].checks_per_s, HOT_PER_S, 1000); /* each was counted once */
    bench_close(&bench);
}

static void test_a_check_that_was_left_is_counted_once(void **state) {
    struct limiter_bench bench;
    struct hotkey rows[HOTKEYS_MAX];
    (void)state;
    bench_open_hot(&bench, "tenants: { t: { r: { limits: [ { rate: 10000/s, burst: 10000 } ] } } }", 1000000);
    for (int i = 0; i < 100; i++) {
        struct bench_call call = bench_call_of(LIMITER_CHECK, 1);
        struct decision decision;
        assert_false(decide(&bench, "t", 1, &call.call.found, &decision));
        call.call.is_found = true;
        bench_finish(&bench, &call);
    }
    assert_int_equal(hotkeys_copy(bench.hotkeys, bench.now_us, rows), 1);
    assert_in_range(rows[0].checks_per_s, 80, 100); /* the first few had no entry */
    bench_close(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_has_no_bucket_is_decided),
        cmocka_unit_test(test_shadows_and_wide_limits_go_the_whole_way),
        cmocka_unit_test(test_what_can_never_be_granted_is_told_so),
        cmocka_unit_test(test_the_first_check_asks_and_a_denial_stands),
        cmocka_unit_test(test_a_higher_cost_is_told_a_later_time),
        cmocka_unit_test(test_a_lease_counts_as_there_until_it_is_spent),
        cmocka_unit_test(test_a_hot_key_is_served_from_its_lease),
        cmocka_unit_test(test_a_check_that_was_left_is_counted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
