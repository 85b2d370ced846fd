/* client_servers.h — the frontends of a client: whose turn it is, and whether there is hope for one.
 *
 * Holds the connections; what happens on them is told to their owner, see client_conn.h. One thread. */
#ifndef SLUICE_CLIENT_CLIENT_SERVERS_H
#define SLUICE_CLIENT_CLIENT_SERVERS_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "client/client_conn.h"
#include "server/base/list.h"

enum { CLIENT_SERVER_UNSENT_MAX_BYTES = 4 * 1024 * 1024 }; /* with more a frontend is passed over */

struct client_server {
    struct client_conn conn;
    struct list in_flight; /* calls sent and not answered, oldest first; the owner's */
    struct list hedges; /* of calls that another one has in flight and this one was asked as well; likewise */
    bool is_silent;     /* a call was hedged or has timed out there since the last answer came; the owner's */
};

struct client_servers {
    struct client_server *items;
    size_t n, next; /* whose turn it is */
};

/* Makes room for `cap` frontends; then each is added, which resolves its name (blocking). False with a sentence
 * in `message`; what was made is then still to be torn down by deinit. They must stay where they are. */
bool client_servers_init(struct client_servers *servers, size_t cap, char *message, size_t message_cap)
    __attribute__((warn_unused_result));
bool client_servers_add(struct client_servers *servers, struct ev_loop *loop, const char *address,
                        client_conn_event_fn on_event, void *owner, char *message, size_t cap)
    __attribute__((warn_unused_result));
/* Closes all, without events. Harmless on all-zero ones and when done twice. */
void client_servers_deinit(struct client_servers *servers);

/* Begins to connect to all that have not begun. */
void client_servers_start(struct client_servers *servers);

/* The connected frontend whose turn it is, passing over `avoid` (may be NULL) and those with too much unsent;
 * NULL when there is none. A silent one gets a call at a time, to see whether it speaks again; more only when
 * there is no other. */
struct client_server *client_servers_pick(struct client_servers *servers, const struct client_server *avoid);

/* Is one connected, other than `avoid` (may be NULL)? */
bool client_servers_is_any_up(const struct client_servers *servers, const struct client_server *avoid);

/* Is one worth waiting for? See client_conn_is_hopeful. */
bool client_servers_is_any_hopeful(const struct client_servers *servers);

/* Says why none can be reached; for when there is no hope. */
void client_servers_explain(const struct client_servers *servers, char *message, size_t cap);

#endif
