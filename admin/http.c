/* http.c — the admin endpoint's HTTP; see http.h. libmicrohttpd's epoll descriptor is watched by libev.
 *
 *   target ──> head ──> pieces of the body ──> end of the body ──> answer ──> completed
 *                                                   └─> suspended ──> resumed ─┘ */
#include "admin/http.h"

#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/base/ensure.h"
#include "server/base/list.h"
#include "server/net/listener.h"

#define DRAIN_LIMIT_S 0.5

enum {
    EXCHANGE_MAGIC = 0x0a0c3b17,
    CONNECTION_MEMORY_BYTES = 16 * 1024, /* a head must fit; bodies come through it in pieces */
    MAX_BODY_BYTES = 8 * 1024 * 1024,    /* of a refused call, read so that its answer can be heard */
    MAX_LAST_RUNS = 16,                  /* to write the last answers */
};

struct http {
    struct ev_loop *loop;
    const struct admin *admin;
    struct MHD_Daemon *daemon;
    char address[LISTENER_ADDRESS_BYTES];
    struct list suspended; /* exchanges */
    bool is_drained;       /* the time for draining is over */
    ev_io readable;
    ev_timer timer, drain;
};

/* One request and its answer. */
struct exchange {
    uint32_t magic;
    struct http *http;
    struct MHD_Connection *connection;
    char *target;
    struct call *call; /* NULL until the head is there */
    size_t n_body_bytes;
    bool has_run;
    struct list link; /* in `suspended`, or alone */
};

static struct exchange *exchange_of(void *arg) {
    struct exchange *exchange = arg;
    ensure(exchange->magic, ==, EXCHANGE_MAGIC);
    return exchange;
}

/* ---- the answer ---- */

static bool add_header(struct MHD_Response *response, const char *name, const char *value) {
    return value[0] == '\0' || MHD_add_response_header(response, name, value) == MHD_YES;
}

static bool add_headers(struct MHD_Response *response, const struct call_answer *answer) {
    char retry_after[16] = "";
    if (answer->retry_after_s > 0) {
        snprintf(retry_after, sizeof retry_after, "%u", answer->retry_after_s);
    }
    return add_header(response, "Content-Type", answer->content_type) &&
           add_header(response, "ETag", answer->etag) && add_header(response, "Allow", answer->allow) &&
           add_header(response, "Retry-After", retry_after) &&
           add_header(response, "Cache-Control", "no-store") &&
           add_header(response, "WWW-Authenticate", answer->asks_for_token ? "Bearer realm=\"sluice\"" : "");
}

static enum MHD_Result send_answer(struct exchange *exchange) {
    const struct call_answer *answer = &exchange->call->answer;
    struct MHD_Response *response = MHD_create_response_from_buffer(
        buf_len(&answer->body), answer->body.data + answer->body.start, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        return MHD_NO;
    }
    enum MHD_Result result = MHD_NO;
    if (add_headers(response, answer)) {
        result = MHD_queue_response(exchange->connection, answer->status, response);
    }
    MHD_destroy_response(response);
    return result;
}

/* ---- the request, as libmicrohttpd tells it ---- */

/* First of all: the target as it was sent. What is returned is the exchange; NULL closes the connection. */
static void *http_on_target(void *arg, const char *target, struct MHD_Connection *connection) {
    struct exchange *exchange = calloc(1, sizeof *exchange);
    char *copy = strdup(target);
    if (exchange == NULL || copy == NULL) {
        free(exchange);
        free(copy);
        return NULL;
    }
    *exchange =
        (struct exchange){.magic = EXCHANGE_MAGIC, .http = arg, .connection = connection, .target = copy};
    list_init(&exchange->link);
    return exchange;
}

static const char *header(struct MHD_Connection *connection, const char *name) {
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static void peer_address(struct MHD_Connection *connection, char address[CALL_FROM_BYTES]) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    address[0] = '\0';
    if (info == NULL || info->client_addr == NULL) {
        return;
    }
    socklen_t len =
        info->client_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (getnameinfo(info->client_addr, len, address, CALL_FROM_BYTES, NULL, 0, NI_NUMERICHOST) != 0) {
        address[0] = '\0';
    }
}

