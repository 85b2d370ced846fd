/* redis_conn.c — one connection to one Redis node; see redis_conn.h for a command's path.
 *
 *   STARTING ─ timer ─> RESOLVING ─ addresses ─> CONNECTING ─ writable ─> GREETING ─ replies ─> UP
 *                        ^  |                        |                       |                  |
 *                  timer |  v            failure     v                       v                  v
 *                     BACKING_OFF <─────────────────────────────────────────────────────────────
 *
 * Commands are taken in every state but BACKING_OFF, and written only in UP. */
#include "server/store/redis_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/base/buf.h"
#include "server/base/clock.h"
#include "server/base/ensure.h"
#include "server/base/hash.h"

enum {
    CONN_MAGIC = 0x7ed15c04,
    FIRST_PAIRINGS = 64,
    READ_BYTES = 16 * 1024, /* hiredis moves what is left of a feed for each KiB parsed: keep feeds small */
    READS_PER_TURN = 8,
    OUTPUT_HIGH_BYTES = 256 * 1024, /* with more unsent, commands stay waiting, where they can be withdrawn */
    REASON_BYTES = 160,
};

#define BACKOFF_MIN_S 0.05
#define BACKOFF_MAX_S 2.0
/* A connection that was up for less counts as one more failed attempt. */
#define STABLE_AFTER_US INT64_C(2000000)
/* Unacknowledged for so long, the kernel gives the connection up; else it takes some fifteen minutes. */
#define UNACKNOWLEDGED_MAX_MS 5000

enum conn_state { CONN_STARTING, CONN_RESOLVING, CONN_CONNECTING, CONN_GREETING, CONN_UP, CONN_BACKING_OFF };

/* A command written, or about to be, and unanswered; NULL once it was withdrawn. */
struct pairing {
    struct redis_command *command;
    uint32_t n_replies_left;
};

struct redis_conn {
    uint32_t magic;
    enum conn_state state;
    struct ev_loop *loop;
    const struct redis_conn_options *options;
    void *arg;
    struct node_addr addr;
    struct resolver_request resolving;
    struct sockaddr_storage addresses[RESOLVER_MAX_ADDRESSES];
    uint32_t n_addresses, next_address;
    uint32_t n_untried; /* of the addresses, from the next on, in a ring */
    int fd;
    ev_io readable, writable;
    ev_timer timer;   /* start, connect timeout or end of the back-off, by state */
    ev_prepare flush; /* active while UP */
    struct redis_reader *reader;
    struct buf out;
    uint64_t n_appended_bytes, n_sent_bytes; /* since connecting */
    struct list waiting;
    uint32_t n_waiting;
    struct pairing *ring; /* cap_ring is a power of two */
    uint64_t first_pairing, end_pairing;
    uint32_t cap_ring;
    uint32_t n_greetings_left;
    uint32_t n_failures; /* in a row */
    int64_t up_at_us;
    unsigned short jitter[3];
};

static struct redis_conn *conn_of(void *data) {
    struct redis_conn *conn = data;
    ensure(conn->magic, ==, CONN_MAGIC);
    return conn;
}

/* ---- state ---- */

static void set_timer(struct redis_conn *conn, double after_s) {
    ev_timer_stop(conn->loop, &conn->timer);
    ev_timer_set(&conn->timer, after_s, 0.);
    ev_timer_start(conn->loop, &conn->timer);
}

static double backoff_s(struct redis_conn *conn) {
    double most_s = BACKOFF_MIN_S;
    for (uint32_t i = 1; i < conn->n_failures && most_s < BACKOFF_MAX_S; i++) {
        most_s *= 2;
    }
    return erand48(conn->jitter) * (most_s < BACKOFF_MAX_S ? most_s : BACKOFF_MAX_S);
}

/* The only place where `state` changes. */
static void change_state(struct redis_conn *conn, enum conn_state state) {
    conn->state = state;
    switch (state) {
    case CONN_STARTING:
        set_timer(conn, 0.);
        return;
    case CONN_RESOLVING:
        set_timer(conn, (double)conn->options->connect_timeout_us * 1e-6);
        return;
    case CONN_CONNECTING:
    case CONN_GREETING:
        return; /* the connect timeout goes on */
    case CONN_UP:
        ev_timer_stop(conn->loop, &conn->timer);
        ev_prepare_start(conn->loop, &conn->flush);
        return;
    case CONN_BACKING_OFF:
        set_timer(conn, backoff_s(conn));
        return;
    }
}

