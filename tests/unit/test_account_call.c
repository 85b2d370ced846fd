/* test_account_call.c — what a call of the store tells and brings: debts, records, denials, and who goes along. */
#include "tests/support/test_prelude.h"

#include "server/core/lease.h"
#include "server/limit/account.h"
#include "server/limit/accounts.h"
#include "tests/support/model_store.h"

#define START_US INT64_C(1700000000000000)
#define ROUND_TRIP_US INT64_C(1000)

enum { MANY = 3 * ACCOUNT_MAX_ASKED };

struct bench {
    struct model_truth *truth;
    struct model_store store;
    struct fallback *fallback;
    struct accounts_metrics metrics;
    struct accounts *accounts;
    struct quota *quota;
    int64_t now_us;
};

static struct bytes text(const char *string) {
    return (struct bytes){.data = (const uint8_t *)string, .len = strlen(string)};
}

static struct quota *quota_of(int64_t burst_tokens, enum bucket_algorithm algorithm, enum bucket_scope scope,
                              uint64_t revision) {
    struct status status;
    struct quota_rules rules = {.n_limits = 1, .limit_names = {"limit"}, .scopes = {scope}};
    rules.limits[0].burst_utok = burst_tokens * BUCKET_UTOK_PER_TOKEN;
    rules.limits[0].algorithm = algorithm;
    assert_true(bucket_set_rate(&rules.limits[0], 1, 86400, &status));
    assert_true(quota_rules_check(&rules, &status));
    return quota_create(text("t"), text("r"), &rules, 0, revision);
}

static void setup(struct bench *bench, int64_t burst_tokens, enum bucket_scope scope) {
    *bench = (struct bench){.truth = model_truth_create(),
                            .fallback = fallback_create(FALLBACK_MIN_KEYS, BUCKET_MAX_LIMITS),
                            .quota = quota_of(burst_tokens, BUCKET_TOKEN, scope, 1),
                            .now_us = START_US};
    model_store_init(&bench->store, bench->truth, ROUND_TRIP_US);
    bench->store.failure = STORE_DOWN;
    struct accounts_options options = {.store = &bench->store.store,
                                       .fallback = bench->fallback,
                                       .store_timeout_us = 8000,
                                       .metrics = &bench->metrics};
    bench->accounts = accounts_create(&options);
    assert_non_null(bench->accounts);
}

static void teardown(struct bench *bench) {
    model_store_run(&bench->store, INT64_MAX - 1);
    accounts_destroy(&bench->accounts);
    quota_release(&bench->quota);
    fallback_destroy(&bench->fallback);
    model_store_deinit(&bench->store);
    model_truth_destroy(&bench->truth);
}

static void pass(struct bench *bench, int64_t us) {
    bench->now_us += us;
    model_store_run(&bench->store, bench->now_us);
    accounts_tick(bench->accounts, bench->now_us);
}

static void mark_done(struct claim *claim, int64_t now_us) {
    (void)now_us;
    assert_false(claim->is_answered);
    claim->is_answered = true;
}

static struct claim claim_of(struct bench *bench, const struct quota *quota, int64_t cost_tokens) {
    const struct quota_part *part = &quota->parts[0];
    struct claim claim = {
        .quota = quota,
        .part = part,
        .name = bucket_name_of(part->scope, text("t"), text("r"), text("limit")),
        .cost_tokens = cost_tokens,
        .is_leased = part->scope != BUCKET_PER_KEY,
        .deadline_us = bench->now_us + 15000,
        .done = mark_done,
    };
    claim.hash = bucket_name_hash(&claim.name, 1);
    return claim;
}

static void start(struct bench *bench, struct claim *claim) {
    assert_int_equal(accounts_claim(bench->accounts, claim, bench->now_us), CLAIM_PENDING);
}

static void finish(struct bench *bench, struct claim *claim) {
    if (accounts_claim(bench->accounts, claim, bench->now_us) == CLAIM_PENDING) {
        pass(bench, ROUND_TRIP_US);
        assert_true(claim->is_answered);
    }
}

static struct claim ask(struct bench *bench, int64_t cost_tokens) {
    struct claim claim = claim_of(bench, bench->quota, cost_tokens);
    finish(bench, &claim);
    return claim;
}

static int64_t level(struct bench *bench) {
    struct claim claim = claim_of(bench, bench->quota, 1);
    return model_truth_level(bench->truth, claim.hash, claim.part, bench->now_us);
}

