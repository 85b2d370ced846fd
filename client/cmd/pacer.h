/* pacer.h — when each line of a log is due, if the log is replayed at its own pace times a factor.
 *
 * Due times are counted from the first line and never go back: a line dated before one above it is due together
 * with that one. Pure. */
#ifndef SLUICE_CLIENT_CMD_PACER_H
#define SLUICE_CLIENT_CMD_PACER_H

#include <stdbool.h>
#include <stdint.h>

struct pacer {
    double speed; /* log seconds per second; 0: everything is due at once */
    bool has_started;
    int64_t first_at_us, started_at_us;
    int64_t latest_due_us;
};

void pacer_init(struct pacer *pacer, double speed);

/* When a line of the log's time `at_us` is due, on the clock of `now_us`. The first one is due now. */
int64_t pacer_due_us(struct pacer *pacer, int64_t at_us, int64_t now_us);

#endif
