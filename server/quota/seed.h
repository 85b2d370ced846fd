/* seed.h — a set of quotas as arguments of lua/quota_put.lua, to be put into a store that has none.
 *
 * Up to SEED_PART_QUOTAS quotas go in one call, so that one frontend alone seeds. More go in parts, and should its
 * frontend die between two of them, another goes on: with its own set, from the beginning, adding what is lacking.
 * Pure. */
#ifndef SLUICE_QUOTA_SEED_H
#define SLUICE_QUOTA_SEED_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/buf.h"
#include "server/base/bytes.h"
#include "server/core/quota_set.h"

enum { SEED_PART_QUOTAS = 999 };

struct seed {
    const struct quota_set *set; /* NULL: no quotas, only the end of the seed of another */
    struct bytes from;           /* the address of this frontend */
    bool goes_on;                /* another's was begun; or this one was */
    uint32_t next_place;         /* in the set */
};

/* Appends the argument of the next part; `*is_last` says whether it is the last one. False when memory is short:
 * the part may be asked for again, `out` is undefined. */
bool seed_write_part(struct seed *seed, struct buf *out, bool *is_last) __attribute__((warn_unused_result));

#endif
