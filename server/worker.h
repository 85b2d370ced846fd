/* worker.h — one thread that owns a loop, its connections and its store, and serves checks.
 *
 * Workers share the listening socket, the configuration, immutable quota sets, the slot map read last and, when
 * the store fails, the fallback: nothing else. Made and destroyed by the server's thread; in between it lives on
 * its own. */
#ifndef SLUICE_SERVER_WORKER_H
#define SLUICE_SERVER_WORKER_H

#include <stdbool.h>

#include "server/base/status.h"
#include "server/config.h"
#include "server/core/quota_set.h"
#include "server/hot_survey.h"
#include "server/limit/fallback.h"
#include "server/stats.h"
#include "server/store/slot_board.h"

struct worker;

/* What the workers of a process share. */
struct worker_options {
    const struct config *config;
    const char *version;
    int listen_fd;
    uint64_t key_seed;         /* of bucket_name.h */
    struct fallback *fallback; /* NULL with an embedded store, which does not fail */
    struct slot_board *slot_board;
};

/* Prepares everything that can fail; nothing runs yet. What `options` points to is borrowed and must outlive the
 * worker; `quotas` is held. NULL with a reason on failure. */
struct worker *worker_create(const struct worker_options *options, struct quota_set *quotas,
                             struct status *status);

/* Starts the thread. False when the system gives none. */
bool worker_start(struct worker *worker) __attribute__((warn_unused_result));

/* From any thread; returns at once. The worker holds `quotas` and decides by them from its loop's next turn on. */
void worker_set_quotas(struct worker *worker, struct quota_set *quotas);
/* From any thread: the revision of the quotas that the worker decides by. */
uint64_t worker_revision(const struct worker *worker);

/* From any thread; returns at once. The record of this name's hash was filled by an operator: from its loop's next turn
 * on the worker knows nothing of it. When memory is short it still denies what was denied, for a few seconds. */
void worker_forget(struct worker *worker, struct hash128 hash);

/* Where the worker is asked for its hot keys; borrowed. */
struct hot_desk *worker_hot_desk(struct worker *worker);

/* From any thread: stop accepting, answer what has been read, then end. */
void worker_drain(struct worker *worker);

/* Waits for the thread's end (if it was started) and frees all. Nulls the pointer. */
void worker_destroy(struct worker **worker);

/* From any thread. */
bool worker_is_ready(const struct worker *worker);
const struct worker_metrics *worker_metrics(const struct worker *worker);

#endif
