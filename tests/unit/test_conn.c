/* test_conn.c — bytes become frames and frames bytes, whatever their pieces; caps, time-outs and draining hold. */
#include "tests/support/test_prelude.h"

#include <ev.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/frame.h"
#include "server/net/conn.h"

enum { MAX_SEEN = 4096 };

struct bench {
    struct ev_loop *loop;
    struct conn_host host;
    struct conn_metrics metrics;
    int peer;
    bool holds_back; /* count frames as under way instead of answering them */
    uint32_t n_checks_per_frame;
    struct conn *conn;
    int n_frames, n_closed;
    size_t seen_bytes[MAX_SEEN];
};

static void echo_frame(void *arg, struct conn *conn, const uint8_t *body, size_t n_bytes, int64_t now_us) {
    struct bench *bench = arg;
    assert_true(now_us > 0);
    bench->conn = conn;
    conn_count_started(conn, bench->n_checks_per_frame);
    bench->seen_bytes[bench->n_frames++ % MAX_SEEN] = n_bytes;
    if (bench->holds_back) {
        conn_count_inflight(conn, 1);
        return;
    }
    uint8_t *out = conn_reserve(conn, FRAME_HEADER_BYTES + n_bytes);
    assert_non_null(out);
    frame_put_header(out, (uint32_t)n_bytes);
    memcpy(out + FRAME_HEADER_BYTES, body, n_bytes);
    conn_commit(conn, FRAME_HEADER_BYTES + n_bytes);
}

static void note_closed(void *arg, struct conn *conn) {
    (void)conn;
    struct bench *bench = arg;
    bench->n_closed++;
}

static const struct conn_options usual = {.max_connections = 4,
                                          .max_fd = 1000,
                                          .max_inflight = 10,
                                          .max_output_bytes = 1 << 20,
                                          .frame_timeout_us = 60000000};

/* Another client of the same host; returns its end of the socket. */
static int add_client(struct bench *bench) {
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    conn_adopt(&bench->host, pair[1]);
    return pair[0];
}

static void setup(struct bench *bench, const struct conn_options *options) {
    *bench = (struct bench){0};
    bench->loop = ev_loop_new(EVFLAG_AUTO);
    conn_host_init(&bench->host, bench->loop, options, &bench->metrics, echo_frame, note_closed, bench);
    bench->peer = add_client(bench);
}

static void teardown(struct bench *bench) {
    conn_host_deinit(&bench->host);
    ev_loop_destroy(bench->loop);
    close(bench->peer);
}

static void turn(struct bench *bench, int n_turns) {
    for (int i = 0; i < n_turns; i++) {
        ev_run(bench->loop, EVRUN_NOWAIT);
    }
}

static size_t put_frame(uint8_t *to, const char *body) {
    frame_put_header(to, (uint32_t)strlen(body));
    memcpy(to + FRAME_HEADER_BYTES, body, strlen(body));
    return FRAME_HEADER_BYTES + strlen(body);
}

static void expect_peer_gets(struct bench *bench, const void *bytes, size_t n) {
    uint8_t got[4096];
    assert_int_equal(recv(bench->peer, got, sizeof got, 0), n);
    assert_memory_equal(got, bytes, n);
}

static bool peer_sees_end(int peer) {
    uint8_t byte;
    return recv(peer, &byte, 1, 0) == 0;
}

static void test_frames_arrive_byte_by_byte(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, &usual);
    uint8_t bytes[64];
    size_t n = put_frame(bytes, "hello");
    n += put_frame(bytes + n, "");
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(send(bench.peer, bytes + i, 1, 0), 1);
        turn(&bench, 1);
    }
    turn(&bench, 1);
    assert_int_equal(bench.n_frames, 2);
    expect_peer_gets(&bench, bytes, n);
    teardown(&bench);
}

