/* test_checks.c — a check over several records: all or none, who is asked, what is told, and without the store. */
#include "tests/support/test_prelude.h"

#include "tests/support/limiter_bench.h"

/* All tokens there are to count: nothing comes back in a test. */
static const char both[] = "tenants: {t: {r: {limits: [{name: own, rate: 1/day, burst: 5},"
                           " {name: all, rate: 1/day, burst: 100, scope: resource}]}}}";
static const char three[] = "tenants: {t: {r: {limits: [{name: own, rate: 1/day, burst: 50},"
                            " {name: all, rate: 1/day, burst: 3, scope: resource},"
                            " {name: contract, rate: 1/day, burst: 8, scope: tenant}]}}}";

/* What claims gave back is told, and purses are over. */
static void settle(struct limiter_bench *bench) {
    for (int i = 0; i < 40; i++) {
        bench_pass(bench, 10000);
    }
}

/* ---- all or none ---- */

static void test_a_check_takes_from_every_record(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    struct bench_call call = bench_ask(&bench, LIMITER_CHECK, 3);
    assert_true(call.call.decision.allowed);
    assert_int_equal(call.call.decision.granted_tokens, 3);
    assert_string_equal(call.limit_name, "own"); /* the tighter one: 2 left of 5 */
    assert_int_equal(call.call.decision.remaining_tokens, 2);
    assert_int_equal(call.call.decision.source, DECISION_STORE);
    settle(&bench);
    assert_int_equal(bench_level(&bench, BUCKET_PER_KEY), 2);
    assert_int_equal(bench_level(&bench, BUCKET_PER_RESOURCE), 97);
    bench_close(&bench);
}

static void test_who_denies_charges_nobody(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    for (int i = 0; i < 20; i++) {
        struct bench_call call = bench_ask(&bench, LIMITER_CHECK, 6);
        assert_false(call.call.decision.allowed);
        assert_int_equal(call.call.decision.granted_tokens, 0);
        assert_string_equal(call.limit_name, "own");
    }
    settle(&bench);
    assert_int_equal(bench_level(&bench, BUCKET_PER_KEY), 5);
    assert_int_equal(bench_level(&bench, BUCKET_PER_RESOURCE), 100);
    bench_close(&bench);
}

static void test_many_at_once_charge_what_they_are_granted(void **state) {
    (void)state;
    struct limiter_bench bench;
    struct bench_call calls[100];
    bench_open(&bench, both);
    for (int i = 0; i < 100; i++) {
        calls[i] = bench_call_of(LIMITER_CHECK, 1);
        snprintf(calls[i].names[2], sizeof calls[i].names[2], "k%d", i % 10); /* of each key 5 of 10 */
        bench_start(&bench, &calls[i]);
    }
    settle(&bench);
    int n_allowed = 0;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(calls[i].n_done, 1);
        assert_int_equal(calls[i].call.outcome, LIMITER_DECIDED);
        n_allowed += calls[i].call.decision.allowed;
    }
    assert_int_equal(n_allowed, 50);
    assert_int_equal(bench_level(&bench, BUCKET_PER_RESOURCE), 50);
    bench_close(&bench);
}

static void test_when_many_are_denied_the_key_is_not_asked(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, three);
    struct bench_call call = bench_ask(&bench, LIMITER_CHECK, 4);
    assert_false(call.call.decision.allowed);
    assert_string_equal(call.limit_name, "all");
    settle(&bench);
    assert_int_equal(bench_level(&bench, BUCKET_PER_KEY), 50);
    assert_int_equal(bench_level(&bench, BUCKET_PER_TENANT), 8);
    assert_int_equal(metric_get(&bench.metrics.accounts.calls_check), 0);
    bench_close(&bench);
}

static void test_the_longest_denial_is_told(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, "tenants: {t: {r: {limits: [{name: own, rate: 1/day, burst: 50},"
                       " {name: all, rate: 1/h, burst: 6, scope: resource},"
                       " {name: contract, rate: 1/day, burst: 8, scope: tenant}]}}}");
    bench_ask(&bench, LIMITER_CHECK, 5);
    settle(&bench);
    struct bench_call call = bench_ask(&bench, LIMITER_CHECK, 4); /* 3 lack of `all`, 1 of `contract`: a day */
    assert_false(call.call.decision.allowed);
    assert_string_equal(call.limit_name, "contract");
    assert_int_equal(call.call.decision.limit_tokens, 8);
    assert_int_equal(call.call.decision.remaining_tokens, 3);
    bench_close(&bench);
}

