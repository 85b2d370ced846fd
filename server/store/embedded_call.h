/* embedded_call.h — the embedded store's inside, and its operations beside `check`: take and give. */
#ifndef SLUICE_STORE_EMBEDDED_CALL_H
#define SLUICE_STORE_EMBEDDED_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "server/core/notes.h"
#include "server/core/overflow.h"
#include "server/core/table.h"
#include "server/store/embedded_store.h"
#include "server/store/store.h"

struct embedded_store {
    struct store store;
    struct table *table;
    struct notes *notes; /* made when first wanted */
    uint64_t max_notes;
    struct overflow overflow;
    struct embedded_metrics *metrics;
    int64_t calendar_us; /* see embedded_store_set_calendar */
};

/* A record on its way from its place to its place. */
struct embedded_record {
    struct bucket_record record;
    struct table_slot *slot;      /* NULL: shared */
    struct bucket_record *shared; /* by those that found no place */
};

/* Looks the record up. False: memory is short. What was changed is kept by embedded_save, which must follow before
 * anything else is looked up; full_after_us as in struct bucket_verdict. */
bool embedded_load(struct embedded_store *embedded, const struct quota_part *part, struct hash128 hash,
                   int64_t now_us, struct embedded_record *loaded) __attribute__((warn_unused_result));
void embedded_save(struct embedded_store *embedded, struct hash128 hash, const struct embedded_record *loaded,
                   int64_t full_at_us);

enum store_progress embedded_take(struct store *store, struct store_take *take, int64_t now_us);
enum store_progress embedded_give(struct store *store, struct store_give *give, int64_t now_us);

#endif
