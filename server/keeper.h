/* keeper.h — keeps the last quotas in a file (server/quota/snapshot.h), so that a frontend can start without Redis.
 *
 * Changes that come close together are written once; the writing is a thread's of its own, since disks may be slow.
 * On the main thread's loop. */
#ifndef SLUICE_SERVER_KEEPER_H
#define SLUICE_SERVER_KEEPER_H

#include <ev.h>

#include "server/base/metric.h"
#include "server/core/quota_set.h"

#define KEEPER_METRICS(X)                                                                                      \
    X(written, METRIC_COUNTER, "sluice_quota_snapshots_total", "result=\"ok\"",                                \
      "Snapshots of the quotas, by whether the file was written")                                              \
    X(failed, METRIC_COUNTER, "sluice_quota_snapshots_total", "result=\"failed\"", "")

struct keeper_metrics {
    KEEPER_METRICS(METRIC_FIELD)
};

struct keeper;

/* Borrows all three, which must outlive it. NULL when memory is short. */
struct keeper *keeper_create(struct ev_loop *loop, const char *path, struct keeper_metrics *metrics);
/* Writes what is still to be written, waits for that, frees, nulls the pointer. */
void keeper_destroy(struct keeper **keeper);

/* Has the set, which is held, written within some seconds. Returns at once. */
void keeper_keep(struct keeper *keeper, struct quota_set *set);

#endif
