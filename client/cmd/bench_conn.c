/* bench_conn.c — a non-blocking socket with numbered places for what is in flight; see bench_conn.h. */
#include "client/cmd/bench_conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/cmd/bench_answer.h"
#include "client/cmd/bench_frame.h"
#include "server/base/clock.h"
#include "server/base/ensure.h"

enum { MAGIC = 0x424e434f, REASON_BYTES = 512, SLOT_BITS = 16, NO_SLOT = UINT16_MAX + 1 };

static struct bench_conn *checked(struct bench_conn *conn) {
    ensure(conn->magic, ==, MAGIC);
    return conn;
}

/* --- places ---------------------------------------------------------------------------------------------- */

static void free_slot(struct bench_conn *conn, uint32_t index) {
    struct bench_slot *slot = &conn->slots[index];
    slot->sent_at_us = 0;
    slot->next_free = conn->first_free;
    conn->first_free = index;
    conn->n_in_flight--;
}

/* Never 0: turns are counted from 1. */
static uint64_t id_of(const struct bench_conn *conn, uint32_t index) {
    return (uint64_t)conn->slots[index].turn << SLOT_BITS | index;
}

uint32_t bench_conn_give_up(struct bench_conn *conn, int64_t before_us) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < conn->shared->n_slots && conn->n_in_flight > 0; i++) {
        if (conn->slots[i].sent_at_us != 0 && conn->slots[i].sent_at_us < before_us) {
            free_slot(conn, i);
            n++;
        }
    }
    return n;
}

/* --- states ---------------------------------------------------------------------------------------------- */

static void set_timer(struct bench_conn *conn, int after_ms) {
    struct ev_loop *loop = conn->shared->loop;
    ev_timer_stop(loop, &conn->timer);
    ev_now_update(loop);
    ev_timer_set(&conn->timer, after_ms / 1e3, 0.);
    ev_timer_start(loop, &conn->timer);
}

static void watch(struct bench_conn *conn, ev_io *watcher, int events) {
    ev_io_set(watcher, conn->fd, events);
    ev_io_start(conn->shared->loop, watcher);
}

static void let_go(struct bench_conn *conn) {
    struct ev_loop *loop = conn->shared->loop;
    ev_io_stop(loop, &conn->reader);
    ev_io_stop(loop, &conn->writer);
    ev_timer_stop(loop, &conn->timer);
    list_remove(&conn->unsent);
    buf_deinit(&conn->in);
    buf_deinit(&conn->out);
    if (conn->fd >= 0) {
        close(conn->fd);
        conn->fd = -1;
    }
}

/* Ends the attempt or the connection; `why` is half a sentence. */
static void lose(struct bench_conn *conn, const char *why) {
    char reason[REASON_BYTES];
    bool was_up = conn->state == BENCH_CONN_UP;
    snprintf(reason, sizeof reason, was_up ? "connection to %s lost: %s" : "cannot connect to %s: %s",
             conn->name, why);
    let_go(conn);
    conn->state = BENCH_CONN_DOWN;
    set_timer(conn, BENCH_CONN_PAUSE_MS);
    struct bench_conn_event event = {
        .what = BENCH_CONN_LOST, .n_frames = bench_conn_give_up(conn, INT64_MAX), .reason = reason};
    conn->shared->on_event(conn->shared->owner, conn, &event);
}

static void open_conn(struct bench_conn *conn) {
    struct bench_conn_event event = {.what = BENCH_CONN_OPENED};
    conn->state = BENCH_CONN_UP;
    ev_timer_stop(conn->shared->loop, &conn->timer);
    ev_io_stop(conn->shared->loop, &conn->writer);
    watch(conn, &conn->reader, EV_READ);
    conn->shared->on_event(conn->shared->owner, conn, &event);
}

