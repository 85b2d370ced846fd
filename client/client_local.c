/* client_local.c — the caller's own buckets; see client_local.h. The arithmetic is core/bucket's, the places
 * are core/table's. */
#include "client/client_local.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/wire.h"
#include "server/core/table.h"

#define ABOVE_EVERY_BURST (BUCKET_MAX_TOKENS + 1)

struct client_local {
    struct bucket_limit limit;
    struct table *table;
    struct bucket_record shared; /* of all keys without a place */
    uint64_t seed;
};

struct client_local *client_local_create(const struct bucket_limit *limit, uint64_t max_keys) {
    struct client_local *local = malloc(sizeof *local);
    if (local == NULL) {
        return NULL;
    }
    *local = (struct client_local){.limit = *limit, .table = table_create(max_keys, 1)};
    if (local->table == NULL) {
        client_local_destroy(&local);
        return NULL;
    }
    local->seed = hash_random_seed();
    return local;
}

void client_local_destroy(struct client_local **local) {
    if (*local != NULL) {
        table_destroy(&(*local)->table);
        free(*local);
    }
    *local = NULL;
}

int64_t client_local_cost(const struct sluice_check *check) {
    uint64_t cost = check->cost > 0 ? check->cost : 1;
    return cost <= BUCKET_MAX_TOKENS ? (int64_t)cost : ABOVE_EVERY_BURST;
}

/* What is granted of what is asked for: with at_most what is there, at least 1. */
static int64_t grantable(const struct bucket_record *record, const struct bucket_limit *limit,
                         const struct client_local_ask *ask, int64_t now_us) {
    struct bucket_record look = *record;
    struct bucket_verdict verdict;
    if (!ask->at_most) {
        return ask->cost_tokens;
    }
    bucket_check(&look, limit, 1, 1, now_us, true, &verdict);
    int64_t there = verdict.remaining_utok / BUCKET_UTOK_PER_TOKEN;
    there = there > 1 ? there : 1;
    return ask->cost_tokens < there ? ask->cost_tokens : there;
}

/* Each text is hashed with the hash of those before it as the seed, so that no two triples look alike. */
struct client_local_ask client_local_ask_of(const struct client_local *local,
                                            const struct sluice_check *check) {
    if (check->tenant_len > WIRE_TENANT_MAX_BYTES || check->resource_len > WIRE_RESOURCE_MAX_BYTES ||
        check->key_len > WIRE_KEY_MAX_BYTES) {
        return (struct client_local_ask){.cost_tokens = ABOVE_EVERY_BURST};
    }
    uint64_t tenant = hash_bytes(check->tenant, check->tenant_len, local->seed);
    uint64_t resource = hash_bytes(check->resource, check->resource_len, tenant);
    return (struct client_local_ask){
        .hash = hash_bytes_wide(check->key, check->key_len, resource),
        .cost_tokens = client_local_cost(check),
        .at_most = check->at_most,
    };
}

void client_local_decide(struct client_local *local, const struct client_local_ask *ask, bool is_peek,
                         int64_t now_us, struct sluice_decision *decision) {
    struct bucket_record own = local->shared; /* where a key that had no place comes from */
    struct bucket_verdict verdict;
    bool is_known = false;
    struct table_slot *slot = table_find(local->table, ask->hash, now_us, &is_known);
    struct bucket_record *record = slot != NULL ? &own : &local->shared;
    if (is_known) {
        table_load(slot, &own);
    }
    int64_t cost_tokens = grantable(record, &local->limit, ask, now_us);
    bucket_check(record, &local->limit, 1, cost_tokens, now_us, is_peek, &verdict);
    if (slot != NULL && verdict.changed) {
        table_save(local->table, slot, ask->hash, record, now_us + verdict.full_after_us);
    }
    decision->allowed = verdict.allowed;
    decision->granted = verdict.allowed && !is_peek ? (uint64_t)cost_tokens : 0;
    decision->limit = (uint64_t)(local->limit.burst_utok / BUCKET_UTOK_PER_TOKEN);
    decision->remaining = (uint64_t)(verdict.remaining_utok / BUCKET_UTOK_PER_TOKEN);
    decision->retry_after_us = (uint64_t)verdict.retry_after_us;
    decision->reset_after_us = (uint64_t)verdict.reset_after_us;
    snprintf(decision->limit_name, sizeof decision->limit_name, "%s", slot != NULL ? "local" : "local_shared");
}
