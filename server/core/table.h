/* table.h — bucket records in a fixed number of bytes, found by the hash of their key.
 *
 * Sets of 16 slots. A new key may take a slot whose buckets are full again (forgetting those loses nothing);
 * when a set has none, the key has no place and the caller must share another bucket: nothing is ever evicted
 * that would refill somebody's bucket. Keys are not kept, only their 128-bit seeded hash. Pure. */
#ifndef SLUICE_CORE_TABLE_H
#define SLUICE_CORE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/hash.h"
#include "server/core/bucket.h"

enum { TABLE_WAYS = 16 };

struct table;
struct table_slot;

/* Room for about `max_keys` keys (rounded up to a power of two of sets) of up to `max_levels` levels each
 * (1 ... BUCKET_MAX_LIMITS). NULL when memory is short. Memory that was never used is never touched. */
struct table *table_create(uint64_t max_keys, uint32_t max_levels);
/* An empty table of just as many places, for records of more levels. NULL when memory is short. */
struct table *table_create_wider(const struct table *table, uint32_t max_levels);
void table_destroy(struct table **table);

uint32_t table_max_levels(const struct table *table);
/* Copies the places of every key whose hash.high is `first` modulo `step`, a power of two and at most the number of
 * sets, to a table made by table_create_wider from this one. There they are empty. */
void table_copy(struct table *to, const struct table *from, uint64_t first, uint64_t step);

/* The slot of `hash`: with `*known` true its own, with false one that may be taken; NULL when there is none.
 * Valid until the next call for this table. */
struct table_slot *table_find(struct table *table, struct hash128 hash, int64_t now_us, bool *known);

/* Copies a known slot's record out. */
void table_load(const struct table_slot *slot, struct bucket_record *record);
/* A number of micro-tokens that the table's owner keeps beside the record: 0 in a slot that was never used, and in
 * one that may be taken whatever its last key left there. */
int64_t *table_debt(struct table_slot *slot);
/* A mark that he sets beside it, likewise. */
uint32_t *table_mark(struct table_slot *slot);
/* Writes a record of at most max_levels levels for `hash` into a slot that table_find gave for it. From
 * `full_at_us` on the slot may be taken by another key. */
void table_save(const struct table *table, struct table_slot *slot, struct hash128 hash,
                const struct bucket_record *record, int64_t full_at_us);

#endif
