/* backend.h — what the calls of the admin endpoint need of the frontend behind it.
 *
 * The frontend itself is server_backend.h; tests have one of their own. All on the main thread. What is asked of
 * Redis is asked as control.h says: a call that is under way, or NULL with the reason in `status`, and `done` exactly
 * once, later, from the loop. */
#ifndef SLUICE_ADMIN_BACKEND_H
#define SLUICE_ADMIN_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/buf.h"
#include "server/base/status.h"
#include "server/control.h"
#include "server/core/quota_set.h"
#include "server/hot_survey.h"

struct backend;

struct backend_ops {
    bool (*is_ready)(struct backend *backend);
    bool (*render_metrics)(struct backend *backend, struct buf *out);
    /* The quotas as they were last heard of; borrowed until the loop turns. */
    const struct quota_set *(*quotas)(struct backend *backend);
    /* Tells whether quotas live in Redis; if not, all that follows fails. */
    bool (*is_shared)(const struct backend *backend);
    const char *(*id)(struct backend *backend);
    /* What this frontend tells others of itself, a JSON object. */
    void (*describe)(struct backend *backend, struct buf *out);

    struct control_call *(*change)(struct backend *backend, const struct control_change *changes,
                                   uint32_t n_changes, struct control_asker asker, control_change_fn done,
                                   void *arg, struct status *status);
    void (*refused)(struct backend *backend, struct bytes tenant, struct bytes resource, struct bytes attempt,
                    const char *reason, struct control_asker asker);
    struct control_call *(*changes)(struct backend *backend, const struct control_range *range,
                                    control_changes_fn done, void *arg, struct status *status);
    struct control_call *(*bucket_look)(struct backend *backend, const struct control_bucket *bucket,
                                        const struct quota *quota, control_bucket_fn done, void *arg,
                                        struct status *status);
    struct control_call *(*bucket_reset)(struct backend *backend, const struct bucket_name *name,
                                         struct control_asker asker, control_bucket_fn done, void *arg,
                                         struct status *status);
    struct control_call *(*frontends)(struct backend *backend, control_frontends_fn done, void *arg,
                                      struct status *status);
    void (*abandon)(struct control_call **call);

    /* Asks this frontend's workers, not Redis, as hot_survey.h says; NULL when memory is short. */
    struct hot_call *(*hotkeys)(struct backend *backend, hot_survey_fn done, void *arg);
    void (*abandon_hotkeys)(struct hot_call **call);
};

/* First member of every backend. */
struct backend {
    const struct backend_ops *ops;
};

#endif
