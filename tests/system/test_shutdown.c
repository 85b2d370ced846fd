/* test_shutdown.c — on SIGTERM sluiced takes no more clients, answers what it has been asked, and exits 0. */
#include "tests/system/cluster.h"
#include "tests/system/raw_client.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

enum { N_IN_FLIGHT = 200 };

struct world {
    struct harness *harness;
    struct cluster cluster;
    char quotas_path[HARNESS_PATH_BYTES];
};

static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    *state = world;
    world->harness = harness_open();
    cluster_start(world->harness, &world->cluster);
    harness_write(world->harness, "quotas.yaml",
                  "tenants: { t: { r: { limits: [ { rate: 1/h, burst: 1000 } ] } } }\n", world->quotas_path);
    return 0;
}

static int close_world(void **state) {
    struct world *world = *state;
    harness_close(&world->harness);
    free(world);
    return 0;
}

static void start_frontend(struct world *world, struct frontend *frontend) {
    FRONTEND_START(world->harness, frontend, "--quotas", world->quotas_path, "--redis-nodes",
                   world->cluster.nodes);
    frontend_await_status(frontend, "/readyz", 200);
}

static void send_checks(struct raw_client *raw) {
    for (uint64_t id = 1; id <= N_IN_FLIGHT; id++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", (int)id);
        raw_send(raw, raw_check_request(raw, id, raw_check_of("t", "r", key)));
    }
}

/* Takes a decision on each check and returns how many were the store's. */
static size_t receive_answers(struct raw_client *raw) {
    bool is_seen[N_IN_FLIGHT + 1] = {false};
    size_t n_by_store = 0;
    for (size_t i = 0; i < N_IN_FLIGHT; i++) {
        const struct wire_response *response = raw_receive(raw);
        assert_in_range(response->id, 1, N_IN_FLIGHT);
        assert_false(is_seen[response->id]);
        is_seen[response->id] = true;
        assert_int_equal(response->status, WIRE_OK);
        n_by_store += response->items[0].decision.source == WIRE_SOURCE_STORE;
    }
    return n_by_store;
}

static void expect_no_service(uint16_t port) {
    struct frontend gone = {.port = port};
    int fd = connect_to(port);
    if (fd < 0) {
        return; /* refused: good */
    }
    close(fd);
    struct raw_client *late = raw_open(&gone);
    raw_expect_closed(late);
    raw_close(&late);
}

static void test_checks_that_wait_for_redis_get_its_answer_before_the_end(void **state) {
    struct world *world = *state;
    struct frontend frontend;
    start_frontend(world, &frontend);
    struct raw_client *raw = raw_open(&frontend);
    raw_ping(raw, 1);
    cluster_signal_all(&world->cluster, SIGSTOP);
    send_checks(raw);
    frontend_await_metric(&frontend, "sluice_requests_pending", N_IN_FLIGHT);
    kill(frontend.pid, SIGTERM);
    harness_sleep_ms(100);
    cluster_signal_all(&world->cluster, SIGCONT);
    assert_int_equal(receive_answers(raw), N_IN_FLIGHT);
    raw_expect_closed(raw);
    raw_close(&raw);
    frontend_await_end(&frontend);
}

static void test_checks_that_redis_never_answers_are_decided_before_the_end(void **state) {
    struct world *world = *state;
    struct frontend frontend;
    start_frontend(world, &frontend);
    struct raw_client *raw = raw_open(&frontend);
    raw_ping(raw, 1);
    cluster_signal_all(&world->cluster, SIGSTOP);
    send_checks(raw);
    frontend_await_metric(&frontend, "sluice_requests_pending", N_IN_FLIGHT);
    kill(frontend.pid, SIGTERM);
    size_t n_by_store = receive_answers(raw);
    cluster_signal_all(&world->cluster, SIGCONT);
    assert_int_equal(n_by_store, 0);
    raw_expect_closed(raw);
    raw_close(&raw);
    frontend_await_end(&frontend);
}

static void test_requests_sent_just_before_the_signal_are_answered(void **state) {
    struct world *world = *state;
    struct frontend frontend;
    start_frontend(world, &frontend);
    struct raw_client *raw = raw_open(&frontend);
    raw_ping(raw, 1);
    send_checks(raw);
    kill(frontend.pid, SIGTERM);
    assert_int_equal(receive_answers(raw), N_IN_FLIGHT);
    raw_expect_closed(raw);
    raw_close(&raw);
    frontend_await_end(&frontend);
}

static void test_idle_clients_do_not_delay_the_end_and_no_new_ones_are_served(void **state) {
    struct world *world = *state;
    struct frontend frontend;
    start_frontend(world, &frontend);
    struct raw_client *raw = raw_open(&frontend);
    raw_ping(raw, 1);
    int64_t started_at_us = harness_now_us();
    kill(frontend.pid, SIGTERM);
    raw_expect_closed(raw);
    expect_no_service(frontend.port);
    raw_close(&raw);
    frontend_await_end(&frontend);
    assert_in_range(harness_now_us() - started_at_us, 0, 4000000); /* less than drain_timeout */
    assert_int_equal(connect_to(frontend.port), -1);
    assert_int_equal(connect_to(frontend.admin_port), -1);
}

static void test_half_a_frame_does_not_delay_the_end(void **state) {
    struct world *world = *state;
    struct frontend frontend;
    start_frontend(world, &frontend);
    struct raw_client *raw = raw_open(&frontend);
    static const uint8_t half[] = {0, 0, 0, 0, 10, 8, 1};
    raw_ping(raw, 1);
    raw_send_bytes(raw, half, sizeof half);
    kill(frontend.pid, SIGTERM);
    raw_expect_closed(raw);
    raw_close(&raw);
    frontend_await_end(&frontend);
}

static void test_client_that_never_reads_delays_the_end_by_drain_timeout_at_most(void **state) {
    struct world *world = *state;
    struct frontend frontend;
    FRONTEND_START(world->harness, &frontend, "--drain-timeout", "300ms");
    struct raw_client *raw = raw_open(&frontend);
    uint8_t bytes[FRAME_MAX_BYTES];
    size_t n = raw_encode(raw_check_request(raw, 1, raw_check_of("demo", "r", "k")), bytes);
    struct pollfd one = {.fd = raw->fd, .events = POLLOUT};
    while (poll(&one, 1, 500) == 1) { /* until sluiced reads no more */
        send(raw->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    int64_t started_at_us = harness_now_us();
    frontend_stop(&frontend);
    assert_in_range(harness_now_us() - started_at_us, 290000, 4000000);
    raw_close(&raw);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checks_that_wait_for_redis_get_its_answer_before_the_end),
        cmocka_unit_test(test_checks_that_redis_never_answers_are_decided_before_the_end),
        cmocka_unit_test(test_requests_sent_just_before_the_signal_are_answered),
        cmocka_unit_test(test_idle_clients_do_not_delay_the_end_and_no_new_ones_are_served),
        cmocka_unit_test(test_half_a_frame_does_not_delay_the_end),
        cmocka_unit_test(test_client_that_never_reads_delays_the_end_by_drain_timeout_at_most),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
