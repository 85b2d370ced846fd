/* tcp_proxy.c — a bad network between two programs on loopback; see tcp_proxy.h.
 *
 * What is read waits in chunks until it is due. Writes block: the two ends are expected to read. */
#include "tests/support/tcp_proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "server/base/list.h"

enum { TICK_MS = 1, DROP_EVERY_TICKS = 100, CHUNK_BYTES = 16 * 1024, BACKLOG = 64, MAX_PAIRS = 64 };

struct chunk {
    struct list in_way;
    int64_t due_at_us;
    size_t n_bytes;
    uint8_t bytes[CHUNK_BYTES];
};

/* One direction of a connection. */
struct way {
    struct net *net;
    struct pair *pair;
    ev_io readable;
    int to_fd;
    bool is_delayed;
    struct list chunks; /* read and not yet passed on */
};

struct pair {
    bool is_open;
    struct way forth, back;
};

struct net {
    struct ev_loop *loop;
    struct tcp_proxy_weather *weather;
    uint16_t target_port;
    ev_io acceptable;
    ev_timer tick;
    unsigned n_ticks;
    bool is_cut;
    struct pair pairs[MAX_PAIRS];
};

static int64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void close_way(struct way *way) {
    struct list *node;
    ev_io_stop(way->net->loop, &way->readable);
    close(way->readable.fd);
    while ((node = list_pop_front(&way->chunks)) != NULL) {
        free(list_entry(node, struct chunk, in_way));
    }
}

static void close_pair(struct pair *pair) {
    pair->is_open = false;
    close_way(&pair->forth);
    close_way(&pair->back);
}

