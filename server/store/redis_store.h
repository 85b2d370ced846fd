/* redis_store.h — a store that asks Redis, a cluster or a single server; Lua scripts decide there.
 *
 *   check ─ key, arguments, script ─> cluster … reply ─> verdict ─> call->done
 *
 * One thread, one loop. With no Redis in reach a check is answered DOWN at once, and Redis is joined when it
 * appears. Of the pending calls none outlives its deadline. */
#ifndef SLUICE_STORE_REDIS_STORE_H
#define SLUICE_STORE_REDIS_STORE_H

#include <ev.h>
#include <stdint.h>

#include "server/base/status.h"
#include "server/store/breaker.h"
#include "server/store/redis_metrics.h"
#include "server/store/slot_board.h"
#include "server/store/store.h"

#define REDIS_STORE_CONNECT_TIMEOUT_US INT64_C(500000)
enum { REDIS_STORE_MAX_INFLIGHT_PER_NODE = 4096 };

struct redis_store_options {
    const char *nodes;              /* "HOST:PORT,HOST:PORT"; one that is no cluster node must stand alone */
    const char *user;               /* NULL or "": the default user */
    const char *password;           /* NULL: no AUTH. Neither is needed afterwards */
    int64_t connect_timeout_us;     /* 0: REDIS_STORE_CONNECT_TIMEOUT_US */
    uint32_t max_inflight_per_node; /* 0: REDIS_STORE_MAX_INFLIGHT_PER_NODE */
    struct breaker_options breaker; /* of each node; all zero: none */
    struct slot_board *slot_board;  /* borrowed, shared by the workers of a process; NULL: there is but one */
};

/* Borrows `loop` and `metrics`, which must outlive it. Not ready yet when it returns: run the loop. NULL with a
 * reason in `status`: a bad list of nodes, or no memory. Not to be destroyed from inside a call's `done`. */
struct store *redis_store_create(struct ev_loop *loop, const struct redis_store_options *options,
                                 struct redis_metrics *metrics, struct status *status);

#endif