static bool is_granted_locally(struct bench *bench, int64_t cost_tokens) {
    struct claim claim = claim_of(bench, bench->quota, cost_tokens);
    struct bucket_verdict verdict;
    fallback_check(bench->fallback, claim.hash, claim.part, cost_tokens, bench->now_us, false, &verdict);
    return verdict.allowed;
}

/* ---- debts ---- */

static void test_a_debt_is_told_with_the_next_call_but_one(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 10, BUCKET_PER_KEY);
    assert_true(is_granted_locally(&bench, 3));
    ask(&bench, 1); /* it might have been lost with the first one */
    assert_int_equal(level(&bench), 9);
    ask(&bench, 1);
    assert_int_equal(level(&bench), 5);
    assert_int_equal(metric_get(&bench.metrics.debts), 1);
    teardown(&bench);
}

static void test_a_debt_that_was_not_told_is_kept(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 10, BUCKET_PER_KEY);
    assert_true(is_granted_locally(&bench, 3));
    ask(&bench, 1);
    bench.store.is_down = true;
    assert_int_equal(ask(&bench, 1).outcome, STORE_DOWN);
    assert_int_equal(metric_get(&bench.metrics.debts_returned), 1);
    bench.store.is_down = false;
    ask(&bench, 1);
    assert_int_equal(metric_get(&bench.metrics.debts), 1);
    assert_int_equal(level(&bench), 5);
    teardown(&bench);
}

static void test_a_debt_that_may_have_been_told_is_not_told_again(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 10, BUCKET_PER_KEY);
    assert_true(is_granted_locally(&bench, 3));
    ask(&bench, 1);
    bench.store.loses_replies = true;
    assert_int_equal(ask(&bench, 1).outcome, STORE_LOST);
    assert_int_equal(metric_get(&bench.metrics.debts_ambiguous), 1);
    bench.store.loses_replies = false;
    ask(&bench, 1);
    ask(&bench, 1);
    assert_int_equal(metric_get(&bench.metrics.debts), 0);
    assert_int_equal(level(&bench), 10 - 3 - 4);
    teardown(&bench);
}

static void test_takes_and_leases_tell_debts_too(void **state) {
    (void)state;
    static const enum bucket_scope scopes[] = {BUCKET_PER_KEY, BUCKET_PER_RESOURCE};
    for (int i = 0; i < 2; i++) {
        struct bench bench;
        struct claim claims[3];
        setup(&bench, 100, scopes[i]);
        ask(&bench, 1);
        for (int n = 0; n < 20; n++) {
            pass(&bench, 50000);
        }
        int64_t before = level(&bench);
        assert_true(is_granted_locally(&bench, 7));
        for (int n = 0; n < 3; n++) {
            claims[n] = claim_of(&bench, bench.quota, 1);
            start(&bench, &claims[n]);
        }
        for (int n = 0; n < 20; n++) {
            pass(&bench, 50000);
        }
        assert_int_equal(metric_get(&bench.metrics.debts), 1);
        assert_int_equal(level(&bench), before - 7 - 3);
        teardown(&bench);
    }
}

static void test_the_local_bucket_begins_as_the_store_stands(void **state) {
    (void)state;
    static const enum bucket_scope scopes[] = {BUCKET_PER_KEY, BUCKET_PER_RESOURCE};
    for (int i = 0; i < 2; i++) {
        struct bench bench;
        setup(&bench, 10, scopes[i]);
        ask(&bench, 8);
        assert_false(is_granted_locally(&bench, 3));
        teardown(&bench);
    }
}

/* ---- who goes along ---- */

static void test_many_are_served_in_calls_of_a_bounded_size(void **state) {
    (void)state;
    struct bench bench;
    static struct claim claims[MANY];
    setup(&bench, MANY - 1, BUCKET_PER_KEY);
    for (int i = 0; i < MANY; i++) {
        claims[i] = claim_of(&bench, bench.quota, 1);
        start(&bench, &claims[i]);
    }
    for (int i = 0; i < 4; i++) {
        pass(&bench, ROUND_TRIP_US);
    }
    assert_int_equal(metric_get(&bench.metrics.calls_check), 1);
    assert_int_equal(metric_get(&bench.metrics.calls_take), 3);
    for (int i = 0; i < MANY; i++) {
        assert_true(claims[i].is_answered);
        assert_int_equal(claims[i].verdict.allowed, i < MANY - 1);
    }
    teardown(&bench);
}

