/* server_backend.c — the running frontend as the backend of the admin endpoint; see server_backend.h. */
#include "admin/server_backend.h"

#include <stdio.h>
#include <stdlib.h>

#include "server/control.h"

/* What a frontend without Redis is called. */
#define ALONE_ID "local"

enum { ABOUT_BYTES = 512 };

struct server_backend {
    struct backend base;
    struct server *server;
    const char *version;
};

static const struct server_backend *of(const struct backend *backend) {
    return (const struct server_backend *)backend;
}

/* NULL, with the reason, without Redis. */
static struct control *control_of_backend(const struct backend *backend, struct status *status) {
    struct control *control = server_control(of(backend)->server);
    if (control == NULL) {
        status_fail(status, "quotas come from the file alone: redis_nodes is not set");
    }
    return control;
}

static bool backend_is_ready(struct backend *backend) {
    return server_is_ready(of(backend)->server);
}

static bool backend_render_metrics(struct backend *backend, struct buf *out) {
    return server_render_metrics(of(backend)->server, out);
}

static bool backend_is_shared(const struct backend *backend) {
    return server_control(of(backend)->server) != NULL;
}

static const struct quota_set *backend_quotas(struct backend *backend) {
    const struct control *control = server_control(of(backend)->server);
    return control != NULL ? control_quotas(control) : server_quotas(of(backend)->server);
}

static const char *backend_id(struct backend *backend) {
    const struct control *control = server_control(of(backend)->server);
    return control != NULL ? control_id(control) : ALONE_ID;
}

static void backend_describe(struct backend *backend, struct buf *out) {
    char about[ABOUT_BYTES];
    int n = snprintf(about, sizeof about,
                     "{\"address\":\"%s\",\"version\":\"%s\",\"revision\":0,\"degraded_shards\":0}",
                     server_address(of(backend)->server), of(backend)->version);
    (void)!buf_append(out, about, (size_t)n);
}

static struct control_call *backend_change(struct backend *backend, const struct control_change *changes,
                                           uint32_t n_changes, struct control_asker asker,
                                           control_change_fn done, void *arg, struct status *status) {
    struct control *control = control_of_backend(backend, status);
    return control != NULL ? control_change(control, changes, n_changes, asker, done, arg, status) : NULL;
}

static void backend_refused(struct backend *backend, struct bytes tenant, struct bytes resource,
                            struct bytes attempt, const char *reason, struct control_asker asker) {
    struct control *control = control_of_backend(backend, NULL);
    if (control != NULL) {
        control_refused(control, tenant, resource, attempt, reason, asker);
    }
}

static struct control_call *backend_changes(struct backend *backend, const struct control_range *range,
                                            control_changes_fn done, void *arg, struct status *status) {
    struct control *control = control_of_backend(backend, status);
    return control != NULL ? control_changes(control, range, done, arg, status) : NULL;
}

static struct control_call *backend_bucket_look(struct backend *backend, const struct control_bucket *bucket,
                                                const struct quota *quota, control_bucket_fn done, void *arg,
                                                struct status *status) {
    struct control *control = control_of_backend(backend, status);
    return control != NULL ? control_bucket_look(control, bucket, quota, done, arg, status) : NULL;
}

static struct control_call *backend_bucket_reset(struct backend *backend, const struct bucket_name *name,
                                                 struct control_asker asker, control_bucket_fn done, void *arg,
                                                 struct status *status) {
    struct control *control = control_of_backend(backend, status);
    return control != NULL ? control_bucket_reset(control, name, asker, done, arg, status) : NULL;
}

static struct control_call *backend_frontends(struct backend *backend, control_frontends_fn done, void *arg,
                                              struct status *status) {
    struct control *control = control_of_backend(backend, status);
    return control != NULL ? control_frontends(control, done, arg, status) : NULL;
}

static struct hot_call *backend_hotkeys(struct backend *backend, hot_survey_fn done, void *arg) {
    return server_list_hotkeys(of(backend)->server, done, arg);
}

struct backend *server_backend_create(struct server *server, const char *version) {
    static const struct backend_ops ops = {
        .is_ready = backend_is_ready,
        .render_metrics = backend_render_metrics,
        .quotas = backend_quotas,
        .is_shared = backend_is_shared,
        .id = backend_id,
        .describe = backend_describe,
        .change = backend_change,
        .refused = backend_refused,
        .changes = backend_changes,
        .bucket_look = backend_bucket_look,
        .bucket_reset = backend_bucket_reset,
        .frontends = backend_frontends,
        .abandon = control_abandon,
        .hotkeys = backend_hotkeys,
        .abandon_hotkeys = hot_survey_abandon,
    };
    struct server_backend *backend = calloc(1, sizeof *backend);
    if (backend == NULL) {
        return NULL;
    }
    *backend = (struct server_backend){.base.ops = &ops, .server = server, .version = version};
    return &backend->base;
}

void server_backend_destroy(struct backend **backend) {
    free(*backend);
    *backend = NULL;
}
