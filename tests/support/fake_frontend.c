/* fake_frontend.c — a scripted frontend for tests; see fake_frontend.h. */
#include "tests/support/fake_frontend.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/frame.h"
#include "server/base/buf.h"
#include "server/base/list.h"

enum { MAX_PEERS = 8, READ_BYTES = 64 * 1024 };

struct fake_peer {
    struct fake_frontend *fake;
    int fd; /* -1: free */
    ev_io readable, writable;
    struct buf in, out;
};

struct fake_frontend {
    struct ev_loop *loop;
    int fd;
    uint16_t port;
    char address[32];
    unsigned n_accepted;
    size_t slice_bytes;
    ev_io acceptable;
    fake_request_fn on_request;
    void *arg;
    struct wire_codec *codec;
    struct wire_request request;
    struct fake_peer peers[MAX_PEERS];
};

static void must(bool is_true, const char *what) {
    if (!is_true) {
        fprintf(stderr, "fake_frontend: %s\n", what);
        abort();
    }
}

/* ---- peers ---- */

void fake_peer_close(struct fake_peer *peer) {
    if (peer->fd >= 0) {
        ev_io_stop(peer->fake->loop, &peer->readable);
        ev_io_stop(peer->fake->loop, &peer->writable);
        close(peer->fd);
        peer->fd = -1;
        buf_deinit(&peer->in);
        buf_deinit(&peer->out);
    }
}

void fake_peer_reset(struct fake_peer *peer) {
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    must(setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0, "SO_LINGER");
    fake_peer_close(peer);
}

void fake_peer_send(struct fake_peer *peer, const void *bytes, size_t n) {
    must(buf_append(&peer->out, bytes, n), "out of memory");
    ev_io_start(peer->fake->loop, &peer->writable);
}

void fake_peer_answer(struct fake_peer *peer, const struct wire_response *response) {
    static uint8_t frame[FRAME_MAX_BYTES];
    size_t n = wire_encode_response(response, frame, sizeof frame);
    must(n > 0, "the response does not fit a frame");
    fake_peer_send(peer, frame, n);
}

void fake_peer_allow(struct fake_peer *peer, const struct wire_request *request, uint64_t remaining) {
    struct wire_response *response = calloc(1, sizeof *response);
    must(response != NULL, "out of memory");
    response->id = request->id;
    response->call = request->call;
    response->n_items = request->n_checks;
    response->granted = request->all_or_nothing;
    response->reservation_id =
        (struct wire_bytes){(const uint8_t *)FAKE_RESERVATION, WIRE_RESERVATION_ID_BYTES};
    response->booked = (struct wire_booked){.matched = true, .returned = 3, .remaining = remaining};
    for (size_t i = 0; i < request->n_checks; i++) {
        response->items[i].decision = (struct wire_decision){
            .verdict = WIRE_ALLOW,
            .source = WIRE_SOURCE_EMBEDDED,
            .matched = true,
            .remaining = remaining,
            .granted = request->call != WIRE_CALL_PEEK ? request->checks[i].cost : 0,
        };
    }
    fake_peer_answer(peer, response);
    free(response);
}

static void on_writable(struct ev_loop *loop, ev_io *watcher, int revents) {
    struct fake_peer *peer = list_entry(watcher, struct fake_peer, writable);
    (void)revents;
    size_t n = buf_len(&peer->out), slice = peer->fake->slice_bytes;
    ssize_t sent = send(peer->fd, buf_front(&peer->out), slice > 0 && slice < n ? slice : n, MSG_NOSIGNAL);
    if (sent > 0) {
        buf_consume(&peer->out, (size_t)sent);
    }
    if (buf_len(&peer->out) == 0) {
        ev_io_stop(loop, watcher);
    }
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int revents) {
    struct fake_peer *peer = list_entry(watcher, struct fake_peer, readable);
    struct fake_frontend *fake = peer->fake;
    struct frame frame;
    (void)loop;
    (void)revents;
    uint8_t *to = buf_reserve(&peer->in, READ_BYTES);
    must(to != NULL, "out of memory");
    ssize_t n = recv(peer->fd, to, READ_BYTES, MSG_DONTWAIT);
    if (n <= 0) {
        fake_peer_close(peer);
        return;
    }
    buf_commit(&peer->in, (size_t)n);
    while (peer->fd >= 0 && buf_len(&peer->in) > 0 &&
           frame_parse(buf_front(&peer->in), buf_len(&peer->in), &frame) == FRAME_READY) {
        must(wire_decode_request(fake->codec, frame.body, frame.body_bytes, &fake->request) == WIRE_DECODED,
             "a request that cannot be decoded");
        fake->on_request(fake->arg, peer, &fake->request);
        if (peer->fd >= 0) {
            buf_consume(&peer->in, frame.total_bytes);
        }
    }
}

