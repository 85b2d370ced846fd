/* test_allocation_service.c — a frame whose calls find no memory: what was decided before is answered as decided, since
 * it was taken, and the rest is refused. The limiter does as it is told. */
#include "tests/support/test_prelude.h"

#include <ev.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/frame.h"
#include "proto/wire.h"
#include "server/net/service.h"
#include "tests/support/failing_malloc.h"

/* ---- a limiter that decides checks of "a" at once, and others when asked ---- */

struct limiter {
    int n_decided, n_checked;
};

static struct decision granted(int64_t tokens) {
    return (struct decision){.allowed = true,
                             .matched = true,
                             .source = DECISION_LEASE,
                             .limit_name = "own",
                             .granted_tokens = tokens};
}

bool limiter_knows(const struct limiter *limiter, struct bytes tenant, struct bytes resource) {
    return limiter == NULL && tenant.len == resource.len;
}

bool limiter_decide(struct limiter *limiter, const struct limiter_query *query, int64_t now_us,
                    struct limiter_found *found, struct decision *decision) {
    (void)now_us;
    *found = (struct limiter_found){.is_counted = true};
    if (query->key.data[0] != 'a') {
        return false;
    }
    limiter->n_decided++;
    *decision = granted(query->cost_tokens);
    return true;
}

enum limiter_progress limiter_check(struct limiter *limiter, struct limiter_call *call, int64_t now_us) {
    (void)now_us;
    limiter->n_checked++;
    call->outcome = LIMITER_DECIDED;
    call->decision = granted(call->cost_tokens);
    return LIMITER_DONE;
}

const char *limiter_outcome_text(enum limiter_outcome outcome) {
    (void)outcome;
    return "";
}

/* ---- the bench ---- */

struct bench {
    struct limiter limiter;
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

static int setup(void **state) {
    struct bench *bench = calloc(1, sizeof *bench);
    struct service_options service_options = {.request_timeout_us = 20000, .version = "1.2.3"};
    struct conn_options conn_options = {.max_connections = 4,
                                        .max_fd = 1000,
                                        .max_inflight = 1000,
                                        .max_output_bytes = 1 << 20,
                                        .frame_timeout_us = 1000000};
    int pair[2];
    assert_non_null(bench);
    bench->loop = ev_loop_new(EVFLAG_AUTO);
    bench->service = service_create(&service_options, &bench->limiter, &bench->metrics);
    bench->codec = wire_codec_create();
    conn_host_init(&bench->host, bench->loop, &conn_options, &bench->conn_metrics, service_on_frame,
                   service_on_closed, bench->service);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    conn_adopt(&bench->host, pair[1]);
    bench->peer = pair[0];
    *state = bench;
    return 0;
}

static int teardown(void **state) {
    struct bench *bench = *state;
    conn_host_deinit(&bench->host);
    service_destroy(&bench->service);
    wire_codec_destroy(&bench->codec);
    ev_loop_destroy(bench->loop);
    close(bench->peer);
    free(bench);
    return 0;
}

static struct wire_bytes text(const char *string) {
    return (struct wire_bytes){.data = (const uint8_t *)string, .len = strlen(string)};
}

/* A batch of as many checks as `keys` has characters, each a key. */
static void ask(struct bench *bench, const char *keys) {
    struct frame frame;
    bench->request = (struct wire_request){.id = 7, .call = WIRE_CALL_CHECK_BATCH, .n_checks = strlen(keys)};
    for (size_t i = 0; i < bench->request.n_checks; i++) {
        bench->request.checks[i] = (struct wire_check){.tenant = text("demo"),
                                                       .resource = text("hello"),
                                                       .key = {(const uint8_t *)keys + i, 1},
                                                       .cost = 1};
    }
    size_t n = wire_encode_request(&bench->request, bench->out, sizeof bench->out);
    assert_int_equal(send(bench->peer, bench->out, n, 0), n);
    for (int i = 0; i < 3; i++) {
        failing_malloc_begin();
        ev_run(bench->loop, EVRUN_NOWAIT);
        failing_malloc_end();
    }
    ssize_t n_read = recv(bench->peer, bench->in, sizeof bench->in, 0);
    assert_true(n_read > 0);
    assert_int_equal(frame_parse(bench->in, (size_t)n_read, &frame), FRAME_READY);
    assert_int_equal(wire_decode_response(bench->codec, frame.body, frame.body_bytes, &bench->response),
                     WIRE_DECODED);
    assert_int_equal(bench->response.id, 7);
}

static bool ask_twice(void *arg) {
    struct bench *bench = arg;
    const struct wire_response *response = &bench->response;
    ask(bench, "aa");
    assert_int_equal(response->n_items, 2);
    bench->limiter.n_checked = 0;
    ask(bench, "aax");
    assert_int_equal(response->status, WIRE_OK);
    assert_int_equal(response->n_items, 3);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(response->items[i].status, WIRE_OK);
        assert_int_equal(response->items[i].decision.granted, 1);
    }
    bool is_whole = response->items[2].status == WIRE_OK;
    assert_int_equal(bench->limiter.n_checked, is_whole);
    if (!is_whole) {
        assert_int_equal(response->items[2].status, WIRE_RESOURCE_EXHAUSTED);
        assert_true(response->items[2].message.len > 0);
    }
    return is_whole;
}

static void test_what_was_decided_is_answered_without_memory_for_the_rest(void **state) {
    struct bench *bench = *state;
    for (int i = 0; i < 4; i++) {
        ask(bench, "aaaaaaaa"); /* buffers, which take turns, are large enough from now on */
    }
    failing_malloc_sweep(ask_twice, bench, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_was_decided_is_answered_without_memory_for_the_rest, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
