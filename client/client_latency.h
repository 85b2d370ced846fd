/* client_latency.h — how long recent calls took: their 95th percentile, decaying, in a fixed kilobyte.
 *
 * A histogram with eight bins to each power of two, halved every thousand samples, so what is told is at most
 * an eighth too large and older calls fade. Pure: no clock. */
#ifndef SLUICE_CLIENT_CLIENT_LATENCY_H
#define SLUICE_CLIENT_CLIENT_LATENCY_H

#include <stdint.h>

enum {
    CLIENT_LATENCY_MIN_SAMPLES = 100,
    CLIENT_LATENCY_MAX_SAMPLES = 1024, /* at this many all bins are halved */
    CLIENT_LATENCY_BINS = 216,         /* up to 2^27 us, which is more than the longest timeout */
};

/* All zero: no samples. */
struct client_latency {
    uint32_t n_samples, n_since_estimate;
    uint32_t n_in_bin[CLIENT_LATENCY_BINS];
    int64_t p95_us;
};

/* Of a call that is not answered yet, what it took so far will do: it is only asked whether that is more than
 * the percentile. */
void client_latency_add(struct client_latency *latency, int64_t took_us);

/* Upwards rounded; 0 before CLIENT_LATENCY_MIN_SAMPLES. May be a few samples behind. */
int64_t client_latency_p95_us(const struct client_latency *latency);

#endif
