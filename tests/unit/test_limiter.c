/* test_limiter.c — which quota is asked for, what becomes of the store's answer, and what is counted. */
#include "tests/support/test_prelude.h"

#include "server/limit/limiter.h"
#include "server/quota/registry.h"
#include "tests/support/fake_store.h"

enum { HOT_PER_S = 100 };

struct bench {
    struct fake_store store;
    struct fallback *fallback; /* NULL unless the test made one */
    struct hotkeys *hotkeys;
    struct limiter_metrics metrics;
    struct limiter *limiter;
    int n_done;
};

static struct bench *bench_of_call;

static void count_done(struct limiter_call *call) {
    (void)call;
    bench_of_call->n_done++;
}

static void setup_with(struct bench *bench, const char *quotas, struct fallback *fallback) {
    *bench = (struct bench){.fallback = fallback};
    bench_of_call = bench;
    fake_store_init(&bench->store);
    struct status status = {{0}};
    struct quota_set *set = registry_load_text("test", quotas, strlen(quotas), &status);
    assert_string_equal(status.text, "");
    struct hotkeys_options hotkeys_options = {.hot_per_s = HOT_PER_S, .least_hot_per_s = HOT_PER_S};
    bench->hotkeys = hotkeys_create(&hotkeys_options, 0);
    assert_non_null(bench->hotkeys);
    struct limiter_options options = {
        .store_timeout_us = 8000, .fallback = fallback, .hotkeys = bench->hotkeys};
    bench->limiter = limiter_create(&options, set, &bench->store.store, &bench->metrics);
    assert_non_null(bench->limiter);
    quota_set_release(&set);
}

static void setup(struct bench *bench, const char *quotas) {
    setup_with(bench, quotas, NULL);
}

/* The only frontend of its fleet. */
static void setup_fallback(struct bench *bench, const char *quotas) {
    struct fallback *fallback = fallback_create(FALLBACK_MIN_KEYS, 2);
    assert_non_null(fallback);
    setup_with(bench, quotas, fallback);
}

static void teardown(struct bench *bench) {
    limiter_destroy(&bench->limiter);
    fallback_destroy(&bench->fallback);
    hotkeys_destroy(&bench->hotkeys);
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
    assert_int_equal(bench.store.last.part->n_limits, 2);
    assert_int_equal(bench.store.last.cost_tokens, 3);
    assert_int_equal(bench.store.last.deadline_us, 1008000); /* the store's is nearer than the request's */
    assert_int_equal(call.outcome, LIMITER_DECIDED);
    assert_true(call.decision.allowed && call.decision.matched);
    assert_string_equal(call.decision.limit_name, "large");
    assert_int_equal(call.decision.limit_tokens, 50);
    assert_int_equal(call.decision.remaining_tokens, 4);
    assert_int_equal(call.decision.source, DECISION_STORE);
    assert_int_equal(metric_get(&bench.metrics.allowed_store), 1);
    teardown(&bench);
}

static void test_request_keeps_a_quarter_of_its_time(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, two_limits);
    struct limiter_call call = call_of("acme", "api");
    call.deadline_us = 1004000;
    limiter_check(bench.limiter, &call, 1000000);
    assert_int_equal(bench.store.last.deadline_us, 1003000);
    teardown(&bench);
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
    teardown(&bench);
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
    teardown(&bench);
}

static void test_peeks_and_failures_are_no_decisions(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, two_limits);
    struct limiter_call call = call_of("acme", "api");
    call.kind = LIMITER_PEEK;
    limiter_check(bench.limiter, &call, 0);
    assert_true(bench.store.last.peek);
    bench.store.outcome = STORE_DOWN;
    call = call_of("acme", "api");
    limiter_check(bench.limiter, &call, 0);
    assert_int_equal(call.store_outcome, STORE_DOWN);
    assert_int_equal(call.outcome, LIMITER_UNDECIDED);
    assert_int_equal(metric_get(&bench.metrics.peeks), 1);
    assert_int_equal(metric_get(&bench.metrics.undecided), 1);
    assert_int_equal(metric_get(&bench.metrics.allowed_store), 0);
    teardown(&bench);
}

static void test_debt_is_shown_as_nothing_left(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, two_limits);
    bench.store.verdict.remaining_utok = -5000000;
    struct limiter_call call = call_of("acme", "api");
    limiter_check(bench.limiter, &call, 0);
    assert_int_equal(call.decision.remaining_tokens, 0);
    teardown(&bench);
}

