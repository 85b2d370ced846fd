/* sluice.h — ask Sluice: may this caller do this now?
 *
 * One client object talks to one or several frontends and may have any number of checks in flight. It belongs
 * to one thread. There are two ways to use it:
 *
 *   sync:   sluice_open, then sluice_check, sluice_peek, sluice_check_batch, sluice_check_all, sluice_refund,
 *           sluice_reserve, sluice_settle or sluice_ping, each blocking until the answer or the timeout;
 *   libev:  sluice_attach to a loop, then sluice_check_async and friends; answers arrive as callbacks.
 *
 * Errors never crash and never block past the timeout. Link with `pkg-config --libs sluice`. */
#ifndef SLUICE_H
#define SLUICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SLUICE_API __attribute__((visibility("default")))

struct ev_loop;
struct sluice_client;

#define SLUICE_DEFAULT_SERVER "127.0.0.1:7380"
enum {
    SLUICE_DEFAULT_TIMEOUT_MS = 1000,
    SLUICE_DEFAULT_RETRIES = 2,
    SLUICE_NO_RETRIES = -1,
    SLUICE_DEFAULT_LOCAL_KEYS = 16384,
    SLUICE_MESSAGE_BYTES = 256,
    SLUICE_BATCH_MAX = 256,
    SLUICE_IDEMPOTENCY_KEY_BYTES = 64, /* the longest */
    SLUICE_RESERVATION_BYTES = 16,
};

/* Results; the numbers are gRPC's. A deny is SLUICE_OK with allowed == false. */
enum sluice_status {
    SLUICE_OK = 0,
    SLUICE_CANCELLED = 1,          /* the client was closed first */
    SLUICE_UNKNOWN = 2,            /* the frontend sent a status this library does not know */
    SLUICE_INVALID_ARGUMENT = 3,   /* the message names the field and the reason */
    SLUICE_DEADLINE_EXCEEDED = 4,  /* no answer in time; tokens may have been taken */
    SLUICE_NOT_FOUND = 5,          /* no such reservation: settled already, or its time was over */
    SLUICE_RESOURCE_EXHAUSTED = 8, /* the frontend protects itself, or out of memory here */
    SLUICE_UNIMPLEMENTED = 12,
    SLUICE_INTERNAL = 13,
    SLUICE_UNAVAILABLE = 14, /* no frontend, or the frontend could not decide */
};

enum sluice_source {
    SLUICE_SOURCE_NONE, /* no quota matched, or one that is unlimited or banned */
    SLUICE_SOURCE_STORE,
    SLUICE_SOURCE_LEASE,
    SLUICE_SOURCE_DENIED_CACHE,
    SLUICE_SOURCE_LOCAL,
    SLUICE_SOURCE_EMBEDDED,
    SLUICE_SOURCE_CALLER = 64, /* nobody decided: the client's own on_failure. Never said by a frontend */
};

/* What a check, peek or reserve without a decision becomes: when no frontend can be reached or answers in time, the
 * connection is lost, the store behind the frontend cannot decide, or memory is short; that is UNAVAILABLE,
 * DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, and INTERNAL unless a frontend answered so. Other failures, and those
 * of refunds, settlements, pings and sluice_check_all, are always reported: an INVALID_ARGUMENT is a fault to be
 * mended. Retries come first.
 *
 * SLUICE_ON_FAILURE_LOCAL: the client has a token bucket for each (tenant, resource, key), with one limit for
 * all of them, set by the options local_*. A key is granted at most burst + rate * T in any time T by each
 * client object, on top of what frontends granted: the buckets start full and are charged by nothing else. The
 * figures of such a decision are the bucket's, and limit_name is "local". There are places for a fixed number
 * of buckets; one is given away only when it is full again, and the keys without a place share one more
 * ("local_shared"). */
enum sluice_on_failure {
    SLUICE_ON_FAILURE_REPORT, /* its status */
    SLUICE_ON_FAILURE_ALLOW,  /* SLUICE_OK and allowed ... */
    SLUICE_ON_FAILURE_DENY,   /* ... or denied. Source is SLUICE_SOURCE_CALLER, degraded, message says why */
    SLUICE_ON_FAILURE_LOCAL,  /* ... or as a bucket of this client says, see above */
};

