/* client.h — what client_sync.c needs of client.c and sluice.h does not show. */
#ifndef SLUICE_CLIENT_CLIENT_H
#define SLUICE_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "client/client_policy.h"
#include "client/sluice.h"

/* Makes a client on `loop`; with `owns_loop` it is a client for blocking use and sluice_close destroys the loop
 * (a failure here does not). NULL with a sentence in `message` on failure. */
struct sluice_client *client_create(struct ev_loop *loop, bool owns_loop, const struct sluice_options *options,
                                    char *message, size_t cap);

/* The loop to run in a blocking call; NULL for a client that is attached to its caller's loop. */
struct ev_loop *client_own_loop(const struct sluice_client *client);

/* What stands in for a decision that failed. */
const struct client_policy *client_own_policy(const struct sluice_client *client);

#endif
