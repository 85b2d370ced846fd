/* table.c — bucket records in a fixed number of bytes; see table.h. */
#include "server/core/table.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/ensure.h"

/* All zero: never used, and full again since the beginning of time for any now_us >= 0. */
struct table_slot {
    struct hash128 hash;
    int64_t full_at_us;
    int64_t at_us;
    int64_t debt_utok;
    uint32_t n_levels;
    uint32_t mark;
    struct bucket_level levels[];
};

struct table {
    uint64_t set_mask;
    uint32_t max_levels;
    size_t slot_bytes;
    uint8_t *slots;
};

static struct table *create(uint64_t n_sets, uint32_t max_levels) {
    struct table *table = malloc(sizeof *table);
    if (table == NULL) {
        return NULL;
    }
    size_t slot_bytes = sizeof(struct table_slot) + max_levels * sizeof(struct bucket_level);
    *table = (struct table){.set_mask = n_sets - 1, .max_levels = max_levels, .slot_bytes = slot_bytes};
    table->slots = calloc(n_sets, TABLE_WAYS * slot_bytes);
    if (table->slots == NULL) {
        table_destroy(&table);
    }
    return table;
}

struct table *table_create(uint64_t max_keys, uint32_t max_levels) {
    uint64_t n_sets = 1;
    while (n_sets * TABLE_WAYS < max_keys && n_sets < UINT64_C(1) << 40) {
        n_sets *= 2;
    }
    return create(n_sets, max_levels);
}

struct table *table_create_wider(const struct table *table, uint32_t max_levels) {
    ensure(max_levels, >=, table->max_levels);
    return create(table->set_mask + 1, max_levels);
}

uint32_t table_max_levels(const struct table *table) {
    return table->max_levels;
}

void table_copy(struct table *to, const struct table *from, uint64_t first, uint64_t step) {
    ensure(to->set_mask, ==, from->set_mask);
    ensure(step, <=, from->set_mask + 1);
    for (uint64_t set = first; set <= from->set_mask; set += step) {
        for (uint64_t i = set * TABLE_WAYS; i < (set + 1) * TABLE_WAYS; i++) {
            const struct table_slot *slot = (const void *)(from->slots + i * from->slot_bytes);
            if (slot->n_levels > 0) {
                memcpy(to->slots + i * to->slot_bytes, slot, from->slot_bytes);
            }
        }
    }
}

void table_destroy(struct table **table) {
    if (*table != NULL) {
        free((*table)->slots);
        free(*table);
    }
    *table = NULL;
}

struct table_slot *table_find(struct table *table, struct hash128 hash, int64_t now_us, bool *known) {
    uint8_t *set = table->slots + (hash.high & table->set_mask) * TABLE_WAYS * table->slot_bytes;
    struct table_slot *free_slot = NULL;
    for (size_t i = 0; i < TABLE_WAYS; i++) {
        struct table_slot *slot = (struct table_slot *)(void *)(set + i * table->slot_bytes);
        if (slot->n_levels > 0 && slot->hash.low == hash.low && slot->hash.high == hash.high) {
            *known = true;
            return slot;
        }
        if (free_slot == NULL && slot->full_at_us <= now_us) {
            free_slot = slot;
        }
    }
    *known = false;
    return free_slot;
}

void table_load(const struct table_slot *slot, struct bucket_record *record) {
    record->at_us = slot->at_us;
    record->n_levels = slot->n_levels;
    memcpy(record->levels, slot->levels, slot->n_levels * sizeof slot->levels[0]);
}

int64_t *table_debt(struct table_slot *slot) {
    return &slot->debt_utok;
}

uint32_t *table_mark(struct table_slot *slot) {
    return &slot->mark;
}

void table_save(const struct table *table, struct table_slot *slot, struct hash128 hash,
                const struct bucket_record *record, int64_t full_at_us) {
    ensure(record->n_levels, <=, table->max_levels);
    slot->hash = hash;
    slot->full_at_us = full_at_us;
    slot->at_us = record->at_us;
    slot->n_levels = record->n_levels;
    memcpy(slot->levels, record->levels, record->n_levels * sizeof slot->levels[0]);
}