static const char *const slow_five = "tenants: {acme: {api: {limits: [{name: five, rate: 1/h, burst: 5}]}}}";

static bool is_local(const struct limiter_call *call) {
    return call->outcome == LIMITER_DECIDED && call->decision.matched &&
           call->decision.source == DECISION_LOCAL && call->decision.degraded;
}

static struct limiter_call ask(struct bench *bench, int64_t cost_tokens) {
    struct limiter_call call = call_of("acme", "api");
    call.cost_tokens = cost_tokens;
    limiter_check(bench->limiter, &call, 1000000);
    return call;
}

static void test_local_bucket_decides_when_the_store_cannot(void **state) {
    (void)state;
    struct bench bench;
    setup_fallback(&bench, slow_five);
    bench.store.outcome = STORE_DOWN;
    struct limiter_call call = ask(&bench, 3);
    assert_true(is_local(&call) && call.decision.allowed);
    assert_string_equal(call.decision.limit_name, "five");
    assert_int_equal(call.decision.remaining_tokens, 2);
    call = ask(&bench, 3);
    assert_true(is_local(&call) && !call.decision.allowed);
    assert_int_equal(metric_get(&bench.metrics.allowed_local), 1);
    assert_int_equal(metric_get(&bench.metrics.denied_local), 1);
    assert_int_equal(metric_get(&bench.metrics.degraded_down), 2);
    assert_int_equal(metric_get(&bench.metrics.undecided), 0);
    teardown(&bench);
}

static void test_every_failure_degrades(void **state) {
    (void)state;
    struct bench bench;
    setup_fallback(&bench, slow_five);
    for (int outcome = STORE_OK + 1; outcome <= STORE_FULL; outcome++) {
        bench.store.outcome = (enum store_outcome)outcome;
        struct limiter_call call = ask(&bench, 6); /* can never be granted: takes nothing */
        assert_true(is_local(&call) && !call.decision.allowed);
    }
    assert_int_equal(metric_get(&bench.metrics.degraded_timeout), 1);
    assert_int_equal(metric_get(&bench.metrics.degraded_no_memory), 1);
    teardown(&bench);
}

static void test_policy_allows_or_denies_without_a_bucket(void **state) {
    (void)state;
    struct bench bench;
    setup_fallback(&bench, "tenants: {acme: {api: {on_store_failure: allow, limits: [{rate: 1/h, burst: 1}]},"
                           " other: {on_store_failure: deny, limits: [{rate: 1/h, burst: 1}]}}}");
    bench.store.outcome = STORE_TIMEOUT;
    for (int i = 0; i < 3; i++) {
        struct limiter_call call = ask(&bench, 1);
        assert_true(is_local(&call) && call.decision.allowed);
        assert_string_equal(call.decision.limit_name, "");
    }
    struct limiter_call call = call_of("acme", "other");
    limiter_check(bench.limiter, &call, 1000000);
    assert_true(is_local(&call) && !call.decision.allowed);
    teardown(&bench);
}

static void test_pending_call_that_fails_is_decided_locally(void **state) {
    (void)state;
    struct bench bench;
    setup_fallback(&bench, slow_five);
    bench.store.is_pending = true;
    bench.store.outcome = STORE_LOST;
    struct limiter_call call = call_of("acme", "api");
    assert_int_equal(limiter_check(bench.limiter, &call, 1000000), LIMITER_PENDING);
    fake_store_conclude(&bench.store, 0);
    assert_int_equal(bench.n_done, 1);
    assert_true(is_local(&call) && call.decision.allowed);
    assert_int_equal(metric_get(&bench.metrics.degraded_lost), 1);
    teardown(&bench);
}

static void test_local_bucket_begins_as_the_store_showed_it(void **state) {
    (void)state;
    struct bench bench;
    setup_fallback(&bench, slow_five);
    bench.store.is_pending = true;
    bench.store.record = (struct bucket_record){
        .at_us = 1000000, .n_levels = 1, .levels = {{hash_stable32("five", 4), 1500000}}};
    bench.store.verdict.full_after_us = 1000000;
    struct limiter_call seen = call_of("acme", "api");
    limiter_check(bench.limiter, &seen, 1000000);
    fake_store_conclude(&bench.store, 0);
    bench.store.is_pending = false;
    bench.store.outcome = STORE_DOWN;
    assert_true(ask(&bench, 1).decision.allowed);
    assert_false(ask(&bench, 1).decision.allowed);
    teardown(&bench);
}

