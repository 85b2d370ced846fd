/* test_listener.c — addresses are understood or refused with a reason; clients get in. */
#include "tests/support/test_prelude.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/net/listener.h"

static void ignore_frame(void *arg, struct conn *conn, const uint8_t *body, size_t n_bytes, int64_t now_us) {
    (void)arg;
    (void)conn;
    (void)body;
    (void)n_bytes;
    (void)now_us;
}

static void ignore_closed(void *arg, struct conn *conn) {
    (void)arg;
    (void)conn;
}

static int connect_to(const char *address) {
    char host[64];
    snprintf(host, sizeof host, "%.*s", (int)(strrchr(address, ':') - address), address);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    assert_int_equal(getaddrinfo(host, strrchr(address, ':') + 1, &hints, &found), 0);
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, found->ai_addr, found->ai_addrlen), 0);
    freeaddrinfo(found);
    return fd;
}

static void test_port_0_gives_a_free_port_and_clients_get_in(void **state) {
    (void)state;
    char actual[LISTENER_ADDRESS_BYTES];
    struct status status;
    struct option_address address = {.host = "127.0.0.1"};
    int fd = listener_open(&address, actual, &status);
    assert_true(fd >= 0);
    assert_memory_equal(actual, "127.0.0.1:", 10);
    assert_true(atoi(actual + 10) > 0);

    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct conn_metrics metrics = {0};
    struct conn_options options = {
        .max_connections = 10, .max_fd = 1000, .max_inflight = 1, .max_output_bytes = 1};
    struct conn_host host;
    struct listener listener;
    conn_host_init(&host, loop, &options, &metrics, ignore_frame, ignore_closed, NULL);
    listener_start(&listener, &host, fd);
    int first = connect_to(actual), second = connect_to(actual);
    while (metric_get(&metrics.accepted) < 2) {
        ev_run(loop, EVRUN_ONCE);
    }
    assert_int_equal(metric_get(&metrics.open), 2);
    listener_stop(&listener);
    conn_host_deinit(&host);
    ev_loop_destroy(loop);
    close(first);
    close(second);
    close(fd);
}

static void test_drained_it_takes_those_who_wait_and_refuses_others(void **state) {
    (void)state;
    char actual[LISTENER_ADDRESS_BYTES];
    struct status status;
    struct option_address address = {.host = "127.0.0.1"};
    int fd = listener_open(&address, actual, &status);
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct conn_metrics metrics = {0};
    struct conn_options options = {
        .max_connections = 10, .max_fd = 1000, .max_inflight = 1, .max_output_bytes = 1};
    struct conn_host host;
    struct listener listener;
    conn_host_init(&host, loop, &options, &metrics, ignore_frame, ignore_closed, NULL);
    listener_start(&listener, &host, fd);
    int first = connect_to(actual), second = connect_to(actual);
    listener_drain(&listener);
    assert_int_equal(metric_get(&metrics.accepted), 2);
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    name.sin_port = htons((uint16_t)atoi(strrchr(actual, ':') + 1));
    int late = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(late, (struct sockaddr *)&name, sizeof name), -1);
    conn_host_deinit(&host);
    ev_loop_destroy(loop);
    close(first);
    close(second);
    close(late);
    close(fd);
}

static void test_taken_port_is_an_error(void **state) {
    (void)state;
    char actual[LISTENER_ADDRESS_BYTES], again[LISTENER_ADDRESS_BYTES];
    struct status status;
    struct option_address address = {.host = "127.0.0.1"};
    int fd = listener_open(&address, actual, &status);
    address.port = (uint16_t)atoi(strrchr(actual, ':') + 1);
    assert_int_equal(listener_open(&address, again, &status), -1);
    assert_non_null(strstr(status.text, "Address already in use"));
    assert_non_null(strstr(status.text, actual));
    close(fd);
}

static void test_unknown_host_is_an_error(void **state) {
    (void)state;
    char actual[LISTENER_ADDRESS_BYTES];
    struct status status = {{0}};
    struct option_address address = {.host = "no.such.host.invalid"};
    assert_int_equal(listener_open(&address, actual, &status), -1);
    assert_memory_equal(status.text, "no.such.host.invalid: ", 22);
}

static void test_ipv6_is_written_in_brackets(void **state) {
    (void)state;
    char actual[LISTENER_ADDRESS_BYTES];
    struct status status;
    struct option_address address = {.host = "::1"};
    int fd = listener_open(&address, actual, &status);
    if (fd < 0) {
        skip(); /* this machine has no IPv6 loopback */
    }
    assert_memory_equal(actual, "[::1]:", 6);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_0_gives_a_free_port_and_clients_get_in),
        cmocka_unit_test(test_drained_it_takes_those_who_wait_and_refuses_others),
        cmocka_unit_test(test_taken_port_is_an_error),
        cmocka_unit_test(test_unknown_host_is_an_error),
        cmocka_unit_test(test_ipv6_is_written_in_brackets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
