/* test_accounts.c — one call for a record at a time, denials that stand, leases, and tokens that go back. */
#include "tests/support/test_prelude.h"

#include "server/limit/accounts.h"
#include "tests/support/model_store.h"

#define START_US INT64_C(1700000000000000)
#define ROUND_TRIP_US INT64_C(1000)

struct bench {
    struct model_truth *truth;
    struct model_store store;
    struct fallback *fallback;
    struct accounts_metrics metrics;
    struct accounts *accounts;
    struct quota_rules rules;
    struct quota *quota;
    int64_t now_us;
    int n_done;
};

static struct bytes text(const char *string) {
    return (struct bytes){.data = (const uint8_t *)string, .len = strlen(string)};
}

static struct bench *bench_of_claims;

static void count_done(struct claim *claim, int64_t now_us) {
    (void)claim;
    (void)now_us;
    bench_of_claims->n_done++;
}

static void set_quota(struct bench *bench, int64_t rate, int64_t burst_tokens, enum bucket_scope scope,
                      uint64_t revision) {
    struct status status;
    quota_release(&bench->quota);
    bench->rules = (struct quota_rules){.n_limits = 1, .limit_names = {"limit"}, .scopes = {scope}};
    bench->rules.limits[0].burst_utok = burst_tokens * BUCKET_UTOK_PER_TOKEN;
    assert_true(bucket_set_rate(&bench->rules.limits[0], rate, 1, &status));
    assert_true(quota_rules_check(&bench->rules, &status));
    bench->quota = quota_create(text("t"), text("r"), &bench->rules, 0, revision);
}

static void setup(struct bench *bench, int64_t rate, int64_t burst_tokens, enum bucket_scope scope) {
    *bench = (struct bench){.truth = model_truth_create(), .now_us = START_US};
    bench_of_claims = bench;
    model_store_init(&bench->store, bench->truth, ROUND_TRIP_US);
    struct accounts_options options = {
        .store = &bench->store.store, .store_timeout_us = 8000, .metrics = &bench->metrics};
    bench->accounts = accounts_create(&options);
    set_quota(bench, rate, burst_tokens, scope, 1);
}

static void teardown(struct bench *bench) {
    model_store_run(&bench->store, INT64_MAX - 1);
    accounts_destroy(&bench->accounts);
    quota_release(&bench->quota);
    model_store_deinit(&bench->store);
    model_truth_destroy(&bench->truth);
}

static struct claim claim_of(struct bench *bench, int64_t cost_tokens) {
    const struct quota_part *part = &bench->quota->parts[0];
    struct claim claim = {
        .quota = bench->quota,
        .part = part,
        .name = bucket_name_of(part->scope, text("t"), text("r"), text("alice")),
        .cost_tokens = cost_tokens,
        .is_leased = part->scope != BUCKET_PER_KEY,
        .deadline_us = bench->now_us + 15000,
        .done = count_done,
    };
    claim.hash = bucket_name_hash(&claim.name, 1);
    return claim;
}

static void pass(struct bench *bench, int64_t us) {
    bench->now_us += us;
    model_store_run(&bench->store, bench->now_us);
    accounts_tick(bench->accounts, bench->now_us);
}

static void start(struct bench *bench, struct claim *claim, int64_t cost_tokens) {
    *claim = claim_of(bench, cost_tokens);
    assert_int_equal(accounts_claim(bench->accounts, claim, bench->now_us), CLAIM_PENDING);
}

static int64_t level(struct bench *bench) {
    struct claim claim = claim_of(bench, 1);
    return model_truth_level(bench->truth, claim.hash, claim.part, bench->now_us);
}

/* Asks and waits for the answer. */
static struct claim ask(struct bench *bench, int64_t cost_tokens) {
    struct claim claim = claim_of(bench, cost_tokens);
    int n_done = bench->n_done;
    if (accounts_claim(bench->accounts, &claim, bench->now_us) == CLAIM_PENDING) {
        pass(bench, ROUND_TRIP_US);
        assert_int_equal(bench->n_done, n_done + 1);
    }
    assert_int_equal(claim.outcome, STORE_OK);
    return claim;
}

