/* client_end.h — the end of a call: it is given back, and its owner is told.
 *
 * Unless it is said otherwise, these run the owner's callback, which may make new calls; so they are called
 * from the event loop and sluice_close alone. The call is gone afterwards. A `message` is never the call's own,
 * which is freed first. */
#ifndef SLUICE_CLIENT_CLIENT_END_H
#define SLUICE_CLIENT_CLIENT_END_H

#include <ev.h>
#include <stdbool.h>

#include "client/client_state.h"

/* With the answer that is in client->decisions, or client->booking. */
void client_end_answered(struct client_call *call, enum sluice_status status, const char *message);

/* Puts the caller's policy in the place of client->decisions[i], if that failed. Runs no callback. */
void client_end_apply_policy(struct client_call *call, size_t i, bool is_answer);

/* Without a decision, as the caller's policy says. `is_answer`: a frontend gave the status. */
void client_end_undecided(struct client_call *call, enum sluice_status status, const char *message,
                          bool is_answer);
void client_end_failed(struct client_call *call, enum sluice_status status, const char *message);

/* Fails the calls that are in the list now; those that the callbacks add stay. */
void client_end_all(struct list *calls, enum sluice_status status, const char *message);

/* Of client_call.timer. */
void client_end_on_timer(struct ev_loop *loop, ev_timer *watcher, int revents);

#endif
