/* fuzz_conn.c — any bytes from a client, in pieces, through frames and service to an embedded store. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/base/ensure.h"
#include "server/net/service.h"
#include "server/quota/registry.h"
#include "server/store/embedded_store.h"

enum { DRAIN_BYTES = 64 * 1024 };

/* Made once: libFuzzer calls with nothing but the bytes. */
static struct {
    struct ev_loop *loop;
    struct embedded_metrics store_metrics;
    struct limiter_metrics limiter_metrics;
    struct service_metrics service_metrics;
    struct conn_metrics conn_metrics;
    struct conn_host host;
} frontend;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    static const struct limiter_options limiter_options = {.store_timeout_us = 8000};
    static const struct service_options service_options = {.request_timeout_us = 20000, .version = "fuzz"};
    static const struct conn_options conn_options = {.max_connections = 4,
                                                     .max_fd = 1000,
                                                     .max_inflight = 300,
                                                     .max_output_bytes = 1 << 16,
                                                     .frame_timeout_us = 1000000};
    (void)argc;
    (void)argv;
    struct status status;
    struct quota_set *quotas = registry_load_demo(&status);
    struct store *store = embedded_store_create(1024, 1, &frontend.store_metrics, &status);
    frontend.loop = ev_loop_new(EVFLAG_AUTO);
    struct limiter *limiter = limiter_create(&limiter_options, quotas, store, &frontend.limiter_metrics);
    struct service *service = service_create(&service_options, limiter, &frontend.service_metrics);
    conn_host_init(&frontend.host, frontend.loop, &conn_options, &frontend.conn_metrics, service_on_frame,
                   service_on_closed, service);
    return 0;
}

/* The first byte is the length of the pieces, in units of 4 bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    static uint8_t sink[DRAIN_BYTES];
    int pair[2];
    size_t piece = n_bytes > 0 ? 1 + bytes[0] * 4U : 1;
    ensure(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), ==, 0);
    conn_adopt(&frontend.host, pair[1]);
    for (size_t at = 1; at < n_bytes; at += piece) {
        (void)!send(pair[0], bytes + at, n_bytes - at < piece ? n_bytes - at : piece, MSG_NOSIGNAL);
        ev_run(frontend.loop, EVRUN_NOWAIT);
        (void)!recv(pair[0], sink, sizeof sink, 0);
    }
    close(pair[0]);
    while (frontend.host.n_conns > 0) {
        ev_run(frontend.loop, EVRUN_NOWAIT);
    }
    ev_run(frontend.loop, EVRUN_NOWAIT);
    return 0;
}
