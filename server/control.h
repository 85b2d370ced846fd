/* control.h — the frontend's own connection to Redis, beside those of its workers: heartbeats, the number of
 * frontends that live, and how the clocks of the nodes run.
 *
 * One for each process, on the main thread's loop; none without Redis. Redis need not be there: it is joined when
 * it appears, and what was known stays in force when it goes. */
#ifndef SLUICE_SERVER_CONTROL_H
#define SLUICE_SERVER_CONTROL_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/metric.h"
#include "server/base/status.h"
#include "server/store/node_addr.h"

#define CONTROL_METRICS(X)                                                                                     \
    X(heartbeats, METRIC_COUNTER, "sluice_heartbeats_total", "result=\"ok\"",                                  \
      "Heartbeats of this frontend, by whether Redis has answered")                                            \
    X(heartbeats_failed, METRIC_COUNTER, "sluice_heartbeats_total", "result=\"failed\"", "")

struct control_metrics {
    CONTROL_METRICS(METRIC_FIELD)
};

/* Of each node that owns slots, by its address. */
#define NODE_METRICS(X)                                                                                        \
    X(clock_drift_s, METRIC_GAUGE, "sluice_redis_clock_drift_seconds", "node",                                 \
      "How far the clock of a Redis node is ahead of this frontend's; negative: behind")

struct node_metrics {
    char node[NODE_ADDR_TEXT_BYTES];
    NODE_METRICS(METRIC_ITEM_FIELD)
};

/* The number of live frontends has changed; what it means, fleet.h says. */
typedef void (*control_fleet_fn)(void *arg, uint32_t fleet_size);

struct control_options {
    const char *nodes, *user, *password; /* as in cluster.h */
    int64_t connect_timeout_us;
    const char *address, *version; /* what others may read about this frontend */
    uint32_t fleet_size;           /* until Redis has answered */
    control_fleet_fn on_fleet_size;
    void *arg;
};

struct control;

/* Borrows `loop` and `metrics`, which must outlive it. NULL with a reason in `status`: a bad list of nodes, or no
 * memory. */
struct control *control_create(struct ev_loop *loop, const struct control_options *options,
                               struct control_metrics *metrics, struct status *status);
/* Tells Redis that this frontend leaves, for which it turns the loop 100 ms at most, and frees all. Not to be
 * called from inside the loop. Nulls the pointer. */
void control_destroy(struct control **control);

/* The nodes whose clocks are known, each at most ten seconds old: a new array of *n_nodes, NULL for none, which the
 * caller frees. False when memory is short. */
bool control_read_nodes(const struct control *control, struct node_metrics **nodes, size_t *n_nodes)
    __attribute__((warn_unused_result));

#endif
