/* bench_load.c — who sends the next frame, and when a phase is over; see bench_load.h. */
#include "client/cmd/bench_load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "client/cmd/bench_arrivals.h"
#include "client/cmd/bench_conn.h"
#include "client/endpoint.h"
#include "server/base/clock.h"
#include "server/base/ensure.h"

enum {
    MAGIC = 0x424c4f41,
    ROUND_FRAMES = 64, /* queued before the sockets get them and the clock is read again */
    /* What was due before the end may be sent so long after it: a turn of the loop, not a backlog. */
    GRACE_US = 10000,
    CONNECT_AT_ONCE = 256, /* a listener has room for so many that it has not seen yet */
    US_PER_S = 1000000,
};

#define TICK_S 0.1

struct bench_load {
    uint32_t magic;
    struct bench_load_options options;
    struct ev_loop *loop;
    struct endpoint *servers;
    size_t n_servers;
    struct bench_conn *conns;
    uint32_t n_conns, n_started, n_up;
    struct bench_arrivals arrivals;
    ev_prepare before_sleep;
    ev_io due;
    ev_timer tick;
    ev_idle spin;
    int due_fd;        /* a timer of the kernel's, as the loop's have a resolution of 1 ms; -1: closed loop */
    struct list ready; /* connections that are up and have room, the next to be used first */
    uint64_t n_in_flight;      /* frames */
    struct bench_stats *stats; /* of the phase that runs; NULL: none does */
    int64_t began_at_us, ends_at_us, answered_at_us;
    int64_t judged_at_us; /* when frames were last given up; a look at all of them takes its time */
    unsigned n_interrupts;
    struct status *failure; /* of connecting; NULL: failures are counted instead */
    struct wire_request request;
    struct bench_conn_shared shared;
};

static bool is_open_loop(const struct bench_load *load) {
    return load->options.frames_per_s > 0;
}

/* --- sending --------------------------------------------------------------------------------------------- */

/* When the next frame is due, or INT64_MAX when none is any more. */
static int64_t next_due_us(const struct bench_load *load, int64_t now_us) {
    int64_t due_at_us = is_open_loop(load) ? bench_arrivals_next_us(&load->arrivals) : now_us;
    int64_t last_us = load->ends_at_us + (is_open_loop(load) ? GRACE_US : 0);
    bool is_over = load->n_interrupts > 0 || now_us >= last_us || due_at_us >= load->ends_at_us;
    return is_over ? INT64_MAX : due_at_us;
}

/* In an open loop frames go round the connections; in a closed one each is filled up at once, so that one write
 * makes up for all that one read brought. */
static void send_frame(struct bench_load *load, int64_t due_at_us, int64_t now_us) {
    struct bench_conn *conn = list_entry(load->ready.next, struct bench_conn, node);
    size_t n_checks = load->options.checks->batch;
    bench_checks_fill(load->options.checks, &load->request);
    load->stats->n_sent += n_checks;
    if (is_open_loop(load)) {
        bench_arrivals_take(&load->arrivals);
        histogram_add(&load->stats->lag_us, (uint64_t)(now_us - due_at_us));
    }
    list_remove(&conn->node);
    if (!bench_conn_queue(conn, &load->request, due_at_us, now_us)) {
        bench_stats_add_failed(load->stats, WIRE_RESOURCE_EXHAUSTED, n_checks,
                               "memory of sluice bench is short");
    } else {
        load->n_in_flight++;
    }
    if (!bench_conn_has_room(conn)) {
        return;
    }
    if (is_open_loop(load)) {
        list_push_back(&load->ready, &conn->node);
    } else {
        list_push_front(&load->ready, &conn->node);
    }
}

/* Sends all that is due and has room. Returns when the next frame is due; INT64_MAX: not before an answer. */
static int64_t send_due(struct bench_load *load) {
    for (;;) {
        int64_t now_us = clock_mono_us(), due_at_us = INT64_MAX;
        int n_frames = 0;
        while (n_frames < ROUND_FRAMES && !list_is_empty(&load->ready) &&
               (due_at_us = next_due_us(load, now_us)) <= now_us) {
            send_frame(load, due_at_us, now_us);
            n_frames++;
        }
        bench_conn_flush_all(&load->shared);
        if (n_frames < ROUND_FRAMES) {
            return list_is_empty(&load->ready) ? INT64_MAX : due_at_us;
        }
    }
}

static void set_due_timer(const struct bench_load *load, int64_t at_us) {
    struct itimerspec when = {.it_value = {.tv_sec = at_us / US_PER_S, .tv_nsec = at_us % US_PER_S * 1000}};
    if (load->due_fd >= 0 && at_us < INT64_MAX) {
        (void)timerfd_settime(load->due_fd, TFD_TIMER_ABSTIME, &when, NULL); /* fails for no valid time */
    }
}

static void end_if_over(struct bench_load *load) {
    int64_t now_us = clock_mono_us();
    if (load->n_in_flight == 0 && next_due_us(load, now_us) == INT64_MAX) {
        ev_break(load->loop, EVBREAK_ONE);
    }
}

