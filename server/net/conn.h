/* conn.h — one client's connection: bytes in, frames up, bytes out.
 *
 *   readable ─ read once ─ up to CONN_FRAMES_PER_TURN frames ─ host->on_frame(…) ┐
 *   prepare  ─ write once for each connection with output                       ┘ conn_commit
 *
 * Back pressure: with more than max_inflight checks under way, or more than max_output_bytes unsent, a
 * connection is neither read nor parsed until it falls below. A connection that closes with requests under way
 * orphans them; they hold no pointer to it afterwards. Memory of a closed connection is freed at the end of
 * the loop turn. A connection has buffers only while there is something in them, so that one that is idle costs
 * little, and those that are busy use the same memory over and over. Everything here belongs to one worker's thread. */
#ifndef SLUICE_NET_CONN_H
#define SLUICE_NET_CONN_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/buf.h"
#include "server/base/list.h"
#include "server/base/metric.h"

/* Why a connection ended: name, field of the metrics, sentence. */
#define CONN_CLOSE_REASONS(X)                                                                                  \
    X(BY_PEER, by_peer, "the client closed")                                                                   \
    X(IO_ERROR, io_error, "reading or writing failed")                                                         \
    X(BAD_FLAG, bad_flag, "a frame began with a flag byte other than 0")                                       \
    X(TOO_LARGE, too_large, "a frame announced more than 64 KiB")                                              \
    X(FRAME_TIMEOUT, frame_timeout, "a frame stayed incomplete for too long")                                  \
    X(NO_MEMORY, no_memory, "memory was short")                                                                \
    X(DRAINED, drained, "the frontend is stopping")

enum conn_close_reason {
#define CONN_CLOSE_ENUM(name, field, text) CONN_CLOSE_##name,
    CONN_CLOSE_REASONS(CONN_CLOSE_ENUM)
#undef CONN_CLOSE_ENUM
};

#define CONN_METRICS(X)                                                                                        \
    X(accepted, METRIC_COUNTER, "sluice_connections_accepted_total", "", "Connections accepted")               \
    X(refused, METRIC_COUNTER, "sluice_connections_refused_total", "",                                         \
      "Connections closed at once because of max_connections, or short of descriptors or memory")              \
    X(accept_failed, METRIC_COUNTER, "sluice_accept_failures_total", "",                                       \
      "Failed accepts, such as for want of file descriptors")                                                  \
    X(open, METRIC_GAUGE, "sluice_connections_open", "", "Connections open now")                               \
    X(by_peer, METRIC_COUNTER, "sluice_connections_closed_total", "reason=\"by_peer\"",                        \
      "Connections closed, by reason")                                                                         \
    X(io_error, METRIC_COUNTER, "sluice_connections_closed_total", "reason=\"io_error\"", "")                  \
    X(bad_flag, METRIC_COUNTER, "sluice_connections_closed_total", "reason=\"bad_flag\"", "")                  \
    X(too_large, METRIC_COUNTER, "sluice_connections_closed_total", "reason=\"too_large\"", "")                \
    X(frame_timeout, METRIC_COUNTER, "sluice_connections_closed_total", "reason=\"frame_timeout\"", "")        \
    X(no_memory, METRIC_COUNTER, "sluice_connections_closed_total", "reason=\"no_memory\"", "")                \
    X(drained, METRIC_COUNTER, "sluice_connections_closed_total", "reason=\"drained\"", "")                    \
    X(received_bytes, METRIC_COUNTER, "sluice_received_bytes_total", "", "Bytes read from clients")            \
    X(sent_bytes, METRIC_COUNTER, "sluice_sent_bytes_total", "", "Bytes written to clients")                   \
    X(paused, METRIC_COUNTER, "sluice_connections_paused_total", "",                                           \
      "Times a connection was not read because too much was under way or unsent")

struct conn_metrics {
    CONN_METRICS(METRIC_FIELD)
};

