/* bench_report.h — what `bench` says at its end, as a table or as JSON. */
#ifndef SLUICE_CLIENT_CMD_BENCH_REPORT_H
#define SLUICE_CLIENT_CMD_BENCH_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "client/cmd/bench_scrape.h"
#include "client/cmd/bench_stats.h"
#include "client/cmd/terminal.h"

/* What was asked for; the same settings make runs that may be compared. */
struct bench_settings {
    int64_t n_connections, pipeline, batch, cost;
    int64_t rate_per_s; /* 0: closed loop */
    bool is_poisson, is_spinning;
    int64_t duration_us, warm_up_us, seed;
    const char *tenants, *resource, *keys;
};

struct bench_result {
    struct bench_settings settings;
    const struct bench_stats *stats;
    bool has_counters;              /* --admin was given, and these grew by so much in the measured time */
    struct bench_counters counters; /* of all frontends, whoever asked them */
    bool is_interrupted;
};

void bench_report_print(const struct bench_result *result, const struct terminal *terminal, FILE *out);

/* NULL when memory is short. */
json_t *bench_report_make_json(const struct bench_result *result);

#endif
