/* judge.h — a quota set deciding requests in virtual time, as a frontend with the embedded store would.
 *
 *   limiter -> embedded store
 *
 * One thread; asks nobody and reads no clock. Several judges know nothing of each other's buckets. */
#ifndef SLUICE_CLIENT_CMD_JUDGE_H
#define SLUICE_CLIENT_CMD_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/base/status.h"
#include "server/core/decision.h"
#include "server/core/quota_set.h"

struct judge;

struct judge_request {
    struct bytes tenant, resource, key;
    int64_t cost_tokens; /* 1 ... BUCKET_MAX_TOKENS */
};

/* Holds the quotas; has room for about `max_keys` keys with buckets of their own. NULL with a sentence. */
struct judge *judge_create(struct quota_set *quotas, uint64_t max_keys, struct status *status);
/* Nulls the pointer; NULL inside is fine. */
void judge_destroy(struct judge **judge);

/* False when memory is too short to decide. The decision's limit_name is borrowed from the quotas. */
bool judge_decide(struct judge *judge, const struct judge_request *request, int64_t now_us,
                  struct decision *decision) __attribute__((warn_unused_result));
/* Whether the quota says no; in shadow mode, whether it would. */
bool judge_denies(const struct decision *decision);

/* Decisions that shared a bucket, since there were more keys than room. */
uint64_t judge_n_shared(const struct judge *judge);

#endif
