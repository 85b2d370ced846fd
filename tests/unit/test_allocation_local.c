/* test_allocation_local.c — loading, making and serving while memory fails, without any network peer. */
#include "tests/support/test_prelude.h"

#include <ev.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/frame.h"
#include "proto/wire.h"
#include "server/base/log.h"
#include "server/config.h"
#include "server/net/service.h"
#include "server/quota/registry.h"
#include "server/server.h"
#include "server/store/embedded_store.h"
#include "server/worker.h"
#include "tests/support/failing_malloc.h"
#include "tests/support/quota_fixture.h"

static char path[64];

static void write_file(const char *text) {
    snprintf(path, sizeof path, "/tmp/sluice_allocation_XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static void assert_out_of_memory(const struct status *status) {
    assert_true(failing_malloc_has_failed());
    assert_non_null(strstr(status->text, "out of memory"));
}

static struct bytes of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

/* ---- quotas and options ---- */

static bool load_text(void *text) {
    struct status status = {""};
    failing_malloc_begin();
    struct quota_set *set = registry_load_text("quotas", text, strlen(text), &status);
    failing_malloc_end();
    if (set == NULL) {
        assert_out_of_memory(&status);
        return false;
    }
    assert_int_equal(quota_set_count(set), 24);
    assert_non_null(quota_set_find(set, of("t3"), of("r5")));
    quota_set_release(&set);
    return true;
}

/* Enough for every table to grow. */
static void write_quotas(char text[8192]) {
    size_t n = (size_t)sprintf(text, "tenants:\n");
    for (int tenant = 0; tenant < 4; tenant++) {
        n += (size_t)snprintf(text + n, 8192 - n, "  t%d:\n", tenant);
        for (int resource = 0; resource < 6; resource++) {
            n += (size_t)snprintf(text + n, 8192 - n,
                                  "    'r%d%s': {limits: [{name: l, rate: 5/s, burst: 10}]}\n", resource,
                                  resource % 2 == 0 ? ".*" : "");
        }
    }
    assert_true(n < 8192 - 1);
}

static void test_quotas_load_whole_or_not_at_all(void **state) {
    (void)state;
    char text[8192];
    write_quotas(text);
    failing_malloc_sweep(load_text, text, 20);
}

static bool load_file(void *arg) {
    (void)arg;
    struct status status = {""};
    failing_malloc_begin();
    struct quota_set *set = registry_load_file(path, &status);
    failing_malloc_end();
    if (set == NULL) {
        assert_out_of_memory(&status);
        return false;
    }
    quota_set_release(&set);
    return true;
}

static void test_a_quota_file_loads_or_is_refused(void **state) {
    (void)state;
    write_file("default: deny\ntenants: {demo: {hello: {limits: [{rate: 5/s}]}}}\n");
    failing_malloc_sweep(load_file, NULL, 10);
    unlink(path);
}

static bool edit(struct quota_set *set, struct status *status) {
    struct quota_rules rules = {.is_unlimited = true};
    bool is_good = quota_set_remove(set, of("t1"), of("r3"), status) &&
                   quota_set_remove(set, of("t2"), of("r2.*"), status);
    char tenant[16];
    for (int i = 0; is_good && i < 40; i++) {
        snprintf(tenant, sizeof tenant, "new%d", i);
        is_good = quota_set_put(set, of(tenant), of(i % 2 == 0 ? "x.*" : "x"), &rules, 1, status);
    }
    return is_good;
}

/* Whatever fails, the set is what it was or what it became, and its source is as it was. */
static bool edit_copy(void *arg) {
    const struct quota_set *source = arg;
    struct status status = {""};
    failing_malloc_begin();
    struct quota_set *copy = quota_set_copy(source);
    bool is_good = copy != NULL && edit(copy, &status);
    failing_malloc_end();
    if (!is_good) {
        assert_true(failing_malloc_has_failed());
    }
    if (copy != NULL) {
        failing_malloc_relieve();
        assert_true(edit(copy, &status));
        assert_int_equal(quota_set_count(copy), 24 - 2 + 40);
        assert_null(quota_set_get(copy, of("t1"), of("r3")));
        assert_non_null(quota_set_find(copy, of("new38"), of("x.y")));
        assert_non_null(quota_set_find(copy, of("t3"), of("r5")));
    }
    assert_int_equal(quota_set_count(source), 24);
    assert_non_null(quota_set_get(source, of("t1"), of("r3")));
    quota_set_release(&copy);
    return is_good;
}

static void test_sets_are_edited_or_left_alone(void **state) {
    (void)state;
    char text[8192];
    write_quotas(text);
    struct quota_set *set = quota_fixture_load(text);
    failing_malloc_sweep(edit_copy, set, 50);
    quota_set_release(&set);
}

/* A table that cannot be widened is left as it is, and quotas with more limits share the overflow bucket. */
static bool widen_fallback(void *arg) {
    (void)arg;
    static const struct bucket_limit limits[2] = {
        {.id = 1, .count = 1, .period_s = 1, .burst_utok = 3000000},
        {.id = 2, .count = 1, .period_s = 1, .burst_utok = 9000000},
    };
    static const struct quota_part one = {.n_limits = 1, .limits = limits},
                                   two = {.n_limits = 2, .limits = limits};
    struct fallback *fallback = fallback_create(FALLBACK_MIN_KEYS, 1);
    struct hash128 key = {.low = 1, .high = 1};
    struct bucket_verdict verdict;
    assert_non_null(fallback);
    fallback_check(fallback, key, &one, 1, 1000, false, &verdict);
    failing_malloc_begin();
    bool is_wide = fallback_widen(fallback, 2);
    failing_malloc_end();
    assert_true(is_wide || failing_malloc_has_failed());
    fallback_check(fallback, key, &two, 1, 1000, false, &verdict);
    assert_true(verdict.allowed);
    assert_int_equal(verdict.remaining_utok, is_wide ? 1000000 : 2000000);
    fallback_destroy(&fallback);
    return is_wide;
}

static void test_local_buckets_are_widened_or_left_alone(void **state) {
    (void)state;
    failing_malloc_sweep(widen_fallback, NULL, 2);
}

static bool load_config(void *arg) {
    (void)arg;
    char flag[96];
    snprintf(flag, sizeof flag, "--config=%s", path);
    char name[] = "sluiced", level[] = "--log-level=debug", variable[] = "SLUICE_REQUEST_TIMEOUT=30ms";
    char *argv[] = {name, flag, level, NULL}, *env[] = {variable, NULL};
    struct config config;
    enum config_action action;
    struct status status = {""};
    failing_malloc_begin();
    bool is_loaded = config_load(3, argv, env, &config, &action, &status);
    failing_malloc_end();
    if (!is_loaded) {
        assert_out_of_memory(&status);
        return false;
    }
    assert_string_equal(config.quotas, "/tmp/quotas.yaml");
    assert_int_equal(config.request_timeout_us, 30000);
    config_deinit(&config);
    return true;
}

static void test_options_load_whole_or_not_at_all(void **state) {
    (void)state;
    write_file("quotas: quotas.yaml\nredis_nodes: 127.0.0.1:7001,127.0.0.1:7002\nworkers: 2\n");
    failing_malloc_sweep(load_config, NULL, 10);
    unlink(path);
}

/* ---- the codec ---- */

static bool encode_and_decode(void *arg) {
    static struct wire_request request;
    static uint8_t frame[FRAME_MAX_BYTES];
    struct frame parsed;
    (void)arg;
    failing_malloc_begin();
    struct wire_codec *codec = wire_codec_create();
    if (codec == NULL) {
        failing_malloc_end();
        return false;
    }
    request = (struct wire_request){.id = 7, .call = WIRE_CALL_CHECK_BATCH, .n_checks = WIRE_BATCH_MAX};
    for (size_t i = 0; i < WIRE_BATCH_MAX; i++) {
        request.checks[i] = (struct wire_check){.tenant = {(const uint8_t *)"demo", 4},
                                                .resource = {(const uint8_t *)"hello", 5},
                                                .key = {(const uint8_t *)"alice", 5},
                                                .cost = 1};
    }
    size_t n = wire_encode_request(&request, frame, sizeof frame);
    assert_int_equal(frame_parse(frame, n, &parsed), FRAME_READY);
    assert_int_equal(wire_decode_request(codec, parsed.body, parsed.body_bytes, &request), WIRE_DECODED);
    assert_int_equal(request.n_checks, WIRE_BATCH_MAX);
    wire_codec_destroy(&codec);
    failing_malloc_end();
    return true;
}

static void test_the_codec_allocates_only_when_made(void **state) {
    (void)state;
    failing_malloc_sweep(encode_and_decode, NULL, 1);
}

/* ---- the embedded store ---- */

static enum store_outcome take(struct store *store, const struct quota_part *quota, int key) {
    struct store_call call = {
        .part = quota, .hash = {.low = (uint64_t)key, .high = (uint64_t)key}, .cost_tokens = 1};
    assert_int_equal(store_check(store, &call, 1000), STORE_DONE);
    return call.outcome;
}

/* The same with an idempotency key, for which the table of notes is made. */
static enum store_outcome take_once(struct store *store, const struct quota_part *quota) {
    const struct store_memo memo = {.key = {(const uint8_t *)"once", 4}, .ttl_us = 1000};
    struct store_wish wish = {.cost_tokens = 1};
    struct store_take call = {.part = quota, .wishes = &wish, .n_wishes = 1, .memo = &memo};
    assert_int_equal(store_take(store, &call, 1000), STORE_DONE);
    return call.outcome;
}

/* More keys than there is room for, so that the overflow bucket is made. */
static bool fill_embedded(void *arg) {
    (void)arg;
    static const struct bucket_limit limit = {.id = 1, .count = 1, .period_s = 1, .burst_utok = 1000000000};
    static const struct quota_part quota = {.n_limits = 1, .limits = &limit};
    struct embedded_metrics metrics = {0};
    struct status status = {""};
    bool is_good = true;
    failing_malloc_begin();
    struct store *store = embedded_store_create(1, 1, &metrics, &status);
    for (int key = 0; store != NULL && key < 20; key++) {
        enum store_outcome outcome = take(store, &quota, key);
        assert_true(outcome == STORE_OK || (outcome == STORE_NO_MEMORY && failing_malloc_has_failed()));
        is_good = is_good && outcome == STORE_OK;
    }
    if (store != NULL) {
        enum store_outcome outcome = take_once(store, &quota);
        assert_true(outcome == STORE_OK || (outcome == STORE_NO_MEMORY && failing_malloc_has_failed()));
        is_good = is_good && outcome == STORE_OK;
    }
    failing_malloc_end();
    if (store == NULL) {
        assert_out_of_memory(&status);
        return false;
    }
    failing_malloc_relieve();
    assert_int_equal(take(store, &quota, 100), STORE_OK);
    assert_int_equal(take_once(store, &quota), STORE_OK);
    assert_true(metric_get(&metrics.overflowed) > 0);
    store_destroy(&store);
    return is_good;
}

static void test_the_embedded_store_decides_or_says_why_not(void **state) {
    (void)state;
    failing_malloc_sweep(fill_embedded, NULL, 5);
}

/* ---- requests over a socket ---- */

struct frontend {
    struct ev_loop *loop;
    struct embedded_metrics store_metrics;
    struct limiter_metrics limiter_metrics;
    struct service_metrics service_metrics;
    struct conn_metrics conn_metrics;
    struct quota_set *quotas;
    struct store *store;
    struct limiter *limiter;
    struct service *service;
    struct conn_host host;
    int peer; /* -1: none */
};

/* False when memory is short; the frontend may then be half made. */
static bool frontend_create(struct frontend *frontend) {
    struct limiter_options limiter_options = {.store_timeout_us = 8000};
    struct service_options service_options = {.request_timeout_us = 20000, .version = "1.2.3"};
    struct conn_options conn_options = {.max_connections = 4,
                                        .max_fd = 1000,
                                        .max_inflight = 1000,
                                        .max_output_bytes = 1 << 20,
                                        .frame_timeout_us = 1000000};
    struct status status = {""};
    frontend->quotas = registry_load_demo(&status);
    frontend->store = embedded_store_create(1024, 1, &frontend->store_metrics, &status);
    if (frontend->quotas == NULL || frontend->store == NULL) {
        assert_out_of_memory(&status);
        return false;
    }
    frontend->limiter =
        limiter_create(&limiter_options, frontend->quotas, frontend->store, &frontend->limiter_metrics);
    if (frontend->limiter == NULL) {
        return false;
    }
    frontend->service = service_create(&service_options, frontend->limiter, &frontend->service_metrics);
    if (frontend->service == NULL) {
        return false;
    }
    conn_host_init(&frontend->host, frontend->loop, &conn_options, &frontend->conn_metrics, service_on_frame,
                   service_on_closed, frontend->service);
    return true;
}

static void frontend_destroy(struct frontend *frontend) {
    if (frontend->service != NULL) {
        conn_host_deinit(&frontend->host);
    }
    service_destroy(&frontend->service);
    limiter_destroy(&frontend->limiter);
    store_destroy(&frontend->store);
    quota_set_release(&frontend->quotas);
}

static size_t put_request(uint8_t *out, size_t cap, uint64_t id, enum wire_call call, size_t n_checks) {
    static struct wire_request request;
    request = (struct wire_request){.id = id, .call = call, .n_checks = n_checks};
    for (size_t i = 0; i < n_checks; i++) {
        request.checks[i] = (struct wire_check){.tenant = {(const uint8_t *)"demo", 4},
                                                .resource = {(const uint8_t *)"hello", 5},
                                                .key = {(const uint8_t *)"alice", 5},
                                                .cost = 1};
    }
    size_t n = wire_encode_request(&request, out, cap);
    assert_true(n > 0);
    return n;
}

/* Judges the answers that came: each to be had as OK, or refused for want of memory. Returns how many were OK. */
static int count_good(const uint8_t *bytes, size_t n) {
    static struct wire_response response;
    struct wire_codec *codec = wire_codec_create();
    int n_good = 0;
    while (n > 0) {
        struct frame frame;
        assert_int_equal(frame_parse(bytes, n, &frame), FRAME_READY);
        assert_int_equal(wire_decode_response(codec, frame.body, frame.body_bytes, &response), WIRE_DECODED);
        assert_true(response.status == WIRE_OK || response.status == WIRE_RESOURCE_EXHAUSTED);
        n_good += response.status == WIRE_OK;
        bytes += frame.total_bytes;
        n -= frame.total_bytes;
    }
    wire_codec_destroy(&codec);
    return n_good;
}

/* A new client asks for a check, a batch, a ping and a peek; true when all were answered. */
static bool ask_all(struct frontend *frontend) {
    uint8_t out[4096], in[8192];
    int pair[2];
    size_t n = put_request(out, sizeof out, 1, WIRE_CALL_CHECK, 1);
    n += put_request(out + n, sizeof out - n, 2, WIRE_CALL_CHECK_BATCH, 3);
    n += put_request(out + n, sizeof out - n, 3, WIRE_CALL_PING, 0);
    n += put_request(out + n, sizeof out - n, 4, WIRE_CALL_PEEK, 1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(send(pair[0], out, n, 0), n);
    failing_malloc_begin();
    conn_adopt(&frontend->host, pair[1]);
    for (int i = 0; i < 4; i++) {
        ev_run(frontend->loop, EVRUN_NOWAIT);
    }
    failing_malloc_end();
    ssize_t n_in = recv(pair[0], in, sizeof in, 0);
    close(pair[0]);
    return count_good(in, n_in > 0 ? (size_t)n_in : 0) == 4;
}

static bool serve(void *loop) {
    struct frontend frontend = {.loop = loop};
    failing_malloc_begin();
    bool is_made = frontend_create(&frontend);
    failing_malloc_end();
    bool is_good = is_made && ask_all(&frontend);
    assert_true(is_good || failing_malloc_has_failed());
    if (is_made) {
        failing_malloc_relieve();
        assert_true(ask_all(&frontend));
        assert_int_equal(metric_get(&frontend.service_metrics.pending), 0);
    }
    frontend_destroy(&frontend);
    return is_good;
}

static void test_requests_are_answered_or_their_connection_closed(void **state) {
    (void)state;
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    failing_malloc_sweep(serve, loop, 20);
    ev_loop_destroy(loop);
}

/* ---- the whole ---- */

static bool make_server(void *arg) {
    struct status status = {""};
    failing_malloc_begin();
    struct server *server = server_create(ev_default_loop(EVFLAG_AUTO), arg, "1.2.3", &status);
    failing_malloc_end();
    if (server == NULL) {
        assert_out_of_memory(&status);
        return false;
    }
    server_destroy(&server);
    return true;
}

static bool make_worker(void *arg) {
    struct status status = {""};
    struct quota_set *quotas = registry_load_demo(&status);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_non_null(quotas);
    struct worker_options options = {.config = arg, .version = "1.2.3", .listen_fd = fd};
    failing_malloc_begin();
    struct worker *worker = worker_create(&options, quotas, &status);
    failing_malloc_end();
    if (worker == NULL) {
        assert_out_of_memory(&status);
    }
    bool is_made = worker != NULL;
    worker_destroy(&worker);
    quota_set_release(&quotas);
    close(fd);
    return is_made;
}

static void sweep_with_options(failing_path_fn path_to_sweep, char *const *flags, int n_flags,
                               unsigned n_least) {
    struct config config;
    enum config_action action;
    struct status status;
    char *env[] = {NULL};
    assert_true(config_load(n_flags, flags, env, &config, &action, &status));
    failing_malloc_sweep(path_to_sweep, &config, n_least);
    config_deinit(&config);
}

static void test_workers_and_servers_are_made_whole_or_not_at_all(void **state) {
    (void)state;
    char name[] = "sluiced", listen[] = "--listen=127.0.0.1:0", keys[] = "--embedded-keys=1024";
    char nodes[] = "--redis-nodes=127.0.0.1:1", workers[] = "--workers=2";
    char *embedded[] = {name, listen, keys, NULL}, *redis[] = {name, listen, nodes, workers, NULL};
    sweep_with_options(make_worker, embedded, 3, 5);
    sweep_with_options(make_worker, redis, 4, 10);
    sweep_with_options(make_server, embedded, 3, 10);
    sweep_with_options(make_server, redis, 4, 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quotas_load_whole_or_not_at_all),
        cmocka_unit_test(test_a_quota_file_loads_or_is_refused),
        cmocka_unit_test(test_sets_are_edited_or_left_alone),
        cmocka_unit_test(test_local_buckets_are_widened_or_left_alone),
        cmocka_unit_test(test_options_load_whole_or_not_at_all),
        cmocka_unit_test(test_the_codec_allocates_only_when_made),
        cmocka_unit_test(test_the_embedded_store_decides_or_says_why_not),
        cmocka_unit_test(test_requests_are_answered_or_their_connection_closed),
        cmocka_unit_test(test_workers_and_servers_are_made_whole_or_not_at_all),
    };
    log_configure(LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
