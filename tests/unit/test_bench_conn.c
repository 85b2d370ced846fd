/* test_bench_conn.c — frames find their times again; late, strange and missing answers are told apart. */
#include "tests/support/test_prelude.h"

#include <ev.h>
#include <unistd.h>

#include "client/cmd/bench_conn.h"
#include "client/endpoint.h"
#include "server/base/clock.h"
#include "tests/support/fake_frontend.h"
#include "tests/support/fake_redis.h" /* turn_until */

enum { N_SLOTS = 4, MAX_ANSWERS = 16 };

struct world {
    struct ev_loop *loop;
    struct fake_frontend *fake;
    struct fake_peer *peer;
    bool is_silent;
    uint64_t ids[MAX_ANSWERS]; /* of the requests that came */
    unsigned n_requests;
    struct endpoint endpoint;
    struct bench_conn_shared shared;
    struct bench_conn conn;
    char events[MAX_ANSWERS + 1]; /* a letter each: Opened, Answered, Late, closed (X) */
    int64_t due_at_us[MAX_ANSWERS];
    unsigned n_answers, n_lost_frames;
    char reason[512];
    struct wire_request request;
};

static void on_request(void *arg, struct fake_peer *peer, const struct wire_request *request) {
    struct world *world = arg;
    assert_true(world->n_requests < MAX_ANSWERS);
    world->ids[world->n_requests++] = request->id;
    world->peer = peer;
    if (!world->is_silent) {
        fake_peer_allow(peer, request, 1);
    }
}

static void on_event(void *owner, struct bench_conn *conn, const struct bench_conn_event *event) {
    static const char letters[] = {[BENCH_CONN_OPENED] = 'O',
                                   [BENCH_CONN_ANSWERED] = 'A',
                                   [BENCH_CONN_LATE] = 'L',
                                   [BENCH_CONN_LOST] = 'X'};
    struct world *world = owner;
    size_t n = strlen(world->events);
    assert_ptr_equal(conn, &world->conn);
    if (n < MAX_ANSWERS) {
        world->events[n] = letters[event->what];
    }
    if (event->what == BENCH_CONN_ANSWERED) {
        assert_int_equal(event->response->items[0].decision.verdict, WIRE_ALLOW);
        assert_true(event->now_us >= event->due_at_us);
        world->due_at_us[world->n_answers++] = event->due_at_us;
    }
    if (event->what == BENCH_CONN_LOST) {
        world->n_lost_frames += event->n_frames;
        snprintf(world->reason, sizeof world->reason, "%s", event->reason);
    }
}

static void open_conn(struct world *world, const char *address) {
    char message[512];
    assert_true(endpoint_parse(&world->endpoint, address, message, sizeof message));
    assert_true(endpoint_resolve(&world->endpoint, message, sizeof message));
    assert_true(bench_conn_init(&world->conn, &world->shared, world->endpoint.addresses, "there"));
    bench_conn_start(&world->conn);
    assert_string_equal(world->events, "");
}

static int set_up(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->loop = ev_loop_new(EVFLAG_AUTO);
    assert_non_null(world->loop);
    world->fake = fake_frontend_start(world->loop, 0, on_request, world);
    world->shared = (struct bench_conn_shared){.loop = world->loop,
                                               .codec = wire_codec_create(),
                                               .on_event = on_event,
                                               .owner = world,
                                               .n_slots = N_SLOTS};
    assert_non_null(world->shared.codec);
    list_init(&world->shared.unsent);
    world->request = (struct wire_request){.call = WIRE_CALL_CHECK, .n_checks = 1};
    *state = world;
    return 0;
}

static int tear_down(void **state) {
    struct world *world = *state;
    bench_conn_deinit(&world->conn);
    bench_conn_deinit(&world->conn);
    endpoint_deinit(&world->endpoint);
    fake_frontend_stop(&world->fake);
    wire_codec_destroy(&world->shared.codec);
    ev_loop_destroy(world->loop);
    free(world);
    return 0;
}

static void open_to_fake(struct world *world) {
    open_conn(world, fake_frontend_address(world->fake));
    turn_until(world->loop, world->conn.state == BENCH_CONN_UP);
}

static void queue(struct world *world, int64_t due_at_us) {
    assert_true(bench_conn_has_room(&world->conn));
    assert_true(bench_conn_queue(&world->conn, &world->request, due_at_us, clock_mono_us()));
}

static void test_answers_bring_the_time_their_frame_was_due(void **state) {
    struct world *world = *state;
    open_to_fake(world);
    queue(world, 101);
    queue(world, 102);
    queue(world, 103);
    assert_int_equal(world->conn.n_in_flight, 3);
    bench_conn_flush_all(&world->shared);
    turn_until(world->loop, world->n_answers == 3);
    assert_string_equal(world->events, "OAAA");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(world->due_at_us[i], 101 + i);
    }
    assert_int_equal(world->conn.n_in_flight, 0);
    assert_true(world->ids[0] != 0 && world->ids[0] != world->ids[1]);
}

static void test_answers_may_come_in_any_order(void **state) {
    struct world *world = *state;
    static struct wire_request answered = {.call = WIRE_CALL_CHECK, .n_checks = 1};
    open_to_fake(world);
    world->is_silent = true;
    queue(world, 201);
    queue(world, 202);
    bench_conn_flush_all(&world->shared);
    turn_until(world->loop, world->n_requests == 2);
    answered.id = world->ids[1];
    fake_peer_allow(world->peer, &answered, 1);
    answered.id = world->ids[0];
    fake_peer_allow(world->peer, &answered, 1);
    turn_until(world->loop, world->n_answers == 2);
    assert_int_equal(world->due_at_us[0], 202);
    assert_int_equal(world->due_at_us[1], 201);
}

