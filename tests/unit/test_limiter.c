/* test_limiter.c — which quota is asked for, what becomes of the store's answer, and what is counted. */
#include "tests/support/test_prelude.h"

#include "tests/support/limiter_fixture.h"
#include "tests/support/quota_fixture.h"
#include "tests/support/text_bytes.h"

static const char two_limits[] = "default: deny\n"
                                 "tenants:\n"
                                 "  acme:\n"
                                 "    api:\n"
                                 "      limits:\n"
                                 "        - { name: small, rate: 10/s, burst: 5 }\n"
                                 "        - { name: large, rate: 100/h, burst: 50 }\n";

static void test_store_decides_by_the_quota_found(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open(&fixture, two_limits);
    fixture.store.verdict.limit_index = 1;
    struct limiter_call call = limiter_fixture_call_of("acme", "api");
    assert_int_equal(limiter_check(fixture.limiter, &call, 1000000), LIMITER_DONE);
    assert_int_equal(fixture.store.last.part->n_limits, 2);
    assert_int_equal(fixture.store.last.cost_tokens, 3);
    assert_int_equal(fixture.store.last.deadline_us, 1008000); /* the store's is nearer than the request's */
    assert_int_equal(call.outcome, LIMITER_DECIDED);
    assert_true(call.decision.allowed && call.decision.matched);
    assert_string_equal(call.decision.limit_name, "large");
    assert_int_equal(call.decision.limit_tokens, 50);
    assert_int_equal(call.decision.remaining_tokens, 4);
    assert_int_equal(call.decision.source, DECISION_STORE);
    assert_int_equal(metric_get(&fixture.metrics.allowed_store), 1);
    limiter_fixture_close(&fixture);
}

static void test_request_keeps_a_quarter_of_its_time(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open(&fixture, two_limits);
    struct limiter_call call = limiter_fixture_call_of("acme", "api");
    call.deadline_us = 1004000;
    limiter_check(fixture.limiter, &call, 1000000);
    assert_int_equal(fixture.store.last.deadline_us, 1003000);
    limiter_fixture_close(&fixture);
}

static void test_unknown_gets_the_default_without_the_store(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open(&fixture, two_limits);
    struct limiter_call call = limiter_fixture_call_of("acme", "other");
    assert_int_equal(limiter_check(fixture.limiter, &call, 0), LIMITER_DONE);
    assert_false(call.decision.allowed);
    assert_false(call.decision.matched);
    assert_string_equal(call.decision.limit_name, "");
    assert_int_equal(call.decision.source, DECISION_NONE);
    assert_int_equal(fixture.store.n_asked, 0);
    assert_int_equal(metric_get(&fixture.metrics.denied_none), 1);
    limiter_fixture_close(&fixture);
}

static void test_pending_call_is_done_once_and_later(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open(&fixture, two_limits);
    fixture.store.is_pending = true;
    struct limiter_call call = limiter_fixture_call_of("acme", "api");
    assert_int_equal(limiter_check(fixture.limiter, &call, 1000000), LIMITER_PENDING);
    assert_int_equal(fixture.n_done, 0);
    fixture.store.verdict = (struct bucket_verdict){.retry_after_us = 123};
    fake_store_conclude(&fixture.store, 0);
    assert_int_equal(fixture.n_done, 1);
    assert_false(call.decision.allowed);
    assert_int_equal(call.decision.retry_after_us, 123);
    assert_int_equal(metric_get(&fixture.metrics.denied_store), 1);
    limiter_fixture_close(&fixture);
}

static void test_peeks_and_failures_are_no_decisions(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open(&fixture, two_limits);
    struct limiter_call call = limiter_fixture_call_of("acme", "api");
    call.kind = LIMITER_PEEK;
    limiter_check(fixture.limiter, &call, 0);
    assert_true(fixture.store.last.peek);
    fixture.store.outcome = STORE_DOWN;
    call = limiter_fixture_call_of("acme", "api");
    limiter_check(fixture.limiter, &call, 0);
    assert_int_equal(call.store_outcome, STORE_DOWN);
    assert_int_equal(call.outcome, LIMITER_UNDECIDED);
    assert_int_equal(metric_get(&fixture.metrics.peeks), 1);
    assert_int_equal(metric_get(&fixture.metrics.undecided), 1);
    assert_int_equal(metric_get(&fixture.metrics.allowed_store), 0);
    limiter_fixture_close(&fixture);
}

static void test_debt_is_shown_as_nothing_left(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open(&fixture, two_limits);
    fixture.store.verdict.remaining_utok = -5000000;
    struct limiter_call call = limiter_fixture_call_of("acme", "api");
    limiter_check(fixture.limiter, &call, 0);
    assert_int_equal(call.decision.remaining_tokens, 0);
    limiter_fixture_close(&fixture);
}

/* ---- quotas that change ---- */

static void test_a_pending_call_ends_by_the_quotas_it_began_with(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open(&fixture, SLOW_FIVE);
    fixture.store.is_pending = true;
    struct limiter_call call = limiter_fixture_call_of("acme", "api");
    assert_int_equal(limiter_check(fixture.limiter, &call, 1000000), LIMITER_PENDING);
    struct quota_set *set =
        quota_fixture_load("tenants: {acme: {api: {limits: [{name: new, rate: 1/s, burst: 7}]}}}");
    limiter_set_quotas(fixture.limiter, set);
    quota_set_release(&set);
    struct limiter_call later = limiter_fixture_call_of("acme", "api");
    later.key = text_bytes("bob");
    assert_int_equal(limiter_check(fixture.limiter, &later, 1000000), LIMITER_PENDING);
    fake_store_conclude(&fixture.store, 1);
    assert_string_equal(later.decision.limit_name, "new");
    assert_int_equal(later.decision.limit_tokens, 7);
    fake_store_conclude(&fixture.store, 0);
    assert_int_equal(call.decision.limit_tokens, 5);
    limiter_fixture_close(&fixture);
}

static void test_the_next_check_is_decided_by_new_quotas(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open(&fixture, SLOW_FIVE);
    assert_int_equal(limiter_fixture_ask(&fixture, 1).decision.limit_tokens, 5);
    struct quota_set *set =
        quota_fixture_load("{default: deny, tenants: {acme: {other: {limits: [{rate: 1/s}]}}}}");
    limiter_set_quotas(fixture.limiter, set);
    quota_set_release(&set);
    struct limiter_call call = limiter_fixture_ask(&fixture, 1);
    assert_true(!call.decision.matched && !call.decision.allowed);
    limiter_fixture_close(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_decides_by_the_quota_found),
        cmocka_unit_test(test_request_keeps_a_quarter_of_its_time),
        cmocka_unit_test(test_unknown_gets_the_default_without_the_store),
        cmocka_unit_test(test_pending_call_is_done_once_and_later),
        cmocka_unit_test(test_peeks_and_failures_are_no_decisions),
        cmocka_unit_test(test_debt_is_shown_as_nothing_left),
        cmocka_unit_test(test_a_pending_call_ends_by_the_quotas_it_began_with),
        cmocka_unit_test(test_the_next_check_is_decided_by_new_quotas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