/* ---- the listener ---- */

static void on_acceptable(struct ev_loop *loop, ev_io *watcher, int revents) {
    struct fake_frontend *fake = list_entry(watcher, struct fake_frontend, acceptable);
    int one = 1;
    (void)revents;
    for (size_t i = 0; i < MAX_PEERS; i++) {
        struct fake_peer *peer = &fake->peers[i];
        if (peer->fd < 0) {
            peer->fd = accept4(fake->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            must(peer->fd >= 0, "accept");
            must(setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0, "TCP_NODELAY");
            ev_io_init(&peer->readable, on_readable, peer->fd, EV_READ);
            ev_io_init(&peer->writable, on_writable, peer->fd, EV_WRITE);
            ev_io_start(loop, &peer->readable);
            fake->n_accepted++;
            return;
        }
    }
    must(false, "too many connections");
}

/* Binds 127.0.0.1:*port, and says which port it got. */
static int bind_socket(uint16_t *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t len = sizeof address;
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(fd >= 0, "socket");
    must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0, "SO_REUSEADDR");
    must(bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    must(getsockname(fd, (struct sockaddr *)&address, &len) == 0, "getsockname");
    *port = ntohs(address.sin_port);
    return fd;
}

struct fake_frontend *fake_frontend_start(struct ev_loop *loop, uint16_t port, fake_request_fn on_request,
                                          void *arg) {
    struct fake_frontend *fake = calloc(1, sizeof *fake);
    must(fake != NULL, "out of memory");
    fake->codec = wire_codec_create();
    must(fake->codec != NULL, "out of memory");
    fake->loop = loop;
    fake->on_request = on_request;
    fake->arg = arg;
    for (size_t i = 0; i < MAX_PEERS; i++) {
        fake->peers[i].fake = fake;
        fake->peers[i].fd = -1;
    }
    fake->port = port;
    fake->fd = bind_socket(&fake->port);
    must(listen(fake->fd, MAX_PEERS) == 0, "listen");
    snprintf(fake->address, sizeof fake->address, "127.0.0.1:%u", (unsigned)fake->port);
    ev_io_init(&fake->acceptable, on_acceptable, fake->fd, EV_READ);
    ev_io_start(loop, &fake->acceptable);
    return fake;
}

void fake_frontend_stop(struct fake_frontend **fake_p) {
    struct fake_frontend *fake = *fake_p;
    *fake_p = NULL;
    if (fake == NULL) {
        return;
    }
    fake_frontend_drop_peers(fake);
    ev_io_stop(fake->loop, &fake->acceptable);
    close(fake->fd);
    wire_codec_destroy(&fake->codec);
    free(fake);
}

uint16_t fake_frontend_port(const struct fake_frontend *fake) {
    return fake->port;
}

const char *fake_frontend_address(const struct fake_frontend *fake) {
    return fake->address;
}

unsigned fake_frontend_accepted(const struct fake_frontend *fake) {
    return fake->n_accepted;
}

void fake_frontend_set_slice(struct fake_frontend *fake, size_t n_bytes) {
    fake->slice_bytes = n_bytes;
}

void fake_frontend_drop_peers(struct fake_frontend *fake) {
    for (size_t i = 0; i < MAX_PEERS; i++) {
        fake_peer_close(&fake->peers[i]);
    }
}

uint16_t fake_refusing_port(int *fd) {
    uint16_t port = 0;
    *fd = bind_socket(&port); /* bound but not listening: refused, and nobody else gets the port */
    return port;
}
