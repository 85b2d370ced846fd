/* two_frontends.c — two frontends by one cluster, and a connection to each. */
#include "tests/system/two_frontends.h"

int two_frontends_open(void **state, const char *quotas) {
    struct two_frontends *world = calloc(1, sizeof *world);
    char path[HARNESS_PATH_BYTES];
    assert_non_null(world);
    *state = world;
    world->harness = harness_open();
    cluster_start(world->harness, &world->cluster);
    harness_write(world->harness, "quotas.yaml", quotas, path);
    for (size_t i = 0; i < N_FRONTENDS; i++) {
        FRONTEND_START(world->harness, &world->frontends[i], "--quotas", path, "--redis-nodes",
                       world->cluster.nodes, "--workers", i == 0 ? "1" : "2", "--fleet-size", "2");
        frontend_await_status(&world->frontends[i], "/readyz", 200);
    }
    return 0;
}

int two_frontends_close(void **state) {
    struct two_frontends *world = *state;
    frontend_stop_all(world->frontends, N_FRONTENDS);
    harness_close(&world->harness);
    free(world);
    return 0;
}

int two_frontends_connect(void **state) {
    struct two_frontends *world = *state;
    for (size_t i = 0; i < N_FRONTENDS; i++) {
        world->raw[i] = raw_open(&world->frontends[i]);
    }
    return 0;
}

int two_frontends_disconnect(void **state) {
    struct two_frontends *world = *state;
    for (size_t i = 0; i < N_FRONTENDS; i++) {
        raw_close(&world->raw[i]);
    }
    return 0;
}