static void test_many_frames_in_one_segment_are_all_served(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, &usual);
    uint8_t bytes[3000];
    size_t n = 0;
    for (int i = 0; i < 3 * CONN_FRAMES_PER_TURN; i++) {
        n += put_frame(bytes + n, "abc");
    }
    assert_int_equal(send(bench.peer, bytes, n, 0), n);
    turn(&bench, 1);
    assert_int_equal(bench.n_frames, CONN_FRAMES_PER_TURN); /* the others get their turn, too */
    turn(&bench, 3);
    assert_int_equal(bench.n_frames, 3 * CONN_FRAMES_PER_TURN);
    expect_peer_gets(&bench, bytes, n);
    teardown(&bench);
}

static void test_many_checks_use_up_a_turn(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, &usual);
    bench.n_checks_per_frame = CONN_CHECKS_PER_TURN / 2;
    uint8_t bytes[64];
    size_t n = 0;
    for (int i = 0; i < 5; i++) {
        n += put_frame(bytes + n, "abc");
    }
    assert_int_equal(send(bench.peer, bytes, n, 0), n);
    turn(&bench, 1);
    assert_int_equal(bench.n_frames, 2);
    turn(&bench, 1);
    assert_int_equal(bench.n_frames, 4);
    turn(&bench, 2);
    expect_peer_gets(&bench, bytes, n);
    teardown(&bench);
}

static void test_descriptors_are_kept_for_others(void **state) {
    (void)state;
    struct bench bench;
    struct conn_options options = usual;
    options.max_fd = 3;
    setup(&bench, &options);
    assert_int_equal(metric_get(&bench.metrics.refused), 1);
    assert_true(peer_sees_end(bench.peer));
    teardown(&bench);
}

static void test_broken_framing_closes(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, &usual);
    assert_int_equal(send(bench.peer, "\1", 1, 0), 1);
    turn(&bench, 2);
    assert_true(peer_sees_end(bench.peer));
    assert_int_equal(metric_get(&bench.metrics.bad_flag), 1);
    int second = add_client(&bench);
    assert_int_equal(send(second, "\0\0\1\0\1", 5, 0), 5);
    turn(&bench, 2);
    assert_true(peer_sees_end(second));
    assert_int_equal(metric_get(&bench.metrics.too_large), 1);
    assert_int_equal(bench.n_closed, 2);
    assert_int_equal(metric_get(&bench.metrics.open), 0);
    close(second);
    teardown(&bench);
}

static void test_half_a_frame_then_silence_closes(void **state) {
    (void)state;
    struct bench bench;
    struct conn_options options = usual;
    options.frame_timeout_us = 1000;
    setup(&bench, &options);
    assert_int_equal(send(bench.peer, "\0\0\0", 3, 0), 3);
    while (bench.n_closed == 0) {
        ev_run(bench.loop, EVRUN_ONCE);
    }
    assert_int_equal(metric_get(&bench.metrics.frame_timeout), 1);
    teardown(&bench);
}

static void test_idle_connection_stays(void **state) {
    (void)state;
    struct bench bench;
    struct conn_options options = usual;
    options.frame_timeout_us = 1000;
    setup(&bench, &options);
    uint8_t bytes[64];
    size_t n = put_frame(bytes, "x");
    assert_int_equal(send(bench.peer, bytes, n, 0), n);
    turn(&bench, 2);
    struct conn *conn = bench.conn;
    assert_false(ev_is_active(&conn->frame_timer));
    teardown(&bench);
}

static void test_idle_connection_has_no_buffers(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, &usual);
    uint8_t bytes[64];
    size_t n = put_frame(bytes, "x");
    assert_int_equal(send(bench.peer, bytes, n + 1, 0), n + 1);
    turn(&bench, 2);
    assert_non_null(bench.conn->in.data); /* the byte of a frame that is to come */
    assert_null(bench.conn->out.data);
    assert_int_equal(send(bench.peer, bytes + 1, n - 1, 0), n - 1);
    turn(&bench, 2);
    assert_int_equal(bench.n_frames, 2);
    assert_null(bench.conn->in.data);
    assert_null(bench.conn->out.data);
    assert_true(bench.host.n_spare > 0);
    teardown(&bench);
}

