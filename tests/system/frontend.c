/* frontend.c — a real sluiced on free ports for a test. */
#include "tests/system/frontend.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    START_LIMIT_MS = 60000,
    STOP_LIMIT_MS = 30000,
    STATUS_LIMIT_MS = 30000,
    METRIC_LIMIT_MS = 10000,
    LEVEL_LIMIT_MS = 10000,
    PAGE_BYTES = 64 * 1024,
};

static void fail_with_log(const struct frontend *frontend, const char *what) {
    char log[4096];
    harness_read(frontend->log_path, log, sizeof log);
    fail_msg("sluiced %s; its log: %s", what, log);
}

/* Waits for "ready checks=127.0.0.1:PORT admin=127.0.0.1:PORT" in what sluiced has written. */
static void await_ready_line(struct frontend *frontend, const char *out_path) {
    int64_t deadline_us = harness_now_us() + START_LIMIT_MS * INT64_C(1000);
    char out[256];
    do {
        if (harness_wait(frontend->harness, frontend->pid, 5) >= 0) {
            frontend->pid = 0;
            fail_with_log(frontend, "ended instead of serving");
        }
        harness_read(out_path, out, sizeof out);
        if (strchr(out, '\n') != NULL) {
            unsigned port = 0, admin_port = 0;
            if (sscanf(out, "ready checks=127.0.0.1:%u admin=127.0.0.1:%u", &port, &admin_port) != 2) {
                fail_msg("sluiced printed no ready line but: %s", out);
            }
            frontend->port = (uint16_t)port;
            frontend->admin_port = (uint16_t)admin_port;
            snprintf(frontend->address, sizeof frontend->address, "127.0.0.1:%u", port);
            return;
        }
    } while (harness_now_us() < deadline_us);
    fail_with_log(frontend, "does not become ready");
}

void frontend_start_as_shipped(struct harness *harness, struct frontend *frontend, const char *const wrapper[],
                               const char *const flags[]) {
    char program[HARNESS_PATH_BYTES], out_path[HARNESS_PATH_BYTES], name[64];
    const char *argv[HARNESS_MAX_WORDS];
    const char *const own[] = {
        harness_program("sluiced", program), "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", NULL,
    };
    size_t n = harness_append_words(argv, 0, wrapper);
    n = harness_append_words(argv, n, own);
    harness_append_words(argv, n, flags);

    *frontend = (struct frontend){.harness = harness};
    snprintf(name, sizeof name, "frontend-%lld.out", (long long)harness_now_us());
    harness_path(harness, name, out_path);
    snprintf(name, sizeof name, "frontend-%lld.log", (long long)harness_now_us());
    harness_path(harness, name, frontend->log_path);
    frontend->pid = harness_spawn(harness, argv, out_path, frontend->log_path, SIGKILL);
    await_ready_line(frontend, out_path);
}

void frontend_start_wrapped(struct harness *harness, struct frontend *frontend, const char *const wrapper[],
                            const char *const flags[]) {
    static const char *const patient[] = {
        "--store-timeout", "2s", "--request-timeout", "5s", "--redis-breaker-silence", "10s", NULL};
    const char *all[HARNESS_MAX_WORDS];
    harness_append_words(all, harness_append_words(all, 0, patient), flags);
    frontend_start_as_shipped(harness, frontend, wrapper, all);
}

void frontend_await_end(struct frontend *frontend) {
    int code = harness_wait(frontend->harness, frontend->pid, STOP_LIMIT_MS);
    if (code != 0) {
        char what[64];
        snprintf(what, sizeof what, code < 0 ? "does not stop" : "ended with exit code %d", code);
        fail_with_log(frontend, what);
    }
    frontend->pid = 0;
}

void frontend_stop(struct frontend *frontend) {
    assert_true(frontend->pid > 0);
    kill(frontend->pid, SIGTERM);
    frontend_await_end(frontend);
}

void frontend_stop_all(struct frontend frontends[], size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (frontends[i].pid > 0) {
            frontend_stop(&frontends[i]);
        }
    }
}

