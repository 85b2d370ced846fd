/* hotkeys.h — which keys are hot: the most checked keys of one worker, with their rates and names.
 *
 * A sketch counts every key; those that it takes to be the most checked have an entry in a table, where from then
 * on they are counted exactly and no longer in the sketch (as in Roy, Khan and Alonso, "Augmented sketch: faster
 * and more accurate stream processing", SIGMOD 2016):
 *
 *   hotkeys_count ─ in the table ── its entry counts; hot by its measured rate alone
 *                 └ sketch_add ─ estimate high enough, and an entry free or one with a lower rate → gets it
 *
 *   measured rate  checks of this second + of the second before * what is left of this one. Nothing is counted
 *                  that did not happen, so a mistaken estimate makes no key hot
 *   estimated rate n / (time between halvings * (1 + part of it since the last)): of a key checked at a steady
 *                  rate r the counter holds r * that. It stands for the rate of a key new in the table, until a
 *                  whole second has been measured
 *   hot            from min(hot_per_s, max(least_hot_per_s, 5 * median)) on, the median being of the rates
 *                  measured in the table (none: hot_per_s); until the rate falls below half of it
 *
 * Memory is one piece of fixed size, at most HOTKEYS_MAX_BYTES; of more hot keys than entries the least checked go
 * without. A flood of keys that are checked once raises the estimates of all a little: it may take the entries of
 * keys checked less than that, but a hot key gives way only to an estimate above twice its rate. How often a full
 * table is searched for an entry to take is limited, so a flood costs no time either.
 *
 * One thread, the worker's, calls everything here; a handle that has become stale is harmless. To show the table
 * to others, the worker copies it (hotkeys_copy), say when a message asks it to, and gives the copy away: it holds no
 * pointers; the lists of all workers are merged by hotkey_list.h. Pure; times are monotonic. */
#ifndef SLUICE_CORE_HOTKEYS_H
#define SLUICE_CORE_HOTKEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/base/hash.h"
#include "server/core/decision.h"
#include "server/core/hotkey_list.h"

enum {
    HOTKEYS_MAX = 256, /* entries */
    HOTKEYS_MAX_BYTES = 256 * 1024,
    HOTKEYS_DEFAULT_PER_S = 1000,
    HOTKEYS_DEFAULT_LEAST_PER_S = 100,
};

struct hotkeys_options {
    uint32_t hot_per_s;       /* a key checked as often is hot, whatever the others do */
    uint32_t least_hot_per_s; /* one checked less is not; at most hot_per_s */
};

struct hotkeys_count {
    uint32_t handle; /* stands for the entry for as long as the key has it; 0: it has none */
    bool is_hot;
    bool is_new; /* the key has just got its entry: name it */
};

struct hotkeys;

/* NULL when memory is short. */
struct hotkeys *hotkeys_create(const struct hotkeys_options *options, int64_t now_us);
/* What one occupies, all in all. */
size_t hotkeys_bytes(void);
/* Nulls the pointer. */
void hotkeys_destroy(struct hotkeys **hotkeys);

/* Counts a check. `hash` is of bucket_name.h. Some ten nanoseconds; allocates nothing. */
struct hotkeys_count hotkeys_count(struct hotkeys *hotkeys, struct hash128 hash, int64_t now_us);
/* The texts have at most the lengths that quota.h allows. */
void hotkeys_name(struct hotkeys *hotkeys, uint32_t handle, struct bytes tenant, struct bytes resource,
                  struct bytes key);
/* A check that was counted has been decided. */
void hotkeys_note_decision(struct hotkeys *hotkeys, uint32_t handle, const struct decision *decision,
                           int64_t now_us);

/* Once in every turn of the loop: halves the lines of the sketch and reviews the entries that are due, all of them
 * once in about a second and, however long the pause before, never more in one call: some microseconds. Without it
 * keys do not cool, and few newcomers find an entry. */
void hotkeys_tick(struct hotkeys *hotkeys, int64_t now_us);

/* The rate from which on a key is hot, as things stand. */
uint32_t hotkeys_threshold_per_s(const struct hotkeys *hotkeys);
/* How many entries are of hot keys. */
uint32_t hotkeys_n_hot(const struct hotkeys *hotkeys);
/* Writes the entries as they stand, in no order; returns how many. */
size_t hotkeys_copy(const struct hotkeys *hotkeys, int64_t now_us, struct hotkey rows[HOTKEYS_MAX]);

#endif
