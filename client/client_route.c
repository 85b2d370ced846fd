/* client_route.c — where a call goes: to a frontend, or it is held until there is one; see client_route.h. */
#include "client/client_route.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the calls that wait for a connection. */
enum { UNSENT_MAX_BYTES = CLIENT_SERVER_UNSENT_MAX_BYTES };

enum sluice_status client_problem(enum sluice_status status, char *message, size_t cap, const char *format,
                                  ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(message, cap, format, args);
    va_end(args);
    return status;
}

void client_route_drop(struct client_call *call) {
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

void client_route_forget(struct client_call *call) {
    client_hedge_forget(call);
    stop_waiting(call);
    client_route_drop(call);
}

bool client_route_send(struct client_call *call, struct client_server *server, const uint8_t *frame, size_t n) {
    uint64_t place = server->conn.n_queued_bytes;
    if (!client_conn_send(&server->conn, frame, n)) {
        return false;
    }
    stop_waiting(call);
    call->state = CLIENT_CALL_SENT;
    call->server = server;
    call->place = place;
    list_push_back(&server->in_flight, &call->node);
    client_hedge_plan(call);
    return true;
}

bool client_route_keep(struct client_call *call, const uint8_t *frame, size_t n) {
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
    if (!client_route_keep(call, frame, n)) {
        return false;
    }
    client->waiting_bytes += n;
    call->state = CLIENT_CALL_WAITING;
    list_push_back(&client->waiting, &call->node);
    return true;
}

enum sluice_status client_route_call(struct client_call *call, const uint8_t *frame, size_t n, char *message,
                                     size_t cap) {
    struct sluice_client *client = call->client;
    struct client_server *server = client_servers_pick(&client->servers, NULL);
    bool is_any_up = client_servers_is_any_up(&client->servers, NULL), has_memory;
    client_servers_start(&client->servers);
    if (server != NULL) {
        has_memory = client_route_send(call, server, frame, n);
    } else if (!is_any_up && !client_servers_is_any_hopeful(&client->servers)) {
        client_servers_explain(&client->servers, message, cap);
        return SLUICE_UNAVAILABLE;
    } else if (is_any_up || client->waiting_bytes > UNSENT_MAX_BYTES) {
        return client_problem(SLUICE_RESOURCE_EXHAUSTED, message, cap,
                              "more than %d bytes are waiting to be sent", UNSENT_MAX_BYTES);
    } else {
        has_memory = hold_call(call, frame, n);
    }
    return has_memory ? SLUICE_OK : client_problem(SLUICE_RESOURCE_EXHAUSTED, message, cap, "out of memory");
}
