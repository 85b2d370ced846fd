/* server.c — the frontend as a whole; see server.h. */
#include "server/server.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/base/clock.h"
#include "server/base/hash.h"
#include "server/base/log.h"
#include "server/base/secret.h"
#include "server/control.h"
#include "server/core/bucket_name.h"
#include "server/keeper.h"
#include "server/limit/fallback.h"
#include "server/net/listener.h"
#include "server/quota/registry.h"
#include "server/quota/snapshot.h"
#include "server/stats.h"
#include "server/store/slot_board.h"
#include "server/worker.h"

struct server {
    const struct config *config;
    struct quota_set *quotas;
    struct quota_set *file_quotas; /* NULL: there is no file */
    bool is_snapshot;              /* `quotas` were at first the last ones known from Redis */
    uint64_t key_seed;             /* of key_hash.h */
    struct keeper *keeper;         /* NULL: nothing is kept */
    struct fallback *fallback;
    struct slot_board *slot_board;
    int listen_fd;
    char address[LISTENER_ADDRESS_BYTES];
    struct worker **workers;
    const struct worker_metrics **worker_metrics;
    size_t n_workers;
    struct hot_survey *hot_survey;
    struct control *control; /* NULL without Redis */
    struct process_metrics metrics;
};

static bool load_file(struct server *server, struct status *status) {
    const struct config *config = server->config;
    if (config->quotas[0] == '\0') {
        server->quotas = registry_load_demo(status);
        return server->quotas != NULL;
    }
    server->file_quotas = registry_load_file(config->quotas, status);
    server->quotas = server->file_quotas != NULL ? quota_set_hold(server->file_quotas) : NULL;
    return server->quotas != NULL;
}

/* What was known last goes before the file, until Redis has answered. */
static void load_snapshot(struct server *server) {
    const struct config *config = server->config;
    struct status status;
    bool is_absent;
    if (config->redis_nodes[0] == '\0' || config->quota_snapshot[0] == '\0') {
        return;
    }
    struct quota_set *snapshot = snapshot_read(config->quota_snapshot, &is_absent, &status);
    if (snapshot != NULL) {
        quota_set_release(&server->quotas);
        server->quotas = snapshot;
        server->is_snapshot = true;
        log_write(LOG_WARN, "quota", "until Redis answers: %" PRIu32 " quotas of revision %" PRIu64 " from %s",
                  quota_set_count(snapshot), quota_set_revision(snapshot), config->quota_snapshot);
    } else if (!is_absent) {
        log_write(LOG_ERROR, "quota", "the snapshot is refused: %s", status.text);
    }
}

/* An embedded store does not fail and needs none. */
static bool create_fallback(struct server *server, struct status *status) {
    const struct config *config = server->config;
    if (config->redis_nodes[0] == '\0') {
        return true;
    }
    server->fallback = fallback_create((uint64_t)config->fallback_keys, quota_set_max_limits(server->quotas));
    if (server->fallback == NULL) {
        return status_fail(status, "out of memory for %lld keys (fallback_keys)",
                           (long long)config->fallback_keys);
    }
    fallback_set_fleet_size(server->fallback, (uint32_t)config->fleet_size);
    fallback_set_calendar(server->fallback, clock_wall_us() - clock_mono_us());
    return true;
}

static bool create_workers(struct server *server, const char *version, struct status *status) {
    size_t n = (size_t)server->config->workers;
    server->workers = calloc(n, sizeof *server->workers);
    server->worker_metrics = calloc(n, sizeof *server->worker_metrics);
    server->slot_board = slot_board_create();
    if (server->workers == NULL || server->worker_metrics == NULL || server->slot_board == NULL) {
        return status_fail(status, "out of memory");
    }
    struct worker_options options = {
        .config = server->config,
        .version = version,
        .listen_fd = server->listen_fd,
        .key_seed = server->key_seed,
        .fallback = server->fallback,
        .slot_board = server->slot_board,
    };
    for (; server->n_workers < n; server->n_workers++) {
        struct worker *worker = worker_create(&options, server->quotas, status);
        if (worker == NULL) {
            return false;
        }
        server->workers[server->n_workers] = worker;
        server->worker_metrics[server->n_workers] = worker_metrics(worker);
    }
    for (size_t i = 0; i < n; i++) {
        if (!worker_start(server->workers[i])) {
            return status_fail(status, "cannot start a thread for worker %zu", i);
        }
    }
    return true;
}

