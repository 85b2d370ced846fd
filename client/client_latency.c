/* client_latency.c — the 95th percentile of recent calls; see client_latency.h. */
#include "client/client_latency.h"

enum {
    BINS_PER_OCTAVE = 8,
    OCTAVE_BITS = 3,
    LATENCY_MAX_US = (1 << 27) - 1,
    ESTIMATE_EVERY = 16, /* samples */
    ONE_IN = 20,         /* is above the percentile */
};

/* Below 8 us each microsecond has its bin; from then on the three bits behind the highest one choose it. */
static uint32_t bin_of(uint32_t us) {
    if (us < BINS_PER_OCTAVE) {
        return us;
    }
    uint32_t shift = 31 - (uint32_t)__builtin_clz(us) - OCTAVE_BITS;
    return (shift + 1) * BINS_PER_OCTAVE + ((us >> shift) & (BINS_PER_OCTAVE - 1));
}

/* The first latency above the bin. */
static int64_t end_of(uint32_t bin) {
    if (bin < BINS_PER_OCTAVE) {
        return bin + 1;
    }
    uint32_t shift = bin / BINS_PER_OCTAVE - 1;
    return (int64_t)(BINS_PER_OCTAVE + bin % BINS_PER_OCTAVE + 1) << shift;
}

static void halve(struct client_latency *latency) {
    latency->n_samples = 0;
    for (uint32_t i = 0; i < CLIENT_LATENCY_BINS; i++) {
        latency->n_in_bin[i] /= 2;
        latency->n_samples += latency->n_in_bin[i];
    }
}

static int64_t estimate_us(const struct client_latency *latency) {
    uint32_t n_from_here = 0;
    for (uint32_t i = CLIENT_LATENCY_BINS; i > 0; i--) {
        n_from_here += latency->n_in_bin[i - 1];
        if (n_from_here * ONE_IN > latency->n_samples) {
            return end_of(i - 1);
        }
    }
    return 0;
}

void client_latency_add(struct client_latency *latency, int64_t took_us) {
    int64_t us = took_us < 0 ? 0 : took_us > LATENCY_MAX_US ? LATENCY_MAX_US : took_us;
    latency->n_in_bin[bin_of((uint32_t)us)]++;
    latency->n_samples++;
    latency->n_since_estimate++;
    if (latency->n_samples >= CLIENT_LATENCY_MIN_SAMPLES &&
        (latency->n_since_estimate >= ESTIMATE_EVERY || latency->p95_us == 0)) {
        latency->p95_us = estimate_us(latency);
        latency->n_since_estimate = 0;
    }
    if (latency->n_samples >= CLIENT_LATENCY_MAX_SAMPLES) {
        halve(latency);
    }
}

int64_t client_latency_p95_us(const struct client_latency *latency) {
    return latency->p95_us;
}
