/* test_fleet.c — three frontends count each other by heartbeats in a real Redis, which goes and comes back. */
#include <signal.h>

#include "tests/support/redis_fixture.h"
#include "tests/system/frontend.h"

enum { N_FRONTENDS = 3, DEATH_LIMIT_S = 30, EMPTY_REDIS_S = 4 };

static const char fleet_size[] = "sluice_fleet_size";

struct world {
    struct harness *harness;
    struct redis_fixture *redis;
    struct redis_link link;
    char nodes[32];
    struct frontend frontends[N_FRONTENDS];
};

static void start_frontend(struct world *world, size_t i) {
    FRONTEND_START(world->harness, &world->frontends[i], "--redis-nodes", world->nodes);
}

static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    *state = world;
    world->harness = harness_open();
    world->redis = redis_fixture_start();
    assert_non_null(world->redis);
    assert_true(redis_link_open(&world->link, redis_fixture_port(world->redis)));
    snprintf(world->nodes, sizeof world->nodes, "127.0.0.1:%u", redis_fixture_port(world->redis));
    for (size_t i = 0; i < N_FRONTENDS; i++) {
        start_frontend(world, i);
    }
    return 0;
}

static int close_world(void **state) {
    struct world *world = *state;
    frontend_stop_all(world->frontends, N_FRONTENDS);
    harness_close(&world->harness);
    redis_link_close(&world->link);
    redis_fixture_stop(&world->redis);
    free(world);
    return 0;
}

static void await_size(const struct world *world, size_t first, uint64_t size) {
    for (size_t i = first; i < N_FRONTENDS; i++) {
        frontend_await_metric(&world->frontends[i], fleet_size, size);
    }
}

static void expect_size_for(const struct world *world, uint64_t size, int64_t for_s) {
    int64_t until_us = harness_now_us() + for_s * INT64_C(1000000);
    while (harness_now_us() < until_us) {
        for (size_t i = 0; i < N_FRONTENDS; i++) {
            assert_int_equal(frontend_metric(&world->frontends[i], fleet_size), size);
        }
        harness_sleep_ms(100);
    }
}

static int64_t count_in_redis(struct world *world) {
    struct redis_answer answer;
    assert_true(redis_link_call(&world->link, &answer, "ZCARD", "{sluice}:fleet", (char *)NULL));
    assert_int_equal(answer.kind, REDIS_INTEGER);
    return answer.integer;
}

static void test_each_frontend_knows_the_fleet(void **state) {
    struct world *world = *state;
    await_size(world, 0, N_FRONTENDS);
    assert_int_equal(count_in_redis(world), N_FRONTENDS);
}

static void test_frontend_that_stops_leaves_redis_at_once(void **state) {
    struct world *world = *state;
    frontend_stop(&world->frontends[0]);
    assert_int_equal(count_in_redis(world), N_FRONTENDS - 1);
    assert_int_equal(frontend_metric(&world->frontends[1], fleet_size), N_FRONTENDS);
    start_frontend(world, 0);
    await_size(world, 0, N_FRONTENDS);
}

static void test_size_stays_while_redis_is_gone_and_when_it_is_empty(void **state) {
    struct world *world = *state;
    uint64_t n_failed = frontend_metric(&world->frontends[0], "sluice_heartbeats_total{result=\"failed\"}");
    redis_link_close(&world->link);
    redis_fixture_kill(world->redis);
    while (frontend_metric(&world->frontends[0], "sluice_heartbeats_total{result=\"failed\"}") < n_failed + 3) {
        expect_size_for(world, N_FRONTENDS, 1);
    }
    assert_true(redis_fixture_start_again(world->redis));
    assert_true(redis_link_open(&world->link, redis_fixture_port(world->redis)));
    expect_size_for(world, N_FRONTENDS, EMPTY_REDIS_S);
    int64_t deadline_us = harness_now_us() + INT64_C(10000000);
    while (count_in_redis(world) < N_FRONTENDS) {
        assert_true(harness_now_us() < deadline_us);
        harness_sleep_ms(50);
    }
}

/* Ten seconds until Redis forgets it, ten until the others believe that. */
static void test_dead_frontend_is_forgotten(void **state) {
    struct world *world = *state;
    int64_t died_at_us = harness_now_us();
    harness_kill(world->harness, world->frontends[0].pid);
    world->frontends[0].pid = 0;
    while (frontend_metric(&world->frontends[1], fleet_size) == N_FRONTENDS) {
        assert_true(harness_now_us() - died_at_us < DEATH_LIMIT_S * INT64_C(1000000));
        harness_sleep_ms(100);
    }
    assert_true(harness_now_us() - died_at_us > INT64_C(15000000));
    await_size(world, 1, N_FRONTENDS - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_frontend_knows_the_fleet),
        cmocka_unit_test(test_frontend_that_stops_leaves_redis_at_once),
        cmocka_unit_test(test_size_stays_while_redis_is_gone_and_when_it_is_empty),
        cmocka_unit_test(test_dead_frontend_is_forgotten),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