static void test_each_goes_with_its_own_limits(void **state) {
    (void)state;
    struct bench bench;
    struct claim claims[4];
    setup(&bench, 10, BUCKET_PER_KEY);
    struct quota *smaller = quota_of(5, BUCKET_TOKEN, BUCKET_PER_KEY, 2);
    for (int i = 0; i < 4; i++) {
        claims[i] = claim_of(&bench, i < 3 ? bench.quota : smaller, 6);
        start(&bench, &claims[i]);
    }
    for (int i = 0; i < 4; i++) {
        pass(&bench, ROUND_TRIP_US);
    }
    for (int i = 0; i < 4; i++) {
        assert_true(claims[i].is_answered);
        assert_ptr_equal(claims[i].quota, i < 3 ? bench.quota : smaller);
        assert_int_equal(claims[i].verdict.allowed, i == 0);
    }
    assert_int_equal(bench.truth->n_calls, 3);
    quota_release(&smaller);
    teardown(&bench);
}

static void test_who_is_content_with_less_is_served_without_a_lease(void **state) {
    (void)state;
    struct bench bench;
    struct claim claims[4];
    setup(&bench, 10, BUCKET_PER_KEY);
    for (int i = 0; i < 4; i++) { /* 1 of 10, then at most 7, 1, and what is there */
        claims[i] = claim_of(&bench, bench.quota, i % 2 == 0 ? 1 : 7);
        claims[i].at_most = i % 2 == 1;
        start(&bench, &claims[i]);
    }
    for (int i = 0; i < 4; i++) {
        pass(&bench, ROUND_TRIP_US);
    }
    static const int64_t granted[] = {1, 7, 1, 1};
    for (int i = 0; i < 4; i++) {
        assert_true(claims[i].is_answered && claims[i].verdict.allowed);
        assert_int_equal(claims[i].granted_tokens, granted[i]);
    }
    teardown(&bench);
}

/* Else the little time it has left would be all that those have who share its call. */
static void test_who_has_waited_too_long_is_not_asked_for(void **state) {
    (void)state;
    struct bench bench;
    struct claim slow, late, other;
    setup(&bench, 10, BUCKET_PER_KEY);
    bench.store.round_trip_us = 7500;
    slow = claim_of(&bench, bench.quota, 1);
    late = claim_of(&bench, bench.quota, 1);
    other = claim_of(&bench, bench.quota, 1);
    late.deadline_us = bench.now_us + 8100;
    start(&bench, &slow);
    start(&bench, &late);
    start(&bench, &other);
    pass(&bench, 7500);
    assert_true(slow.is_answered && late.is_answered && !other.is_answered);
    assert_int_equal(late.outcome, STORE_TIMEOUT);
    pass(&bench, 7500);
    assert_int_equal(other.outcome, STORE_OK);
    assert_int_equal(level(&bench), 8);
    teardown(&bench);
}

/* ---- denials ---- */

static void test_the_least_that_was_denied_is_kept(void **state) {
    (void)state;
    struct bench bench;
    struct claim claims[4];
    static const int64_t costs[] = {1, 9, 5, 7};
    setup(&bench, 5, BUCKET_PER_KEY);
    for (int i = 0; i < 4; i++) {
        claims[i] = claim_of(&bench, bench.quota, costs[i]);
        start(&bench, &claims[i]);
    }
    pass(&bench, 2 * ROUND_TRIP_US);
    assert_int_equal(ask(&bench, 5).source, DECISION_DENIED_CACHE);
    assert_int_equal(ask(&bench, 6).source, DECISION_DENIED_CACHE);
    struct claim less = ask(&bench, 4);
    assert_true(less.verdict.allowed);
    assert_int_equal(less.source, DECISION_STORE);
    teardown(&bench);
}

static void test_a_denial_says_what_the_purse_has_as_well(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 10, BUCKET_PER_RESOURCE);
    ask(&bench, 7);
    for (int i = 0; i < 20; i++) {
        pass(&bench, 50000);
    }
    struct claim claim = ask(&bench, 4); /* 3 are there */
    assert_false(claim.verdict.allowed);
    assert_int_equal(claim.verdict.remaining_utok / BUCKET_UTOK_PER_TOKEN, 3);
    assert_in_range(claim.verdict.retry_after_us, INT64_C(86000000000), INT64_C(86400000000)); /* for one */
    teardown(&bench);
}