/* ---- one call at a time ---- */

static void test_what_queues_is_one_call_decided_in_order(void **state) {
    (void)state;
    struct bench bench;
    struct claim claims[5];
    setup(&bench, 1, 10, BUCKET_PER_KEY);
    static const int64_t costs[] = {3, 5, 4, 2, 1};
    static const bool is_allowed[] = {true, true, false, true, false};
    for (int i = 0; i < 5; i++) {
        start(&bench, &claims[i], costs[i]);
    }
    pass(&bench, ROUND_TRIP_US);
    assert_int_equal(bench.n_done, 1);
    pass(&bench, ROUND_TRIP_US);
    assert_int_equal(bench.n_done, 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(claims[i].verdict.allowed, is_allowed[i]);
        assert_int_equal(claims[i].granted_tokens, is_allowed[i] ? costs[i] : 0);
        assert_int_equal(claims[i].source, DECISION_STORE);
    }
    assert_int_equal(bench.truth->n_calls, 2);
    assert_int_equal(metric_get(&bench.metrics.calls_check), 1);
    assert_int_equal(metric_get(&bench.metrics.calls_take), 1);
    assert_int_equal(metric_get(&bench.metrics.coalesced), 4);
    teardown(&bench);
}

static void test_who_cannot_wait_asks_alone(void **state) {
    (void)state;
    struct bench bench;
    struct claim patient, hasty;
    setup(&bench, 1, 10, BUCKET_PER_KEY);
    start(&bench, &patient, 1);
    hasty = claim_of(&bench, 1);
    hasty.deadline_us = bench.now_us + 2000;
    assert_int_equal(accounts_claim(bench.accounts, &hasty, bench.now_us), CLAIM_PENDING);
    pass(&bench, ROUND_TRIP_US);
    assert_int_equal(bench.n_done, 2);
    assert_int_equal(level(&bench), 8);
    teardown(&bench);
}

static void test_failure_is_told_to_all_who_were_asked_for(void **state) {
    (void)state;
    struct bench bench;
    struct claim claims[3];
    setup(&bench, 1, 10, BUCKET_PER_KEY);
    for (int i = 0; i < 3; i++) {
        start(&bench, &claims[i], 1);
    }
    bench.store.loses_replies = true;
    bench.store.is_down = true;
    bench.store.failure = STORE_DOWN;
    pass(&bench, ROUND_TRIP_US);
    assert_int_equal(bench.n_done, 3);
    assert_int_equal(claims[0].outcome, STORE_LOST);
    assert_int_equal(claims[1].outcome, STORE_DOWN);
    assert_int_equal(claims[2].outcome, STORE_DOWN);
    struct claim next = claim_of(&bench, 1);
    assert_int_equal(accounts_claim(bench.accounts, &next, bench.now_us), CLAIM_DONE);
    assert_int_equal(next.outcome, STORE_DOWN);
    teardown(&bench);
}

/* Its account is in no chain, and keeps for a while what the lease brought. */
static void test_who_asks_alone_leaves_nothing_behind(void **state) {
    (void)state;
    struct bench bench;
    struct claim patient, hasty;
    setup(&bench, 1000, 1000, BUCKET_PER_RESOURCE);
    start(&bench, &patient, 1);
    hasty = claim_of(&bench, 1);
    hasty.deadline_us = bench.now_us + 2000;
    assert_int_equal(accounts_claim(bench.accounts, &hasty, bench.now_us), CLAIM_PENDING);
    bench.now_us += ROUND_TRIP_US;
    model_store_run(&bench.store, bench.now_us);
    assert_int_equal(bench.n_done, 2);
    teardown(&bench); /* before any turn could have looked after it */
}

/* ---- denials ---- */