static bool create_survey(struct server *server, struct ev_loop *loop, struct status *status) {
    struct hot_desk **desks = calloc(server->n_workers, sizeof *desks);
    if (desks != NULL) {
        for (size_t i = 0; i < server->n_workers; i++) {
            desks[i] = worker_hot_desk(server->workers[i]);
        }
        server->hot_survey = hot_survey_create(loop, desks, server->n_workers, HOT_SURVEY_LIMIT_US);
    }
    free(desks);
    return server->hot_survey != NULL || status_fail(status, "out of memory");
}

static void server_on_fleet_size(void *arg, uint32_t fleet_size) {
    const struct server *server = arg;
    fallback_set_fleet_size(server->fallback, fleet_size);
}

static void server_on_quotas(void *arg, struct quota_set *quotas) {
    struct server *server = arg;
    server_set_quotas(server, quotas);
    if (server->keeper != NULL) {
        keeper_keep(server->keeper, quotas);
    }
}

static void server_on_reset(void *arg, const struct bucket_name *name) {
    const struct server *server = arg;
    if (name->tenant.len <= QUOTA_TENANT_MAX_BYTES && name->resource.len <= QUOTA_RESOURCE_MAX_BYTES &&
        name->key.len <= QUOTA_KEY_MAX_BYTES) {
        struct hash128 hash = bucket_name_hash(name, server->key_seed);
        fallback_forget(server->fallback, hash, clock_mono_us());
        for (size_t i = 0; i < server->n_workers; i++) {
            worker_forget(server->workers[i], hash);
        }
    }
}

static uint64_t applied_revision(void *arg) {
    return server_applied_revision(arg);
}

/* Each worker has its own opinion of a node: the most that any leaves alone. */
static uint64_t degraded_shards(void *arg) {
    const struct server *server = arg;
    uint64_t most = 0;
    for (size_t i = 0; i < server->n_workers; i++) {
        uint64_t n_open = metric_get(&server->worker_metrics[i]->redis.breakers_open);
        most = n_open > most ? n_open : most;
    }
    return most;
}

static bool create_keeper(struct server *server, struct ev_loop *loop, struct status *status) {
    const char *path = server->config->quota_snapshot;
    if (path[0] != '\0') {
        server->keeper = keeper_create(loop, path, &server->metrics.keeper);
    }
    return path[0] == '\0' || server->keeper != NULL || status_fail(status, "out of memory");
}

static bool create_control(struct server *server, struct ev_loop *loop, const char *version,
                           struct status *status) {
    const struct config *config = server->config;
    if (config->redis_nodes[0] == '\0') {
        metric_set(&server->metrics.control.feed.from_file, 1);
        return true;
    }
    if (!create_keeper(server, loop, status)) {
        return false;
    }
    struct control_options options = {
        .nodes = config->redis_nodes,
        .user = config->redis_user,
        .connect_timeout_us = config->redis_connect_timeout_us,
        .address = server->address,
        .version = version,
        .fleet_size = (uint32_t)config->fleet_size,
        .quotas = server->quotas,
        .is_snapshot = server->is_snapshot,
        .seed = server->file_quotas,
        .hooks = {.arg = server,
                  .on_fleet_size = server_on_fleet_size,
                  .on_quotas = server_on_quotas,
                  .on_reset = server_on_reset,
                  .applied_revision = applied_revision,
                  .degraded_shards = degraded_shards},
    };
    char *password = NULL;
    if (config->redis_password_file[0] != '\0') {
        password = secret_read(config->redis_password_file, status);
        if (password == NULL) {
            return false;
        }
    }
    options.password = password;
    server->control = control_create(loop, &options, &server->metrics.control, status);
    secret_destroy(&password);
    return server->control != NULL;
}