static void test_at_most_takes_the_same_of_all(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    struct bench_call call = bench_call_of(LIMITER_CHECK, 50);
    call.call.at_most = true;
    bench_finish(&bench, &call);
    assert_true(call.call.decision.allowed);
    assert_int_equal(call.call.decision.granted_tokens, 5);
    settle(&bench);
    assert_int_equal(bench_level(&bench, BUCKET_PER_KEY), 0);
    assert_int_equal(bench_level(&bench, BUCKET_PER_RESOURCE), 95);
    bench_close(&bench);
}

static void test_at_most_of_the_shared_bounds_the_own(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, three);
    struct bench_call call = bench_call_of(LIMITER_CHECK, 50);
    call.call.at_most = true;
    bench_finish(&bench, &call);
    assert_int_equal(call.call.decision.granted_tokens, 3);
    settle(&bench);
    assert_int_equal(bench_level(&bench, BUCKET_PER_KEY), 47);
    assert_int_equal(bench_level(&bench, BUCKET_PER_RESOURCE), 0);
    assert_int_equal(bench_level(&bench, BUCKET_PER_TENANT), 5);
    bench_close(&bench);
}

/* ---- quotas that change meanwhile ---- */

static void test_each_is_decided_by_the_quota_it_came_with(void **state) {
    (void)state;
    struct limiter_bench bench;
    struct bench_call calls[3];
    bench_open(&bench, both);
    for (int i = 0; i < 3; i++) { /* the second waits for the first, with the quota of before */
        calls[i] = bench_call_of(LIMITER_CHECK, 1);
        if (i == 2) {
            bench_set_quotas(&bench, "tenants: {t: {r: {limits: [{name: mine, rate: 1/day, burst: 3},"
                                     " {name: all, rate: 1/day, burst: 40, scope: resource}]}}}");
        }
        assert_true(bench_start(&bench, &calls[i]));
    }
    settle(&bench);
    assert_string_equal(calls[0].limit_name, "own");
    assert_string_equal(calls[1].limit_name, "own");
    assert_string_equal(calls[2].limit_name, "mine");
    assert_int_equal(calls[2].call.decision.limit_tokens, 3);
    bench_close(&bench);
}

/* ---- a bucket that quotas share ---- */

static void test_quotas_share_a_lease_and_a_denial(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, "tenants: {t: {r: {limits: [{name: c, rate: 1/day, burst: 4, scope: tenant}]},"
                       " s: {limits: [{name: c, rate: 1/day, burst: 4, scope: tenant}]}}}");
    struct bench_call calls[6];
    for (int i = 0; i < 6; i++) {
        calls[i] = bench_call_of(LIMITER_CHECK, 1);
        calls[i].names[1][0] = i % 2 == 0 ? 'r' : 's';
        bench_start(&bench, &calls[i]);
    }
    settle(&bench);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(calls[i].call.decision.allowed, i < 4);
    }
    assert_true(bench.truth->n_calls <= 4);
    assert_int_equal(bench_ask(&bench, LIMITER_CHECK, 1).call.decision.source, DECISION_DENIED_CACHE);
    bench_close(&bench);
}

/* ---- without the store ---- */

static void test_each_record_that_fails_is_stood_in_for(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    bench.store.failure = STORE_DOWN;
    bench.store.down_scopes = MODEL_SCOPE(BUCKET_PER_RESOURCE);
    struct bench_call call = bench_ask(&bench, LIMITER_CHECK, 2);
    assert_true(call.call.decision.allowed && call.call.decision.degraded);
    assert_int_equal(call.call.decision.source, DECISION_LOCAL);
    assert_string_equal(call.limit_name, "own");
    assert_int_equal(bench_level(&bench, BUCKET_PER_KEY), 3);
    assert_int_equal(metric_get(&bench.metrics.degraded_down), 1);
    bench_close(&bench);
}

