/* topology.h — the nodes of a Redis Cluster as far as they are known, and which of them owns which slot.
 *
 * Begins with a list of addresses (the seeds) and learns the rest by CLUSTER SLOTS, asked of a random connected
 * node: at the start, when told that the map may be out of date, and when a node is lost, as refresh.h says; or
 * adopts what another worker has learnt. A map with holes never replaces one without. A Redis that is not in
 * cluster mode owns every slot. Nothing need be up at the start. Every owner is connected to at once; a node that
 * owns nothing and has not been named for 60 times refresh_every_us is dropped. One thread. */
#ifndef SLUICE_STORE_TOPOLOGY_H
#define SLUICE_STORE_TOPOLOGY_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/base/log.h"
#include "server/base/status.h"
#include "server/store/breaker.h"
#include "server/store/clock_watch.h"
#include "server/store/node_addr.h"
#include "server/store/redis_conn.h"
#include "server/store/redis_metrics.h"
#include "server/store/resolver.h"
#include "server/store/slot_board.h"

struct topology;

struct topology_node {
    uint32_t magic;
    uint16_t number; /* its place in the slot map */
    bool is_seed;
    bool was_reported_down;
    int64_t named_at_us; /* when a map or a redirect last named it */
    struct topology *topology;
    struct redis_conn *conn;
    struct breaker breaker;
    struct clock_probe clock_probe;
    struct log_gate down_gates[LOG_WARN + 1]; /* by level */
};

struct topology_options {
    const char *nodes; /* "HOST:PORT,HOST:PORT" */
    struct bytes greeting;
    uint32_t n_greeting_replies;
    int64_t connect_timeout_us;
    uint32_t max_inflight_per_node;
    int64_t
        refresh_every_us; /* two refreshes are at least so far apart; one without a reply is given up then */
    struct breaker_options breaker;
    resolver_resolve_fn resolve; /* of names; NULL: the system's */
    struct slot_board *board;    /* borrowed; where workers share what they read. NULL: nobody else does */
};

/* Borrows `loop`, `metrics` and the greeting, which must outlive it. NULL with a reason in `status`: a bad list
 * of nodes, or no memory. */
struct topology *topology_create(struct ev_loop *loop, const struct topology_options *options,
                                 struct redis_metrics *metrics, struct status *status);
/* Closes everything, nulls the pointer. Not to be called from a callback of a connection. */
void topology_destroy(struct topology **topology);

/* The owner of `slot`; NULL when it is not known. Nodes are the topology's; one stays at least until the loop
 * turns, and while it has commands under way. */
struct topology_node *topology_owner(struct topology *topology, uint16_t slot);
/* The node at `addr`, made and connecting if it is new; NULL when memory is short or there are too many. */
struct topology_node *topology_node_at(struct topology *topology, const struct node_addr *addr);
/* The nodes one after the other: the first after NULL, NULL after the last. Not across turns of the loop. */
struct topology_node *topology_next(struct topology *topology, const struct topology_node *node);
/* Has it slots? */
bool topology_is_owner(const struct topology_node *node);
/* A redirect said so; the rest of the map may be out of date as well. */
void topology_move_slot(struct topology *topology, uint16_t slot, const struct topology_node *owner);
/* Has the map read anew, as soon as it may be. */
void topology_refresh_soon(struct topology *topology);

/* The node's breaker, asked and told as breaker.h says; turns of it are logged and counted. */
enum breaker_pass topology_ask_breaker(struct topology_node *node, int64_t now_us)
    __attribute__((warn_unused_result));
void topology_tell_breaker(struct topology_node *node, enum breaker_pass pass, enum breaker_sign sign,
                           int64_t now_us);

/* Every slot has an owner, and each of these is connected. */
bool topology_is_ready(const struct topology *topology);

#endif
