/* returns.h — the reservations that go back when their time is over, the first one first.
 *
 * A binary heap of at most LIMITER_MAX_RETURNS; each holds its own copy of the names. One thread. Pure. */
#ifndef SLUICE_LIMIT_RETURNS_H
#define SLUICE_LIMIT_RETURNS_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/store/store.h"

struct due {
    int64_t at_us;
    int64_t until_us;                   /* it can still be returned then */
    struct bytes tenant, resource, key; /* in the same piece of memory */
    uint8_t reservation[STORE_RESERVATION_ID_BYTES];
};

/* All zero is empty. */
struct returns {
    struct due **dues;
    uint32_t n, n_places;
};

void returns_deinit(struct returns *returns);
/* Copies it. False when memory is short or there are too many. */
bool returns_add(struct returns *returns, const struct due *due) __attribute__((warn_unused_result));
/* The first one that is due, which the caller frees; NULL: none is. */
struct due *returns_take(struct returns *returns, int64_t now_us);

#endif