int connect_to(uint16_t port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* Reads until the peer closes; false when that takes too long or the page does not fit. */
static bool read_page(int fd, char *page, size_t cap) {
    size_t n = 0;
    while (n + 1 < cap) {
        struct pollfd one = {.fd = fd, .events = POLLIN};
        if (poll(&one, 1, METRIC_LIMIT_MS) <= 0) {
            return false;
        }
        ssize_t got = recv(fd, page + n, cap - 1 - n, 0);
        if (got <= 0) {
            page[n] = '\0';
            return true;
        }
        n += (size_t)got;
    }
    return false;
}

int frontend_get(const struct frontend *frontend, const char *path, char *body, size_t cap) {
    int fd = connect_to(frontend->admin_port);
    if (fd < 0) {
        return 0;
    }
    char request[256];
    int n =
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", path);
    assert_int_equal(send(fd, request, (size_t)n, MSG_NOSIGNAL), n);
    static char page[PAGE_BYTES];
    bool is_whole = read_page(fd, page, sizeof page);
    close(fd);
    int status = 0;
    const char *end_of_head = strstr(page, "\r\n\r\n");
    if (!is_whole || sscanf(page, "HTTP/1.1 %d", &status) != 1 || end_of_head == NULL) {
        fail_msg("GET %s: no whole answer", path);
    }
    snprintf(body, cap, "%s", end_of_head + 4);
    return status;
}

int frontend_get_status(const struct frontend *frontend, const char *path) {
    char body[256];
    return frontend_get(frontend, path, body, sizeof body);
}

void frontend_await_status(const struct frontend *frontend, const char *path, int status) {
    int64_t deadline_us = harness_now_us() + STATUS_LIMIT_MS * INT64_C(1000);
    while (frontend_get_status(frontend, path) != status) {
        if (harness_now_us() >= deadline_us) {
            fail_msg("%s does not become %d", path, status);
        }
        harness_sleep_ms(20);
    }
}

uint64_t frontend_metric(const struct frontend *frontend, const char *series) {
    static char page[PAGE_BYTES];
    assert_int_equal(frontend_get(frontend, "/metrics", page, sizeof page), 200);
    size_t len = strlen(series);
    for (const char *line = page; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, series, len) == 0 && line[len] == ' ') {
            return strtoull(line + len, NULL, 10);
        }
    }
    fail_msg("/metrics has no %s", series);
    return 0;
}

void frontend_await_metric(const struct frontend *frontend, const char *series, uint64_t value) {
    int64_t deadline_us = harness_now_us() + METRIC_LIMIT_MS * INT64_C(1000);
    uint64_t seen;
    while ((seen = frontend_metric(frontend, series)) != value) {
        if (harness_now_us() >= deadline_us) {
            fail_msg("%s is %llu, not %llu", series, (unsigned long long)seen, (unsigned long long)value);
        }
        harness_sleep_ms(10);
    }
}

static const double level_slack = 0.01;

double frontend_level(const struct frontend *frontend, const char *bucket, const char *limit) {
    char path[128], body[4096], name[64];
    snprintf(path, sizeof path, "/v1/tenants/%s", bucket);
    assert_int_equal(frontend_get(frontend, path, body, sizeof body), 200);
    snprintf(name, sizeof name, "{\"name\":\"%s\",", limit);
    const char *at = strstr(body, name);
    at = at != NULL ? strstr(at, "\"level\":") : NULL;
    assert_non_null(at);
    return strtod(at + strlen("\"level\":"), NULL);
}

void frontend_await_level(const struct frontend *frontend, const char *bucket, const char *limit,
                          double level) {
    int64_t deadline_us = harness_now_us() + LEVEL_LIMIT_MS * INT64_C(1000);
    double seen;
    while ((seen = frontend_level(frontend, bucket, limit)) < level || seen > level + level_slack) {
        if (harness_now_us() > deadline_us) {
            fail_msg("%s of %s has %f left, and should have %f", limit, bucket, seen, level);
        }
        harness_sleep_ms(20);
    }
}
