/* fake_redis.c — a scripted Redis node for tests; see fake_redis.h. */
#include "tests/support/fake_redis.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/base/buf.h"
#include "server/base/clock.h"

enum { MAX_CLIENTS = 16, MAX_REPLIES = 64, TEXT_BYTES = 4096, MAX_WORDS = 8 };

struct client {
    struct fake_redis *fake;
    int fd; /* -1: free */
    ev_io readable, writable;
    struct buf in, out;
};

struct fake_redis {
    struct ev_loop *loop;
    int fd;
    uint16_t port;
    ev_io acceptable;
    struct client clients[MAX_CLIENTS];
    size_t slice_bytes;
    bool is_deaf;
    int64_t ahead_us;
    char login[TEXT_BYTES], greeting[TEXT_BYTES], slots[TEXT_BYTES], heard[TEXT_BYTES], last[TEXT_BYTES],
        heard_login[TEXT_BYTES], muted[TEXT_BYTES];
    uint8_t raw[TEXT_BYTES]; /* how the last command ended, as it was sent */
    size_t n_raw_bytes;
    char *replies[MAX_REPLIES];
    size_t first_reply, end_reply;
};

static void must(bool is_true, const char *what) {
    if (!is_true) {
        fprintf(stderr, "fake_redis: %s\n", what);
        abort();
    }
}

/* ---- clients ---- */

static void client_close(struct client *client) {
    if (client->fd >= 0) {
        ev_io_stop(client->fake->loop, &client->readable);
        ev_io_stop(client->fake->loop, &client->writable);
        close(client->fd);
        client->fd = -1;
        buf_deinit(&client->in);
        buf_deinit(&client->out);
    }
}

static void client_send(struct client *client, const void *bytes, size_t n_bytes) {
    must(buf_append(&client->out, bytes, n_bytes), "out of memory");
    if (buf_len(&client->out) > 0) {
        ev_io_start(client->fake->loop, &client->writable);
    }
}

static void client_on_writable(struct ev_loop *loop, ev_io *watcher, int events) {
    (void)events;
    struct client *client = watcher->data;
    size_t n_bytes = buf_len(&client->out);
    if (client->fake->slice_bytes > 0 && n_bytes > client->fake->slice_bytes) {
        n_bytes = client->fake->slice_bytes;
    }
    ssize_t n = send(client->fd, buf_front(&client->out), n_bytes, MSG_NOSIGNAL);
    if (n < 0) {
        client_close(client);
        return;
    }
    buf_consume(&client->out, (size_t)n);
    if (buf_len(&client->out) == 0) {
        ev_io_stop(loop, watcher);
    }
}

/* Reads "<mark>NUMBER\r\n" at *at; false when it is not all there. */
static bool take_number(const char *text, size_t len, size_t *at, char mark, size_t *number) {
    const char *end = memmem(text + *at, len - *at, "\r\n", 2);
    if (end == NULL) {
        return false;
    }
    must(text[*at] == mark, "a command that is not RESP");
    *number = strtoul(text + *at + 1, NULL, 10);
    *at = (size_t)(end - text) + 2;
    return true;
}

/* The length of the command at the front and its words; 0 when it is not all there. */
static size_t take_command(const struct buf *in, char *words[MAX_WORDS], size_t *n_words) {
    *n_words = 0;
    if (buf_len(in) == 0) {
        return 0;
    }
    const char *text = (const char *)buf_front(in);
    size_t len = buf_len(in), at = 0, n_announced;
    if (!take_number(text, len, &at, '*', &n_announced)) {
        return 0;
    }
    must(n_announced >= 1 && n_announced <= MAX_WORDS, "a command of too many words");
    while (*n_words < n_announced) {
        size_t n_bytes;
        if (at == len || !take_number(text, len, &at, '$', &n_bytes) || len - at < n_bytes + 2) {
            return 0;
        }
        words[(*n_words)++] = strndup(text + at, n_bytes);
        at += n_bytes + 2;
    }
    return at;
}

static void note_command(struct fake_redis *fake, char *const *words, size_t n_words) {
    must(strlen(fake->heard) + strlen(words[0]) + 2 < sizeof fake->heard, "heard too much");
    strcat(strcat(fake->heard, words[0]), " ");
    fake->last[0] = '\0';
    for (size_t i = 0; i < n_words; i++) {
        size_t n = strlen(fake->last);
        snprintf(fake->last + n, sizeof fake->last - n, "%s%s", i > 0 ? "|" : "", words[i]);
    }
}

static void note_raw(struct fake_redis *fake, const uint8_t *bytes, size_t n_bytes) {
    fake->n_raw_bytes = n_bytes < sizeof fake->raw ? n_bytes : sizeof fake->raw;
    memcpy(fake->raw, bytes + n_bytes - fake->n_raw_bytes, fake->n_raw_bytes);
}

