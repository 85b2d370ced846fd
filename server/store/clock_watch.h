/* clock_watch.h — asks each owner of slots for its time, now and then, and warns when clocks differ.
 *
 * The scripts go by the time of the node that runs them. A node whose clock differs does no harm by itself; but
 * when another takes its slots over, the time of their buckets steps. Only TIME of connected owners is asked:
 * the clocks of replicas are not known. TIME is never redirected, so a node that has handed its slots over would go
 * unnoticed: the slot map is read anew with every fifteenth round. One thread. */
#ifndef SLUICE_STORE_CLOCK_WATCH_H
#define SLUICE_STORE_CLOCK_WATCH_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/store/node_clock.h"
#include "server/store/redis_conn.h"

/* A clock that differs by more than this, from ours or from another node's, is told. */
#define CLOCK_WATCH_TOLERANCE_US INT64_C(1000000)

/* One in each node; an all-zero one has asked nothing yet. */
struct clock_probe {
    struct node_clock clock;
    struct redis_command command;
    int64_t asked_at_us;
};

struct topology;
struct clock_watch;

/* Asks all owners every `every_us` from the loop. Borrows the loop and the topology. NULL when memory is short. */
struct clock_watch *clock_watch_create(struct ev_loop *loop, struct topology *topology, int64_t every_us);
/* To be followed at once by the topology's end, which drops what is still asked. Nulls the pointer; NULL inside is
 * fine. */
void clock_watch_destroy(struct clock_watch **watch);

/* Reads the reply to TIME. False when it is none. */
bool clock_watch_parse(const struct redis_reply *reply, int64_t *time_us) __attribute__((warn_unused_result));

#endif
