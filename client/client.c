/* client.c — the calls of a client: checked, routed, answered, timed out; see sluice.h.
 *
 *   accept ─ judge ─ encode ─┬ a frontend is connected ──> SENT, in flight there ─ answer ─> done
 *                            ├ one may soon be ──────────> WAITING ─ connected ─> SENT
 *                            └ no ───────────────────────> REFUSED ─ next turn of the loop ─> done
 *
 *   SENT ─┬ it answers that it took nothing, another is connected ──> PAUSED ─ pause ends ─> SENT there
 *         └ its connection ends, and no byte of the call was written,
 *           or the call takes no tokens ────────────────────────────> SENT elsewhere, or WAITING
 *
 * Each call has a timer: the end of its patience, or, for a refused one, the next turn. `done` runs only from
 * the event loop (and sluice_close), so never inside the function that accepts. A check that a frontend may
 * have read is never sent again: it may have been counted. Connections are client_conn.c's affair. */
#include "client/client.h"

#include <ev.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/backoff.h"
#include "client/client_call.h"
#include "client/client_decision.h"
#include "client/client_options.h"
#include "client/client_servers.h"
#include "proto/frame.h"
#include "proto/wire.h"
#include "server/base/list.h"

#ifndef SLUICE_VERSION
#define SLUICE_VERSION "unknown"
#endif

enum {
    CLIENT_MAGIC = 0x534c4349,
    CLIENT_IN_FLIGHT_MAX = 65536, /* calls; half of what the table holds, the rest tells of refusals */
    CLIENT_UNSENT_MAX_BYTES = CLIENT_SERVER_UNSENT_MAX_BYTES, /* of the calls that wait for a connection */
    CLIENT_KEPT_MAX_BYTES = 16 * 1024 * 1024, /* of the calls that may be sent again; beyond, they may not */
    CLIENT_PAUSE_MIN_MS = 10,
    CLIENT_PAUSE_MAX_MS = 1000,
};

struct sluice_client {
    uint32_t magic;
    bool owns_loop, is_closing;
    uint32_t timeout_ms, max_retries;
    enum sluice_on_failure on_failure;
    struct ev_loop *loop;
    struct client_servers servers;
    struct client_calls calls;
    struct list waiting, paused, refused;
    size_t kept_bytes, waiting_bytes; /* of all frames that calls own, and of those that wait */
    /* Scratch. The first two serve accepting, which a callback may do; the others answering, never nested. */
    struct wire_request request;
    uint8_t frame[FRAME_MAX_BYTES];
    struct wire_codec *codec;
    struct wire_response response;
    struct sluice_decision decisions[SLUICE_BATCH_MAX];
};

/* Writes a sentence and returns the status it goes with. */
__attribute__((format(printf, 4, 5))) static enum sluice_status
problem(enum sluice_status status, char *message, size_t cap, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(message, cap, format, args);
    va_end(args);
    return status;
}

/* ---- ending calls ---- */

static void drop_frame(struct client_call *call) {
    call->client->kept_bytes -= call->frame_bytes;
    call->frame_bytes = 0;
    free(call->frame);
    call->frame = NULL;
}

static void stop_waiting(struct client_call *call) {
    if (call->state == CLIENT_CALL_WAITING) {
        call->client->waiting_bytes -= call->frame_bytes;
    }
}

/* Gives the call back and tells its owner; client->decisions hold the answer. */
static void deliver(struct client_call *call, enum sluice_status status, const char *message) {
    struct sluice_client *client = call->client;
    sluice_done_fn done = call->done;
    void *arg = call->arg;
    size_t n_decisions = call->n_decisions;
    ev_timer_stop(client->loop, &call->timer);
    ev_timer_stop(client->loop, &call->pause);
    stop_waiting(call);
    drop_frame(call);
    client_calls_return(&client->calls, &call);
    done(arg, status, message, client->decisions, n_decisions);
}

/* Ends a call that no frontend decided, as the caller's policy says. `is_answer`: a frontend gave the status. */
static void fail_or_decide(struct client_call *call, enum sluice_status status, const char *message,
                           bool is_answer) {
    struct sluice_decision *decisions = call->client->decisions;
    for (size_t i = 0; i < call->n_decisions; i++) {
        client_decision_fail(&decisions[i], status, message);
        client_decision_apply_policy(&decisions[i], call->client->on_failure, is_answer);
    }
    deliver(call, call->n_decisions > 0 ? decisions[0].status : status, message);
}

