/* sketch.h — counts of any number of keys in a fixed number of bytes: too high at times, never too low.
 *
 * A count-min sketch (Cormode and Muthukrishnan, "An improved data stream summary: the count-min sketch and its
 * applications", Journal of Algorithms 55, 2005) with conservative update (Estan and Varghese, "New directions in
 * traffic measurement and accounting", SIGCOMM 2002):
 *
 *   estimate  the least of the key's counters, one in each row
 *   add       raises to estimate + 1 those of them that are below it, and no other
 *
 * A key has one counter in each of d = SKETCH_ROWS rows of w = SKETCH_COLUMNS. With N added to a line in all, an
 * estimate exceeds the true count by more than (e / w) * N with probability at most e^-d, by less in practice
 * for the conservative update. All counters of a key stand in one line of the cache, so that N is about the part
 * 1 / SKETCH_LINES of all that was added. Line and counters are bits of the seeded hash: nobody can aim.
 *
 * Whoever owns it halves the lines as time goes by; a count is then of the recent past. Counters stay at their
 * greatest value. Pure; all zero is empty. One thread. */
#ifndef SLUICE_CORE_SKETCH_H
#define SLUICE_CORE_SKETCH_H

#include <stdint.h>

#include "server/base/hash.h"

enum { SKETCH_LINES = 1024, SKETCH_ROWS = 4, SKETCH_COLUMNS = 8, SKETCH_LINE_BYTES = 64 };

struct sketch {
    _Alignas(SKETCH_LINE_BYTES) uint16_t counters[SKETCH_LINES][SKETCH_ROWS][SKETCH_COLUMNS];
};

/* Adds one; returns the estimate that includes it, at most UINT16_MAX. `hash` is of bucket_name.h. */
uint32_t sketch_add(struct sketch *sketch, struct hash128 hash);
/* The line of a key, 0 ... SKETCH_LINES - 1. */
uint32_t sketch_line(struct hash128 hash);
/* Halves, rounding down, the counters of `n_lines` lines. */
void sketch_halve(struct sketch *sketch, uint32_t first_line, uint32_t n_lines);

#endif
