/* embedded_store.c — a store inside the process; see embedded_store.h. */
#include "server/store/embedded_store.h"

#include <stdlib.h>

#include "server/store/embedded_call.h"

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

bool embedded_load(struct embedded_store *embedded, const struct quota_part *part, struct hash128 hash,
                   int64_t now_us, struct embedded_record *loaded) {
    if (part->n_limits > table_max_levels(embedded->table) && !widen(embedded, part->n_limits)) {
        return false;
    }
    bool known;
    *loaded = (struct embedded_record){.slot = table_find(embedded->table, hash, now_us, &known)};
    if (loaded->slot != NULL) {
        if (known) {
            table_load(loaded->slot, &loaded->record);
        }
        loaded->record.calendar_us = embedded->calendar_us;
        return true;
    }
    loaded->shared = overflow_record(&embedded->overflow, part->index);
    if (loaded->shared == NULL) {
        return false;
    }
    metric_inc(&embedded->metrics->overflowed);
    loaded->record = *loaded->shared;
    loaded->record.calendar_us = embedded->calendar_us;
    return true;
}

void embedded_save(struct embedded_store *embedded, struct hash128 hash, const struct embedded_record *loaded,
                   int64_t full_at_us) {
    if (loaded->slot != NULL) {
        table_save(embedded->table, loaded->slot, hash, &loaded->record, full_at_us);
    } else {
        *loaded->shared = loaded->record;
    }
}

static enum store_progress embedded_check(struct store *store, struct store_call *call, int64_t now_us) {
    struct embedded_store *embedded = (struct embedded_store *)(void *)store;
    struct embedded_record loaded;
    if (!embedded_load(embedded, call->part, call->hash, now_us, &loaded)) {
        call->outcome = STORE_NO_MEMORY;
        return STORE_DONE;
    }
    bucket_check(&loaded.record, call->part->limits, call->part->n_limits, call->cost_tokens, now_us,
                 call->peek, &call->verdict);
    if (call->verdict.changed) {
        embedded_save(embedded, call->hash, &loaded, now_us + call->verdict.full_after_us);
    }
    call->outcome = STORE_OK;
    return STORE_DONE;
}

static bool embedded_is_ready(const struct store *store) {
    (void)store;
    return true;
}

static void embedded_destroy(struct store *store) {
    struct embedded_store *embedded = (struct embedded_store *)(void *)store;
    table_destroy(&embedded->table);
    notes_destroy(&embedded->notes);
    overflow_deinit(&embedded->overflow);
    free(embedded);
}

struct store *embedded_store_create(uint64_t max_keys, uint32_t max_limits, struct embedded_metrics *metrics,
                                    struct status *status) {
    static const struct store_ops ops = {
        .source = DECISION_EMBEDDED,
        .check = embedded_check,
        .take = embedded_take,
        .give = embedded_give,
        .is_ready = embedded_is_ready,
        .destroy = embedded_destroy,
    };
    struct embedded_store *embedded = malloc(sizeof *embedded);
    if (embedded == NULL) {
        status_fail(status, "embedded store: out of memory");
        return NULL;
    }
    *embedded = (struct embedded_store){.store.ops = &ops, .max_notes = max_keys, .metrics = metrics};
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
