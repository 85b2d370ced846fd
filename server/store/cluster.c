/* cluster.c — script calls find the node that owns their slot; see cluster.h for a call's path. */
#include "server/store/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/buf.h"
#include "server/base/clock.h"
#include "server/base/ensure.h"
#include "server/base/hash.h"
#include "server/base/log.h"
#include "server/store/node_addr.h"
#include "server/store/redis_request.h"
#include "server/store/topology.h"

enum { CALL_MAGIC = 0x7ed15c12, LOGGED_ERROR_BYTES = 160 };

#define LOG_EVERY_US INT64_C(60000000) /* of one error code */
/* A node that was given less time for a call is not to blame for its deadline. */
#define FAIR_CHANCE_US INT64_C(2000)
/* A slot on the move: how long until the call is tried again, at random in between. */
#define WAIT_MIN_US INT64_C(5000)
#define WAIT_MAX_US INT64_C(20000)

struct cluster {
    struct ev_loop *loop;
    struct redis_metrics *metrics;
    struct topology *topology;
    struct clock_watch *clock_watch; /* NULL: not wanted */
    struct buf greeting;             /* AUTH, SCRIPT LOAD of each script */
    struct redis_heads heads[CLUSTER_MAX_SCRIPTS];
    uint32_t n_heads;
    struct redis_heads plain_heads; /* nothing goes before a plain command, but ASKING where it must */
    struct log_gate error_gates[REDIS_ERROR_COUNT];
    unsigned short jitter[3];
};

static struct cluster_call *call_of(void *data) {
    struct cluster_call *call = data;
    ensure(call->magic, ==, CALL_MAGIC);
    return call;
}

/* ---- a call's end ---- */

/* The call is done with its node, and this is what it learnt about it. */
static void leave_node(struct cluster_call *call, enum breaker_sign sign) {
    if (sign != BREAKER_GOOD || !breaker_count_good(&call->node->breaker)) {
        topology_tell_breaker(call->node, call->pass, sign, clock_mono_us());
    }
}

static void finish(struct cluster_call *call, enum store_outcome outcome, const struct redis_reply *reply) {
    ev_timer_stop(call->cluster->loop, &call->timer);
    call->magic = 0;
    call->done(call, outcome, reply);
}

/* One that still waits for its connection is withdrawn whole, and certainly not executed. */
static void give_up(struct cluster_call *call) {
    bool was_written = call->command.state == REDIS_COMMAND_PAIRED;
    if (was_written) {
        metric_inc(&call->cluster->metrics->timeouts);
    }
    redis_conn_withdraw(call->node->conn, &call->command);
    leave_node(call, call->deadline_us - call->sent_at_us >= FAIR_CHANCE_US ? BREAKER_BAD : BREAKER_NO_SIGN);
    topology_refresh_soon(call->cluster->topology);
    finish(call, was_written ? STORE_TIMEOUT : STORE_DOWN, NULL);
}

void cluster_abandon(struct cluster_call *call) {
    ensure(call->magic, ==, CALL_MAGIC);
    ev_timer_stop(call->cluster->loop, &call->timer);
    if (call->node != NULL) {
        redis_conn_withdraw(call->node->conn, &call->command);
        leave_node(call, BREAKER_NO_SIGN);
    }
    call->magic = 0;
}

/* ---- sending, and sending again ---- */

static const struct redis_heads *heads_of(const struct cluster_call *call) {
    return call->script == CLUSTER_PLAIN ? &call->cluster->plain_heads : &call->cluster->heads[call->script];
}

static struct bytes bytes_of_buf(const struct buf *buf) {
    size_t len = buf_len(buf);
    return (struct bytes){.data = len > 0 ? buf_front(buf) : NULL, .len = len};
}

/* Hands it to the node whose breaker let it pass. */
static enum store_outcome queue_call(struct cluster_call *call, const struct buf *head, uint32_t n_replies) {
    call->command.head = bytes_of_buf(head);
    call->command.n_replies = n_replies;
    enum store_outcome outcome = STORE_DOWN;
    switch (redis_conn_submit(call->node->conn, &call->command)) {
    case REDIS_SUBMIT_QUEUED:
        return STORE_OK;
    case REDIS_SUBMIT_DOWN:
        leave_node(call, BREAKER_BAD);
        break;
    case REDIS_SUBMIT_FULL:
        metric_inc(&call->cluster->metrics->over_inflight);
        leave_node(call, BREAKER_NO_SIGN);
        outcome = STORE_OVERLOADED;
        break;
    }
    topology_refresh_soon(call->cluster->topology); /* a node that is lost or hangs may have been replaced */
    return outcome;
}

