/* listener.c — waits for clients at an address; see listener.h. */
#include "server/net/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/base/log.h"

enum { LISTENER_BACKLOG = 1024, PEER_SILENT_MAX_MS = 60000 };
static const double accept_pause_s = 0.1;
static const int64_t log_every_us = 10 * 1000000;

static void format_actual(int fd, char actual[LISTENER_ADDRESS_BYTES]) {
    struct sockaddr_storage name = {0};
    socklen_t len = sizeof name;
    char host[64] = "?", port[8] = "0";
    if (getsockname(fd, (struct sockaddr *)&name, &len) == 0) {
        getnameinfo((struct sockaddr *)&name, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
    }
    snprintf(actual, LISTENER_ADDRESS_BYTES, name.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static int open_at(const struct addrinfo *info) {
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, LISTENER_BACKLOG) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

int listener_open(const struct option_address *address, char actual[LISTENER_ADDRESS_BYTES],
                  struct status *status) {
    char port[8];
    snprintf(port, sizeof port, "%u", (unsigned)address->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    int error = getaddrinfo(address->host, port, &hints, &found);
    if (error != 0) {
        status_fail(status, "%s: %s", address->host, gai_strerror(error));
        return -1;
    }
    int fd = -1;
    for (const struct addrinfo *info = found; info != NULL && fd < 0; info = info->ai_next) {
        fd = open_at(info);
    }
    if (fd < 0) {
        status_fail(status, "cannot listen at %s:%s: %s", address->host, port, strerror(errno));
    } else {
        format_actual(fd, actual);
    }
    freeaddrinfo(found);
    return fd;
}

/* Without these, a client that vanished would keep its place for ever. */
static void set_client_options(int fd) {
    int on = 1;
    unsigned silent_max_ms = PEER_SILENT_MAX_MS;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silent_max_ms, sizeof silent_max_ms);
}

static void pause_accepting(struct listener *listener, int error) {
    metric_inc(&listener->host->metrics->accept_failed);
    uint64_t n_held_back;
    if (log_gate_open(&listener->log_gate, listener->host->now_us, log_every_us, &n_held_back)) {
        log_write(LOG_WARN, "listener", "cannot accept: %s (%llu more since the last such line)",
                  strerror(error), (unsigned long long)n_held_back);
    }
    ev_io_stop(listener->host->loop, &listener->acceptable);
    ev_timer_set(&listener->resume, accept_pause_s, 0.);
    ev_timer_start(listener->host->loop, &listener->resume);
}

/* Takes the next client that waits; returns what accept did. */
static int accept_one(struct listener *listener) {
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        set_client_options(fd);
        conn_adopt(listener->host, fd);
    }
    return fd;
}

static void listener_on_acceptable(struct ev_loop *loop, ev_io *watcher, int events) {
    (void)loop;
    (void)events;
    struct listener *listener = list_entry(watcher, struct listener, acceptable);
    /* One at a time: whoever wakes first would else take all that wait, and the workers' loads differ. */
    if (accept_one(listener) < 0 &&
        (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
        pause_accepting(listener, errno);
    }
}

static void listener_on_resume(struct ev_loop *loop, ev_timer *watcher, int events) {
    (void)events;
    struct listener *listener = list_entry(watcher, struct listener, resume);
    ev_io_start(loop, &listener->acceptable);
}

void listener_start(struct listener *listener, struct conn_host *host, int fd) {
    *listener = (struct listener){.fd = fd, .host = host};
    ev_io_init(&listener->acceptable, listener_on_acceptable, fd, EV_READ);
    ev_timer_init(&listener->resume, listener_on_resume, 0., 0.);
    ev_io_start(host->loop, &listener->acceptable);
}

void listener_drain(struct listener *listener) {
    for (int n = 0; n < LISTENER_BACKLOG && accept_one(listener) >= 0; n++) {
    }
    shutdown(listener->fd, SHUT_RD);
    listener_stop(listener);
}

void listener_stop(struct listener *listener) {
    ev_io_stop(listener->host->loop, &listener->acceptable);
    ev_timer_stop(listener->host->loop, &listener->resume);
}
