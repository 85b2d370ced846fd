/* conn.c — one client's connection; see conn.h for the path of a byte. */
#include "server/net/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/frame.h"
#include "server/base/clock.h"
#include "server/base/ensure.h"
#include "server/base/log.h"

enum { CONN_MAGIC = 0x434f4e4e, CONN_DRAIN_BYTES = 128 * 1024 };

static const char *close_reason_text(enum conn_close_reason reason) {
    switch (reason) {
#define CONN_CLOSE_TEXT(name, field, text)                                                                     \
    case CONN_CLOSE_##name:                                                                                    \
        return text;
        CONN_CLOSE_REASONS(CONN_CLOSE_TEXT)
#undef CONN_CLOSE_TEXT
    }
    return "unknown";
}

static void count_close(struct conn_metrics *metrics, enum conn_close_reason reason) {
    switch (reason) {
#define CONN_CLOSE_COUNT(name, field, text)                                                                    \
    case CONN_CLOSE_##name:                                                                                    \
        metric_inc(&metrics->field);                                                                           \
        break;
        CONN_CLOSE_REASONS(CONN_CLOSE_COUNT)
#undef CONN_CLOSE_COUNT
    }
}

/* ---- buffers, borrowed while there is something in them ---- */

static void borrow_buf(struct conn_host *host, struct buf *buf) {
    if (buf->data == NULL && host->n_spare > 0) {
        *buf = host->spare[--host->n_spare];
    }
}

static void return_buf(struct conn_host *host, struct buf *buf) {
    if (buf->data == NULL || buf_len(buf) > 0) {
        return;
    }
    if (host->n_spare < CONN_SPARE_MAX) {
        host->spare[host->n_spare++] = *buf;
        *buf = (struct buf){0};
    } else {
        buf_deinit(buf);
    }
}

/* ---- states ---- */

static void remove_from_dirty(struct conn *conn) {
    if (!list_is_empty(&conn->in_dirty)) {
        list_remove(&conn->in_dirty);
        conn->host->n_dirty--;
    }
}

static void conn_close(struct conn *conn, enum conn_close_reason reason) {
    struct conn_host *host = conn->host;
    if (conn->state == CONN_CLOSED) {
        return;
    }
    if (conn->state == CONN_LINGERING) {
        host->n_lingering--;
    }
    conn->state = CONN_CLOSED;
    log_write(LOG_DEBUG, "conn", "fd %d closed: %s", conn->fd, close_reason_text(reason));
    host->on_closed(host->arg, conn);
    ev_io_stop(host->loop, &conn->readable);
    ev_io_stop(host->loop, &conn->writable);
    ev_timer_stop(host->loop, &conn->frame_timer);
    close(conn->fd);
    remove_from_dirty(conn);
    list_remove(&conn->in_backlog);
    list_remove(&conn->in_host);
    list_push_back(&host->parked, &conn->in_host);
    host->n_conns--;
    metric_dec(&host->metrics->open);
    count_close(host->metrics, reason);
}

static bool is_over_its_caps(const struct conn *conn) {
    const struct conn_options *options = &conn->host->options;
    return conn->n_inflight >= options->max_inflight || buf_len(&conn->out) >= options->max_output_bytes;
}

static void queue_backlog(struct conn *conn) {
    struct conn_host *host = conn->host;
    if (list_is_empty(&conn->in_backlog)) {
        list_push_back(&host->backlog, &conn->in_backlog);
        ev_idle_start(host->loop, &host->idle);
    }
}

/* Reading stops while too much is under way and goes on, from the backlog, once that is over. */
static void update_pause(struct conn *conn) {
    if (conn->state == CONN_CLOSED || conn->state == CONN_LINGERING) {
        return;
    }
    bool should_pause = is_over_its_caps(conn);
    if (should_pause == conn->is_paused) {
        return;
    }
    conn->is_paused = should_pause;
    if (should_pause) {
        metric_inc(&conn->host->metrics->paused);
        ev_io_stop(conn->host->loop, &conn->readable);
    } else {
        queue_backlog(conn);
    }
}

