/* topology.c — the nodes of a Redis Cluster and who owns which slot; see topology.h.
 *
 *   refresh:  IDLE ── wanted ──> DUE ── timer ──> ASKED ── reply, loss or timeout ──> IDLE
 */
#include "server/store/topology.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/buf.h"
#include "server/base/clock.h"
#include "server/base/ensure.h"
#include "server/base/hash.h"
#include "server/store/redis_request.h"
#include "server/store/slotmap.h"

enum { TOPOLOGY_MAGIC = 0x7ed15c10, NODE_MAGIC = 0x7ed15c11 };

#define LOG_EVERY_US INT64_C(60000000) /* of one node */
/* In units of refresh_every_us. */
#define REFRESH_JITTER 0.25
#define SWEEP_EVERY 10
#define FORGET_AFTER 60

enum refresh_state {
    REFRESH_IDLE,
    REFRESH_DUE,   /* the timer starts it */
    REFRESH_ASKED, /* the timer gives it up */
};

struct topology {
    uint32_t magic;
    struct ev_loop *loop;
    struct redis_metrics *metrics;
    struct redis_conn_options conn_options;
    struct breaker_options breaker_options;
    struct topology_node *nodes[SLOTMAP_MAX_NODES];
    uint16_t n_places; /* of `nodes`, some of them free: NULL */
    uint16_t n_seeds;
    struct slotmap map;
    struct slotmap fresh; /* being read */
    enum refresh_state refresh_state;
    bool is_refresh_wanted; /* once more, or as soon as a node is connected */
    int64_t refresh_every_us, refreshed_at_us;
    struct topology_node *refresh_node;
    struct redis_command refresh_command;
    struct buf refresh_bytes;
    ev_timer refresh_timer, sweep_timer;
    struct log_gate plain_gate;
    unsigned short jitter[3];
};

static struct topology *topology_of(void *data) {
    struct topology *topology = data;
    ensure(topology->magic, ==, TOPOLOGY_MAGIC);
    return topology;
}

/* ---- nodes ---- */

static void node_on_up(void *arg) {
    struct topology_node *node = arg;
    ensure(node->magic, ==, NODE_MAGIC);
    char text[NODE_ADDR_TEXT_BYTES];
    node_addr_format(redis_conn_addr(node->conn), text);
    log_write(node->was_reported_down ? LOG_INFO : LOG_DEBUG, "topology", "node %s: connected", text);
    node->was_reported_down = false;
    breaker_hope(&node->breaker);
    if (node->topology->is_refresh_wanted || !slotmap_is_complete(&node->topology->map)) {
        topology_refresh_soon(node->topology);
    }
}

static void node_on_down(void *arg, bool was_up, enum log_level level, const char *reason) {
    struct topology_node *node = arg;
    ensure(node->magic, ==, NODE_MAGIC);
    uint64_t n_held_back;
    if (log_gate_open(&node->down_gates[level], clock_mono_us(), LOG_EVERY_US, &n_held_back)) {
        char text[NODE_ADDR_TEXT_BYTES];
        node_addr_format(redis_conn_addr(node->conn), text);
        log_write(level, "topology", "node %s: %s: %s", text, was_up ? "connection lost" : "cannot connect",
                  reason);
        node->was_reported_down = true;
    }
    topology_refresh_soon(node->topology);
}

static struct topology_node *find_node(const struct topology *topology, const struct node_addr *addr) {
    for (uint16_t i = 0; i < topology->n_places; i++) {
        struct topology_node *node = topology->nodes[i];
        if (node != NULL && node_addr_is_same(redis_conn_addr(node->conn), addr)) {
            return node;
        }
    }
    return NULL;
}

static struct topology_node *add_node(struct topology *topology, const struct node_addr *addr) {
    uint16_t place = 0;
    while (place < topology->n_places && topology->nodes[place] != NULL) {
        place++;
    }
    struct topology_node *node = place < SLOTMAP_MAX_NODES ? malloc(sizeof *node) : NULL;
    if (node == NULL) {
        return NULL;
    }
    *node = (struct topology_node){.magic = NODE_MAGIC, .number = place, .topology = topology};
    node->conn = redis_conn_create(topology->loop, addr, &topology->conn_options, node);
    if (node->conn == NULL) {
        free(node);
        return NULL;
    }
    breaker_init(&node->breaker, &topology->breaker_options, hash_random_seed(), clock_mono_us());
    topology->nodes[place] = node;
    if (place == topology->n_places) {
        topology->n_places++;
    }
    return node;
}

struct topology_node *topology_node_at(struct topology *topology, const struct node_addr *addr) {
    struct topology_node *node = find_node(topology, addr);
    if (node == NULL) {
        node = add_node(topology, addr);
    }
    if (node != NULL) {
        node->named_at_us = clock_mono_us();
    }
    return node;
}

