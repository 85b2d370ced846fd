/* test_bench_scrape.c — sums over a page of metrics, and what is said when there is none. */
#include "tests/support/test_prelude.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/cmd/bench_scrape.h"

static const char page[] = "# HELP sluice_cpu_seconds_total CPU time\n"
                           "# TYPE sluice_cpu_seconds_total counter\n"
                           "sluice_cpu_seconds_total 1.250000\n"
                           "sluice_decisions_total{decision=\"allow\",source=\"store\"} 40\n"
                           "sluice_decisions_total{decision=\"deny\",source=\"store\"} 2\n"
                           "sluice_decisions_total_of_something_else 1000\n"
                           "sluice_redis_commands_total 17\n";

static void test_series_of_a_family_are_summed(void **state) {
    struct bench_counters counters = {.n_decisions = 100};
    (void)state;
    assert_true(bench_scrape_read(page, &counters));
    assert_true(counters.cpu_us == 1250000);
    assert_true(counters.n_decisions == 142);
    assert_true(counters.n_store_calls == 17);
}

static void test_a_page_without_a_family_is_refused(void **state) {
    struct bench_counters counters = {0};
    (void)state;
    assert_false(bench_scrape_read("", &counters));
    assert_false(bench_scrape_read("sluice_cpu_seconds_total 1\nsluice_decisions_total 1\n", &counters));
    assert_false(bench_scrape_read("sluice_cpu_seconds_total{\nsluice_decisions_total{a=\"", &counters));
}

/* Answers one connection with the text given, after the request has come. */
struct server {
    pthread_t thread;
    int fd;
    const char *answer;
    char request[256], address[40];
};

static void *serve(void *arg) {
    struct server *server = arg;
    int fd = accept(server->fd, NULL, NULL);
    size_t n = 0;
    while (strstr(server->request, "\r\n\r\n") == NULL && n + 1 < sizeof server->request) {
        ssize_t got = recv(fd, server->request + n, sizeof server->request - 1 - n, 0);
        if (got <= 0) {
            break;
        }
        n += (size_t)got;
    }
    for (const char *at = server->answer; *at != '\0'; at++) {
        (void)!send(fd, at, 1, MSG_NOSIGNAL);
    }
    close(fd);
    return NULL;
}

static void start(struct server *server, const char *answer) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;
    *server = (struct server){.answer = answer, .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(bind(server->fd, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(server->fd, 1), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&at, &len), 0);
    snprintf(server->address, sizeof server->address, "http://127.0.0.1:%u", ntohs(at.sin_port));
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void stop(struct server *server) {
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    close(server->fd);
}

static void test_a_frontend_is_asked_for_its_metrics(void **state) {
    struct server server;
    struct bench_counters counters = {0};
    struct status status = {""};
    char answer[1024];
    (void)state;
    snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n%s", page);
    start(&server, answer);
    if (!bench_scrape_add(server.address, &counters, &status)) {
        fail_msg("%s", status.text);
    }
    stop(&server);
    assert_memory_equal(server.request, "GET /metrics HTTP/1.0\r\n", 23);
    assert_true(counters.n_decisions == 42);
}

static void assert_refused(const char *answer, const char *part) {
    struct server server;
    struct bench_counters counters = {0};
    struct status status = {""};
    start(&server, answer);
    assert_false(bench_scrape_add(server.address + strlen("http://"), &counters, &status));
    stop(&server);
    if (strstr(status.text, part) == NULL) {
        fail_msg("'%s' does not say '%s'", status.text, part);
    }
}

static void test_what_is_no_page_of_metrics_is_refused(void **state) {
    (void)state;
    assert_refused("", "is not HTTP");
    assert_refused("+PONG\r\n\r\n", "is not HTTP");
    assert_refused("HTTP/1.1 200 OK\r\n", "is not HTTP");
    assert_refused("HTTP/1.1 404 Not Found\r\n\r\n", "HTTP status 404");
    assert_refused("HTTP/1.1 200 OK\r\n\r\nsomething\n", "lack what is needed");
}

static void test_an_address_without_a_frontend_is_named(void **state) {
    struct bench_counters counters = {0};
    struct status status = {""};
    (void)state;
    assert_false(bench_scrape_add("127.0.0.1:1", &counters, &status));
    assert_non_null(strstr(status.text, "127.0.0.1:1: Connection refused"));
    assert_false(bench_scrape_add("http://", &counters, &status));
    assert_non_null(strstr(status.text, "host is missing"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_series_of_a_family_are_summed),
        cmocka_unit_test(test_a_page_without_a_family_is_refused),
        cmocka_unit_test(test_a_frontend_is_asked_for_its_metrics),
        cmocka_unit_test(test_what_is_no_page_of_metrics_is_refused),
        cmocka_unit_test(test_an_address_without_a_frontend_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