/* What one connection may have of a loop turn; the rest waits for the next, after the others. */
enum { CONN_FRAMES_PER_TURN = 64, CONN_CHECKS_PER_TURN = 256, CONN_READ_BYTES = 16 * 1024 };

/* Connections with output are written when there are so many, if not at the turn's end; and buffers that wait for
 * somebody to use them, at most. */
enum { CONN_DIRTY_MAX = 64, CONN_SPARE_MAX = 2 * CONN_DIRTY_MAX };

struct conn_options {
    uint32_t max_connections;
    int max_fd;                /* sockets numbered from here on are refused: others need descriptors, too */
    uint32_t max_inflight;     /* checks of one connection */
    uint64_t max_output_bytes; /* unsent, of one connection */
    int64_t frame_timeout_us;
};

struct conn;
/* A frame's body, borrowed for the duration of the call. May call conn_reserve, which may close. */
typedef void (*conn_frame_fn)(void *arg, struct conn *conn, const uint8_t *body, size_t n_bytes,
                              int64_t now_us);
/* The connection is about to end: whoever holds a pointer to it must drop it now. */
typedef void (*conn_closed_fn)(void *arg, struct conn *conn);

/* What the connections of one worker share. */
struct conn_host {
    struct ev_loop *loop;
    struct conn_options options;
    struct conn_metrics *metrics;
    conn_frame_fn on_frame;
    conn_closed_fn on_closed;
    void *arg;
    int64_t now_us;       /* monotonic, read once per loop turn */
    uint32_t n_conns;     /* open, finishing or lingering */
    uint32_t n_lingering; /* of these, those whose answers are all sent */
    struct list conns;    /* open */
    struct list dirty;    /* with output to be written this turn */
    struct list backlog;  /* with frames left to parse next turn */
    struct list parked;   /* closed, freed at the end of this turn */
    uint32_t n_dirty, n_spare;
    struct buf spare[CONN_SPARE_MAX]; /* empty; the last is the warmest */
    ev_check check;
    ev_prepare prepare;
    ev_idle idle; /* active while the backlog is not empty, so that the loop does not sleep */
};

enum conn_state {
    CONN_OPEN,
    CONN_FINISHING, /* reads no more; answers what it has read, then half-closes */
    CONN_LINGERING, /* half-closed; discards what still comes, until the peer closes */
    CONN_CLOSED,
};

struct conn {
    uint32_t magic;
    enum conn_state state;
    int fd;
    bool is_paused;
    bool peer_has_finished; /* end of file was read */
    uint32_t n_inflight;    /* checks waiting for the store */
    uint32_t n_turn_checks; /* checks started since its frames were last looked at */
    struct conn_host *host;
    struct list in_host, in_dirty, in_backlog;
    struct list requests; /* under way; the service's */
    struct buf in, out;
    ev_io readable, writable;
    ev_timer frame_timer;
};

void conn_host_init(struct conn_host *host, struct ev_loop *loop, const struct conn_options *options,
                    struct conn_metrics *metrics, conn_frame_fn on_frame, conn_closed_fn on_closed, void *arg);
/* Closes what is open and frees all. */
void conn_host_deinit(struct conn_host *host);
/* Every connection reads what has arrived, answers it, and closes. */
void conn_host_drain(struct conn_host *host);

/* Takes over a connected non-blocking socket; it is closed at once when the host is full or memory short. */
void conn_adopt(struct conn_host *host, int fd);

/* Room for up to `n` bytes of output, or NULL after closing the connection for want of memory; then says how
 * many were written. They are sent at the end of the loop turn. */
uint8_t *conn_reserve(struct conn *conn, size_t n);
void conn_commit(struct conn *conn, size_t n);

/* Says that checks were started, whether they are done or not: they use up the connection's turn. */
void conn_count_started(struct conn *conn, uint32_t n_checks);
/* Says that checks wait for the store (positive) or no longer do (negative); may pause or resume reading. */
void conn_count_inflight(struct conn *conn, int32_t n_checks);

#endif
