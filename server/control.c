/* control.c — the frontend's own connection to Redis; see control.h.
 *
 *   pause ── timer ──> heartbeat ── reply, refusal or deadline ──> pause */
#include "server/control.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/base/clock.h"
#include "server/base/ensure.h"
#include "server/base/hash.h"
#include "server/base/list.h"
#include "server/base/log.h"
#include "server/core/slot.h"
#include "server/quota/fleet.h"
#include "server/store/cluster.h"
#include "server/store/redis_request.h"

#define BEAT_TIMEOUT_US INT64_C(1000000)
#define LEAVE_TIMEOUT_US INT64_C(100000)
#define REFRESH_EVERY_US INT64_C(1000000)
#define WATCH_CLOCKS_EVERY_US INT64_C(2000000)

enum {
    CONTROL_MAGIC = 0x7ed15c20,
    MAX_INFLIGHT = 64,
    HOST_BYTES = 256,
    TAIL_BYTES = sizeof FLEET_KEY_SEEN + sizeof FLEET_KEY_TOLD + FLEET_BEAT_MAX_BYTES + REDIS_TAIL_EXTRA_BYTES +
                 REDIS_WORD_EXTRA_BYTES,
};

enum script_index { SCRIPT_INDEX_HEARTBEAT };

struct control {
    uint32_t magic;
    struct ev_loop *loop;
    struct control_metrics *metrics;
    control_fleet_fn on_fleet_size;
    void *arg;
    struct redis_metrics redis_metrics; /* not shown: those of the workers tell of the checks */
    struct cluster *cluster;
    struct fleet fleet;
    char about[FLEET_ABOUT_MAX_BYTES + 1];
    ev_timer pause;
    struct cluster_call beat;
    bool is_beating; /* `beat` is under way */
    uint8_t tail[TAIL_BYTES];
};

static struct control *control_of(void *data) {
    struct control *control = data;
    ensure(control->magic, ==, CONTROL_MAGIC);
    return control;
}

/* ---- heartbeats ---- */

static struct bytes bytes_of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static void start_pause(struct control *control, bool was_answered) {
    ev_timer_set(&control->pause, (double)fleet_pause_us(&control->fleet, was_answered) * 1e-6, 0.);
    ev_timer_start(control->loop, &control->pause);
}

static void hear(struct control *control, int64_t n_live) {
    if (fleet_hear(&control->fleet, n_live, clock_mono_us())) {
        log_write(LOG_INFO, "fleet", "frontends that live: %" PRIu32, control->fleet.size);
        control->on_fleet_size(control->arg, control->fleet.size);
    }
}

static void beat_ended(struct cluster_call *call, enum store_outcome outcome, const struct redis_reply *reply) {
    struct control *control = control_of(list_entry(call, struct control, beat));
    control->is_beating = false;
    bool is_answered = outcome == STORE_OK && reply->kind == REDIS_KIND_INTEGER;
    metric_inc(is_answered ? &control->metrics->heartbeats : &control->metrics->heartbeats_failed);
    start_pause(control, is_answered);
    if (is_answered) {
        hear(control, reply->integer);
    }
}

static void leave_ended(struct cluster_call *call, enum store_outcome outcome,
                        const struct redis_reply *reply) {
    (void)outcome;
    (void)reply;
    control_of(list_entry(call, struct control, beat))->is_beating = false;
}

/* False when nothing was sent; then `done` is not called. */
static bool send_beat(struct control *control, const char *about, int64_t timeout_us, cluster_done_fn done) {
    const struct bytes keys[] = {bytes_of(FLEET_KEY_SEEN), bytes_of(FLEET_KEY_TOLD)};
    uint8_t argument[FLEET_BEAT_MAX_BYTES];
    struct bytes beat = {.data = argument, .len = fleet_write_beat(&control->fleet, about, argument)};
    control->beat = (struct cluster_call){
        .slot = slot_of_key(keys[0]),
        .script = SCRIPT_INDEX_HEARTBEAT,
        .tail = {.data = control->tail, .len = redis_put_tail_of_keys(keys, 2, beat, control->tail)},
        .done = done,
    };
    int64_t now_us = clock_mono_us();
    control->is_beating =
        cluster_submit(control->cluster, &control->beat, now_us + timeout_us, now_us) == STORE_OK;
    return control->is_beating;
}

