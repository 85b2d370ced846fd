/* plot.h — a timeline as rows of text: when, a bar of allowed and denied, the two numbers. */
#ifndef SLUICE_CLIENT_CMD_PLOT_H
#define SLUICE_CLIENT_CMD_PLOT_H

#include <stdio.h>

#include "client/cmd/terminal.h"
#include "client/cmd/timeline.h"

enum { PLOT_MAX_ROWS = 30 };

/* Prints two head lines and a row for each slot (see timeline_fold), no row wider than the terminal unless the
 * numbers leave no room. The longest bar fills its column; a number above zero has at least one cell. Plain
 * ASCII unless the terminal can do more. Prints nothing for an empty timeline. */
void plot_print(const struct timeline *timeline, const struct terminal *terminal, FILE *out);

#endif
