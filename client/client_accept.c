/* client_accept.c — takes a call: judged, encoded, routed, or refused at the loop's next turn; see sluice.h. */
#include <stdlib.h>
#include <string.h>

#include "client/client_end.h"
#include "client/client_failover.h"
#include "client/client_route.h"
#include "client/client_state.h"

enum {
    IN_FLIGHT_MAX = 65536,             /* calls; half of what the table holds, the rest tells of refusals */
    KEPT_MAX_BYTES = 16 * 1024 * 1024, /* of the calls that may be sent again; beyond, they may not */
};

static struct wire_bytes wire_bytes_of(const void *data, size_t len) {
    return (struct wire_bytes){.data = data, .len = len};
}

static void fill_request(struct wire_request *request, const struct client_call *call,
                         const struct sluice_check *checks) {
    request->id = call->id;
    request->timeout_ms = call->client->timeout_ms;
    request->traceparent = request->payload = (struct wire_bytes){0};
    request->call = call->kind;
    request->n_checks = call->n_decisions;
    for (size_t i = 0; i < request->n_checks; i++) {
        request->checks[i] = (struct wire_check){
            .tenant = wire_bytes_of(checks[i].tenant, checks[i].tenant_len),
            .resource = wire_bytes_of(checks[i].resource, checks[i].resource_len),
            .key = wire_bytes_of(checks[i].key, checks[i].key_len),
            .cost = checks[i].cost > 0 ? checks[i].cost : 1,
        };
    }
}

/* Encodes the request and sends or holds it; else says why not. A bad check of a batch is not judged here: the
 * frontend gives it a status of its own and decides the others. */
static enum sluice_status submit(struct sluice_client *client, struct client_call *call,
                                 const struct sluice_check *checks, char *message, size_t cap) {
    struct wire_request *request = &client->request;
    if (client->calls.n_borrowed > IN_FLIGHT_MAX) {
        return client_problem(SLUICE_RESOURCE_EXHAUSTED, message, cap, "more than %d calls are in flight",
                              IN_FLIGHT_MAX);
    }
    fill_request(request, call, checks);
    if (request->n_checks == 1 && call->kind != WIRE_CALL_CHECK_BATCH &&
        wire_check_problem(call->kind, &request->checks[0], message, cap) != WIRE_OK) {
        return SLUICE_INVALID_ARGUMENT;
    }
    size_t n = wire_encode_request(request, client->frame, sizeof client->frame);
    if (n == 0) {
        return client_problem(SLUICE_INVALID_ARGUMENT, message, cap, "checks: together more than %d bytes",
                              FRAME_BODY_MAX_BYTES);
    }
    if ((client->max_retries > 0 || client_hedge_may(call)) && client->kept_bytes + n <= KEPT_MAX_BYTES) {
        (void)client_route_keep(call, client->frame, n); /* without it the call is sent once, and not hedged */
    }
    return client_route_call(call, client->frame, n, message, cap);
}

static bool refuse_call(struct sluice_client *client, struct client_call *call, enum sluice_status status,
                        const char *message) {
    call->message = strdup(message);
    if (call->message == NULL) {
        return false;
    }
    call->state = CLIENT_CALL_REFUSED;
    call->status = status;
    list_push_back(&client->refused, &call->node);
    return true;
}

/* Notes what the caller's own buckets would be asked, if there are any. False when memory is short. */
static bool note_asks(struct client_call *call, const struct sluice_check *checks) {
    const struct client_local *local = call->client->policy.local;
    size_t n = call->n_decisions;
    if (local == NULL || n == 0) {
        return true;
    }
    call->asks = n == 1 ? &call->ask : reallocarray(NULL, n, sizeof call->asks[0]);
    for (size_t i = 0; i < n && call->asks != NULL; i++) {
        call->asks[i] = client_local_ask_of(local, &checks[i]);
    }
    return call->asks != NULL;
}

static bool accept_call(struct sluice_client *client, enum wire_call kind, const struct sluice_check *checks,
                        size_t n_checks, sluice_done_fn done, void *arg) {
    char message[SLUICE_MESSAGE_BYTES];
    struct client_call *call = client->is_closing ? NULL : client_calls_borrow(&client->calls);
    if (call == NULL) {
        return false;
    }
    call->client = client;
    call->kind = kind;
    call->n_decisions = n_checks;
    call->done = done;
    call->arg = arg;
    ev_init(&call->pause, client_failover_on_pause_end);
    ev_init(&call->hedge_timer, client_hedge_on_timer);
    ev_init(&call->timer, client_end_on_timer);
    /* An answer that has arrived wins over the timeout: sockets come first in a turn. */
    ev_set_priority(&call->hedge_timer, EV_MINPRI);
    ev_set_priority(&call->timer, EV_MINPRI);
    ev_now_update(client->loop);
    if (!note_asks(call, checks)) {
        client_calls_return(&client->calls, &call);
        return false;
    }
    enum sluice_status status = submit(client, call, checks, message, sizeof message);
    if (status != SLUICE_OK && !refuse_call(client, call, status, message)) {
        client_route_drop(call);
        client_calls_return(&client->calls, &call);
        return false;
    }
    ev_timer_set(&call->timer, status == SLUICE_OK ? client->timeout_ms / 1e3 : 0., 0.);
    ev_timer_start(client->loop, &call->timer);
    return true;
}

bool sluice_check_async(struct sluice_client *client, const struct sluice_check *check, sluice_done_fn done,
                        void *arg) {
    return accept_call(client, WIRE_CALL_CHECK, check, 1, done, arg);
}

bool sluice_peek_async(struct sluice_client *client, const struct sluice_check *check, sluice_done_fn done,
                       void *arg) {
    return accept_call(client, WIRE_CALL_PEEK, check, 1, done, arg);
}

bool sluice_check_batch_async(struct sluice_client *client, const struct sluice_check *checks, size_t n_checks,
                              sluice_done_fn done, void *arg) {
    return n_checks >= 1 && n_checks <= SLUICE_BATCH_MAX &&
           accept_call(client, WIRE_CALL_CHECK_BATCH, checks, n_checks, done, arg);
}

bool sluice_ping_async(struct sluice_client *client, sluice_done_fn done, void *arg) {
    return accept_call(client, WIRE_CALL_PING, NULL, 0, done, arg);
}
