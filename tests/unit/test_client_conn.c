/* test_client_conn.c — the connection to one frontend comes up, breaks, and comes up again. */
#include "tests/support/test_prelude.h"

#include <ev.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/client_conn.h"
#include "tests/support/fake_frontend.h"
#include "tests/support/fake_redis.h" /* turn_until */

struct world {
    struct ev_loop *loop;
    struct fake_frontend *fake;
    struct fake_peer *peer; /* the last that asked */
    struct client_conn conn;
    char events[32]; /* the first ones, a letter each: Opened, Frame, Closed */
    unsigned n_requests, n_frames;
    const char *verdict;
};

static void on_request(void *arg, struct fake_peer *peer, const struct wire_request *request) {
    struct world *world = arg;
    world->peer = peer;
    world->n_requests++;
    fake_peer_allow(peer, request, 1);
}

static void note(struct world *world, char letter) {
    size_t n = strlen(world->events);
    if (n + 1 < sizeof world->events) {
        world->events[n] = letter;
    }
}

static const char *on_event(void *owner, struct client_conn *conn, enum client_conn_event event,
                            const struct frame *frame) {
    struct world *world = owner;
    assert_ptr_equal(conn, &world->conn);
    switch (event) {
    case CLIENT_CONN_OPENED:
        assert_int_equal(conn->state, CLIENT_CONN_UP);
        note(world, 'O');
        break;
    case CLIENT_CONN_FRAME:
        assert_non_null(frame);
        note(world, 'F');
        world->n_frames++;
        return world->verdict;
    case CLIENT_CONN_CLOSED:
        assert_int_equal(conn->state, CLIENT_CONN_BACKOFF);
        note(world, 'C');
        break;
    }
    return NULL;
}

static void init_conn(struct world *world, const char *address) {
    char message[512];
    assert_true(client_conn_init(&world->conn, world->loop, address, on_event, world, message, sizeof message));
}

static int set_up(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->loop = ev_loop_new(EVFLAG_AUTO);
    assert_non_null(world->loop);
    world->fake = fake_frontend_start(world->loop, 0, on_request, world);
    *state = world;
    return 0;
}

static int tear_down(void **state) {
    struct world *world = *state;
    client_conn_deinit(&world->conn);
    fake_frontend_stop(&world->fake);
    ev_loop_destroy(world->loop);
    free(world);
    return 0;
}

static void send_ping(struct world *world) {
    static struct wire_request request = {.id = 1, .call = WIRE_CALL_PING};
    uint8_t frame[64];
    size_t n = wire_encode_request(&request, frame, sizeof frame);
    assert_true(client_conn_send(&world->conn, frame, n));
}

static void open_conn(struct world *world) {
    init_conn(world, fake_frontend_address(world->fake));
    client_conn_start(&world->conn);
    turn_until(world->loop, world->conn.state == CLIENT_CONN_UP);
}

static void test_start_opens_on_a_later_turn_and_once(void **state) {
    struct world *world = *state;
    init_conn(world, fake_frontend_address(world->fake));
    assert_false(client_conn_is_hopeful(&world->conn));
    client_conn_start(&world->conn);
    client_conn_start(&world->conn);
    assert_string_equal(world->events, "");
    assert_true(client_conn_is_hopeful(&world->conn));
    assert_false(client_conn_send(&world->conn, "x", 1));
    turn_until(world->loop, world->conn.state == CLIENT_CONN_UP && fake_frontend_accepted(world->fake) == 1);
    assert_string_equal(world->events, "O");
}

static void test_frames_arrive_byte_by_byte(void **state) {
    struct world *world = *state;
    fake_frontend_set_slice(world->fake, 1);
    open_conn(world);
    send_ping(world);
    send_ping(world);
    turn_until(world->loop, strlen(world->events) == 3);
    assert_string_equal(world->events, "OFF");
}

static void test_lost_connection_is_made_again(void **state) {
    struct world *world = *state;
    open_conn(world);
    send_ping(world);
    turn_until(world->loop, strlen(world->events) == 2);
    fake_frontend_drop_peers(world->fake);
    turn_until(world->loop, world->conn.state == CLIENT_CONN_BACKOFF);
    assert_int_equal(world->conn.fault, CLIENT_CONN_LOST);
    assert_non_null(strstr(world->conn.reason, " lost: "));
    assert_true(client_conn_is_hopeful(&world->conn));
    turn_until(world->loop, world->conn.state == CLIENT_CONN_UP);
    assert_string_equal(world->events, "OFCO");
    assert_string_equal(world->conn.reason, "");
}

static void test_refused_connection_is_tried_again_until_it_stands(void **state) {
    struct world *world = *state;
    char address[32], reason[128];
    int fd;
    uint16_t port = fake_refusing_port(&fd);
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    snprintf(reason, sizeof reason, "cannot connect to %s: Connection refused", address);
    init_conn(world, address);
    client_conn_start(&world->conn);
    turn_until(world->loop, world->conn.n_failures == 2);
    assert_string_equal(world->events, "CC");
    assert_int_equal(world->conn.fault, CLIENT_CONN_UNREACHABLE);
    assert_string_equal(world->conn.reason, reason);
    assert_false(client_conn_is_hopeful(&world->conn));
    close(fd);
    fake_frontend_stop(&world->fake);
    world->fake = fake_frontend_start(world->loop, port, on_request, world);
    turn_until(world->loop, world->conn.state == CLIENT_CONN_UP);
    assert_int_not_equal(world->conn.n_failures, 0); /* a connection proves nothing yet ... */
    send_ping(world);
    turn_until(world->loop, world->conn.n_failures == 0); /* ... a frame does */
}

