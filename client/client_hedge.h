/* client_hedge.h — a call whose answer is late is asked of a second frontend as well; the first answer wins.
 *
 *   SENT ─ its hedge timer ends ─> SENT, and asked of a second one ─┬ either decides ──────> done
 *                                                                   └ one fails, is lost ──> SENT to the other
 *
 * Late is what takes longer than 95 % of recent calls. At most one call in CLIENT_HEDGE_ONE_IN is hedged, so a
 * fleet that is slow as a whole gets at most so much more to do. A call's timeout stays its timeout. Ends no
 * call and calls back nobody. */
#ifndef SLUICE_CLIENT_CLIENT_HEDGE_H
#define SLUICE_CLIENT_CLIENT_HEDGE_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/client_latency.h"
#include "client/sluice.h"

enum {
    CLIENT_HEDGE_ONE_IN = 20,
    CLIENT_HEDGE_SAVED_MAX = 10, /* hedges that quiet times may save up */
};

struct client_call;
struct client_server;

/* Of a client; all zero but for what the options say. */
struct client_hedging {
    enum sluice_hedge what;
    int64_t soonest_us;
    struct client_latency latency;
    uint32_t credit; /* CLIENT_HEDGE_ONE_IN are a hedge */
    uint64_t n_sent, n_hedged, n_won;
};

/* Is it of a kind that may be hedged, and is there more than one frontend? Its frame is kept then. */
bool client_hedge_may(const struct client_call *call);

/* The call has just been sent: says when it is late. */
void client_hedge_plan(struct client_call *call);

/* Of client_call.hedge_timer: asks a second frontend, if there is one, the budget allows it, and memory is
 * there. If not, nothing has changed. */
void client_hedge_on_timer(struct ev_loop *loop, ev_timer *watcher, int revents);

/* `server` decided the call, or (NULL) nobody did in time: learns how long that took. */
void client_hedge_learn(struct client_call *call, const struct client_server *server);

/* What one of the two was asked ended without a decision; `is_counted`: it may have taken tokens. True when the
 * other one is still asked, then the call goes on there. Else only notes it. */
bool client_hedge_lose(struct client_call *call, const struct client_server *server, bool is_counted);

/* The frontend's connection has ended: all that it was asked as the second one is lost. */
void client_hedge_on_closed(struct client_server *server);

/* The call is no longer on its way to anybody. */
void client_hedge_forget(struct client_call *call);

#endif
