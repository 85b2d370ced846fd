/* denied.h — the denials of one worker that still stand: no token can exist before their time.
 *
 * A denial with retry_after r, asked for at t, holds until t + r whoever else spends, for its cost and for any higher
 * one: a bucket gains tokens by its rate alone. What gives tokens otherwise must forget the denial: a reset, a
 * refund, another quota (whose revision differs). Of what other frontends give back nobody tells, so no denial is kept
 * longer than DENIED_MAX_US.
 *
 * A fixed number of places (2 MiB, a cache line each), in sets of DENIED_WAYS; a new one takes the place of the one
 * that would end first. One thread. Pure; times are monotonic. */
#ifndef SLUICE_CORE_DENIED_H
#define SLUICE_CORE_DENIED_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/hash.h"

enum { DENIED_WAYS = 4, DENIED_PLACES = 32768 };
#define DENIED_MAX_US INT64_C(5000000)

struct denial {
    /* It stands up to this instant. */
    int64_t until_us;
    /* The first that grants `cost_tokens` if nobody else spends; BUCKET_MAX_EXACT: none does. */
    int64_t retry_at_us;
    int64_t full_at_us;        /* BUCKET_MAX_EXACT: never */
    uint64_t revision;         /* of the quota */
    uint32_t cost_tokens;      /* the least that is denied */
    uint32_t remaining_tokens; /* when it was denied */
    uint32_t limit_index;      /* of the quota's part */
};

struct denied;

/* NULL when memory is short. Destroy nulls the pointer. */
struct denied *denied_create(void);
void denied_destroy(struct denied **denied);

/* Does a denial stand for this cost? Borrowed until the next call. */
const struct denial *denied_find(struct denied *denied, struct hash128 hash, uint64_t revision,
                                 int64_t cost_tokens, int64_t now_us);
/* Keeps it in place of any other of the same bucket. `asked_at_us` is when the store was asked. */
void denied_keep(struct denied *denied, struct hash128 hash, const struct denial *denial, int64_t asked_at_us);
void denied_forget(struct denied *denied, struct hash128 hash);

#endif
