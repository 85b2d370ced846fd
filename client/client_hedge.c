/* client_hedge.c — a call whose answer is late is asked of a second frontend as well; see client_hedge.h. */
#include "client/client_hedge.h"

#include <stdlib.h>

#include "client/client_state.h"
#include "server/base/clock.h"

bool client_hedge_may(const struct client_call *call) {
    bool may = false;
    switch (call->client->hedging.what) {
    case SLUICE_HEDGE_NOTHING:
        break;
    case SLUICE_HEDGE_PEEKS:
        may = client_call_is_harmless(call) || call->is_repeatable;
        break;
    case SLUICE_HEDGE_CHECKS: /* but nothing that could be given back twice, or held twice */
        may = client_call_is_harmless(call) || call->is_repeatable || call->kind == WIRE_CALL_CHECK ||
              call->kind == WIRE_CALL_CHECK_BATCH;
        break;
    }
    return may && call->client->servers.n > 1;
}

void client_hedge_plan(struct client_call *call) {
    struct sluice_client *client = call->client;
    struct client_hedging *hedging = &client->hedging;
    hedging->n_sent++;
    if (hedging->what == SLUICE_HEDGE_NOTHING) {
        return;
    }
    if (hedging->credit < CLIENT_HEDGE_ONE_IN * CLIENT_HEDGE_SAVED_MAX) {
        hedging->credit++;
    }
    call->sent_at_us = clock_mono_us();
    int64_t late_us = client_latency_p95_us(&hedging->latency);
    if (late_us == 0 || call->frame == NULL || !client_hedge_may(call)) {
        return;
    }
    late_us = late_us > hedging->soonest_us ? late_us : hedging->soonest_us;
    if (late_us < (int64_t)client->timeout_ms * 1000) {
        ev_timer_set(&call->hedge_timer, (double)late_us / 1e6, 0.);
        ev_timer_start(client->loop, &call->hedge_timer);
    }
}

void client_hedge_on_timer(struct ev_loop *loop, ev_timer *watcher, int revents) {
    struct client_call *call = list_entry(watcher, struct client_call, hedge_timer);
    (void)loop;
    (void)revents;
    if (call->magic != CLIENT_CALL_MAGIC) {
        abort();
    }
    struct client_hedging *hedging = &call->client->hedging;
    if (hedging->credit < CLIENT_HEDGE_ONE_IN) {
        return;
    }
    struct client_server *server = client_servers_pick(&call->client->servers, call->server);
    if (server == NULL || server->is_silent) {
        return;
    }
    uint64_t place = server->conn.n_queued_bytes;
    if (client_conn_send(&server->conn, call->frame, call->frame_bytes)) {
        call->hedge = (struct client_call_hedge){.server = server, .place = place};
        list_push_back(&server->hedges, &call->hedge.node);
        call->server->is_silent = true;
        hedging->credit -= CLIENT_HEDGE_ONE_IN;
        hedging->n_hedged++;
    }
}

void client_hedge_learn(struct client_call *call, const struct client_server *server) {
    struct client_hedging *hedging = &call->client->hedging;
    if (hedging->what != SLUICE_HEDGE_NOTHING) {
        client_latency_add(&hedging->latency, clock_mono_us() - call->sent_at_us);
        hedging->n_won += server != NULL && server == call->hedge.server;
    }
}

static void drop(struct client_call *call) {
    if (call->hedge.server != NULL) {
        list_remove(&call->hedge.node);
        call->hedge.server = NULL;
    }
}

bool client_hedge_lose(struct client_call *call, const struct client_server *server, bool is_counted) {
    struct client_call_hedge hedge = call->hedge;
    call->is_counted = call->is_counted || is_counted;
    if (hedge.server == NULL) {
        return false;
    }
    drop(call);
    if (server == call->server) {
        list_remove(&call->node);
        call->server = hedge.server;
        call->place = hedge.place;
        list_push_back(&call->server->in_flight, &call->node);
    }
    return true;
}

void client_hedge_on_closed(struct client_server *server) {
    while (!list_is_empty(&server->hedges)) {
        struct client_call *call = list_entry(server->hedges.next, struct client_call, hedge.node);
        (void)client_hedge_lose(call, server, client_conn_has_sent(&server->conn, call->hedge.place));
    }
}

void client_hedge_forget(struct client_call *call) {
    ev_timer_stop(call->client->loop, &call->hedge_timer);
    drop(call);
}
