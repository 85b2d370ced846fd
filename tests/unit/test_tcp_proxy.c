/* test_tcp_proxy.c — the bad network does what it is told, and nothing on a fine day. */
#include "tests/support/test_prelude.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/tcp_proxy.h"
#include "tests/system/frontend.h"

enum { LIMIT_MS = 10000, NOT_BEFORE_MS = 200 };

/* A client, the proxy, and the test itself as the target behind it. */
struct bench {
    struct tcp_proxy proxy, target; /* of the second only the listening socket is used */
    pid_t pid;
    int client_fd, target_fd;
};

static int connect_both(struct bench *bench) {
    bench->client_fd = connect_to(bench->proxy.port);
    bench->target_fd = accept(bench->target.listen_fd, NULL, NULL);
    return bench->client_fd >= 0 && bench->target_fd >= 0 ? 0 : -1;
}

static int set_up(void **state) {
    struct bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    *state = bench;
    assert_true(tcp_proxy_open(&bench->proxy));
    assert_true(tcp_proxy_open(&bench->target));
    bench->pid = fork();
    if (bench->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        tcp_proxy_run(&bench->proxy, bench->target.port);
    }
    assert_true(bench->pid > 0);
    return connect_both(bench);
}

static int tear_down(void **state) {
    struct bench *bench = *state;
    kill(bench->pid, SIGKILL);
    waitpid(bench->pid, NULL, 0);
    close(bench->client_fd);
    close(bench->target_fd);
    tcp_proxy_close(&bench->proxy);
    tcp_proxy_close(&bench->target);
    free(bench);
    return 0;
}

static bool has_news(int fd, int limit_ms) {
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return poll(&one, 1, limit_ms) == 1;
}

static void send_text(int fd, const char *text) {
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void expect_text(int fd, const char *text) {
    char got[64] = "";
    size_t n = 0;
    while (n < strlen(text)) {
        assert_true(has_news(fd, LIMIT_MS));
        ssize_t some = recv(fd, got + n, sizeof got - 1 - n, 0);
        assert_true(some > 0);
        n += (size_t)some;
    }
    assert_string_equal(got, text);
}

static void expect_closed(int fd) {
    char byte;
    assert_true(has_news(fd, LIMIT_MS));
    assert_true(recv(fd, &byte, 1, 0) <= 0);
}

static void test_bytes_pass_both_ways(void **state) {
    struct bench *bench = *state;
    send_text(bench->client_fd, "ping");
    expect_text(bench->target_fd, "ping");
    send_text(bench->target_fd, "pong");
    expect_text(bench->client_fd, "pong");
}

static void test_one_end_closing_closes_the_other(void **state) {
    struct bench *bench = *state;
    shutdown(bench->client_fd, SHUT_RDWR);
    expect_closed(bench->target_fd);
}

static void test_delay_holds_back_what_the_target_sends(void **state) {
    struct bench *bench = *state;
    atomic_store(&bench->proxy.weather->delay_ms, NOT_BEFORE_MS);
    send_text(bench->client_fd, "ping");
    expect_text(bench->target_fd, "ping");
    int64_t sent_at_us = harness_now_us();
    send_text(bench->target_fd, "po");
    send_text(bench->target_fd, "ng");
    expect_text(bench->client_fd, "pong");
    assert_true(harness_now_us() - sent_at_us >= NOT_BEFORE_MS * 1000);
}

static void test_dropped_connections_are_closed_at_both_ends(void **state) {
    struct bench *bench = *state;
    atomic_store(&bench->proxy.weather->drop_percent, 100);
    expect_closed(bench->client_fd);
    expect_closed(bench->target_fd);
}

static void test_cut_network_holds_everything_until_it_is_mended(void **state) {
    struct bench *bench = *state;
    atomic_store(&bench->proxy.weather->is_cut, true);
    harness_sleep_ms(NOT_BEFORE_MS); /* for the proxy to notice */
    send_text(bench->client_fd, "ping");
    assert_false(has_news(bench->target_fd, NOT_BEFORE_MS));
    assert_false(has_news(bench->client_fd, 0));
    atomic_store(&bench->proxy.weather->is_cut, false);
    expect_text(bench->target_fd, "ping");
}

#define PROXY_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        PROXY_TEST(test_bytes_pass_both_ways),
        PROXY_TEST(test_one_end_closing_closes_the_other),
        PROXY_TEST(test_delay_holds_back_what_the_target_sends),
        PROXY_TEST(test_dropped_connections_are_closed_at_both_ends),
        PROXY_TEST(test_cut_network_holds_everything_until_it_is_mended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
