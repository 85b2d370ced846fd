/* test_bookings_once.c — calls with an idempotency key: done once, whatever was asked first, and answered as before. */
#include "tests/support/test_prelude.h"

#include "server/store/embedded_store.h"
#include "tests/support/limiter_bench.h"

static const char both[] = "tenants: {t: {r: {limits: [{name: own, rate: 1/day, burst: 10},"
                           " {name: all, rate: 1/day, burst: 100, scope: resource}]}}}";
static const char one[] = "tenants: {t: {r: {limits: [{name: own, rate: 1/day, burst: 10}]}}}";

/* ---- once ---- */

static void test_a_repeat_takes_nothing_of_any_record(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    struct bench_call first = bench_ask_once(&bench, LIMITER_CHECK, 4, "k");
    assert_true(first.call.decision.allowed && !first.call.decision.repeated);
    struct bench_call repeat = bench_ask_once(&bench, LIMITER_CHECK, 4, "k");
    assert_true(repeat.call.decision.allowed && repeat.call.decision.repeated);
    assert_int_equal(repeat.call.decision.granted_tokens, 4);
    bench_assert_levels(&bench, 6, 96);
    assert_int_equal(metric_get(&bench.metrics.repeated), 1);
    bench_close(&bench);
}

static void test_a_repeated_denial_stays_one(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    assert_false(bench_ask_once(&bench, LIMITER_CHECK, 11, "k").call.decision.allowed);
    struct bench_call repeat = bench_ask_once(&bench, LIMITER_CHECK, 11, "k");
    assert_true(!repeat.call.decision.allowed && repeat.call.decision.repeated);
    bench_assert_levels(&bench, 10, 100);
    bench_close(&bench);
}

static void test_a_key_of_another_call_is_refused_and_takes_nothing(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    bench_ask_once(&bench, LIMITER_CHECK, 4, "k");
    assert_int_equal(bench_ask_once(&bench, LIMITER_CHECK, 5, "k").call.outcome, LIMITER_KEY_REUSED);
    assert_int_equal(bench_ask_once(&bench, LIMITER_REFUND, 4, "k").call.outcome, LIMITER_KEY_REUSED);
    bench_assert_levels(&bench, 6, 96);
    bench_close(&bench);
}

/* ---- once, and several limits ---- */

static const char tight[] = "tenants: {t: {r: {limits: [{name: own, rate: 1/day, burst: 10},"
                            " {name: all, rate: 1/h, burst: 6, scope: resource},"
                            " {name: treaty, rate: 1/day, burst: 100, scope: tenant}]}}}";

/* Of another key, without a key of its own; what purses hold then goes back. */
static void spend(struct limiter_bench *bench, int64_t tokens) {
    struct bench_call call = bench_call_of(LIMITER_CHECK, tokens);
    snprintf(call.names[2], sizeof call.names[2], "bob");
    bench_finish(bench, &call);
    assert_true(call.call.decision.allowed);
    bench_settle_down(bench);
}

static void refill(struct limiter_bench *bench, int64_t tokens) {
    struct bench_call call = bench_call_of(LIMITER_REFUND, tokens);
    snprintf(call.names[2], sizeof call.names[2], "bob");
    bench_finish(bench, &call);
    assert_int_equal(call.call.outcome, LIMITER_DECIDED);
}

static void assert_same_answer(const struct bench_call *repeat, const struct bench_call *first) {
    const struct decision *told = &repeat->call.decision, *expected = &first->call.decision;
    assert_int_equal(repeat->call.outcome, LIMITER_DECIDED);
    assert_true(told->repeated);
    assert_int_equal(told->allowed, expected->allowed);
    assert_int_equal(told->granted_tokens, expected->granted_tokens);
    assert_string_equal(repeat->limit_name, first->limit_name);
    assert_int_equal(told->limit_tokens, expected->limit_tokens);
    assert_int_equal(told->remaining_tokens, expected->remaining_tokens);
    assert_int_equal(told->retry_after_us, expected->retry_after_us);
    assert_int_equal(told->reset_after_us, expected->reset_after_us);
    assert_int_equal(told->wait_us, expected->wait_us);
    assert_false(told->degraded);
}

static void test_what_was_allowed_stays_so_when_a_wide_limit_denies(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, tight);
    struct bench_call first = bench_ask_once(&bench, LIMITER_CHECK, 4, "k");
    assert_true(first.call.decision.allowed);
    assert_string_equal(first.limit_name, "all"); /* 2 are left */
    spend(&bench, 2);
    struct bench_call repeat = bench_ask_once(&bench, LIMITER_CHECK, 4, "k");
    assert_same_answer(&repeat, &first);
    assert_int_equal(repeat.call.decision.source, DECISION_STORE);
    bench_assert_levels(&bench, 6, 0);
    assert_int_equal(bench_level(&bench, BUCKET_PER_TENANT), 94);
    bench_close(&bench);
}

