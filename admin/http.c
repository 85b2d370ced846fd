/* http.c — the admin endpoint's HTTP; see http.h. libmicrohttpd's epoll descriptor is watched by libev. */
#include "admin/http.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/routes.h"
#include "server/base/list.h"
#include "server/net/listener.h"

enum { HTTP_MAX_CONNECTIONS = 64, HTTP_MAX_CONNECTIONS_PER_IP = 32, HTTP_IDLE_TIMEOUT_S = 10 };

struct http {
    struct ev_loop *loop;
    struct server *server;
    struct MHD_Daemon *daemon;
    char address[LISTENER_ADDRESS_BYTES];
    ev_io readable;
    ev_timer timer;
};

static enum MHD_Result send_answer(struct MHD_Connection *connection, struct route_answer *answer) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(buf_len(&answer->body), answer->body.data, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        return MHD_NO;
    }
    enum MHD_Result result = MHD_add_response_header(response, "Content-Type", answer->content_type);
    if (result == MHD_YES && answer->status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        result = MHD_add_response_header(response, "Allow", "GET, HEAD");
    }
    if (result == MHD_YES) {
        result = MHD_queue_response(connection, answer->status, response);
    }
    MHD_destroy_response(response);
    return result;
}

/* libmicrohttpd calls this once with the headers and again with each part of a body; bodies are discarded. */
static enum MHD_Result http_on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                       const char *method, const char *version, const char *upload,
                                       size_t *upload_bytes, void **state) {
    (void)version;
    (void)upload;
    struct http *http = arg;
    if (*state == NULL) {
        *state = http; /* anything but NULL: the headers have been seen */
        return MHD_YES;
    }
    if (*upload_bytes > 0) {
        *upload_bytes = 0;
        return MHD_YES;
    }
    struct route_answer answer = {0};
    routes_answer(http->server, method, url, &answer);
    enum MHD_Result result = send_answer(connection, &answer);
    buf_deinit(&answer.body);
    return result;
}

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

static struct MHD_Daemon *start_daemon(struct http *http, int fd) {
    return MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, http_on_request, http, MHD_OPTION_LISTEN_SOCKET, fd,
                            MHD_OPTION_CONNECTION_LIMIT, (unsigned int)HTTP_MAX_CONNECTIONS,
                            MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned int)HTTP_MAX_CONNECTIONS_PER_IP,
                            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)HTTP_IDLE_TIMEOUT_S, MHD_OPTION_END);
}

struct http *http_start(struct ev_loop *loop, const struct option_address *address, struct server *server,
                        struct status *status) {
    struct http *http = calloc(1, sizeof *http);
    if (http == NULL) {
        status_fail(status, "out of memory");
        return NULL;
    }
    http->loop = loop;
    http->server = server;
    int fd = listener_open(address, http->address, status);
    if (fd < 0) {
        free(http);
        return NULL;
    }
    http->daemon = start_daemon(http, fd);
    if (http->daemon == NULL) {
        status_fail(status, "cannot start the HTTP server at %s", http->address);
        close(fd);
        free(http);
        return NULL;
    }
    int epoll_fd = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    ev_io_init(&http->readable, http_on_readable, epoll_fd, EV_READ);
    ev_io_start(loop, &http->readable);
    ev_timer_init(&http->timer, http_on_timer, 0., 0.);
    return http;
}

void http_stop(struct http **http) {
    if (*http != NULL) {
        ev_io_stop((*http)->loop, &(*http)->readable);
        ev_timer_stop((*http)->loop, &(*http)->timer);
        MHD_stop_daemon((*http)->daemon);
        free(*http);
    }
    *http = NULL;
}

const char *http_address(const struct http *http) {
    return http->address;
}