/* ---- what is forgotten ---- */

static void test_a_denial_of_before_a_reset_is_not_kept(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 1, BUCKET_PER_KEY);
    ask(&bench, 1);
    struct claim claim = claim_of(&bench, bench.quota, 1);
    start(&bench, &claim);
    accounts_forget(bench.accounts, claim.hash);
    pass(&bench, ROUND_TRIP_US);
    assert_false(claim.verdict.allowed);
    assert_int_equal(ask(&bench, 1).source, DECISION_STORE);
    teardown(&bench);
}

static uint64_t n_told(struct bench *bench) {
    uint64_t n_returned = metric_get(&bench->metrics.returned_tokens);
    for (int i = 0; i < 20; i++) {
        pass(bench, 50000);
    }
    return metric_get(&bench->metrics.returned_tokens) - n_returned;
}

/* The record that it was taken of is gone: told, it would be taken for what others hold of the new one. */
static void test_what_was_leased_before_a_reset_is_never_told(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct bench bench;
        setup(&bench, 1000, BUCKET_PER_RESOURCE);
        struct claim claim = claim_of(&bench, bench.quota, 5);
        claim.is_one_of_many = true;
        start(&bench, &claim);
        if (i == 0) { /* while the call is under way */
            accounts_forget(bench.accounts, claim.hash);
        }
        pass(&bench, ROUND_TRIP_US);
        assert_true(claim.verdict.allowed);
        if (i == 1) { /* while the check holds some */
            accounts_forget(bench.accounts, claim.hash);
        }
        accounts_give_back(bench.accounts, &claim, 5, bench.now_us);
        accounts_keep(&claim);
        assert_int_equal(n_told(&bench) > 0, i == 2);
        teardown(&bench);
    }
}

static void test_no_purse_goes_on_under_limits_that_cannot_be_leased(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 1000, BUCKET_PER_RESOURCE);
    ask(&bench, 5);
    struct quota *leaky = quota_of(1000, BUCKET_LEAKY, BUCKET_PER_RESOURCE, 2);
    struct claim claim = claim_of(&bench, leaky, 1);
    uint64_t n_leases = metric_get(&bench.metrics.calls_lease);
    finish(&bench, &claim);
    assert_true(claim.verdict.allowed);
    assert_int_equal(claim.source, DECISION_STORE);
    assert_int_equal(n_told(&bench), 0);
    assert_int_equal(metric_get(&bench.metrics.calls_lease), n_leases);
    assert_int_equal(metric_get(&bench.metrics.calls_check), 1);
    quota_release(&leaky);
    teardown(&bench);
}

/* ---- failures ---- */

static void test_what_a_lost_lease_told_is_not_told_again(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 1000, BUCKET_PER_RESOURCE);
    ask(&bench, 5);
    bench.store.loses_replies = true;
    struct claim claim = claim_of(&bench, bench.quota, 500); /* more than the purse has */
    finish(&bench, &claim);
    assert_int_equal(claim.outcome, STORE_LOST);
    bench.store.loses_replies = false;
    assert_int_equal(n_told(&bench), 0);
    assert_true(level(&bench) <= 995);
    teardown(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_debt_is_told_with_the_next_call_but_one),
        cmocka_unit_test(test_a_debt_that_was_not_told_is_kept),
        cmocka_unit_test(test_a_debt_that_may_have_been_told_is_not_told_again),
        cmocka_unit_test(test_takes_and_leases_tell_debts_too),
        cmocka_unit_test(test_the_local_bucket_begins_as_the_store_stands),
        cmocka_unit_test(test_many_are_served_in_calls_of_a_bounded_size),
        cmocka_unit_test(test_each_goes_with_its_own_limits),
        cmocka_unit_test(test_who_is_content_with_less_is_served_without_a_lease),
        cmocka_unit_test(test_who_has_waited_too_long_is_not_asked_for),
        cmocka_unit_test(test_the_least_that_was_denied_is_kept),
        cmocka_unit_test(test_a_denial_says_what_the_purse_has_as_well),
        cmocka_unit_test(test_a_denial_of_before_a_reset_is_not_kept),
        cmocka_unit_test(test_what_was_leased_before_a_reset_is_never_told),
        cmocka_unit_test(test_no_purse_goes_on_under_limits_that_cannot_be_leased),
        cmocka_unit_test(test_what_a_lost_lease_told_is_not_told_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
