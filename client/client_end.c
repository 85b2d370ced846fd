/* client_end.c — the end of a call: answered, failed, out of time; see client_end.h. */
#include "client/client_end.h"

#include <stdlib.h>

#include "client/client_decision.h"
#include "client/client_route.h"
#include "server/base/clock.h"

void client_end_answered(struct client_call *call, enum sluice_status status, const char *message) {
    struct sluice_client *client = call->client;
    sluice_done_fn done = call->done;
    sluice_booked_fn booked = call->booked;
    void *arg = call->arg;
    size_t n_decisions = call->n_decisions;
    ev_timer_stop(client->loop, &call->timer);
    ev_timer_stop(client->loop, &call->pause);
    client_route_forget(call);
    client_calls_return(&client->calls, &call);
    if (booked != NULL) {
        booked(arg, &client->booking);
    } else {
        done(arg, status, message, client->decisions, n_decisions);
    }
}

void client_end_apply_policy(struct client_call *call, size_t i, bool is_answer) {
    struct sluice_client *client = call->client;
    if (call->all_or_nothing) {
        return;
    }
    const struct client_local_ask *ask = call->asks != NULL ? &call->asks[i] : NULL;
    client_policy_apply(&client->policy, ask, call->kind == WIRE_CALL_PEEK, is_answer, clock_mono_us(),
                        &client->decisions[i]);
}

void client_end_undecided(struct client_call *call, enum sluice_status status, const char *message,
                          bool is_answer) {
    struct sluice_decision *decisions = call->client->decisions;
    for (size_t i = 0; i < call->n_decisions; i++) {
        client_decision_fail(&decisions[i], status, message);
        client_end_apply_policy(call, i, is_answer);
    }
    if (call->booked != NULL) {
        client_decision_fail_booking(&call->client->booking, status, message);
    }
    client_end_answered(call, call->n_decisions > 0 ? decisions[0].status : status, message);
}

void client_end_failed(struct client_call *call, enum sluice_status status, const char *message) {
    client_end_undecided(call, status, message, false);
}

void client_end_all(struct list *calls, enum sluice_status status, const char *message) {
    struct list ended, *node;
    list_init(&ended);
    list_append_all(&ended, calls);
    while ((node = list_pop_front(&ended)) != NULL) {
        client_end_failed(list_entry(node, struct client_call, node), status, message);
    }
}

void client_end_on_timer(struct ev_loop *loop, ev_timer *watcher, int revents) {
    struct client_call *call = list_entry(watcher, struct client_call, timer);
    char message[SLUICE_MESSAGE_BYTES];
    enum sluice_status status = SLUICE_DEADLINE_EXCEEDED;
    (void)loop;
    (void)revents;
    if (call->magic != CLIENT_CALL_MAGIC) {
        abort();
    }
    uint32_t timeout_ms = call->client->timeout_ms;
    switch (call->state) {
    case CLIENT_CALL_REFUSED:
    case CLIENT_CALL_PAUSED:
        status = client_problem(call->status, message, sizeof message, "%s", call->message);
        break;
    case CLIENT_CALL_WAITING:
        client_problem(status, message, sizeof message,
                       "not connected to a frontend within %u ms; nothing was sent", timeout_ms);
        break;
    case CLIENT_CALL_SENT:
        client_problem(status, message, sizeof message, "no answer from %s within %u ms; %s",
                       call->server->conn.endpoint.name, timeout_ms, client_call_doubt(call));
        call->server->is_silent = true;
        client_hedge_learn(call, NULL);
        break;
    case CLIENT_CALL_FREE:
        return;
    }
    client_end_failed(call, status, message);
}
