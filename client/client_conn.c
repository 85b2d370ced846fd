/* client_conn.c — the connection to one frontend; see client_conn.h for its states. */
#include "client/client_conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/backoff.h"
#include "server/base/list.h"

enum { CONN_MAGIC = 0x434c434e, READ_BYTES = 32 * 1024 };

/* The conn of a watcher the loop called back with. */
#define conn_of(watcher, member) checked(list_entry(watcher, struct client_conn, member))

static struct client_conn *checked(struct client_conn *conn) {
    if (conn->magic != CONN_MAGIC) {
        abort();
    }
    return conn;
}

/* ---- states ---- */

/* Callers that lost a frontend together do not come back together. */
static double draw_pause_s(uint32_t n_failures) {
    return backoff_draw_s(backoff_bound_ms(CLIENT_CONN_BACKOFF_MIN_MS, CLIENT_CONN_BACKOFF_MAX_MS, n_failures) /
                          1e3);
}

static void set_timer(struct client_conn *conn, double after_s) {
    ev_timer_stop(conn->loop, &conn->timer);
    ev_now_update(conn->loop);
    ev_timer_set(&conn->timer, after_s, 0.);
    ev_timer_start(conn->loop, &conn->timer);
}

static void watch(struct client_conn *conn, ev_io *watcher, int events) {
    ev_io_set(watcher, conn->fd, events);
    ev_io_start(conn->loop, watcher);
}

/* Leaves the loop and the socket, whatever the state was. */
static void let_go(struct client_conn *conn) {
    ev_io_stop(conn->loop, &conn->reader);
    ev_io_stop(conn->loop, &conn->writer);
    ev_prepare_stop(conn->loop, &conn->flusher);
    ev_timer_stop(conn->loop, &conn->timer);
    if (conn->fd >= 0) {
        close(conn->fd);
        conn->fd = -1;
    }
    buf_deinit(&conn->in);
    buf_deinit(&conn->out);
}

/* The only function that changes the state. */
static void enter(struct client_conn *conn, enum client_conn_state state) {
    conn->state = state;
    switch (state) {
    case CLIENT_CONN_IDLE:
        let_go(conn);
        break;
    case CLIENT_CONN_BACKOFF:
        let_go(conn);
        set_timer(conn, conn->fault == CLIENT_CONN_NO_FAULT ? 0. : draw_pause_s(conn->n_failures++));
        break;
    case CLIENT_CONN_CONNECTING:
        watch(conn, &conn->writer, EV_WRITE);
        set_timer(conn, CLIENT_CONN_CONNECT_TIMEOUT_MS / 1e3);
        break;
    case CLIENT_CONN_UP:
        conn->fault = CLIENT_CONN_NO_FAULT;
        conn->reason[0] = '\0';
        conn->n_queued_bytes = conn->n_sent_bytes = 0;
        ev_timer_stop(conn->loop, &conn->timer);
        ev_io_stop(conn->loop, &conn->writer);
        watch(conn, &conn->reader, EV_READ);
        ev_prepare_start(conn->loop, &conn->flusher);
        break;
    }
}

/* Ends the attempt or the connection; `why` is half a sentence. */
static void fail(struct client_conn *conn, enum client_conn_fault fault, const char *why) {
    const char *name = conn->endpoint.name;
    conn->fault = fault;
    switch (fault) {
    case CLIENT_CONN_NO_FAULT:
        conn->reason[0] = '\0';
        break;
    case CLIENT_CONN_UNREACHABLE:
        snprintf(conn->reason, sizeof conn->reason, "cannot connect to %s: %s", name, why);
        break;
    case CLIENT_CONN_LOST:
        snprintf(conn->reason, sizeof conn->reason, "connection to %s lost: %s", name, why);
        break;
    case CLIENT_CONN_BROKEN:
        snprintf(conn->reason, sizeof conn->reason, "connection to %s closed: it sent %s", name, why);
        break;
    }
    enter(conn, CLIENT_CONN_BACKOFF);
    conn->on_event(conn->owner, conn, CLIENT_CONN_CLOSED, NULL);
}

