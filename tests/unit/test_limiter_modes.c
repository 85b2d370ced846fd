/* test_limiter_modes.c — quotas that need no bucket, and shadow mode. */
#include "tests/support/test_prelude.h"

#include "tests/support/limiter_fixture.h"

static void test_an_unlimited_quota_asks_nobody(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open(&fixture, "tenants: {acme: {api: {unlimited: true}}}");
    struct limiter_call call = limiter_fixture_ask(&fixture, 1000);
    assert_int_equal(call.outcome, LIMITER_DECIDED);
    assert_true(call.decision.allowed && call.decision.matched && !call.decision.would_deny);
    assert_int_equal(call.decision.source, DECISION_NONE);
    assert_string_equal(call.decision.limit_name, "");
    assert_int_equal(fixture.store.n_asked, 0);
    assert_int_equal(metric_get(&fixture.metrics.allowed_none), 1);
    limiter_fixture_close(&fixture);
}

static void test_a_banned_quota_denies_for_ever(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open(
        &fixture, "tenants: {acme: {api: {limits: [{name: a, rate: 5/s}, {name: ban, rate: 0, burst: 9}]}}}");
    struct limiter_call call = limiter_fixture_ask(&fixture, 1);
    assert_int_equal(call.outcome, LIMITER_DECIDED);
    assert_true(!call.decision.allowed && call.decision.matched);
    assert_int_equal(call.decision.source, DECISION_NONE);
    assert_string_equal(call.decision.limit_name, "ban");
    assert_int_equal(call.decision.limit_tokens, 9);
    assert_int_equal(call.decision.remaining_tokens, 0);
    assert_int_equal(call.decision.retry_after_us, BUCKET_MAX_EXACT);
    assert_int_equal(fixture.store.n_asked, 0);
    assert_int_equal(metric_get(&fixture.metrics.denied_none), 1);
    limiter_fixture_close(&fixture);
}

static const char *const in_shadow =
    "tenants: {acme: {api: {mode: shadow, limits: [{name: five, rate: 1/h, burst: 5}]}}}";

static void test_shadow_decides_and_allows(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open(&fixture, in_shadow);
    fixture.store.verdict.wait_us = 5;
    struct limiter_call call = limiter_fixture_ask(&fixture, 1);
    assert_true(call.decision.allowed && !call.decision.would_deny);
    assert_int_equal(call.decision.wait_us, 0);
    fixture.store.verdict = (struct bucket_verdict){.retry_after_us = 123, .reset_after_us = 456};
    call = limiter_fixture_ask(&fixture, 1);
    assert_true(call.decision.allowed && call.decision.would_deny);
    assert_int_equal(call.decision.retry_after_us, 0);
    assert_int_equal(call.decision.reset_after_us, 456);
    assert_int_equal(call.decision.source, DECISION_STORE);
    const struct quota_shadow *shadow = call.quota->shadow;
    assert_int_equal(shadow->n_allowed, 1);
    assert_int_equal(shadow->n_would_deny, 1);
    assert_int_equal(metric_get(&fixture.metrics.would_deny), 1);
    assert_int_equal(metric_get(&fixture.metrics.allowed_store), 2);
    assert_int_equal(metric_get(&fixture.metrics.denied_store), 0);
    limiter_fixture_close(&fixture);
}

static void test_a_peek_in_shadow_is_not_counted(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open(&fixture, in_shadow);
    fixture.store.verdict = (struct bucket_verdict){.retry_after_us = 123};
    struct limiter_call call = limiter_fixture_call_of("acme", "api");
    call.kind = LIMITER_PEEK;
    limiter_check(fixture.limiter, &call, 1000000);
    assert_true(call.decision.allowed && call.decision.would_deny);
    assert_int_equal(call.quota->shadow->n_would_deny, 0);
    assert_int_equal(metric_get(&fixture.metrics.would_deny), 0);
    limiter_fixture_close(&fixture);
}

static void test_shadow_allows_what_a_ban_or_a_policy_denies(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open_with_fallback(
        &fixture, "tenants: {acme: {api: {mode: shadow, limits: [{rate: 0}]}, other: {mode: shadow,"
                  " on_store_failure: deny, limits: [{rate: 1/h}]}}}");
    fixture.store.outcome = STORE_DOWN;
    struct limiter_call call = limiter_fixture_ask(&fixture, 1);
    assert_true(call.decision.allowed && call.decision.would_deny);
    assert_int_equal(call.decision.retry_after_us, 0);
    call = limiter_fixture_call_of("acme", "other");
    limiter_check(fixture.limiter, &call, 1000000);
    assert_true(limiter_fixture_is_local(&call) && call.decision.allowed && call.decision.would_deny);
    assert_int_equal(metric_get(&fixture.metrics.would_deny), 2);
    limiter_fixture_close(&fixture);
}

static void test_a_call_nobody_decides_is_not_allowed_by_shadow(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open(&fixture, in_shadow);
    fixture.store.outcome = STORE_NO_MEMORY;
    struct limiter_call call = limiter_fixture_ask(&fixture, 1);
    assert_int_equal(call.outcome, LIMITER_UNDECIDED);
    assert_int_equal(call.store_outcome, STORE_NO_MEMORY);
    assert_int_equal(metric_get(&fixture.metrics.would_deny), 0);
    limiter_fixture_close(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_unlimited_quota_asks_nobody),
        cmocka_unit_test(test_a_banned_quota_denies_for_ever),
        cmocka_unit_test(test_shadow_decides_and_allows),
        cmocka_unit_test(test_a_peek_in_shadow_is_not_counted),
        cmocka_unit_test(test_shadow_allows_what_a_ban_or_a_policy_denies),
        cmocka_unit_test(test_a_call_nobody_decides_is_not_allowed_by_shadow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