/* The store decides a check, in its time, and shows a full bucket. */
static void answer(struct bench *bench) {
    struct limiter_call call = call_of("acme", "api");
    bench->store.is_pending = true;
    bench->store.outcome = STORE_OK;
    bench->store.record = (struct bucket_record){
        .at_us = 1000000, .n_levels = 1, .levels = {{hash_stable32("five", 4), 5000000}}};
    bench->store.done_at_us = 1000000;
    assert_int_equal(limiter_check(bench->limiter, &call, 1000000), LIMITER_PENDING);
    fake_store_conclude(&bench->store, --bench->store.n_pending);
    bench->store.is_pending = false;
}

static void test_store_is_told_what_was_granted(void **state) {
    (void)state;
    struct bench bench;
    setup_fallback(&bench, slow_five);
    bench.store.outcome = STORE_DOWN;
    ask(&bench, 2);
    ask(&bench, 1);
    answer(&bench);
    assert_false(bench.store.was_charged); /* it might have been lost with this one */
    bench.store.outcome = STORE_DOWN;
    ask(&bench, 1);
    assert_int_equal(bench.store.charge_utok, 3000000); /* but it is down: kept */
    answer(&bench);
    assert_int_equal(bench.store.charge_utok, 4000000);
    bench.store.outcome = STORE_OK;
    ask(&bench, 1);
    assert_false(bench.store.was_charged);
    assert_int_equal(metric_get(&bench.metrics.accounts.debts), 1);
    assert_int_equal(metric_get(&bench.metrics.accounts.debts_returned), 1);
    teardown(&bench);
}

static void test_debt_that_may_have_arrived_is_not_told_again(void **state) {
    (void)state;
    struct bench bench;
    setup_fallback(&bench, slow_five);
    bench.store.outcome = STORE_DOWN;
    ask(&bench, 2);
    answer(&bench);
    bench.store.outcome = STORE_LOST;
    ask(&bench, 1);
    assert_int_equal(bench.store.charge_utok, 2000000);
    assert_int_equal(metric_get(&bench.metrics.accounts.debts_ambiguous), 1);
    answer(&bench);
    bench.store.outcome = STORE_OK;
    ask(&bench, 1);
    assert_int_equal(bench.store.charge_utok, 1000000); /* what was granted when that call was lost */
    teardown(&bench);
}

/* ---- quotas that need no bucket, and shadow mode ---- */

static void test_an_unlimited_quota_asks_nobody(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, "tenants: {acme: {api: {unlimited: true}}}");
    struct limiter_call call = ask(&bench, 1000);
    assert_int_equal(call.outcome, LIMITER_DECIDED);
    assert_true(call.decision.allowed && call.decision.matched && !call.decision.would_deny);
    assert_int_equal(call.decision.source, DECISION_NONE);
    assert_string_equal(call.decision.limit_name, "");
    assert_int_equal(bench.store.n_asked, 0);
    assert_int_equal(metric_get(&bench.metrics.allowed_none), 1);
    teardown(&bench);
}

static void test_a_banned_quota_denies_for_ever(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, "tenants: {acme: {api: {limits: [{name: a, rate: 5/s}, {name: ban, rate: 0, burst: 9}]}}}");
    struct limiter_call call = ask(&bench, 1);
    assert_int_equal(call.outcome, LIMITER_DECIDED);
    assert_true(!call.decision.allowed && call.decision.matched);
    assert_int_equal(call.decision.source, DECISION_NONE);
    assert_string_equal(call.decision.limit_name, "ban");
    assert_int_equal(call.decision.limit_tokens, 9);
    assert_int_equal(call.decision.remaining_tokens, 0);
    assert_int_equal(call.decision.retry_after_us, BUCKET_MAX_EXACT);
    assert_int_equal(bench.store.n_asked, 0);
    assert_int_equal(metric_get(&bench.metrics.denied_none), 1);
    teardown(&bench);
}

static const char *const in_shadow =
    "tenants: {acme: {api: {mode: shadow, limits: [{name: five, rate: 1/h, burst: 5}]}}}";

