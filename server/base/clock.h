/* clock.h — the only place that reads a clock.
 *
 * Monotonic time decides (deadlines, local buckets); wall time is for logs. Microseconds. Any thread. */
#ifndef SLUICE_BASE_CLOCK_H
#define SLUICE_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_mono_us(void);
int64_t clock_wall_us(void); /* since 1970-01-01 UTC */
int64_t clock_cpu_us(void);  /* that all threads of this process have used, user and system */

#endif