/* ---- connecting ---- */

static int socket_error(int fd) {
    int error = 0;
    socklen_t len = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

/* Starts to connect to the current address. Returns 0 or an errno. */
static int open_socket(struct client_conn *conn) {
    const struct addrinfo *to = conn->address;
    int one = 1;
    conn->fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, to->ai_protocol);
    if (conn->fd < 0) {
        return errno;
    }
    /* Without it small requests would wait for the acknowledgement of earlier ones; slower, but no error. */
    (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(conn->fd, to->ai_addr, to->ai_addrlen) != 0 && errno != EINPROGRESS) {
        return errno;
    }
    return 0;
}

static void choose_next_address(struct client_conn *conn) {
    conn->address = conn->address->ai_next != NULL ? conn->address->ai_next : conn->endpoint.addresses;
}

/* Goes to the next address that can be tried; `error` is what ended the one before, 0 for the first. */
static void try_addresses(struct client_conn *conn, int error) {
    if (error != 0) {
        let_go(conn);
        choose_next_address(conn);
    }
    for (; conn->n_untried > 0; choose_next_address(conn)) {
        conn->n_untried--;
        error = open_socket(conn);
        if (error == 0) {
            enter(conn, CLIENT_CONN_CONNECTING);
            return;
        }
        let_go(conn);
    }
    fail(conn, CLIENT_CONN_UNREACHABLE, strerror(error));
}

static void begin_attempt(struct client_conn *conn) {
    conn->n_untried = 0;
    for (const struct addrinfo *address = conn->endpoint.addresses; address != NULL;
         address = address->ai_next) {
        conn->n_untried++;
    }
    try_addresses(conn, 0);
}

static void finish_connect(struct client_conn *conn) {
    int error = socket_error(conn->fd);
    if (error != 0) {
        try_addresses(conn, error);
        return;
    }
    enter(conn, CLIENT_CONN_UP);
    conn->on_event(conn->owner, conn, CLIENT_CONN_OPENED, NULL);
}

static void on_timer(struct ev_loop *loop, ev_timer *watcher, int revents) {
    struct client_conn *conn = conn_of(watcher, timer);
    (void)loop;
    (void)revents;
    switch (conn->state) {
    case CLIENT_CONN_BACKOFF:
        begin_attempt(conn);
        break;
    case CLIENT_CONN_CONNECTING:
        try_addresses(conn, ETIMEDOUT);
        break;
    case CLIENT_CONN_IDLE:
    case CLIENT_CONN_UP:
        break;
    }
}

/* ---- bytes out ---- */

/* Sends what the socket takes; the rest goes when it is writable. After an error nothing more is sent, and the
 * reader, woken by the shutdown, still gets the answers that had arrived before it finds the end. */
static void flush(struct client_conn *conn) {
    ssize_t n = send(conn->fd, buf_front(&conn->out), buf_len(&conn->out), MSG_NOSIGNAL);
    if (n >= 0) {
        buf_consume(&conn->out, (size_t)n);
        conn->n_sent_bytes += (uint64_t)n;
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        shutdown(conn->fd, SHUT_RDWR);
        buf_deinit(&conn->out);
    }
    if (buf_len(&conn->out) == 0) {
        ev_io_stop(conn->loop, &conn->writer);
    } else if (!ev_is_active(&conn->writer)) {
        watch(conn, &conn->writer, EV_WRITE);
    }
}

static void on_writable(struct ev_loop *loop, ev_io *watcher, int revents) {
    struct client_conn *conn = conn_of(watcher, writer);
    (void)loop;
    (void)revents;
    if (conn->state == CLIENT_CONN_CONNECTING) {
        finish_connect(conn);
    } else {
        flush(conn);
    }
}

static void on_prepare(struct ev_loop *loop, ev_prepare *watcher, int revents) {
    struct client_conn *conn = conn_of(watcher, flusher);
    (void)loop;
    (void)revents;
    if (buf_len(&conn->out) > 0 && !ev_is_active(&conn->writer)) {
        flush(conn);
    }
}

