/* bench_conn.h — one connection of a load: frames out, answers in, each timed from when it was due.
 *
 *   DOWN ── start ──> CONNECTING ──> UP
 *     ^── pause ──────────┴───────────┘   any failure: reported, and tried again after a pause
 *
 * What belongs to all connections of a load is in one struct bench_conn_shared. Events come from the loop, never
 * from inside a call of the owner; a callback must not close the connection. One thread. */
#ifndef SLUICE_CLIENT_CMD_BENCH_CONN_H
#define SLUICE_CLIENT_CMD_BENCH_CONN_H

#include <ev.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/frame.h"
#include "proto/wire.h"
#include "server/base/buf.h"
#include "server/base/list.h"

enum {
    BENCH_CONN_SLOTS_MAX = 1 << 16,
    BENCH_CONN_READ_BYTES = 64 * 1024,
    BENCH_CONN_CONNECT_TIMEOUT_MS = 5000,
    BENCH_CONN_PAUSE_MS = 100,
};

enum bench_conn_state { BENCH_CONN_DOWN, BENCH_CONN_CONNECTING, BENCH_CONN_UP };

enum bench_conn_what {
    BENCH_CONN_OPENED,   /* it is up */
    BENCH_CONN_ANSWERED, /* response, due_at_us and now_us are set */
    BENCH_CONN_LATE,     /* an answer to a frame that was given up */
    BENCH_CONN_LOST,     /* reason and n_frames: those in flight, which will not be answered */
};

struct bench_conn_event {
    enum bench_conn_what what;
    const struct wire_response *response; /* borrowed for the callback; set as bench_answer.h says */
    int64_t due_at_us, now_us;
    uint32_t n_frames;
    const char *reason;
};

struct bench_conn;
typedef void (*bench_conn_event_fn)(void *owner, struct bench_conn *conn, const struct bench_conn_event *event);

struct bench_conn_shared {
    struct ev_loop *loop;
    struct wire_codec *codec;
    bench_conn_event_fn on_event;
    void *owner;
    uint32_t n_slots;   /* frames in flight of each connection, at most BENCH_CONN_SLOTS_MAX */
    struct list unsent; /* connections with bytes to be sent */
    struct wire_response response;
    uint8_t bytes[FRAME_MAX_BYTES + BENCH_CONN_READ_BYTES];
};

/* A frame in flight, or the place for one. */
struct bench_slot {
    int64_t due_at_us;
    int64_t sent_at_us; /* 0: free */
    uint32_t turn;      /* how often the place was taken; a part of the id, so that late answers are known */
    uint32_t next_free;
};

struct bench_conn {
    uint32_t magic;
    enum bench_conn_state state;
    struct bench_conn_shared *shared;
    const struct addrinfo *address; /* borrowed */
    const char *name;               /* of the server, for messages; borrowed */
    int fd;                         /* -1: none */
    uint32_t n_in_flight, first_free;
    struct bench_slot *slots; /* owned */
    ev_io reader, writer;
    ev_timer timer;
    struct buf in, out; /* an incomplete frame; what was not sent */
    struct list unsent;
    struct list node; /* for the owner's use */
};

/* False when memory is short. Deinit closes, and is harmless on an all-zero struct. */
bool bench_conn_init(struct bench_conn *conn, struct bench_conn_shared *shared, const struct addrinfo *address,
                     const char *name) __attribute__((warn_unused_result));
void bench_conn_deinit(struct bench_conn *conn);

/* Begins to connect; OPENED or LOST follows. */
void bench_conn_start(struct bench_conn *conn);

static inline bool bench_conn_has_room(const struct bench_conn *conn) {
    return conn->state == BENCH_CONN_UP && conn->n_in_flight < conn->shared->n_slots;
}

/* Queues a request, whose id it sets; there must be room. It is sent by the next flush. False when memory is short
 * or the frame might be too large. */
bool bench_conn_queue(struct bench_conn *conn, struct wire_request *request, int64_t due_at_us, int64_t now_us)
    __attribute__((warn_unused_result));
/* Sends what all connections have queued, as far as their sockets take it; the loop sends the rest. */
void bench_conn_flush_all(struct bench_conn_shared *shared);

/* Gives up the frames that were sent before `before_us`; returns how many. Their answers count as late. */
uint32_t bench_conn_give_up(struct bench_conn *conn, int64_t before_us);

#endif
