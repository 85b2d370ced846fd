/* sketch.c — a count-min sketch in lines of the cache; see sketch.h. */
#include "server/core/sketch.h"

#include "server/base/ensure.h"

enum { COLUMN_BITS = 3, COUNTERS_SHIFT = 32 };

_Static_assert(1 << COLUMN_BITS == SKETCH_COLUMNS, "a column is so many bits of the hash");
_Static_assert((SKETCH_LINES & (SKETCH_LINES - 1)) == 0, "a line is some bits of the hash");
_Static_assert(sizeof(uint16_t[SKETCH_ROWS][SKETCH_COLUMNS]) == SKETCH_LINE_BYTES, "all of a key in one line");

uint32_t sketch_line(struct hash128 hash) {
    return (uint32_t)hash.low & (SKETCH_LINES - 1);
}

uint32_t sketch_add(struct sketch *sketch, struct hash128 hash) {
    uint16_t(*line)[SKETCH_COLUMNS] = sketch->counters[sketch_line(hash)];
    uint64_t columns = hash.low >> COUNTERS_SHIFT;
    uint16_t *counters[SKETCH_ROWS];
    uint16_t least = UINT16_MAX;
    for (uint32_t row = 0; row < SKETCH_ROWS; row++) {
        counters[row] = &line[row][columns >> (row * COLUMN_BITS) & (SKETCH_COLUMNS - 1)];
        least = *counters[row] < least ? *counters[row] : least;
    }
    if (least == UINT16_MAX) {
        return least;
    }
    for (uint32_t row = 0; row < SKETCH_ROWS; row++) {
        *counters[row] = (uint16_t)(*counters[row] + (*counters[row] == least));
    }
    return least + 1U;
}

void sketch_halve(struct sketch *sketch, uint32_t first_line, uint32_t n_lines) {
    ensure(first_line + n_lines, <=, SKETCH_LINES);
    for (uint32_t i = first_line; i < first_line + n_lines; i++) {
        for (uint32_t row = 0; row < SKETCH_ROWS; row++) {
            for (uint32_t column = 0; column < SKETCH_COLUMNS; column++) {
                sketch->counters[i][row][column] >>= 1;
            }
        }
    }
}
