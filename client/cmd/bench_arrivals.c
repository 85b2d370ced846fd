/* bench_arrivals.c — a constant rate by counting, a Poisson process by exponential gaps. */
#include "client/cmd/bench_arrivals.h"

void bench_arrivals_init(struct bench_arrivals *arrivals, double per_s, bool is_poisson, uint64_t seed) {
    *arrivals =
        (struct bench_arrivals){.is_poisson = is_poisson, .interval_us = 1e6 / per_s, .rng = {.state = seed}};
    bench_arrivals_start(arrivals, 0);
}

static double gap_us(struct bench_arrivals *arrivals) {
    return rng_exponential(&arrivals->rng) * arrivals->interval_us;
}

void bench_arrivals_start(struct bench_arrivals *arrivals, int64_t at_us) {
    arrivals->started_at_us = at_us;
    arrivals->n_taken = 0;
    arrivals->next_us = arrivals->is_poisson ? gap_us(arrivals) : 0;
}

int64_t bench_arrivals_next_us(const struct bench_arrivals *arrivals) {
    return arrivals->started_at_us + (int64_t)arrivals->next_us;
}

void bench_arrivals_take(struct bench_arrivals *arrivals) {
    arrivals->n_taken++;
    if (arrivals->is_poisson) {
        arrivals->next_us += gap_us(arrivals);
    } else {
        arrivals->next_us = (double)arrivals->n_taken * arrivals->interval_us;
    }
}

/* At a constant rate, to one that is surely due before, in a step: a backlog may be of millions. */
static void jump(struct bench_arrivals *arrivals, int64_t before_us) {
    double n = (double)(before_us - arrivals->started_at_us) / arrivals->interval_us - 2;
    if (!arrivals->is_poisson && n > (double)arrivals->n_taken) {
        arrivals->n_taken = (uint64_t)n;
        bench_arrivals_take(arrivals);
    }
}

uint64_t bench_arrivals_skip(struct bench_arrivals *arrivals, int64_t before_us) {
    uint64_t n_before = arrivals->n_taken;
    jump(arrivals, before_us);
    while (bench_arrivals_next_us(arrivals) < before_us) {
        bench_arrivals_take(arrivals);
    }
    return arrivals->n_taken - n_before;
}