static void end_command(struct redis_command *command, enum redis_command_end end,
                        const struct redis_reply *reply) {
    command->state = REDIS_COMMAND_IDLE;
    command->ended(command, end, reply);
}

static void conn_close(struct redis_conn *conn) {
    resolver_withdraw(&conn->resolving);
    ev_io_stop(conn->loop, &conn->readable);
    ev_io_stop(conn->loop, &conn->writable);
    ev_prepare_stop(conn->loop, &conn->flush);
    if (conn->fd >= 0) {
        close(conn->fd);
        conn->fd = -1;
    }
    buf_deinit(&conn->out);
}

/* The commands may be submitted anew from inside; the state refuses them. */
static void end_all_commands(struct redis_conn *conn) {
    while (conn->first_pairing != conn->end_pairing) {
        struct redis_command *command = conn->ring[conn->first_pairing++ & (conn->cap_ring - 1)].command;
        if (command != NULL) {
            bool was_sent = command->starts_at_byte < conn->n_sent_bytes;
            end_command(command, was_sent ? REDIS_COMMAND_LOST : REDIS_COMMAND_UNSENT, NULL);
        }
    }
    struct list *node;
    while ((node = list_pop_front(&conn->waiting)) != NULL) {
        conn->n_waiting--;
        end_command(list_entry(node, struct redis_command, in_waiting), REDIS_COMMAND_UNSENT, NULL);
    }
}

static void conn_fail_at(struct redis_conn *conn, enum log_level level, const char *reason) {
    char kept[REASON_BYTES]; /* the reason may live in what is about to change */
    snprintf(kept, sizeof kept, "%s", reason);
    bool was_up = conn->state == CONN_UP;
    struct redis_metrics *metrics = conn->options->metrics;
    if (was_up) {
        metric_inc(&metrics->disconnects);
        metric_dec(&metrics->nodes_connected);
    } else {
        metric_inc(&metrics->connects_failed);
    }
    bool was_stable = was_up && clock_mono_us() - conn->up_at_us >= STABLE_AFTER_US;
    conn->n_failures = was_stable ? 1 : conn->n_failures + 1;
    conn_close(conn);
    change_state(conn, CONN_BACKING_OFF);
    conn->options->on_down(conn->arg, was_up, level, kept);
    end_all_commands(conn);
}

static void conn_fail(struct redis_conn *conn, const char *reason) {
    conn_fail_at(conn, LOG_WARN, reason);
}

/* ---- connecting ---- */

