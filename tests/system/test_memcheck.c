/* test_memcheck.c — sluiced under valgrind: after all kinds of requests and an orderly end, nothing is lost.
 *
 * valgrind and the sanitizers do not mix, so this takes the plain build, $SLUICE_PLAIN_BUILD. */
#include "tests/system/cluster.h"
#include "tests/system/raw_client.h"

#include <signal.h>
#include <unistd.h>

static const char *const valgrind[] = {
    "valgrind",
    "-q",
    "--leak-check=full",
    "--show-leak-kinds=all",
    "--errors-for-leak-kinds=all",
    "--error-exitcode=99",
    NULL,
};

struct world {
    struct harness *harness;
    char quotas_path[HARNESS_PATH_BYTES];
};

static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    *state = world;
    world->harness = harness_open();
    harness_write(world->harness, "quotas.yaml",
                  "tenants: { t: { r: { limits: [ { rate: 1/h, burst: 5 } ] } } }\n", world->quotas_path);
    return 0;
}

static int close_world(void **state) {
    struct world *world = *state;
    harness_close(&world->harness);
    free(world);
    return 0;
}

static void skip_without_valgrind(struct harness *harness) {
    struct run run;
    HARNESS_RUN(harness, &run, 10, "sh", "-c", "command -v valgrind");
    if (run.exit_code != 0) {
        print_message("skipped: valgrind is not installed\n");
        skip();
    }
}

/* Good requests, bad ones, and clients that leave early. */
static void ask_everything(const struct frontend *frontend) {
    static const uint8_t garbage[] = {0, 0, 0, 0, 3, 0xff, 0xff, 0xff}, bad_flag[] = {1};
    struct raw_client *raw = raw_open(frontend);
    assert_int_equal(raw_pipeline(raw, "t", "r", 200, 20), 100);
    raw_ping(raw, 1);
    raw->request = (struct wire_request){.id = 2, .call = WIRE_CALL_CHECK_BATCH, .n_checks = 50};
    for (size_t i = 0; i < 50; i++) {
        raw->request.checks[i] = raw_check_of("t", "r", i % 2 == 0 ? "even" : "odd");
    }
    raw_send(raw, &raw->request);
    assert_int_equal(raw_receive(raw)->n_items, 50);
    raw_send_bytes(raw, garbage, sizeof garbage);
    assert_int_equal(raw_receive(raw)->status, WIRE_INVALID_ARGUMENT);
    raw_send_bytes(raw, bad_flag, sizeof bad_flag);
    raw_expect_closed(raw);
    raw_close(&raw);

    struct raw_client *hasty = raw_open(frontend);
    raw_send(hasty, raw_check_request(hasty, 3, raw_check_of("t", "r", "hasty")));
    raw_close(&hasty);
    assert_int_equal(frontend_get_status(frontend, "/livez"), 200);
    assert_int_equal(frontend_get_status(frontend, "/nowhere"), 404);
    assert_true(frontend_metric(frontend, "sluice_requests_total{call=\"ping\"}") == 1);
}

static void test_embedded_frontend_leaks_nothing(void **state) {
    struct world *world = *state;
    skip_without_valgrind(world->harness);
    struct frontend frontend;
    frontend_start_wrapped(world->harness, &frontend, valgrind,
                           (const char *const[]){"--quotas", world->quotas_path, NULL});
    ask_everything(&frontend);
    struct raw_client *idle = raw_open(&frontend); /* still there when it ends */
    raw_ping(idle, 1);
    kill(frontend.pid, SIGTERM);
    raw_expect_closed(idle);
    raw_close(&idle);
    frontend_await_end(&frontend);
}

static void test_frontend_on_a_cluster_leaks_nothing(void **state) {
    struct world *world = *state;
    skip_without_valgrind(world->harness);
    struct cluster cluster;
    struct frontend frontend;
    cluster_start(world->harness, &cluster);
    frontend_start_wrapped(
        world->harness, &frontend, valgrind,
        (const char *const[]){"--quotas", world->quotas_path, "--redis-nodes", cluster.nodes, NULL});
    frontend_await_status(&frontend, "/readyz", 200);
    ask_everything(&frontend);
    cluster_signal(&cluster, cluster.ports[0], SIGKILL); /* a lost connection and its retries */
    struct raw_client *raw = raw_open(&frontend);
    for (uint64_t id = 0; id < 20; id++) {
        char key[16];
        snprintf(key, sizeof key, "lost%d", (int)id);
        raw_check(raw, id, raw_check_of("t", "r", key));
    }
    raw_close(&raw);
    frontend_stop(&frontend);
}

int main(void) {
    harness_swap_builds();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embedded_frontend_leaks_nothing),
        cmocka_unit_test(test_frontend_on_a_cluster_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