static void test_a_denial_stands_without_asking_until_its_time(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 10, 1, BUCKET_PER_KEY);
    assert_true(ask(&bench, 1).verdict.allowed);
    assert_false(ask(&bench, 1).verdict.allowed);
    struct claim denied = ask(&bench, 1);
    assert_false(denied.verdict.allowed);
    assert_int_equal(denied.source, DECISION_DENIED_CACHE);
    assert_in_range(denied.verdict.retry_after_us, 90000, 100000);
    assert_int_equal(bench.truth->n_calls, 2);
    pass(&bench, 100000);
    assert_true(ask(&bench, 1).verdict.allowed);
    assert_int_equal(bench.truth->n_calls, 3);
    teardown(&bench);
}

static void test_another_quota_or_a_refund_ends_a_denial(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 1, 1, BUCKET_PER_KEY);
    ask(&bench, 1);
    struct claim denied = ask(&bench, 1);
    accounts_forget_denial(bench.accounts, denied.hash);
    assert_int_equal(ask(&bench, 1).source, DECISION_STORE);
    assert_int_equal(ask(&bench, 1).source, DECISION_DENIED_CACHE);
    set_quota(&bench, 2, 1, BUCKET_PER_KEY, 2);
    assert_int_equal(ask(&bench, 1).source, DECISION_STORE);
    teardown(&bench);
}

/* ---- leases ---- */

/* So that some demand is known, and a purse is at hand. */
static void warm_up(struct bench *bench) {
    for (int i = 0; i < 100; i++) {
        ask(bench, 1);
        pass(bench, 100);
    }
}

static void test_a_leased_record_is_seldom_asked_for(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 100000, 100000, BUCKET_PER_RESOURCE);
    warm_up(&bench);
    uint64_t n_calls = bench.truth->n_calls;
    int n_leased = 0;
    for (int i = 0; i < 1000; i++) {
        struct claim claim = ask(&bench, 1);
        assert_true(claim.verdict.allowed);
        n_leased += claim.source == DECISION_LEASE;
        pass(&bench, 100);
    }
    assert_in_range(n_leased, 940, 1000); /* the others waited for a lease */
    assert_in_range(bench.truth->n_calls - n_calls, 1, 60);
    teardown(&bench);
}

/* So many come while a call is under way that there would never be an end of asking. */
static void test_who_waits_for_a_call_has_from_the_lease_that_it_brings(void **state) {
    (void)state;
    struct bench bench;
    struct claim claims[4];
    setup(&bench, 1000, 1000, BUCKET_PER_RESOURCE);
    warm_up(&bench);
    while (ask(&bench, 1).source == DECISION_LEASE) {
    }
    pass(&bench, 60000);
    pass(&bench, ROUND_TRIP_US); /* all is told and forgotten, but for the pace */
    uint64_t n_calls = bench.truth->n_calls;
    int n_done = bench.n_done;
    for (int i = 0; i < 4; i++) {
        start(&bench, &claims[i], 1);
    }
    pass(&bench, ROUND_TRIP_US);
    assert_int_equal(bench.n_done - n_done, 4);
    assert_int_equal(bench.truth->n_calls - n_calls, 1);
    for (int i = 0; i < 4; i++) {
        assert_true(claims[i].verdict.allowed);
        assert_int_equal(claims[i].source, i == 0 ? DECISION_STORE : DECISION_LEASE);
    }
    teardown(&bench);
}

static void test_nothing_is_held_for_those_who_seldom_come(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 1000, 1000, BUCKET_PER_RESOURCE);
    uint64_t n_leased = 0;
    for (int i = 0; i < 30; i++) {
        n_leased = i == 10 ? metric_get(&bench.metrics.leased_tokens) : n_leased;
        assert_true(ask(&bench, 1).verdict.allowed);
        pass(&bench, 30000);         /* a lease lasts for 50 ms */
        pass(&bench, ROUND_TRIP_US); /* what was used is told */
    }
    assert_int_equal(metric_get(&bench.metrics.leased_tokens) - n_leased, 20);
    teardown(&bench);
}

