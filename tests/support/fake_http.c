/* fake_http.c — an HTTP server that says what a test tells it to. */
#include "tests/support/fake_http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_REPLIES = 256, REQUEST_BYTES = 4 * 1024 * 1024, TICK_MS = 10 };

struct reply {
    char *bytes; /* NULL: silence */
};

struct fake_http {
    int fd;
    char address[32];
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    bool is_stopping;
    struct reply replies[MAX_REPLIES];
    size_t n_replies, n_given;
    char *heard;
    size_t n_heard;
    FILE *heard_stream;
};

static void must(bool is_good, const char *what) {
    if (!is_good) {
        fprintf(stderr, "fake_http: %s failed\n", what);
        abort();
    }
}

static bool is_stopping(struct fake_http *fake) {
    pthread_mutex_lock(&fake->lock);
    bool is = fake->is_stopping;
    pthread_mutex_unlock(&fake->lock);
    return is;
}

/* False when the fake is to stop first. */
static bool await_readable(struct fake_http *fake, int fd) {
    struct pollfd one = {.fd = fd, .events = POLLIN};
    while (!is_stopping(fake)) {
        if (poll(&one, 1, TICK_MS) > 0) {
            return true;
        }
    }
    return false;
}

static const char *find_header(const char *head, const char *name) {
    const char *line = strcasestr(head, name);
    return line != NULL && line < strstr(head, "\r\n\r\n") ? line : NULL;
}

/* The bytes that the whole request has, once its head is there; 0: not yet. */
static size_t request_bytes(const char *request) {
    const char *end = strstr(request, "\r\n\r\n");
    if (end == NULL) {
        return 0;
    }
    const char *length = find_header(request, "\r\nContent-Length:");
    size_t n_body = length == NULL ? 0 : (size_t)atol(length + strlen("\r\nContent-Length:"));
    return (size_t)(end + 4 - request) + n_body;
}

/* Reads one request into `request`, as text; false when none comes. */
static bool read_request(struct fake_http *fake, int fd, char *request) {
    size_t n = 0;
    request[0] = '\0';
    while (n + 1 < REQUEST_BYTES && await_readable(fake, fd)) {
        ssize_t got = recv(fd, request + n, REQUEST_BYTES - 1 - n, 0);
        if (got <= 0) {
            return false;
        }
        n += (size_t)got;
        request[n] = '\0';
        size_t n_whole = request_bytes(request);
        if (n_whole > 0 && n >= n_whole) {
            return true;
        }
    }
    return false;
}

/* With the lock held. */
static void note_request(struct fake_http *fake, const char *request) {
    static const char *const headers[] = {
        "\r\nAuthorization:", "\r\nContent-Type:", "\r\nIf-Match:", "\r\nIf-None-Match:"};
    const char *body = strstr(request, "\r\n\r\n") + 4;
    fprintf(fake->heard_stream, "%.*s\n", (int)(strstr(request, " HTTP/") - request), request);
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        const char *line = find_header(request, headers[i]);
        if (line != NULL) {
            fprintf(fake->heard_stream, "%.*s\n", (int)strcspn(line + 2, "\r"), line + 2);
        }
    }
    if (*body != '\0') {
        fprintf(fake->heard_stream, "%s\n", body);
    }
    fflush(fake->heard_stream);
}

static void send_all(int fd, const char *bytes) {
    size_t n_bytes = strlen(bytes);
    while (n_bytes > 0) {
        ssize_t n = send(fd, bytes, n_bytes, MSG_NOSIGNAL);
        if (n <= 0) {
            return; /* the client is gone; that is its right */
        }
        bytes += n;
        n_bytes -= (size_t)n;
    }
}

static void serve(struct fake_http *fake, int fd, char *request) {
    static const char unscripted[] =
        "HTTP/1.1 500 Unscripted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    if (!read_request(fake, fd, request)) {
        return;
    }
    pthread_mutex_lock(&fake->lock);
    note_request(fake, request);
    bool is_scripted = fake->n_given < fake->n_replies;
    const char *bytes = is_scripted ? fake->replies[fake->n_given++].bytes : unscripted;
    pthread_mutex_unlock(&fake->lock);
    if (bytes == NULL) {
        (void)await_readable(fake, fd);
    } else {
        send_all(fd, bytes);
    }
}

