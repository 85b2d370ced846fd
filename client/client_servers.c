/* client_servers.c — the frontends of a client, in turn; see client_servers.h. */
#include "client/client_servers.h"

#include <stdio.h>
#include <stdlib.h>

bool client_servers_init(struct client_servers *servers, size_t cap, char *message, size_t message_cap) {
    *servers = (struct client_servers){.items = calloc(cap, sizeof *servers->items)};
    if (servers->items == NULL) {
        snprintf(message, message_cap, "out of memory");
        return false;
    }
    return true;
}

bool client_servers_add(struct client_servers *servers, struct ev_loop *loop, const char *address,
                        client_conn_event_fn on_event, void *owner, char *message, size_t cap) {
    struct client_server *server = &servers->items[servers->n];
    if (!client_conn_init(&server->conn, loop, address, on_event, owner, message, cap)) {
        return false;
    }
    list_init(&server->in_flight);
    list_init(&server->hedges);
    servers->n++;
    return true;
}

void client_servers_deinit(struct client_servers *servers) {
    for (size_t i = 0; i < servers->n; i++) {
        client_conn_deinit(&servers->items[i].conn);
    }
    free(servers->items);
    *servers = (struct client_servers){0};
}

void client_servers_start(struct client_servers *servers) {
    for (size_t i = 0; i < servers->n; i++) {
        client_conn_start(&servers->items[i].conn);
    }
}

static bool can_send(const struct client_server *server) {
    return server->conn.state == CLIENT_CONN_UP && buf_len(&server->conn.out) <= CLIENT_SERVER_UNSENT_MAX_BYTES;
}

struct client_server *client_servers_pick(struct client_servers *servers, const struct client_server *avoid) {
    struct client_server *picked = NULL;
    bool is_held_back = true;
    for (size_t i = 0; i < servers->n && is_held_back; i++) {
        struct client_server *server = &servers->items[(servers->next + i) % servers->n];
        if (server != avoid && can_send(server)) {
            is_held_back = server->is_silent && !list_is_empty(&server->in_flight);
            picked = picked == NULL || !is_held_back ? server : picked;
        }
    }
    if (picked != NULL) {
        servers->next = (size_t)(picked - servers->items + 1) % servers->n;
    }
    return picked;
}

bool client_servers_is_any_up(const struct client_servers *servers, const struct client_server *avoid) {
    for (size_t i = 0; i < servers->n; i++) {
        if (&servers->items[i] != avoid && servers->items[i].conn.state == CLIENT_CONN_UP) {
            return true;
        }
    }
    return false;
}

bool client_servers_is_any_hopeful(const struct client_servers *servers) {
    for (size_t i = 0; i < servers->n; i++) {
        if (client_conn_is_hopeful(&servers->items[i].conn)) {
            return true;
        }
    }
    return false;
}

void client_servers_explain(const struct client_servers *servers, char *message, size_t cap) {
    const char *reason = servers->items[0].conn.reason;
    if (servers->n == 1) {
        snprintf(message, cap, "%s", reason);
    } else {
        snprintf(message, cap, "none of %zu frontends can be reached; %s", servers->n, reason);
    }
}
