/* columns.h — a table for people: cells are added one by one, and printed with each column as wide as it needs.
 *
 * Control characters become '?', so that no text from elsewhere steers the terminal. One thread. */
#ifndef SLUICE_CTL_COLUMNS_H
#define SLUICE_CTL_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "server/base/buf.h"

enum { COLUMNS_MAX = 12 };

struct columns {
    size_t n_columns;
    size_t n_cells;
    size_t width[COLUMNS_MAX];
    struct buf texts; /* each ended by a NUL */
    bool is_short;    /* memory was */
};

/* `heads` ends in NULL and gives the columns, at most COLUMNS_MAX; none of them is "" unless all are. */
void columns_init(struct columns *columns, const char *const heads[]);
void columns_deinit(struct columns *columns);

/* The next cell, from left to right, row by row. */
void columns_add(struct columns *columns, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints the rows that are full and forgets them, keeping the widths; the heads are the first row. False when
 * memory was short. */
bool columns_print(struct columns *columns, FILE *out) __attribute__((warn_unused_result));

/* Copies a text, cut to fit, with '?' for control characters. Returns `out`. */
char *columns_tame(const char *text, char *out, size_t cap);

#endif
