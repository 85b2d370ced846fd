/* client.c — a client: opened, closed, and what its connections tell it; see sluice.h.
 *
 *   accept ─ judge ─ encode ─┬ a frontend is connected ──> SENT, in flight there ─ answer ─> done
 *                            ├ one may soon be ──────────> WAITING ─ connected ─> SENT
 *                            └ no ───────────────────────> REFUSED ─ next turn of the loop ─> done
 *
 *   SENT ─┬ it is late, see client_hedge.h ─────────────────────────> SENT, and asked of another one as well
 *         ├ it answers that it took nothing, another is connected ──> PAUSED ─ pause ends ─> SENT there
 *         └ its connection ends, and no byte of the call was written,
 *           or the call takes no tokens, or takes them once ─────────> SENT elsewhere, or WAITING
 *
 * Each call has a timer: the end of its patience, or, for a refused one, the next turn. `done` runs only from
 * the event loop (and sluice_close), so never inside the function that accepts. A check that a frontend may
 * have read is not sent again, as it may have been counted; unless it has an idempotency key, or the caller wants
 * checks to be hedged. Who does what is listed in client_state.h; connections are client_conn.c's affair. */
#include "client/client.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client_decision.h"
#include "client/client_end.h"
#include "client/client_failover.h"
#include "client/client_options.h"
#include "client/client_state.h"

#ifndef SLUICE_VERSION
#define SLUICE_VERSION "unknown"
#endif

/* ---- answers ---- */

static void on_refusal(struct client_call *call, const struct client_server *server, enum sluice_status status,
                       const char *message) {
    if (!client_hedge_lose(call, server, status != SLUICE_RESOURCE_EXHAUSTED) &&
        !client_failover_pause(call, status, message)) {
        client_end_undecided(call, status, message, true);
    }
}

/* Into client->decisions, or client->booking. */
static void read_answer(struct client_call *call, const struct wire_response *response) {
    struct sluice_client *client = call->client;
    for (size_t i = 0; i < response->n_items; i++) {
        client_decision_read(&client->decisions[i], &response->items[i]);
        if (client->decisions[i].status != SLUICE_OK) {
            client_end_apply_policy(call, i, true);
        }
    }
    if (call->booked != NULL) {
        client_decision_read_booking(&client->booking, response);
    }
    if (call->kind == WIRE_CALL_RESERVE && response->items[0].decision.verdict == WIRE_ALLOW) {
        memcpy(client->decisions[0].reservation_id, response->reservation_id.data, SLUICE_RESERVATION_BYTES);
    }
}

static const char *on_frame(struct sluice_client *client, struct client_server *server,
                            const struct frame *frame) {
    struct wire_response *response = &client->response;
    server->is_silent = false;
    if (wire_decode_response(client->codec, frame->body, frame->body_bytes, response) != WIRE_DECODED) {
        return "an answer that cannot be decoded";
    }
    struct client_call *call = client_calls_find(&client->calls, response->id);
    if (call == NULL || call->state != CLIENT_CALL_SENT ||
        (call->server != server && call->hedge.server != server)) {
        client->n_late_answers++; /* the call is over, or is tried elsewhere */
        return NULL;
    }
    if (!client_decision_fits(response, call->kind, call->n_decisions)) {
        return "an answer that does not fit its request";
    }
    if (response->status != WIRE_OK) {
        char message[SLUICE_MESSAGE_BYTES];
        client_decision_copy_text(message, sizeof message, response->message);
        on_refusal(call, server, (enum sluice_status)response->status, message);
        return NULL;
    }
    client_hedge_learn(call, server);
    read_answer(call, response);
    bool is_single = response->call == WIRE_CALL_CHECK || response->call == WIRE_CALL_RESERVE;
    client_end_answered(call, is_single ? client->decisions[0].status : SLUICE_OK,
                        is_single ? client->decisions[0].message : "");
    return NULL;
}

static const char *on_conn_event(void *owner, struct client_conn *conn, enum client_conn_event event,
                                 const struct frame *frame) {
    struct sluice_client *client = owner;
    struct client_server *server = list_entry(conn, struct client_server, conn);
    if (client->magic != CLIENT_MAGIC) {
        abort();
    }
    switch (event) {
    case CLIENT_CONN_OPENED:
        server->is_silent = false;
        client_failover_on_opened(client, server);
        break;
    case CLIENT_CONN_FRAME:
        return on_frame(client, server, frame);
    case CLIENT_CONN_CLOSED:
        client_failover_on_closed(client, server);
        break;
    }
    return NULL;
}

