/* zipf.c — rejection-inversion.
 *
 * Under the curve x^-s every rank k has the stretch from k - 1/2 to k + 1/2, whose area is at least k^-s as the
 * curve is convex. A point is drawn evenly from the whole area and belongs to the rank nearest to it; of a rank's
 * stretch only the rightmost part of area k^-s counts, and points left of it are drawn again. The stretch of rank 1
 * is cut to what counts. */
#include "client/cmd/zipf.h"

#include <math.h>
#include <stdbool.h>

/* Below this, the first terms of the series are exact to the last digit. */
#define SERIES_BELOW 1e-8

/* (e^t - 1) / t, also near 0, where s is near 1. */
static double expm1_over(double t) {
    return fabs(t) > SERIES_BELOW ? expm1(t) / t : 1 + t / 2;
}

/* ln(1 + t) / t */
static double log1p_over(double t) {
    return fabs(t) > SERIES_BELOW ? log1p(t) / t : 1 - t / 2;
}

static double height(const struct zipf *zipf, double x) {
    return exp(-zipf->s * log(x));
}

/* The integral of the curve from 1 to x: (x^(1-s) - 1) / (1 - s), or ln x when s is 1. */
static double area_to(const struct zipf *zipf, double x) {
    double log_x = log(x);
    return expm1_over((1 - zipf->s) * log_x) * log_x;
}

/* Where that integral is `area`. */
static double point_of(const struct zipf *zipf, double area) {
    double t = area * (1 - zipf->s);
    return exp(log1p_over(t > -1 ? t : -1) * area); /* below -1 by rounding only */
}

void zipf_init(struct zipf *zipf, uint64_t n, double s) {
    *zipf = (struct zipf){.n = n, .s = s};
    zipf->low = area_to(zipf, 1.5) - 1;
    zipf->high = area_to(zipf, (double)n + 0.5);
    zipf->squeeze = 2 - point_of(zipf, area_to(zipf, 2.5) - height(zipf, 2));
}

static bool counts(const struct zipf *zipf, double rank, double x, double area) {
    return rank - x <= zipf->squeeze || area >= area_to(zipf, rank + 0.5) - height(zipf, rank);
}

uint64_t zipf_draw(const struct zipf *zipf, struct rng *rng) {
    for (;;) {
        double area = zipf->low + rng_unit(rng) * (zipf->high - zipf->low);
        double x = point_of(zipf, area);
        double rank = floor(x + 0.5);
        rank = rank < 1 ? 1 : rank > (double)zipf->n ? (double)zipf->n : rank;
        if (counts(zipf, rank, x, area)) {
            return (uint64_t)rank;
        }
    }
}
