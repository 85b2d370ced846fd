/* client_failover.c — a call that one frontend did not decide is sent elsewhere; see client_failover.h. */
#include "client/client_failover.h"

#include <stdlib.h>
#include <string.h>

#include "client/backoff.h"
#include "client/client_end.h"
#include "client/client_route.h"

enum { PAUSE_MIN_MS = 10, PAUSE_MAX_MS = 1000 };

void client_failover_on_opened(struct sluice_client *client, struct client_server *server) {
    struct list *node;
    while ((node = list_pop_front(&client->waiting)) != NULL) {
        struct client_call *call = list_entry(node, struct client_call, node);
        if (!client_route_send(call, server, call->frame, call->frame_bytes)) {
            client_end_failed(call, SLUICE_RESOURCE_EXHAUSTED, "out of memory");
        } else if (client->max_retries == 0 && !client_hedge_may(call)) {
            client_route_drop(call);
        }
    }
}

/* Only where it can be told without a doubt that no tokens were taken, or that they are not taken twice. */
static bool may_retry(const struct client_call *call) {
    return call->frame != NULL && call->n_retries < call->client->max_retries &&
           (client_call_is_harmless(call) || call->is_repeatable || !call->is_counted);
}

/* The call's connection has ended. The call is in no list. */
static void end_or_reroute(struct client_call *call) {
    const struct client_conn *conn = &call->server->conn;
    bool is_written = client_conn_has_sent(conn, call->place);
    if (client_hedge_lose(call, call->server, is_written)) {
        return;
    }
    const char *doubt = call->is_counted ? client_call_doubt(call) : "nothing was sent";
    char message[CLIENT_CONN_REASON_BYTES + 64];
    enum sluice_status status;
    if (may_retry(call)) {
        call->n_retries++;
        client_hedge_forget(call);
        status = client_route_call(call, call->frame, call->frame_bytes, message, sizeof message);
        if (status == SLUICE_OK) {
            return;
        }
    } else if (conn->fault == CLIENT_CONN_BROKEN) {
        status = client_problem(SLUICE_INTERNAL, message, sizeof message, "%s; %s", conn->reason, doubt);
    } else {
        status = client_problem(SLUICE_UNAVAILABLE, message, sizeof message, "connection to %s lost; %s",
                                conn->endpoint.name, doubt);
    }
    client_end_failed(call, status, message);
}

void client_failover_on_closed(struct sluice_client *client, struct client_server *server) {
    struct list lost, *node;
    client_hedge_on_closed(server);
    list_init(&lost);
    list_append_all(&lost, &server->in_flight);
    while ((node = list_pop_front(&lost)) != NULL) {
        end_or_reroute(list_entry(node, struct client_call, node));
    }
    if (!list_is_empty(&client->waiting) && !client_servers_is_any_hopeful(&client->servers)) {
        char message[SLUICE_MESSAGE_BYTES]; /* none is up while calls wait */
        client_servers_explain(&client->servers, message, sizeof message);
        client_end_all(&client->waiting, SLUICE_UNAVAILABLE, message);
    }
}

bool client_failover_pause(struct client_call *call, enum sluice_status status, const char *message) {
    struct sluice_client *client = call->client;
    bool may_help =
        status == SLUICE_RESOURCE_EXHAUSTED || (status == SLUICE_UNAVAILABLE && call->is_repeatable);
    if (!may_help || !may_retry(call) || !client_servers_is_any_up(&client->servers, call->server)) {
        return false;
    }
    call->message = strdup(message);
    if (call->message == NULL) {
        return false;
    }
    call->status = status;
    call->state = CLIENT_CALL_PAUSED;
    client_hedge_forget(call);
    list_remove(&call->node);
    list_push_back(&client->paused, &call->node);
    double half_left_s = ev_timer_remaining(client->loop, &call->timer) / 2;
    double bound_s = backoff_bound_ms(PAUSE_MIN_MS, PAUSE_MAX_MS, call->n_retries) / 1e3;
    ev_timer_set(&call->pause, backoff_draw_s(bound_s < half_left_s ? bound_s : half_left_s), 0.);
    ev_timer_start(client->loop, &call->pause);
    return true;
}

void client_failover_on_pause_end(struct ev_loop *loop, ev_timer *watcher, int revents) {
    struct client_call *call = list_entry(watcher, struct client_call, pause);
    char message[SLUICE_MESSAGE_BYTES];
    (void)loop;
    (void)revents;
    if (call->magic != CLIENT_CALL_MAGIC) {
        abort();
    }
    struct client_server *server = client_servers_pick(&call->client->servers, call->server);
    list_remove(&call->node);
    call->n_retries++;
    client_problem(call->status, message, sizeof message, "%s", call->message);
    free(call->message);
    call->message = NULL;
    if (server == NULL || !client_route_send(call, server, call->frame, call->frame_bytes)) {
        client_end_failed(call, call->status, message);
    }
}
