/* test_bookings.c — calls that are done once, reservations, what goes back, and what is not known without the store. */
#include "tests/support/test_prelude.h"

#include "server/store/embedded_store.h"
#include "tests/support/limiter_bench.h"

static const char both[] = "tenants: {t: {r: {limits: [{name: own, rate: 1/day, burst: 10},"
                           " {name: all, rate: 1/day, burst: 100, scope: resource}]}}}";
static const char one[] = "tenants: {t: {r: {limits: [{name: own, rate: 1/day, burst: 10}]}}}";

static void settle(struct limiter_bench *bench) {
    for (int i = 0; i < 40; i++) {
        bench_pass(bench, 10000);
    }
}

static void assert_levels(struct limiter_bench *bench, int64_t own, int64_t all) {
    settle(bench);
    assert_int_equal(bench_level(bench, BUCKET_PER_KEY), own);
    assert_int_equal(bench_level(bench, BUCKET_PER_RESOURCE), all);
}

static struct bench_call once(struct limiter_bench *bench, enum limiter_kind kind, int64_t cost_tokens,
                              const char *key) {
    struct bench_call call = bench_call_of(kind, cost_tokens);
    snprintf(call.names[3], sizeof call.names[3], "%s", key);
    bench_finish(bench, &call);
    return call;
}

static struct bench_call reserve(struct limiter_bench *bench, int64_t tokens, uint8_t id, bool returns) {
    struct bench_call call = bench_call_of(LIMITER_RESERVE, tokens);
    call.call.reservation[0] = id;
    call.call.ttl_us = 2000000;
    call.call.returns_on_timeout = returns;
    bench_finish(bench, &call);
    return call;
}

static struct bench_call settle_with(struct limiter_bench *bench, uint8_t id, int64_t used_tokens) {
    struct bench_call call = bench_call_of(LIMITER_SETTLE, used_tokens);
    call.call.reservation[0] = id;
    bench_finish(bench, &call);
    return call;
}

/* ---- once ---- */

static void test_a_repeat_takes_nothing_of_any_record(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    struct bench_call first = once(&bench, LIMITER_CHECK, 4, "k");
    assert_true(first.call.decision.allowed && !first.call.decision.repeated);
    struct bench_call repeat = once(&bench, LIMITER_CHECK, 4, "k");
    assert_true(repeat.call.decision.allowed && repeat.call.decision.repeated);
    assert_int_equal(repeat.call.decision.granted_tokens, 4);
    assert_levels(&bench, 6, 96);
    assert_int_equal(metric_get(&bench.metrics.repeated), 1);
    bench_close(&bench);
}

static void test_a_repeated_denial_stays_one(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    assert_false(once(&bench, LIMITER_CHECK, 11, "k").call.decision.allowed);
    struct bench_call repeat = once(&bench, LIMITER_CHECK, 11, "k");
    assert_true(!repeat.call.decision.allowed && repeat.call.decision.repeated);
    assert_levels(&bench, 10, 100);
    bench_close(&bench);
}

static void test_a_key_of_another_call_is_refused_and_takes_nothing(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    once(&bench, LIMITER_CHECK, 4, "k");
    assert_int_equal(once(&bench, LIMITER_CHECK, 5, "k").call.outcome, LIMITER_KEY_REUSED);
    assert_int_equal(once(&bench, LIMITER_REFUND, 4, "k").call.outcome, LIMITER_KEY_REUSED);
    assert_levels(&bench, 6, 96);
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
    settle(bench);
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
    struct bench_call first = once(&bench, LIMITER_CHECK, 4, "k");
    assert_true(first.call.decision.allowed);
    assert_string_equal(first.limit_name, "all"); /* 2 are left */
    spend(&bench, 2);
    struct bench_call repeat = once(&bench, LIMITER_CHECK, 4, "k");
    assert_same_answer(&repeat, &first);
    assert_int_equal(repeat.call.decision.source, DECISION_STORE);
    assert_levels(&bench, 6, 0);
    assert_int_equal(bench_level(&bench, BUCKET_PER_TENANT), 94);
    bench_close(&bench);
}

