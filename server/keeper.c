/* keeper.c — keeps the last quotas in a file; see keeper.h. */
#include "server/keeper.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "server/base/ensure.h"
#include "server/base/log.h"
#include "server/quota/snapshot.h"

enum { KEEPER_MAGIC = 0x7ed15c23 };
static const double settle_s = 1.0; /* from the first change until it is written */

struct keeper {
    uint32_t magic;
    struct ev_loop *loop;
    const char *path;
    struct keeper_metrics *metrics;
    struct quota_set *set; /* yet to be written; held. NULL: nothing is */
    ev_timer settle;
    pthread_t writer;
    bool has_writer;              /* started and not joined; what follows is its own until `is_done` */
    struct quota_set *writer_set; /* held */
    atomic_bool is_done;
};

static void write_set(struct keeper *keeper) {
    struct status status;
    if (snapshot_write(keeper->path, keeper->writer_set, &status)) {
        metric_inc(&keeper->metrics->written);
        log_write(LOG_DEBUG, "quota", "snapshot of revision %" PRIu64 " written",
                  quota_set_revision(keeper->writer_set));
    } else {
        metric_inc(&keeper->metrics->failed);
        log_write(LOG_ERROR, "quota", "snapshot: %s", status.text);
    }
    quota_set_release(&keeper->writer_set);
}

static void *writer_main(void *arg) {
    struct keeper *keeper = arg;
    write_set(keeper);
    atomic_store(&keeper->is_done, true);
    return NULL;
}

static void join_writer(struct keeper *keeper) {
    if (keeper->has_writer) {
        pthread_join(keeper->writer, NULL);
        keeper->has_writer = false;
    }
}

static void start_writer(struct keeper *keeper) {
    keeper->writer_set = keeper->set;
    keeper->set = NULL;
    atomic_store(&keeper->is_done, false);
    keeper->has_writer = pthread_create(&keeper->writer, NULL, writer_main, keeper) == 0;
    if (!keeper->has_writer) {
        metric_inc(&keeper->metrics->failed);
        log_write(LOG_ERROR, "quota", "snapshot: the system gives no thread to write it");
        quota_set_release(&keeper->writer_set);
    }
}

static void keeper_on_settle(struct ev_loop *loop, ev_timer *watcher, int events) {
    (void)events;
    struct keeper *keeper = watcher->data;
    ensure(keeper->magic, ==, KEEPER_MAGIC);
    if (keeper->has_writer && !atomic_load(&keeper->is_done)) {
        return; /* the disk is slow: once more after as long */
    }
    join_writer(keeper);
    ev_timer_stop(loop, watcher);
    start_writer(keeper);
}

struct keeper *keeper_create(struct ev_loop *loop, const char *path, struct keeper_metrics *metrics) {
    struct keeper *keeper = calloc(1, sizeof *keeper);
    if (keeper != NULL) {
        keeper->magic = KEEPER_MAGIC;
        keeper->loop = loop;
        keeper->path = path;
        keeper->metrics = metrics;
        ev_timer_init(&keeper->settle, keeper_on_settle, 0., settle_s);
        keeper->settle.data = keeper;
    }
    return keeper;
}

void keeper_destroy(struct keeper **handle) {
    struct keeper *keeper = *handle;
    *handle = NULL;
    if (keeper == NULL) {
        return;
    }
    ev_timer_stop(keeper->loop, &keeper->settle);
    join_writer(keeper);
    if (keeper->set != NULL) {
        keeper->writer_set = keeper->set;
        write_set(keeper);
    }
    keeper->magic = 0;
    free(keeper);
}

void keeper_keep(struct keeper *keeper, struct quota_set *set) {
    quota_set_release(&keeper->set);
    keeper->set = quota_set_hold(set);
    if (!ev_is_active(&keeper->settle)) {
        ev_timer_again(keeper->loop, &keeper->settle);
    }
}
