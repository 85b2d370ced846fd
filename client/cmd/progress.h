/* progress.h — one line on a terminal that is written over as work proceeds; silent anywhere else. */
#ifndef SLUICE_CLIENT_CMD_PROGRESS_H
#define SLUICE_CLIENT_CMD_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "client/cmd/terminal.h"

struct progress {
    FILE *out; /* NULL: silent */
    size_t width;
    bool is_shown;
};

/* Shows on `out` when `terminal`, which describes it, is one. */
void progress_init(struct progress *progress, FILE *out, const struct terminal *terminal);

/* Writes the line: a bar for `done` of `total` (no bar when total is 0) and `text`, cut to the width. */
void progress_show(struct progress *progress, uint64_t done, uint64_t total, const char *text);

/* Takes the line away, so that other output can follow. */
void progress_clear(struct progress *progress);

#endif