/* ---- opening and closing ---- */

/* Frees a client without calls; also one that is half made. */
static void destroy(struct sluice_client **client_p) {
    struct sluice_client *client = *client_p;
    *client_p = NULL;
    client_servers_deinit(&client->servers);
    client_calls_deinit(&client->calls);
    wire_codec_destroy(&client->codec);
    client_policy_deinit(&client->policy);
    client->magic = 0;
    free(client);
}

static bool add_servers(struct sluice_client *client, const struct client_options *options, char *message,
                        size_t cap) {
    client->codec = wire_codec_create();
    if (client->codec == NULL) {
        snprintf(message, cap, "out of memory");
        return false;
    }
    if (!client_servers_init(&client->servers, options->n_servers, message, cap)) {
        return false;
    }
    for (size_t i = 0; i < options->n_servers; i++) {
        if (!client_servers_add(&client->servers, client->loop, options->servers[i], on_conn_event, client,
                                message, cap)) {
            return false;
        }
    }
    return true;
}

struct sluice_client *client_create(struct ev_loop *loop, bool owns_loop, const struct sluice_options *given,
                                    char *message, size_t cap) {
    struct client_options options;
    if (!client_options_read(&options, given, message, cap)) {
        return NULL;
    }
    struct sluice_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        snprintf(message, cap, "out of memory");
        return NULL;
    }
    client->magic = CLIENT_MAGIC;
    client->loop = loop;
    client->owns_loop = owns_loop;
    client->timeout_ms = options.timeout_ms;
    client->max_retries = options.max_retries;
    client->hedging.what = options.hedge;
    client->hedging.soonest_us = (int64_t)options.hedge_after_ms * 1000;
    client_calls_init(&client->calls);
    list_init(&client->waiting);
    list_init(&client->paused);
    list_init(&client->refused);
    if (!client_policy_init(&client->policy, &options)) {
        snprintf(message, cap, "local_max_keys: out of memory for %u", options.local_max_keys);
        destroy(&client);
    } else if (!add_servers(client, &options, message, cap)) {
        destroy(&client);
    }
    return client;
}

struct sluice_client *sluice_attach(struct ev_loop *loop, const struct sluice_options *options, char *message,
                                    size_t cap) {
    return client_create(loop, false, options, message, message != NULL ? cap : 0);
}

void sluice_close(struct sluice_client **client_p) {
    struct sluice_client *client = *client_p;
    if (client == NULL) {
        return;
    }
    struct ev_loop *own_loop = client_own_loop(client);
    client->is_closing = true;
    for (size_t i = 0; i < client->servers.n; i++) {
        client_end_all(&client->servers.items[i].in_flight, SLUICE_CANCELLED,
                       "the client was closed; the call may have been counted");
    }
    client_end_all(&client->waiting, SLUICE_CANCELLED, "the client was closed; nothing was sent");
    client_end_all(&client->paused, SLUICE_CANCELLED, "the client was closed before another was asked");
    client_end_all(&client->refused, SLUICE_CANCELLED, "the client was closed; nothing was sent");
    destroy(client_p);
    if (own_loop != NULL) {
        ev_loop_destroy(own_loop);
    }
}

struct ev_loop *client_own_loop(const struct sluice_client *client) {
    return client->owns_loop ? client->loop : NULL;
}

const struct client_policy *client_own_policy(const struct sluice_client *client) {
    return &client->policy;
}

void sluice_stats(const struct sluice_client *client, struct sluice_stats *stats) {
    *stats = (struct sluice_stats){
        .sent = client->hedging.n_sent,
        .hedged = client->hedging.n_hedged,
        .hedges_won = client->hedging.n_won,
        .late_answers = client->n_late_answers,
        .latency_p95_us = (uint64_t)client_latency_p95_us(&client->hedging.latency),
    };
}

/* ---- words ---- */

struct sluice_check sluice_check_of(const char *tenant, const char *resource, const char *key) {
    return (struct sluice_check){
        .tenant = tenant,
        .tenant_len = strlen(tenant),
        .resource = resource,
        .resource_len = strlen(resource),
        .key = key,
        .key_len = strlen(key),
        .cost = 1,
    };
}

const char *sluice_version(void) {
    return SLUICE_VERSION;
}