/* Returns 0 or an errno. */
static int begin_connect(struct bench_conn *conn) {
    const struct addrinfo *to = conn->address;
    int one = 1;
    conn->fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, to->ai_protocol);
    if (conn->fd < 0) {
        return errno;
    }
    (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return connect(conn->fd, to->ai_addr, to->ai_addrlen) == 0 || errno == EINPROGRESS ? 0 : errno;
}

static void attempt(struct bench_conn *conn) {
    int error = begin_connect(conn);
    if (error != 0) {
        lose(conn, strerror(error));
        return;
    }
    conn->state = BENCH_CONN_CONNECTING;
    watch(conn, &conn->writer, EV_WRITE);
    set_timer(conn, BENCH_CONN_CONNECT_TIMEOUT_MS);
}

void bench_conn_start(struct bench_conn *conn) {
    set_timer(conn, 0);
}

static void finish_connect(struct bench_conn *conn) {
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        error = errno;
    }
    if (error != 0) {
        lose(conn, strerror(error));
    } else {
        open_conn(conn);
    }
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events) {
    struct bench_conn *conn = checked(timer->data);
    (void)loop;
    (void)events;
    switch (conn->state) {
    case BENCH_CONN_DOWN:
        attempt(conn);
        break;
    case BENCH_CONN_CONNECTING:
        lose(conn, strerror(ETIMEDOUT));
        break;
    case BENCH_CONN_UP:
        break;
    }
}

/* --- bytes out ------------------------------------------------------------------------------------------- */

/* After an error the reader, woken by the shutdown, finds the end. */
static void flush(struct bench_conn *conn) {
    ssize_t n = send(conn->fd, buf_front(&conn->out), buf_len(&conn->out), MSG_NOSIGNAL);
    if (n >= 0) {
        buf_consume(&conn->out, (size_t)n);
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        shutdown(conn->fd, SHUT_RDWR);
        buf_deinit(&conn->out);
    }
    if (buf_len(&conn->out) == 0) {
        ev_io_stop(conn->shared->loop, &conn->writer);
    } else if (!ev_is_active(&conn->writer)) {
        watch(conn, &conn->writer, EV_WRITE);
    }
}

static void on_writable(struct ev_loop *loop, ev_io *watcher, int events) {
    struct bench_conn *conn = checked(watcher->data);
    (void)loop;
    (void)events;
    if (conn->state == BENCH_CONN_CONNECTING) {
        finish_connect(conn);
    } else {
        flush(conn);
    }
}

void bench_conn_flush_all(struct bench_conn_shared *shared) {
    struct list *node;
    while ((node = list_pop_front(&shared->unsent)) != NULL) {
        struct bench_conn *conn = list_entry(node, struct bench_conn, unsent);
        if (!ev_is_active(&conn->writer)) {
            flush(conn);
        }
    }
}

bool bench_conn_queue(struct bench_conn *conn, struct wire_request *request, int64_t due_at_us,
                      int64_t now_us) {
    uint32_t index = conn->first_free;
    size_t bound_bytes = bench_frame_bound_bytes(request);
    uint8_t *to = bound_bytes <= FRAME_MAX_BYTES ? buf_reserve(&conn->out, bound_bytes) : NULL;
    ensure(index, !=, NO_SLOT);
    if (to == NULL) {
        return false;
    }
    struct bench_slot *slot = &conn->slots[index];
    slot->turn++;
    request->id = id_of(conn, index);
    buf_commit(&conn->out, bench_frame_write(request, to));
    conn->first_free = slot->next_free;
    slot->due_at_us = due_at_us;
    slot->sent_at_us = now_us;
    conn->n_in_flight++;
    list_remove(&conn->unsent);
    list_push_back(&conn->shared->unsent, &conn->unsent);
    return true;
}

/* --- bytes in -------------------------------------------------------------------------------------------- */