static void test_shadow_decides_and_allows(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, in_shadow);
    bench.store.verdict.wait_us = 5;
    struct limiter_call call = ask(&bench, 1);
    assert_true(call.decision.allowed && !call.decision.would_deny);
    assert_int_equal(call.decision.wait_us, 0);
    bench.store.verdict = (struct bucket_verdict){.retry_after_us = 123, .reset_after_us = 456};
    call = ask(&bench, 1);
    assert_true(call.decision.allowed && call.decision.would_deny);
    assert_int_equal(call.decision.retry_after_us, 0);
    assert_int_equal(call.decision.reset_after_us, 456);
    assert_int_equal(call.decision.source, DECISION_STORE);
    const struct quota_shadow *shadow = call.quota->shadow;
    assert_int_equal(shadow->n_allowed, 1);
    assert_int_equal(shadow->n_would_deny, 1);
    assert_int_equal(metric_get(&bench.metrics.would_deny), 1);
    assert_int_equal(metric_get(&bench.metrics.allowed_store), 2);
    assert_int_equal(metric_get(&bench.metrics.denied_store), 0);
    teardown(&bench);
}

static void test_a_peek_in_shadow_is_not_counted(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, in_shadow);
    bench.store.verdict = (struct bucket_verdict){.retry_after_us = 123};
    struct limiter_call call = call_of("acme", "api");
    call.kind = LIMITER_PEEK;
    limiter_check(bench.limiter, &call, 1000000);
    assert_true(call.decision.allowed && call.decision.would_deny);
    assert_int_equal(call.quota->shadow->n_would_deny, 0);
    assert_int_equal(metric_get(&bench.metrics.would_deny), 0);
    teardown(&bench);
}

static void test_shadow_allows_what_a_ban_or_a_policy_denies(void **state) {
    (void)state;
    struct bench bench;
    setup_fallback(&bench, "tenants: {acme: {api: {mode: shadow, limits: [{rate: 0}]}, other: {mode: shadow,"
                           " on_store_failure: deny, limits: [{rate: 1/h}]}}}");
    bench.store.outcome = STORE_DOWN;
    struct limiter_call call = ask(&bench, 1);
    assert_true(call.decision.allowed && call.decision.would_deny);
    assert_int_equal(call.decision.retry_after_us, 0);
    call = call_of("acme", "other");
    limiter_check(bench.limiter, &call, 1000000);
    assert_true(is_local(&call) && call.decision.allowed && call.decision.would_deny);
    assert_int_equal(metric_get(&bench.metrics.would_deny), 2);
    teardown(&bench);
}

static void test_a_call_nobody_decides_is_not_allowed_by_shadow(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, in_shadow);
    bench.store.outcome = STORE_NO_MEMORY;
    struct limiter_call call = ask(&bench, 1);
    assert_int_equal(call.outcome, LIMITER_UNDECIDED);
    assert_int_equal(call.store_outcome, STORE_NO_MEMORY);
    assert_int_equal(metric_get(&bench.metrics.would_deny), 0);
    teardown(&bench);
}

/* ---- quotas that change ---- */

static struct quota_set *load(const char *quotas) {
    struct status status = {{0}};
    struct quota_set *set = registry_load_text("test", quotas, strlen(quotas), &status);
    assert_string_equal(status.text, "");
    return set;
}

static void test_a_pending_call_ends_by_the_quotas_it_began_with(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, slow_five);
    bench.store.is_pending = true;
    struct limiter_call call = call_of("acme", "api");
    assert_int_equal(limiter_check(bench.limiter, &call, 1000000), LIMITER_PENDING);
    struct quota_set *set = load("tenants: {acme: {api: {limits: [{name: new, rate: 1/s, burst: 7}]}}}");
    limiter_set_quotas(bench.limiter, set);
    quota_set_release(&set);
    struct limiter_call later = call_of("acme", "api");
    later.key = text("bob");
    assert_int_equal(limiter_check(bench.limiter, &later, 1000000), LIMITER_PENDING);
    fake_store_conclude(&bench.store, 1);
    assert_string_equal(later.decision.limit_name, "new");
    assert_int_equal(later.decision.limit_tokens, 7);
    fake_store_conclude(&bench.store, 0);
    assert_int_equal(call.decision.limit_tokens, 5);
    teardown(&bench);
}

static void test_the_next_check_is_decided_by_new_quotas(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, slow_five);
    assert_int_equal(ask(&bench, 1).decision.limit_tokens, 5);
    struct quota_set *set = load("{default: deny, tenants: {acme: {other: {limits: [{rate: 1/s}]}}}}");
    limiter_set_quotas(bench.limiter, set);
    quota_set_release(&set);
    struct limiter_call call = ask(&bench, 1);
    assert_true(!call.decision.matched && !call.decision.allowed);
    teardown(&bench);
}