/* --- events ---------------------------------------------------------------------------------------------- */

static void on_before_sleep(struct ev_loop *loop, ev_prepare *watcher, int events) {
    struct bench_load *load = watcher->data;
    (void)loop;
    (void)events;
    if (load->stats != NULL) {
        set_due_timer(load, send_due(load));
        end_if_over(load);
    }
}

/* Sending is for the end of the turn; this only begins one. */
static void on_due(struct ev_loop *loop, ev_io *watcher, int events) {
    uint64_t n_times;
    (void)loop;
    (void)events;
    (void)!read(watcher->fd, &n_times, sizeof n_times);
}

/* That there is something to do is all: the loop looks for events then, and does not wait for them. */
static void on_idle(struct ev_loop *loop, ev_idle *watcher, int events) {
    (void)loop;
    (void)watcher;
    (void)events;
}

static void lose_frames(struct bench_load *load, enum wire_status status, uint64_t n_frames, const char *why) {
    load->n_in_flight -= n_frames;
    bench_stats_add_failed(load->stats, status, n_frames * load->options.checks->batch, why);
}

static void give_up_frames(struct bench_load *load, int64_t before_us, enum wire_status status,
                           const char *why) {
    for (uint32_t i = 0; i < load->n_conns && load->n_in_flight > 0; i++) {
        struct bench_conn *conn = &load->conns[i];
        lose_frames(load, status, bench_conn_give_up(conn, before_us), why);
        list_remove(&conn->node);
        if (bench_conn_has_room(conn)) {
            list_push_back(&load->ready, &conn->node);
        }
    }
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events) {
    struct bench_load *load = timer->data;
    int64_t now_us = clock_mono_us();
    (void)loop;
    (void)events;
    if (now_us - load->judged_at_us >= load->options.timeout_us / 4) {
        load->judged_at_us = now_us;
        give_up_frames(load, now_us - load->options.timeout_us, WIRE_DEADLINE_EXCEEDED, "no answer in time");
    }
    if (load->options.on_tick != NULL) {
        load->options.on_tick(load->options.tick_arg, load->stats, (uint64_t)(now_us - load->began_at_us));
    }
}

static void take_loss(struct bench_load *load, const struct bench_conn_event *event) {
    if (load->stats != NULL) {
        load->stats->n_conns_lost++;
        lose_frames(load, WIRE_UNAVAILABLE, event->n_frames, event->reason);
    }
    if (load->failure != NULL && load->n_interrupts == 0) {
        status_fail(load->failure, "%s; is sluiced running? (--server)", event->reason);
        ev_break(load->loop, EVBREAK_ONE);
    }
}

static void start_next_conn(struct bench_load *load) {
    if (load->n_started < load->n_conns) {
        bench_conn_start(&load->conns[load->n_started++]);
    }
}

static void on_conn_event(void *owner, struct bench_conn *conn, const struct bench_conn_event *event) {
    struct bench_load *load = owner;
    ensure(load->magic, ==, MAGIC);
    list_remove(&conn->node);
    switch (event->what) {
    case BENCH_CONN_OPENED:
        start_next_conn(load);
        if (++load->n_up == load->n_conns && load->stats == NULL) {
            ev_break(load->loop, EVBREAK_ONE);
        }
        break;
    case BENCH_CONN_ANSWERED:
        load->n_in_flight--;
        load->answered_at_us = event->now_us;
        bench_stats_add_answer(load->stats, event->response, load->options.checks->batch,
                               event->now_us - event->due_at_us);
        break;
    case BENCH_CONN_LATE:
        if (load->stats != NULL) {
            load->stats->n_late++;
        }
        break;
    case BENCH_CONN_LOST:
        take_loss(load, event);
        break;
    }
    if (bench_conn_has_room(conn)) {
        list_push_back(&load->ready, &conn->node);
    }
}

/* --- phases ---------------------------------------------------------------------------------------------- */

bool bench_load_connect(struct bench_load *load, struct status *status) {
    *status = (struct status){""};
    load->failure = status;
    for (int i = 0; i < CONNECT_AT_ONCE; i++) {
        start_next_conn(load);
    }
    ev_run(load->loop, 0);
    load->failure = NULL;
    if (load->n_interrupts > 0) {
        return status_fail(status, "interrupted before all connections were made");
    }
    return status->text[0] == '\0';
}

