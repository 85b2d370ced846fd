/* client_local.h — the caller's own buckets, which decide when no frontend does.
 *
 * One limit, one bucket for each (tenant, resource, key), in a number of bytes that is fixed when they are
 * made. A bucket is forgotten only when it is full again. A key without a place shares one more bucket with all
 * others that have none; when it gets a place, its own bucket starts with what is left in that one. So nothing
 * ever refills but time: in any time T a key is granted at most burst + rate * T, however many keys there are.
 * Reads no clock. One thread. */
#ifndef SLUICE_CLIENT_CLIENT_LOCAL_H
#define SLUICE_CLIENT_CLIENT_LOCAL_H

#include <stdbool.h>
#include <stdint.h>

#include "client/sluice.h"
#include "server/base/hash.h"
#include "server/core/bucket.h"

struct client_local;

/* What is left of a check when its texts are gone: whose bucket, and how much. */
struct client_local_ask {
    struct hash128 hash;
    int64_t cost_tokens;
    bool at_most;
};

/* Buckets for about `max_keys` keys, all full; NULL when memory is short. */
struct client_local *client_local_create(const struct bucket_limit *limit, uint64_t max_keys);
void client_local_destroy(struct client_local **local);

/* Of any check. The texts of one that is too long to be valid are not read; it will be denied. */
struct client_local_ask client_local_ask_of(const struct client_local *local, const struct sluice_check *check);

/* The tokens it asks for; more than any burst when that is not valid. */
int64_t client_local_cost(const struct sluice_check *check);

/* Decides, and takes the tokens unless it denies or `is_peek`. Sets `allowed` and the figures of `decision`;
 * the limit is named "local", or "local_shared" when the key had no place. */
void client_local_decide(struct client_local *local, const struct client_local_ask *ask, bool is_peek,
                         int64_t now_us, struct sluice_decision *decision);

#endif
