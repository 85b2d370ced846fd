/* test_hot_cost.c — what a key that is asked for far too often costs Redis: the frontend's own counters, before a real
 * cluster. tests/property/test_cost_property.c has the same in virtual time, and for many keys. */
#include "tests/chaos/load.h"
#include "tests/system/cluster.h"

enum { WARM_UP_MS = 700, RUN_MS = 2000 };

static const struct load_class classes[] = {
    {.resource = "hot", .n_keys = 1, .checks_per_s = 9000, .rate_per_s = 300, .burst = 300},
    {.resource = "spent", .n_keys = 4, .checks_per_s = 6000, .rate_per_s = 1, .burst = 1},
};

static const char quotas[] = "tenants:\n"
                             "  " LOAD_TENANT ":\n"
                             "    hot: { limits: [ { rate: 300/s, burst: 300 } ] }\n"
                             "    spent: { limits: [ { rate: 1/month, burst: 1 } ] }\n";

struct world {
    struct harness *harness;
    struct cluster cluster;
    struct frontend frontends[LOAD_FRONTENDS]; /* all one */
};

static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    char path[HARNESS_PATH_BYTES];
    assert_non_null(world);
    *state = world;
    world->harness = harness_open();
    cluster_start(world->harness, &world->cluster);
    harness_write(world->harness, "quotas.yaml", quotas, path);
    FRONTEND_START(world->harness, &world->frontends[0], "--quotas", path, "--redis-nodes",
                   world->cluster.nodes, "--workers", "2");
    frontend_await_status(&world->frontends[0], "/readyz", 200);
    world->frontends[1] = world->frontends[2] = world->frontends[0];
    return 0;
}

static int close_world(void **state) {
    struct world *world = *state;
    frontend_stop(&world->frontends[0]);
    harness_close(&world->harness);
    free(world);
    return 0;
}

struct counts {
    uint64_t n_checks, n_calls;
};

static struct counts count(const struct frontend *frontend) {
    return (struct counts){.n_checks = frontend_metric(frontend, "sluice_requests_total{call=\"check\"}"),
                           .n_calls = frontend_metric(frontend, "sluice_store_calls_total{kind=\"check\"}") +
                                      frontend_metric(frontend, "sluice_store_calls_total{kind=\"take\"}") +
                                      frontend_metric(frontend, "sluice_store_calls_total{kind=\"lease\"}")};
}

static double calls_per_check(const struct world *world, const struct load_class *class) {
    const struct load_class list[] = {*class, {0}};
    struct load load;
    load_start(world->harness, &load, list, world->frontends, (struct load_senders){.n_conns = 16});
    harness_sleep_ms(WARM_UP_MS);
    struct counts before = count(&world->frontends[0]);
    harness_sleep_ms(RUN_MS);
    struct counts after = count(&world->frontends[0]);
    load_stop(&load);
    load_close(&load);
    uint64_t n_checks = after.n_checks - before.n_checks, n_calls = after.n_calls - before.n_calls;
    print_message("%-6s %6llu checks  %4llu calls  %.5f a check\n", class->resource,
                  (unsigned long long)n_checks, (unsigned long long)n_calls,
                  (double)n_calls / (double)n_checks);
    assert_true(n_checks > (uint64_t) class->checks_per_s); /* the machine has kept up */
    return (double)n_calls / (double)n_checks;
}

static void test_a_hot_key_costs_a_call_in_a_hundred(void **state) {
    assert_true(calls_per_check(*state, &classes[0]) <= 0.01);
}

static void test_an_abuser_costs_a_call_in_a_thousand(void **state) {
    assert_true(calls_per_check(*state, &classes[1]) <= 0.001);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hot_key_costs_a_call_in_a_hundred),
        cmocka_unit_test(test_an_abuser_costs_a_call_in_a_thousand),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
