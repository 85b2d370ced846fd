/* test_login.c — sluiced logs in to a real Redis as a user that may do no more than it must. */
#include <unistd.h>

#include "tests/support/redis_fixture.h"
#include "tests/system/frontend.h"
#include "tests/system/raw_client.h"

struct world {
    struct harness *harness;
    struct redis_fixture *redis;
    struct redis_link link; /* as the default user */
    char nodes[32], quotas_path[HARNESS_PATH_BYTES], password_path[HARNESS_PATH_BYTES];
};

static void set_user(struct world *world, const char *rule) {
    struct redis_answer answer;
    assert_true(redis_link_call(&world->link, &answer, "ACL", "SETUSER", "sluice", rule, (char *)NULL));
    assert_int_equal(answer.kind, REDIS_STATUS);
}

static int open_world(void **state) {
    static const char *const rules[] = {
        "on",      ">hunter2", "~[srtg]:*",      "~{[srtg]:*",     "~{sluice}:*", "+script|load", "+evalsha",
        "+eval",   "+asking",  "+cluster|slots", "+get",           "+getdel",     "+set",         "+time",
        "+zadd",   "+zrem",    "+zcard",         "+zrangebyscore", "+hset",       "+hdel",        "+del",
        "+exists", "+zrange",  "+hget",          "+hlen",          "+hexists",    "+hvals",       "+hscan",
        "+xadd",   "+xread",   "+xrange",        "+xrevrange",     "+xinfo"};
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    *state = world;
    world->harness = harness_open();
    world->redis = redis_fixture_start();
    assert_non_null(world->redis);
    assert_true(redis_link_open(&world->link, redis_fixture_port(world->redis)));
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        set_user(world, rules[i]);
    }
    snprintf(world->nodes, sizeof world->nodes, "127.0.0.1:%u", redis_fixture_port(world->redis));
    harness_write(world->harness, "quotas.yaml",
                  "tenants: { t: { r: { limits: [ { rate: 1/h, burst: 1000 } ] } } }\n", world->quotas_path);
    return 0;
}

static int close_world(void **state) {
    struct world *world = *state;
    harness_close(&world->harness);
    redis_link_close(&world->link);
    redis_fixture_stop(&world->redis);
    free(world);
    return 0;
}

static void start_frontend(struct world *world, struct frontend *frontend, const char *password) {
    harness_write(world->harness, "password", password, world->password_path);
    FRONTEND_START(world->harness, frontend, "--quotas", world->quotas_path, "--redis-nodes", world->nodes,
                   "--redis-user", "sluice", "--redis-password-file", world->password_path);
}

static void expect_decision(const struct frontend *frontend, const char *key) {
    struct raw_client *raw = raw_open(frontend);
    for (uint64_t i = 1; i <= 3; i++) {
        const struct wire_decision *decision = raw_decide(raw, raw_check_of("t", "r", key));
        assert_int_equal(decision->verdict, WIRE_ALLOW);
        assert_int_equal(decision->remaining, 1000 - i);
    }
    raw_close(&raw);
}

static void test_a_user_with_few_rights_is_enough(void **state) {
    struct world *world = *state;
    struct redis_answer answer;
    struct frontend frontend;
    start_frontend(world, &frontend, "hunter2\n");
    frontend_await_status(&frontend, "/readyz", 200);
    expect_decision(&frontend, "a");
    assert_true(redis_link_call(&world->link, &answer, "SCRIPT", "FLUSH", (char *)NULL));
    expect_decision(&frontend, "b");
    frontend_await_metric(&frontend, "sluice_heartbeats_total{result=\"ok\"}", 1);
    frontend_stop(&frontend);
}

static void test_a_wrong_password_is_an_error_until_it_is_right(void **state) {
    struct world *world = *state;
    struct frontend frontend;
    char log[4096];
    start_frontend(world, &frontend, "hunter3\n");
    while (frontend_metric(&frontend, "sluice_redis_error_replies_total{code=\"WRONGPASS\"}") < 2) {
        harness_sleep_ms(20);
    }
    assert_int_equal(frontend_get_status(&frontend, "/readyz"), 503);
    harness_read(frontend.log_path, log, sizeof log);
    assert_contains(log, "error topology: node 127.0.0.1:");
    assert_contains(log, "greeting refused: WRONGPASS");
    assert_null(strstr(log, "hunter"));
    set_user(world, ">hunter3");
    frontend_await_status(&frontend, "/readyz", 200);
    expect_decision(&frontend, "c");
    frontend_stop(&frontend);
}

static void test_without_its_password_it_does_not_start(void **state) {
    struct world *world = *state;
    struct run run;
    HARNESS_RUN_OURS(world->harness, &run, 30, "sluiced", "--redis-nodes", world->nodes,
                     "--redis-password-file", "/nowhere/password", "--check");
    assert_int_equal(run.exit_code, 2);
    assert_contains(run.err, "/nowhere/password: No such file or directory");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_user_with_few_rights_is_enough),
        cmocka_unit_test(test_a_wrong_password_is_an_error_until_it_is_right),
        cmocka_unit_test(test_without_its_password_it_does_not_start),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
