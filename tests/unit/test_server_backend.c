/* test_server_backend.c — a real frontend with its embedded store, as the calls see it. */
#include "tests/support/test_prelude.h"

#include <unistd.h>

#include "admin/call.h"
#include "admin/server_backend.h"
#include "server/config.h"

static struct config config;

static int setup(void **state) {
    enum config_action action;
    struct status status;
    char *argv[] = {strdup("sluiced"), strdup("--listen=127.0.0.1:0"), strdup("--embedded-keys=1024"), NULL};
    char *env[] = {NULL};
    bool is_loaded = config_load(3, argv, env, &config, &action, &status);
    for (int i = 0; i < 3; i++) {
        free(argv[i]);
    }
    if (!is_loaded) {
        return -1;
    }
    *state = server_create(ev_default_loop(EVFLAG_AUTO), &config, "1.2.3", &status);
    return *state != NULL ? 0 : -1;
}

static int teardown(void **state) {
    struct server *server = *state;
    server_destroy(&server);
    config_deinit(&config);
    return 0;
}

static void expect(struct backend *backend, const char *method, const char *path, unsigned int status,
                   const char *part) {
    struct admin admin = {.backend = backend};
    struct call_head head = {.method = method, .target = path, .from = "127.0.0.1"};
    struct call *call = call_open(&admin, &head);
    assert_non_null(call);
    call_run(call);
    assert_int_equal(call->answer.status, status);
    assert_true(buf_append(&call->answer.body, "", 1));
    assert_non_null(strstr((const char *)buf_front(&call->answer.body), part));
    call_close(&call);
}

static void test_without_redis_calls_look_but_do_not_change(void **state) {
    struct server *server = *state;
    struct backend *backend = server_backend_create(server, "1.2.3");
    assert_non_null(backend);
    for (int i = 0; i < 500 && !server_is_ready(server); i++) {
        usleep(10000);
    }
    expect(backend, "GET", "/readyz", 200, "ready\n");
    expect(backend, "GET", "/metrics", 200, "\nsluice_ready 1\n");
    expect(backend, "GET", "/v1/quotas", 200, "\"tenant\":\"demo\"");
    expect(backend, "GET", "/v1/frontends", 200, "\"version\":\"1.2.3\"");
    expect(backend, "GET", "/v1/changes", 200, "{\"changes\":[]");
    expect(backend, "DELETE", "/v1/tenants/demo/quotas/*", 503, "redis_nodes is not set");
    expect(backend, "GET", "/v1/tenants/demo/buckets/x/k", 503, "redis_nodes is not set");
    expect(backend, "POST", "/v1/tenants/demo/buckets/x/k:reset", 503, "redis_nodes is not set");
    server_backend_destroy(&backend);
    assert_null(backend);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_redis_calls_look_but_do_not_change),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