static enum store_outcome send_call(struct cluster_call *call, struct topology_node *node,
                                    const struct buf *head, uint32_t n_replies, int64_t now_us) {
    if (node == NULL) {
        return STORE_DOWN;
    }
    call->node = node;
    call->sent_at_us = now_us;
    call->pass = breaker_was_asked(&node->breaker, now_us) ? BREAKER_PASS : topology_ask_breaker(node, now_us);
    if (call->pass == BREAKER_REFUSE) {
        metric_inc(&call->cluster->metrics->breaker_refusals);
        return STORE_DOWN;
    }
    return queue_call(call, head, n_replies);
}

/* False, with the call finished, when it was sent again too often. */
static bool count_hop(struct cluster_call *call) {
    if (call->n_hops == CLUSTER_MAX_HOPS) {
        finish(call, STORE_REDIRECTED, NULL);
        return false;
    }
    call->n_hops++;
    return true;
}

static void send_again(struct cluster_call *call, struct topology_node *node, const struct buf *head,
                       uint32_t n_replies) {
    if (!count_hop(call)) {
        return;
    }
    enum store_outcome outcome = send_call(call, node, head, n_replies, clock_mono_us());
    if (outcome != STORE_OK) {
        finish(call, outcome, NULL);
    }
}

/* The node lacks the script: the same call to the same node once more, past its breaker. */
static void send_body(struct cluster_call *call) {
    if (call->n_hops == CLUSTER_MAX_HOPS) {
        leave_node(call, BREAKER_GOOD);
    }
    if (!count_hop(call)) {
        return;
    }
    enum store_outcome outcome = queue_call(call, &heads_of(call)->by_body, 1);
    if (outcome != STORE_OK) {
        finish(call, outcome, NULL);
    }
}

/* Where a redirect points; NULL, with the call finished, when that cannot be followed. */
static struct topology_node *redirect_target(struct cluster_call *call, struct bytes text) {
    struct bytes address;
    struct node_addr addr;
    if (!redis_error_redirect(text, &address) ||
        !node_addr_parse(address, redis_conn_addr(call->node->conn), &addr)) {
        finish(call, STORE_BAD_REPLY, NULL);
        return NULL;
    }
    struct topology_node *node = topology_node_at(call->cluster->topology, &addr);
    if (node == NULL) {
        finish(call, STORE_NO_MEMORY, NULL);
    }
    return node;
}

static void follow_moved(struct cluster_call *call, struct bytes text) {
    struct topology_node *node = redirect_target(call, text);
    if (node != NULL) {
        topology_move_slot(call->cluster->topology, call->slot, node);
        send_again(call, node, &heads_of(call)->by_sha1, 1);
    }
}

static void follow_ask(struct cluster_call *call, struct bytes text) {
    struct topology_node *node = redirect_target(call, text);
    if (node != NULL) {
        send_again(call, node, &heads_of(call)->asking_body, 2);
    }
}

/* libev counts from its own reading of the clock at the start of this turn, as `now_us` nearly does. */
static void set_timer(struct cluster_call *call, int64_t at_us, int64_t now_us) {
    ev_timer_stop(call->cluster->loop, &call->timer);
    ev_timer_set(&call->timer, at_us > now_us ? (double)(at_us - now_us) * 1e-6 : 0., 0.);
    ev_timer_start(call->cluster->loop, &call->timer);
}

static void refuse(struct cluster_call *call, enum redis_error error, struct bytes text) {
    uint64_t n_held_back;
    if (log_gate_open(&call->cluster->error_gates[error], clock_mono_us(), LOG_EVERY_US, &n_held_back)) {
        char addr[NODE_ADDR_TEXT_BYTES];
        node_addr_format(redis_conn_addr(call->node->conn), addr);
        log_write(redis_error_level(error), "cluster", "node %s refuses: %.*s", addr,
                  (int)(text.len < LOGGED_ERROR_BYTES ? text.len : LOGGED_ERROR_BYTES),
                  (const char *)text.data);
    }
    finish(call, STORE_REFUSED, NULL);
}