struct topology_node *topology_next(struct topology *topology, const struct topology_node *node) {
    for (uint16_t i = node != NULL ? (uint16_t)(node->number + 1) : 0; i < topology->n_places; i++) {
        if (topology->nodes[i] != NULL) {
            return topology->nodes[i];
        }
    }
    return NULL;
}

bool topology_is_owner(const struct topology_node *node) {
    return node->topology->map.n_slots_of_node[node->number] > 0;
}

static void free_node(struct topology *topology, uint16_t place) {
    struct topology_node *node = topology->nodes[place];
    if (node != NULL) {
        if (node->breaker.is_open) {
            metric_dec(&topology->metrics->breakers_open);
        }
        redis_conn_destroy(&node->conn);
        node->magic = 0;
        free(node);
        topology->nodes[place] = NULL;
    }
}

/* Drops nodes that have left the cluster. It has a timer of its own, so never runs inside a callback of theirs. */
static void topology_on_sweep(struct ev_loop *loop, ev_timer *watcher, int events) {
    (void)loop;
    (void)events;
    struct topology *topology = topology_of(watcher->data);
    int64_t now_us = clock_mono_us();
    for (uint16_t i = 0; i < topology->n_places; i++) {
        const struct topology_node *node = topology->nodes[i];
        if (node != NULL && !node->is_seed && topology->map.n_slots_of_node[i] == 0 &&
            redis_conn_count_inflight(node->conn) == 0 &&
            now_us - node->named_at_us > FORGET_AFTER * topology->refresh_every_us) {
            free_node(topology, i);
        }
    }
}

/* ---- breakers ---- */

static void report_breaker(const struct topology_node *node, const char *why) {
    struct redis_metrics *metrics = node->topology->metrics;
    char text[NODE_ADDR_TEXT_BYTES];
    node_addr_format(redis_conn_addr(node->conn), text);
    if (node->breaker.is_open) {
        metric_inc(&metrics->breaker_opens);
        metric_inc(&metrics->breakers_open);
        log_write(LOG_WARN, "topology", "node %s: breaker open: %s", text, why);
    } else {
        metric_dec(&metrics->breakers_open);
        log_write(LOG_INFO, "topology", "node %s: breaker closed: it answers again", text);
    }
}

enum breaker_pass topology_ask_breaker(struct topology_node *node, int64_t now_us) {
    bool was_open = node->breaker.is_open;
    struct breaker_view view = {.has_work = redis_conn_count_inflight(node->conn) > 0,
                                .n_answered = redis_conn_count_answered(node->conn)};
    enum breaker_pass pass = breaker_ask(&node->breaker, view, now_us);
    if (node->breaker.is_open != was_open) {
        report_breaker(node, "it does not reply");
    }
    return pass;
}

void topology_tell_breaker(struct topology_node *node, enum breaker_pass pass, enum breaker_sign sign,
                           int64_t now_us) {
    bool was_open = node->breaker.is_open;
    breaker_end(&node->breaker, pass, sign, now_us);
    if (node->breaker.is_open != was_open) {
        report_breaker(node, "too many calls failed");
    }
}

/* ---- the slot map ---- */

struct topology_node *topology_owner(struct topology *topology, uint16_t slot) {
    uint16_t number = slotmap_node(&topology->map, slot);
    return number != SLOTMAP_NO_NODE ? topology->nodes[number] : NULL;
}

static void show_coverage(struct topology *topology) {
    metric_set(&topology->metrics->slots_covered, topology->map.n_covered);
}

void topology_move_slot(struct topology *topology, uint16_t slot, const struct topology_node *owner) {
    slotmap_set(&topology->map, slot, owner->number);
    show_coverage(topology);
    topology_refresh_soon(topology);
}

bool topology_is_ready(const struct topology *topology) {
    for (uint16_t i = 0; i < topology->n_places; i++) {
        if (topology->map.n_slots_of_node[i] > 0 && !redis_conn_is_up(topology->nodes[i]->conn)) {
            return false;
        }
    }
    return slotmap_is_complete(&topology->map);
}

static uint32_t count_owners(const struct slotmap *map) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < SLOTMAP_MAX_NODES; i++) {
        n += map->n_slots_of_node[i] > 0;
    }
    return n;
}

