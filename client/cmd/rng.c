/* rng.c — SplitMix64 and what is made of it; see rng.h. */
#include "client/cmd/rng.h"

#include <math.h>

uint64_t rng_next(struct rng *rng) {
    rng->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = rng->state;
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

/* The top of a product is even but for 2^64 mod n of its lows, which are drawn again (D. Lemire: "Fast Random
 * Integer Generation in an Interval", 2019). */
uint64_t rng_below(struct rng *rng, uint64_t n) {
    unsigned __int128 product = (unsigned __int128)rng_next(rng) * n;
    if ((uint64_t)product < n) {
        for (uint64_t uneven = -n % n; (uint64_t)product < uneven;) {
            product = (unsigned __int128)rng_next(rng) * n;
        }
    }
    return (uint64_t)(product >> 64);
}

double rng_unit(struct rng *rng) {
    return (double)((rng_next(rng) >> 11) + 1) * 0x1p-53;
}

double rng_exponential(struct rng *rng) {
    return -log(rng_unit(rng));
}