static void test_what_a_wide_limit_denied_stays_denied(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, tight);
    spend(&bench, 5);
    struct bench_call first = bench_ask_once(&bench, LIMITER_CHECK, 4, "k");
    assert_false(first.call.decision.allowed || first.call.decision.repeated);
    assert_string_equal(first.limit_name, "all");
    assert_int_equal(first.call.decision.limit_tokens, 6);
    assert_true(first.call.decision.retry_after_us > 0);
    bench_assert_levels(&bench, 10, 1); /* it takes nothing */
    assert_int_equal(bench_level(&bench, BUCKET_PER_TENANT), 95);
    struct bench_call repeat = bench_ask_once(&bench, LIMITER_CHECK, 4, "k"); /* while it denies, */
    assert_same_answer(&repeat, &first);
    refill(&bench, 5);
    repeat = bench_ask_once(&bench, LIMITER_CHECK, 4, "k"); /* and when it would not */
    assert_same_answer(&repeat, &first);
    bench_assert_levels(&bench, 10, 6);
    assert_int_equal(bench_level(&bench, BUCKET_PER_TENANT), 100);
    assert_true(bench_ask_once(&bench, LIMITER_CHECK, 4, "k2").call.decision.allowed);
    bench_close(&bench);
}

static void test_a_key_that_a_wide_limit_denied_is_used_up(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, tight);
    spend(&bench, 6);
    assert_false(bench_ask_once(&bench, LIMITER_CHECK, 4, "k").call.decision.allowed);
    assert_int_equal(bench_ask_once(&bench, LIMITER_CHECK, 3, "k").call.outcome, LIMITER_KEY_REUSED);
    refill(&bench, 6);
    assert_int_equal(bench_ask_once(&bench, LIMITER_CHECK, 3, "k").call.outcome, LIMITER_KEY_REUSED);
    assert_int_equal(bench_ask_once(&bench, LIMITER_REFUND, 4, "k").call.outcome, LIMITER_KEY_REUSED);
    bench_assert_levels(&bench, 10, 6);
    bench_close(&bench);
}

static void test_a_repeated_reserve_is_held_whatever_a_wide_limit_says(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, tight);
    for (uint8_t id = 1; id <= 2; id++) {
        struct bench_call call = bench_call_of(LIMITER_RESERVE, 4);
        snprintf(call.names[3], sizeof call.names[3], "k");
        call.call.reservation[0] = id;
        call.call.ttl_us = 60000000;
        bench_finish(&bench, &call);
        assert_true(call.call.decision.allowed);
        if (id == 1) {
            spend(&bench, 2);
        }
    }
    assert_int_equal(bench_settle(&bench, 2, 0).call.outcome, LIMITER_NOT_FOUND);
    assert_int_equal(bench_settle(&bench, 1, 0).call.outcome, LIMITER_DECIDED);
    bench_assert_levels(&bench, 10, 4);
    bench_close(&bench);
}

/* Of 5 there were 5, and of what is asked for again there is 1 now. */
static void test_a_repeated_part_is_as_large_as_it_was(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, tight);
    struct bench_call calls[2];
    for (int i = 0; i < 2; i++) {
        calls[i] = bench_call_of(LIMITER_CHECK, 5);
        calls[i].call.at_most = true;
        snprintf(calls[i].names[3], sizeof calls[i].names[3], "k");
        bench_finish(&bench, &calls[i]);
        assert_int_equal(calls[i].call.decision.granted_tokens, 5);
        bench_settle_down(&bench);
    }
    assert_same_answer(&calls[1], &calls[0]);
    bench_assert_levels(&bench, 5, 1);
    bench_close(&bench);
}

static void test_two_at_once_are_told_the_same(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, tight);
    spend(&bench, 2);
    struct bench_call calls[2] = {bench_call_of(LIMITER_CHECK, 4), bench_call_of(LIMITER_CHECK, 4)};
    for (int i = 0; i < 2; i++) { /* of one of them there is not enough left */
        snprintf(calls[i].names[3], sizeof calls[i].names[3], "k");
        assert_true(bench_start(&bench, &calls[i]));
    }
    bench_settle_down(&bench);
    assert_int_equal(calls[0].n_done + calls[1].n_done, 2);
    assert_int_equal(calls[0].call.decision.allowed, calls[1].call.decision.allowed);
    assert_true(calls[0].call.decision.repeated != calls[1].call.decision.repeated);
    assert_string_equal(calls[0].limit_name, calls[1].limit_name);
    int64_t taken = calls[0].call.decision.allowed ? 4 : 0;
    bench_assert_levels(&bench, 10 - taken, 4 - taken);
    bench_close(&bench);
}

