/* http.h — the admin endpoint's HTTP, by libmicrohttpd inside the main thread's libev loop.
 *
 * Brings heads and bodies to call.h and takes answers away; a call that waits for Redis has its connection suspended
 * meanwhile. Connections stay open between calls, HTTP_IDLE_TIMEOUT_S at most. */
#ifndef SLUICE_ADMIN_HTTP_H
#define SLUICE_ADMIN_HTTP_H

#include <ev.h>

#include "admin/call.h"
#include "server/base/option.h"
#include "server/base/status.h"

/* One address may have no more than most of them, so that it cannot shut all others out. A connection beyond the limits
 * is closed, or waits until another one ends. */
enum { HTTP_MAX_CONNECTIONS = 2048, HTTP_MAX_CONNECTIONS_PER_IP = 1536, HTTP_IDLE_TIMEOUT_S = 60 };

struct http;

/* Serves calls at `address` from `loop`. Both and `admin` are borrowed and must outlive it. NULL with a reason on
 * failure, such as an address that others can reach although `admin` has no tokens. */
struct http *http_start(struct ev_loop *loop, const struct option_address *address, const struct admin *admin,
                        struct status *status);
/* Accepts no more, turns the loop for calls that wait for Redis, half a second at most, tells the others that they are
 * not answered, and frees all. Not to be called from inside the loop. Nulls the pointer; NULL inside is fine. */
void http_stop(struct http **http);

/* The address it serves, "127.0.0.1:7381"; borrowed. */
const char *http_address(const struct http *http);

#endif