static bool write_all(int fd, const uint8_t *bytes, size_t n_bytes) {
    while (n_bytes > 0) {
        ssize_t n = send(fd, bytes, n_bytes, MSG_NOSIGNAL);
        if (n <= 0 && errno != EINTR) {
            return false;
        }
        bytes += n > 0 ? n : 0;
        n_bytes -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* Passes on what is due. False when the other end is gone; then the pair is closed. */
static bool pass_on(struct way *way) {
    while (!list_is_empty(&way->chunks)) {
        struct chunk *chunk = list_entry(way->chunks.next, struct chunk, in_way);
        if (chunk->due_at_us > now_us()) {
            return true;
        }
        list_remove(&chunk->in_way);
        bool is_written = write_all(way->to_fd, chunk->bytes, chunk->n_bytes);
        free(chunk);
        if (!is_written) {
            close_pair(way->pair);
            return false;
        }
    }
    return true;
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int revents) {
    struct way *way = watcher->data;
    (void)loop;
    (void)revents;
    struct chunk *chunk = malloc(sizeof *chunk);
    ssize_t n = chunk != NULL ? recv(watcher->fd, chunk->bytes, sizeof chunk->bytes, MSG_DONTWAIT) : 0;
    if (n <= 0) {
        free(chunk);
        if (n == 0 || errno != EAGAIN) {
            close_pair(way->pair);
        }
        return;
    }
    chunk->n_bytes = (size_t)n;
    chunk->due_at_us =
        now_us() + (way->is_delayed ? atomic_load(&way->net->weather->delay_ms) * INT64_C(1000) : 0);
    list_push_back(&way->chunks, &chunk->in_way);
    pass_on(way);
}

static struct sockaddr_in loopback(uint16_t port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int connect_to_target(uint16_t port) {
    struct sockaddr_in to = loopback(port);
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void open_way(struct way *way, struct pair *pair, struct net *net, int from_fd, int to_fd) {
    *way = (struct way){.net = net, .pair = pair, .to_fd = to_fd};
    list_init(&way->chunks);
    ev_io_init(&way->readable, on_readable, from_fd, EV_READ);
    way->readable.data = way;
    ev_io_start(net->loop, &way->readable);
}

static void on_acceptable(struct ev_loop *loop, ev_io *watcher, int revents) {
    struct net *net = watcher->data;
    (void)loop;
    (void)revents;
    int on = 1, near_fd = accept4(watcher->fd, NULL, NULL, SOCK_CLOEXEC);
    if (near_fd < 0) {
        return;
    }
    setsockopt(near_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    size_t i = 0;
    while (i < MAX_PAIRS && net->pairs[i].is_open) {
        i++;
    }
    int far_fd = i < MAX_PAIRS ? connect_to_target(net->target_port) : -1;
    if (far_fd < 0) {
        close(near_fd);
        return;
    }
    struct pair *pair = &net->pairs[i];
    pair->is_open = true;
    open_way(&pair->forth, pair, net, near_fd, far_fd);
    open_way(&pair->back, pair, net, far_fd, near_fd);
    pair->back.is_delayed = true;
}

static void set_watching(struct net *net, bool is_on) {
    void (*set)(struct ev_loop *, ev_io *) = is_on ? ev_io_start : ev_io_stop;
    set(net->loop, &net->acceptable);
    for (size_t i = 0; i < MAX_PAIRS; i++) {
        if (net->pairs[i].is_open) {
            set(net->loop, &net->pairs[i].forth.readable);
            set(net->loop, &net->pairs[i].back.readable);
        }
    }
}

static void on_tick(struct ev_loop *loop, ev_timer *watcher, int revents) {
    struct net *net = watcher->data;
    (void)loop;
    (void)revents;
    bool is_cut = atomic_load(&net->weather->is_cut);
    if (is_cut != net->is_cut) {
        net->is_cut = is_cut;
        set_watching(net, !is_cut);
    }
    unsigned drop_percent =
        ++net->n_ticks % DROP_EVERY_TICKS == 0 ? atomic_load(&net->weather->drop_percent) : 0;
    for (size_t i = 0; i < MAX_PAIRS; i++) {
        struct pair *pair = &net->pairs[i];
        if (pair->is_open && drop_percent > (unsigned)random() % 100) {
            close_pair(pair);
        } else if (pair->is_open && !is_cut && pass_on(&pair->forth)) {
            pass_on(&pair->back);
        }
    }
}

bool tcp_proxy_open(struct tcp_proxy *proxy) {
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof address;
    *proxy = (struct tcp_proxy){.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (proxy->listen_fd < 0 || bind(proxy->listen_fd, (struct sockaddr *)&address, len) != 0 ||
        listen(proxy->listen_fd, BACKLOG) != 0 ||
        getsockname(proxy->listen_fd, (struct sockaddr *)&address, &len) != 0) {
        close(proxy->listen_fd);
        return false;
    }
    proxy->port = ntohs(address.sin_port);
    proxy->weather =
        mmap(NULL, sizeof *proxy->weather, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (proxy->weather == MAP_FAILED) {
        close(proxy->listen_fd);
        return false;
    }
    return true;
}

void tcp_proxy_close(struct tcp_proxy *proxy) {
    close(proxy->listen_fd);
    munmap(proxy->weather, sizeof *proxy->weather);
    *proxy = (struct tcp_proxy){.listen_fd = -1};
}

_Noreturn void tcp_proxy_run(struct tcp_proxy *proxy, uint16_t target_port) {
    struct net *net = calloc(1, sizeof *net);
    if (net == NULL) {
        _exit(1);
    }
    net->loop = ev_loop_new(EVFLAG_AUTO);
    net->weather = proxy->weather;
    net->target_port = target_port;
    ev_io_init(&net->acceptable, on_acceptable, proxy->listen_fd, EV_READ);
    net->acceptable.data = net;
    ev_io_start(net->loop, &net->acceptable);
    ev_timer_init(&net->tick, on_tick, TICK_MS / 1e3, TICK_MS / 1e3);
    net->tick.data = net;
    ev_timer_start(net->loop, &net->tick);
    ev_run(net->loop, 0);
    _exit(0);
}