static void send_to_owner(struct cluster_call *call) {
    send_again(call, topology_owner(call->cluster->topology, call->slot), &heads_of(call)->by_sha1, 1);
}

/* The node was a master until a moment ago. */
static void send_once_more(struct cluster_call *call, enum redis_error error, struct bytes text) {
    topology_refresh_soon(call->cluster->topology);
    if (call->was_read_only) {
        refuse(call, error, text);
        return;
    }
    call->was_read_only = true;
    send_to_owner(call);
}

static void send_later(struct cluster_call *call, enum redis_error error, struct bytes text) {
    int64_t now_us = clock_mono_us();
    double spread_us = erand48(call->cluster->jitter) * (double)(WAIT_MAX_US - WAIT_MIN_US);
    int64_t again_at_us = now_us + WAIT_MIN_US + (int64_t)spread_us;
    if (again_at_us >= call->deadline_us) {
        refuse(call, error, text);
        return;
    }
    call->node = NULL;
    set_timer(call, again_at_us, now_us);
}

static void call_on_timer(struct ev_loop *loop, ev_timer *watcher, int events) {
    (void)loop;
    (void)events;
    struct cluster_call *call = call_of(watcher->data);
    if (call->node != NULL) {
        give_up(call);
    } else {
        set_timer(call, call->deadline_us, clock_mono_us());
        send_to_owner(call);
    }
}

static void handle_error(struct cluster_call *call, struct bytes text) {
    enum redis_error error = redis_error_of(text);
    enum redis_error_action action = redis_error_action(error);
    metric_inc(redis_metrics_error(call->cluster->metrics, error));
    if (action != REDIS_ACT_BODY) {
        leave_node(call, redis_error_is_fault(error) ? BREAKER_BAD : BREAKER_GOOD);
    }
    switch (action) {
    case REDIS_ACT_MOVED:
        follow_moved(call, text);
        return;
    case REDIS_ACT_ASK:
        follow_ask(call, text);
        return;
    case REDIS_ACT_BODY:
        send_body(call);
        return;
    case REDIS_ACT_ONCE_MORE:
        send_once_more(call, error, text);
        return;
    case REDIS_ACT_LATER:
        send_later(call, error, text);
        return;
    case REDIS_ACT_REFRESH:
        topology_refresh_soon(call->cluster->topology);
        refuse(call, error, text);
        return;
    case REDIS_ACT_REFUSE:
        refuse(call, error, text);
        return;
    }
}

static void command_ended(struct redis_command *command, enum redis_command_end end,
                          const struct redis_reply *reply) {
    struct cluster_call *call = call_of(list_entry(command, struct cluster_call, command));
    switch (end) {
    case REDIS_COMMAND_REPLIED:
        if (reply->kind == REDIS_KIND_ERROR) {
            handle_error(call, reply->text);
        } else {
            leave_node(call, BREAKER_GOOD);
            finish(call, STORE_OK, reply);
        }
        return;
    case REDIS_COMMAND_UNSENT:
        leave_node(call, BREAKER_BAD);
        finish(call, STORE_DOWN, NULL);
        return;
    case REDIS_COMMAND_LOST:
        metric_inc(&call->cluster->metrics->ambiguous);
        leave_node(call, BREAKER_BAD);
        finish(call, STORE_LOST, NULL);
        return;
    }
}

enum store_outcome cluster_submit(struct cluster *cluster, struct cluster_call *call, int64_t deadline_us,
                                  int64_t now_us) {
    ensure(call->script == CLUSTER_PLAIN ? 0 : call->script, <, cluster->n_heads);
    if (deadline_us <= now_us) {
        metric_inc(&cluster->metrics->timeouts);
        return STORE_TIMEOUT;
    }
    call->cluster = cluster;
    call->deadline_us = deadline_us;
    call->n_hops = 0;
    call->was_read_only = false;
    call->command = (struct redis_command){.tail = call->tail, .ended = command_ended};
    enum store_outcome outcome =
        send_call(call, topology_owner(cluster->topology, call->slot), &heads_of(call)->by_sha1, 1, now_us);
    if (outcome == STORE_OK) {
        call->magic = CALL_MAGIC;
        ev_timer_init(&call->timer, call_on_timer, 0., 0.);
        ev_set_priority(&call->timer, -1); /* behind the replies that are there by then */
        call->timer.data = call;
        set_timer(call, deadline_us, now_us);
    }
    return outcome;
}