/* Which calls are asked of a second frontend when the first one is late; the first decision wins. Late is what
 * takes longer than 95 % of recent calls (known after 100), and at least hedge_after_ms. At most one call in 20
 * is hedged, so that a fleet that is slow as a whole is not asked twice as much. Timeouts stay as they are. */
enum sluice_hedge {
    SLUICE_HEDGE_NOTHING,
    SLUICE_HEDGE_PEEKS,  /* peeks and pings, which take no tokens, and calls with an idempotency key, which take
                            them once */
    SLUICE_HEDGE_CHECKS, /* checks and batches too: one that both frontends decide IS CHARGED TWICE, on average
                            up to 5 % more tokens. Nobody gets more than the limit by it, but callers get less */
};

/* All zero means all defaults; new members come at the end. A call that a frontend may have read is never sent
 * again, whatever max_retries is, unless it is a peek or a ping, has an idempotency key (in a batch: each check
 * has one), or is a check and hedge is SLUICE_HEDGE_CHECKS. */
struct sluice_options {
    const char *const *servers; /* "HOST:PORT" or "[V6]:PORT"; NULL: SLUICE_DEFAULT_SERVER. Checks go round */
    size_t n_servers;           /* robin over those that are connected. Copied. */
    uint32_t timeout_ms;        /* for each call, 1 ... 60000; 0: SLUICE_DEFAULT_TIMEOUT_MS */
    int32_t max_retries;        /* of one call, inside its timeout, at most 10; 0: SLUICE_DEFAULT_RETRIES */
    enum sluice_on_failure on_failure;
    /* With SLUICE_ON_FAILURE_LOCAL, else not read: the one limit of all its buckets. */
    uint64_t local_rate_tokens; /* ... per local_period_s; needed. At most 10^7/s, at least 1 per 30 days */
    uint32_t local_period_s;    /* 0: 1 */
    uint32_t local_max_keys; /* places for buckets, of 56 bytes; at most 2^24. 0: SLUICE_DEFAULT_LOCAL_KEYS */
    uint64_t local_burst_tokens; /* at most 10^9; 0: one second's worth of the rate, at least 1 */
    enum sluice_hedge hedge;
    uint32_t hedge_after_ms; /* not before; at most 60000. 0: 1 */
};

/* One check; or whose bucket another call is about, and how many tokens. All pointers are borrowed for the
 * duration of the call that takes it. All zero but for the names is a check of cost 1; new members come at the end.
 *
 * With an idempotency key a call is counted once, however often it is made with that key, at whatever frontend: for
 * five minutes a repeat gets the first answer, `repeated`, and takes nothing. So the client may send it again, see
 * max_retries. A key belongs to its tenant, resource and key; used there for another call, or with other tokens, it
 * is an INVALID_ARGUMENT. Decisions that were `degraded` are not remembered. */
struct sluice_check {
    const void *tenant;
    size_t tenant_len; /* 1 ... 64 */
    const void *resource;
    size_t resource_len; /* 1 ... 128 */
    const void *key;
    size_t key_len; /* 0 ... 256, any bytes */
    uint64_t cost;  /* tokens, 1 ... 10^9; 0 means 1 */
    bool
        at_most; /* checks and peeks: grant what is there, up to the cost and at least 1; deny when nothing is */
    const void *idempotency_key;
    size_t idempotency_key_len; /* 0 ... 64, any bytes; 0: none. Not of peeks, and not in sluice_check_all */
};

/* A check from C strings, cost 1. */
SLUICE_API struct sluice_check sluice_check_of(const char *tenant, const char *resource, const char *key);

