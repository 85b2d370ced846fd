/* limiter.h — allow or deny: finds the quota of a check and has a store decide.
 *
 *   limiter_check ─ quota_set_find ─ none → the set's default, done
 *                 └ store_check ──── done at once, or pending until call->done
 *
 * One thread. Sees time and the store only as arguments, so that the whole decision runs in virtual time. */
#ifndef SLUICE_LIMIT_LIMITER_H
#define SLUICE_LIMIT_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/base/metric.h"
#include "server/core/decision.h"
#include "server/core/quota.h"
#include "server/store/store.h"

#define LIMITER_METRICS(X)                                                                                     \
    X(allowed_store, METRIC_COUNTER, "sluice_decisions_total", "decision=\"allow\",source=\"store\"",          \
      "Decisions on checks, by answer and by who decided")                                                     \
    X(denied_store, METRIC_COUNTER, "sluice_decisions_total", "decision=\"deny\",source=\"store\"", "")        \
    X(allowed_embedded, METRIC_COUNTER, "sluice_decisions_total", "decision=\"allow\",source=\"embedded\"",    \
      "")                                                                                                      \
    X(denied_embedded, METRIC_COUNTER, "sluice_decisions_total", "decision=\"deny\",source=\"embedded\"", "")  \
    X(allowed_none, METRIC_COUNTER, "sluice_decisions_total", "decision=\"allow\",source=\"none\"", "")        \
    X(denied_none, METRIC_COUNTER, "sluice_decisions_total", "decision=\"deny\",source=\"none\"", "")          \
    X(peeks, METRIC_COUNTER, "sluice_peeks_total", "", "Peeks answered; they take no tokens")                  \
    X(undecided, METRIC_COUNTER, "sluice_undecided_total", "", "Checks and peeks that no store could decide")

struct limiter_metrics {
    LIMITER_METRICS(METRIC_FIELD)
};

struct limiter_options {
    int64_t store_timeout_us;
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
    struct quota_set *held;
    struct store_call store;
};

enum limiter_progress { LIMITER_DONE, LIMITER_PENDING };

struct limiter;

/* Holds `quotas`; borrows `store` and `metrics`, which must outlive it. NULL when memory is short. */
struct limiter *limiter_create(const struct limiter_options *options, struct quota_set *quotas,
                               struct store *store, struct limiter_metrics *metrics);
/* No call may be pending. Nulls the pointer. */
void limiter_destroy(struct limiter **limiter);

/* DONE: the call's out fields are set, `done` is never called. PENDING: `done` is called exactly once, later,
 * and the call must live until then. */
enum limiter_progress limiter_check(struct limiter *limiter, struct limiter_call *call, int64_t now_us);

#endif