/* Puts the map just read in force, if it may be; true when every slot has an owner in it. */
static bool install_fresh(struct topology *topology) {
    if (!slotmap_may_replace(&topology->fresh, &topology->map)) {
        return false;
    }
    if (!slotmap_is_same(&topology->fresh, &topology->map)) {
        topology->map = topology->fresh;
        show_coverage(topology);
        log_write(LOG_INFO, "topology", "slot map changed: slots %u of %u, owners %u",
                  (unsigned)topology->map.n_covered, (unsigned)SLOT_COUNT, count_owners(&topology->map));
    }
    return slotmap_is_complete(&topology->map);
}

/* A Redis without cluster mode owns all, but only if it is alone: else each frontend might choose another. One
 * that is known from a map is a stranger at the address of a node that has left. */
static bool read_plain(struct topology *topology, const struct topology_node *node) {
    if (topology->n_seeds > 1 || !node->is_seed) {
        uint64_t n_held_back;
        if (log_gate_open(&topology->plain_gate, clock_mono_us(), LOG_EVERY_US, &n_held_back)) {
            char text[NODE_ADDR_TEXT_BYTES];
            node_addr_format(redis_conn_addr(node->conn), text);
            log_write(LOG_ERROR, "topology",
                      "node %s is not in cluster mode: list it alone, or only nodes of one cluster", text);
        }
        return false;
    }
    slotmap_init(&topology->fresh);
    slotmap_set_all(&topology->fresh, node->number);
    return true;
}

static uint16_t number_of(void *arg, const struct node_addr *addr) {
    const struct topology_node *node = topology_node_at(arg, addr);
    return node != NULL ? node->number : SLOTMAP_NO_NODE;
}

static bool read_slots(struct topology *topology, const struct topology_node *node,
                       const struct redis_reply *reply) {
    if (reply->kind != REDIS_KIND_ERROR) {
        return slotmap_read(&topology->fresh, reply, redis_conn_addr(node->conn), number_of, topology);
    }
    if (redis_error_is_no_cluster(reply->text)) {
        return read_plain(topology, node);
    }
    metric_inc(redis_metrics_error(topology->metrics, redis_error_of(reply->text)));
    return false;
}

/* ---- refresh ---- */

/* The only place where `refresh_state` changes. */
static void set_refresh(struct topology *topology, enum refresh_state state, double timer_s) {
    topology->refresh_state = state;
    ev_timer_stop(topology->loop, &topology->refresh_timer);
    if (state != REFRESH_IDLE) {
        ev_timer_set(&topology->refresh_timer, timer_s, 0.);
        ev_timer_start(topology->loop, &topology->refresh_timer);
    }
}

/* The first one comes at once; later ones spread out, so that frontends do not ask in step. */
static double until_refresh_s(struct topology *topology) {
    if (topology->refreshed_at_us == 0) {
        return 0.;
    }
    int64_t wait_us = topology->refreshed_at_us + topology->refresh_every_us - clock_mono_us();
    double jitter_us = erand48(topology->jitter) * REFRESH_JITTER * (double)topology->refresh_every_us;
    return ((wait_us > 0 ? (double)wait_us : 0.) + jitter_us) * 1e-6;
}

void topology_refresh_soon(struct topology *topology) {
    switch (topology->refresh_state) {
    case REFRESH_IDLE:
        set_refresh(topology, REFRESH_DUE, until_refresh_s(topology));
        return;
    case REFRESH_DUE:
        return;
    case REFRESH_ASKED:
        topology->is_refresh_wanted = true;
        return;
    }
}

static void end_refresh(struct topology *topology, bool is_good) {
    metric_inc(is_good ? &topology->metrics->refreshes : &topology->metrics->refreshes_failed);
    topology->refresh_node = NULL;
    set_refresh(topology, REFRESH_IDLE, 0.);
    if (topology->is_refresh_wanted || !is_good) {
        topology_refresh_soon(topology);
    }
}

static void refresh_ended(struct redis_command *command, enum redis_command_end end,
                          const struct redis_reply *reply) {
    struct topology *topology = topology_of(list_entry(command, struct topology, refresh_command));
    end_refresh(topology, end == REDIS_COMMAND_REPLIED && read_slots(topology, topology->refresh_node, reply) &&
                              install_fresh(topology));
}

static struct topology_node *random_connected_node(struct topology *topology) {
    struct topology_node *chosen = NULL;
    double n_seen = 0.;
    for (uint16_t i = 0; i < topology->n_places; i++) {
        struct topology_node *node = topology->nodes[i];
        if (node != NULL && redis_conn_is_up(node->conn)) {
            n_seen += 1.;
            if (erand48(topology->jitter) * n_seen < 1.) {
                chosen = node;
            }
        }
    }
    return chosen;
}

