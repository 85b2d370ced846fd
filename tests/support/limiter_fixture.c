/* limiter_fixture.c — a limiter over a store that decides as it is told; see limiter_fixture.h. */
#include "tests/support/test_prelude.h"

#include "tests/support/limiter_fixture.h"

#include "tests/support/quota_fixture.h"
#include "tests/support/text_bytes.h"

static struct limiter_fixture *fixture_of_call;

static void count_done(struct limiter_call *call) {
    (void)call;
    fixture_of_call->n_done++;
}

static void open_with(struct limiter_fixture *fixture, const char *quotas, struct fallback *fallback) {
    *fixture = (struct limiter_fixture){.fallback = fallback};
    fixture_of_call = fixture;
    fake_store_init(&fixture->store);
    struct quota_set *set = quota_fixture_load(quotas);
    struct hotkeys_options hotkeys_options = {.hot_per_s = LIMITER_FIXTURE_HOT_PER_S,
                                              .least_hot_per_s = LIMITER_FIXTURE_HOT_PER_S};
    fixture->hotkeys = hotkeys_create(&hotkeys_options, 0);
    assert_non_null(fixture->hotkeys);
    struct limiter_options options = {
        .store_timeout_us = 8000, .fallback = fallback, .hotkeys = fixture->hotkeys};
    fixture->limiter = limiter_create(&options, set, &fixture->store.store, &fixture->metrics);
    assert_non_null(fixture->limiter);
    quota_set_release(&set);
}

void limiter_fixture_open(struct limiter_fixture *fixture, const char *quotas) {
    open_with(fixture, quotas, NULL);
}

void limiter_fixture_open_with_fallback(struct limiter_fixture *fixture, const char *quotas) {
    struct fallback *fallback = fallback_create(FALLBACK_MIN_KEYS, 2);
    assert_non_null(fallback);
    open_with(fixture, quotas, fallback);
}

void limiter_fixture_close(struct limiter_fixture *fixture) {
    limiter_destroy(&fixture->limiter);
    fallback_destroy(&fixture->fallback);
    hotkeys_destroy(&fixture->hotkeys);
}

struct limiter_call limiter_fixture_call_of(const char *tenant, const char *resource) {
    return (struct limiter_call){.tenant = text_bytes(tenant),
                                 .resource = text_bytes(resource),
                                 .key = text_bytes("alice"),
                                 .cost_tokens = 3,
                                 .deadline_us = LIMITER_FIXTURE_NOW_US + 20000,
                                 .done = count_done};
}

struct limiter_call limiter_fixture_ask(struct limiter_fixture *fixture, int64_t cost_tokens) {
    struct limiter_call call = limiter_fixture_call_of("acme", "api");
    call.cost_tokens = cost_tokens;
    limiter_check(fixture->limiter, &call, LIMITER_FIXTURE_NOW_US);
    return call;
}

bool limiter_fixture_is_local(const struct limiter_call *call) {
    return call->outcome == LIMITER_DECIDED && call->decision.matched &&
           call->decision.source == DECISION_LOCAL && call->decision.degraded;
}