static void test_what_a_wide_limit_denied_stays_denied(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, tight);
    spend(&bench, 5);
    struct bench_call first = once(&bench, LIMITER_CHECK, 4, "k");
    assert_false(first.call.decision.allowed || first.call.decision.repeated);
    assert_string_equal(first.limit_name, "all");
    assert_int_equal(first.call.decision.limit_tokens, 6);
    assert_true(first.call.decision.retry_after_us > 0);
    assert_levels(&bench, 10, 1); /* it takes nothing */
    assert_int_equal(bench_level(&bench, BUCKET_PER_TENANT), 95);
    struct bench_call repeat = once(&bench, LIMITER_CHECK, 4, "k"); /* while it denies, */
    assert_same_answer(&repeat, &first);
    refill(&bench, 5);
    repeat = once(&bench, LIMITER_CHECK, 4, "k"); /* and when it would not */
    assert_same_answer(&repeat, &first);
    assert_levels(&bench, 10, 6);
    assert_int_equal(bench_level(&bench, BUCKET_PER_TENANT), 100);
    assert_true(once(&bench, LIMITER_CHECK, 4, "k2").call.decision.allowed);
    bench_close(&bench);
}

static void test_a_key_that_a_wide_limit_denied_is_used_up(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, tight);
    spend(&bench, 6);
    assert_false(once(&bench, LIMITER_CHECK, 4, "k").call.decision.allowed);
    assert_int_equal(once(&bench, LIMITER_CHECK, 3, "k").call.outcome, LIMITER_KEY_REUSED);
    refill(&bench, 6);
    assert_int_equal(once(&bench, LIMITER_CHECK, 3, "k").call.outcome, LIMITER_KEY_REUSED);
    assert_int_equal(once(&bench, LIMITER_REFUND, 4, "k").call.outcome, LIMITER_KEY_REUSED);
    assert_levels(&bench, 10, 6);
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
    assert_int_equal(settle_with(&bench, 2, 0).call.outcome, LIMITER_NOT_FOUND);
    assert_int_equal(settle_with(&bench, 1, 0).call.outcome, LIMITER_DECIDED);
    assert_levels(&bench, 10, 4);
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
        settle(&bench);
    }
    assert_same_answer(&calls[1], &calls[0]);
    assert_levels(&bench, 5, 1);
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
    settle(&bench);
    assert_int_equal(calls[0].n_done + calls[1].n_done, 2);
    assert_int_equal(calls[0].call.decision.allowed, calls[1].call.decision.allowed);
    assert_true(calls[0].call.decision.repeated != calls[1].call.decision.repeated);
    assert_string_equal(calls[0].limit_name, calls[1].limit_name);
    int64_t taken = calls[0].call.decision.allowed ? 4 : 0;
    assert_levels(&bench, 10 - taken, 4 - taken);
    bench_close(&bench);
}

static void test_a_repeat_is_told_by_the_quota_of_now(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, tight);
    spend(&bench, 6);
    assert_string_equal(once(&bench, LIMITER_CHECK, 4, "denied").limit_name, "all");
    refill(&bench, 6);
    assert_string_equal(once(&bench, LIMITER_CHECK, 4, "allowed").limit_name, "all");
    settle(&bench);
    static const char other[] = "tenants: {t: {r: {limits: [{name: own, rate: 1/day, burst: 10},"
                                " {name: treaty, rate: 1/day, burst: 100, scope: tenant}]}}}";
    const char *const quotas[] = {other, one};
    for (int i = 0; i < 2; i++) { /* the limit is gone */
        bench_set_quotas(&bench, quotas[i]);
        struct bench_call call = once(&bench, LIMITER_CHECK, 4, "denied");
        assert_true(!call.call.decision.allowed && call.call.decision.repeated);
        assert_string_equal(call.limit_name, "");
        assert_int_equal(call.call.decision.retry_after_us, 0);
        call = once(&bench, LIMITER_CHECK, 4, "allowed");
        assert_true(call.call.decision.allowed && call.call.decision.repeated);
        assert_string_equal(call.limit_name, "own");
        assert_int_equal(call.call.decision.remaining_tokens, 6);
    }
    static const char larger[] = "tenants: {t: {r: {limits: [{name: own, rate: 1/day, burst: 10},"
                                 " {name: treaty, rate: 1/day, burst: 100, scope: tenant},"
                                 " {name: all, rate: 1/day, burst: 60, scope: resource}]}}}";
    bench_set_quotas(&bench, larger); /* it is there again, in another place */
    assert_string_equal(once(&bench, LIMITER_CHECK, 4, "denied").limit_name, "all");
    struct bench_call call = once(&bench, LIMITER_CHECK, 4, "allowed");
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
    struct bench_call first = once(&bench, LIMITER_CHECK, 4, "k");
    assert_true(first.call.decision.allowed && first.call.decision.would_deny);
    refill(&bench, 5);
    struct bench_call repeat = once(&bench, LIMITER_CHECK, 4, "k");
    assert_true(repeat.call.decision.would_deny);
    assert_same_answer(&repeat, &first);
    assert_levels(&bench, 10, 6);
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
    struct bench_call allowed = once(&bench, LIMITER_CHECK, 4, "k"),
                      denied = once(&bench, LIMITER_CHECK, 4, "d");
    assert_true(allowed.call.decision.allowed);
    assert_string_equal(allowed.limit_name, "all");
    assert_false(denied.call.decision.allowed || denied.call.decision.repeated);
    assert_string_equal(denied.limit_name, "all");
    struct bench_call repeat = once(&bench, LIMITER_CHECK, 4, "k");
    assert_same_answer(&repeat, &allowed);
    assert_int_equal(bench_ask(&bench, LIMITER_PEEK, 1).call.decision.remaining_tokens, 2);
    refill(&bench, 4);
    repeat = once(&bench, LIMITER_CHECK, 4, "d");
    assert_same_answer(&repeat, &denied);
    assert_int_equal(once(&bench, LIMITER_CHECK, 3, "d").call.outcome, LIMITER_KEY_REUSED);
    assert_int_equal(bench_ask(&bench, LIMITER_PEEK, 1).call.decision.remaining_tokens, 6);
    bench_close(&bench);
    store_destroy(&embedded);
}

