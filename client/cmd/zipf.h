/* zipf.h — draws ranks 1 ... n so that rank k comes in proportion to 1 / k^s.
 *
 * Rejection-inversion, after W. Hörmann and G. Derflinger: "Rejection-Inversion to Generate Variates from Monotone
 * Discrete Distributions", ACM TOMACS 6(3), 1996. Exact for any s >= 0, 1 among them; takes the same few bytes and
 * about the same time whatever n is. Pure. */
#ifndef SLUICE_CLIENT_CMD_ZIPF_H
#define SLUICE_CLIENT_CMD_ZIPF_H

#include <stdint.h>

#include "client/cmd/rng.h"

#define ZIPF_MAX_N (UINT64_C(1) << 40)
#define ZIPF_MAX_S 10.0

struct zipf {
    uint64_t n;
    double s;
    double low, high; /* the area is drawn from (low, high] */
    double squeeze;   /* a rank at most so far above its point is taken without a look at the curve */
};

/* `n`: 1 ... ZIPF_MAX_N; `s`: 0 ... ZIPF_MAX_S. */
void zipf_init(struct zipf *zipf, uint64_t n, double s);

uint64_t zipf_draw(const struct zipf *zipf, struct rng *rng);

#endif