/* ---- hot keys ---- */

/* Which are not leased, so that the store goes on being asked. */
static const char two_queues[] = "tenants:\n"
                                 "  acme:\n"
                                 "    api:\n"
                                 "      limits:\n"
                                 "        - { name: small, rate: 10/s, burst: 5, algorithm: leaky_bucket }\n"
                                 "        - { name: large, rate: 100/h, burst: 50, algorithm: leaky_bucket }\n";

/* Checks of one key, all in the second that begins at 1 s. */
static void check_key(struct bench *bench, const char *key, bool is_peek, int n) {
    for (int i = 0; i < n; i++) {
        struct limiter_call call = call_of("acme", "api");
        call.key = text(key);
        call.kind = is_peek ? LIMITER_PEEK : LIMITER_CHECK;
        assert_int_equal(limiter_check(bench->limiter, &call, 1000000), LIMITER_DONE);
    }
}

/* The only row that there is. */
static struct hotkey only_row(const struct bench *bench, int64_t now_us) {
    static struct hotkey rows[HOTKEYS_MAX];
    assert_int_equal(hotkeys_copy(bench->hotkeys, now_us, rows), 1);
    return rows[0];
}

static void assert_bytes(struct bytes bytes, const char *expected) {
    assert_int_equal(bytes.len, strlen(expected));
    assert_memory_equal(bytes.data, expected, bytes.len);
}

static void test_a_key_checked_often_is_counted_by_name(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, two_queues);
    for (int i = 0; i < 7; i++) {
        check_key(&bench, "alice", false, 20);
        check_key(&bench, "bob", false, 1);
        limiter_tick(bench.limiter, 1000000);
    }
    struct hotkey row = only_row(&bench, 1000000);
    assert_bytes(hotkey_name_tenant(&row.name), "acme");
    assert_bytes(hotkey_name_resource(&row.name), "api");
    assert_bytes(hotkey_name_key(&row.name), "alice");
    assert_in_range(row.checks_per_s, 130, 140); /* the first few are in the sketch alone */
    assert_int_equal(row.decided_per_s[DECISION_STORE], row.checks_per_s);
    assert_int_equal(row.denied_per_s, 0);
    assert_true(row.is_hot);
    assert_int_equal(metric_get(&bench.metrics.hot_keys), 1);
    teardown(&bench);
}

static void test_a_key_is_named_by_its_first_check(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, two_queues);
    check_key(&bench, "alice", false, 20);
    hotkeys_name(bench.hotkeys, hotkeys_count(bench.hotkeys, bench.store.last.hash, 1000000).handle, text("t"),
                 text("r"), text("marked"));
    check_key(&bench, "alice", false, 20);
    struct hotkey row = only_row(&bench, 1000000);
    assert_bytes(hotkey_name_key(&row.name), "marked");
    teardown(&bench);
}

static void test_peeks_and_what_needs_no_bucket_are_not_counted(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, "tenants: { acme: { api: { limits: [ { rate: 9/s } ] }, free: { unlimited: true } } }");
    check_key(&bench, "alice", true, 50);
    for (int i = 0; i < 50; i++) {
        struct limiter_call free = call_of("acme", "free"), unknown = call_of("acme", "unknown");
        limiter_check(bench.limiter, &free, 1000000);
        limiter_check(bench.limiter, &unknown, 1000000);
    }
    static struct hotkey rows[HOTKEYS_MAX];
    assert_int_equal(hotkeys_copy(bench.hotkeys, 1000000, rows), 0);
    teardown(&bench);
}

static void test_denials_and_who_decided_are_told_apart(void **state) {
    (void)state;
    struct bench bench;
    setup_fallback(&bench, two_queues);
    check_key(&bench, "alice", false, 20);
    bench.store.verdict = (struct bucket_verdict){.allowed = false}; /* stands for no time */
    check_key(&bench, "alice", false, 30);
    int64_t n_before = only_row(&bench, 1000000).decided_per_s[DECISION_STORE];
    assert_in_range(n_before, 40, 50);
    bench.store.outcome = STORE_DOWN;
    check_key(&bench, "alice", false, 10); /* the local bucket has 5 tokens, a check takes 3 */
    struct hotkey row = only_row(&bench, 1000000);
    assert_int_equal(row.decided_per_s[DECISION_STORE], n_before);
    assert_int_equal(row.decided_per_s[DECISION_LOCAL], 10);
    assert_int_equal(row.denied_per_s, 30 + 9);
    teardown(&bench);
}