/* A connection that reads no more ends when everything read has been answered and sent. */
static void finish_if_idle(struct conn *conn) {
    if (conn->state != CONN_FINISHING || conn->n_inflight > 0 || buf_len(&conn->out) > 0 ||
        !list_is_empty(&conn->in_backlog) || conn->is_paused) {
        return;
    }
    if (conn->peer_has_finished) {
        conn_close(conn, CONN_CLOSE_BY_PEER);
        return;
    }
    /* Closing with unread bytes would reset the connection and could destroy answers on their way. */
    conn->state = CONN_LINGERING;
    conn->host->n_lingering++;
    shutdown(conn->fd, SHUT_WR);
    ev_timer_stop(conn->host->loop, &conn->frame_timer);
    ev_io_start(conn->host->loop, &conn->readable);
}

static void update_frame_timer(struct conn *conn, bool has_consumed) {
    struct ev_loop *loop = conn->host->loop;
    bool is_partial = buf_len(&conn->in) > 0 && !conn->is_paused && conn->state == CONN_OPEN;
    if (has_consumed || !is_partial) {
        ev_timer_stop(loop, &conn->frame_timer);
    }
    if (is_partial && !ev_is_active(&conn->frame_timer)) {
        ev_timer_set(&conn->frame_timer, (ev_tstamp)conn->host->options.frame_timeout_us / 1e6, 0.);
        ev_timer_start(loop, &conn->frame_timer);
    }
}

/* Hands up the frames that have arrived; false when the connection is closed. */
static bool parse_frames(struct conn *conn) {
    struct conn_host *host = conn->host;
    bool has_consumed = false;
    conn->n_turn_checks = 0;
    for (int n = 0; !conn->is_paused && buf_len(&conn->in) > 0; n++) {
        struct frame frame;
        enum frame_outcome outcome = frame_parse(buf_front(&conn->in), buf_len(&conn->in), &frame);
        if (outcome == FRAME_PARTIAL) {
            break;
        }
        if (outcome != FRAME_READY) {
            conn_close(conn, outcome == FRAME_BAD_FLAG ? CONN_CLOSE_BAD_FLAG : CONN_CLOSE_TOO_LARGE);
            return false;
        }
        if (n == CONN_FRAMES_PER_TURN || conn->n_turn_checks >= CONN_CHECKS_PER_TURN) {
            queue_backlog(conn);
            break;
        }
        host->on_frame(host->arg, conn, frame.body, frame.body_bytes, host->now_us);
        if (conn->state == CONN_CLOSED) {
            return false;
        }
        buf_consume(&conn->in, frame.total_bytes);
        has_consumed = true;
        update_pause(conn);
    }
    return_buf(host, &conn->in);
    update_frame_timer(conn, has_consumed);
    return true;
}

enum read_outcome { READ_SOME, READ_NOTHING_YET, READ_END, READ_FAILED };

static enum read_outcome read_once(struct conn *conn) {
    borrow_buf(conn->host, &conn->in);
    uint8_t *to = buf_reserve(&conn->in, CONN_READ_BYTES);
    if (to == NULL) {
        conn_close(conn, CONN_CLOSE_NO_MEMORY);
        return READ_FAILED;
    }
    ssize_t n = recv(conn->fd, to, CONN_READ_BYTES, 0);
    if (n > 0) {
        buf_commit(&conn->in, (size_t)n);
        metric_add(&conn->host->metrics->received_bytes, (uint64_t)n);
        return READ_SOME;
    }
    return_buf(conn->host, &conn->in);
    if (n == 0) {
        return READ_END;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
        return READ_NOTHING_YET;
    }
    conn_close(conn, CONN_CLOSE_IO_ERROR);
    return READ_FAILED;
}

static void stop_reading(struct conn *conn) {
    conn->state = CONN_FINISHING;
    ev_io_stop(conn->host->loop, &conn->readable);
    ev_timer_stop(conn->host->loop, &conn->frame_timer);
}

static void discard_input(struct conn *conn) {
    enum read_outcome outcome = read_once(conn);
    if (outcome == READ_FAILED) {
        return;
    }
    buf_consume(&conn->in, buf_len(&conn->in));
    return_buf(conn->host, &conn->in);
    if (outcome == READ_END) {
        conn_close(conn, CONN_CLOSE_DRAINED);
    }
}

