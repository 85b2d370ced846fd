/* embedded_store.c — a store inside the process; see embedded_store.h. */
#include "server/store/embedded_store.h"

#include <stdlib.h>

#include "server/core/overflow.h"
#include "server/core/table.h"

struct embedded_store {
    struct store store;
    struct table *table;
    struct overflow overflow;
    struct embedded_metrics *metrics;
    int64_t calendar_us;
};

static void decide(const struct embedded_store *embedded, struct store_call *call, struct bucket_record *record,
                   int64_t now_us) {
    record->calendar_us = embedded->calendar_us;
    bucket_check(record, call->part->limits, call->part->n_limits, call->cost_tokens, now_us, call->peek,
                 &call->verdict);
    call->outcome = STORE_OK;
}

/* Quotas may have come with more limits than the table was made for. */
static bool widen(struct embedded_store *embedded, uint32_t max_limits) {
    struct table *wider = table_create_wider(embedded->table, max_limits);
    if (wider == NULL) {
        return false;
    }
    table_copy(wider, embedded->table, 0, 1);
    table_destroy(&embedded->table);
    embedded->table = wider;
    return true;
}

static enum store_progress embedded_check(struct store *store, struct store_call *call, int64_t now_us) {
    struct embedded_store *embedded = (struct embedded_store *)(void *)store;
    if (call->part->n_limits > table_max_levels(embedded->table) && !widen(embedded, call->part->n_limits)) {
        call->outcome = STORE_NO_MEMORY;
        return STORE_DONE;
    }
    bool known;
    struct table_slot *slot = table_find(embedded->table, call->hash, now_us, &known);
    if (slot == NULL) {
        struct bucket_record *shared = overflow_record(&embedded->overflow, call->part->index);
        if (shared == NULL) {
            call->outcome = STORE_NO_MEMORY;
            return STORE_DONE;
        }
        metric_inc(&embedded->metrics->overflowed);
        decide(embedded, call, shared, now_us);
        return STORE_DONE;
    }
    struct bucket_record record = {0};
    if (known) {
        table_load(slot, &record);
    }
    decide(embedded, call, &record, now_us);
    if (call->verdict.changed) {
        table_save(embedded->table, slot, call->hash, &record, now_us + call->verdict.full_after_us);
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
    overflow_deinit(&embedded->overflow);
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
    *embedded = (struct embedded_store){.store.ops = &ops, .metrics = metrics};
    embedded->table = table_create(max_keys, max_limits > 0 ? max_limits : 1);
    if (embedded->table == NULL) {
        status_fail(status, "embedded store: out of memory for %llu keys (embedded_keys)",
                    (unsigned long long)max_keys);
        embedded_destroy(&embedded->store);
        return NULL;
    }
    return &embedded->store;
}

void embedded_store_set_calendar(struct store *store, int64_t calendar_us) {
    struct embedded_store *embedded = (struct embedded_store *)(void *)store;
    int64_t change_us = calendar_us - embedded->calendar_us;
    if (change_us > EMBEDDED_CALENDAR_SLACK_US || change_us < -EMBEDDED_CALENDAR_SLACK_US) {
        embedded->calendar_us = calendar_us;
    }
}