static void test_many_connections_of_one_turn_are_all_answered(void **state) {
    (void)state;
    enum { N_CLIENTS = 2 * CONN_DIRTY_MAX + 10 };
    struct bench bench;
    struct conn_options options = usual;
    options.max_connections = N_CLIENTS + 1;
    setup(&bench, &options);
    int clients[N_CLIENTS];
    uint8_t bytes[64], got[64];
    size_t n = put_frame(bytes, "x");
    for (int i = 0; i < N_CLIENTS; i++) {
        clients[i] = add_client(&bench);
        assert_int_equal(send(clients[i], bytes, n, 0), n);
    }
    turn(&bench, 4);
    assert_int_equal(bench.n_frames, N_CLIENTS);
    assert_int_equal(bench.host.n_dirty, 0);
    for (int i = 0; i < N_CLIENTS; i++) {
        assert_int_equal(recv(clients[i], got, sizeof got, 0), n);
        close(clients[i]);
    }
    turn(&bench, 4);
    assert_int_equal(metric_get(&bench.metrics.open), 1);
    teardown(&bench);
}

static void test_too_much_under_way_pauses_and_resumes(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, &usual);
    bench.holds_back = true;
    uint8_t bytes[600];
    size_t n = 0;
    for (int i = 0; i < 25; i++) {
        n += put_frame(bytes + n, "abc");
    }
    assert_int_equal(send(bench.peer, bytes, n, 0), n);
    turn(&bench, 5);
    assert_int_equal(bench.n_frames, 10);
    assert_int_equal(metric_get(&bench.metrics.paused), 1);
    conn_count_inflight(bench.conn, -1);
    turn(&bench, 5);
    assert_int_equal(bench.n_frames, 11);
    bench.holds_back = false;
    conn_count_inflight(bench.conn, -10);
    turn(&bench, 5);
    assert_int_equal(bench.n_frames, 25);
    teardown(&bench);
}

static void test_client_that_does_not_read_is_not_read(void **state) {
    (void)state;
    struct bench bench;
    struct conn_options options = usual;
    options.max_output_bytes = 64 * 1024;
    setup(&bench, &options);
    static uint8_t body[32 * 1024 + 1];
    memset(body, 'x', sizeof body - 1);
    static uint8_t bytes[40 * 1024];
    size_t n = put_frame(bytes, (const char *)body), sent = 0;
    for (int i = 0; i < 5000; i++) {
        ssize_t some = send(bench.peer, bytes + sent % n, n - sent % n, 0);
        sent += some > 0 ? (size_t)some : 0;
        turn(&bench, 1);
    }
    assert_true(bench.conn->is_paused);
    assert_true(bench.conn->out.cap <= 256 * 1024);
    assert_true(bench.conn->in.cap <= 256 * 1024);
    assert_true(bench.n_frames < 100);
    uint8_t sink[65536];
    size_t received = 0;
    for (int i = 0; i < 5000 && received < sent / n * n; i++) {
        ssize_t some = recv(bench.peer, sink, sizeof sink, 0);
        received += some > 0 ? (size_t)some : 0;
        turn(&bench, 1);
    }
    assert_int_equal(received, sent / n * n);
    teardown(&bench);
}

static void test_connections_have_a_cap(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, &usual);
    int others[4];
    for (int i = 0; i < 4; i++) {
        others[i] = add_client(&bench);
    }
    assert_int_equal(metric_get(&bench.metrics.refused), 1);
    assert_int_equal(metric_get(&bench.metrics.open), 4);
    assert_true(peer_sees_end(others[3]));
    for (int i = 0; i < 4; i++) {
        close(others[i]);
    }
    turn(&bench, 2);
    assert_int_equal(metric_get(&bench.metrics.open), 1);
    assert_int_equal(metric_get(&bench.metrics.by_peer), 3);
    teardown(&bench);
}