static void *run(void *arg) {
    struct fake_http *fake = arg;
    char *request = malloc(REQUEST_BYTES);
    must(request != NULL, "malloc");
    while (await_readable(fake, fake->fd)) {
        int fd = accept4(fake->fd, NULL, NULL, SOCK_CLOEXEC);
        must(fd >= 0, "accept");
        serve(fake, fd, request);
        shutdown(fd, SHUT_WR);
        close(fd);
    }
    free(request);
    return NULL;
}

struct fake_http *fake_http_start(void) {
    struct fake_http *fake = calloc(1, sizeof *fake);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    must(fake != NULL, "calloc");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fake->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fake->fd >= 0, "socket");
    must(bind(fake->fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    must(getsockname(fake->fd, (struct sockaddr *)&address, &len) == 0, "getsockname");
    must(listen(fake->fd, 16) == 0, "listen");
    snprintf(fake->address, sizeof fake->address, "127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    fake->heard_stream = open_memstream(&fake->heard, &fake->n_heard);
    must(fake->heard_stream != NULL && fflush(fake->heard_stream) == 0, "open_memstream");
    pthread_mutex_init(&fake->lock, NULL);
    must(pthread_create(&fake->thread, NULL, run, fake) == 0, "pthread_create");
    return fake;
}

void fake_http_stop(struct fake_http **fake_p) {
    struct fake_http *fake = *fake_p;
    *fake_p = NULL;
    if (fake == NULL) {
        return;
    }
    pthread_mutex_lock(&fake->lock);
    fake->is_stopping = true;
    pthread_mutex_unlock(&fake->lock);
    pthread_join(fake->thread, NULL);
    close(fake->fd);
    fclose(fake->heard_stream);
    free(fake->heard);
    for (size_t i = 0; i < fake->n_replies; i++) {
        free(fake->replies[i].bytes);
    }
    pthread_mutex_destroy(&fake->lock);
    free(fake);
}

const char *fake_http_address(const struct fake_http *fake) {
    return fake->address;
}

static void queue(struct fake_http *fake, char *bytes) {
    pthread_mutex_lock(&fake->lock);
    must(fake->n_replies < MAX_REPLIES, "too many replies: queueing");
    fake->replies[fake->n_replies++].bytes = bytes;
    pthread_mutex_unlock(&fake->lock);
}

void fake_http_reply(struct fake_http *fake, int status, const char *body) {
    char *bytes;
    int n = asprintf(
        &bytes,
        "HTTP/1.1 %d Scripted\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
        status, status < 300 ? "application/json" : "application/problem+json", strlen(body), body);
    must(n > 0, "asprintf");
    queue(fake, bytes);
}

void fake_http_reply_often(struct fake_http *fake, int times, int status, const char *body) {
    for (int i = 0; i < times; i++) {
        fake_http_reply(fake, status, body);
    }
}

void fake_http_reply_raw(struct fake_http *fake, const char *bytes) {
    char *copy = strdup(bytes);
    must(copy != NULL, "strdup");
    queue(fake, copy);
}

void fake_http_reply_never(struct fake_http *fake) {
    queue(fake, NULL);
}

char *fake_http_heard(struct fake_http *fake) {
    pthread_mutex_lock(&fake->lock);
    char *copy = strndup(fake->heard, fake->n_heard);
    pthread_mutex_unlock(&fake->lock);
    must(copy != NULL, "strndup");
    return copy;
}

void fake_http_forget(struct fake_http *fake) {
    pthread_mutex_lock(&fake->lock);
    must(fseeko(fake->heard_stream, 0, SEEK_SET) == 0, "fseeko");
    must(fflush(fake->heard_stream) == 0, "fflush");
    pthread_mutex_unlock(&fake->lock);
}
