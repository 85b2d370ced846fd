/* test_limiter.c — which quota is asked for, what becomes of the store's answer, and what is counted. */
#include "tests/support/test_prelude.h"

#include "server/limit/limiter.h"
#include "server/quota/registry.h"
#include "tests/support/fake_store.h"

struct bench {
    struct fake_store store;
    struct limiter_metrics metrics;
    struct limiter *limiter;
    int n_done;
};

static struct bench *bench_of_call;

static void count_done(struct limiter_call *call) {
    (void)call;
    bench_of_call->n_done++;
}

static void setup(struct bench *bench, const char *quotas) {
    *bench = (struct bench){0};
    bench_of_call = bench;
    fake_store_init(&bench->store);
    struct status status = {{0}};
    struct quota_set *set = registry_load_text("test", quotas, strlen(quotas), &status);
    assert_string_equal(status.text, "");
    struct limiter_options options = {.store_timeout_us = 8000};
    bench->limiter = limiter_create(&options, set, &bench->store.store, &bench->metrics);
    assert_non_null(bench->limiter);
    quota_set_release(&set);
}

static struct bytes text(const char *string) {
    return (struct bytes){.data = (const uint8_t *)string, .len = strlen(string)};
}

static struct limiter_call call_of(const char *tenant, const char *resource) {
    return (struct limiter_call){.tenant = text(tenant),
                                 .resource = text(resource),
                                 .key = text("alice"),
                                 .cost_tokens = 3,
                                 .deadline_us = 1020000,
                                 .done = count_done};
}

static const char two_limits[] = "default: deny\n"
                                 "tenants:\n"
                                 "  acme:\n"
                                 "    api:\n"
                                 "      limits:\n"
                                 "        - { name: small, rate: 10/s, burst: 5 }\n"
                                 "        - { name: large, rate: 100/h, burst: 50 }\n";

static void test_store_decides_by_the_quota_found(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, two_limits);
    bench.store.verdict.limit_index = 1;
    struct limiter_call call = call_of("acme", "api");
    assert_int_equal(limiter_check(bench.limiter, &call, 1000000), LIMITER_DONE);
    assert_int_equal(bench.store.last.quota->n_limits, 2);
    assert_int_equal(bench.store.last.cost_tokens, 3);
    assert_int_equal(bench.store.last.deadline_us, 1008000); /* the store's is nearer than the request's */
    assert_int_equal(call.outcome, STORE_OK);
    assert_true(call.decision.allowed && call.decision.matched);
    assert_string_equal(call.decision.limit_name, "large");
    assert_int_equal(call.decision.limit_tokens, 50);
    assert_int_equal(call.decision.remaining_tokens, 4);
    assert_int_equal(call.decision.source, DECISION_STORE);
    assert_int_equal(metric_get(&bench.metrics.allowed_store), 1);
    limiter_destroy(&bench.limiter);
}

static void test_request_deadline_may_be_nearer(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, two_limits);
    struct limiter_call call = call_of("acme", "api");
    call.deadline_us = 1001000;
    limiter_check(bench.limiter, &call, 1000000);
    assert_int_equal(bench.store.last.deadline_us, 1001000);
    limiter_destroy(&bench.limiter);
}

static void test_unknown_gets_the_default_without_the_store(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, two_limits);
    struct limiter_call call = call_of("acme", "other");
    assert_int_equal(limiter_check(bench.limiter, &call, 0), LIMITER_DONE);
    assert_false(call.decision.allowed);
    assert_false(call.decision.matched);
    assert_string_equal(call.decision.limit_name, "");
    assert_int_equal(call.decision.source, DECISION_NONE);
    assert_int_equal(bench.store.n_asked, 0);
    assert_int_equal(metric_get(&bench.metrics.denied_none), 1);
    limiter_destroy(&bench.limiter);
}

static void test_pending_call_is_done_once_and_later(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, two_limits);
    bench.store.is_pending = true;
    struct limiter_call call = call_of("acme", "api");
    assert_int_equal(limiter_check(bench.limiter, &call, 1000000), LIMITER_PENDING);
    assert_int_equal(bench.n_done, 0);
    bench.store.verdict = (struct bucket_verdict){.retry_after_us = 123};
    fake_store_conclude(&bench.store, 0);
    assert_int_equal(bench.n_done, 1);
    assert_false(call.decision.allowed);
    assert_int_equal(call.decision.retry_after_us, 123);
    assert_int_equal(metric_get(&bench.metrics.denied_store), 1);
    limiter_destroy(&bench.limiter);
}

static void test_peeks_and_failures_are_no_decisions(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, two_limits);
    struct limiter_call call = call_of("acme", "api");
    call.peek = true;
    limiter_check(bench.limiter, &call, 0);
    assert_true(bench.store.last.peek);
    bench.store.outcome = STORE_DOWN;
    call = call_of("acme", "api");
    limiter_check(bench.limiter, &call, 0);
    assert_int_equal(call.outcome, STORE_DOWN);
    assert_int_equal(metric_get(&bench.metrics.peeks), 1);
    assert_int_equal(metric_get(&bench.metrics.undecided), 1);
    assert_int_equal(metric_get(&bench.metrics.allowed_store), 0);
    limiter_destroy(&bench.limiter);
}

static void test_debt_is_shown_as_nothing_left(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, two_limits);
    bench.store.verdict.remaining_utok = -5000000;
    struct limiter_call call = call_of("acme", "api");
    limiter_check(bench.limiter, &call, 0);
    assert_int_equal(call.decision.remaining_tokens, 0);
    limiter_destroy(&bench.limiter);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_decides_by_the_quota_found),
        cmocka_unit_test(test_request_deadline_may_be_nearer),
        cmocka_unit_test(test_unknown_gets_the_default_without_the_store),
        cmocka_unit_test(test_pending_call_is_done_once_and_later),
        cmocka_unit_test(test_peeks_and_failures_are_no_decisions),
        cmocka_unit_test(test_debt_is_shown_as_nothing_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
