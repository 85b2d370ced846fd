/* bench_scrape.c — one HTTP/1.0 GET, so that the answer ends with the connection, and sums over its lines. */
#include "client/cmd/bench_scrape.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "client/endpoint.h"
#include "server/base/buf.h"

/* --- the page -------------------------------------------------------------------------------------------- */

/* Adds up every series of a family. */
static bool add_family(const char *page, const char *family, double *sum) {
    size_t n_family = strlen(family);
    bool is_found = false;
    for (const char *line = page; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, family, n_family) != 0 || (line[n_family] != ' ' && line[n_family] != '{')) {
            continue;
        }
        const char *labels_end = line + n_family;
        if (*labels_end == '{') {
            labels_end = line + strcspn(line, "}\n");
            labels_end += *labels_end == '}';
        }
        if (*labels_end == ' ') {
            *sum += strtod(labels_end, NULL);
            is_found = true;
        }
    }
    return is_found;
}

bool bench_scrape_read(const char *page, struct bench_counters *counters) {
    double cpu_s = 0;
    bool is_whole = add_family(page, "sluice_cpu_seconds_total", &cpu_s) &&
                    add_family(page, "sluice_decisions_total", &counters->n_decisions) &&
                    add_family(page, "sluice_redis_commands_total", &counters->n_store_calls);
    counters->cpu_us += cpu_s * 1e6;
    return is_whole;
}

/* --- getting it ------------------------------------------------------------------------------------------ */

static int connect_to(const struct endpoint *endpoint) {
    struct timeval limit = {.tv_sec = BENCH_SCRAPE_TIMEOUT_MS / 1000};
    int error = ENOENT;
    for (const struct addrinfo *to = endpoint->addresses; to != NULL; to = to->ai_next) {
        int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC, to->ai_protocol);
        if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
            setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
            connect(fd, to->ai_addr, to->ai_addrlen) == 0) {
            return fd;
        }
        error = errno;
        if (fd >= 0) {
            close(fd);
        }
    }
    errno = error;
    return -1;
}

/* Reads to the end, and a NUL behind it. */
static bool read_all(int fd, struct buf *in) {
    enum { READ_BYTES = 16 * 1024 };
    while (buf_len(in) < BENCH_SCRAPE_PAGE_MAX_BYTES) {
        uint8_t *to = buf_reserve(in, READ_BYTES);
        if (to == NULL) {
            return false;
        }
        ssize_t n = recv(fd, to, READ_BYTES, 0);
        if (n == 0) {
            return buf_append(in, "", 1);
        }
        if (n < 0 && errno != EINTR) {
            return false;
        }
        buf_commit(in, n > 0 ? (size_t)n : 0);
    }
    errno = EMSGSIZE;
    return false;
}

static bool fetch(int fd, const struct endpoint *endpoint, struct buf *in, struct status *status) {
    char request[ENDPOINT_NAME_BYTES + 64];
    int n = snprintf(request, sizeof request, "GET /metrics HTTP/1.0\r\nHost: %s\r\n\r\n", endpoint->name);
    if (send(fd, request, (size_t)n, MSG_NOSIGNAL) != n || !read_all(fd, in)) {
        return status_fail(status, "metrics of %s cannot be read: %s", endpoint->name, strerror(errno));
    }
    return true;
}

static bool judge(const char *answer, const struct endpoint *endpoint, struct bench_counters *counters,
                  struct status *status) {
    int code = 0;
    const char *head_end = strstr(answer, "\r\n\r\n");
    if (sscanf(answer, "HTTP/%*1[0-9].%*1[0-9] %3d", &code) != 1 || head_end == NULL) {
        return status_fail(status, "metrics of %s: the answer is not HTTP; is this the admin address?",
                           endpoint->name);
    }
    if (code != 200) {
        return status_fail(status, "metrics of %s: HTTP status %d", endpoint->name, code);
    }
    return bench_scrape_read(head_end, counters) ||
           status_fail(status, "metrics of %s lack what is needed; is this a sluiced of another version?",
                       endpoint->name);
}

bool bench_scrape_add(const char *address, struct bench_counters *counters, struct status *status) {
    static const char scheme[] = "http://";
    struct endpoint endpoint = {0};
    struct buf in = {0};
    if (strncmp(address, scheme, strlen(scheme)) == 0) {
        address += strlen(scheme);
    }
    if (!endpoint_parse(&endpoint, address, status->text, sizeof status->text) ||
        !endpoint_resolve(&endpoint, status->text, sizeof status->text)) {
        return false;
    }
    int fd = connect_to(&endpoint);
    bool is_added = fd >= 0 ? fetch(fd, &endpoint, &in, status) &&
                                  judge((const char *)buf_front(&in), &endpoint, counters, status)
                            : status_fail(status, "cannot connect to %s: %s; --admin takes admin addresses",
                                          endpoint.name, strerror(errno));
    if (fd >= 0) {
        close(fd);
    }
    buf_deinit(&in);
    endpoint_deinit(&endpoint);
    return is_added;
}