static void test_what_a_purse_holds_goes_back_when_it_is_over(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 1000, 1000, BUCKET_PER_RESOURCE);
    warm_up(&bench);
    for (int i = 0; i < 40; i++) {
        pass(&bench, 50000);
    }
    assert_int_equal(level(&bench), 1000);
    assert_int_equal(bench.store.n_calls, 0);
    uint64_t n_calls = bench.truth->n_calls;
    pass(&bench, 50000);
    assert_int_equal(bench.truth->n_calls, n_calls);
    teardown(&bench);
}

static void test_drained_purses_go_back_at_once(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 1, 1000, BUCKET_PER_RESOURCE);
    warm_up(&bench);
    uint64_t n_returned = metric_get(&bench.metrics.returned_tokens);
    accounts_drain(bench.accounts, bench.now_us);
    pass(&bench, ROUND_TRIP_US);
    assert_true(metric_get(&bench.metrics.returned_tokens) >= n_returned);
    int64_t before = level(&bench);
    assert_int_equal(ask(&bench, 1).source, DECISION_STORE);
    assert_int_equal(level(&bench), before - 1);
    teardown(&bench);
}

static void test_what_is_held_is_told_when_it_is_known(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 1, 100, BUCKET_PER_RESOURCE);
    struct claim held = claim_of(&bench, 5);
    held.is_one_of_many = true;
    assert_int_equal(accounts_claim(bench.accounts, &held, bench.now_us), CLAIM_PENDING);
    pass(&bench, ROUND_TRIP_US);
    assert_true(held.verdict.allowed);
    assert_non_null(held.account);
    assert_true(ask(&bench, 1).verdict.allowed); /* another purse meanwhile, perhaps */
    accounts_give_back(bench.accounts, &held, 5, bench.now_us);
    accounts_keep(&held);
    for (int i = 0; i < 10; i++) {
        pass(&bench, 60000);
    }
    assert_int_equal(level(&bench), 99);
    teardown(&bench);
}

static void test_at_most_takes_what_a_purse_has(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 1, 7, BUCKET_PER_RESOURCE);
    struct claim claim = claim_of(&bench, 10);
    claim.at_most = true;
    assert_int_equal(accounts_claim(bench.accounts, &claim, bench.now_us), CLAIM_PENDING);
    pass(&bench, ROUND_TRIP_US);
    assert_true(claim.verdict.allowed);
    assert_int_equal(claim.granted_tokens, 7);
    teardown(&bench);
}

static void test_a_record_that_was_reset_owes_no_lease(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 1000, 1000, BUCKET_PER_RESOURCE);
    warm_up(&bench);
    struct claim claim = claim_of(&bench, 1);
    accounts_forget(bench.accounts, claim.hash);
    assert_int_equal(accounts_claim(bench.accounts, &claim, bench.now_us), CLAIM_PENDING);
    pass(&bench, ROUND_TRIP_US);
    assert_true(claim.verdict.allowed);
    teardown(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_queues_is_one_call_decided_in_order),
        cmocka_unit_test(test_who_cannot_wait_asks_alone),
        cmocka_unit_test(test_who_asks_alone_leaves_nothing_behind),
        cmocka_unit_test(test_failure_is_told_to_all_who_were_asked_for),
        cmocka_unit_test(test_a_denial_stands_without_asking_until_its_time),
        cmocka_unit_test(test_another_quota_or_a_refund_ends_a_denial),
        cmocka_unit_test(test_a_leased_record_is_seldom_asked_for),
        cmocka_unit_test(test_who_waits_for_a_call_has_from_the_lease_that_it_brings),
        cmocka_unit_test(test_nothing_is_held_for_those_who_seldom_come),
        cmocka_unit_test(test_what_a_purse_holds_goes_back_when_it_is_over),
        cmocka_unit_test(test_drained_purses_go_back_at_once),
        cmocka_unit_test(test_what_is_held_is_told_when_it_is_known),
        cmocka_unit_test(test_at_most_takes_what_a_purse_has),
        cmocka_unit_test(test_a_record_that_was_reset_owes_no_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
