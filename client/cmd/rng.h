/* rng.h — random numbers that are the same in every run with the same seed.
 *
 * SplitMix64, after G. Steele, D. Lea, C. Flood: "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
 * For load, not for secrets. Pure. */
#ifndef SLUICE_CLIENT_CMD_RNG_H
#define SLUICE_CLIENT_CMD_RNG_H

#include <stdint.h>

struct rng {
    uint64_t state; /* any number is a good seed */
};

uint64_t rng_next(struct rng *rng);
/* 0 ... n - 1, each as likely; n is at least 1. */
uint64_t rng_below(struct rng *rng, uint64_t n);
/* Above 0, at most 1. */
double rng_unit(struct rng *rng);
/* Exponentially distributed with mean 1; at most 37. */
double rng_exponential(struct rng *rng);

#endif