/* `message` is not the call's own, which is freed first. */
static void fail_call(struct client_call *call, enum sluice_status status, const char *message) {
    fail_or_decide(call, status, message, false);
}

/* Ends the calls that are in the list now; those that the callbacks add stay. */
static void fail_all(struct list *calls, enum sluice_status status, const char *message) {
    struct list ended, *node;
    list_init(&ended);
    list_append_all(&ended, calls);
    while ((node = list_pop_front(&ended)) != NULL) {
        fail_call(list_entry(node, struct client_call, node), status, message);
    }
}

static void on_call_timer(struct ev_loop *loop, ev_timer *watcher, int revents) {
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
        status = problem(call->status, message, sizeof message, "%s", call->message);
        break;
    case CLIENT_CALL_WAITING:
        problem(status, message, sizeof message, "not connected to a frontend within %u ms; nothing was sent",
                timeout_ms);
        break;
    case CLIENT_CALL_SENT:
        problem(status, message, sizeof message,
                "no answer from %s within %u ms; the check may have been counted",
                call->server->conn.endpoint.name, timeout_ms);
        call->server->is_silent = true;
        break;
    case CLIENT_CALL_FREE:
        return;
    }
    fail_call(call, status, message);
}

/* ---- routing ---- */

/* Sends the frame, unless memory is short. The call is in no list. */
static bool send_call(struct client_call *call, struct client_server *server, const uint8_t *frame, size_t n) {
    uint64_t place = server->conn.n_queued_bytes;
    if (!client_conn_send(&server->conn, frame, n)) {
        return false;
    }
    stop_waiting(call);
    call->state = CLIENT_CALL_SENT;
    call->server = server;
    call->place = place;
    list_push_back(&server->in_flight, &call->node);
    return true;
}

/* Keeps a copy of the frame, unless memory is short. */
static bool keep_frame(struct client_call *call, const uint8_t *frame, size_t n) {
    if (call->frame == NULL) {
        call->frame = malloc(n);
        if (call->frame == NULL) {
            return false;
        }
        memcpy(call->frame, frame, n);
        call->frame_bytes = n;
        call->client->kept_bytes += n;
    }
    return true;
}

/* Until there is a connection, unless memory is short. The call is in no list. */
static bool hold_call(struct client_call *call, const uint8_t *frame, size_t n) {
    struct sluice_client *client = call->client;
    if (!keep_frame(call, frame, n)) {
        return false;
    }
    client->waiting_bytes += n;
    call->state = CLIENT_CALL_WAITING;
    list_push_back(&client->waiting, &call->node);
    return true;
}

/* Sends the frame or holds it; else says why not. The call is in no list. */
static enum sluice_status route(struct client_call *call, const uint8_t *frame, size_t n, char *message,
                                size_t cap) {
    struct sluice_client *client = call->client;
    struct client_server *server = client_servers_pick(&client->servers, NULL);
    bool is_any_up = client_servers_is_any_up(&client->servers, NULL), has_memory;
    client_servers_start(&client->servers);
    if (server != NULL) {
        has_memory = send_call(call, server, frame, n);
    } else if (!is_any_up && !client_servers_is_any_hopeful(&client->servers)) {
        client_servers_explain(&client->servers, message, cap);
        return SLUICE_UNAVAILABLE;
    } else if (is_any_up || client->waiting_bytes > CLIENT_UNSENT_MAX_BYTES) {
        return problem(SLUICE_RESOURCE_EXHAUSTED, message, cap, "more than %d bytes are waiting to be sent",
                       CLIENT_UNSENT_MAX_BYTES);
    } else {
        has_memory = hold_call(call, frame, n);
    }
    return has_memory ? SLUICE_OK : problem(SLUICE_RESOURCE_EXHAUSTED, message, cap, "out of memory");
}