static int open_socket(const struct sockaddr_storage *address) {
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    int one = 1;
    unsigned timeout_ms = UNACKNOWLEDGED_MAX_MS;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
    if (connect(fd, (const struct sockaddr *)address, node_addr_socklen(address)) != 0 &&
        errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* To the next of the addresses. */
static void conn_connect(struct redis_conn *conn) {
    change_state(conn, CONN_CONNECTING);
    conn->n_appended_bytes = conn->n_sent_bytes = 0;
    redis_reader_destroy(&conn->reader);
    conn->reader = redis_reader_create();
    if (conn->reader == NULL) {
        conn_fail(conn, "out of memory");
        return;
    }
    const struct sockaddr_storage *address = &conn->addresses[conn->next_address];
    conn->next_address = (conn->next_address + 1) % conn->n_addresses;
    conn->n_untried--;
    conn->fd = open_socket(address);
    if (conn->fd < 0) {
        conn_fail(conn, strerror(errno));
        return;
    }
    ev_io_set(&conn->readable, conn->fd, EV_READ);
    ev_io_set(&conn->writable, conn->fd, EV_WRITE);
    ev_io_start(conn->loop, &conn->writable);
}

/* Should the name not be resolved, the next attempt goes to the addresses that are known. */
static void conn_fail_resolving(struct redis_conn *conn, const char *problem) {
    conn->n_untried = conn->n_addresses;
    conn_fail(conn, problem);
}

static void take_addresses(struct redis_conn *conn, const struct sockaddr_storage *found, uint32_t n_found) {
    memcpy(conn->addresses, found, n_found * sizeof *found);
    conn->n_addresses = conn->n_untried = n_found;
    conn->next_address = 0;
    conn_connect(conn);
}

static void conn_on_resolved(struct resolver_request *request, const struct sockaddr_storage *found,
                             uint32_t n_found, const char *problem) {
    struct redis_conn *conn = conn_of(list_entry(request, struct redis_conn, resolving));
    if (n_found == 0) {
        conn_fail_resolving(conn, problem);
    } else {
        take_addresses(conn, found, n_found);
    }
}

static void conn_resolve(struct redis_conn *conn) {
    struct sockaddr_storage address;
    change_state(conn, CONN_RESOLVING);
    if (conn->n_untried > 0) {
        conn_connect(conn);
    } else if (node_addr_convert(&conn->addr, &address)) {
        take_addresses(conn, &address, 1);
    } else if (conn->options->resolver == NULL ||
               !resolver_ask(conn->options->resolver, &conn->addr, &conn->resolving)) {
        conn_fail_resolving(conn, "cannot look up its name");
    }
}

static void conn_on_timer(struct ev_loop *loop, ev_timer *watcher, int events) {
    (void)loop;
    (void)events;
    struct redis_conn *conn = conn_of(watcher->data);
    switch (conn->state) {
    case CONN_STARTING:
    case CONN_BACKING_OFF:
        conn_resolve(conn);
        return;
    case CONN_RESOLVING:
        conn_fail_resolving(conn, "looking up its name took too long");
        return;
    case CONN_CONNECTING:
        conn_fail(conn, "connecting took too long");
        return;
    case CONN_GREETING:
        conn_fail(conn, "no reply to the greeting");
        return;
    case CONN_UP:
        return;
    }
}

/* ---- writing ---- */

static bool grow_ring(struct redis_conn *conn) {
    uint32_t cap = conn->cap_ring > 0 ? conn->cap_ring * 2 : FIRST_PAIRINGS;
    struct pairing *ring = malloc(cap * sizeof *ring);
    if (ring == NULL) {
        return false;
    }
    for (uint64_t i = conn->first_pairing; i != conn->end_pairing; i++) {
        ring[i & (cap - 1)] = conn->ring[i & (conn->cap_ring - 1)];
    }
    free(conn->ring);
    conn->ring = ring;
    conn->cap_ring = cap;
    return true;
}

/* Moves one command from waiting to the output and the ring. False, and nothing changed, for want of memory. */
static bool write_command(struct redis_conn *conn, struct redis_command *command) {
    size_t n_bytes = command->head.len + command->tail.len;
    if (conn->end_pairing - conn->first_pairing == conn->cap_ring && !grow_ring(conn)) {
        return false;
    }
    uint8_t *out = buf_reserve(&conn->out, n_bytes);
    if (out == NULL) {
        return false;
    }
    if (command->head.len > 0) {
        memcpy(out, command->head.data, command->head.len);
    }
    if (command->tail.len > 0) {
        memcpy(out + command->head.len, command->tail.data, command->tail.len);
    }
    buf_commit(&conn->out, n_bytes);
    list_remove(&command->in_waiting);
    conn->n_waiting--;
    command->state = REDIS_COMMAND_PAIRED;
    command->pairing = conn->end_pairing++;
    command->starts_at_byte = conn->n_appended_bytes;
    conn->ring[command->pairing & (conn->cap_ring - 1)] =
        (struct pairing){.command = command, .n_replies_left = command->n_replies};
    conn->n_appended_bytes += n_bytes;
    metric_inc(&conn->options->metrics->commands);
    return true;
}

static void fill_output(struct redis_conn *conn) {
    while (conn->state == CONN_UP && !list_is_empty(&conn->waiting) &&
           buf_len(&conn->out) < OUTPUT_HIGH_BYTES) {
        if (!write_command(conn, list_entry(conn->waiting.next, struct redis_command, in_waiting))) {
            return; /* tried again with the next flush, while the command's deadline allows */
        }
    }
}

/* Writes until nothing is left or the socket is full; then goes on when it is writable. */
static void conn_write(struct redis_conn *conn) {
    for (fill_output(conn); buf_len(&conn->out) > 0; fill_output(conn)) {
        ssize_t n = send(conn->fd, buf_front(&conn->out), buf_len(&conn->out), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            ev_io_start(conn->loop, &conn->writable);
            return;
        }
        if (n < 0) {
            conn_fail(conn, strerror(errno));
            return;
        }
        metric_inc(&conn->options->metrics->writes);
        conn->n_sent_bytes += (uint64_t)n;
        buf_consume(&conn->out, (size_t)n);
    }
    ev_io_stop(conn->loop, &conn->writable);
}

/* Before the loop sleeps: what this turn has queued, unless the socket is full and will say when it is not. */
static void conn_on_flush(struct ev_loop *loop, ev_prepare *watcher, int events) {
    (void)loop;
    (void)events;
    struct redis_conn *conn = conn_of(watcher->data);
    if (!list_is_empty(&conn->waiting) && !ev_is_active(&conn->writable)) {
        conn_write(conn);
    }
}

static void conn_greet(struct redis_conn *conn) {
    change_state(conn, CONN_GREETING);
    conn->n_greetings_left = conn->options->n_greeting_replies;
    if (!buf_append(&conn->out, conn->options->greeting.data, conn->options->greeting.len)) {
        conn_fail(conn, "out of memory");
        return;
    }
    conn->n_appended_bytes += conn->options->greeting.len;
    ev_io_start(conn->loop, &conn->readable);
    conn_write(conn);
}

static void conn_on_writable(struct ev_loop *loop, ev_io *watcher, int events) {
    (void)loop;
    (void)events;
    struct redis_conn *conn = conn_of(watcher->data);
    if (conn->state != CONN_CONNECTING) {
        conn_write(conn);
        return;
    }
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        error = errno;
    }
    if (error != 0) {
        conn_fail(conn, strerror(error));
        return;
    }
    conn_greet(conn);
}

/* ---- reading; these return false once the connection has failed ---- */

static bool take_greeting(struct redis_conn *conn, const struct redis_reply *reply) {
    struct redis_metrics *metrics = conn->options->metrics;
    switch (reply->kind) {
    case REDIS_KIND_STRING:
    case REDIS_KIND_STATUS:
        break;
    case REDIS_KIND_ERROR: {
        char reason[REASON_BYTES];
        int n_bytes = reply->text.len < REASON_BYTES ? (int)reply->text.len : REASON_BYTES;
        snprintf(reason, sizeof reason, "greeting refused: %.*s", n_bytes, (const char *)reply->text.data);
        enum redis_error error = redis_error_of(reply->text);
        metric_inc(redis_metrics_error(metrics, error));
        conn_fail_at(conn, redis_error_level(error), reason);
        return false;
    }
    case REDIS_KIND_INTEGER:
    case REDIS_KIND_NIL:
    case REDIS_KIND_ARRAY: /* among them our own words, when a socket has connected to itself */
        conn_fail(conn, "greeting answered by something that is not Redis");
        return false;
    }
    if (--conn->n_greetings_left == 0) {
        change_state(conn, CONN_UP);
        conn->up_at_us = clock_mono_us();
        conn->next_address = (conn->next_address + conn->n_addresses - 1) % conn->n_addresses; /* this one */
        conn->n_untried = conn->n_addresses;
        metric_inc(&metrics->connects);
        metric_inc(&metrics->nodes_connected);
        conn->options->on_up(conn->arg);
    }
    return true;
}

static bool take_reply(struct redis_conn *conn, const struct redis_reply *reply) {
    if (conn->state == CONN_GREETING) {
        return take_greeting(conn, reply);
    }
    if (conn->first_pairing == conn->end_pairing) {
        conn_fail(conn, "a reply to no command");
        return false;
    }
    struct pairing *pairing = &conn->ring[conn->first_pairing & (conn->cap_ring - 1)];
    if (--pairing->n_replies_left > 0) {
        return true;
    }
    struct redis_command *command = pairing->command;
    conn->first_pairing++;
    metric_inc(&conn->options->metrics->replies);
    if (command == NULL) {
        metric_inc(&conn->options->metrics->late_replies);
    } else {
        end_command(command, REDIS_COMMAND_REPLIED, reply);
    }
    return true;
}

static bool take_bytes(struct redis_conn *conn, const uint8_t *bytes, size_t n_bytes) {
    redis_reader_feed(conn->reader, bytes, n_bytes);
    for (;;) {
        const struct redis_reply *reply;
        switch (redis_reader_next(conn->reader, &reply)) {
        case REDIS_READER_REPLY:
            if (!take_reply(conn, reply)) {
                return false;
            }
            break;
        case REDIS_READER_MORE:
            return true;
        case REDIS_READER_BROKEN:
            conn_fail(conn, redis_reader_problem(conn->reader));
            return false;
        }
    }
}

static void conn_on_readable(struct ev_loop *loop, ev_io *watcher, int events) {
    (void)loop;
    (void)events;
    struct redis_conn *conn = conn_of(watcher->data);
    uint8_t bytes[READ_BYTES];
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t n = recv(conn->fd, bytes, sizeof bytes, 0);
        if (n == 0) {
            conn_fail(conn, "closed by the node");
            return;
        }
        if (n < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
                conn_fail(conn, strerror(errno));
            }
            return;
        }
        if (!take_bytes(conn, bytes, (size_t)n) || (size_t)n < sizeof bytes) {
            return;
        }
    }
}

