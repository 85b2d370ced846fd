/* test_routes.c — which page answers what, on a real server with its embedded store. */
#include "tests/support/test_prelude.h"

#include <unistd.h>

#include "admin/routes.h"
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

static void expect(struct server *server, const char *method, const char *path, unsigned int status,
                   const char *part) {
    struct route_answer answer = {0};
    routes_answer(server, method, path, &answer);
    assert_int_equal(answer.status, status);
    assert_true(buf_append(&answer.body, "", 1));
    assert_non_null(strstr((const char *)buf_front(&answer.body), part));
    assert_memory_equal(answer.content_type, "text/plain", 10);
    buf_deinit(&answer.body);
}

static void test_pages(void **state) {
    struct server *server = *state;
    expect(server, "GET", "/livez", 200, "alive\n");
    for (int i = 0; i < 500 && !server_is_ready(server); i++) {
        usleep(10000);
    }
    expect(server, "GET", "/readyz", 200, "ready\n");
    expect(server, "GET", "/metrics", 200, "\nsluice_ready 1\n");
    expect(server, "HEAD", "/metrics", 200, "sluice_workers 1\n");
}

static void test_other_paths_and_methods_are_refused(void **state) {
    expect(*state, "GET", "/", 404, "/metrics");
    expect(*state, "GET", "/livez/", 404, "no such page");
    expect(*state, "POST", "/livez", 405, "only GET");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_other_paths_and_methods_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
