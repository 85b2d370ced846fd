/* redis_conn.h — one connection to one Redis node: commands out in order, replies paired with them in order.
 *
 *   submit ─ waiting ─ prepare: one write for each loop turn ─ pairing ring ─ readable: reply ─ command->ended
 *
 * Connects when started and again, by itself, whenever the connection is lost: after a full-jitter, exponential
 * back-off of 50 ms to 2 s. A name is resolved off the loop; its addresses are tried in turn, the one that worked
 * first, and once all have failed it is resolved anew, for the node may have moved. Every connection begins with a
 * greeting (AUTH, and SCRIPT LOAD: a promoted replica's cache is empty); commands are sent once its replies are
 * in. It knows nothing of slots, redirects or deadlines: a reply is handed up whatever it says. One thread. */
#ifndef SLUICE_STORE_REDIS_CONN_H
#define SLUICE_STORE_REDIS_CONN_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/base/list.h"
#include "server/base/log.h"
#include "server/store/node_addr.h"
#include "server/store/redis_metrics.h"
#include "server/store/redis_reply.h"
#include "server/store/resolver.h"

enum redis_command_end {
    REDIS_COMMAND_REPLIED, /* `reply` is set, maybe an error reply; valid until the callback returns */
    REDIS_COMMAND_UNSENT,  /* the connection was lost, and none of the command was written */
    REDIS_COMMAND_LOST,    /* the connection was lost after some of it was written: maybe executed */
};

struct redis_command;
/* Called exactly once for a queued command that is not withdrawn, from the loop. The command is the owner's
 * again: it may be freed or submitted anew. */
typedef void (*redis_command_fn)(struct redis_command *command, enum redis_command_end end,
                                 const struct redis_reply *reply);

enum redis_command_state { REDIS_COMMAND_IDLE, REDIS_COMMAND_WAITING, REDIS_COMMAND_PAIRED };

/* The owner's memory; an all-zero one is idle. */
struct redis_command {
    /* in, borrowed until the command has ended or is withdrawn */
    struct bytes head, tail; /* RESP bytes, sent one behind the other */
    uint32_t n_replies;      /* what they draw; only the last is handed up */
    redis_command_fn ended;
    /* the connection's own */
    enum redis_command_state state;
    struct list in_waiting;
    uint64_t pairing;        /* its place in the ring, counted from the first command of the connection */
    uint64_t starts_at_byte; /* counted from the first byte of the connection */
};

struct redis_conn;

/* The connection is usable now. */
typedef void (*redis_conn_up_fn)(void *arg);
/* It was lost (`was_up`), or an attempt to connect failed; `level` is LOG_ERROR when an operator must act, as for
 * a wrong password. Its commands have not ended yet, and new ones are refused. */
typedef void (*redis_conn_down_fn)(void *arg, bool was_up, enum log_level level, const char *reason);

/* Shared by the connections of one cluster; must outlive them. */
struct redis_conn_options {
    struct bytes greeting;       /* RESP bytes; its replies must be strings or statuses */
    uint32_t n_greeting_replies; /* at least 1 */
    int64_t connect_timeout_us;  /* for resolving, connecting and the greeting together */
    uint32_t max_inflight;       /* commands waiting or unanswered, given-up ones included */
    struct resolver *resolver;   /* of the same loop; NULL: hosts are given by number */
    struct redis_metrics *metrics;
    redis_conn_up_fn on_up;
    redis_conn_down_fn on_down;
};

/* Starts connecting, from the loop. NULL when memory is short. */
struct redis_conn *redis_conn_create(struct ev_loop *loop, const struct node_addr *addr,
                                     const struct redis_conn_options *options, void *arg);
/* Closes and frees, nulls the pointer; commands under way are dropped without being ended. Not to be called
 * from a callback of this connection or of its commands. */
void redis_conn_destroy(struct redis_conn **conn);

enum redis_submit {
    REDIS_SUBMIT_QUEUED,
    REDIS_SUBMIT_DOWN, /* the last attempt to connect failed, and the next is not yet due */
    REDIS_SUBMIT_FULL, /* max_inflight */
};

/* Only when QUEUED is the command taken, and `ended` will be called; never before this returns. */
enum redis_submit redis_conn_submit(struct redis_conn *conn, struct redis_command *command)
    __attribute__((warn_unused_result));
/* Takes the command back; `ended` will not be called. If it was written, its late reply will be dropped and
 * counted. An idle command is left alone. */
void redis_conn_withdraw(struct redis_conn *conn, struct redis_command *command);

const struct node_addr *redis_conn_addr(const struct redis_conn *conn);
bool redis_conn_is_up(const struct redis_conn *conn);
/* Commands waiting or unanswered, withdrawn ones included. */
uint32_t redis_conn_count_inflight(const struct redis_conn *conn);
/* Commands whose replies have come, since it was created, and those lost with a connection. */
uint64_t redis_conn_count_answered(const struct redis_conn *conn);

#endif