static void test_a_pending_check_is_counted_when_asked_and_noted_when_done(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, two_queues);
    check_key(&bench, "alice", false, 20);
    int64_t n_before = only_row(&bench, 1000000).checks_per_s;
    bench.store.is_pending = true;
    struct limiter_call call = call_of("acme", "api");
    assert_int_equal(limiter_check(bench.limiter, &call, 1000000), LIMITER_PENDING);
    struct hotkey row = only_row(&bench, 1000000);
    assert_int_equal(row.checks_per_s, n_before + 1);
    assert_int_equal(row.decided_per_s[DECISION_STORE], n_before);
    bench.store.verdict = (struct bucket_verdict){.retry_after_us = 1};
    bench.store.done_at_us = 1004000;
    fake_store_conclude(&bench.store, 0);
    row = only_row(&bench, 1004000);
    assert_int_equal(row.decided_per_s[DECISION_STORE], n_before + 1);
    assert_int_equal(row.denied_per_s, 1);
    teardown(&bench);
}

static void test_what_nobody_decided_is_checked_and_no_more(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, two_queues);
    check_key(&bench, "alice", false, 20);
    struct hotkey before = only_row(&bench, 1000000);
    bench.store.outcome = STORE_NO_MEMORY;
    check_key(&bench, "alice", false, 5);
    struct hotkey row = only_row(&bench, 1000000);
    assert_int_equal(row.checks_per_s, before.checks_per_s + 5);
    assert_int_equal(row.decided_per_s[DECISION_STORE], before.decided_per_s[DECISION_STORE]);
    assert_int_equal(row.denied_per_s, 0);
    teardown(&bench);
}

static void test_a_hot_key_cools_with_the_turns(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, two_queues);
    check_key(&bench, "alice", false, 200);
    limiter_tick(bench.limiter, 1000000);
    assert_int_equal(metric_get(&bench.metrics.hot_keys), 1);
    for (int64_t now_us = 1050000; now_us < 5000000; now_us += 50000) {
        limiter_tick(bench.limiter, now_us);
    }
    assert_int_equal(metric_get(&bench.metrics.hot_keys), 0);
    teardown(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_decides_by_the_quota_found),
        cmocka_unit_test(test_request_keeps_a_quarter_of_its_time),
        cmocka_unit_test(test_unknown_gets_the_default_without_the_store),
        cmocka_unit_test(test_pending_call_is_done_once_and_later),
        cmocka_unit_test(test_peeks_and_failures_are_no_decisions),
        cmocka_unit_test(test_debt_is_shown_as_nothing_left),
        cmocka_unit_test(test_local_bucket_decides_when_the_store_cannot),
        cmocka_unit_test(test_every_failure_degrades),
        cmocka_unit_test(test_policy_allows_or_denies_without_a_bucket),
        cmocka_unit_test(test_pending_call_that_fails_is_decided_locally),
        cmocka_unit_test(test_local_bucket_begins_as_the_store_showed_it),
        cmocka_unit_test(test_store_is_told_what_was_granted),
        cmocka_unit_test(test_debt_that_may_have_arrived_is_not_told_again),
        cmocka_unit_test(test_a_pending_call_ends_by_the_quotas_it_began_with),
        cmocka_unit_test(test_the_next_check_is_decided_by_new_quotas),
        cmocka_unit_test(test_an_unlimited_quota_asks_nobody),
        cmocka_unit_test(test_a_banned_quota_denies_for_ever),
        cmocka_unit_test(test_shadow_decides_and_allows),
        cmocka_unit_test(test_a_peek_in_shadow_is_not_counted),
        cmocka_unit_test(test_shadow_allows_what_a_ban_or_a_policy_denies),
        cmocka_unit_test(test_a_call_nobody_decides_is_not_allowed_by_shadow),
        cmocka_unit_test(test_a_key_checked_often_is_counted_by_name),
        cmocka_unit_test(test_a_key_is_named_by_its_first_check),
        cmocka_unit_test(test_peeks_and_what_needs_no_bucket_are_not_counted),
        cmocka_unit_test(test_denials_and_who_decided_are_told_apart),
        cmocka_unit_test(test_a_pending_check_is_counted_when_asked_and_noted_when_done),
        cmocka_unit_test(test_what_nobody_decided_is_checked_and_no_more),
        cmocka_unit_test(test_a_hot_key_cools_with_the_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
