/* refresh.c — when the slot map is read anew, and by whom; see refresh.h. */
#include "server/store/refresh.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/clock.h"
#include "server/base/ensure.h"
#include "server/base/hash.h"
#include "server/base/list.h"
#include "server/store/redis_request.h"

enum { REFRESH_MAGIC = 0x7ed15c15 };

/* In units of every_us. */
#define QUESTION_JITTER 0.25
#define LOOK_AGAIN (1. / 64)

static struct refresh *refresh_of(void *data) {
    struct refresh *refresh = data;
    ensure(refresh->magic, ==, REFRESH_MAGIC);
    return refresh;
}

/* The only place where `state` changes. */
static void change_state(struct refresh *refresh, enum refresh_state state, double timer_s) {
    refresh->state = state;
    ev_timer_stop(refresh->loop, &refresh->timer);
    if (state != REFRESH_IDLE) {
        ev_timer_set(&refresh->timer, timer_s, 0.);
        ev_timer_start(refresh->loop, &refresh->timer);
    }
}

/* Spread out, so that frontends do not ask in step. */
static double after_s(struct refresh *refresh, int64_t wait_us) {
    double jitter_us = erand48(refresh->jitter) * QUESTION_JITTER * (double)refresh->options.every_us;
    return ((wait_us > 0 ? (double)wait_us : 0.) + jitter_us) * 1e-6;
}

static void become_due(struct refresh *refresh) {
    bool is_first = refresh->asked_at_us == 0;
    int64_t wait_us = refresh->asked_at_us + refresh->options.every_us - clock_mono_us();
    change_state(refresh, REFRESH_DUE, is_first ? 0. : after_s(refresh, wait_us));
}

void refresh_soon(struct refresh *refresh) {
    refresh->last_wanted_at_us = clock_mono_us();
    if (refresh->state == REFRESH_IDLE) {
        refresh->wanted_at_us = refresh->last_wanted_at_us;
        become_due(refresh);
    }
}

bool refresh_is_overdue(const struct refresh *refresh) {
    return refresh->last_wanted_at_us > refresh->asked_at_us;
}

/* A map of asked_at_us is in force, or could not be had. */
static void end_refresh(struct refresh *refresh, bool is_good) {
    refresh->asked = NULL;
    change_state(refresh, REFRESH_IDLE, 0.);
    if (!is_good) {
        become_due(refresh);
    } else if (refresh_is_overdue(refresh)) {
        refresh_soon(refresh);
    }
}

static void end_question(struct refresh *refresh, bool is_good) {
    struct redis_metrics *metrics = refresh->options.metrics;
    metric_inc(is_good ? &metrics->refreshes : &metrics->refreshes_failed);
    end_refresh(refresh, is_good);
}

static void command_ended(struct redis_command *command, enum redis_command_end end,
                          const struct redis_reply *reply) {
    struct refresh *refresh = refresh_of(list_entry(command, struct refresh, command));
    const struct refresh_options *options = &refresh->options;
    end_question(refresh, end == REDIS_COMMAND_REPLIED &&
                              options->ops->read(options->arg, refresh->asked, reply, refresh->asked_at_us));
}

static void ask(struct refresh *refresh, struct redis_conn *conn, int64_t now_us) {
    refresh->asked_at_us = now_us;
    refresh->asked = conn;
    change_state(refresh, REFRESH_ASKED, (double)refresh->options.every_us * 1e-6);
    if (redis_conn_submit(conn, &refresh->command) != REDIS_SUBMIT_QUEUED) {
        end_question(refresh, false);
    }
}

/* To one that has none yet, a map of any age is what it wanted. */
static void adopt(struct refresh *refresh, struct slot_record *record) {
    const struct refresh_options *options = &refresh->options;
    if (refresh->asked_at_us == 0) {
        refresh->last_wanted_at_us = record->asked_at_us;
    }
    refresh->asked_at_us = record->asked_at_us;
    metric_inc(&options->metrics->refreshes_adopted);
    bool is_good = options->ops->adopt(options->arg, record);
    slot_board_release(options->board, &record);
    end_refresh(refresh, is_good);
}

/* With no node to ask it goes on when one is connected. */
static void look_later(struct refresh *refresh, const struct redis_conn *conn, int64_t wait_us) {
    if (conn == NULL) {
        refresh->last_wanted_at_us = clock_mono_us();
        change_state(refresh, REFRESH_IDLE, 0.);
    } else if (wait_us > 0) {
        change_state(refresh, REFRESH_DUE, after_s(refresh, wait_us));
    } else {
        double every_s = (double)refresh->options.every_us * 1e-6;
        change_state(refresh, REFRESH_DUE, (1. + erand48(refresh->jitter)) * LOOK_AGAIN * every_s);
    }
}

static void start_refresh(struct refresh *refresh) {
    struct redis_conn *conn = refresh->options.ops->choose(refresh->options.arg);
    bool is_first = refresh->asked_at_us == 0;
    struct slot_look look = {
        .now_us = clock_mono_us(),
        .since_us = is_first ? 0 : refresh->wanted_at_us,
        .every_us = refresh->options.every_us,
        .may_ask = conn != NULL,
    };
    if (look.since_us < refresh->asked_at_us) {
        look.since_us = refresh->asked_at_us;
    }
    switch (slot_board_look(refresh->options.board, &look)) {
    case SLOT_BOARD_ADOPT:
        adopt(refresh, look.record);
        return;
    case SLOT_BOARD_ASK:
        ask(refresh, conn, look.now_us);
        return;
    case SLOT_BOARD_WAIT:
        look_later(refresh, conn, look.wait_us);
        return;
    }
}

static void refresh_on_timer(struct ev_loop *loop, ev_timer *watcher, int events) {
    (void)loop;
    (void)events;
    struct refresh *refresh = refresh_of(watcher->data);
    switch (refresh->state) {
    case REFRESH_IDLE:
        return;
    case REFRESH_DUE:
        start_refresh(refresh);
        return;
    case REFRESH_ASKED:
        redis_conn_withdraw(refresh->asked, &refresh->command);
        end_question(refresh, false);
        return;
    }
}

bool refresh_init(struct refresh *refresh, struct ev_loop *loop, const struct refresh_options *options) {
    static const char *const words[] = {"CLUSTER", "SLOTS"};
    *refresh = (struct refresh){.magic = REFRESH_MAGIC, .loop = loop, .options = *options};
    uint64_t seed = hash_random_seed();
    memcpy(refresh->jitter, &seed, sizeof refresh->jitter);
    ev_timer_init(&refresh->timer, refresh_on_timer, 0., 0.);
    refresh->timer.data = refresh;
    if (!redis_append_command(&refresh->command_bytes, words, 2)) {
        return false;
    }
    refresh->command = (struct redis_command){
        .head = {.data = buf_front(&refresh->command_bytes), .len = buf_len(&refresh->command_bytes)},
        .n_replies = 1,
        .ended = command_ended,
    };
    return true;
}

void refresh_deinit(struct refresh *refresh) {
    ev_timer_stop(refresh->loop, &refresh->timer);
    buf_deinit(&refresh->command_bytes);
    refresh->magic = 0;
}
