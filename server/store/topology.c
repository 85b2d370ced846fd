/* topology.c — the nodes of a Redis Cluster and who owns which slot; see topology.h. */
#include "server/store/topology.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/clock.h"
#include "server/base/ensure.h"
#include "server/base/hash.h"
#include "server/store/refresh.h"
#include "server/store/slotmap.h"

enum { TOPOLOGY_MAGIC = 0x7ed15c10, NODE_MAGIC = 0x7ed15c11 };

#define LOG_EVERY_US INT64_C(60000000) /* of one node */
/* In units of refresh_every_us. */
#define SWEEP_EVERY 10
#define FORGET_AFTER 60

struct topology {
    uint32_t magic;
    struct ev_loop *loop;
    struct redis_metrics *metrics;
    struct resolver *resolver;
    struct redis_conn_options conn_options;
    struct breaker_options breaker_options;
    struct topology_node *nodes[SLOTMAP_MAX_NODES];
    uint16_t n_places; /* of `nodes`, some of them free: NULL */
    uint16_t n_seeds;
    struct slotmap map;
    struct slotmap fresh; /* being read */
    struct refresh refresh;
    int64_t refresh_every_us;
    ev_timer sweep_timer;
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
    if (refresh_is_overdue(&node->topology->refresh) || !slotmap_is_complete(&node->topology->map)) {
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
static bool read_plain(struct topology *topology, const struct redis_conn *from) {
    const struct topology_node *node = find_node(topology, redis_conn_addr(from));
    if (topology->n_seeds > 1 || node == NULL || !node->is_seed) {
        uint64_t n_held_back;
        if (log_gate_open(&topology->plain_gate, clock_mono_us(), LOG_EVERY_US, &n_held_back)) {
            char text[NODE_ADDR_TEXT_BYTES];
            node_addr_format(redis_conn_addr(from), text);
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

static bool read_slots(struct topology *topology, const struct redis_conn *from,
                       const struct redis_reply *reply) {
    if (reply->kind != REDIS_KIND_ERROR) {
        return slotmap_read(&topology->fresh, reply, redis_conn_addr(from), number_of, topology);
    }
    if (redis_error_is_no_cluster(reply->text)) {
        return read_plain(topology, from);
    }
    metric_inc(redis_metrics_error(topology->metrics, redis_error_of(reply->text)));
    return false;
}

/* ---- refresh ---- */

void topology_refresh_soon(struct topology *topology) {
    refresh_soon(&topology->refresh);
}

/* At random. */
static struct redis_conn *choose_connected(void *arg) {
    struct topology *topology = topology_of(arg);
    struct redis_conn *chosen = NULL;
    double n_seen = 0.;
    for (uint16_t i = 0; i < topology->n_places; i++) {
        const struct topology_node *node = topology->nodes[i];
        if (node != NULL && redis_conn_is_up(node->conn)) {
            n_seen += 1.;
            if (erand48(topology->jitter) * n_seen < 1.) {
                chosen = node->conn;
            }
        }
    }
    return chosen;
}

/* Without memory the other workers ask for themselves. */
static void share_fresh(struct topology *topology, int64_t asked_at_us) {
    struct slot_board *board = topology->refresh.options.board;
    struct slot_record *record =
        board != NULL ? slot_record_create(&topology->fresh, topology->n_places) : NULL;
    if (record != NULL) {
        record->asked_at_us = asked_at_us;
        for (uint16_t i = 0; i < topology->n_places; i++) {
            if (topology->fresh.n_slots_of_node[i] > 0) {
                record->owners[i] = *redis_conn_addr(topology->nodes[i]->conn);
            }
        }
        slot_board_pin(board, &record);
    }
}

static bool read_reply(void *arg, const struct redis_conn *from, const struct redis_reply *reply,
                       int64_t asked_at_us) {
    struct topology *topology = topology_of(arg);
    if (!read_slots(topology, from, reply)) {
        return false;
    }
    share_fresh(topology, asked_at_us);
    return install_fresh(topology);
}

static bool adopt_record(void *arg, const struct slot_record *record) {
    struct topology *topology = topology_of(arg);
    uint16_t numbers[SLOTMAP_MAX_NODES];
    for (uint32_t i = 0; i < record->n_owners; i++) {
        numbers[i] =
            record->map.n_slots_of_node[i] > 0 ? number_of(topology, &record->owners[i]) : SLOTMAP_NO_NODE;
    }
    slotmap_renumber(&topology->fresh, &record->map, numbers);
    return install_fresh(topology);
}

static bool prepare_refresh(struct topology *topology, const struct topology_options *options) {
    static const struct refresh_ops ops = {
        .choose = choose_connected, .read = read_reply, .adopt = adopt_record};
    struct refresh_options refresh_options = {
        .ops = &ops,
        .arg = topology,
        .every_us = options->refresh_every_us,
        .board = options->board,
        .metrics = topology->metrics,
    };
    return refresh_init(&topology->refresh, topology->loop, &refresh_options);
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

static void topology_init(struct topology *topology, struct ev_loop *loop,
                          const struct topology_options *options, struct redis_metrics *metrics) {
    topology->magic = TOPOLOGY_MAGIC;
    topology->loop = loop;
    topology->metrics = metrics;
    topology->refresh_every_us = options->refresh_every_us;
    topology->breaker_options = options->breaker;
    topology->resolver = resolver_create(loop, options->resolve != NULL ? options->resolve : node_addr_resolve);
    topology->conn_options = (struct redis_conn_options){
        .greeting = options->greeting,
        .n_greeting_replies = options->n_greeting_replies,
        .connect_timeout_us = options->connect_timeout_us,
        .max_inflight = options->max_inflight_per_node,
        .resolver = topology->resolver,
        .metrics = metrics,
        .on_up = node_on_up,
        .on_down = node_on_down,
    };
    uint64_t seed = hash_random_seed();
    memcpy(topology->jitter, &seed, sizeof topology->jitter);
    slotmap_init(&topology->map);
    double sweep_every_s = (double)options->refresh_every_us * SWEEP_EVERY * 1e-6;
    ev_timer_init(&topology->sweep_timer, topology_on_sweep, sweep_every_s, sweep_every_s);
    topology->sweep_timer.data = topology;
    ev_timer_start(loop, &topology->sweep_timer);
}

struct topology *topology_create(struct ev_loop *loop, const struct topology_options *options,
                                 struct redis_metrics *metrics, struct status *status) {
    struct topology *topology = calloc(1, sizeof *topology);
    if (topology == NULL) {
        status_fail(status, "out of memory");
        return NULL;
    }
    topology_init(topology, loop, options, metrics);
    if (!prepare_refresh(topology, options) || topology->resolver == NULL) {
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
        refresh_deinit(&old->refresh);
        ev_timer_stop(old->loop, &old->sweep_timer);
        for (uint16_t i = 0; i < old->n_places; i++) {
            free_node(old, i);
        }
        resolver_destroy(&old->resolver);
        old->magic = 0;
        free(old);
    }
    *topology = NULL;
}