/* A client that waits to be told to go on with its body is answered at once if the call is refused. */
static enum MHD_Result take_head(struct exchange *exchange, const char *method) {
    struct MHD_Connection *connection = exchange->connection;
    char from[CALL_FROM_BYTES];
    peer_address(connection, from);
    struct call_head head = {
        .method = method,
        .target = exchange->target,
        .from = from,
        .authorization = header(connection, MHD_HTTP_HEADER_AUTHORIZATION),
        .origin = header(connection, MHD_HTTP_HEADER_ORIGIN),
        .content_type = header(connection, MHD_HTTP_HEADER_CONTENT_TYPE),
        .content_length = header(connection, MHD_HTTP_HEADER_CONTENT_LENGTH),
        .if_match = header(connection, MHD_HTTP_HEADER_IF_MATCH),
        .if_none_match = header(connection, MHD_HTTP_HEADER_IF_NONE_MATCH),
    };
    exchange->call = call_open(exchange->http->admin, &head);
    if (exchange->call == NULL) {
        return MHD_NO;
    }
    bool waits = call_is_answered(exchange->call) && header(connection, MHD_HTTP_HEADER_EXPECT) != NULL;
    return waits ? send_answer(exchange) : MHD_YES;
}

/* Refused calls are read to their end, within reason: a connection that is closed with bytes unread loses the answer. */
static enum MHD_Result take_body(struct exchange *exchange, const char *bytes, size_t *n_bytes) {
    exchange->n_body_bytes += *n_bytes;
    call_take_body(exchange->call, bytes, *n_bytes);
    *n_bytes = 0;
    return exchange->n_body_bytes <= MAX_BODY_BYTES ? MHD_YES : MHD_NO;
}

static void exchange_on_answer(void *arg) {
    struct exchange *exchange = exchange_of(arg);
    list_remove(&exchange->link);
    MHD_resume_connection(exchange->connection);
    ev_feed_event(exchange->http->loop, &exchange->http->readable, EV_READ);
}

static enum MHD_Result take_end(struct exchange *exchange) {
    if (!exchange->has_run) {
        exchange->has_run = true;
        call_run(exchange->call);
    }
    if (call_is_answered(exchange->call)) {
        return send_answer(exchange);
    }
    exchange->call->on_answer = exchange_on_answer;
    exchange->call->arg = exchange;
    list_push_back(&exchange->http->suspended, &exchange->link);
    MHD_suspend_connection(exchange->connection);
    return MHD_YES;
}

static enum MHD_Result http_on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                       const char *method, const char *version, const char *upload,
                                       size_t *upload_bytes, void **state) {
    (void)arg;
    (void)connection;
    (void)url;
    (void)version;
    if (*state == NULL) {
        return MHD_NO;
    }
    struct exchange *exchange = exchange_of(*state);
    if (exchange->call == NULL) {
        return take_head(exchange, method);
    }
    return *upload_bytes > 0 ? take_body(exchange, upload, upload_bytes) : take_end(exchange);
}

/* The answer is written, or the connection is gone; a suspended one is neither. */
static void http_on_completed(void *arg, struct MHD_Connection *connection, void **state,
                              enum MHD_RequestTerminationCode how) {
    (void)arg;
    (void)connection;
    (void)how;
    if (*state == NULL) {
        return;
    }
    struct exchange *exchange = exchange_of(*state);
    *state = NULL;
    list_remove(&exchange->link);
    call_close(&exchange->call);
    free(exchange->target);
    exchange->magic = 0;
    free(exchange);
}

/* ---- the loop ---- */

/* Lets libmicrohttpd work and asks when it wants to be woken next. */
static void run_daemon(struct http *http) {
    MHD_run(http->daemon);
    MHD_UNSIGNED_LONG_LONG after_ms;
    ev_timer_stop(http->loop, &http->timer);
    if (MHD_get_timeout(http->daemon, &after_ms) == MHD_YES) {
        ev_timer_set(&http->timer, (ev_tstamp)after_ms / 1e3, 0.);
        ev_timer_start(http->loop, &http->timer);
    }
}

