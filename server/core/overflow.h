/* overflow.h — one bucket record for each part of a quota, shared by those of its names that find no place in a table.
 *
 * Records are made when first asked for, by the part's index. Pure. */
#ifndef SLUICE_CORE_OVERFLOW_H
#define SLUICE_CORE_OVERFLOW_H

#include <stdint.h>

#include "server/core/bucket.h"

/* All zero is empty. */
struct overflow {
    struct bucket_record **records; /* NULL: not asked for yet */
    uint32_t n_records;
};

/* The record, full when it is new; valid until deinit. NULL when memory is short. */
struct bucket_record *overflow_record(struct overflow *overflow, uint32_t part_index);
void overflow_deinit(struct overflow *overflow);

#endif