static void flush(struct conn *conn) {
    while (buf_len(&conn->out) > 0) {
        ssize_t n = send(conn->fd, buf_front(&conn->out), buf_len(&conn->out), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            ev_io_start(conn->host->loop, &conn->writable);
            update_pause(conn);
            return;
        }
        if (n < 0) {
            conn_close(conn, CONN_CLOSE_IO_ERROR);
            return;
        }
        metric_add(&conn->host->metrics->sent_bytes, (uint64_t)n);
        buf_consume(&conn->out, (size_t)n);
    }
    return_buf(conn->host, &conn->out);
    ev_io_stop(conn->host->loop, &conn->writable);
    update_pause(conn);
    finish_if_idle(conn);
}

static void flush_dirty(struct conn_host *host) {
    while (!list_is_empty(&host->dirty)) {
        struct conn *conn = list_entry(host->dirty.next, struct conn, in_dirty);
        remove_from_dirty(conn);
        flush(conn);
    }
}

static void conn_on_readable(struct ev_loop *loop, ev_io *watcher, int events) {
    (void)loop;
    (void)events;
    struct conn *conn = list_entry(watcher, struct conn, readable);
    ensure(conn->magic, ==, CONN_MAGIC);
    struct conn_host *host = conn->host;
    if (conn->state == CONN_LINGERING) {
        discard_input(conn);
        return;
    }
    switch (read_once(conn)) {
    case READ_SOME:
        if (parse_frames(conn) && !list_is_empty(&conn->in_backlog)) {
            ev_io_stop(host->loop, &conn->readable);
        }
        break;
    case READ_END:
        conn->peer_has_finished = true;
        stop_reading(conn);
        finish_if_idle(conn);
        break;
    case READ_NOTHING_YET:
    case READ_FAILED:
        break;
    }
    if (host->n_dirty >= CONN_DIRTY_MAX) {
        flush_dirty(host);
    }
}

static void conn_on_frame_timeout(struct ev_loop *loop, ev_timer *watcher, int events) {
    (void)loop;
    (void)events;
    struct conn *conn = list_entry(watcher, struct conn, frame_timer);
    ensure(conn->magic, ==, CONN_MAGIC);
    conn_close(conn, CONN_CLOSE_FRAME_TIMEOUT);
}

static void conn_on_writable(struct ev_loop *loop, ev_io *watcher, int events) {
    (void)loop;
    (void)events;
    struct conn *conn = list_entry(watcher, struct conn, writable);
    ensure(conn->magic, ==, CONN_MAGIC);
    flush(conn);
}

uint8_t *conn_reserve(struct conn *conn, size_t n) {
    borrow_buf(conn->host, &conn->out);
    uint8_t *to = buf_reserve(&conn->out, n);
    if (to == NULL) {
        conn_close(conn, CONN_CLOSE_NO_MEMORY);
    }
    return to;
}

void conn_commit(struct conn *conn, size_t n) {
    buf_commit(&conn->out, n);
    if (list_is_empty(&conn->in_dirty)) {
        list_push_back(&conn->host->dirty, &conn->in_dirty);
        conn->host->n_dirty++;
        /* Behind everything else of this turn, even if this turn's prepare watchers have begun to run. */
        ev_feed_event(conn->host->loop, &conn->host->prepare, EV_PREPARE);
    }
}

void conn_count_started(struct conn *conn, uint32_t n_checks) {
    conn->n_turn_checks += n_checks;
}

void conn_count_inflight(struct conn *conn, int32_t n_checks) {
    conn->n_inflight += (uint32_t)n_checks;
    update_pause(conn);
}

void conn_adopt(struct conn_host *host, int fd) {
    bool has_room = host->n_conns < host->options.max_connections && fd < host->options.max_fd;
    struct conn *conn = has_room ? calloc(1, sizeof *conn) : NULL;
    if (conn == NULL) {
        metric_inc(&host->metrics->refused);
        close(fd);
        return;
    }
    conn->magic = CONN_MAGIC;
    conn->fd = fd;
    conn->host = host;
    list_init(&conn->in_dirty);
    list_init(&conn->in_backlog);
    list_init(&conn->requests);
    list_push_back(&host->conns, &conn->in_host);
    ev_io_init(&conn->readable, conn_on_readable, fd, EV_READ);
    ev_io_init(&conn->writable, conn_on_writable, fd, EV_WRITE);
    ev_timer_init(&conn->frame_timer, conn_on_frame_timeout, 0., 0.);
    ev_set_priority(&conn->frame_timer, -1); /* after a long turn, look at what has arrived first */
    ev_io_start(host->loop, &conn->readable);
    host->n_conns++;
    metric_inc(&host->metrics->accepted);
    metric_inc(&host->metrics->open);
}