struct server *server_create(struct ev_loop *loop, const struct config *config, const char *version,
                             struct status *status) {
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        status_fail(status, "out of memory");
        return NULL;
    }
    server->config = config;
    server->listen_fd = -1;
    server->key_seed = hash_random_seed();
    if (!load_file(server, status)) {
        goto fail;
    }
    load_snapshot(server);
    server->listen_fd = listener_open(&config->listen, server->address, status);
    if (server->listen_fd < 0) {
        goto fail;
    }
    if (!create_fallback(server, status) || !create_workers(server, version, status) ||
        !create_survey(server, loop, status) || !create_control(server, loop, version, status)) {
        goto fail;
    }
    log_write(LOG_INFO, "server", "workers: %zu; store: %s; quotas: %u from %s", server->n_workers,
              config->redis_nodes[0] != '\0' ? config->redis_nodes : "embedded",
              quota_set_count(server->quotas),
              server->is_snapshot         ? config->quota_snapshot
              : config->quotas[0] != '\0' ? config->quotas
                                          : "the demo");
    metric_set(&server->metrics.start_time_s, (uint64_t)(clock_wall_us() / 1000000));
    metric_set(&server->metrics.workers, server->n_workers);
    metric_set(&server->metrics.quotas, quota_set_count(server->quotas));
    return server;

fail:
    server_destroy(&server);
    return NULL;
}

void server_destroy(struct server **handle) {
    struct server *server = *handle;
    *handle = NULL;
    if (server == NULL) {
        return;
    }
    for (size_t i = 0; i < server->n_workers; i++) {
        worker_drain(server->workers[i]);
    }
    control_destroy(&server->control);
    keeper_destroy(&server->keeper);
    for (size_t i = 0; i < server->n_workers; i++) {
        worker_destroy(&server->workers[i]);
    }
    hot_survey_destroy(&server->hot_survey);
    fallback_destroy(&server->fallback);
    slot_board_destroy(&server->slot_board);
    if (server->listen_fd >= 0) {
        close(server->listen_fd);
    }
    quota_set_release(&server->quotas);
    quota_set_release(&server->file_quotas);
    free(server->workers);
    free(server->worker_metrics);
    free(server);
}

void server_set_quotas(struct server *server, struct quota_set *quotas) {
    struct quota_set *old = server->quotas;
    server->quotas = quota_set_hold(quotas);
    if (server->fallback != NULL && !fallback_widen(server->fallback, quota_set_max_limits(quotas))) {
        log_write(LOG_WARN, "server", "out of memory for local buckets of %u limits; their keys share some",
                  quota_set_max_limits(quotas));
    }
    for (size_t i = 0; i < server->n_workers; i++) {
        worker_set_quotas(server->workers[i], quotas);
    }
    metric_set(&server->metrics.quotas, quota_set_count(quotas));
    quota_set_release(&old);
}

struct quota_set *server_hold_quotas(const struct server *server) {
    return quota_set_hold(server->quotas);
}

uint64_t server_applied_revision(const struct server *server) {
    uint64_t lowest = UINT64_MAX;
    for (size_t i = 0; i < server->n_workers; i++) {
        uint64_t revision = worker_revision(server->workers[i]);
        lowest = revision < lowest ? revision : lowest;
    }
    return lowest;
}

struct hot_call *server_list_hotkeys(struct server *server, hot_survey_fn done, void *arg) {
    return hot_survey_ask(server->hot_survey, done, arg);
}

const char *server_address(const struct server *server) {
    return server->address;
}

const struct quota_set *server_quotas(const struct server *server) {
    return server->quotas;
}

bool server_is_ready(const struct server *server) {
    for (size_t i = 0; i < server->n_workers; i++) {
        if (!worker_is_ready(server->workers[i])) {
            return false;
        }
    }
    return server->control == NULL || server->is_snapshot || control_is_synced(server->control);
}

void server_set_admin_address(struct server *server, const char *address) {
    if (server->control != NULL) {
        control_set_admin_address(server->control, address);
    }
}

struct control *server_control(const struct server *server) {
    return server->control;
}

bool server_render_metrics(struct server *server, struct buf *out) {
    metric_set(&server->metrics.ready, server_is_ready(server));
    metric_set(&server->metrics.cpu_us, (uint64_t)clock_cpu_us());
    metric_set(&server->metrics.quota_revision, server_applied_revision(server));
    struct node_metrics *nodes = NULL;
    size_t n_nodes = 0;
    if (server->control != NULL && !control_read_nodes(server->control, &nodes, &n_nodes)) {
        return false;
    }
    struct stats_sources sources = {
        .process = &server->metrics,
        .fallback = server->fallback != NULL ? fallback_metrics(server->fallback) : NULL,
        .nodes = nodes,
        .n_nodes = n_nodes,
        .workers = server->worker_metrics,
        .n_workers = server->n_workers,
    };
    bool is_rendered = stats_render(out, &sources);
    free(nodes);
    return is_rendered;
}