static void test_a_repeat_is_told_by_the_quota_of_now(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, tight);
    spend(&bench, 6);
    assert_string_equal(bench_ask_once(&bench, LIMITER_CHECK, 4, "denied").limit_name, "all");
    refill(&bench, 6);
    assert_string_equal(bench_ask_once(&bench, LIMITER_CHECK, 4, "allowed").limit_name, "all");
    bench_settle_down(&bench);
    static const char other[] = "tenants: {t: {r: {limits: [{name: own, rate: 1/day, burst: 10},"
                                " {name: treaty, rate: 1/day, burst: 100, scope: tenant}]}}}";
    const char *const quotas[] = {other, one};
    for (int i = 0; i < 2; i++) { /* the limit is gone */
        bench_set_quotas(&bench, quotas[i]);
        struct bench_call call = bench_ask_once(&bench, LIMITER_CHECK, 4, "denied");
        assert_true(!call.call.decision.allowed && call.call.decision.repeated);
        assert_string_equal(call.limit_name, "");
        assert_int_equal(call.call.decision.retry_after_us, 0);
        call = bench_ask_once(&bench, LIMITER_CHECK, 4, "allowed");
        assert_true(call.call.decision.allowed && call.call.decision.repeated);
        assert_string_equal(call.limit_name, "own");
        assert_int_equal(call.call.decision.remaining_tokens, 6);
    }
    static const char larger[] = "tenants: {t: {r: {limits: [{name: own, rate: 1/day, burst: 10},"
                                 " {name: treaty, rate: 1/day, burst: 100, scope: tenant},"
                                 " {name: all, rate: 1/day, burst: 60, scope: resource}]}}}";
    bench_set_quotas(&bench, larger); /* it is there again, in another place */
    assert_string_equal(bench_ask_once(&bench, LIMITER_CHECK, 4, "denied").limit_name, "all");
    struct bench_call call = bench_ask_once(&bench, LIMITER_CHECK, 4, "allowed");
    assert_string_equal(call.limit_name, "all");
    assert_int_equal(call.call.decision.limit_tokens, 60);
    assert_int_equal(call.call.decision.remaining_tokens, 2);
    bench_close(&bench);
}

static void test_in_shadow_a_repeat_would_be_denied_as_before(void **state) {
    (void)state;
    static const char shadow[] = "tenants: {t: {r: {mode: shadow, limits: [{name: own, rate: 1/day, burst: 10},"
                                 " {name: all, rate: 1/h, burst: 6, scope: resource}]}}}";
    struct limiter_bench bench;
    bench_open(&bench, shadow);
    spend(&bench, 5);
    struct bench_call first = bench_ask_once(&bench, LIMITER_CHECK, 4, "k");
    assert_true(first.call.decision.allowed && first.call.decision.would_deny);
    refill(&bench, 5);
    struct bench_call repeat = bench_ask_once(&bench, LIMITER_CHECK, 4, "k");
    assert_true(repeat.call.decision.would_deny);
    assert_same_answer(&repeat, &first);
    bench_assert_levels(&bench, 10, 6);
    bench_close(&bench);
}

static void test_a_store_inside_the_process_remembers_as_well(void **state) {
    (void)state;
    struct limiter_bench bench;
    struct embedded_metrics metrics = {0};
    struct status status;
    struct limiter_options options = {.store_timeout_us = 8000, .seed = BENCH_SEED};
    struct store *embedded = embedded_store_create(64, BUCKET_MAX_LIMITS, &metrics, &status);
    assert_non_null(embedded);
    bench_open(&bench, tight);
    limiter_destroy(&bench.limiter);
    bench.limiter = limiter_create(&options, bench.quotas, embedded, &bench.metrics);
    struct bench_call allowed = bench_ask_once(&bench, LIMITER_CHECK, 4, "k"),
                      denied = bench_ask_once(&bench, LIMITER_CHECK, 4, "d");
    assert_true(allowed.call.decision.allowed);
    assert_string_equal(allowed.limit_name, "all");
    assert_false(denied.call.decision.allowed || denied.call.decision.repeated);
    assert_string_equal(denied.limit_name, "all");
    struct bench_call repeat = bench_ask_once(&bench, LIMITER_CHECK, 4, "k");
    assert_same_answer(&repeat, &allowed);
    assert_int_equal(bench_ask(&bench, LIMITER_PEEK, 1).call.decision.remaining_tokens, 2);
    refill(&bench, 4);
    repeat = bench_ask_once(&bench, LIMITER_CHECK, 4, "d");
    assert_same_answer(&repeat, &denied);
    assert_int_equal(bench_ask_once(&bench, LIMITER_CHECK, 3, "d").call.outcome, LIMITER_KEY_REUSED);
    assert_int_equal(bench_ask(&bench, LIMITER_PEEK, 1).call.decision.remaining_tokens, 6);
    bench_close(&bench);
    store_destroy(&embedded);
}

