/* latency_plot.h — a histogram of latencies as rows of text: up to, a bar, the share, the share so far. */
#ifndef SLUICE_CLIENT_CMD_LATENCY_PLOT_H
#define SLUICE_CLIENT_CMD_LATENCY_PLOT_H

#include <stdio.h>

#include "client/cmd/histogram.h"
#include "client/cmd/terminal.h"

/* Prints a head line and a row for each step of 1, 2, 5, 10 ... microseconds from the least to the greatest value.
 * The longest bar fills its column; a share above zero has at least one cell. Plain ASCII unless the terminal can do
 * more. Prints nothing for an empty histogram. */
void latency_plot_print(const struct histogram *latency_us, const struct terminal *terminal, FILE *out);

#endif
