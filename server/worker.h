/* worker.h — one thread that owns a loop, its connections and its store, and serves checks.
 *
 * Workers share the listening socket, the configuration, the immutable quota set, and a board with the slot map
 * read last; nothing else. Made and destroyed by the server's thread; in between it lives on its own. */
#ifndef SLUICE_SERVER_WORKER_H
#define SLUICE_SERVER_WORKER_H

#include <stdbool.h>

#include "server/base/status.h"
#include "server/config.h"
#include "server/core/quota.h"
#include "server/stats.h"
#include "server/store/slot_board.h"

struct worker;

/* Borrowed, and must outlive the worker; the quotas are held. */
struct worker_options {
    const struct config *config;
    struct quota_set *quotas;
    struct slot_board *slot_board;
    int listen_fd;
    const char *version;
};

/* Prepares everything that can fail; nothing runs yet. NULL with a reason on failure. */
struct worker *worker_create(const struct worker_options *options, struct status *status);

/* Starts the thread. False when the system gives none. */
bool worker_start(struct worker *worker) __attribute__((warn_unused_result));

/* From any thread: stop accepting, answer what has been read, then end. */
void worker_drain(struct worker *worker);

/* Waits for the thread's end (if it was started) and frees all. Nulls the pointer. */
void worker_destroy(struct worker **worker);

/* From any thread. */
bool worker_is_ready(const struct worker *worker);
const struct worker_metrics *worker_metrics(const struct worker *worker);

#endif
