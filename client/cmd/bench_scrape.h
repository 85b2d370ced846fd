/* bench_scrape.h — what a frontend's /metrics says of its costs: CPU, decisions, calls of the store.
 *
 * Blocking, for use before and after a measurement. */
#ifndef SLUICE_CLIENT_CMD_BENCH_SCRAPE_H
#define SLUICE_CLIENT_CMD_BENCH_SCRAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/status.h"

enum { BENCH_SCRAPE_PAGE_MAX_BYTES = 4 * 1024 * 1024, BENCH_SCRAPE_TIMEOUT_MS = 5000 };

/* Counters since the frontend's start; of several frontends, their sums. */
struct bench_counters {
    double cpu_us;
    double n_decisions;
    double n_store_calls; /* commands to Redis; 0 with an embedded store */
};

/* Gets /metrics of an admin address, "HOST:PORT" or "http://HOST:PORT", and adds it to `counters`. False with a
 * sentence. */
bool bench_scrape_add(const char *address, struct bench_counters *counters, struct status *status)
    __attribute__((warn_unused_result));

/* Adds a page of Prometheus text. False when one of the counters is not in it. Pure. */
bool bench_scrape_read(const char *page, struct bench_counters *counters) __attribute__((warn_unused_result));

#endif