static void send_waiting(struct sluice_client *client, struct client_server *server) {
    struct list *node;
    while ((node = list_pop_front(&client->waiting)) != NULL) {
        struct client_call *call = list_entry(node, struct client_call, node);
        if (!send_call(call, server, call->frame, call->frame_bytes)) {
            fail_call(call, SLUICE_RESOURCE_EXHAUSTED, "out of memory");
        } else if (client->max_retries == 0) {
            drop_frame(call);
        }
    }
}

/* ---- trying again ---- */

static bool may_retry(const struct client_call *call) {
    return call->frame != NULL && call->n_retries < call->client->max_retries;
}

/* Only what can be told without a doubt: these take no tokens. */
static bool is_harmless(enum wire_call kind) {
    return kind == WIRE_CALL_PEEK || kind == WIRE_CALL_PING;
}

/* The call's connection has ended. The call is in no list. */
static void end_or_reroute(struct client_call *call) {
    const struct client_conn *conn = &call->server->conn;
    bool is_written = client_conn_has_sent(conn, call->place);
    const char *doubt = is_written ? "the check may have been counted" : "nothing was sent";
    char message[CLIENT_CONN_REASON_BYTES + 64];
    enum sluice_status status;
    if (may_retry(call) && (!is_written || is_harmless(call->kind))) {
        call->n_retries++;
        status = route(call, call->frame, call->frame_bytes, message, sizeof message);
        if (status == SLUICE_OK) {
            return;
        }
    } else if (conn->fault == CLIENT_CONN_BROKEN) {
        status = problem(SLUICE_INTERNAL, message, sizeof message, "%s; %s", conn->reason, doubt);
    } else {
        status = problem(SLUICE_UNAVAILABLE, message, sizeof message, "connection to %s lost; %s",
                         conn->endpoint.name, doubt);
    }
    fail_call(call, status, message);
}

static void on_server_closed(struct sluice_client *client, struct client_server *server) {
    struct list lost, *node;
    list_init(&lost);
    list_append_all(&lost, &server->in_flight);
    while ((node = list_pop_front(&lost)) != NULL) {
        end_or_reroute(list_entry(node, struct client_call, node));
    }
    if (!list_is_empty(&client->waiting) && !client_servers_is_any_hopeful(&client->servers)) {
        char message[SLUICE_MESSAGE_BYTES]; /* none is up while calls wait */
        client_servers_explain(&client->servers, message, sizeof message);
        fail_all(&client->waiting, SLUICE_UNAVAILABLE, message);
    }
}

/* The frontend refused, and took no tokens: lets another one be asked after a pause that leaves it at least half
 * of the time that is left. False when the call may not be tried again, or nowhere. */
static bool pause_call(struct client_call *call, enum sluice_status status, const char *message) {
    struct sluice_client *client = call->client;
    if (status != SLUICE_RESOURCE_EXHAUSTED || !may_retry(call) ||
        !client_servers_is_any_up(&client->servers, call->server)) {
        return false;
    }
    call->message = strdup(message);
    if (call->message == NULL) {
        return false;
    }
    call->status = status;
    call->state = CLIENT_CALL_PAUSED;
    list_remove(&call->node);
    list_push_back(&client->paused, &call->node);
    double half_left_s = ev_timer_remaining(client->loop, &call->timer) / 2;
    double bound_s = backoff_bound_ms(CLIENT_PAUSE_MIN_MS, CLIENT_PAUSE_MAX_MS, call->n_retries) / 1e3;
    ev_timer_set(&call->pause, backoff_draw_s(bound_s < half_left_s ? bound_s : half_left_s), 0.);
    ev_timer_start(client->loop, &call->pause);
    return true;
}

static void on_pause_end(struct ev_loop *loop, ev_timer *watcher, int revents) {
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
    problem(call->status, message, sizeof message, "%s", call->message);
    free(call->message);
    call->message = NULL;
    if (server == NULL || !send_call(call, server, call->frame, call->frame_bytes)) {
        fail_call(call, call->status, message);
    }
}

/* ---- answers ---- */