static void test_room_ends_with_the_places(void **state) {
    struct world *world = *state;
    open_conn(world, fake_frontend_address(world->fake));
    assert_false(bench_conn_has_room(&world->conn));
    turn_until(world->loop, world->conn.state == BENCH_CONN_UP);
    for (int i = 0; i < N_SLOTS; i++) {
        queue(world, 1);
    }
    assert_false(bench_conn_has_room(&world->conn));
    bench_conn_flush_all(&world->shared);
    turn_until(world->loop, world->n_answers == N_SLOTS);
    assert_true(bench_conn_has_room(&world->conn));
}

static void test_answers_arrive_byte_by_byte(void **state) {
    struct world *world = *state;
    fake_frontend_set_slice(world->fake, 1);
    open_to_fake(world);
    queue(world, 1);
    queue(world, 2);
    bench_conn_flush_all(&world->shared);
    turn_until(world->loop, world->n_answers == 2);
    assert_string_equal(world->events, "OAA");
}

static void test_an_answer_to_what_was_given_up_is_late(void **state) {
    struct world *world = *state;
    static struct wire_request answered = {.call = WIRE_CALL_CHECK, .n_checks = 1};
    open_to_fake(world);
    world->is_silent = true;
    queue(world, 1);
    bench_conn_flush_all(&world->shared);
    turn_until(world->loop, world->n_requests == 1);
    assert_int_equal(bench_conn_give_up(&world->conn, 1), 0);
    assert_int_equal(bench_conn_give_up(&world->conn, INT64_MAX), 1);
    assert_int_equal(world->conn.n_in_flight, 0);
    world->is_silent = false;
    queue(world, 2); /* takes the same place */
    bench_conn_flush_all(&world->shared);
    answered.id = world->ids[0];
    fake_peer_allow(world->peer, &answered, 1);
    turn_until(world->loop, strlen(world->events) == 3);
    assert_string_equal(world->events, "OLA");
    assert_int_equal(world->due_at_us[0], 2);
}

static void test_a_lost_connection_tells_its_frames_and_comes_back(void **state) {
    struct world *world = *state;
    open_to_fake(world);
    world->is_silent = true;
    queue(world, 1);
    queue(world, 2);
    bench_conn_flush_all(&world->shared);
    turn_until(world->loop, world->n_requests == 2);
    fake_frontend_drop_peers(world->fake);
    turn_until(world->loop, strlen(world->events) == 2);
    assert_string_equal(world->reason, "connection to there lost: closed by the frontend");
    assert_int_equal(world->n_lost_frames, 2);
    assert_false(bench_conn_has_room(&world->conn));
    world->is_silent = false;
    turn_until(world->loop, world->conn.state == BENCH_CONN_UP);
    queue(world, 3);
    bench_conn_flush_all(&world->shared);
    turn_until(world->loop, world->n_answers == 1);
    assert_string_equal(world->events, "OXOA");
}

static void test_nobody_there_is_reported_and_tried_again(void **state) {
    struct world *world = *state;
    char address[32];
    int fd;
    snprintf(address, sizeof address, "127.0.0.1:%u", fake_refusing_port(&fd));
    open_conn(world, address);
    turn_until(world->loop, strlen(world->events) == 2);
    assert_string_equal(world->events, "XX");
    assert_string_equal(world->reason, "cannot connect to there: Connection refused");
    close(fd);
}

static void assert_closed_by(struct world *world, const void *bytes, size_t n_bytes, const char *why) {
    char reason[256];
    open_to_fake(world);
    world->is_silent = true;
    queue(world, 1);
    bench_conn_flush_all(&world->shared);
    turn_until(world->loop, world->n_requests == 1);
    fake_peer_send(world->peer, bytes, n_bytes);
    turn_until(world->loop, strlen(world->events) == 2);
    snprintf(reason, sizeof reason, "connection to there lost: it sent %s", why);
    assert_string_equal(world->reason, reason);
    assert_int_equal(world->n_lost_frames, 1);
}

static void test_what_is_no_frame_ends_the_connection(void **state) {
    assert_closed_by(*state, "HTTP/1.1 400", 12, "a frame whose flag byte is not 0");
}

static void test_what_is_no_response_ends_the_connection(void **state) {
    assert_closed_by(*state, "\0\0\0\0\1\xff", 6, "what is no response");
}

static void test_an_answer_to_nothing_ends_the_connection(void **state) {
    assert_closed_by(*state, "\0\0\0\0\2\x08\x7f", 7, "an answer to what was not asked");
}

int main(void) {
#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_answers_bring_the_time_their_frame_was_due),
        WITH_WORLD(test_answers_may_come_in_any_order),
        WITH_WORLD(test_room_ends_with_the_places),
        WITH_WORLD(test_answers_arrive_byte_by_byte),
        WITH_WORLD(test_an_answer_to_what_was_given_up_is_late),
        WITH_WORLD(test_a_lost_connection_tells_its_frames_and_comes_back),
        WITH_WORLD(test_nobody_there_is_reported_and_tried_again),
        WITH_WORLD(test_what_is_no_frame_ends_the_connection),
        WITH_WORLD(test_what_is_no_response_ends_the_connection),
        WITH_WORLD(test_an_answer_to_nothing_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