/* ---- reservations ---- */

static void test_a_settlement_gives_back_the_difference(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    assert_true(reserve(&bench, 8, 1, false).call.decision.allowed);
    assert_levels(&bench, 2, 92);
    struct bench_call call = settle_with(&bench, 1, 3);
    assert_int_equal(call.call.outcome, LIMITER_DECIDED);
    assert_int_equal(call.call.booking.returned_tokens, 5);
    assert_string_equal(call.limit_name, "own");
    assert_levels(&bench, 7, 97);
    assert_int_equal(settle_with(&bench, 1, 3).call.outcome, LIMITER_NOT_FOUND);
    assert_int_equal(settle_with(&bench, 9, 3).call.outcome, LIMITER_NOT_FOUND);
    assert_levels(&bench, 7, 97);
    bench_close(&bench);
}

static void test_more_than_was_reserved_is_taken(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    reserve(&bench, 8, 1, false);
    struct bench_call call = settle_with(&bench, 1, 12);
    assert_int_equal(call.call.booking.taken_tokens, 4);
    assert_int_equal(call.call.booking.returned_tokens, 0);
    assert_levels(&bench, -2, 88);
    bench_close(&bench);
}

static void test_what_is_not_settled_goes_back_by_itself(void **state) {
    (void)state;
    static const char *const quotas[] = {both, one}; /* of one record the names are not copied for its claims */
    for (int i = 0; i < 2; i++) {
        struct limiter_bench bench;
        bench_open(&bench, quotas[i]);
        reserve(&bench, 8, 1, true);
        bench_pass(&bench, 1900000);
        assert_int_equal(bench_level(&bench, BUCKET_PER_KEY), 2);
        bench_pass(&bench, 200000);
        settle(&bench);
        assert_int_equal(bench_level(&bench, BUCKET_PER_KEY), 10);
        assert_int_equal(metric_get(&bench.metrics.timeouts), 1);
        bench_close(&bench);
    }
}

static void test_what_stands_on_timeout_stays_taken(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    reserve(&bench, 8, 1, false);
    settle(&bench);
    bench_pass(&bench, 3000000);
    assert_levels(&bench, 2, 92);
    assert_int_equal(metric_get(&bench.metrics.timeouts), 0);
    bench_close(&bench);
}

static void test_a_return_waits_for_the_store(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    reserve(&bench, 8, 1, true);
    settle(&bench);
    bench.store.is_down = true;
    bench.store.failure = STORE_DOWN;
    bench_pass(&bench, 2100000);
    bench_pass(&bench, 1500000);
    bench.store.is_down = false;
    bench_pass(&bench, 2000000);
    assert_levels(&bench, 10, 100);
    assert_int_equal(metric_get(&bench.metrics.timeouts), 1);
    assert_int_equal(metric_get(&bench.metrics.not_returned), 0);
    reserve(&bench, 8, 2, true);
    bench.store.is_down = true;
    for (int i = 0; i < 20; i++) {
        bench_pass(&bench, 1000000);
    }
    assert_int_equal(metric_get(&bench.metrics.not_returned), 1);
    bench_close(&bench);
}

/* ---- refunds ---- */

static void test_a_refund_fills_no_bucket_above_its_burst(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    bench_ask(&bench, LIMITER_CHECK, 3);
    settle(&bench);
    struct bench_call call = bench_ask(&bench, LIMITER_REFUND, 5);
    assert_int_equal(call.call.outcome, LIMITER_DECIDED);
    assert_int_equal(call.call.booking.returned_tokens, 2); /* of the third the rate had brought a little */
    assert_int_equal(call.call.booking.remaining_tokens, 10);
    assert_levels(&bench, 10, 100);
    bench_close(&bench);
}

