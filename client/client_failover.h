/* client_failover.h — a call that one frontend did not decide, and cannot have charged, is sent elsewhere; one with an
 * idempotency key whatever was charged.
 *
 * What a connection tells may end calls, see client_end.h. */
#ifndef SLUICE_CLIENT_CLIENT_FAILOVER_H
#define SLUICE_CLIENT_CLIENT_FAILOVER_H

#include <ev.h>
#include <stdbool.h>

#include "client/client_state.h"

/* The frontend is connected: sends it the calls that wait for one. */
void client_failover_on_opened(struct sluice_client *client, struct client_server *server);

/* Its connection has ended: each call that was on its way there is sent elsewhere, or ends. */
void client_failover_on_closed(struct sluice_client *client, struct client_server *server);

/* The frontend answered `status`. If it refused and took no tokens, or could not say, another one is asked after a pause that
 * leaves it at least half of the time that is left. False when the call may not be tried again, or nowhere. */
bool client_failover_pause(struct client_call *call, enum sluice_status status, const char *message)
    __attribute__((warn_unused_result));

/* Of client_call.pause. */
void client_failover_on_pause_end(struct ev_loop *loop, ev_timer *watcher, int revents);

#endif
