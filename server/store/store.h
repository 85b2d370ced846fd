/* store.h — the shared truth as the limiter sees it: take tokens from a bucket, now or soon.
 *
 * A store is used by one thread. `check` either decides at once (STORE_DONE: call->outcome and, when it is
 * STORE_OK, call->verdict are set, and `done` is never called) or returns STORE_PENDING and calls call->done
 * exactly once later, from the event loop (or from destroy), never before returning, and no later than
 * call->deadline_us plus the loop's latency. The call's memory is the caller's and must live until then. */
#ifndef SLUICE_STORE_STORE_H
#define SLUICE_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/core/bucket.h"
#include "server/core/decision.h"
#include "server/core/quota.h"

/* Why a store could not decide: name, metric label, sentence for the caller. */
#define STORE_OUTCOMES(X)                                                                                      \
    X(OK, "ok", "decided")                                                                                     \
    X(TIMEOUT, "timeout", "store: no answer inside the store deadline")                                        \
    X(DOWN, "down", "store: the shard of this key cannot be reached")                                          \
    X(OVERLOADED, "overloaded", "store: too many checks are under way at the shard of this key")               \
    X(LOST, "lost", "store: connection lost with the check in flight; it may have been counted")               \
    X(REFUSED, "refused", "store: the shard refused the check")                                                \
    X(REDIRECTED, "redirected", "store: too many redirections")                                                \
    X(BAD_REPLY, "bad_reply", "store: the shard's reply was not understood")                                   \
    X(NO_MEMORY, "no_memory", "store: out of memory")

enum store_outcome {
#define STORE_OUTCOME_ENUM(name, label, text) STORE_##name,
    STORE_OUTCOMES(STORE_OUTCOME_ENUM)
#undef STORE_OUTCOME_ENUM
};
const char *store_outcome_label(enum store_outcome outcome);
const char *store_outcome_text(enum store_outcome outcome);

enum store_progress { STORE_DONE, STORE_PENDING };

struct store_call;
typedef void (*store_done_fn)(struct store_call *call);

struct store_call {
    /* in; tenant, resource and key are read only inside `check`, the quota until the call is done */
    const struct quota *quota;
    struct bytes tenant, resource, key;
    int64_t cost_tokens;
    bool peek;
    int64_t deadline_us; /* monotonic */
    store_done_fn done;
    /* out */
    enum store_outcome outcome;
    struct bucket_verdict verdict; /* `changed` and `full_after_us` are the store's own affair */
};

struct store;

struct store_ops {
    enum decision_source source; /* DECISION_STORE or DECISION_EMBEDDED */
    enum store_progress (*check)(struct store *store, struct store_call *call, int64_t now_us);
    bool (*is_ready)(const struct store *store); /* can it decide for every key at this moment? */
    void (*destroy)(struct store *store);        /* pending calls are done as STORE_DOWN; frees the store */
};

/* First member of every store. */
struct store {
    const struct store_ops *ops;
};

static inline enum store_progress store_check(struct store *store, struct store_call *call, int64_t now_us) {
    return store->ops->check(store, call, now_us);
}

static inline bool store_is_ready(const struct store *store) {
    return store->ops->is_ready(store);
}

static inline void store_destroy(struct store **store) {
    if (*store != NULL) {
        (*store)->ops->destroy(*store);
    }
    *store = NULL;
}

#endif
