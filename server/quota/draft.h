/* draft.h — the next set of quotas while it is made of what Redis holds.
 *
 * Begins as a copy of the set in force. What is put at the same revision as before is not touched, and of two texts
 * about one quota the one of the higher revision counts, so that a scan may overlap with changes. What cannot be
 * read leaves the quota as it was. Pure; one thread. */
#ifndef SLUICE_QUOTA_DRAFT_H
#define SLUICE_QUOTA_DRAFT_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/core/quota_set.h"
#include "server/quota/ledger.h"

/* All zero: none. */
struct draft {
    struct quota_set *set;     /* NULL: none */
    uint64_t unknown_revision; /* of what unknown callers get */
    uint64_t highest_revision; /* of what was read */
    uint32_t n_read;           /* fields that were quotas, or what unknown callers get, readable or not */
    uint32_t n_unreadable;
    bool is_seeding; /* the mark of a seed that is not complete was read */
    bool is_short;   /* of memory: not to be used */
    uint64_t *seen;  /* a bit for each index: was read by the scan */
    uint32_t n_seen_bits;
};

/* `unknown_revision` is the one that goes with the set. False when memory is short. */
bool draft_begin(struct draft *draft, const struct quota_set *set, uint64_t unknown_revision)
    __attribute__((warn_unused_result));
void draft_deinit(struct draft *draft);

/* A field of the hash. Returns whether it could be read. */
bool draft_take_field(struct draft *draft, struct bytes field, struct bytes value);
/* The whole hash was read: what was not in it goes. */
void draft_end_scan(struct draft *draft);
/* A change from the stream; nothing else. Returns whether it could be read. */
bool draft_take_change(struct draft *draft, const struct ledger_entry *change);

#endif