static void http_on_readable(struct ev_loop *loop, ev_io *watcher, int events) {
    (void)loop;
    (void)events;
    run_daemon(list_entry(watcher, struct http, readable));
}

static void http_on_timer(struct ev_loop *loop, ev_timer *watcher, int events) {
    (void)loop;
    (void)events;
    run_daemon(list_entry(watcher, struct http, timer));
}

static void http_on_drain_end(struct ev_loop *loop, ev_timer *watcher, int events) {
    (void)loop;
    (void)events;
    list_entry(watcher, struct http, drain)->is_drained = true;
}

/* ---- lifecycle ---- */

static struct MHD_Daemon *start_daemon(struct http *http, int fd) {
    return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, http_on_request, http,
                            MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned int)HTTP_MAX_CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                            (unsigned int)HTTP_MAX_CONNECTIONS_PER_IP, MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned int)HTTP_IDLE_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            (size_t)CONNECTION_MEMORY_BYTES, MHD_OPTION_URI_LOG_CALLBACK, http_on_target, http,
                            MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, http, MHD_OPTION_END);
}

/* `address` is numeric. */
static bool is_loopback(const char *address) {
    return strncmp(address, "127.", strlen("127.")) == 0 || strncmp(address, "[::1]", strlen("[::1]")) == 0;
}

/* Opens the socket and starts the daemon; false with the reason. */
static bool open_daemon(struct http *http, const struct option_address *address, struct status *status) {
    int fd = listener_open(address, http->address, status);
    if (fd < 0) {
        return false;
    }
    if (http->admin->tokens == NULL && !is_loopback(http->address)) {
        close(fd);
        return status_fail(
            status, "admin_listen: others can reach %s; set admin_tokens, or listen on a loopback address",
            http->address);
    }
    http->daemon = start_daemon(http, fd);
    if (http->daemon == NULL) {
        close(fd);
        return status_fail(status, "cannot start the HTTP server at %s", http->address);
    }
    return true;
}

struct http *http_start(struct ev_loop *loop, const struct option_address *address, const struct admin *admin,
                        struct status *status) {
    struct http *http = calloc(1, sizeof *http);
    if (http == NULL) {
        status_fail(status, "out of memory");
        return NULL;
    }
    http->loop = loop;
    http->admin = admin;
    list_init(&http->suspended);
    if (!open_daemon(http, address, status)) {
        free(http);
        return NULL;
    }
    int epoll_fd = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    ev_io_init(&http->readable, http_on_readable, epoll_fd, EV_READ);
    ev_io_start(loop, &http->readable);
    ev_timer_init(&http->timer, http_on_timer, 0., 0.);
    ev_timer_init(&http->drain, http_on_drain_end, DRAIN_LIMIT_S, 0.);
    return http;
}

/* libmicrohttpd must not be stopped with suspended connections. */
static void drain(struct http *http) {
    int fd = MHD_quiesce_daemon(http->daemon);
    if (fd >= 0) {
        close(fd);
    }
    ev_now_update(http->loop);
    ev_timer_start(http->loop, &http->drain);
    while (!list_is_empty(&http->suspended) && !http->is_drained) {
        ev_run(http->loop, EVRUN_ONCE);
    }
    ev_timer_stop(http->loop, &http->drain);
    while (!list_is_empty(&http->suspended)) {
        struct exchange *exchange = list_entry(http->suspended.next, struct exchange, link);
        call_give_up(exchange->call, "the frontend stops");
    }
    for (int i = 0; i < MAX_LAST_RUNS; i++) {
        MHD_run(http->daemon);
    }
}

void http_stop(struct http **handle) {
    struct http *http = *handle;
    *handle = NULL;
    if (http == NULL) {
        return;
    }
    drain(http);
    ev_io_stop(http->loop, &http->readable);
    ev_timer_stop(http->loop, &http->timer);
    MHD_stop_daemon(http->daemon);
    free(http);
}

const char *http_address(const struct http *http) {
    return http->address;
}