static void answer_time(struct client *client) {
    char resp[80];
    int64_t time_us = clock_wall_us() + client->fake->ahead_us;
    int n = snprintf(resp, sizeof resp, "*2\r\n$10\r\n%010lld\r\n$6\r\n%06lld\r\n",
                     (long long)(time_us / 1000000), (long long)(time_us % 1000000));
    client_send(client, resp, (size_t)n);
}

static void answer_command(struct client *client, const char *word) {
    struct fake_redis *fake = client->fake;
    if (strcmp(word, "AUTH") == 0) {
        memcpy(fake->heard_login, fake->last, sizeof fake->heard_login);
        client_send(client, fake->login, strlen(fake->login));
    } else if (strcmp(word, "SCRIPT") == 0) {
        client_send(client, fake->greeting, strlen(fake->greeting));
    } else if (strcmp(word, "CLUSTER") == 0) {
        client_send(client, fake->slots, strlen(fake->slots));
    } else if (strcmp(word, "TIME") == 0) {
        answer_time(client);
    } else if (fake->first_reply < fake->end_reply) {
        char *reply = fake->replies[fake->first_reply++];
        client_send(client, reply, strlen(reply));
        free(reply);
    }
}

static void client_on_readable(struct ev_loop *loop, ev_io *watcher, int events) {
    (void)loop;
    (void)events;
    struct client *client = watcher->data;
    if (client->fake->is_deaf) {
        ev_io_stop(loop, watcher);
        return;
    }
    uint8_t bytes[4096];
    ssize_t n = recv(client->fd, bytes, sizeof bytes, 0);
    if (n <= 0) {
        client_close(client);
        return;
    }
    must(buf_append(&client->in, bytes, (size_t)n), "out of memory");
    for (;;) {
        char *words[MAX_WORDS];
        size_t n_words;
        size_t n_bytes = take_command(&client->in, words, &n_words);
        if (n_bytes > 0) {
            note_raw(client->fake, buf_front(&client->in), n_bytes);
            buf_consume(&client->in, n_bytes);
            if (strcmp(words[0], client->fake->muted) != 0) {
                note_command(client->fake, words, n_words);
                answer_command(client, words[0]);
            }
        }
        for (size_t i = 0; i < n_words; i++) {
            free(words[i]);
        }
        if (n_bytes == 0) {
            return;
        }
    }
}

