/* embedded_store.c — a store inside the process; see embedded_store.h. */
#include "server/store/embedded_store.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/ensure.h"
#include "server/base/hash.h"
#include "server/core/table.h"

struct embedded_store {
    struct store store;
    struct table *table;
    struct bucket_record *overflow; /* by quota index */
    uint32_t n_overflow;
    uint64_t seed;
    struct embedded_metrics *metrics;
};

/* Tenant and resource are preceded by their lengths, so that no two triples look alike. */
static struct hash128 hash_call(const struct embedded_store *embedded, const struct store_call *call) {
    uint8_t
        text[QUOTA_TENANT_MAX_BYTES + QUOTA_RESOURCE_MAX_BYTES + QUOTA_KEY_MAX_BYTES + 3 * sizeof(uint32_t)];
    size_t n = 0;
    const struct bytes *parts[] = {&call->tenant, &call->resource, &call->key};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        uint32_t len = (uint32_t)parts[i]->len;
        ensure(n + sizeof len + len, <=, sizeof text);
        memcpy(text + n, &len, sizeof len);
        n += sizeof len;
        if (len > 0) {
            memcpy(text + n, parts[i]->data, len);
        }
        n += len;
    }
    return hash_bytes_wide(text, n, embedded->seed);
}

/* The shared bucket of a quota whose key found no place; NULL when memory is short. */
static struct bucket_record *overflow_record(struct embedded_store *embedded, uint32_t quota_index) {
    if (quota_index >= embedded->n_overflow) {
        uint32_t n = quota_index + 1;
        struct bucket_record *records = realloc(embedded->overflow, n * sizeof *records);
        if (records == NULL) {
            return NULL;
        }
        memset(records + embedded->n_overflow, 0, (n - embedded->n_overflow) * sizeof *records);
        embedded->overflow = records;
        embedded->n_overflow = n;
    }
    return &embedded->overflow[quota_index];
}

static void decide(struct store_call *call, struct bucket_record *record, int64_t now_us) {
    bucket_check(record, call->quota->limits, call->quota->n_limits, call->cost_tokens, now_us, call->peek,
                 &call->verdict);
    call->outcome = STORE_OK;
}

static enum store_progress embedded_check(struct store *store, struct store_call *call, int64_t now_us) {
    struct embedded_store *embedded = (struct embedded_store *)(void *)store;
    struct hash128 hash = hash_call(embedded, call);
    bool known;
    struct table_slot *slot = table_find(embedded->table, hash, now_us, &known);
    if (slot == NULL) {
        struct bucket_record *shared = overflow_record(embedded, call->quota->index);
        if (shared == NULL) {
            call->outcome = STORE_NO_MEMORY;
            return STORE_DONE;
        }
        metric_inc(&embedded->metrics->overflowed);
        decide(call, shared, now_us);
        return STORE_DONE;
    }
    struct bucket_record record = {0};
    if (known) {
        table_load(slot, &record);
    }
    decide(call, &record, now_us);
    if (call->verdict.changed) {
        table_save(embedded->table, slot, hash, &record, now_us + call->verdict.full_after_us);
    }
    return STORE_DONE;
}

static bool embedded_is_ready(const struct store *store) {
    (void)store;
    return true;
}

static void embedded_destroy(struct store *store) {
    struct embedded_store *embedded = (struct embedded_store *)(void *)store;
    table_destroy(&embedded->table);
    free(embedded->overflow);
    free(embedded);
}

struct store *embedded_store_create(uint64_t max_keys, uint32_t max_limits, struct embedded_metrics *metrics,
                                    struct status *status) {
    static const struct store_ops ops = {
        .source = DECISION_EMBEDDED,
        .check = embedded_check,
        .is_ready = embedded_is_ready,
        .destroy = embedded_destroy,
    };
    struct embedded_store *embedded = malloc(sizeof *embedded);
    if (embedded == NULL) {
        status_fail(status, "embedded store: out of memory");
        return NULL;
    }
    *embedded = (struct embedded_store){.store.ops = &ops, .seed = hash_random_seed(), .metrics = metrics};
    embedded->table = table_create(max_keys, max_limits > 0 ? max_limits : 1);
    if (embedded->table == NULL) {
        status_fail(status, "embedded store: out of memory for %llu keys (embedded_keys)",
                    (unsigned long long)max_keys);
        embedded_destroy(&embedded->store);
        return NULL;
    }
    return &embedded->store;
}
