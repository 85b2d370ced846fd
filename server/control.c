/* control.c — the frontend's own connection to Redis; see control.h.
 *
 *   pause ── timer ──> heartbeat ── reply, refusal or deadline ──> pause
 *
 * New quotas come from follower.c, and are handed to the workers; once all of them have these in force, a heartbeat
 * tells so at once. What operators ask for is in control_desk.c. */
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
#include "server/control_desk.h"
#include "server/core/slot.h"
#include "server/follower.h"
#include "server/quota/fleet.h"
#include "server/quota/quota_form.h"
#include "server/store/cluster.h"
#include "server/store/redis_request.h"

#define BEAT_TIMEOUT_US INT64_C(1000000)
#define LEAVE_TIMEOUT_US INT64_C(100000)
#define REFRESH_EVERY_US INT64_C(1000000)
#define WATCH_CLOCKS_EVERY_US INT64_C(2000000)
/* How often to look whether the workers have new quotas in force, and how far apart heartbeats about it are. */
#define APPLIED_LOOK_S 0.002
#define NEWS_EVERY_US INT64_C(50000)

enum {
    CONTROL_MAGIC = 0x7ed15c20,
    MAX_INFLIGHT = 64,
    HOST_BYTES = 65,
    ADDRESS_BYTES = 128,
    TAIL_BYTES = sizeof FLEET_KEY_SEEN + sizeof FLEET_KEY_TOLD + FLEET_BEAT_MAX_BYTES + REDIS_TAIL_EXTRA_BYTES +
                 REDIS_WORD_EXTRA_BYTES,
};

struct control {
    uint32_t magic;
    struct ev_loop *loop;
    struct control_metrics *metrics;
    struct control_hooks hooks;
    struct redis_metrics redis_metrics; /* not shown: those of the workers tell of the checks */
    struct control_desk desk;
    struct follower *follower;
    struct fleet fleet;
    const char *address, *version;
    char host[HOST_BYTES], admin_address[ADDRESS_BYTES];
    int64_t started_at_s;
    uint64_t told_revision; /* by the last heartbeat */
    int64_t beat_at_us;
    ev_timer applied; /* active while workers are yet to put quotas in force */
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
        control->hooks.on_fleet_size(control->hooks.arg, control->fleet.size);
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
        .script = CONTROL_SCRIPT_HEARTBEAT,
        .tail = {.data = control->tail, .len = redis_put_tail_of_keys(keys, 2, beat, control->tail)},
        .done = done,
    };
    int64_t now_us = clock_mono_us();
    control->is_beating =
        cluster_submit(control->desk.cluster, &control->beat, now_us + timeout_us, now_us) == STORE_OK;
    return control->is_beating;
}

/* JSON without escapes: neither addresses nor a host's name have need of them. */
static void describe(struct control *control, char about[FLEET_ABOUT_MAX_BYTES + 1]) {
    control->told_revision = control->hooks.applied_revision(control->hooks.arg);
    snprintf(about, FLEET_ABOUT_MAX_BYTES + 1,
             "{\"address\":\"%s\",\"admin\":\"%s\",\"host\":\"%s\",\"version\":\"%s\",\"revision\":%" PRIu64
             ",\"started_at\":%" PRId64 ",\"degraded_shards\":%" PRIu64 "}",
             control->address, control->admin_address, control->host, control->version, control->told_revision,
             control->started_at_s, control->hooks.degraded_shards(control->hooks.arg));
}

static void beat(struct control *control) {
    char about[FLEET_ABOUT_MAX_BYTES + 1];
    describe(control, about);
    control->beat_at_us = clock_mono_us();
    if (!send_beat(control, about, BEAT_TIMEOUT_US, beat_ended)) {
        metric_inc(&control->metrics->heartbeats_failed);
        start_pause(control, false);
    }
}

static void control_on_pause_end(struct ev_loop *loop, ev_timer *watcher, int events) {
    (void)loop;
    (void)events;
    beat(control_of(watcher->data));
}

/* ---- new quotas ---- */

static void control_on_set(void *arg, struct quota_set *set) {
    struct control *control = control_of(arg);
    quota_set_release(&control->desk.set);
    control->desk.set = quota_set_hold(set);
    control->hooks.on_quotas(control->hooks.arg, set);
    ev_timer_again(control->loop, &control->applied);
}

static void control_on_entry(void *arg, const struct ledger_entry *entry) {
    struct control *control = control_of(arg);
    enum bucket_scope scope = BUCKET_PER_KEY;
    if (entry->scope.len > 0 && !quota_form_read_scope(entry->scope, &scope)) {
        return; /* a newer version's */
    }
    struct bucket_name name = bucket_name_of(scope, entry->tenant, entry->resource,
                                             scope == BUCKET_PER_KEY ? entry->key : entry->limit);
    control->hooks.on_reset(control->hooks.arg, &name);
}