static void fake_on_acceptable(struct ev_loop *loop, ev_io *watcher, int events) {
    (void)events;
    struct fake_redis *fake = watcher->data;
    int fd = accept4(fake->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    must(fd >= 0, "accept failed");
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    for (size_t i = 0; i < MAX_CLIENTS; i++) {
        struct client *client = &fake->clients[i];
        if (client->fd < 0) {
            *client = (struct client){.fake = fake, .fd = fd};
            ev_io_init(&client->readable, client_on_readable, fd, EV_READ);
            ev_io_init(&client->writable, client_on_writable, fd, EV_WRITE);
            client->readable.data = client->writable.data = client;
            ev_io_start(loop, &client->readable);
            return;
        }
    }
    must(false, "too many clients");
}

/* ---- what tests call ---- */

struct fake_redis *fake_redis_start(struct ev_loop *loop, uint16_t port) {
    struct fake_redis *fake = calloc(1, sizeof *fake);
    must(fake != NULL, "out of memory");
    fake->loop = loop;
    for (size_t i = 0; i < MAX_CLIENTS; i++) {
        fake->clients[i].fd = -1;
    }
    fake->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    setsockopt(fake->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    must(bind(fake->fd, (struct sockaddr *)&address, len) == 0, "bind failed");
    must(listen(fake->fd, MAX_CLIENTS) == 0, "listen failed");
    must(getsockname(fake->fd, (struct sockaddr *)&address, &len) == 0, "getsockname failed");
    fake->port = ntohs(address.sin_port);
    ev_io_init(&fake->acceptable, fake_on_acceptable, fake->fd, EV_READ);
    fake->acceptable.data = fake;
    ev_io_start(loop, &fake->acceptable);
    fake_redis_set_login(fake, "+OK\r\n");
    fake_redis_set_greeting(fake, "$3\r\nsha\r\n");
    fake_redis_set_slots(fake, "-ERR This instance has cluster support disabled\r\n");
    return fake;
}

void fake_redis_stop(struct fake_redis **fake) {
    struct fake_redis *old = *fake;
    if (old != NULL) {
        fake_redis_drop_clients(old);
        ev_io_stop(old->loop, &old->acceptable);
        close(old->fd);
        while (old->first_reply < old->end_reply) {
            free(old->replies[old->first_reply++]);
        }
        free(old);
    }
    *fake = NULL;
}

uint16_t fake_redis_port(const struct fake_redis *fake) {
    return fake->port;
}

void fake_redis_set_login(struct fake_redis *fake, const char *resp) {
    snprintf(fake->login, sizeof fake->login, "%s", resp);
}

void fake_redis_set_greeting(struct fake_redis *fake, const char *resp) {
    snprintf(fake->greeting, sizeof fake->greeting, "%s", resp);
}

void fake_redis_mute(struct fake_redis *fake, const char *word) {
    snprintf(fake->muted, sizeof fake->muted, "%s", word);
}

void fake_redis_set_slots(struct fake_redis *fake, const char *resp) {
    snprintf(fake->slots, sizeof fake->slots, "%s", resp);
}

void fake_redis_set_ahead(struct fake_redis *fake, int64_t ahead_us) {
    fake->ahead_us = ahead_us;
}

void fake_redis_set_owners(struct fake_redis *fake, const char *host, const struct fake_redis *a, int split,
                           const struct fake_redis *b, int n_holes) {
    char word[64] = "$-1\r\n", resp[TEXT_BYTES];
    if (host != NULL) {
        snprintf(word, sizeof word, "$%zu\r\n%s\r\n", strlen(host), host);
    }
    snprintf(resp, sizeof resp,
             "*2\r\n"
             "*3\r\n:0\r\n:%d\r\n*3\r\n%s:%u\r\n$2\r\nid\r\n"
             "*3\r\n:%d\r\n:%d\r\n*3\r\n%s:%u\r\n$2\r\nid\r\n",
             split - 1, word, (unsigned)a->port, split, 16383 - n_holes, word, (unsigned)b->port);
    fake_redis_set_slots(fake, resp);
}

void fake_redis_reply(struct fake_redis *fake, const char *form, ...) {
    must(fake->end_reply < MAX_REPLIES, "too many replies");
    va_list args;
    va_start(args, form);
    must(vasprintf(&fake->replies[fake->end_reply++], form, args) >= 0, "out of memory");
    va_end(args);
}

void fake_redis_send_bytes(struct fake_redis *fake, const void *bytes, size_t n_bytes) {
    for (size_t i = 0; i < MAX_CLIENTS; i++) {
        if (fake->clients[i].fd >= 0) {
            client_send(&fake->clients[i], bytes, n_bytes);
        }
    }
}

void fake_redis_send(struct fake_redis *fake, const char *resp) {
    fake_redis_send_bytes(fake, resp, strlen(resp));
}

void fake_redis_set_slice(struct fake_redis *fake, size_t n_bytes) {
    fake->slice_bytes = n_bytes;
}

void fake_redis_set_deaf(struct fake_redis *fake, int is_deaf) {
    fake->is_deaf = is_deaf != 0;
    for (size_t i = 0; i < MAX_CLIENTS; i++) {
        if (fake->clients[i].fd >= 0 && !fake->is_deaf) {
            ev_io_start(fake->loop, &fake->clients[i].readable);
        }
    }
}

void fake_redis_drop_clients(struct fake_redis *fake) {
    for (size_t i = 0; i < MAX_CLIENTS; i++) {
        client_close(&fake->clients[i]);
    }
}

const char *fake_redis_heard(const struct fake_redis *fake) {
    return fake->heard;
}

void fake_redis_forget(struct fake_redis *fake) {
    fake->heard[0] = '\0';
}

unsigned fake_redis_count(const struct fake_redis *fake, const char *word) {
    unsigned n = 0;
    size_t len = strlen(word);
    for (const char *at = fake->heard; *at != '\0'; at += strcspn(at, " ") + 1) {
        n += strncmp(at, word, len) == 0 && at[len] == ' ';
    }
    return n;
}

const char *fake_redis_login(const struct fake_redis *fake) {
    return fake->heard_login;
}

const char *fake_redis_last(const struct fake_redis *fake) {
    return fake->last;
}

bool fake_redis_last_ends_in(const struct fake_redis *fake, const void *bytes, size_t n_bytes) {
    enum { LINE_END_BYTES = 2 };
    size_t n = n_bytes + LINE_END_BYTES;
    return n <= fake->n_raw_bytes && memcmp(fake->raw + fake->n_raw_bytes - n, bytes, n_bytes) == 0;
}

/* ---- the loop ---- */

static void clock_on_tick(struct ev_loop *loop, ev_timer *tick, int events) {
    (void)loop;
    (void)events;
    ((struct fake_clock *)tick->data)->n_ticks++;
}

void fake_clock_start(struct fake_clock *clock, struct ev_loop *loop) {
    clock->loop = loop;
    clock->n_ticks = 0;
    ev_timer_init(&clock->tick, clock_on_tick, 0.002, 0.002);
    clock->tick.data = clock;
    ev_timer_start(loop, &clock->tick);
}

void fake_clock_turn(struct fake_clock *clock, const char *waiting_for) {
    if (clock->n_ticks >= 1000) {
        fprintf(stderr, "fake_redis: waited in vain for: %s\n", waiting_for);
        abort();
    }
    ev_run(clock->loop, EVRUN_ONCE);
}

void fake_clock_stop(struct fake_clock *clock) {
    ev_timer_stop(clock->loop, &clock->tick);
}