/* Returns NULL, or what is wrong with the answer. */
static const char *take_answer(struct bench_conn *conn, const struct frame *frame, int64_t now_us) {
    struct bench_conn_shared *shared = conn->shared;
    struct bench_conn_event event = {.what = BENCH_CONN_LATE, .response = &shared->response, .now_us = now_us};
    if (!bench_answer_read(frame->body, frame->body_bytes, &shared->response) &&
        wire_decode_response(shared->codec, frame->body, frame->body_bytes, &shared->response) !=
            WIRE_DECODED) {
        return "what is no response";
    }
    uint32_t index = (uint32_t)(shared->response.id & ((1u << SLOT_BITS) - 1));
    if (index >= shared->n_slots) {
        return "an answer to what was not asked";
    }
    if (conn->slots[index].sent_at_us != 0 && id_of(conn, index) == shared->response.id) {
        event.what = BENCH_CONN_ANSWERED;
        event.due_at_us = conn->slots[index].due_at_us;
        free_slot(conn, index);
    }
    shared->on_event(shared->owner, conn, &event);
    return NULL;
}

/* Takes the whole frames of `bytes`; returns how many bytes they had, and sets `problem` if one is bad. */
static size_t take_frames(struct bench_conn *conn, const uint8_t *bytes, size_t n_bytes, const char **problem) {
    int64_t now_us = clock_mono_us();
    size_t at = 0;
    while (at < n_bytes && *problem == NULL) {
        struct frame frame;
        enum frame_outcome outcome = frame_parse(bytes + at, n_bytes - at, &frame);
        switch (outcome) {
        case FRAME_READY:
            *problem = take_answer(conn, &frame, now_us);
            at += frame.total_bytes;
            break;
        case FRAME_PARTIAL:
            return at;
        case FRAME_TOO_LARGE:
        case FRAME_BAD_FLAG:
            *problem = frame_outcome_text(outcome);
            break;
        }
    }
    return at;
}

/* Reads behind what is left of an incomplete frame, in the bytes that all connections share. */
static void on_readable(struct ev_loop *loop, ev_io *watcher, int events) {
    struct bench_conn *conn = checked(watcher->data);
    uint8_t *bytes = conn->shared->bytes;
    size_t n_kept = buf_len(&conn->in);
    const char *problem = NULL;
    (void)loop;
    (void)events;
    ssize_t n = recv(conn->fd, bytes + n_kept, BENCH_CONN_READ_BYTES, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        lose(conn, n == 0 ? "closed by the frontend" : strerror(errno));
        return;
    }
    if (n_kept > 0) {
        memcpy(bytes, buf_front(&conn->in), n_kept);
        buf_consume(&conn->in, n_kept);
    }
    size_t n_bytes = n_kept + (size_t)n, n_taken = take_frames(conn, bytes, n_bytes, &problem);
    if (problem != NULL) {
        char why[REASON_BYTES];
        snprintf(why, sizeof why, "it sent %s", problem);
        lose(conn, why);
    } else if (!buf_append(&conn->in, bytes + n_taken, n_bytes - n_taken)) {
        lose(conn, "out of memory");
    }
}

/* --- life ------------------------------------------------------------------------------------------------ */

bool bench_conn_init(struct bench_conn *conn, struct bench_conn_shared *shared, const struct addrinfo *address,
                     const char *name) {
    *conn = (struct bench_conn){.shared = shared, .address = address, .name = name, .fd = -1};
    conn->slots = calloc(shared->n_slots, sizeof *conn->slots);
    if (conn->slots == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < shared->n_slots; i++) {
        conn->slots[i].next_free = i + 1 < shared->n_slots ? i + 1 : NO_SLOT;
    }
    conn->magic = MAGIC;
    ev_init(&conn->reader, on_readable);
    ev_init(&conn->writer, on_writable);
    ev_init(&conn->timer, on_timer);
    conn->reader.data = conn->writer.data = conn->timer.data = conn;
    list_init(&conn->unsent);
    list_init(&conn->node);
    return true;
}

void bench_conn_deinit(struct bench_conn *conn) {
    if (conn->magic == MAGIC) {
        let_go(conn);
        list_remove(&conn->node);
        free(conn->slots);
        *conn = (struct bench_conn){.fd = -1};
    }
}