static void host_on_check(struct ev_loop *loop, ev_check *watcher, int events) {
    (void)loop;
    (void)events;
    struct conn_host *host = list_entry(watcher, struct conn_host, check);
    host->now_us = clock_mono_us();
}

/* Frames left over from earlier turns, one round for each connection. */
static void host_on_idle(struct ev_loop *loop, ev_idle *watcher, int events) {
    (void)events;
    struct conn_host *host = list_entry(watcher, struct conn_host, idle);
    struct list round;
    list_init(&round);
    list_append_all(&round, &host->backlog);
    struct list *node;
    while ((node = list_pop_front(&round)) != NULL) {
        struct conn *conn = list_entry(node, struct conn, in_backlog);
        if (!parse_frames(conn)) {
            continue;
        }
        if (conn->state == CONN_OPEN && list_is_empty(&conn->in_backlog) && !conn->is_paused) {
            ev_io_start(loop, &conn->readable);
        }
        finish_if_idle(conn);
    }
    if (list_is_empty(&host->backlog)) {
        ev_idle_stop(loop, &host->idle);
    }
}

static void free_parked(struct conn_host *host) {
    struct list *node;
    while ((node = list_pop_front(&host->parked)) != NULL) {
        struct conn *conn = list_entry(node, struct conn, in_host);
        buf_deinit(&conn->in);
        buf_deinit(&conn->out);
        conn->magic = 0;
        free(conn);
    }
}

static void host_on_prepare(struct ev_loop *loop, ev_prepare *watcher, int events) {
    (void)loop;
    (void)events;
    struct conn_host *host = list_entry(watcher, struct conn_host, prepare);
    flush_dirty(host);
    free_parked(host);
}

void conn_host_init(struct conn_host *host, struct ev_loop *loop, const struct conn_options *options,
                    struct conn_metrics *metrics, conn_frame_fn on_frame, conn_closed_fn on_closed, void *arg) {
    *host = (struct conn_host){
        .loop = loop,
        .options = *options,
        .metrics = metrics,
        .on_frame = on_frame,
        .on_closed = on_closed,
        .arg = arg,
        .now_us = clock_mono_us(),
    };
    list_init(&host->conns);
    list_init(&host->dirty);
    list_init(&host->backlog);
    list_init(&host->parked);
    ev_check_init(&host->check, host_on_check);
    ev_set_priority(&host->check, EV_MAXPRI);
    ev_check_start(loop, &host->check);
    ev_prepare_init(&host->prepare, host_on_prepare);
    ev_set_priority(&host->prepare, EV_MINPRI);
    ev_prepare_start(loop, &host->prepare);
    ev_idle_init(&host->idle, host_on_idle);
    ev_set_priority(&host->idle, EV_MAXPRI); /* a busy loop must not starve the backlog */
}

void conn_host_deinit(struct conn_host *host) {
    while (!list_is_empty(&host->conns)) {
        conn_close(list_entry(host->conns.next, struct conn, in_host), CONN_CLOSE_DRAINED);
    }
    free_parked(host);
    while (host->n_spare > 0) {
        buf_deinit(&host->spare[--host->n_spare]);
    }
    ev_check_stop(host->loop, &host->check);
    ev_prepare_stop(host->loop, &host->prepare);
    ev_idle_stop(host->loop, &host->idle);
}

static void conn_drain(struct conn *conn) {
    if (conn->state != CONN_OPEN) {
        return;
    }
    /* What has arrived is read first, all of it within reason, and then answered in the usual turns. */
    enum read_outcome outcome = READ_SOME;
    while (outcome == READ_SOME && !conn->is_paused && buf_len(&conn->in) < CONN_DRAIN_BYTES) {
        outcome = read_once(conn);
    }
    if (outcome == READ_FAILED || !parse_frames(conn)) {
        return;
    }
    conn->peer_has_finished = outcome == READ_END;
    stop_reading(conn);
    finish_if_idle(conn);
}

void conn_host_drain(struct conn_host *host) {
    struct list *next;
    for (struct list *node = host->conns.next; node != &host->conns; node = next) {
        next = node->next;
        conn_drain(list_entry(node, struct conn, in_host));
    }
}
