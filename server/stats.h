/* stats.h — every metric of the process in one table, and its Prometheus text.
 *
 * Modules list what they count in their own headers; here the lists become one struct for each worker and one
 * for the process. Writers are the owning threads; rendering may happen on any thread. */
#ifndef SLUICE_SERVER_STATS_H
#define SLUICE_SERVER_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "server/base/buf.h"
#include "server/base/metric.h"
#include "server/control.h"
#include "server/keeper.h"
#include "server/limit/fallback.h"
#include "server/limit/limiter.h"
#include "server/net/conn.h"
#include "server/net/service.h"
#include "server/store/embedded_store.h"
#include "server/store/redis_store.h"

#define PROCESS_METRICS(X)                                                                                     \
    X(start_time_s, METRIC_GAUGE, "sluice_start_time_seconds", "",                                             \
      "When the process started, in Unix seconds")                                                             \
    X(cpu_us, METRIC_COUNTER_US, "sluice_cpu_seconds_total", "",                                               \
      "CPU time that all threads of the process have used, user and system")                                   \
    X(workers, METRIC_GAUGE, "sluice_workers", "", "Worker threads")                                           \
    X(quotas, METRIC_GAUGE, "sluice_quotas", "", "Quotas in force")                                            \
    X(quota_revision, METRIC_GAUGE, "sluice_quota_revision", "",                                               \
      "Revision of the quotas that every worker decides by; 0 for those of the file")                          \
    X(ready, METRIC_GAUGE, "sluice_ready", "", "1 when every worker's store can decide for every key, else 0")

struct process_metrics {
    PROCESS_METRICS(METRIC_FIELD)
    struct control_metrics control;
    struct keeper_metrics keeper;
};

struct worker_metrics {
    struct conn_metrics conn;
    struct service_metrics service;
    struct limiter_metrics limiter;
    struct embedded_metrics embedded;
    struct redis_metrics redis;
};

struct stats_sources {
    const struct process_metrics *process;
    const struct fallback_metrics *fallback; /* NULL: there is none */
    const struct node_metrics *nodes;
    size_t n_nodes;
    const struct worker_metrics *const *workers; /* their sums are shown */
    size_t n_workers;
};

/* Appends everything. False when memory is short. */
bool stats_render(struct buf *out, const struct stats_sources *sources) __attribute__((warn_unused_result));

/* Writes "family<TAB>kind<TAB>help" for each family, for the docs check. */
void stats_describe(FILE *out);

#endif