/* ---- without the store ---- */

static void fail_scope(struct limiter_bench *bench, enum bucket_scope scope) {
    bench->store.down_scopes = MODEL_SCOPE(scope);
    bench->store.failure = STORE_DOWN;
}

static void test_a_local_denial_is_not_remembered(void **state) {
    (void)state;
    static const char *const quotas[] = {
        "tenants: {t: {r: {limits: [{name: own, rate: 1/day, burst: 10},"
        " {name: all, rate: 1/day, burst: 6, scope: resource}]}}}",
        "tenants: {t: {r: {on_store_failure: deny, limits: [{name: own, rate: 1/day, burst: 10},"
        " {name: all, rate: 1/day, burst: 6, scope: resource}]}}}"};
    for (int i = 0; i < 2; i++) {
        struct limiter_bench bench;
        bench_open(&bench, quotas[i]);
        struct bench_call before = bench_ask_once(&bench, LIMITER_CHECK, 4, "before");
        assert_true(before.call.decision.allowed);
        bench_settle_down(&bench);
        fail_scope(&bench, BUCKET_PER_RESOURCE);
        struct bench_call call = bench_ask_once(&bench, LIMITER_CHECK, 3, "k");
        assert_true(!call.call.decision.allowed && call.call.decision.degraded);
        call =
            bench_ask_once(&bench, LIMITER_CHECK, 4, "before"); /* what was remembered is found all the same */
        assert_same_answer(&call, &before);
        bench.store.down_scopes = 0;
        bench_settle_down(&bench);
        call = bench_ask_once(&bench, LIMITER_CHECK, 2, "k2");
        assert_true(call.call.decision.allowed);
        call = bench_ask_once(&bench, LIMITER_CHECK, 3, "k"); /* not as before: it is asked anew */
        assert_false(call.call.decision.repeated || call.call.decision.degraded);
        bench_close(&bench);
    }
}

static void test_a_denial_stands_when_it_cannot_be_noted(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, tight);
    spend(&bench, 6);
    fail_scope(&bench, BUCKET_PER_KEY);
    struct bench_call call = bench_ask_once(&bench, LIMITER_CHECK, 4, "k");
    assert_false(call.call.decision.allowed || call.call.decision.degraded);
    assert_string_equal(call.limit_name, "all");
    bench.store.down_scopes = 0;
    refill(&bench, 6);
    assert_true(bench_ask_once(&bench, LIMITER_CHECK, 4, "k").call.decision.allowed);
    bench_assert_levels(&bench, 6, 2);
    bench_close(&bench);
}

/* The reply is lost, the note is kept: the repeat is told what the first one was. */
static void test_a_denial_whose_note_was_not_answered_is_kept(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, tight);
    spend(&bench, 6);
    bench_ask(&bench, LIMITER_CHECK, 4); /* from now on it is known that all denies */
    bench.store.loses_replies = true;
    assert_string_equal(bench_ask_once(&bench, LIMITER_CHECK, 4, "k").limit_name, "all");
    bench.store.loses_replies = false;
    refill(&bench, 6);
    struct bench_call repeat = bench_ask_once(&bench, LIMITER_CHECK, 4, "k");
    assert_true(!repeat.call.decision.allowed && repeat.call.decision.repeated);
    bench_close(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_repeat_takes_nothing_of_any_record),
        cmocka_unit_test(test_a_repeated_denial_stays_one),
        cmocka_unit_test(test_a_key_of_another_call_is_refused_and_takes_nothing),
        cmocka_unit_test(test_what_was_allowed_stays_so_when_a_wide_limit_denies),
        cmocka_unit_test(test_what_a_wide_limit_denied_stays_denied),
        cmocka_unit_test(test_a_key_that_a_wide_limit_denied_is_used_up),
        cmocka_unit_test(test_a_repeated_reserve_is_held_whatever_a_wide_limit_says),
        cmocka_unit_test(test_a_repeated_part_is_as_large_as_it_was),
        cmocka_unit_test(test_two_at_once_are_told_the_same),
        cmocka_unit_test(test_a_repeat_is_told_by_the_quota_of_now),
        cmocka_unit_test(test_in_shadow_a_repeat_would_be_denied_as_before),
        cmocka_unit_test(test_a_store_inside_the_process_remembers_as_well),
        cmocka_unit_test(test_a_local_denial_is_not_remembered),
        cmocka_unit_test(test_a_denial_stands_when_it_cannot_be_noted),
        cmocka_unit_test(test_a_denial_whose_note_was_not_answered_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
