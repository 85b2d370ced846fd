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
#include "server/base/hash.h"
#include "server/core/bucket.h"
#include "server/core/decision.h"
#include "server/core/quota.h"

/* Why a store could not decide: name, label of a metric, may the store have charged?, sentence for the caller. */
#define STORE_FAILURES(X)                                                                                      \
    X(TIMEOUT, timeout, true, "store: no answer inside the store deadline")                                    \
    X(DOWN, down, false, "store: the shard of this key cannot be reached")                                     \
    X(OVERLOADED, overloaded, false, "store: too many checks are under way at the shard of this key")          \
    X(LOST, lost, true, "store: connection lost with the check in flight; it may have been counted")           \
    X(REFUSED, refused, false, "store: the shard refused the check")                                           \
    X(REDIRECTED, redirected, false, "store: too many redirections")                                           \
    X(BAD_REPLY, bad_reply, true, "store: the shard's reply was not understood")                               \
    X(NO_MEMORY, no_memory, false, "store: out of memory")
#define STORE_OUTCOMES(X) X(OK, ok, true, "decided") STORE_FAILURES(X)

enum store_outcome {
#define STORE_OUTCOME_ENUM(name, field, may_have_charged, text) STORE_##name,
    STORE_OUTCOMES(STORE_OUTCOME_ENUM)
#undef STORE_OUTCOME_ENUM
};
const char *store_outcome_text(enum store_outcome outcome);
bool store_outcome_may_have_charged(enum store_outcome outcome);

enum store_progress { STORE_DONE, STORE_PENDING };

struct store_call;
typedef void (*store_done_fn)(struct store_call *call);

struct store_call {
    /* in; texts and charges are read only inside `check`, the part until the call is done */
    const struct quota_part *part; /* its limits */
    struct bucket_name name;
    struct hash128 hash; /* of the name */
    int64_t cost_tokens;
    const int64_t *charges_utok; /* NULL, or what is taken from each limit before anything is decided: it was
                                    granted elsewhere. No level falls below -burst by it. Redis only */
    bool peek;
    int64_t deadline_us; /* monotonic */
    store_done_fn done;
    /* out */
    enum store_outcome outcome;
    struct bucket_verdict verdict;
    /* out, of a pending call alone */
    int64_t done_at_us;          /* monotonic */
    struct bucket_record record; /* when STORE_OK: as it stands now, in this process' monotonic time */
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
