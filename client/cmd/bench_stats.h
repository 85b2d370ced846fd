/* bench_stats.h — what a load has seen: decisions, errors, latencies.
 *
 * Checks are counted one by one, latencies by frame. Every check that was sent ends as allowed, denied or one
 * error, so these add up to n_sent once nothing is in flight. One thread. */
#ifndef SLUICE_CLIENT_CMD_BENCH_STATS_H
#define SLUICE_CLIENT_CMD_BENCH_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "client/cmd/histogram.h"
#include "proto/wire.h"

enum {
    BENCH_STATS_SOURCES = WIRE_SOURCE_EMBEDDED + 1,
    BENCH_STATS_STATUSES = WIRE_UNAVAILABLE + 1,
    BENCH_STATS_ERROR_BYTES = 256,
};

/* An all-zero struct has seen nothing. */
struct bench_stats {
    uint64_t n_sent;
    uint64_t
        n_not_sent; /* due, but not sent before the end: the servers, or the load itself, did not keep up */
    uint64_t n_allowed[BENCH_STATS_SOURCES], n_denied[BENCH_STATS_SOURCES];
    uint64_t n_degraded, n_would_deny; /* of the decisions */
    uint64_t n_errors[BENCH_STATS_STATUSES];
    uint64_t n_late;             /* frames answered after they had been given up */
    uint64_t n_conns_lost;       /* times that a connection ended or could not be made again */
    uint64_t took_us;            /* from the beginning to its end, or to the last answer if that came later */
    uint64_t cpu_us;             /* of this process in that time */
    struct histogram latency_us; /* of frames answered, from when they were due to the answer */
    struct histogram lag_us;     /* of frames sent, from when they were due to the sending */
    char first_error[BENCH_STATS_ERROR_BYTES]; /* "" when there was none */
};

/* Counts the answer to a frame of `n_checks`. */
void bench_stats_add_answer(struct bench_stats *stats, const struct wire_response *response, size_t n_checks,
                            int64_t latency_us);
/* Counts checks that will not be answered. `reason` is for a person. */
void bench_stats_add_failed(struct bench_stats *stats, enum wire_status status, uint64_t n_checks,
                            const char *reason);

uint64_t bench_stats_allowed(const struct bench_stats *stats);
uint64_t bench_stats_denied(const struct bench_stats *stats);
uint64_t bench_stats_decided(const struct bench_stats *stats); /* allowed and denied */
uint64_t bench_stats_failed(const struct bench_stats *stats);
/* Decisions per second; 0 when no time has passed. */
double bench_stats_rate_per_s(const struct bench_stats *stats);

#endif
