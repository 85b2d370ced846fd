/* store.h — the shared truth as the limiter sees it: take tokens from a bucket or give them back, now or soon.
 *
 * A store is used by one thread. Each operation works on one record, and either ends at once (STORE_DONE: the
 * call's `outcome` and, when it is STORE_OK, its other results are set, and `done` is never called) or returns
 * STORE_PENDING and calls `done` exactly once later, from the event loop (or from destroy), never before
 * returning, and no later than `deadline_us` plus the loop's latency. The call's memory, and what its pointers
 * point to, is the caller's and must live until then; only where that is said, less.
 *
 *   check  one cost, or a look                  the short way of a single check
 *   take   many costs, or one with more wishes  joined checks; at most so many; idempotency key; reservation
 *   give   tokens back                          refund; settling a reservation
 *   lease  tokens for later, and what is left   a worker's purse, by the rules of lease.h; not of an embedded store */
#ifndef SLUICE_STORE_STORE_H
#define SLUICE_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/base/hash.h"
#include "server/core/bucket.h"
#include "server/core/decision.h"
#include "server/core/lease.h"
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
    X(NO_MEMORY, no_memory, false, "store: out of memory")                                                     \
    X(FULL, full, false, "store: no room to remember an idempotency key or a reservation")
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

enum {
    STORE_MAX_WISHES = 256,
    STORE_FINGERPRINT_BYTES = 16,
    STORE_MEMO_KEY_MAX_BYTES = 64,
    STORE_RESERVATION_ID_BYTES = 16,
};

/* The wish that a call with this idempotency key is done once: the store keeps its answer, also a denial, beside the
 * record, and whoever calls again within `ttl_us` is given that answer and changes nothing. Keys of takes and gives
 * of one record are in one space; each record has its own. A call with a memo may be repeated whatever became of it,
 * also on another frontend. */
struct store_memo {
    struct bytes key;                             /* any 1 to STORE_MEMO_KEY_MAX_BYTES bytes */
    uint8_t fingerprint[STORE_FINGERPRINT_BYTES]; /* of all that was asked for */
    int64_t ttl_us;                               /* at least 1000; kept in milliseconds, rounded up */
};

enum store_answer {
    STORE_FRESH,     /* done now */
    STORE_REPEATED,  /* an earlier call with this key and fingerprint was done; these are its results */
    STORE_KEY_REUSED /* an earlier call with this key had another fingerprint; nothing was done, no results */
};

/* What was taken is noted under `id`, drawn at random by the caller, and may be settled for `ttl_us`. After that the
 * note is gone and what was taken stays taken. Who is to return it then settles it with 0 himself, and asks for a note
 * that lasts somewhat longer. */
struct store_reservation {
    uint8_t id[STORE_RESERVATION_ID_BYTES];
    int64_t ttl_us; /* at least 1000; kept in milliseconds, rounded up */
};

/* What the other records of a check said, which were asked before this one: the limit of theirs that decides. It is kept
 * with the memo, so that whoever repeats the call can be told the same. */
struct store_elsewhere {
    uint32_t limit_id; /* as in struct bucket_limit */
    /* Did all of them allow it? Else this limit denied for the longest, otherwise it has the least left: its figures,
     * down to reset_after_us, and the longest wait of all. The rest is not kept. */
    struct bucket_verdict verdict;
};

struct store_wish {
    int64_t cost_tokens;           /* in: 1 ... BUCKET_MAX_TOKENS */
    struct bucket_verdict verdict; /* out */
};

struct store_take;
typedef void (*store_take_done_fn)(struct store_take *take);

/* Wishes are decided in their order by the rules of bucket_check, at one instant: a later, smaller one may be
 * granted where an earlier one is not. */
struct store_take {
    /* in */
    const struct quota_part *part;
    struct bucket_name name; /* its texts are read only inside `take` */
    struct hash128 hash;     /* of the name */
    struct store_wish *wishes;
    uint32_t n_wishes; /* 1 ... STORE_MAX_WISHES; 1 with any of the next five */
    bool at_most;      /* grant what is there of the cost, in whole tokens and at least 1; when there is none,
                          the denial is that of a cost of 1 */
    const struct store_memo *memo;               /* NULL: none. Its key is read only inside `take` */
    const struct store_reservation *reservation; /* NULL: none. Noted when granted */
    const struct store_elsewhere *elsewhere;     /* NULL: nothing; kept with the memo, so only with one */
    /* Other records have denied it, so this one is not asked: nothing is taken. The denial is kept under the memo's key, if
     * `elsewhere` says whose it was; without that an earlier answer is looked for, and nothing kept. Only with a memo */
    bool is_denied_elsewhere;
    const int64_t
        *charges_utok;   /* as in store_call; taken by a STORE_FRESH one alone, that is not denied elsewhere */
    int64_t deadline_us; /* monotonic */
    store_take_done_fn done;
    /* out */
    enum store_outcome outcome;
    enum store_answer answer; /* STORE_FRESH without a memo */
    /* To all wishes together; 0: all denied. Of an at_most one that is STORE_REPEATED what its first call was granted, which
     * may have wished for more */
    int64_t granted_tokens;
    uint8_t reservation_id[STORE_RESERVATION_ID_BYTES]; /* when granted: of the first call, if repeated */
    /* out, of a STORE_REPEATED one: `elsewhere` of its first call. When that denied, it was the answer, and the wish's
     * verdict says no more than that it is denied */
    bool has_earlier;
    struct store_elsewhere earlier;
    /* out, of a pending call that was STORE_FRESH */
    int64_t done_at_us;          /* monotonic; of every pending call */
    struct bucket_record record; /* as it stands now, in this process' monotonic time */
};

