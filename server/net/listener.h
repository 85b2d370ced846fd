/* listener.h — waits for clients at an address and hands their sockets over.
 *
 * The socket is opened once by the server; every worker watches the same one, and whoever accepts first has
 * the connection. A failing accept (no file descriptors left) pauses this worker's accepting for a moment
 * instead of spinning. */
#ifndef SLUICE_NET_LISTENER_H
#define SLUICE_NET_LISTENER_H

#include <ev.h>
#include <stdint.h>

#include "server/base/log.h"
#include "server/base/option.h"
#include "server/base/status.h"
#include "server/net/conn.h"

enum { LISTENER_ADDRESS_BYTES = 80 };

/* Opens a non-blocking listening socket (port 0: any free one). Returns its descriptor and writes the address
 * it got, or -1 with a reason. Resolves names, blocking. */
int listener_open(const struct option_address *address, char actual[LISTENER_ADDRESS_BYTES],
                  struct status *status);

struct listener {
    int fd; /* borrowed */
    struct conn_host *host;
    ev_io acceptable;
    ev_timer resume;
    struct log_gate log_gate;
};

/* Starts accepting from `fd` for `host`; both are borrowed. */
void listener_start(struct listener *listener, struct conn_host *host, int fd);
void listener_stop(struct listener *listener);
/* Takes those in who have connected already, since they may have asked already, has the kernel refuse others
 * from then on (for every worker), and stops. */
void listener_drain(struct listener *listener);

#endif
