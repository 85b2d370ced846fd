/* bench_arrivals.h — when each frame of an open loop is to be sent, whatever became of those before it.
 *
 * At a constant rate, or as a Poisson process of that mean. Times are on the caller's clock, in microseconds, and
 * never go back. Pure. */
#ifndef SLUICE_CLIENT_CMD_BENCH_ARRIVALS_H
#define SLUICE_CLIENT_CMD_BENCH_ARRIVALS_H

#include <stdbool.h>
#include <stdint.h>

#include "client/cmd/rng.h"

struct bench_arrivals {
    bool is_poisson;
    double interval_us; /* the mean */
    struct rng rng;
    int64_t started_at_us;
    uint64_t n_taken;
    double next_us; /* since the start */
};

/* `per_s` is above 0. */
void bench_arrivals_init(struct bench_arrivals *arrivals, double per_s, bool is_poisson, uint64_t seed);

/* Begins anew; at a constant rate the first one is due at once. */
void bench_arrivals_start(struct bench_arrivals *arrivals, int64_t at_us);

/* When the next one is due. */
int64_t bench_arrivals_next_us(const struct bench_arrivals *arrivals);
/* Goes on to the one after. */
void bench_arrivals_take(struct bench_arrivals *arrivals);
/* Takes all that are due before `before_us`; returns how many. */
uint64_t bench_arrivals_skip(struct bench_arrivals *arrivals, int64_t before_us);

#endif
