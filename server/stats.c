/* stats.c — every metric of the process in one table; see stats.h. */
#include "server/stats.h"

#include <string.h>

#define PROCESS_ROW(field, kind, family, labels, help)                                                         \
    {family, labels, kind, help, offsetof(struct process_metrics, field)},
#define CONTROL_ROW(field, ...) PROCESS_ROW(control.field, __VA_ARGS__)
#define FEED_ROW(field, ...) PROCESS_ROW(control.feed.field, __VA_ARGS__)
#define KEEPER_ROW(field, ...) PROCESS_ROW(keeper.field, __VA_ARGS__)
static const struct metric_desc process_rows[] = {PROCESS_METRICS(PROCESS_ROW) CONTROL_METRICS(CONTROL_ROW)
                                                      FEED_METRICS(FEED_ROW) KEEPER_METRICS(KEEPER_ROW)};

#define NODE_ROW(field, kind, family, label, help)                                                             \
    {family, label, kind, help, offsetof(struct node_metrics, field)},
static const struct metric_desc node_rows[] = {NODE_METRICS(NODE_ROW)};

#define FALLBACK_ROW(field, kind, family, labels, help)                                                        \
    {family, labels, kind, help, offsetof(struct fallback_metrics, field)},
static const struct metric_desc fallback_rows[] = {FALLBACK_METRICS(FALLBACK_ROW)};

#define WORKER_ROW(part, field, kind, family, labels, help)                                                    \
    {family, labels, kind, help,                                                                               \
     offsetof(struct worker_metrics, part) + offsetof(struct part##_metrics, field)},
#define CONN_ROW(...) WORKER_ROW(conn, __VA_ARGS__)
#define SERVICE_ROW(...) WORKER_ROW(service, __VA_ARGS__)
#define LIMITER_ROW(...) WORKER_ROW(limiter, __VA_ARGS__)
#define ACCOUNTS_ROW(field, ...) LIMITER_ROW(accounts.field, __VA_ARGS__)
#define EMBEDDED_ROW(...) WORKER_ROW(embedded, __VA_ARGS__)
#define REDIS_ROW(...) WORKER_ROW(redis, __VA_ARGS__)
static const struct metric_desc worker_rows[] = {
    CONN_METRICS(CONN_ROW) SERVICE_METRICS(SERVICE_ROW) LIMITER_METRICS(LIMITER_ROW)
        ACCOUNTS_METRICS(ACCOUNTS_ROW) EMBEDDED_METRICS(EMBEDDED_ROW) REDIS_METRICS(REDIS_ROW)};

enum {
    N_PROCESS_ROWS = sizeof process_rows / sizeof process_rows[0],
    N_FALLBACK_ROWS = sizeof fallback_rows / sizeof fallback_rows[0],
    N_NODE_ROWS = sizeof node_rows / sizeof node_rows[0],
    N_WORKER_ROWS = sizeof worker_rows / sizeof worker_rows[0],
};

bool stats_render(struct buf *out, const struct stats_sources *sources) {
    const void *processes[] = {sources->process}, *fallbacks[] = {sources->fallback};
    return metric_render(out, process_rows, N_PROCESS_ROWS, processes, 1) &&
           metric_render(out, fallback_rows, N_FALLBACK_ROWS, fallbacks, sources->fallback != NULL) &&
           metric_render_items(out, node_rows, N_NODE_ROWS, sources->nodes, sources->n_nodes,
                               sizeof *sources->nodes) &&
           metric_render(out, worker_rows, N_WORKER_ROWS, (const void *const *)sources->workers,
                         sources->n_workers);
}

static void describe_rows(FILE *out, const struct metric_desc *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(rows[i].family, rows[i - 1].family) != 0) {
            fprintf(out, "%s\t%s\t%s\n", rows[i].family, metric_kind_text(rows[i].kind), rows[i].help);
        }
    }
}

void stats_describe(FILE *out) {
    describe_rows(out, process_rows, N_PROCESS_ROWS);
    describe_rows(out, fallback_rows, N_FALLBACK_ROWS);
    describe_rows(out, node_rows, N_NODE_ROWS);
    describe_rows(out, worker_rows, N_WORKER_ROWS);
}
