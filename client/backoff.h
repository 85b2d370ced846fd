/* backoff.h — how long to pause before the next try: full jitter, so that callers do not come back together. */
#ifndef SLUICE_CLIENT_BACKOFF_H
#define SLUICE_CLIENT_BACKOFF_H

#include <stdint.h>

/* The largest pause before a try that follows `n_failures` + 1 failures: `min_ms`, doubled by each further
 * failure, at most `max_ms`. */
uint32_t backoff_bound_ms(uint32_t min_ms, uint32_t max_ms, uint32_t n_failures);

/* Seconds, uniform in [0, bound_s). Half the bound when the system has no randomness yet. */
double backoff_draw_s(double bound_s);

#endif