static void control_on_pause_end(struct ev_loop *loop, ev_timer *watcher, int events) {
    (void)loop;
    (void)events;
    struct control *control = control_of(watcher->data);
    if (!send_beat(control, control->about, BEAT_TIMEOUT_US, beat_ended)) {
        metric_inc(&control->metrics->heartbeats_failed);
        start_pause(control, false);
    }
}

static void leave(struct control *control) {
    ev_timer_stop(control->loop, &control->pause);
    if (control->is_beating) {
        cluster_abandon(&control->beat);
    }
    ev_now_update(control->loop);
    send_beat(control, "", LEAVE_TIMEOUT_US, leave_ended);
    while (control->is_beating) {
        ev_run(control->loop, EVRUN_ONCE);
    }
}

/* ---- nodes ---- */

struct reading {
    struct node_metrics *nodes;
    size_t n_nodes;
    bool is_short;
};

static void read_clock(void *arg, const struct node_addr *addr, int64_t ahead_us) {
    struct reading *reading = arg;
    struct node_metrics *nodes = reallocarray(reading->nodes, reading->n_nodes + 1, sizeof *nodes);
    if (nodes == NULL) {
        reading->is_short = true;
        return;
    }
    reading->nodes = nodes;
    struct node_metrics *node = &nodes[reading->n_nodes++];
    node_addr_format(addr, node->node);
    node->clock_drift_s = (double)ahead_us * 1e-6;
}

bool control_read_nodes(const struct control *control, struct node_metrics **nodes, size_t *n_nodes) {
    struct reading reading = {.nodes = NULL};
    cluster_each_clock(control->cluster, clock_mono_us(), read_clock, &reading);
    if (reading.is_short) {
        free(reading.nodes);
        return false;
    }
    *nodes = reading.nodes;
    *n_nodes = reading.n_nodes;
    return true;
}

/* ---- lifecycle ---- */

/* JSON without escapes: a host's name has no need of them. */
static void describe(struct control *control, const struct control_options *options) {
    char host[HOST_BYTES] = "";
    if (gethostname(host, sizeof host - 1) != 0) {
        host[0] = '\0';
    }
    for (char *c = host; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c) && *c != '.' && *c != '-') {
            *c = '_';
        }
    }
    snprintf(control->about, sizeof control->about,
             "{\"address\":\"%s\",\"host\":\"%s\",\"version\":\"%s\",\"started_at_s\":%" PRId64 "}",
             options->address, host, options->version, clock_wall_us() / 1000000);
}

struct control *control_create(struct ev_loop *loop, const struct control_options *options,
                               struct control_metrics *metrics, struct status *status) {
    static const struct script *const scripts[] = {[SCRIPT_INDEX_HEARTBEAT] = &script_heartbeat};
    struct control *control = calloc(1, sizeof *control);
    if (control == NULL) {
        status_fail(status, "out of memory");
        return NULL;
    }
    control->magic = CONTROL_MAGIC;
    control->loop = loop;
    control->metrics = metrics;
    control->on_fleet_size = options->on_fleet_size;
    control->arg = options->arg;
    struct cluster_options cluster_options = {
        .nodes = options->nodes,
        .user = options->user,
        .password = options->password,
        .connect_timeout_us = options->connect_timeout_us,
        .max_inflight_per_node = MAX_INFLIGHT,
        .refresh_every_us = REFRESH_EVERY_US,
        .watch_clocks_every_us = WATCH_CLOCKS_EVERY_US,
        .scripts = scripts,
        .n_scripts = sizeof scripts / sizeof scripts[0],
    };
    control->cluster = cluster_create(loop, &cluster_options, &control->redis_metrics, status);
    if (control->cluster == NULL) {
        free(control);
        return NULL;
    }
    fleet_init(&control->fleet, options->fleet_size, hash_random_seed(), hash_random_seed());
    describe(control, options);
    ev_timer_init(&control->pause, control_on_pause_end, 0., 0.);
    control->pause.data = control;
    start_pause(control, false);
    return control;
}

void control_destroy(struct control **handle) {
    struct control *control = *handle;
    *handle = NULL;
    if (control != NULL) {
        leave(control);
        cluster_destroy(&control->cluster);
        control->magic = 0;
        free(control);
    }
}