static const char *on_frame(struct sluice_client *client, struct client_server *server,
                            const struct frame *frame) {
    struct wire_response *response = &client->response;
    server->is_silent = false;
    if (wire_decode_response(client->codec, frame->body, frame->body_bytes, response) != WIRE_DECODED) {
        return "an answer that cannot be decoded";
    }
    struct client_call *call = client_calls_find(&client->calls, response->id);
    if (call == NULL || call->server != server || call->state != CLIENT_CALL_SENT) {
        return NULL; /* the call has timed out, or is tried elsewhere */
    }
    if (!client_decision_fits(response, call->kind, call->n_decisions)) {
        return "an answer that does not fit its request";
    }
    if (response->status != WIRE_OK) {
        char message[SLUICE_MESSAGE_BYTES];
        client_decision_copy_text(message, sizeof message, response->message);
        if (!pause_call(call, (enum sluice_status)response->status, message)) {
            fail_or_decide(call, (enum sluice_status)response->status, message, true);
        }
        return NULL;
    }
    for (size_t i = 0; i < response->n_items; i++) {
        client_decision_read(&client->decisions[i], &response->items[i]);
        client_decision_apply_policy(&client->decisions[i], client->on_failure, true);
    }
    bool is_single = response->call == WIRE_CALL_CHECK;
    deliver(call, is_single ? client->decisions[0].status : SLUICE_OK,
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
        send_waiting(client, server);
        break;
    case CLIENT_CONN_FRAME:
        return on_frame(client, server, frame);
    case CLIENT_CONN_CLOSED:
        on_server_closed(client, server);
        break;
    }
    return NULL;
}

/* ---- accepting calls ---- */

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
    if (client->calls.n_borrowed > CLIENT_IN_FLIGHT_MAX) {
        return problem(SLUICE_RESOURCE_EXHAUSTED, message, cap, "more than %d calls are in flight",
                       CLIENT_IN_FLIGHT_MAX);
    }
    fill_request(request, call, checks);
    if (request->n_checks == 1 && call->kind != WIRE_CALL_CHECK_BATCH &&
        wire_check_problem(&request->checks[0], message, cap) != WIRE_OK) {
        return SLUICE_INVALID_ARGUMENT;
    }
    size_t n = wire_encode_request(request, client->frame, sizeof client->frame);
    if (n == 0) {
        return problem(SLUICE_INVALID_ARGUMENT, message, cap, "checks: together more than %d bytes",
                       FRAME_BODY_MAX_BYTES);
    }
    if (client->max_retries > 0 && client->kept_bytes + n <= CLIENT_KEPT_MAX_BYTES) {
        (void)keep_frame(call, client->frame, n); /* without it the call is sent once */
    }
    return route(call, client->frame, n, message, cap);
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
    enum sluice_status status = submit(client, call, checks, message, sizeof message);
    if (status != SLUICE_OK && !refuse_call(client, call, status, message)) {
        drop_frame(call);
        client_calls_return(&client->calls, &call);
        return false;
    }
    /* An answer that has arrived wins over the timeout: sockets come first in a turn. */
    ev_init(&call->pause, on_pause_end);
    ev_init(&call->timer, on_call_timer);
    ev_set_priority(&call->timer, EV_MINPRI);
    ev_now_update(client->loop);
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

/* ---- opening and closing ---- */

/* Frees a client without calls; also one that is half made. */
static void destroy(struct sluice_client **client_p) {
    struct sluice_client *client = *client_p;
    *client_p = NULL;
    client_servers_deinit(&client->servers);
    client_calls_deinit(&client->calls);
    wire_codec_destroy(&client->codec);
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
    client->on_failure = options.on_failure;
    client_calls_init(&client->calls);
    list_init(&client->waiting);
    list_init(&client->paused);
    list_init(&client->refused);
    if (!add_servers(client, &options, message, cap)) {
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
        fail_all(&client->servers.items[i].in_flight, SLUICE_CANCELLED,
                 "the client was closed; the check may have been counted");
    }
    fail_all(&client->waiting, SLUICE_CANCELLED, "the client was closed; nothing was sent");
    fail_all(&client->paused, SLUICE_CANCELLED, "the client was closed; no tokens were taken");
    fail_all(&client->refused, SLUICE_CANCELLED, "the client was closed; nothing was sent");
    destroy(client_p);
    if (own_loop != NULL) {
        ev_loop_destroy(own_loop);
    }
}

struct ev_loop *client_own_loop(const struct sluice_client *client) {
    return client->owns_loop ? client->loop : NULL;
}

enum sluice_on_failure client_policy(const struct sluice_client *client) {
    return client->on_failure;
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
