/* client_route.h — where a call goes: to a connected frontend, or it is held until there is one.
 *
 * Keeps the count of the bytes that calls own. Calls back nobody. */
#ifndef SLUICE_CLIENT_CLIENT_ROUTE_H
#define SLUICE_CLIENT_CLIENT_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/client_state.h"

/* Sends the frame to the frontend whose turn it is, or holds it until one is connected: SLUICE_OK; else says
 * why not. The call is in no list. */
enum sluice_status client_route_call(struct client_call *call, const uint8_t *frame, size_t n, char *message,
                                     size_t cap) __attribute__((warn_unused_result));

/* Sends the frame to this one, unless memory is short. The call is in no list. */
bool client_route_send(struct client_call *call, struct client_server *server, const uint8_t *frame, size_t n)
    __attribute__((warn_unused_result));

/* Keeps a copy of the frame, so that it may be sent again, unless memory is short. */
bool client_route_keep(struct client_call *call, const uint8_t *frame, size_t n);
/* Frees the copy, if there is one. */
void client_route_drop(struct client_call *call);

/* The call has ended: it waits no more, is asked of nobody as a hedge, and owns no frame. */
void client_route_forget(struct client_call *call);

/* Writes a sentence and returns the status it goes with. */
enum sluice_status client_problem(enum sluice_status status, char *message, size_t cap, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
