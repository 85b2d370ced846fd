/* control.h — the frontend's own connection to Redis, beside those of its workers: heartbeats, the number of
 * frontends that live, how the clocks of the nodes run, and what operators ask of the shared quotas.
 *
 * One for each process, on the main thread's loop; none without Redis. Redis need not be there: it is joined when
 * it appears, and what was known stays in force when it goes. */
#ifndef SLUICE_SERVER_CONTROL_H
#define SLUICE_SERVER_CONTROL_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/base/metric.h"
#include "server/base/status.h"
#include "server/core/bucket.h"
#include "server/core/bucket_name.h"
#include "server/core/quota.h"
#include "server/core/quota_set.h"
#include "server/quota/feed.h"
#include "server/quota/ledger.h"
#include "server/quota/fleet.h"
#include "server/store/node_addr.h"

#define CONTROL_METRICS(X)                                                                                     \
    X(heartbeats, METRIC_COUNTER, "sluice_heartbeats_total", "result=\"ok\"",                                  \
      "Heartbeats of this frontend, by whether Redis has answered")                                            \
    X(heartbeats_failed, METRIC_COUNTER, "sluice_heartbeats_total", "result=\"failed\"", "")

struct control_metrics {
    CONTROL_METRICS(METRIC_FIELD)
    struct feed_metrics feed;
};

/* Of each node that owns slots, by its address. */
#define NODE_METRICS(X)                                                                                        \
    X(clock_drift_s, METRIC_GAUGE, "sluice_redis_clock_drift_seconds", "node",                                 \
      "How far the clock of a Redis node is ahead of this frontend's; negative: behind")

struct node_metrics {
    char node[NODE_ADDR_TEXT_BYTES];
    NODE_METRICS(METRIC_ITEM_FIELD)
};

/* What the frontend's owner is told, and asked, from the loop. */
struct control_hooks {
    void *arg;
    /* The number of live frontends has changed; what it means, fleet.h says. */
    void (*on_fleet_size)(void *arg, uint32_t fleet_size);
    /* These quotas are to be put in force; borrowed. */
    void (*on_quotas)(void *arg, struct quota_set *quotas);
    /* An operator has filled this bucket. What it is called comes from Redis: its texts may be of any length. */
    void (*on_reset)(void *arg, const struct bucket_name *name);
    /* The revision that every worker decides by. */
    uint64_t (*applied_revision)(void *arg);
    /* Redis nodes that are left alone because they fail. */
    uint64_t (*degraded_shards)(void *arg);
};

struct control_options {
    const char *nodes, *user, *password; /* as in cluster.h */
    int64_t connect_timeout_us;
    const char *address, *version; /* what others may read about this frontend */
    uint32_t fleet_size;           /* until Redis has answered */
    struct quota_set *quotas;      /* in force at first */
    bool is_snapshot;              /* these are the last ones known from Redis */
    struct quota_set *seed;        /* what a store without quotas is given; NULL: nothing */
    struct control_hooks hooks;
};

struct control;

/* Borrows `loop`, `metrics` and the address, which must outlive it; the sets are held. NULL with a reason in `status`: a bad list of nodes, or no
 * memory. */
struct control *control_create(struct ev_loop *loop, const struct control_options *options,
                               struct control_metrics *metrics, struct status *status);
/* Tells Redis that this frontend leaves, for which it turns the loop 100 ms at most, and frees all. Not to be
 * called from inside the loop. Nulls the pointer. */
void control_destroy(struct control **control);

/* The address of the admin endpoint, once it is known; copied. */
void control_set_admin_address(struct control *control, const char *address);

/* Were the quotas ever read from Redis? */
bool control_is_synced(const struct control *control);

/* The nodes whose clocks are known, each at most ten seconds old: a new array of *n_nodes, NULL for none, which the
 * caller frees. False when memory is short. */
bool control_read_nodes(const struct control *control, struct node_metrics **nodes, size_t *n_nodes)
    __attribute__((warn_unused_result));

/* ---- what operators ask for ----
 *
 * Each of these returns a call that is under way, and calls `done` exactly once, from the loop, never before it
 * returns, within two seconds; the call is gone then. Or it returns NULL with the reason in `status`, and `done` is
 * never called. Everything borrowed in a request is copied; what a result points to is valid until `done` returns. */

struct control_call;

/* Drops the call, whose `done` will not be called; a change may be made nevertheless. Nulls the pointer. */
void control_abandon(struct control_call **call);

enum control_outcome {
    CONTROL_OK,
    CONTROL_CONFLICT,    /* changes alone: what stands is not what was expected, and nothing was changed */
    CONTROL_UNAVAILABLE, /* Redis could not be asked or did not answer; `reason` says more, a sentence */
};

/* Who asks, for the audit: the name of the token, and the address of the peer. */
struct control_asker {
    struct bytes who, from;
};