/* ---- what the cluster calls ---- */

struct redis_conn *redis_conn_create(struct ev_loop *loop, const struct node_addr *addr,
                                     const struct redis_conn_options *options, void *arg) {
    struct redis_conn *conn = malloc(sizeof *conn);
    if (conn == NULL) {
        return NULL;
    }
    *conn = (struct redis_conn){
        .magic = CONN_MAGIC, .loop = loop, .options = options, .arg = arg, .addr = *addr, .fd = -1};
    uint64_t seed = hash_random_seed();
    memcpy(conn->jitter, &seed, sizeof conn->jitter);
    list_init(&conn->waiting);
    resolver_request_init(&conn->resolving, conn_on_resolved);
    ev_io_init(&conn->readable, conn_on_readable, -1, EV_READ);
    ev_io_init(&conn->writable, conn_on_writable, -1, EV_WRITE);
    ev_timer_init(&conn->timer, conn_on_timer, 0., 0.);
    ev_prepare_init(&conn->flush, conn_on_flush);
    ev_set_priority(&conn->flush, EV_MINPRI); /* behind other prepare watchers, which may submit */
    conn->readable.data = conn->writable.data = conn->timer.data = conn->flush.data = conn;
    change_state(conn, CONN_STARTING);
    return conn;
}

void redis_conn_destroy(struct redis_conn **conn) {
    struct redis_conn *old = *conn;
    if (old != NULL) {
        if (old->state == CONN_UP) {
            metric_dec(&old->options->metrics->nodes_connected);
        }
        conn_close(old);
        ev_timer_stop(old->loop, &old->timer);
        redis_reader_destroy(&old->reader);
        free(old->ring);
        old->magic = 0;
        free(old);
    }
    *conn = NULL;
}