static void test_a_check_is_degraded_once(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    bench.store.is_down = true;
    bench.store.failure = STORE_DOWN;
    assert_true(bench_ask(&bench, LIMITER_CHECK, 2).call.decision.degraded);
    assert_int_equal(metric_get(&bench.metrics.degraded_down), 1);
    assert_int_equal(metric_get(&bench.metrics.allowed_local), 1);
    bench_close(&bench);
}

/* The shared bucket is local and grants; the key's own denies: the local one has it all again. */
static void test_a_local_bucket_gets_back_what_was_not_needed(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    bench.store.failure = STORE_DOWN;
    bench.store.down_scopes = MODEL_SCOPE(BUCKET_PER_RESOURCE);
    for (int i = 0; i < 30; i++) {
        assert_false(bench_ask(&bench, LIMITER_CHECK, 6).call.decision.allowed);
    }
    struct bench_call peek = bench_ask(&bench, LIMITER_PEEK, 1);
    assert_true(peek.call.decision.allowed);
    bench.store.down_scopes = 0;
    assert_true(bench_ask(&bench, LIMITER_CHECK, 5).call.decision.allowed);
    settle(&bench);
    assert_int_equal(bench_level(&bench, BUCKET_PER_RESOURCE), 95); /* and nothing is owed */
    bench_close(&bench);
}

static void test_policy_of_the_quota_holds_for_each_record(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, "tenants: {t: {r: {on_store_failure: allow, limits: [{name: own, rate: 1/day, burst: 5},"
                       " {name: all, rate: 1/day, burst: 9, scope: resource}]},"
                       " s: {on_store_failure: deny, limits: [{name: own, rate: 1/day, burst: 5},"
                       " {name: all, rate: 1/day, burst: 9, scope: resource}]}}}");
    bench.store.failure = STORE_TIMEOUT;
    bench.store.down_scopes = MODEL_SCOPE(BUCKET_PER_RESOURCE);
    struct bench_call call = bench_ask(&bench, LIMITER_CHECK, 5);
    assert_true(call.call.decision.allowed && call.call.decision.degraded);
    assert_string_equal(call.limit_name, "own"); /* of the other one nothing is known */
    call = bench_ask(&bench, LIMITER_CHECK, 1);
    assert_false(call.call.decision.allowed);
    assert_string_equal(call.limit_name, "own");
    call = bench_call_of(LIMITER_CHECK, 1);
    call.names[1][0] = 's';
    bench_finish(&bench, &call);
    assert_false(call.call.decision.allowed);
    assert_true(call.call.decision.degraded);
    assert_string_equal(call.limit_name, "");
    bench_close(&bench);
}

static void test_shadow_counts_the_whole_check_once(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, "tenants: {t: {r: {mode: shadow, limits: [{name: own, rate: 1/day, burst: 5},"
                       " {name: all, rate: 1/day, burst: 9, scope: resource}]}}}");
    struct bench_call call = bench_ask(&bench, LIMITER_CHECK, 6);
    assert_true(call.call.decision.allowed && call.call.decision.would_deny);
    assert_int_equal(call.call.decision.granted_tokens, 6);
    assert_int_equal(call.call.decision.retry_after_us, 0);
    assert_int_equal(metric_get(&bench.metrics.would_deny), 1);
    settle(&bench);
    assert_int_equal(bench_level(&bench, BUCKET_PER_RESOURCE), 9);
    bench_close(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_check_takes_from_every_record),
        cmocka_unit_test(test_who_denies_charges_nobody),
        cmocka_unit_test(test_many_at_once_charge_what_they_are_granted),
        cmocka_unit_test(test_when_many_are_denied_the_key_is_not_asked),
        cmocka_unit_test(test_the_longest_denial_is_told),
        cmocka_unit_test(test_at_most_takes_the_same_of_all),
        cmocka_unit_test(test_at_most_of_the_shared_bounds_the_own),
        cmocka_unit_test(test_each_is_decided_by_the_quota_it_came_with),
        cmocka_unit_test(test_quotas_share_a_lease_and_a_denial),
        cmocka_unit_test(test_each_record_that_fails_is_stood_in_for),
        cmocka_unit_test(test_a_check_is_degraded_once),
        cmocka_unit_test(test_a_local_bucket_gets_back_what_was_not_needed),
        cmocka_unit_test(test_policy_of_the_quota_holds_for_each_record),
        cmocka_unit_test(test_shadow_counts_the_whole_check_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