enum control_change_kind {
    CONTROL_PUT,    /* `rules` for `tenant` and `resource` */
    CONTROL_DELETE, /* of the quota of `tenant` and `resource`, which must be there */
    CONTROL_DEFAULT /* `unknown` is what unknown callers get */
};

#define CONTROL_ANY_REVISION LEDGER_ANY_REVISION
enum { CONTROL_MAX_CHANGES = 1000 };

struct control_change {
    enum control_change_kind kind;
    struct bytes tenant, resource;   /* a pattern that quota_check_pattern takes */
    const struct quota_rules *rules; /* that were checked */
    enum quota_unknown unknown;
    int64_t
        if_revision; /* of the quota that is to be there; 0: none may be; CONTROL_ANY_REVISION: whatever is */
};

struct control_change_result {
    enum control_outcome outcome;
    uint64_t
        revision; /* OK: of the last of the changes, which have consecutive ones; CONFLICT: that of `current` */
    uint32_t index; /* CONFLICT: of the first change that conflicts */
    struct bytes
        current; /* CONFLICT: the quota that stands, as JSON ("allow" or "deny" of the default); empty: none */
    bool may_be_made; /* UNAVAILABLE: nobody knows whether the changes were made */
    const char *reason;
};
typedef void (*control_change_fn)(void *arg, const struct control_change_result *result);

/* All 1 ... CONTROL_MAX_CHANGES of them, or none. The frontend follows by itself; see control_quotas. */
struct control_call *control_change(struct control *control, const struct control_change *changes,
                                    uint32_t n_changes, struct control_asker asker, control_change_fn done,
                                    void *arg, struct status *status);

/* Tells the audit of an attempt that was refused; `attempt` is what was asked for, cut when it is long. Nobody is
 * told when it cannot be noted, but the log is. */
void control_refused(struct control *control, struct bytes tenant, struct bytes resource, struct bytes attempt,
                     const char *reason, struct control_asker asker);

/* What an entry of the audit tells, ledger.h says. */
struct control_changes_result {
    enum control_outcome outcome;
    const struct ledger_entry *entries; /* oldest first */
    uint32_t n_entries;
    const char *reason;
};
typedef void (*control_changes_fn)(void *arg, const struct control_changes_result *result);

struct control_range {
    uint64_t after_revision, after_part; /* not this one, but those behind it; 0, 0: from the oldest */
    bool is_latest;                      /* the last `limit` of all; the above are not looked at */
    uint32_t limit;                      /* 1 ... CONTROL_MAX_ENTRIES */
};
enum { CONTROL_MAX_ENTRIES = 500 };

struct control_call *control_changes(struct control *control, const struct control_range *range,
                                     control_changes_fn done, void *arg, struct status *status);

/* The buckets of a check as they stand in Redis, one asked for after the other. */
struct control_bucket_result {
    enum control_outcome outcome;
    const struct quota *quota; /* by which it was looked at; the arrays are in the order of its limits */
    int64_t levels_utok[BUCKET_MAX_LIMITS];
    int64_t full_after_us[BUCKET_MAX_LIMITS];
    const char *reason;
};
typedef void (*control_bucket_fn)(void *arg, const struct control_bucket_result *result);

/* Of whose check: names, not patterns. */
struct control_bucket {
    struct bytes tenant, resource, key;
};

/* `quota` is the one that control_quotas has for it, and is held meanwhile; it must have limits, and none of rate 0: others keep
 * no buckets. */
struct control_call *control_bucket_look(struct control *control, const struct control_bucket *bucket,
                                         const struct quota *quota, control_bucket_fn done, void *arg,
                                         struct status *status);
/* Fills one bucket (all that a key has in a resource are one), here and in Redis, and forgets what is still to be
 * charged to it; noted in the audit. Of the result `outcome` and `reason` alone are set. */
struct control_call *control_bucket_reset(struct control *control, const struct bucket_name *name,
                                          struct control_asker asker, control_bucket_fn done, void *arg,
                                          struct status *status);

struct control_frontend {
    struct bytes id;    /* 32 hex digits */
    struct bytes about; /* a JSON object, as lua/README.md says of heartbeats; not checked */
    int64_t silent_ms;  /* since its last heartbeat, by the clock of Redis */
};

struct control_frontends_result {
    enum control_outcome outcome;
    const struct control_frontend *frontends; /* by id */
    uint32_t n_frontends;
    const char *reason;
};
typedef void (*control_frontends_fn)(void *arg, const struct control_frontends_result *result);

struct control_call *control_frontends(struct control *control, control_frontends_fn done, void *arg,
                                       struct status *status);
/* This frontend's id, 32 hex digits; borrowed. */
const char *control_id(const struct control *control);

/* The quotas as they were last read from Redis, or what the frontend began with; borrowed until the loop turns. The
 * workers may not have all of them in force yet. */
const struct quota_set *control_quotas(const struct control *control);

#endif
