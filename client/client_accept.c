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

/* A call as its caller makes it. */
struct wish {
    enum wire_call kind;
    const struct sluice_check *checks;
    size_t n_checks;
    bool all_or_nothing;
    const struct sluice_reservation *reservation; /* of a reserve */
    const struct sluice_settlement *settlement;   /* of a settle */
    sluice_done_fn done;
    sluice_booked_fn booked;
    void *arg;
};

static struct wire_bytes bytes_of(const void *data, size_t len) {
    return (struct wire_bytes){.data = data, .len = len};
}

static void fill_check(struct wire_check *to, const struct sluice_check *from) {
    *to = (struct wire_check){
        .tenant = bytes_of(from->tenant, from->tenant_len),
        .resource = bytes_of(from->resource, from->resource_len),
        .key = bytes_of(from->key, from->key_len),
        .cost = from->cost > 0 ? from->cost : 1,
        .at_most = from->at_most,
        .idempotency_key = bytes_of(from->idempotency_key, from->idempotency_key_len),
    };
}

static void fill_request(struct wire_request *request, const struct client_call *call,
                         const struct wish *wish) {
    request->id = call->id;
    request->timeout_ms = call->client->timeout_ms;
    request->traceparent = request->payload = request->reservation_id = (struct wire_bytes){0};
    request->call = wish->kind;
    request->all_or_nothing = wish->all_or_nothing;
    request->ttl_ms = request->on_timeout = 0;
    request->n_checks = wish->n_checks;
    for (size_t i = 0; i < request->n_checks; i++) {
        fill_check(&request->checks[i], &wish->checks[i]);
    }
    if (wish->reservation != NULL) {
        request->ttl_ms = wish->reservation->ttl_ms;
        request->on_timeout = (uint32_t)wish->reservation->on_timeout;
    }
    if (wish->settlement != NULL) {
        request->reservation_id = bytes_of(wish->settlement->reservation_id, SLUICE_RESERVATION_BYTES);
        request->checks[0].cost = wish->settlement->tokens;
    }
}

/* Does it count once, however often it is made? */
static bool has_idempotency_keys(const struct wish *wish) {
    for (size_t i = 0; i < wish->n_checks; i++) {
        if (wish->checks[i].idempotency_key_len == 0) {
            return false;
        }
    }
    return wish->n_checks > 0;
}

/* Encodes the request and sends or holds it; else says why not. A bad check of a batch, unless it is all or nothing,
 * is not judged here: the frontend gives it a status of its own and decides the others. */
