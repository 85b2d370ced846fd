/* refresh.h — when the slot map is read anew, and by whom.
 *
 *   IDLE ── wanted ──> DUE ── timer ──┬── ask a node ──> ASKED ── reply, loss or timeout ──> IDLE, or DUE again
 *                       ^             ├── adopt the map of another worker ──────────────────────────┘
 *                       └──── wait ───┘
 *
 * Questions (CLUSTER SLOTS) are at least every_us apart, with jitter, and never two at once, over all workers that
 * share a slot board; one without a reply for so long is given up and asked again. The first comes at once. What
 * is in a reply, and which node is asked, is the owner's affair. One thread. */
#ifndef SLUICE_STORE_REFRESH_H
#define SLUICE_STORE_REFRESH_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/base/buf.h"
#include "server/store/redis_conn.h"
#include "server/store/redis_metrics.h"
#include "server/store/slot_board.h"

enum refresh_state {
    REFRESH_IDLE,
    REFRESH_DUE,   /* the timer starts it */
    REFRESH_ASKED, /* the timer gives it up */
};

/* What the owner does; `arg` is its own. */
struct refresh_ops {
    /* A connected node to ask; NULL: none. It stays until the question has ended. */
    struct redis_conn *(*choose)(void *arg);
    /* Puts the map in force that `reply` holds, and on the board. False: another must be read. */
    bool (*read)(void *arg, const struct redis_conn *from, const struct redis_reply *reply,
                 int64_t asked_at_us);
    /* Puts the map in force that another worker has read. False: another must be read. */
    bool (*adopt)(void *arg, const struct slot_record *record);
};

struct refresh_options {
    const struct refresh_ops *ops;
    void *arg;
    int64_t every_us;
    struct slot_board *board; /* borrowed; NULL: this worker is alone */
    struct redis_metrics *metrics;
};

struct refresh {
    uint32_t magic;
    struct ev_loop *loop;
    struct refresh_options options;
    enum refresh_state state;
    int64_t asked_at_us; /* the last question, or that of the map adopted last; 0: none yet */
    int64_t wanted_at_us, last_wanted_at_us; /* since when and until when a fresh map was wanted */
    struct redis_conn *asked;
    struct redis_command command;
    struct buf command_bytes;
    ev_timer timer;
    unsigned short jitter[3];
};

/* Borrows `loop`, the operations and the metrics. False when memory is short; deinit is due either way. */
bool refresh_init(struct refresh *refresh, struct ev_loop *loop, const struct refresh_options *options)
    __attribute__((warn_unused_result));
/* The connection asked may be gone by now. */
void refresh_deinit(struct refresh *refresh);

/* A fresh map is wanted: as soon as may be, never before this returns. */
void refresh_soon(struct refresh *refresh);
/* It is wanted since the last question, for want of a node to ask. */
bool refresh_is_overdue(const struct refresh *refresh);

#endif
