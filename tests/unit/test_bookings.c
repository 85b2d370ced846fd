/* test_bookings.c — reservations, what goes back, and what is not known without the store. */
#include "tests/support/test_prelude.h"

#include "tests/support/limiter_bench.h"

static const char both[] = "tenants: {t: {r: {limits: [{name: own, rate: 1/day, burst: 10},"
                           " {name: all, rate: 1/day, burst: 100, scope: resource}]}}}";
static const char one[] = "tenants: {t: {r: {limits: [{name: own, rate: 1/day, burst: 10}]}}}";

/* ---- reservations ---- */

static void test_a_settlement_gives_back_the_difference(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    assert_true(bench_reserve(&bench, 8, 1, false).call.decision.allowed);
    bench_assert_levels(&bench, 2, 92);
    struct bench_call call = bench_settle(&bench, 1, 3);
    assert_int_equal(call.call.outcome, LIMITER_DECIDED);
    assert_int_equal(call.call.booking.returned_tokens, 5);
    assert_string_equal(call.limit_name, "own");
    bench_assert_levels(&bench, 7, 97);
    assert_int_equal(bench_settle(&bench, 1, 3).call.outcome, LIMITER_NOT_FOUND);
    assert_int_equal(bench_settle(&bench, 9, 3).call.outcome, LIMITER_NOT_FOUND);
    bench_assert_levels(&bench, 7, 97);
    bench_close(&bench);
}

static void test_more_than_was_reserved_is_taken(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    bench_reserve(&bench, 8, 1, false);
    struct bench_call call = bench_settle(&bench, 1, 12);
    assert_int_equal(call.call.booking.taken_tokens, 4);
    assert_int_equal(call.call.booking.returned_tokens, 0);
    bench_assert_levels(&bench, -2, 88);
    bench_close(&bench);
}

static void test_what_is_not_settled_goes_back_by_itself(void **state) {
    (void)state;
    static const char *const quotas[] = {both, one}; /* of one record the names are not copied for its claims */
    for (int i = 0; i < 2; i++) {
        struct limiter_bench bench;
        bench_open(&bench, quotas[i]);
        bench_reserve(&bench, 8, 1, true);
        bench_pass(&bench, 1900000);
        assert_int_equal(bench_level(&bench, BUCKET_PER_KEY), 2);
        bench_pass(&bench, 200000);
        bench_settle_down(&bench);
        assert_int_equal(bench_level(&bench, BUCKET_PER_KEY), 10);
        assert_int_equal(metric_get(&bench.metrics.timeouts), 1);
        bench_close(&bench);
    }
}

static void test_what_stands_on_timeout_stays_taken(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    bench_reserve(&bench, 8, 1, false);
    bench_settle_down(&bench);
    bench_pass(&bench, 3000000);
    bench_assert_levels(&bench, 2, 92);
    assert_int_equal(metric_get(&bench.metrics.timeouts), 0);
    bench_close(&bench);
}

static void test_a_return_waits_for_the_store(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    bench_reserve(&bench, 8, 1, true);
    bench_settle_down(&bench);
    bench.store.is_down = true;
    bench.store.failure = STORE_DOWN;
    bench_pass(&bench, 2100000);
    bench_pass(&bench, 1500000);
    bench.store.is_down = false;
    bench_pass(&bench, 2000000);
    bench_assert_levels(&bench, 10, 100);
    assert_int_equal(metric_get(&bench.metrics.timeouts), 1);
    assert_int_equal(metric_get(&bench.metrics.not_returned), 0);
    bench_reserve(&bench, 8, 2, true);
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
    bench_settle_down(&bench);
    struct bench_call call = bench_ask(&bench, LIMITER_REFUND, 5);
    assert_int_equal(call.call.outcome, LIMITER_DECIDED);
    assert_int_equal(call.call.booking.returned_tokens, 2); /* of the third the rate had brought a little */
    assert_int_equal(call.call.booking.remaining_tokens, 10);
    bench_assert_levels(&bench, 10, 100);
    bench_close(&bench);
}

static void test_a_refund_with_a_key_is_booked_once(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    bench_ask(&bench, LIMITER_CHECK, 8);
    bench_settle_down(&bench);
    assert_false(bench_ask_once(&bench, LIMITER_REFUND, 2, "k").call.booking.repeated);
    assert_true(bench_ask_once(&bench, LIMITER_REFUND, 2, "k").call.booking.repeated);
    bench_assert_levels(&bench, 4, 94);
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
        bench_assert_levels(&bench, 10, 100);
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
    bench_settle_down(&bench);
    assert_int_equal(bench_level(&bench, BUCKET_PER_RESOURCE), 100);
    bench_close(&bench);
}

/* ---- without the store ---- */

static void test_what_is_to_be_booked_is_undecided_without_the_store(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    bench_reserve(&bench, 5, 1, false);
    bench_settle_down(&bench);
    bench.store.is_down = true;
    bench.store.failure = STORE_DOWN;
    struct bench_call call = bench_ask(&bench, LIMITER_REFUND, 2);
    assert_int_equal(call.call.outcome, LIMITER_UNDECIDED);
    assert_int_equal(call.call.store_outcome, STORE_DOWN);
    assert_int_equal(bench_settle(&bench, 1, 2).call.outcome, LIMITER_UNDECIDED);
    assert_int_equal(metric_get(&bench.metrics.undecided), 2);
    bench.store.is_down = false;
    assert_int_equal(bench_settle(&bench, 1, 2).call.outcome, LIMITER_DECIDED);
    bench_assert_levels(&bench, 8, 98);
    bench_close(&bench);
}

static void test_a_call_to_be_done_once_is_decided_locally(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    bench_ask_once(&bench, LIMITER_CHECK, 9, "before"); /* of which the local bucket knows */
    bench.store.is_down = true;
    bench.store.failure = STORE_DOWN;
    struct bench_call call = bench_ask_once(&bench, LIMITER_CHECK, 1, "k");
    assert_true(call.call.decision.allowed && call.call.decision.degraded);
    assert_false(bench_ask_once(&bench, LIMITER_CHECK, 1, "k").call.decision.allowed);
    bench_close(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
