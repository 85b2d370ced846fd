/* test_limiter_local.c — calls that the store does not decide: by which bucket, and what the store is told afterwards. */
#include "tests/support/test_prelude.h"

#include "server/base/hash.h"
#include "tests/support/limiter_fixture.h"

static void test_local_bucket_decides_when_the_store_cannot(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open_with_fallback(&fixture, SLOW_FIVE);
    fixture.store.outcome = STORE_DOWN;
    struct limiter_call call = limiter_fixture_ask(&fixture, 3);
    assert_true(limiter_fixture_is_local(&call) && call.decision.allowed);
    assert_string_equal(call.decision.limit_name, "five");
    assert_int_equal(call.decision.remaining_tokens, 2);
    call = limiter_fixture_ask(&fixture, 3);
    assert_true(limiter_fixture_is_local(&call) && !call.decision.allowed);
    assert_int_equal(metric_get(&fixture.metrics.allowed_local), 1);
    assert_int_equal(metric_get(&fixture.metrics.denied_local), 1);
    assert_int_equal(metric_get(&fixture.metrics.degraded_down), 2);
    assert_int_equal(metric_get(&fixture.metrics.undecided), 0);
    limiter_fixture_close(&fixture);
}

static void test_every_failure_degrades(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open_with_fallback(&fixture, SLOW_FIVE);
    for (int outcome = STORE_OK + 1; outcome <= STORE_FULL; outcome++) {
        fixture.store.outcome = (enum store_outcome)outcome;
        struct limiter_call call = limiter_fixture_ask(&fixture, 6); /* can never be granted: takes nothing */
        assert_true(limiter_fixture_is_local(&call) && !call.decision.allowed);
    }
    assert_int_equal(metric_get(&fixture.metrics.degraded_timeout), 1);
    assert_int_equal(metric_get(&fixture.metrics.degraded_no_memory), 1);
    limiter_fixture_close(&fixture);
}

static void test_policy_allows_or_denies_without_a_bucket(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open_with_fallback(
        &fixture, "tenants: {acme: {api: {on_store_failure: allow, limits: [{rate: 1/h, burst: 1}]},"
                  " other: {on_store_failure: deny, limits: [{rate: 1/h, burst: 1}]}}}");
    fixture.store.outcome = STORE_TIMEOUT;
    for (int i = 0; i < 3; i++) {
        struct limiter_call call = limiter_fixture_ask(&fixture, 1);
        assert_true(limiter_fixture_is_local(&call) && call.decision.allowed);
        assert_string_equal(call.decision.limit_name, "");
    }
    struct limiter_call call = limiter_fixture_call_of("acme", "other");
    limiter_check(fixture.limiter, &call, 1000000);
    assert_true(limiter_fixture_is_local(&call) && !call.decision.allowed);
    limiter_fixture_close(&fixture);
}

static void test_pending_call_that_fails_is_decided_locally(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open_with_fallback(&fixture, SLOW_FIVE);
    fixture.store.is_pending = true;
    fixture.store.outcome = STORE_LOST;
    struct limiter_call call = limiter_fixture_call_of("acme", "api");
    assert_int_equal(limiter_check(fixture.limiter, &call, 1000000), LIMITER_PENDING);
    fake_store_conclude(&fixture.store, 0);
    assert_int_equal(fixture.n_done, 1);
    assert_true(limiter_fixture_is_local(&call) && call.decision.allowed);
    assert_int_equal(metric_get(&fixture.metrics.degraded_lost), 1);
    limiter_fixture_close(&fixture);
}

static void test_local_bucket_begins_as_the_store_showed_it(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open_with_fallback(&fixture, SLOW_FIVE);
    fixture.store.is_pending = true;
    fixture.store.record = (struct bucket_record){
        .at_us = 1000000, .n_levels = 1, .levels = {{hash_stable32("five", 4), 1500000}}};
    fixture.store.verdict.full_after_us = 1000000;
    struct limiter_call seen = limiter_fixture_call_of("acme", "api");
    limiter_check(fixture.limiter, &seen, 1000000);
    fake_store_conclude(&fixture.store, 0);
    fixture.store.is_pending = false;
    fixture.store.outcome = STORE_DOWN;
    assert_true(limiter_fixture_ask(&fixture, 1).decision.allowed);
    assert_false(limiter_fixture_ask(&fixture, 1).decision.allowed);
    limiter_fixture_close(&fixture);
}

/* The store decides a check, in its time, and shows a full bucket. */
static void answer(struct limiter_fixture *fixture) {
    struct limiter_call call = limiter_fixture_call_of("acme", "api");
    fixture->store.is_pending = true;
    fixture->store.outcome = STORE_OK;
    fixture->store.record = (struct bucket_record){
        .at_us = 1000000, .n_levels = 1, .levels = {{hash_stable32("five", 4), 5000000}}};
    fixture->store.done_at_us = 1000000;
    assert_int_equal(limiter_check(fixture->limiter, &call, 1000000), LIMITER_PENDING);
    fake_store_conclude(&fixture->store, --fixture->store.n_pending);
    fixture->store.is_pending = false;
}

static void test_store_is_told_what_was_granted(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open_with_fallback(&fixture, SLOW_FIVE);
    fixture.store.outcome = STORE_DOWN;
    limiter_fixture_ask(&fixture, 2);
    limiter_fixture_ask(&fixture, 1);
    answer(&fixture);
    assert_false(fixture.store.was_charged); /* it might have been lost with this one */
    fixture.store.outcome = STORE_DOWN;
    limiter_fixture_ask(&fixture, 1);
    assert_int_equal(fixture.store.charge_utok, 3000000); /* but it is down: kept */
    answer(&fixture);
    assert_int_equal(fixture.store.charge_utok, 4000000);
    fixture.store.outcome = STORE_OK;
    limiter_fixture_ask(&fixture, 1);
    assert_false(fixture.store.was_charged);
    assert_int_equal(metric_get(&fixture.metrics.accounts.debts), 1);
    assert_int_equal(metric_get(&fixture.metrics.accounts.debts_returned), 1);
    limiter_fixture_close(&fixture);
}

static void test_debt_that_may_have_arrived_is_not_told_again(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open_with_fallback(&fixture, SLOW_FIVE);
    fixture.store.outcome = STORE_DOWN;
    limiter_fixture_ask(&fixture, 2);
    answer(&fixture);
    fixture.store.outcome = STORE_LOST;
    limiter_fixture_ask(&fixture, 1);
    assert_int_equal(fixture.store.charge_utok, 2000000);
    assert_int_equal(metric_get(&fixture.metrics.accounts.debts_ambiguous), 1);
    answer(&fixture);
    fixture.store.outcome = STORE_OK;
    limiter_fixture_ask(&fixture, 1);
    assert_int_equal(fixture.store.charge_utok, 1000000); /* what was granted when that call was lost */
    limiter_fixture_close(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_local_bucket_decides_when_the_store_cannot),
        cmocka_unit_test(test_every_failure_degrades),
        cmocka_unit_test(test_policy_allows_or_denies_without_a_bucket),
        cmocka_unit_test(test_pending_call_that_fails_is_decided_locally),
        cmocka_unit_test(test_local_bucket_begins_as_the_store_showed_it),
        cmocka_unit_test(test_store_is_told_what_was_granted),
        cmocka_unit_test(test_debt_that_may_have_arrived_is_not_told_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