bool cluster_is_ready(const struct cluster *cluster) {
    return topology_is_ready(cluster->topology);
}

void cluster_each_clock(const struct cluster *cluster, int64_t now_us, cluster_clock_fn fn, void *arg) {
    const struct topology_node *node = NULL;
    while ((node = topology_next(cluster->topology, node)) != NULL) {
        int64_t ahead_us;
        if (topology_is_owner(node) && node_clock_ahead(&node->clock_probe.clock, now_us, &ahead_us)) {
            fn(arg, redis_conn_addr(node->conn), ahead_us);
        }
    }
}

/* ---- lifecycle ---- */

static bool prepare_login(struct cluster *cluster, const struct cluster_options *options) {
    bool has_user = options->user != NULL && options->user[0] != '\0';
    const char *const words[] = {"AUTH", has_user ? options->user : options->password, options->password};
    return options->password == NULL || redis_append_command(&cluster->greeting, words, has_user ? 3 : 2);
}

static bool prepare_scripts(struct cluster *cluster, const struct cluster_options *options) {
    for (uint32_t i = 0; i < options->n_scripts; i++) {
        const struct script *script = options->scripts[i];
        const char *const load[] = {"SCRIPT", "LOAD", script->body};
        cluster->n_heads++;
        if (!redis_heads_init(&cluster->heads[i], script) ||
            !redis_append_command(&cluster->greeting, load, 3)) {
            return false;
        }
    }
    return redis_append_command(&cluster->plain_heads.asking_body, (const char *const[]){"ASKING"}, 1);
}

struct cluster *cluster_create(struct ev_loop *loop, const struct cluster_options *options,
                               struct redis_metrics *metrics, struct status *status) {
    ensure(options->n_scripts, >=, 1);
    ensure(options->n_scripts, <=, CLUSTER_MAX_SCRIPTS);
    struct cluster *cluster = malloc(sizeof *cluster);
    if (cluster == NULL) {
        status_fail(status, "out of memory");
        return NULL;
    }
    *cluster = (struct cluster){.loop = loop, .metrics = metrics};
    uint64_t seed = hash_random_seed();
    memcpy(cluster->jitter, &seed, sizeof cluster->jitter);
    if (!prepare_login(cluster, options) || !prepare_scripts(cluster, options)) {
        status_fail(status, "out of memory");
        cluster_destroy(&cluster);
        return NULL;
    }
    struct topology_options topology_options = {
        .nodes = options->nodes,
        .greeting = {.data = buf_front(&cluster->greeting), .len = buf_len(&cluster->greeting)},
        .n_greeting_replies = options->n_scripts + (options->password != NULL),
        .connect_timeout_us = options->connect_timeout_us,
        .max_inflight_per_node = options->max_inflight_per_node,
        .refresh_every_us = options->refresh_every_us,
        .breaker = options->breaker,
        .board = options->slot_board,
    };
    cluster->topology = topology_create(loop, &topology_options, metrics, status);
    if (cluster->topology == NULL) {
        cluster_destroy(&cluster);
    } else if (options->watch_clocks_every_us > 0) {
        cluster->clock_watch = clock_watch_create(loop, cluster->topology, options->watch_clocks_every_us);
        if (cluster->clock_watch == NULL) {
            status_fail(status, "out of memory");
            cluster_destroy(&cluster);
        }
    }
    return cluster;
}

void cluster_destroy(struct cluster **cluster) {
    struct cluster *old = *cluster;
    if (old != NULL) {
        clock_watch_destroy(&old->clock_watch);
        topology_destroy(&old->topology);
        for (uint32_t i = 0; i < old->n_heads; i++) {
            redis_heads_deinit(&old->heads[i]);
        }
        redis_heads_deinit(&old->plain_heads);
        buf_deinit(&old->greeting);
        free(old);
    }
    *cluster = NULL;
}
