/* limiter.h — allow or deny: finds the quota of a check, has each of its records decide, and answers for all of them.
 *
 *   limiter_check ─ quota_set_find ─ none → the set's default, done; unlimited or banned → done
 *                 ├ hotkeys_count: which keys are hot, and who decided on them
 *                 │     (so far limiter_decide goes as well, which takes no call; and to the key's own record, when that
 *                 │     is the only one and the answer is here already: nearly every check of a key that is hot)
 *                 ├ the records that many keys share, all at once ┐ accounts.h: from a lease, from a denial that
 *                 ├ then the key's own record                     ┘ still stands, or from the store
 *                 │     └─ the store failed → what the quota says: a local bucket, allow or deny
 *                 └ one that denies → the others get back what they gave: all or nothing
 *
 * What is to happen once (an idempotency key, a reservation) is noted beside the quota's first record, by the same
 * script that takes the tokens; so is, of a call with a key, a denial by the other records. See bookings.c. A quota in
 * shadow mode is decided like any other, and what came of it is then allowed.
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
#include "server/limit/accounts.h"
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
    X(allowed_lease, METRIC_COUNTER, "sluice_decisions_total", "decision=\"allow\",source=\"lease\"", "")      \
    X(denied_lease, METRIC_COUNTER, "sluice_decisions_total", "decision=\"deny\",source=\"lease\"", "")        \
    X(denied_denied_cache, METRIC_COUNTER, "sluice_decisions_total",                                           \
      "decision=\"deny\",source=\"denied_cache\"", "")                                                         \
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
    X(would_deny, METRIC_COUNTER, "sluice_would_deny_total", "",                                               \
      "Checks that were allowed because their quota is in shadow mode")                                        \
    X(hot_keys, METRIC_GAUGE, "sluice_hot_keys", "", "Keys that are hot now")                                  \
    X(peeks, METRIC_COUNTER, "sluice_peeks_total", "", "Peeks answered; they take no tokens")                  \
    X(refunds, METRIC_COUNTER, "sluice_bookings_total", "call=\"refund\"",                                     \
      "Refunds and settlements that were booked, and reservations that went back when their time was over")    \
    X(settlements, METRIC_COUNTER, "sluice_bookings_total", "call=\"settle\"", "")                             \
    X(timeouts, METRIC_COUNTER, "sluice_bookings_total", "call=\"timeout\"", "")                               \
    X(not_returned, METRIC_COUNTER, "sluice_reservations_not_returned_total", "",                              \
      "Reservations that stand although they were to go back: memory was short, or the store out of reach "    \
      "for too long")                                                                                          \
    X(repeated, METRIC_COUNTER, "sluice_repeated_total", "",                                                   \
      "Calls answered as before, by their idempotency key")                                                    \
    X(undecided, METRIC_COUNTER, "sluice_undecided_total", "",                                                 \
      "Checks and peeks that nobody could decide, for want of memory")

struct limiter_metrics {
    LIMITER_METRICS(METRIC_FIELD)
    struct accounts_metrics accounts;
};

struct limiter_options {
    int64_t store_timeout_us;  /* at most; of a request's own time the store gets no more than three quarters */
    uint64_t seed;             /* of bucket_name.h, the same for all limiters that share a fallback */
    struct fallback *fallback; /* borrowed; NULL: the store is one that does not fail */
    struct hotkeys *hotkeys;   /* borrowed; NULL: nobody wants to know */
};

enum limiter_kind { LIMITER_CHECK, LIMITER_PEEK, LIMITER_REFUND, LIMITER_RESERVE, LIMITER_SETTLE };

/* Why a call is refused: name, sentence for the caller. */
#define LIMITER_REFUSALS(X)                                                                                    \
    X(NOT_FOUND, "reservation_id: unknown, settled already, or timed out")                                     \
    X(KEY_REUSED, "idempotency_key: was used with another request")

/* A plain check: it takes all of its cost or nothing, and nothing is noted of it. */
struct limiter_query {
    struct bytes tenant, resource, key;
    int64_t cost_tokens; /* 1 ... BUCKET_MAX_TOKENS */
};

/* What was found out about a check on the way to its decision. */
struct limiter_found {
    const struct quota *quota; /* NULL: none matches */
    struct hash128 key_hash;   /* of the key's own bucket; of a quota that has buckets */
    bool is_counted;           /* the key was counted: */
    struct hotkeys_count count;
};