static void test_a_refund_with_a_key_is_booked_once(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    bench_ask(&bench, LIMITER_CHECK, 8);
    settle(&bench);
    assert_false(once(&bench, LIMITER_REFUND, 2, "k").call.booking.repeated);
    assert_true(once(&bench, LIMITER_REFUND, 2, "k").call.booking.repeated);
    assert_levels(&bench, 4, 94);
    bench_close(&bench);
}

/* One that is denied while the refund is under way is denied by what was there before. */
static void test_after_a_refund_no_denial_stands(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, one);
    bench_ask(&bench, LIMITER_CHECK, 10);
    struct bench_call check = bench_call_of(LIMITER_CHECK, 1), refund = bench_call_of(LIMITER_REFUND, 1);
    assert_true(bench_start(&bench, &check)); /* comes to the store first */
    bench_pass(&bench, BENCH_ROUND_TRIP_US / 4);
    assert_true(bench_start(&bench, &refund));
    bench_pass(&bench, 2 * BENCH_ROUND_TRIP_US);
    assert_false(check.call.decision.allowed);
    assert_true(bench_ask(&bench, LIMITER_CHECK, 1).call.decision.allowed);
    bench_close(&bench);
}

/* ---- undoing ---- */

static void test_what_the_local_bucket_granted_goes_back_to_it(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    bench.store.is_down = true;
    bench.store.failure = STORE_DOWN;
    assert_true(bench_ask(&bench, LIMITER_CHECK, 10).call.decision.allowed);
    assert_false(bench_ask(&bench, LIMITER_CHECK, 1).call.decision.allowed);
    struct bench_call undo = bench_call_of(LIMITER_REFUND, 10);
    undo.call.is_undo = true;
    undo.call.undo_source = DECISION_LOCAL;
    assert_false(bench_start(&bench, &undo));
    assert_int_equal(undo.call.outcome, LIMITER_DECIDED);
    assert_true(bench_ask(&bench, LIMITER_CHECK, 10).call.decision.allowed);
    bench_close(&bench);
}

static void test_a_policy_granted_nothing_that_could_go_back(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, "tenants: {t: {r: {on_store_failure: allow, limits: [{rate: 1/day, burst: 10}]}}}");
    bench.store.is_down = true;
    bench.store.failure = STORE_DOWN;
    assert_true(bench_ask(&bench, LIMITER_CHECK, 10).call.decision.allowed);
    struct bench_call undo = bench_call_of(LIMITER_REFUND, 10);
    undo.call.is_undo = true;
    undo.call.undo_source = DECISION_LOCAL;
    assert_false(bench_start(&bench, &undo));
    assert_int_equal(undo.call.outcome, LIMITER_DECIDED);
    bench_close(&bench);
}

/* What a lease has spent, and has not told yet, is not lost when it is given back. */
static void test_what_is_given_back_at_once_is_all_there(void **state) {
    (void)state;
    for (int is_undo = 0; is_undo < 2; is_undo++) {
        struct limiter_bench bench;
        bench_open(&bench, both);
        struct bench_call check = bench_ask(&bench, LIMITER_CHECK, 4);
        assert_true(check.call.decision.allowed);
        struct bench_call refund = bench_call_of(LIMITER_REFUND, 4);
        refund.call.is_undo = is_undo > 0;
        refund.call.undo_source = check.call.decision.source;
        refund.call.undo_is_from_purse = check.call.decision.is_from_purse;
        bench_finish(&bench, &refund);
        assert_int_equal(refund.call.booking.returned_tokens, 4);
        assert_levels(&bench, 10, 100);
        bench_close(&bench);
    }
}

/* The lease was waited for, so the store is said to have decided; what was taken came out of the purse all the same. */
static void test_what_a_lease_gave_that_was_waited_for_is_all_undone(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, "tenants: {t: {r: {limits: [{name: all, rate: 1/h, burst: 100, scope: resource}]}}}");
    struct bench_call check = bench_ask(&bench, LIMITER_CHECK, 40);
    assert_int_equal(check.call.decision.source, DECISION_STORE);
    assert_true(check.call.decision.is_from_purse);
    struct bench_call undo = bench_call_of(LIMITER_REFUND, 40);
    undo.call.is_undo = true;
    undo.call.undo_source = check.call.decision.source;
    undo.call.undo_is_from_purse = check.call.decision.is_from_purse;
    bench_finish(&bench, &undo);
    assert_int_equal(undo.call.booking.returned_tokens, 40);
    settle(&bench);
    assert_int_equal(bench_level(&bench, BUCKET_PER_RESOURCE), 100);
    bench_close(&bench);
}