static enum sluice_status submit(struct sluice_client *client, struct client_call *call,
                                 const struct wish *wish, char *message, size_t cap) {
    struct wire_request *request = &client->request;
    if (client->calls.n_borrowed > IN_FLIGHT_MAX) {
        return client_problem(SLUICE_RESOURCE_EXHAUSTED, message, cap, "more than %d calls are in flight",
                              IN_FLIGHT_MAX);
    }
    fill_request(request, call, wish);
    if (wire_request_problem(request, message, cap) != WIRE_OK ||
        (request->n_checks == 1 && call->kind != WIRE_CALL_CHECK_BATCH &&
         wire_check_problem(call->kind, &request->checks[0], message, cap) != WIRE_OK)) {
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

/* Notes what the policy would be asked, if it has a say. False when memory is short. */
static bool note_asks(struct client_call *call, const struct sluice_check *checks) {
    const struct client_policy *policy = &call->client->policy;
    size_t n = call->n_decisions;
    if (!client_policy_reads_asks(policy) || call->all_or_nothing || n == 0) {
        return true;
    }
    call->asks = n == 1 ? &call->ask : reallocarray(NULL, n, sizeof call->asks[0]);
    for (size_t i = 0; i < n && call->asks != NULL; i++) {
        call->asks[i] = client_policy_ask_of(policy, &checks[i]);
    }
    return call->asks != NULL;
}

/* A call in its first state. NULL when memory is short. */
static struct client_call *make_call(struct sluice_client *client, const struct wish *wish) {
    struct client_call *call = client->is_closing ? NULL : client_calls_borrow(&client->calls);
    if (call == NULL) {
        return NULL;
    }
    call->client = client;
    call->kind = wish->kind;
    call->is_repeatable = has_idempotency_keys(wish);
    call->all_or_nothing = wish->all_or_nothing;
    call->n_decisions = wish->booked != NULL ? 0 : wish->n_checks;
    call->done = wish->done;
    call->booked = wish->booked;
    call->arg = wish->arg;
    ev_init(&call->pause, client_failover_on_pause_end);
    ev_init(&call->hedge_timer, client_hedge_on_timer);
    ev_init(&call->timer, client_end_on_timer);
    /* An answer that has arrived wins over the timeout: sockets come first in a turn. */
    ev_set_priority(&call->hedge_timer, EV_MINPRI);
    ev_set_priority(&call->timer, EV_MINPRI);
    if (!note_asks(call, wish->checks)) {
        client_calls_return(&client->calls, &call);
    }
    return call;
}

static bool accept_call(struct sluice_client *client, const struct wish *wish) {
    char message[SLUICE_MESSAGE_BYTES];
    struct client_call *call = make_call(client, wish);
    if (call == NULL) {
        return false;
    }
    ev_now_update(client->loop);
    enum sluice_status status = submit(client, call, wish, message, sizeof message);
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
    struct wish wish = {.kind = WIRE_CALL_CHECK, .checks = check, .n_checks = 1, .done = done, .arg = arg};
    return accept_call(client, &wish);
}

bool sluice_peek_async(struct sluice_client *client, const struct sluice_check *check, sluice_done_fn done,
                       void *arg) {
    struct wish wish = {.kind = WIRE_CALL_PEEK, .checks = check, .n_checks = 1, .done = done, .arg = arg};
    return accept_call(client, &wish);
}

static bool accept_batch(struct sluice_client *client, const struct wish *wish) {
    return wish->n_checks >= 1 && wish->n_checks <= SLUICE_BATCH_MAX && accept_call(client, wish);
}

bool sluice_check_batch_async(struct sluice_client *client, const struct sluice_check *checks, size_t n_checks,
                              sluice_done_fn done, void *arg) {
    struct wish wish = {
        .kind = WIRE_CALL_CHECK_BATCH, .checks = checks, .n_checks = n_checks, .done = done, .arg = arg};
    return accept_batch(client, &wish);
}

bool sluice_check_all_async(struct sluice_client *client, const struct sluice_check *checks, size_t n_checks,
                            sluice_done_fn done, void *arg) {
    struct wish wish = {.kind = WIRE_CALL_CHECK_BATCH,
                        .checks = checks,
                        .n_checks = n_checks,
                        .all_or_nothing = true,
                        .done = done,
                        .arg = arg};
    return accept_batch(client, &wish);
}

bool sluice_refund_async(struct sluice_client *client, const struct sluice_check *refund, sluice_booked_fn done,
                         void *arg) {
    struct wish wish = {.kind = WIRE_CALL_REFUND, .checks = refund, .n_checks = 1, .booked = done, .arg = arg};
    return accept_call(client, &wish);
}

bool sluice_reserve_async(struct sluice_client *client, const struct sluice_check *check,
                          const struct sluice_reservation *reservation, sluice_done_fn done, void *arg) {
    struct wish wish = {.kind = WIRE_CALL_RESERVE,
                        .checks = check,
                        .n_checks = 1,
                        .reservation = reservation,
                        .done = done,
                        .arg = arg};
    return accept_call(client, &wish);
}

bool sluice_settle_async(struct sluice_client *client, const struct sluice_check *check,
                         const struct sluice_settlement *settlement, sluice_booked_fn done, void *arg) {
    struct wish wish = {.kind = WIRE_CALL_SETTLE,
                        .checks = check,
                        .n_checks = 1,
                        .settlement = settlement,
                        .booked = done,
                        .arg = arg};
    return accept_call(client, &wish);
}

bool sluice_ping_async(struct sluice_client *client, sluice_done_fn done, void *arg) {
    struct wish wish = {.kind = WIRE_CALL_PING, .done = done, .arg = arg};
    return accept_call(client, &wish);
}
