/* client_conn.h — the connection to one frontend: connects, connects again, bytes in, frames up, bytes out.
 *
 *   IDLE ── start ──> BACKOFF ── timer ──> CONNECTING ── every address failed ──> BACKOFF
 *                        ^                     └── connected ──> UP ── lost, or protocol broken ─┐
 *                        └──────────────────────────────────────────────────────────────────────┘
 *
 * Knows nothing of calls. Each attempt tries all addresses of the name in turn, first the one that worked last.
 * The pause before an attempt is random between 0 and a bound that doubles with every failure, 50 ms to 2 s,
 * until a frame has arrived. Output is sent once per loop turn, just before the loop sleeps. One thread. */
#ifndef SLUICE_CLIENT_CLIENT_CONN_H
#define SLUICE_CLIENT_CLIENT_CONN_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/endpoint.h"
#include "proto/frame.h"
#include "server/base/buf.h"

enum {
    CLIENT_CONN_CONNECT_TIMEOUT_MS = 1000, /* for each address */
    CLIENT_CONN_BACKOFF_MIN_MS = 50,
    CLIENT_CONN_BACKOFF_MAX_MS = 2000,
    CLIENT_CONN_REASON_BYTES = ENDPOINT_NAME_BYTES + 128,
};

enum client_conn_state { CLIENT_CONN_IDLE, CLIENT_CONN_BACKOFF, CLIENT_CONN_CONNECTING, CLIENT_CONN_UP };

/* Why the connection is not up. */
enum client_conn_fault {
    CLIENT_CONN_NO_FAULT,    /* not tried yet, or it is up */
    CLIENT_CONN_UNREACHABLE, /* the last attempt to connect failed */
    CLIENT_CONN_LOST,        /* it was up, and ended */
    CLIENT_CONN_BROKEN,      /* closed from here: the frontend did not keep to the protocol */
};

enum client_conn_event {
    CLIENT_CONN_OPENED, /* state is UP; the event loop is running */
    CLIENT_CONN_FRAME,  /* `frame` is set and borrowed for the duration of the call */
    CLIENT_CONN_CLOSED, /* state is BACKOFF; `fault` and `reason` say why */
};

struct client_conn;

/* Called from the event loop only, never from inside one of the functions below. May send. On a FRAME, returns
 * NULL, or half a sentence about what is wrong with it: the connection is then closed as BROKEN. On the other
 * events the value is ignored. */
typedef const char *(*client_conn_event_fn)(void *owner, struct client_conn *conn, enum client_conn_event event,
                                            const struct frame *frame);

struct client_conn {
    uint32_t magic;
    enum client_conn_state state;
    enum client_conn_fault fault;
    char reason[CLIENT_CONN_REASON_BYTES]; /* a sentence, "" while there is no fault */
    struct endpoint endpoint;
    struct ev_loop *loop;
    client_conn_event_fn on_event;
    void *owner;

    const struct addrinfo *address; /* being tried, or in use */
    uint32_t n_untried;             /* addresses left in this attempt */
    uint32_t n_failures;            /* in a row */
    int fd;                         /* -1 when there is none */
    struct buf in, out;
    uint64_t n_queued_bytes, n_sent_bytes; /* by this connection, or by the last one while there is none */
    ev_io reader, writer;
    ev_prepare flusher;
    ev_timer timer; /* BACKOFF: until the attempt; CONNECTING: until the address is given up */
};

/* Resolves the address (blocking). False with a sentence in `message`; the conn is then all-zero. The conn must
 * stay where it is until deinit. */
bool client_conn_init(struct client_conn *conn, struct ev_loop *loop, const char *address,
                      client_conn_event_fn on_event, void *owner, char *message, size_t cap)
    __attribute__((warn_unused_result));
/* Closes without an event and frees. Harmless on an all-zero conn. Not from inside on_event. */
void client_conn_deinit(struct client_conn *conn);

/* Begins to connect on the loop's next turn, unless it has begun before. */
void client_conn_start(struct client_conn *conn);

/* Queues bytes while UP; the first of them gets the place n_queued_bytes. False when memory is short (nothing
 * was queued). */
bool client_conn_send(struct client_conn *conn, const void *bytes, size_t n)
    __attribute__((warn_unused_result));

/* Did the byte at this place reach the socket? What did not, the frontend cannot have read. Also after the
 * connection has ended, until there is a new one. */
bool client_conn_has_sent(const struct client_conn *conn, uint64_t place);

/* Is it worth waiting for: connecting, or about to after an end that was not a failure to connect? */
bool client_conn_is_hopeful(const struct client_conn *conn);

#endif