void bench_load_run(struct bench_load *load, int64_t duration_us, struct bench_stats *stats) {
    int64_t cpu_before_us = clock_cpu_us();
    *stats = (struct bench_stats){.n_sent = 0};
    load->stats = stats;
    load->began_at_us = load->answered_at_us = clock_mono_us();
    load->ends_at_us = load->began_at_us + duration_us;
    if (is_open_loop(load)) {
        bench_arrivals_start(&load->arrivals, load->began_at_us);
    }
    if (load->n_interrupts == 0) {
        ev_timer_again(load->loop, &load->tick);
        if (load->options.is_spinning) {
            ev_idle_start(load->loop, &load->spin);
        }
        ev_run(load->loop, 0);
        ev_idle_stop(load->loop, &load->spin);
        ev_timer_stop(load->loop, &load->tick);
    }
    give_up_frames(load, INT64_MAX, WIRE_CANCELLED, "interrupted");
    int64_t now_us = clock_mono_us(), until_us = now_us < load->ends_at_us ? now_us : load->ends_at_us;
    if (is_open_loop(load)) {
        stats->n_not_sent = bench_arrivals_skip(&load->arrivals, until_us) * load->options.checks->batch;
    }
    until_us = load->answered_at_us > until_us ? load->answered_at_us : until_us;
    stats->took_us = (uint64_t)(until_us - load->began_at_us);
    stats->cpu_us = (uint64_t)(clock_cpu_us() - cpu_before_us);
    load->stats = NULL;
}

void bench_load_interrupt(struct bench_load *load) {
    if (load->n_interrupts++ > 0 || load->stats == NULL) {
        ev_break(load->loop, EVBREAK_ONE);
    }
}

bool bench_load_is_interrupted(const struct bench_load *load) {
    return load->n_interrupts > 0;
}

/* --- life ------------------------------------------------------------------------------------------------ */

static bool find_servers(struct bench_load *load, struct status *status) {
    load->servers = calloc(load->options.n_servers, sizeof *load->servers);
    if (load->servers == NULL) {
        return status_fail(status, "out of memory");
    }
    for (size_t i = 0; i < load->options.n_servers; i++) {
        struct endpoint *server = &load->servers[i];
        if (!endpoint_parse(server, load->options.servers[i], status->text, sizeof status->text) ||
            !endpoint_resolve(server, status->text, sizeof status->text)) {
            return false;
        }
        load->n_servers++;
    }
    return true;
}

/* Of a server's addresses the first is used, so that all of its connections lead to one place. */
static bool make_conns(struct bench_load *load, struct status *status) {
    load->conns = calloc(load->options.n_connections, sizeof *load->conns);
    for (size_t at = 0; load->conns != NULL && load->n_conns < load->options.n_connections; load->n_conns++) {
        const struct endpoint *server = &load->servers[at];
        at = at + 1 < load->n_servers ? at + 1 : 0;
        if (!bench_conn_init(&load->conns[load->n_conns], &load->shared, server->addresses, server->name)) {
            break;
        }
    }
    return load->n_conns == load->options.n_connections || status_fail(status, "out of memory");
}

static bool make_due_timer(struct bench_load *load, struct status *status) {
    if (!is_open_loop(load)) {
        return true;
    }
    load->due_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (load->due_fd < 0) {
        return status_fail(status, "no timer: %s", strerror(errno));
    }
    ev_io_init(&load->due, on_due, load->due_fd, EV_READ);
    ev_io_start(load->loop, &load->due);
    return true;
}

struct bench_load *bench_load_create(struct ev_loop *loop, const struct bench_load_options *options,
                                     struct status *status) {
    struct bench_load *load = calloc(1, sizeof *load);
    if (load == NULL) {
        status_fail(status, "out of memory");
        return NULL;
    }
    load->magic = MAGIC;
    load->options = *options;
    load->loop = loop;
    load->due_fd = -1;
    list_init(&load->ready);
    load->shared = (struct bench_conn_shared){
        .loop = loop, .on_event = on_conn_event, .owner = load, .n_slots = options->pipeline};
    list_init(&load->shared.unsent);
    ev_prepare_init(&load->before_sleep, on_before_sleep);
    ev_timer_init(&load->tick, on_tick, TICK_S, TICK_S);
    ev_idle_init(&load->spin, on_idle);
    load->before_sleep.data = load->tick.data = load;
    if (is_open_loop(load)) {
        bench_arrivals_init(&load->arrivals, options->frames_per_s, options->is_poisson, options->seed);
    }
    load->shared.codec = wire_codec_create();
    if (load->shared.codec == NULL) {
        status_fail(status, "out of memory");
    } else if (find_servers(load, status) && make_conns(load, status) && make_due_timer(load, status)) {
        ev_prepare_start(loop, &load->before_sleep);
        return load;
    }
    bench_load_destroy(&load);
    return NULL;
}

void bench_load_destroy(struct bench_load **load_at) {
    struct bench_load *load = *load_at;
    if (load == NULL) {
        return;
    }
    for (uint32_t i = 0; i < load->n_conns; i++) {
        bench_conn_deinit(&load->conns[i]);
    }
    ev_prepare_stop(load->loop, &load->before_sleep);
    ev_timer_stop(load->loop, &load->tick);
    if (load->due_fd >= 0) {
        ev_io_stop(load->loop, &load->due);
        close(load->due_fd);
    }
    for (size_t i = 0; i < load->n_servers; i++) {
        endpoint_deinit(&load->servers[i]);
    }
    wire_codec_destroy(&load->shared.codec);
    free(load->conns);
    free(load->servers);
    free(load);
    *load_at = NULL;
}