enum redis_submit redis_conn_submit(struct redis_conn *conn, struct redis_command *command) {
    ensure(command->state, ==, REDIS_COMMAND_IDLE);
    if (conn->state == CONN_BACKING_OFF) {
        return REDIS_SUBMIT_DOWN;
    }
    if (redis_conn_count_inflight(conn) >= conn->options->max_inflight) {
        return REDIS_SUBMIT_FULL;
    }
    command->state = REDIS_COMMAND_WAITING;
    list_push_back(&conn->waiting, &command->in_waiting);
    conn->n_waiting++;
    return REDIS_SUBMIT_QUEUED;
}

void redis_conn_withdraw(struct redis_conn *conn, struct redis_command *command) {
    switch (command->state) {
    case REDIS_COMMAND_IDLE:
        return;
    case REDIS_COMMAND_WAITING:
        list_remove(&command->in_waiting);
        conn->n_waiting--;
        break;
    case REDIS_COMMAND_PAIRED:
        conn->ring[command->pairing & (conn->cap_ring - 1)].command = NULL;
        break;
    }
    command->state = REDIS_COMMAND_IDLE;
}

const struct node_addr *redis_conn_addr(const struct redis_conn *conn) {
    return &conn->addr;
}

bool redis_conn_is_up(const struct redis_conn *conn) {
    return conn->state == CONN_UP;
}

uint32_t redis_conn_count_inflight(const struct redis_conn *conn) {
    return conn->n_waiting + (uint32_t)(conn->end_pairing - conn->first_pairing);
}

uint64_t redis_conn_count_answered(const struct redis_conn *conn) {
    return conn->first_pairing;
}
