/* limiter.h — allow or deny: finds the quota of a check and has a store decide, or a policy when the store cannot.
 *
 *   limiter_check ─ quota_set_find ─ none → the set's default, done; unlimited or banned → done
 *                 ├ hotkeys_count: so the worker knows its hot keys, and who decided on them
 *                 └ store_check ─┬─ done at once, or pending until call->done
 *                                └─ failed → what the quota says: a local bucket, allow or deny
 *
 * A quota in shadow mode is decided like any other, and what came of it is then allowed.
 *
 * One thread. Sees time and the store only as arguments, so that the whole decision runs in virtual time. */
#ifndef SLUICE_LIMIT_LIMITER_H
#define SLUICE_LIMIT_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/base/metric.h"
#include "server/core/decision.h"
#include "server/core/hotkeys.h"
#include "server/core/quota_set.h"
#include "server/limit/fallback.h"
#include "server/store/store.h"

#define LIMITER_DEGRADED(X, outcome)                                                                           \
    X(degraded_##outcome, METRIC_COUNTER, "sluice_degraded_total", "reason=\"" #outcome "\"",                  \
      "Checks and peeks that the store could not decide, by the reason")

#define LIMITER_METRICS(X)                                                                                     \
    X(allowed_store, METRIC_COUNTER, "sluice_decisions_total", "decision=\"allow\",source=\"store\"",          \
      "Decisions on checks, by answer and by who decided")                                                     \
    X(denied_store, METRIC_COUNTER, "sluice_decisions_total", "decision=\"deny\",source=\"store\"", "")        \
    X(allowed_embedded, METRIC_COUNTER, "sluice_decisions_total", "decision=\"allow\",source=\"embedded\"",    \
      "")                                                                                                      \
    X(denied_embedded, METRIC_COUNTER, "sluice_decisions_total", "decision=\"deny\",source=\"embedded\"", "")  \
    X(allowed_none, METRIC_COUNTER, "sluice_decisions_total", "decision=\"allow\",source=\"none\"", "")        \
    X(denied_none, METRIC_COUNTER, "sluice_decisions_total", "decision=\"deny\",source=\"none\"", "")          \
    X(allowed_local, METRIC_COUNTER, "sluice_decisions_total", "decision=\"allow\",source=\"local\"", "")      \
    X(denied_local, METRIC_COUNTER, "sluice_decisions_total", "decision=\"deny\",source=\"local\"", "")        \
    LIMITER_DEGRADED(X, timeout)                                                                               \
    LIMITER_DEGRADED(X, down)                                                                                  \
    LIMITER_DEGRADED(X, overloaded)                                                                            \
    LIMITER_DEGRADED(X, lost)                                                                                  \
    LIMITER_DEGRADED(X, refused)                                                                               \
    LIMITER_DEGRADED(X, redirected)                                                                            \
    LIMITER_DEGRADED(X, bad_reply)                                                                             \
    LIMITER_DEGRADED(X, no_memory)                                                                             \
    LIMITER_DEGRADED(X, full)                                                                                  \
    X(debts, METRIC_COUNTER, "sluice_debts_total", "result=\"told\"",                                          \
      "Debts of keys (what was granted locally) that went with a check, by what became of them")               \
    X(debts_returned, METRIC_COUNTER, "sluice_debts_total", "result=\"kept\"", "")                             \
    X(debts_ambiguous, METRIC_COUNTER, "sluice_debts_total", "result=\"ambiguous\"", "")                       \
    X(would_deny, METRIC_COUNTER, "sluice_would_deny_total", "",                                               \
      "Checks that were allowed because their quota is in shadow mode")                                        \
    X(hot_keys, METRIC_GAUGE, "sluice_hot_keys", "", "Keys that are hot now")                                  \
    X(peeks, METRIC_COUNTER, "sluice_peeks_total", "", "Peeks answered; they take no tokens")                  \
    X(undecided, METRIC_COUNTER, "sluice_undecided_total", "",                                                 \
      "Checks and peeks that nobody could decide, for want of memory")

struct limiter_metrics {
    LIMITER_METRICS(METRIC_FIELD)
};

struct limiter_options {
    int64_t store_timeout_us;  /* at most; of a request's own time the store gets no more than three quarters */
    uint64_t seed;             /* of bucket_name.h, the same for all limiters that share a fallback */
    struct fallback *fallback; /* borrowed; NULL: the store is one that does not fail */
    struct hotkeys *hotkeys;   /* borrowed; NULL: nobody wants to know */
};

struct limiter_call;
typedef void (*limiter_done_fn)(struct limiter_call *call);

struct limiter_call {
    /* in; the bytes are read only inside limiter_check */
    struct bytes tenant, resource, key;
    int64_t cost_tokens; /* 1 ... BUCKET_MAX_TOKENS */
    bool peek;
    int64_t deadline_us;
    limiter_done_fn done;
    /* out: the decision stands when outcome is STORE_OK; its limit_name until `done` returns */
    enum store_outcome outcome;
    struct decision decision;
    /* the limiter's own while pending */
    struct limiter *limiter;
    const struct quota *quota;
    struct quota_set *held;
    int64_t debt_utok; /* told to the store with this call */
    uint32_t hotkey;   /* the handle of the key's entry, or 0 */
    struct store_call store;
};

enum limiter_progress { LIMITER_DONE, LIMITER_PENDING };

struct limiter;

/* Holds `quotas`; borrows `store` and `metrics`, which must outlive it. NULL when memory is short. */
struct limiter *limiter_create(const struct limiter_options *options, struct quota_set *quotas,
                               struct store *store, struct limiter_metrics *metrics);
/* No call may be pending. Nulls the pointer. */
void limiter_destroy(struct limiter **limiter);

/* Holds `quotas` and decides by them from now on. Calls that are pending are decided by the quotas they began with. */
void limiter_set_quotas(struct limiter *limiter, struct quota_set *quotas);

/* DONE: the call's out fields are set, `done` is never called. PENDING: `done` is called exactly once, later,
 * and the call must live until then. */
enum limiter_progress limiter_check(struct limiter *limiter, struct limiter_call *call, int64_t now_us);

/* Once in every turn of the loop. */
void limiter_tick(struct limiter *limiter, int64_t now_us);

#endif
