/* client_call.h — the calls a client has accepted and not finished yet, each found by its id.
 *
 * The low bits of an id are the call's place in the table, the others a serial number, so finding is one look
 * and the id of a finished call never matches again. Calls stay allocated, at a fixed address, until the table
 * is torn down: the event loop never sees one freed. One thread. */
#ifndef SLUICE_CLIENT_CLIENT_CALL_H
#define SLUICE_CLIENT_CLIENT_CALL_H

#include <ev.h>
#include <stddef.h>
#include <stdint.h>

#include "client/client_local.h"
#include "client/sluice.h"
#include "proto/wire.h"
#include "server/base/list.h"

enum { CLIENT_CALL_MAGIC = 0x43414c4c, CLIENT_CALLS_MAX = 1 << 17 };

enum client_call_state {
    CLIENT_CALL_FREE,
    CLIENT_CALL_WAITING, /* for a connection; holds its frame */
    CLIENT_CALL_SENT,    /* to `server`; its answer is awaited */
    CLIENT_CALL_PAUSED,  /* `server` took no tokens; holds its status and message until it is sent elsewhere */
    CLIENT_CALL_REFUSED, /* was never sent; holds its status and message until the loop's next turn */
};

struct client_server;

/* The second frontend that is asked while the first one's answer is late. */
struct client_call_hedge {
    struct client_server *server; /* NULL: none */
    uint64_t place;               /* of its first byte there */
    struct list node;             /* in the server's hedges */
};

struct client_call {
    uint32_t magic;
    enum client_call_state state;
    uint64_t id;
    struct list node; /* in a list of its state's owner, or among the free */
    struct sluice_client *client;
    struct client_server *server; /* SENT: where to; PAUSED: who had it */
    uint64_t place;               /* SENT: of its first byte, see client_conn_has_sent */
    uint32_t n_retries;           /* so far */
    ev_timer timer;               /* the end of its patience; REFUSED: the next turn */
    ev_timer pause;               /* PAUSED: until it is sent elsewhere */
    ev_timer hedge_timer;         /* SENT: until it is late */
    struct client_call_hedge hedge;
    int64_t sent_at_us; /* SENT, when calls are hedged */
    bool is_counted;    /* who was asked before `server` may have taken tokens */
    bool is_repeatable; /* has idempotency keys: made twice it counts once */
    bool all_or_nothing;
    enum wire_call kind;
    size_t n_decisions; /* that `done` expects; 0 for a ping, a refund and a settlement */
    sluice_done_fn done;
    sluice_booked_fn booked; /* of a refund and a settlement; else NULL, and `done` is called */
    void *arg;
    uint8_t *frame; /* WAITING, PAUSED; SENT: if it may be sent again; owned */
    size_t frame_bytes;
    enum sluice_status status; /* REFUSED, PAUSED: why */
    char *message;             /* REFUSED, PAUSED; owned */
    struct client_local_ask ask,
        *asks; /* as many as decisions, where the caller's own buckets may be asked, else
                                           NULL; one is in the call itself, more are owned */
};

struct client_calls {
    struct client_call **calls; /* by place; those borrowed and those free */
    uint32_t n_calls, cap;
    uint32_t n_borrowed;
    struct list free;
};

void client_calls_init(struct client_calls *calls);
/* Frees all; none may be borrowed or have an active timer. */
void client_calls_deinit(struct client_calls *calls);

/* A call with a new id, never 0, in no list, without a frame, message or retries; the rest, `state` first of
 * all, is for the borrower to set. NULL when CLIENT_CALLS_MAX are borrowed or memory is short. */
struct client_call *client_calls_borrow(struct client_calls *calls);
/* Takes the call back, frees what it owns, and nulls the pointer. It may be in a list; its timers are stopped. */
void client_calls_return(struct client_calls *calls, struct client_call **call);

/* Does it take no tokens, whatever becomes of it? */
bool client_call_is_harmless(const struct client_call *call);

/* What is to be said of it when a frontend may have read it, such as "the check may have been counted". */
const char *client_call_doubt(const struct client_call *call);

/* The borrowed call with this id; NULL when there is none (any more). */
struct client_call *client_calls_find(const struct client_calls *calls, uint64_t id);

#endif
