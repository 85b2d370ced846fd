/* http.h — the admin endpoint's HTTP, by libmicrohttpd inside the main thread's libev loop. */
#ifndef SLUICE_ADMIN_HTTP_H
#define SLUICE_ADMIN_HTTP_H

#include <ev.h>

#include "server/base/option.h"
#include "server/base/status.h"
#include "server/server.h"

struct http;

/* Serves routes.h at `address` from `loop`. Both loop and server are borrowed and must outlive
 * it. NULL with a reason on failure. */
struct http *http_start(struct ev_loop *loop, const struct option_address *address, struct server *server,
                        struct status *status);
/* Nulls the pointer; NULL inside is fine. */
void http_stop(struct http **http);

/* The address it serves, "127.0.0.1:7381"; borrowed. */
const char *http_address(const struct http *http);

#endif