static void start_refresh(struct topology *topology) {
    struct topology_node *node = random_connected_node(topology);
    topology->is_refresh_wanted = node == NULL;
    if (node == NULL) {
        set_refresh(topology, REFRESH_IDLE, 0.);
        return;
    }
    topology->refreshed_at_us = clock_mono_us();
    topology->refresh_node = node;
    set_refresh(topology, REFRESH_ASKED, (double)topology->refresh_every_us * 1e-6);
    if (redis_conn_submit(node->conn, &topology->refresh_command) != REDIS_SUBMIT_QUEUED) {
        end_refresh(topology, false);
    }
}

static void topology_on_refresh_timer(struct ev_loop *loop, ev_timer *watcher, int events) {
    (void)loop;
    (void)events;
    struct topology *topology = topology_of(watcher->data);
    switch (topology->refresh_state) {
    case REFRESH_IDLE:
        return;
    case REFRESH_DUE:
        start_refresh(topology);
        return;
    case REFRESH_ASKED:
        redis_conn_withdraw(topology->refresh_node->conn, &topology->refresh_command);
        end_refresh(topology, false);
        return;
    }
}

/* ---- lifecycle ---- */

static bool add_seed(struct topology *topology, struct bytes text, struct status *status) {
    struct node_addr addr;
    if (!node_addr_parse(text, NULL, &addr)) {
        return status_fail(status, "\"%.*s\" is not HOST:PORT", (int)text.len, (const char *)text.data);
    }
    struct topology_node *node = topology_node_at(topology, &addr);
    if (node == NULL) {
        return status_fail(status, "out of memory, or more than %d nodes", SLOTMAP_MAX_NODES);
    }
    if (!node->is_seed) {
        node->is_seed = true;
        topology->n_seeds++;
    }
    return true;
}

static bool add_seeds(struct topology *topology, const char *list, struct status *status) {
    const char *rest = list;
    for (;;) {
        size_t n_bytes = strcspn(rest, ",");
        if (!add_seed(topology, (struct bytes){.data = (const uint8_t *)rest, .len = n_bytes}, status)) {
            return false;
        }
        if (rest[n_bytes] == '\0') {
            return true;
        }
        rest += n_bytes + 1;
    }
}

static bool prepare_refresh(struct topology *topology) {
    static const char *const words[] = {"CLUSTER", "SLOTS"};
    if (!redis_append_command(&topology->refresh_bytes, words, 2)) {
        return false;
    }
    topology->refresh_command = (struct redis_command){
        .head = {.data = buf_front(&topology->refresh_bytes), .len = buf_len(&topology->refresh_bytes)},
        .n_replies = 1,
        .ended = refresh_ended,
    };
    return true;
}

struct topology *topology_create(struct ev_loop *loop, const struct topology_options *options,
                                 struct redis_metrics *metrics, struct status *status) {
    struct topology *topology = calloc(1, sizeof *topology);
    if (topology == NULL) {
        status_fail(status, "out of memory");
        return NULL;
    }
    topology->magic = TOPOLOGY_MAGIC;
    topology->loop = loop;
    topology->metrics = metrics;
    topology->refresh_every_us = options->refresh_every_us;
    topology->breaker_options = options->breaker;
    topology->conn_options = (struct redis_conn_options){
        .greeting = options->greeting,
        .n_greeting_replies = options->n_greeting_replies,
        .connect_timeout_us = options->connect_timeout_us,
        .max_inflight = options->max_inflight_per_node,
        .metrics = metrics,
        .on_up = node_on_up,
        .on_down = node_on_down,
    };
    uint64_t seed = hash_random_seed();
    memcpy(topology->jitter, &seed, sizeof topology->jitter);
    slotmap_init(&topology->map);
    ev_timer_init(&topology->refresh_timer, topology_on_refresh_timer, 0., 0.);
    double sweep_every_s = (double)options->refresh_every_us * SWEEP_EVERY * 1e-6;
    ev_timer_init(&topology->sweep_timer, topology_on_sweep, sweep_every_s, sweep_every_s);
    topology->refresh_timer.data = topology->sweep_timer.data = topology;
    ev_timer_start(loop, &topology->sweep_timer);
    if (!prepare_refresh(topology)) {
        status_fail(status, "out of memory");
        topology_destroy(&topology);
    } else if (!add_seeds(topology, options->nodes, status)) {
        topology_destroy(&topology);
    }
    return topology;
}

void topology_destroy(struct topology **topology) {
    struct topology *old = *topology;
    if (old != NULL) {
        ev_timer_stop(old->loop, &old->refresh_timer);
        ev_timer_stop(old->loop, &old->sweep_timer);
        for (uint16_t i = 0; i < old->n_places; i++) {
            free_node(old, i);
        }
        buf_deinit(&old->refresh_bytes);
        old->magic = 0;
        free(old);
    }
    *topology = NULL;
}
