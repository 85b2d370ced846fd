/* service_bench.c — a service at one end of a pair of sockets; see service_bench.h. */
#include "tests/support/test_prelude.h"

#include "tests/support/service_bench.h"

#include <sys/socket.h>
#include <unistd.h>

enum { N_TURNS = 3 };

void service_bench_open(struct service_bench *bench, struct limiter *limiter) {
    struct service_options service_options = {.request_timeout_us = 20000, .version = "1.2.3"};
    struct conn_options conn_options = {.max_connections = 4,
                                        .max_fd = 1000,
                                        .max_inflight = 1000,
                                        .max_output_bytes = 1 << 20,
                                        .frame_timeout_us = 1000000};
    int pair[2];
    bench->loop = ev_loop_new(EVFLAG_AUTO);
    bench->service = service_create(&service_options, limiter, &bench->metrics);
    bench->codec = wire_codec_create();
    assert_true(bench->loop != NULL && bench->service != NULL && bench->codec != NULL);
    conn_host_init(&bench->host, bench->loop, &conn_options, &bench->conn_metrics, service_on_frame,
                   service_on_closed, bench->service);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    conn_adopt(&bench->host, pair[1]);
    bench->peer = pair[0];
}

void service_bench_close(struct service_bench *bench) {
    conn_host_deinit(&bench->host);
    service_destroy(&bench->service);
    wire_codec_destroy(&bench->codec);
    ev_loop_destroy(bench->loop);
    close(bench->peer);
}

void service_bench_turn(struct service_bench *bench) {
    for (int i = 0; i < N_TURNS; i++) {
        ev_run(bench->loop, EVRUN_NOWAIT);
    }
}

void service_bench_send_bytes(struct service_bench *bench, const void *bytes, size_t n) {
    assert_int_equal(send(bench->peer, bytes, n, 0), n);
    service_bench_turn(bench);
}

void service_bench_send(struct service_bench *bench) {
    size_t n = wire_encode_request(&bench->request, bench->out, sizeof bench->out);
    assert_true(n > 0);
    service_bench_send_bytes(bench, bench->out, n);
}

const struct wire_response *service_bench_receive(struct service_bench *bench) {
    struct frame frame;
    service_bench_turn(bench);
    ssize_t n = recv(bench->peer, bench->in, sizeof bench->in, 0);
    assert_true(n > 0);
    assert_int_equal(frame_parse(bench->in, (size_t)n, &frame), FRAME_READY);
    assert_int_equal(frame.total_bytes, n);
    assert_int_equal(wire_decode_response(bench->codec, frame.body, frame.body_bytes, &bench->response),
                     WIRE_DECODED);
    return &bench->response;
}

void service_bench_expect_nothing(struct service_bench *bench) {
    uint8_t byte;
    service_bench_turn(bench);
    assert_int_equal(recv(bench->peer, &byte, 1, 0), -1);
}
