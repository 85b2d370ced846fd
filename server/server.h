/* server.h — the frontend as a whole: one listening socket, the quotas, the workers, a connection to Redis of its
 * own.
 *
 * Lives on the main thread. Order of waking: quotas, socket, workers, control connection; the admin endpoint
 * comes last and goes first (main.c). */
#ifndef SLUICE_SERVER_SERVER_H
#define SLUICE_SERVER_SERVER_H

#include <ev.h>
#include <stdbool.h>

#include "server/base/buf.h"
#include "server/base/status.h"
#include "server/config.h"
#include "server/core/quota_set.h"
#include "server/hot_survey.h"

struct control;
struct server;

/* Loads quotas, opens the socket, starts the workers. `config` and `loop`, which is the main thread's, are borrowed
 * and must outlive the server. NULL with a reason on failure; nothing is left behind then. */
struct server *server_create(struct ev_loop *loop, const struct config *config, const char *version,
                             struct status *status);

/* Stops accepting, answers what is in flight, waits for the workers' end (at most about drain_timeout), frees
 * all. Calls back who waits for hot keys. Not to be called from inside the loop. Nulls the pointer. */
void server_destroy(struct server **server);

/* Puts `quotas` in force, holding them: every worker decides by them from its loop's next turn on, calls under way
 * by those they began with. Returns at once. */
void server_set_quotas(struct server *server, struct quota_set *quotas);
/* The quotas that were set last, held once for the caller. */
struct quota_set *server_hold_quotas(const struct server *server);
/* The lowest revision that any worker decides by. */
uint64_t server_applied_revision(const struct server *server);

/* Asks all workers for the keys that are checked most; hot_survey.h says what comes of it. */
struct hot_call *server_list_hotkeys(struct server *server, hot_survey_fn done, void *arg);

/* The address that checks are served at, "127.0.0.1:7380"; borrowed. */
const char *server_address(const struct server *server);
/* The quotas that were set last; borrowed until the next are. */
const struct quota_set *server_quotas(const struct server *server);
/* Tells the fleet where the admin endpoint is. */
void server_set_admin_address(struct server *server, const char *address);
/* What operators ask goes there; borrowed. NULL without Redis: then the quotas come from the file alone. */
struct control *server_control(const struct server *server);
/* Can every worker's store decide for every key, by quotas that Redis has or had last? */
bool server_is_ready(const struct server *server);
/* Appends all metrics as Prometheus text. False when memory is short. */
bool server_render_metrics(struct server *server, struct buf *out) __attribute__((warn_unused_result));

#endif
