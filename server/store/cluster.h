/* cluster.h — calls of scripts, and plain commands, find the node that owns their slot; redirects live and die here.
 *
 *   cluster_submit ─ slot → node ─ breaker ─> redis_conn … reply ─┬─ redirected or not executed: again, ≤ 5 times
 *                        ^────────────────────────────────────────┘└ anything else: done
 *
 * Each call has a deadline, whatever happens to it, and a node whose breaker is open is not asked. One whose
 * connection is lost after it was written is never sent again: it may have been executed. Which node owns what is
 * topology.h's affair. One thread, one loop. */
#ifndef SLUICE_STORE_CLUSTER_H
#define SLUICE_STORE_CLUSTER_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/base/status.h"
#include "server/store/breaker.h"
#include "server/store/redis_conn.h"
#include "server/store/redis_metrics.h"
#include "server/store/redis_reply.h"
#include "server/store/script.h"
#include "server/store/slot_board.h"
#include "server/store/store.h"

enum { CLUSTER_MAX_HOPS = 5, CLUSTER_MAX_SCRIPTS = 8 };

/* Instead of a script's index: the tail is a whole command, on keys of the slot. It is redirected and lost like a
 * script call, so it may have been executed although its connection was lost; what only reads may be submitted
 * again. */
enum { CLUSTER_PLAIN = UINT16_MAX };

struct cluster_options {
    const char *nodes;    /* "HOST:PORT,HOST:PORT"; may be down */
    const char *user;     /* NULL or "": the default user */
    const char *password; /* NULL: no AUTH. Neither is needed after cluster_create */
    int64_t connect_timeout_us;
    uint32_t max_inflight_per_node;
    int64_t refresh_every_us;            /* at least, between two readings of the slot map */
    const struct script *const *scripts; /* loaded on every connection; a call names one by its index */
    uint32_t n_scripts;                  /* 1 ... CLUSTER_MAX_SCRIPTS */
    struct breaker_options breaker;      /* of each node */
    struct slot_board *slot_board;       /* see topology.h */
    int64_t watch_clocks_every_us;       /* see clock_watch.h; 0: never */
};

struct cluster;
struct topology_node;
struct cluster_call;

/* STORE_OK: `reply` is what the script replied, no error reply, valid until this returns. Any other outcome:
 * `reply` is NULL. The call is the owner's again and may be freed. */
typedef void (*cluster_done_fn)(struct cluster_call *call, enum store_outcome outcome,
                                const struct redis_reply *reply);

/* The owner's memory. */
struct cluster_call {
    /* in */
    uint16_t slot;
    uint16_t script;   /* index into the options' scripts, or CLUSTER_PLAIN */
    struct bytes tail; /* as redis_put_tail writes it, or a whole command; borrowed until done */
    cluster_done_fn done;
    /* the cluster's own */
    uint32_t magic;
    uint32_t n_hops;
    struct cluster *cluster;
    struct topology_node *node; /* who has it now; NULL while it waits to be sent again */
    enum breaker_pass pass;     /* of that node's breaker */
    int64_t sent_at_us;         /* to that node */
    int64_t deadline_us;
    struct redis_command command;
    bool was_read_only; /* a node said so: not twice */
    ev_timer timer;     /* the deadline, or the end of the wait */
};

/* Borrows `loop`, `metrics` and the scripts, which must outlive it. NULL with a reason in `status`: a bad list
 * of nodes, or no memory. */
struct cluster *cluster_create(struct ev_loop *loop, const struct cluster_options *options,
                               struct redis_metrics *metrics, struct status *status);
/* Closes everything, nulls the pointer. No call may be under way; not to be called from a call's callback. */
void cluster_destroy(struct cluster **cluster);

/* STORE_OK: under way, `done` is called exactly once, from the loop, at the deadline at the latest. Any other
 * outcome: it was not sent, and `done` is not called. Times are monotonic; `now_us` that of this loop turn. */
enum store_outcome cluster_submit(struct cluster *cluster, struct cluster_call *call, int64_t deadline_us,
                                  int64_t now_us) __attribute__((warn_unused_result));
/* Takes back a call that is under way: `done` will not be called. */
void cluster_abandon(struct cluster_call *call);

/* Every slot has an owner, and each of these is connected. */
bool cluster_is_ready(const struct cluster *cluster);

/* Called for each owner of slots whose clock is known, with how far it is ahead of this frontend's. */
typedef void (*cluster_clock_fn)(void *arg, const struct node_addr *addr, int64_t ahead_us);
void cluster_each_clock(const struct cluster *cluster, int64_t now_us, cluster_clock_fn fn, void *arg);

#endif