/* Tells the revision that the workers have come to, as soon as they have and a heartbeat may go. */
static void control_on_look(struct ev_loop *loop, ev_timer *watcher, int events) {
    (void)events;
    struct control *control = control_of(watcher->data);
    uint64_t applied = control->hooks.applied_revision(control->hooks.arg);
    if (applied != quota_set_revision(control->desk.set) || control->is_beating ||
        clock_mono_us() - control->beat_at_us < NEWS_EVERY_US) {
        return;
    }
    ev_timer_stop(loop, watcher);
    if (applied != control->told_revision) {
        ev_timer_stop(loop, &control->pause);
        beat(control);
    }
}

void control_set_admin_address(struct control *control, const char *address) {
    snprintf(control->admin_address, sizeof control->admin_address, "%s", address);
}

bool control_is_synced(const struct control *control) {
    return feed_is_synced(follower_feed(control->follower));
}

const struct quota_set *control_quotas(const struct control *control) {
    return control->desk.set;
}

const char *control_id(const struct control *control) {
    return control->fleet.id;
}

struct control_desk *control_desk(struct control *control) {
    return &control->desk;
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
    cluster_each_clock(control->desk.cluster, clock_mono_us(), read_clock, &reading);
    if (reading.is_short) {
        free(reading.nodes);
        return false;
    }
    *nodes = reading.nodes;
    *n_nodes = reading.n_nodes;
    return true;
}

/* ---- lifecycle ---- */

static void control_free(struct control **handle) {
    struct control *control = *handle;
    *handle = NULL;
    ev_timer_stop(control->loop, &control->applied);
    follower_destroy(&control->follower);
    cluster_destroy(&control->desk.cluster);
    quota_set_release(&control->desk.set);
    control->magic = 0;
    free(control);
}

static void find_host(struct control *control) {
    if (gethostname(control->host, sizeof control->host - 1) != 0) {
        control->host[0] = '\0';
    }
    for (char *c = control->host; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c) && *c != '.' && *c != '-') {
            *c = '_';
        }
    }
}

static void control_init(struct control *control, struct ev_loop *loop, const struct control_options *options,
                         struct control_metrics *metrics) {
    *control = (struct control){
        .magic = CONTROL_MAGIC,
        .loop = loop,
        .metrics = metrics,
        .hooks = options->hooks,
        .address = options->address,
        .version = options->version,
        .started_at_s = clock_wall_us() / 1000000,
    };
    control->desk.set = quota_set_hold(options->quotas);
    list_init(&control->desk.calls);
    find_host(control);
    fleet_init(&control->fleet, options->fleet_size, hash_random_seed(), hash_random_seed());
    ev_timer_init(&control->pause, control_on_pause_end, 0., 0.);
    ev_timer_init(&control->applied, control_on_look, 0., APPLIED_LOOK_S);
    control->pause.data = control->applied.data = control;
}

static bool create_follower(struct control *control, const struct control_options *options,
                            const struct cluster_options *cluster_options, struct status *status) {
    struct follower_options follower_options = {
        .cluster = *cluster_options,
        .feed = {.set = options->quotas,
                 .seed = options->seed,
                 .is_snapshot = options->is_snapshot,
                 .from = bytes_of(options->address),
                 .metrics = &control->metrics->feed,
                 .on_reset = control_on_entry,
                 .arg = control,
                 .jitter_seed = hash_random_seed()},
        .on_set = control_on_set,
        .arg = control,
    };
    follower_options.cluster.watch_clocks_every_us = 0;
    control->follower = follower_create(control->loop, &follower_options, status);
    return control->follower != NULL;
}

struct control *control_create(struct ev_loop *loop, const struct control_options *options,
                               struct control_metrics *metrics, struct status *status) {
    static const struct script *const scripts[CONTROL_N_SCRIPTS] = {
        [CONTROL_SCRIPT_HEARTBEAT] = &script_heartbeat, [CONTROL_SCRIPT_PUT] = &script_quota_put,
        [CONTROL_SCRIPT_NOTE] = &script_quota_note,     [CONTROL_SCRIPT_FLEET] = &script_fleet_list,
        [CONTROL_SCRIPT_CHECK] = &script_check,
    };
    struct control *control = malloc(sizeof *control);
    if (control == NULL) {
        status_fail(status, "out of memory");
        return NULL;
    }
    control_init(control, loop, options, metrics);
    struct cluster_options cluster_options = {
        .nodes = options->nodes,
        .user = options->user,
        .password = options->password,
        .connect_timeout_us = options->connect_timeout_us,
        .max_inflight_per_node = MAX_INFLIGHT,
        .refresh_every_us = REFRESH_EVERY_US,
        .watch_clocks_every_us = WATCH_CLOCKS_EVERY_US,
        .scripts = scripts,
        .n_scripts = CONTROL_N_SCRIPTS,
    };
    control->desk.cluster = cluster_create(loop, &cluster_options, &control->redis_metrics, status);
    if (control->desk.cluster == NULL || !create_follower(control, options, &cluster_options, status)) {
        control_free(&control);
        return NULL;
    }
    start_pause(control, false);
    return control;
}

void control_destroy(struct control **handle) {
    if (*handle != NULL) {
        control_desk_clear(&(*handle)->desk);
        follower_destroy(&(*handle)->follower);
        leave(*handle);
        control_free(handle);
    }
}