/* ---- bytes in ---- */

/* Hands every whole frame to the owner. */
static void deliver_frames(struct client_conn *conn) {
    while (buf_len(&conn->in) > 0) {
        struct frame frame;
        enum frame_outcome outcome = frame_parse(buf_front(&conn->in), buf_len(&conn->in), &frame);
        const char *problem = NULL;
        switch (outcome) {
        case FRAME_READY:
            problem = conn->on_event(conn->owner, conn, CLIENT_CONN_FRAME, &frame);
            break;
        case FRAME_PARTIAL:
            return;
        case FRAME_TOO_LARGE:
        case FRAME_BAD_FLAG:
            problem = frame_outcome_text(outcome);
            break;
        }
        if (problem != NULL) {
            fail(conn, CLIENT_CONN_BROKEN, problem);
            return;
        }
        conn->n_failures = 0;
        buf_consume(&conn->in, frame.total_bytes);
    }
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int revents) {
    struct client_conn *conn = conn_of(watcher, reader);
    (void)loop;
    (void)revents;
    uint8_t *to = buf_reserve(&conn->in, READ_BYTES);
    if (to == NULL) {
        fail(conn, CLIENT_CONN_LOST, "out of memory");
        return;
    }
    ssize_t n = recv(conn->fd, to, READ_BYTES, 0);
    if (n > 0) {
        buf_commit(&conn->in, (size_t)n);
        deliver_frames(conn);
    } else if (n == 0) {
        fail(conn, CLIENT_CONN_LOST, "closed by the frontend");
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        fail(conn, CLIENT_CONN_LOST, strerror(errno));
    }
}

/* ---- for the owner ---- */

bool client_conn_init(struct client_conn *conn, struct ev_loop *loop, const char *address,
                      client_conn_event_fn on_event, void *owner, char *message, size_t cap) {
    *conn = (struct client_conn){0};
    if (!endpoint_parse(&conn->endpoint, address, message, cap) ||
        !endpoint_resolve(&conn->endpoint, message, cap)) {
        *conn = (struct client_conn){0};
        return false;
    }
    conn->magic = CONN_MAGIC;
    conn->loop = loop;
    conn->on_event = on_event;
    conn->owner = owner;
    conn->address = conn->endpoint.addresses;
    conn->fd = -1;
    ev_init(&conn->reader, on_readable);
    ev_init(&conn->writer, on_writable);
    ev_init(&conn->flusher, on_prepare);
    ev_init(&conn->timer, on_timer);
    /* After the other prepare watchers, so that what they ask is sent in the same turn; and a connect that has
     * succeeded wins over its timeout. */
    ev_set_priority(&conn->flusher, EV_MINPRI);
    ev_set_priority(&conn->timer, EV_MINPRI);
    return true;
}

void client_conn_deinit(struct client_conn *conn) {
    if (conn->magic == CONN_MAGIC) {
        enter(conn, CLIENT_CONN_IDLE);
        endpoint_deinit(&conn->endpoint);
        conn->magic = 0;
    }
}

void client_conn_start(struct client_conn *conn) {
    if (conn->state == CLIENT_CONN_IDLE) {
        enter(conn, CLIENT_CONN_BACKOFF);
    }
}

bool client_conn_send(struct client_conn *conn, const void *bytes, size_t n) {
    if (conn->state != CLIENT_CONN_UP || !buf_append(&conn->out, bytes, n)) {
        return false;
    }
    conn->n_queued_bytes += n;
    return true;
}

bool client_conn_has_sent(const struct client_conn *conn, uint64_t place) {
    return place < conn->n_sent_bytes;
}

bool client_conn_is_hopeful(const struct client_conn *conn) {
    switch (conn->state) {
    case CLIENT_CONN_CONNECTING:
        return true;
    case CLIENT_CONN_BACKOFF:
        return conn->fault == CLIENT_CONN_NO_FAULT || conn->fault == CLIENT_CONN_LOST;
    case CLIENT_CONN_IDLE:
    case CLIENT_CONN_UP:
        break;
    }
    return false;
}