/* ---- without the store ---- */

static void test_what_is_to_be_booked_is_undecided_without_the_store(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    reserve(&bench, 5, 1, false);
    settle(&bench);
    bench.store.is_down = true;
    bench.store.failure = STORE_DOWN;
    struct bench_call call = bench_ask(&bench, LIMITER_REFUND, 2);
    assert_int_equal(call.call.outcome, LIMITER_UNDECIDED);
    assert_int_equal(call.call.store_outcome, STORE_DOWN);
    assert_int_equal(settle_with(&bench, 1, 2).call.outcome, LIMITER_UNDECIDED);
    assert_int_equal(metric_get(&bench.metrics.undecided), 2);
    bench.store.is_down = false;
    assert_int_equal(settle_with(&bench, 1, 2).call.outcome, LIMITER_DECIDED);
    assert_levels(&bench, 8, 98);
    bench_close(&bench);
}

static void test_a_call_to_be_done_once_is_decided_locally(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    once(&bench, LIMITER_CHECK, 9, "before"); /* of which the local bucket knows */
    bench.store.is_down = true;
    bench.store.failure = STORE_DOWN;
    struct bench_call call = once(&bench, LIMITER_CHECK, 1, "k");
    assert_true(call.call.decision.allowed && call.call.decision.degraded);
    assert_false(once(&bench, LIMITER_CHECK, 1, "k").call.decision.allowed);
    bench_close(&bench);
}

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
        struct bench_call before = once(&bench, LIMITER_CHECK, 4, "before");
        assert_true(before.call.decision.allowed);
        settle(&bench);
        fail_scope(&bench, BUCKET_PER_RESOURCE);
        struct bench_call call = once(&bench, LIMITER_CHECK, 3, "k");
        assert_true(!call.call.decision.allowed && call.call.decision.degraded);
        call = once(&bench, LIMITER_CHECK, 4, "before"); /* what was remembered is found all the same */
        assert_same_answer(&call, &before);
        bench.store.down_scopes = 0;
        settle(&bench);
        call = once(&bench, LIMITER_CHECK, 2, "k2");
        assert_true(call.call.decision.allowed);
        call = once(&bench, LIMITER_CHECK, 3, "k"); /* not as before: it is asked anew */
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
    struct bench_call call = once(&bench, LIMITER_CHECK, 4, "k");
    assert_false(call.call.decision.allowed || call.call.decision.degraded);
    assert_string_equal(call.limit_name, "all");
    bench.store.down_scopes = 0;
    refill(&bench, 6);
    assert_true(once(&bench, LIMITER_CHECK, 4, "k").call.decision.allowed);
    assert_levels(&bench, 6, 2);
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
    assert_string_equal(once(&bench, LIMITER_CHECK, 4, "k").limit_name, "all");
    bench.store.loses_replies = false;
    refill(&bench, 6);
    struct bench_call repeat = once(&bench, LIMITER_CHECK, 4, "k");
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
        cmocka_unit_test(test_a_settlement_gives_back_the_difference),
        cmocka_unit_test(test_more_than_was_reserved_is_taken),
        cmocka_unit_test(test_what_is_not_settled_goes_back_by_itself),
        cmocka_unit_test(test_what_stands_on_timeout_stays_taken),
        cmocka_unit_test(test_a_return_waits_for_the_store),
        cmocka_unit_test(test_a_refund_fills_no_bucket_above_its_burst),
        cmocka_unit_test(test_a_refund_with_a_key_is_booked_once),
        cmocka_unit_test(test_after_a_refund_no_denial_stands),
        cmocka_unit_test(test_what_the_local_bucket_granted_goes_back_to_it),
        cmocka_unit_test(test_a_policy_granted_nothing_that_could_go_back),
        cmocka_unit_test(test_what_is_given_back_at_once_is_all_there),
        cmocka_unit_test(test_what_a_lease_gave_that_was_waited_for_is_all_undone),
        cmocka_unit_test(test_what_is_to_be_booked_is_undecided_without_the_store),
        cmocka_unit_test(test_a_call_to_be_done_once_is_decided_locally),
        cmocka_unit_test(test_a_local_denial_is_not_remembered),
        cmocka_unit_test(test_a_denial_stands_when_it_cannot_be_noted),
        cmocka_unit_test(test_a_denial_whose_note_was_not_answered_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