enum limiter_outcome {
    LIMITER_DECIDED,   /* `decision` stands, or `booking` */
    LIMITER_UNDECIDED, /* the store failed and nobody stood in for it: store_outcome says why */
#define LIMITER_OUTCOME_ENUM(name, text) LIMITER_##name,
    LIMITER_REFUSALS(LIMITER_OUTCOME_ENUM)
#undef LIMITER_OUTCOME_ENUM
};
/* Of a refusal. */
const char *limiter_outcome_text(enum limiter_outcome outcome);

#define LIMITER_MEMO_US INT64_C(300000000) /* for so long a call with an idempotency key is not done again */
enum { LIMITER_MAX_RETURNS = 65536 };      /* reservations that are to go back, of one worker */

/* What a refund or a settlement has come to. */
struct limiter_booking {
    bool matched;           /* a quota matched; else nothing was booked */
    bool repeated;          /* the answer to an earlier call with this idempotency key */
    const char *limit_name; /* of the limit with the least left now; "" when none; until `done` returns */
    int64_t limit_tokens, remaining_tokens; /* of it */
    int64_t returned_tokens;                /* the least that a limit took up, in whole tokens */
    int64_t taken_tokens; /* of a settlement beyond the estimate: the least that a limit gave */
};

struct limiter_call;
typedef void (*limiter_done_fn)(struct limiter_call *call);

struct limiter_call {
    /* in; the bytes are read only inside limiter_check */
    struct bytes tenant, resource, key;
    enum limiter_kind kind;
    int64_t cost_tokens;          /* 1 ... BUCKET_MAX_TOKENS; of a settlement what was used, 0 ... */
    bool at_most;                 /* of a check: grant what is there of the cost, at least 1 */
    struct bytes idempotency_key; /* at most STORE_MEMO_KEY_MAX_BYTES; empty: none. Not of a peek */
    /* of a reservation its new id, drawn at random, which becomes the first call's when it is repeated; of a settlement
     * that which is settled */
    uint8_t reservation[STORE_RESERVATION_ID_BYTES];
    int64_t ttl_us; /* of a reservation: it can be settled for so long */
    bool
        returns_on_timeout; /* ... and goes back then; else it stands. Should the frontend end before, it stands */
    bool is_undo; /* a refund of what this limiter granted a moment ago, by a decision with these two: */
    enum decision_source undo_source;
    bool undo_is_from_purse;
    int64_t deadline_us;
    limiter_done_fn done;
    bool is_found; /* limiter_decide has just left this check to be asked about, and found this: */
    struct limiter_found found;
    /* out */
    enum limiter_outcome outcome;
    enum store_outcome store_outcome; /* when LIMITER_UNDECIDED */
    struct decision decision;         /* of check, peek and reserve; its limit_name until `done` returns */
    struct limiter_booking booking;   /* of refund and settle */
    /* the limiter's own while pending */
    struct limiter *limiter;
    const struct quota *quota;
    struct quota_set *held;
    struct limiter_names {
        struct bytes tenant, resource, key, idempotency_key;
    } names;         /* the caller's bytes, or copies beside the claims or the booking */
    uint32_t hotkey; /* the handle of the key's entry, or 0 */
    uint32_t n_pending;
    bool is_degraded; /* counted as such */
    bool is_at_first; /* the other parts of the quota have granted */
    int64_t store_deadline_us;
    struct claim *claims;         /* one of each part, in their order: `claim`, or an array */
    struct look *looks;           /* peeks.c's */
    struct booking *booking_call; /* bookings.c's */
    struct claim claim;           /* need not be set to anything before */
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

/* Are these names those that were asked for last? Then they are as good as those were. */
bool limiter_knows(const struct limiter *limiter, struct bytes tenant, struct bytes resource);

/* Decides a plain check that takes no question to the store: true, and `decision` is set; the name in it is the
 * quota's. False: whatever is done now, limiter_check is to be the next, of the same check at the same time, with
 * `found`. */
bool limiter_decide(struct limiter *limiter, const struct limiter_query *query, int64_t now_us,
                    struct limiter_found *found, struct decision *decision) __attribute__((warn_unused_result));

/* DONE: the call's out fields are set, `done` is never called. PENDING: `done` is called exactly once, later,
 * and the call must live until then. */
enum limiter_progress limiter_check(struct limiter *limiter, struct limiter_call *call, int64_t now_us);

/* A bucket was filled by an operator: what is known of it here does not hold any more. */
void limiter_forget(struct limiter *limiter, struct hash128 hash);

/* Once in every turn of the loop. */
void limiter_tick(struct limiter *limiter, int64_t now_us);
/* The worker is about to end: leases go back, and none are taken any more. */
void limiter_drain(struct limiter *limiter, int64_t now_us);

#endif
