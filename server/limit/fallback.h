/* fallback.h — this frontend's own buckets, which decide when the store cannot.
 *
 * One for the process: its share of a key's tokens is the same whichever worker a caller is connected to. Any
 * thread may call anything; buckets are locked by stripes.
 *
 * The rule: N frontends are alive, each cut off, and each takes the others to admit what it admits itself. So a
 * bucket here is a picture of the WHOLE bucket, with the quota's own rate and burst, and a check of cost c that
 * is admitted here charges N x c. Which comes to a bucket of rate / N and burst / N, without fractions to round,
 * and N may change at any time. A bucket begins as the store showed it last, or full when it never did.
 *
 *   all N cut off       in any T, over the fleet: burst + rate * T, burst being at least N x c (see below)
 *   M of N cut off      these admit at most M / N of that, beside what the store admits
 *
 * Where N x c is above the burst, the share of the burst would never pay for the check: then, and for this check
 * only, the bucket may fill up to N x c. Counted from when the store was lost, burst + rate * T holds even so.
 *
 * A window has no rate to save up by: where its share does not pay for the check, the check is denied. Its calendar is
 * that of the store, as it was told with the last record; the time of a record noted here stays where it was in that.
 *
 * What is admitted here is remembered as a debt: `spent`. Once the store has decided a check of the key, it is
 * told with the next one, for each limit, min(spent, (burst - level) / N): what still lacks to a full bucket,
 * since the rest has come back here and would have come back there. What is granted within a quarter of a second after
 * the store was heard is told in full: it is there again, fills up, and others may spend there what comes back here.
 * The first check after one that went unanswered tells nothing: many of those are lost with a store that is still
 * failing, and a debt with each would be lost too.
 *
 * Memory is a fixed number of bytes: a key that finds no place shares one bucket of its quota with its like (whose
 * debt is not told), and nothing is forgotten that is not full again. */
#ifndef SLUICE_LIMIT_FALLBACK_H
#define SLUICE_LIMIT_FALLBACK_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/hash.h"
#include "server/base/metric.h"
#include "server/core/bucket.h"
#include "server/core/quota.h"

#define FALLBACK_METRICS(X)                                                                                    \
    X(overflowed, METRIC_COUNTER, "sluice_fallback_overflowed_total", "",                                      \
      "Local decisions by a bucket that keys without a place of their own share")                              \
    X(fleet_size, METRIC_GAUGE, "sluice_fleet_size", "",                                                       \
      "Frontends that a local bucket takes to be alive; its share is one of so many")

struct fallback_metrics {
    FALLBACK_METRICS(METRIC_FIELD)
};

enum { FALLBACK_MIN_KEYS = 1024, FALLBACK_MAX_FLEET = 1000 };

struct fallback;

/* Room for about `max_keys` keys (at least FALLBACK_MIN_KEYS) of up to `max_limits` limits. N is 1 until somebody
 * says otherwise. NULL when memory is short. */
struct fallback *fallback_create(uint64_t max_keys, uint32_t max_limits);
/* Makes room for limits that quotas to come may have, forgetting nothing; no decision waits longer than a small part
 * of the table takes to copy. False when memory is short: then keys of quotas with more limits share the overflow
 * buckets. */
bool fallback_widen(struct fallback *fallback, uint32_t max_limits) __attribute__((warn_unused_result));
/* Nobody may be using it any more. Nulls the pointer. */
void fallback_destroy(struct fallback **fallback);

/* N, clamped to 1 ... FALLBACK_MAX_FLEET. */
void fallback_set_fleet_size(struct fallback *fallback, uint32_t fleet_size);
/* What is to be added to this process' monotonic time for Unix time, until the store tells better. */
void fallback_set_calendar(struct fallback *fallback, int64_t calendar_us);
const struct fallback_metrics *fallback_metrics(const struct fallback *fallback);

/* The store has decided, and in `record` is what stands there, in this process' monotonic time; in
 * `full_after_us` it is full again. Records are named by the hash of bucket_name.h, of one seed in the process. */
void fallback_note(struct fallback *fallback, struct hash128 hash, const struct quota_part *part,
                   const struct bucket_record *record, int64_t full_after_us, int64_t now_us);

/* The store cannot decide. Figures of the verdict are as bucket.h says, but remaining_utok is this frontend's
 * share. */
void fallback_check(struct fallback *fallback, struct hash128 hash, const struct quota_part *part,
                    int64_t cost_tokens, int64_t now_us, bool peek, struct bucket_verdict *verdict);

/* So much of what was granted here is not needed: it goes back, and is owed no more. */
void fallback_give_back(struct fallback *fallback, struct hash128 hash, const struct quota_part *part,
                        int64_t tokens, int64_t now_us);

/* What the store is to be told of a key: `spent_utok` was granted here, for which so much is charged to each limit
 * of the part. */
struct fallback_debt {
    int64_t spent_utok;
    int64_t charges_utok[BUCKET_MAX_LIMITS];
};

/* Takes the key's debt, to be told with the check that is about to be made. False when there is nothing to tell,
 * or the store has not decided the key's last check. */
bool fallback_take_debt(struct fallback *fallback, struct hash128 hash, const struct quota_part *part,
                        int64_t now_us, struct fallback_debt *debt);
/* The store let a check of this key go unanswered: it is told no debt until it has decided one again. */
void fallback_doubt(struct fallback *fallback, struct hash128 hash, int64_t now_us);
/* The store was certainly not told. */
void fallback_return_debt(struct fallback *fallback, struct hash128 hash, int64_t spent_utok, int64_t now_us);

/* Whatever is known of the key is forgotten, what it owes as well: its bucket is full. */
void fallback_forget(struct fallback *fallback, struct hash128 hash, int64_t now_us);

#endif
