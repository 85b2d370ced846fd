/* service_bench.h — a service with one connection, whose other end is the test's; for tests of server/net/service. */
#ifndef SLUICE_TESTS_SERVICE_BENCH_H
#define SLUICE_TESTS_SERVICE_BENCH_H

#include <ev.h>

#include "proto/frame.h"
#include "proto/wire.h"
#include "server/net/service.h"

struct service_bench {
    struct ev_loop *loop;
    struct service_metrics metrics;
    struct conn_metrics conn_metrics;
    struct service *service;
    struct conn_host host;
    struct wire_codec *codec;
    int peer;
    struct wire_request request;
    struct wire_response response;
    uint8_t out[FRAME_MAX_BYTES], in[FRAME_MAX_BYTES];
};

/* Borrows the limiter. */
void service_bench_open(struct service_bench *bench, struct limiter *limiter);
void service_bench_close(struct service_bench *bench);

/* What is under way goes on. */
void service_bench_turn(struct service_bench *bench);
void service_bench_send_bytes(struct service_bench *bench, const void *bytes, size_t n);
/* bench->request. */
void service_bench_send(struct service_bench *bench);
/* Exactly one response, which is bench->response. */
const struct wire_response *service_bench_receive(struct service_bench *bench);
void service_bench_expect_nothing(struct service_bench *bench);

#endif
