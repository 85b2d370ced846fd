/* feed.h — follows the quotas in Redis: what to ask next, and what an answer means for the set in force.
 *
 *   LOOK ─ last change ─> SCAN ─ page after page ─> CATCH_UP ─ what changed meanwhile ─> a whole new set
 *    ^                      └─ none at all ─> SEED ─> LOOK                                     v
 *    └───────────── the last entry read is not there any more ─────────── CHECK <── changes ── FOLLOW
 *                                                                           └── a new set ──────^
 *
 * Each answer to FOLLOW counts only when CHECK finds in Redis, byte by byte, the entry that was read last: if that
 * was trimmed away, or lost by a failover, or the stream is another one, everything is read anew, and the store wins.
 * Until a new set is complete the last one stays, whatever happens. A stored quota that cannot be read, because it
 * is damaged or of a newer version, leaves the one before it in force. The changes of one answer are one new set.
 *
 * Pure: no I/O, time is an argument (monotonic microseconds). One thread. */
#ifndef SLUICE_QUOTA_FEED_H
#define SLUICE_QUOTA_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/buf.h"
#include "server/base/bytes.h"
#include "server/base/metric.h"
#include "server/core/quota_set.h"
#include "server/quota/ledger.h"
#include "server/store/redis_reply.h"

#define FEED_METRICS(X)                                                                                        \
    X(changes, METRIC_COUNTER, "sluice_quota_changes_total", "", "Changes of quotas that were followed")       \
    X(resyncs, METRIC_COUNTER, "sluice_quota_resyncs_total", "", "Times that all quotas were read from Redis") \
    X(unreadable, METRIC_COUNTER, "sluice_quota_unreadable_total", "",                                         \
      "Quotas found in Redis that could not be read, so that the ones before them stay")                       \
    X(from_file, METRIC_GAUGE, "sluice_quota_source", "source=\"file\"",                                       \
      "1 for where the quotas in force come from")                                                             \
    X(from_snapshot, METRIC_GAUGE, "sluice_quota_source", "source=\"snapshot\"", "")                           \
    X(from_store, METRIC_GAUGE, "sluice_quota_source", "source=\"store\"", "")

struct feed_metrics {
    FEED_METRICS(METRIC_FIELD)
};

#define FEED_BLOCK_MS INT64_C(2000)          /* how long Redis waits for the next change */
#define FEED_TIMEOUT_US INT64_C(1000000)     /* for an answer, beside that */
#define FEED_BACKOFF_MIN_US INT64_C(50000)   /* give or take a half, doubled with each failure ... */
#define FEED_BACKOFF_MAX_US INT64_C(2000000) /* ... up to this */
#define FEED_SEED_LOOK_US INT64_C(250000)    /* how often to look whether another's seed is complete */
#define FEED_SEED_STUCK_US INT64_C(5000000)  /* without progress for so long, it is stuck */

enum { FEED_PAGE_FIELDS = 2000, FEED_READ_ENTRIES = 500, FEED_MAX_WORDS = 8, FEED_ID_BYTES = 44 };

enum feed_state { FEED_LOOK, FEED_SCAN, FEED_CATCH_UP, FEED_FOLLOW, FEED_CHECK, FEED_SEED };

/* A bucket was filled by an operator. */
typedef void (*feed_reset_fn)(void *arg, const struct ledger_entry *entry);

struct feed_options {
    struct quota_set *set;  /* the first one in force */
    struct quota_set *seed; /* what a store without quotas is given; NULL: nothing */
    bool is_snapshot;       /* `set` comes from one */
    struct bytes from;      /* the address of this frontend, for the audit; borrowed */
    struct feed_metrics *metrics;
    feed_reset_fn on_reset;
    void *arg;
    uint64_t jitter_seed; /* random */
};

struct feed;

/* Holds the sets, borrows the metrics. NULL when memory is short. Destroy nulls the pointer. */
struct feed *feed_create(const struct feed_options *options);
void feed_destroy(struct feed **feed);

struct feed_question {
    int64_t wait_us;  /* ask after so long */
    bool is_seed;     /* a call of quota_put.lua with words[0] as its argument; else a command */
    uint32_t n_words; /* 0: memory is short; wait and come again */
    struct bytes words[FEED_MAX_WORDS]; /* borrowed until the answer is told */
    int64_t timeout_us;
};

/* What to ask next. Then, before the next question, feed_take or feed_fail must be told. */
void feed_ask(struct feed *feed, struct feed_question *question);
/* The answer, and a number that differs for different nodes. True when there is a new set in force. */
bool feed_take(struct feed *feed, const struct redis_reply *reply, uintptr_t node, int64_t now_us)
    __attribute__((warn_unused_result));
/* There was no answer. */
void feed_fail(struct feed *feed);

/* The set in force; borrowed until the next answer. */
struct quota_set *feed_set(const struct feed *feed);
/* Were the quotas ever read from Redis? */
bool feed_is_synced(const struct feed *feed);

#endif
