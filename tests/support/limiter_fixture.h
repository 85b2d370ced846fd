/* limiter_fixture.h — a limiter over a store that decides as it is told, for tests of server/limit/limiter.h.
 *
 * One at a time. tests/support/limiter_bench.h has one over the store as it should be. Assertions are cmocka's. */
#ifndef SLUICE_TESTS_SUPPORT_LIMITER_FIXTURE_H
#define SLUICE_TESTS_SUPPORT_LIMITER_FIXTURE_H

#include "server/limit/limiter.h"
#include "tests/support/fake_store.h"

enum { LIMITER_FIXTURE_HOT_PER_S = 100 };
#define LIMITER_FIXTURE_NOW_US INT64_C(1000000)
/* For the quota that the calls below ask for. */
#define SLOW_FIVE "tenants: {acme: {api: {limits: [{name: five, rate: 1/h, burst: 5}]}}}"

struct limiter_fixture {
    struct fake_store store;
    struct fallback *fallback; /* NULL unless opened with one */
    struct hotkeys *hotkeys;
    struct limiter_metrics metrics;
    struct limiter *limiter;
    int n_done; /* calls that were pending */
};

/* `quotas` as a quota file has them. With a fallback it is the only frontend of its fleet. */
void limiter_fixture_open(struct limiter_fixture *fixture, const char *quotas);
void limiter_fixture_open_with_fallback(struct limiter_fixture *fixture, const char *quotas);
void limiter_fixture_close(struct limiter_fixture *fixture);

/* A check of key alice that costs 3 tokens and has 20 ms from LIMITER_FIXTURE_NOW_US on. */
struct limiter_call limiter_fixture_call_of(const char *tenant, const char *resource);
/* A check of acme/api, made at LIMITER_FIXTURE_NOW_US. */
struct limiter_call limiter_fixture_ask(struct limiter_fixture *fixture, int64_t cost_tokens);
/* It was decided without the store, and says so. */
bool limiter_fixture_is_local(const struct limiter_call *call);

#endif