struct sluice_decision {
    enum sluice_status status; /* the rest, but for message, is meaningful when this is SLUICE_OK */
    bool allowed;
    bool matched;    /* a quota matched */
    bool degraded;   /* the store was not asked: the frontend decided by itself, or source is the caller */
    bool would_deny; /* allowed, because the quota is in shadow mode; enforced, it would have been denied */
    enum sluice_source source;
    char limit_name[33];                /* the limit that decided */
    uint64_t limit;                     /* its burst, tokens */
    uint64_t remaining;                 /* whole tokens left */
    uint64_t retry_after_us;            /* deny: when to try again */
    uint64_t reset_after_us;            /* when the bucket is full again */
    uint64_t wait_us;                   /* leaky bucket, allow: wait so long before proceeding */
    char message[SLUICE_MESSAGE_BYTES]; /* why, when status is not SLUICE_OK or source is the caller; else "" */
    uint64_t granted; /* tokens that the caller may use: the cost, or fewer with at_most; 0 on deny and peek */
    bool repeated;    /* the answer to an earlier call with this idempotency key */
    bool returned; /* of sluice_check_all: denied, because another check was; granted is then 0, or what could
                         not be given back */
    uint8_t
        reservation_id[SLUICE_RESERVATION_BYTES]; /* of sluice_reserve, when allowed. All zero: nothing is held
                         (`degraded`, or no bucket was asked); settling it is good, and books nothing */
};

/* What becomes of a reservation that is not settled in time. */
enum sluice_on_timeout {
    SLUICE_ON_TIMEOUT_RETURN, /* what was taken is given back */
    SLUICE_ON_TIMEOUT_STAND,  /* what was taken stays taken */
};

struct sluice_reservation {
    uint32_t ttl_ms; /* it can be settled for so long, 1 ... 86400000 */
    enum sluice_on_timeout on_timeout;
};

struct sluice_settlement {
    uint8_t reservation_id[SLUICE_RESERVATION_BYTES]; /* as the decision said */
    uint64_t tokens; /* what was used, 0 ... 10^9; it may be more than was reserved */
};

/* What came of a refund or a settlement. */
struct sluice_booking {
    enum sluice_status status; /* the rest, but for message, is meaningful when this is SLUICE_OK */
    bool matched;              /* a quota matched; else nothing was booked */
    bool repeated;             /* the answer to an earlier call with this idempotency key */
    bool degraded;             /* settlement: nothing was held, so nothing was booked */
    uint64_t returned;   /* whole tokens given back: the least that any limit took up, 0 when one was full */
    uint64_t taken;      /* settlement: whole tokens taken beyond what was reserved; the least of any limit */
    char limit_name[33]; /* the limit with least left now */
    uint64_t limit;      /* its burst, tokens */
    uint64_t remaining;  /* whole tokens left in it */
    char message[SLUICE_MESSAGE_BYTES]; /* why, when status is not SLUICE_OK; else "" */
};

/* Makes a client for blocking use; without options (NULL) it has the defaults. Resolves names (blocking),
 * connects when first asked. Returns NULL with a sentence in `message` (may be NULL) on a bad address, a bad
 * option or no memory. */
SLUICE_API struct sluice_client *sluice_open(const struct sluice_options *options, char *message, size_t cap);

/* The same on the caller's loop, which must outlive the client; only the async calls may be used. */
SLUICE_API struct sluice_client *sluice_attach(struct ev_loop *loop, const struct sluice_options *options,
                                               char *message, size_t cap);

/* Closes and frees; calls still in flight get SLUICE_CANCELLED from inside this function. Nulls the pointer.
 * Must not be called from a callback of the same client. */
SLUICE_API void sluice_close(struct sluice_client **client);

/* Blocking calls, not for use inside a callback. Return decision->status. */
SLUICE_API enum sluice_status sluice_check(struct sluice_client *client, const struct sluice_check *check,
                                           struct sluice_decision *decision);
/* Looks without taking. */
SLUICE_API enum sluice_status sluice_peek(struct sluice_client *client, const struct sluice_check *check,
                                          struct sluice_decision *decision);
/* Independent checks in one round trip, 1 ... SLUICE_BATCH_MAX; decisions[i] answers checks[i], each with its
 * own status. Returns SLUICE_OK when the frontend answered, else the status that all of them got, which
 * on_failure may have turned into SLUICE_OK. */
SLUICE_API enum sluice_status sluice_check_batch(struct sluice_client *client,
                                                 const struct sluice_check *checks, size_t n_checks,
                                                 struct sluice_decision *decisions);
/* All of them, or none: allowed is true of all decisions, or of none, and then nothing stays taken. An error spoils
 * them all. */
SLUICE_API enum sluice_status sluice_check_all(struct sluice_client *client, const struct sluice_check *checks,
                                               size_t n_checks, struct sluice_decision *decisions);