static void test_second_address_is_tried_in_the_same_attempt(void **state) {
    struct world *world = *state;
    struct endpoint second;
    char address[32], message[256];
    int fd;
    snprintf(address, sizeof address, "127.0.0.1:%u", fake_refusing_port(&fd));
    init_conn(world, address);
    assert_true(endpoint_parse(&second, fake_frontend_address(world->fake), message, sizeof message));
    assert_true(endpoint_resolve(&second, message, sizeof message));
    world->conn.endpoint.addresses->ai_next = second.addresses; /* now freed by the conn */
    client_conn_start(&world->conn);
    turn_until(world->loop, world->conn.state == CLIENT_CONN_UP);
    assert_string_equal(world->events, "O");
    assert_ptr_equal(world->conn.address, second.addresses);
    close(fd);
}

static void assert_broken_by(struct world *world, const void *bytes, size_t n, const char *why) {
    char reason[512];
    open_conn(world);
    send_ping(world);
    turn_until(world->loop, strlen(world->events) == 2);
    fake_peer_send(world->peer, bytes, n);
    turn_until(world->loop, world->conn.state == CLIENT_CONN_BACKOFF);
    snprintf(reason, sizeof reason, "connection to %s closed: it sent %s", fake_frontend_address(world->fake),
             why);
    assert_int_equal(world->conn.fault, CLIENT_CONN_BROKEN);
    assert_string_equal(world->conn.reason, reason);
    assert_false(client_conn_is_hopeful(&world->conn));
    assert_string_equal(world->events, "OFC");
}

static void test_bad_flag_byte_ends_the_connection(void **state) {
    assert_broken_by(*state, "HTTP/1.1 400", 12, "a frame whose flag byte is not 0");
}

static void test_too_large_frame_ends_the_connection(void **state) {
    assert_broken_by(*state, "\0\0\1\0\1", 5, "a frame longer than 65536 bytes");
}

static void test_frame_that_the_owner_refuses_ends_the_connection(void **state) {
    struct world *world = *state;
    open_conn(world);
    world->verdict = "nonsense";
    send_ping(world);
    send_ping(world);
    turn_until(world->loop, world->conn.state == CLIENT_CONN_BACKOFF);
    assert_string_equal(world->events, "OFC");
    assert_non_null(strstr(world->conn.reason, "closed: it sent nonsense"));
}

static void test_output_larger_than_the_socket_takes_is_sent_in_order(void **state) {
    struct world *world = *state;
    enum { N_REQUESTS = 8000 };
    static const uint8_t key[WIRE_KEY_MAX_BYTES];
    static struct wire_request request = {
        .call = WIRE_CALL_CHECK, .n_checks = 1, .checks[0] = {.key = {key, sizeof key}}};
    uint8_t frame[WIRE_KEY_MAX_BYTES + 64];
    size_t n = wire_encode_request(&request, frame, sizeof frame);
    int small_bytes = 4096;
    open_conn(world);
    assert_int_equal(setsockopt(world->conn.fd, SOL_SOCKET, SO_SNDBUF, &small_bytes, sizeof small_bytes), 0);
    for (size_t i = 0; i < N_REQUESTS; i++) {
        assert_true(client_conn_send(&world->conn, frame, n));
    }
    turn_until(world->loop, world->n_requests > 0);
    assert_true(buf_len(&world->conn.out) > 0);
    assert_int_equal(world->conn.n_queued_bytes, N_REQUESTS * n);
    assert_int_equal(world->conn.n_sent_bytes, N_REQUESTS * n - buf_len(&world->conn.out));
    assert_true(client_conn_has_sent(&world->conn, world->conn.n_sent_bytes - 1));
    assert_false(client_conn_has_sent(&world->conn, world->conn.n_sent_bytes));
    turn_until(world->loop, world->n_frames == N_REQUESTS);
    assert_int_equal(world->n_requests, N_REQUESTS);
    assert_int_equal(buf_len(&world->conn.out), 0);
    assert_false(ev_is_active(&world->conn.writer));
}

static void test_failed_send_loses_no_answer_that_had_arrived(void **state) {
    struct world *world = *state;
    open_conn(world);
    ev_io_stop(world->loop, &world->conn.reader);
    send_ping(world);
    turn_until(world->loop, world->n_requests == 1);
    ev_run(world->loop, EVRUN_NOWAIT); /* the answer lies in the socket */
    assert_int_equal(shutdown(world->conn.fd, SHUT_WR), 0);
    send_ping(world); /* would raise SIGPIPE */
    turn_until(world->loop, buf_len(&world->conn.out) == 0);
    assert_true(client_conn_has_sent(&world->conn, 0));
    assert_true(world->conn.n_sent_bytes < world->conn.n_queued_bytes);
    assert_false(client_conn_has_sent(&world->conn, world->conn.n_sent_bytes));
    ev_io_start(world->loop, &world->conn.reader);
    turn_until(world->loop, world->conn.state == CLIENT_CONN_BACKOFF);
    assert_string_equal(world->events, "OFC");
    assert_int_equal(world->conn.fault, CLIENT_CONN_LOST);
    assert_int_equal(world->n_requests, 1);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(test_start_opens_on_a_later_turn_and_once),
        test(test_frames_arrive_byte_by_byte),
        test(test_lost_connection_is_made_again),
        test(test_refused_connection_is_tried_again_until_it_stands),
        test(test_second_address_is_tried_in_the_same_attempt),
        test(test_bad_flag_byte_ends_the_connection),
        test(test_too_large_frame_ends_the_connection),
        test(test_frame_that_the_owner_refuses_ends_the_connection),
        test(test_output_larger_than_the_socket_takes_is_sent_in_order),
        test(test_failed_send_loses_no_answer_that_had_arrived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