static void test_half_closed_client_still_gets_its_answers(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, &usual);
    bench.holds_back = true;
    uint8_t bytes[64];
    size_t n = put_frame(bytes, "hello");
    assert_int_equal(send(bench.peer, bytes, n, 0), n);
    shutdown(bench.peer, SHUT_WR);
    turn(&bench, 3);
    assert_int_equal(bench.n_closed, 0);
    bench.holds_back = false;
    echo_frame(&bench, bench.conn, (const uint8_t *)"hello", 5, 1);
    conn_count_inflight(bench.conn, -1);
    turn(&bench, 2);
    expect_peer_gets(&bench, bytes, n);
    assert_true(peer_sees_end(bench.peer));
    assert_int_equal(bench.n_closed, 1);
    teardown(&bench);
}

static void test_drain_answers_what_has_arrived_and_lingers(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, &usual);
    uint8_t bytes[64];
    size_t n = put_frame(bytes, "hello");
    assert_int_equal(send(bench.peer, bytes, n, 0), n);
    conn_host_drain(&bench.host);
    assert_int_equal(bench.n_frames, 1);
    turn(&bench, 2);
    expect_peer_gets(&bench, bytes, n);
    assert_true(peer_sees_end(bench.peer));
    assert_int_equal(bench.host.n_lingering, 1);
    assert_int_equal(send(bench.peer, bytes, n, 0), n); /* too late: discarded */
    turn(&bench, 2);
    assert_int_equal(bench.n_frames, 1);
    assert_int_equal(bench.n_closed, 0);
    shutdown(bench.peer, SHUT_WR);
    turn(&bench, 2);
    assert_int_equal(bench.n_closed, 1);
    assert_int_equal(metric_get(&bench.metrics.drained), 1);
    assert_int_equal(bench.host.n_lingering, 0);
    teardown(&bench);
}

static void test_drain_answers_more_than_one_turn_holds(void **state) {
    (void)state;
    enum { N_FRAMES = 5 * CONN_FRAMES_PER_TURN, BODY_BYTES = 90 };
    struct bench bench;
    setup(&bench, &usual);
    static char body[BODY_BYTES + 1];
    memset(body, 'x', BODY_BYTES);
    static uint8_t bytes[N_FRAMES * (FRAME_HEADER_BYTES + BODY_BYTES)];
    size_t n = 0;
    for (int i = 0; i < N_FRAMES; i++) {
        n += put_frame(bytes + n, body);
    }
    assert_true(n > CONN_READ_BYTES);
    assert_int_equal(send(bench.peer, bytes, n, 0), n);
    conn_host_drain(&bench.host);
    turn(&bench, 10);
    assert_int_equal(bench.n_frames, N_FRAMES);
    assert_int_equal(bench.host.n_lingering, 1);
    teardown(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_arrive_byte_by_byte),
        cmocka_unit_test(test_many_frames_in_one_segment_are_all_served),
        cmocka_unit_test(test_many_checks_use_up_a_turn),
        cmocka_unit_test(test_descriptors_are_kept_for_others),
        cmocka_unit_test(test_broken_framing_closes),
        cmocka_unit_test(test_half_a_frame_then_silence_closes),
        cmocka_unit_test(test_idle_connection_stays),
        cmocka_unit_test(test_idle_connection_has_no_buffers),
        cmocka_unit_test(test_many_connections_of_one_turn_are_all_answered),
        cmocka_unit_test(test_too_much_under_way_pauses_and_resumes),
        cmocka_unit_test(test_client_that_does_not_read_is_not_read),
        cmocka_unit_test(test_connections_have_a_cap),
        cmocka_unit_test(test_half_closed_client_still_gets_its_answers),
        cmocka_unit_test(test_drain_answers_what_has_arrived_and_lingers),
        cmocka_unit_test(test_drain_answers_more_than_one_turn_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