/* Gives `cost` tokens back to every limit of the quota, never above its burst. Returns booking->status; after
 * UNAVAILABLE and DEADLINE_EXCEEDED it may have been booked, unless the message says that nothing was. */
SLUICE_API enum sluice_status sluice_refund(struct sluice_client *client, const struct sluice_check *refund,
                                            struct sluice_booking *booking);
/* Takes the cost as a check does, as an estimate to be settled; decision->reservation_id names it. */
SLUICE_API enum sluice_status sluice_reserve(struct sluice_client *client, const struct sluice_check *check,
                                             const struct sluice_reservation *reservation,
                                             struct sluice_decision *decision);
/* Says what a reservation came to: what was not used is given back, what was used beyond it is taken, be it there
 * or not. `check` is that of the reservation; its cost is not read. SLUICE_NOT_FOUND when there is no such
 * reservation: settled before, or its time is over. Returns booking->status, as sluice_refund. */
SLUICE_API enum sluice_status sluice_settle(struct sluice_client *client, const struct sluice_check *check,
                                            const struct sluice_settlement *settlement,
                                            struct sluice_booking *booking);
/* Asks a frontend for a sign of life. */
SLUICE_API enum sluice_status sluice_ping(struct sluice_client *client, char *message, size_t cap);

/* What a client has counted since it was opened, for its owner's metrics. */
struct sluice_stats {
    uint64_t sent;         /* calls sent to a frontend, again or for the first time, without hedges */
    uint64_t hedged;       /* ... of which a second frontend was asked as well */
    uint64_t hedges_won;   /* ... and that one's decision came first */
    uint64_t late_answers; /* that came when their call was over, and were dropped: after the timeout, or as the
                                second ones of hedged calls */
    uint64_t latency_p95_us; /* of recent calls; 0 while not known, and with SLUICE_HEDGE_NOTHING */
};
SLUICE_API void sluice_stats(const struct sluice_client *client, struct sluice_stats *stats);

/* Called exactly once for each accepted call, from the loop, never before the call that accepted it returned
 * (sluice_close excepted). `decisions` is borrowed for the duration of the callback; for a ping n is 0.
 * `status` is that of the whole call, `message` its sentence. New calls may be made from inside;
 * the loop must not be run from inside. */
typedef void (*sluice_done_fn)(void *arg, enum sluice_status status, const char *message,
                               const struct sluice_decision *decisions, size_t n_decisions);

/* The same of refunds and settlements; `booking` is borrowed likewise. */
typedef void (*sluice_booked_fn)(void *arg, const struct sluice_booking *booking);

/* Each returns true when accepted (done will be called), false when memory is short, n_checks is out of range
 * or the client is being closed (done will not be called). */
SLUICE_API bool sluice_check_async(struct sluice_client *client, const struct sluice_check *check,
                                   sluice_done_fn done, void *arg);
SLUICE_API bool sluice_peek_async(struct sluice_client *client, const struct sluice_check *check,
                                  sluice_done_fn done, void *arg);
SLUICE_API bool sluice_check_batch_async(struct sluice_client *client, const struct sluice_check *checks,
                                         size_t n_checks, sluice_done_fn done, void *arg);
SLUICE_API bool sluice_check_all_async(struct sluice_client *client, const struct sluice_check *checks,
                                       size_t n_checks, sluice_done_fn done, void *arg);
SLUICE_API bool sluice_refund_async(struct sluice_client *client, const struct sluice_check *refund,
                                    sluice_booked_fn done, void *arg);
SLUICE_API bool sluice_reserve_async(struct sluice_client *client, const struct sluice_check *check,
                                     const struct sluice_reservation *reservation, sluice_done_fn done,
                                     void *arg);
SLUICE_API bool sluice_settle_async(struct sluice_client *client, const struct sluice_check *check,
                                    const struct sluice_settlement *settlement, sluice_booked_fn done,
                                    void *arg);
SLUICE_API bool sluice_ping_async(struct sluice_client *client, sluice_done_fn done, void *arg);

SLUICE_API const char *sluice_status_text(enum sluice_status status); /* "UNAVAILABLE"; never NULL */
SLUICE_API const char *sluice_source_text(enum sluice_source source); /* "store"; never NULL */
SLUICE_API const char *sluice_version(void);

#ifdef __cplusplus
}
#endif

#endif