struct store_give;
typedef void (*store_give_done_fn)(struct store_give *give);

/* Every limit of the record gains the same, but no level rises above its burst less what leases may hold, nor falls
 * below -burst. A refund is taken to be of what was spent out of leases and not told yet, as far as there is such: they
 * hold that much less, and it finds room at once (core/lease.h). */
struct store_give {
    /* in */
    const struct quota_part *part;
    struct bucket_name name; /* its texts are read only inside `give` */
    struct hash128 hash;     /* of the name */
    /* Without a reservation: what is given back; negative: taken, whatever the levels are. With one: what was spent of
     * it; the record gains what was reserved less that, and the note is gone. At most BUCKET_MAX_TOKENS, either way */
    int64_t tokens;
    const uint8_t *reservation_id; /* NULL, or STORE_RESERVATION_ID_BYTES */
    bool is_refund; /* of what was spent; not of what was taken from this record itself for nothing */
    const struct store_memo *memo; /* NULL: none. Its key is read only inside `give` */
    int64_t deadline_us;           /* monotonic */
    store_give_done_fn done;
    /* out */
    enum store_outcome outcome;
    enum store_answer answer;
    bool is_unknown;         /* there is no such reservation (any more); nothing was done, no further results */
    int64_t reserved_tokens; /* of the reservation */
    int64_t booked_utok;     /* gain, after the bounds, of the limit that gained or lost the least */
    struct bucket_verdict verdict; /* limit_index is that with the least left; with what is left, reset, full */
    /* out, of a pending call that was STORE_FRESH and not unknown */
    int64_t done_at_us;          /* monotonic; of every pending call */
    struct bucket_record record; /* as it stands now, in this process' monotonic time */
};

struct store_lease;
typedef void (*store_lease_done_fn)(struct store_lease *lease);

/* One that is lost may have been done: what its wish told is not told again. */
struct store_lease {
    /* in */
    const struct quota_part *part; /* of token buckets */
    struct bucket_name name;       /* its texts are read only inside `lease` */
    struct hash128 hash;           /* of the name */
    struct lease_wish wish;
    const int64_t *charges_utok; /* as in store_call */
    int64_t deadline_us;         /* monotonic */
    store_lease_done_fn done;
    /* out */
    enum store_outcome outcome;
    struct lease_grant grant;
    int64_t done_at_us;          /* monotonic */
    struct bucket_record record; /* as it stands after the grant, in this process' monotonic time */
};

struct store;

struct store_ops {
    enum decision_source source; /* DECISION_STORE or DECISION_EMBEDDED */
    enum store_progress (*check)(struct store *store, struct store_call *call, int64_t now_us);
    enum store_progress (*take)(struct store *store, struct store_take *take, int64_t now_us);
    enum store_progress (*give)(struct store *store, struct store_give *give, int64_t now_us);
    enum store_progress (*lease)(struct store *store, struct store_lease *lease,
                                 int64_t now_us); /* may be NULL */
    bool (*is_ready)(const struct store *store);  /* can it decide for every key at this moment? */
    void (*destroy)(struct store *store);         /* pending calls are done as STORE_DOWN; frees the store */
};

/* First member of every store. */
struct store {
    const struct store_ops *ops;
};

static inline enum store_progress store_check(struct store *store, struct store_call *call, int64_t now_us) {
    return store->ops->check(store, call, now_us);
}

static inline enum store_progress store_take(struct store *store, struct store_take *take, int64_t now_us) {
    return store->ops->take(store, take, now_us);
}

static inline enum store_progress store_give(struct store *store, struct store_give *give, int64_t now_us) {
    return store->ops->give(store, give, now_us);
}

/* Of a store whose source is DECISION_STORE. */
static inline enum store_progress store_lease(struct store *store, struct store_lease *lease, int64_t now_us) {
    return store->ops->lease(store, lease, now_us);
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
