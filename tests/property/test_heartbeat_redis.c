/* test_heartbeat_redis.c — the heartbeat script in a real redis-server: who is counted, forgotten, and told of. */
#include "tests/support/test_prelude.h"

#include <inttypes.h>
#include <time.h>

#include "server/core/slot.h"
#include "server/quota/fleet.h"
#include "server/store/script.h"
#include "tests/support/redis_fixture.h"

#define NOW_MS INT64_C(1800000000000)

struct redis {
    struct redis_fixture *fixture;
    struct redis_link link;
    struct fleet frontends[3];
};

static struct bytes text_bytes(const char *text) {
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static struct redis_answer call(struct redis *redis, const char *command, const char *a, const char *b) {
    struct redis_answer answer;
    assert_true(redis_link_call(&redis->link, &answer, command, a, b, (char *)NULL));
    return answer;
}

static int set_up(void **state) {
    struct redis *redis = calloc(1, sizeof *redis);
    assert_non_null(redis);
    *state = redis;
    redis->link.fd = -1;
    for (uint64_t i = 0; i < 3; i++) {
        fleet_init(&redis->frontends[i], 1, i, i);
    }
    redis->fixture = redis_fixture_start();
    if (redis->fixture == NULL || !redis_link_open(&redis->link, redis_fixture_port(redis->fixture))) {
        return -1;
    }
    struct redis_answer answer = call(redis, "SCRIPT", "LOAD", script_heartbeat.body);
    return answer.kind == REDIS_BULK ? 0 : -1;
}

static int tear_down(void **state) {
    struct redis *redis = *state;
    redis_link_close(&redis->link);
    redis_fixture_stop(&redis->fixture);
    free(redis);
    return 0;
}

static int forget_all(void **state) {
    return call(*state, "FLUSHALL", NULL, NULL).kind == REDIS_STATUS ? 0 : -1;
}

/* The reply to one heartbeat; now_ms < 0: at the server's own time. */
static int64_t beat(struct redis *redis, size_t frontend, const char *about, int64_t now_ms) {
    uint8_t argument[FLEET_BEAT_MAX_BYTES];
    char now[32], n_keys[8];
    snprintf(now, sizeof now, "%" PRId64, now_ms);
    snprintf(n_keys, sizeof n_keys, "%u", (unsigned)script_heartbeat.n_keys);
    size_t n = fleet_write_beat(&redis->frontends[frontend], about, argument);
    const struct bytes args[] = {text_bytes("EVALSHA"),
                                 text_bytes(script_heartbeat.sha1),
                                 text_bytes(n_keys),
                                 text_bytes(FLEET_KEY_SEEN),
                                 text_bytes(FLEET_KEY_TOLD),
                                 {argument, n},
                                 text_bytes(now)};
    struct redis_answer answer;
    assert_true(redis_link_queue(&redis->link, args, now_ms < 0 ? 6 : 7));
    assert_true(redis_link_flush(&redis->link));
    assert_true(redis_link_read(&redis->link, &answer));
    if (answer.kind != REDIS_INTEGER) {
        fail_msg("no number: %.*s", (int)answer.text.len, (const char *)answer.text.data);
    }
    return answer.integer;
}

static void expect_told(struct redis *redis, size_t frontend, const char *about) {
    struct redis_answer answer = call(redis, "HGET", FLEET_KEY_TOLD, redis->frontends[frontend].id);
    if (about == NULL) {
        assert_int_equal(answer.kind, REDIS_NIL);
    } else {
        assert_int_equal(answer.text.len, strlen(about));
        assert_memory_equal(answer.text.data, about, answer.text.len);
    }
}

static void test_each_frontend_counts_once(void **state) {
    assert_int_equal(beat(*state, 0, "a", NOW_MS), 1);
    assert_int_equal(beat(*state, 1, "b", NOW_MS), 2);
    assert_int_equal(beat(*state, 0, "a", NOW_MS + 2000), 2);
    assert_int_equal(beat(*state, 2, "c", NOW_MS + 2000), 3);
    assert_int_equal(call(*state, "ZCARD", FLEET_KEY_SEEN, NULL).integer, 3);
}

static void test_silent_frontend_is_forgotten_after_ten_seconds(void **state) {
    assert_int_equal(beat(*state, 0, "a", NOW_MS), 1);
    assert_int_equal(beat(*state, 1, "b", NOW_MS + 9999), 2);
    expect_told(*state, 0, "a");
    assert_int_equal(beat(*state, 1, "b", NOW_MS + 10000), 1);
    expect_told(*state, 0, NULL);
    expect_told(*state, 1, "b");
}

static void test_what_is_told_is_the_latest(void **state) {
    assert_int_equal(beat(*state, 0, "{\"revision\":1}", NOW_MS), 1);
    assert_int_equal(beat(*state, 0, "{\"revision\":2}", NOW_MS + 1), 1);
    expect_told(*state, 0, "{\"revision\":2}");
}

static void test_frontend_that_leaves_is_gone_at_once(void **state) {
    assert_int_equal(beat(*state, 0, "a", NOW_MS), 1);
    assert_int_equal(beat(*state, 1, "b", NOW_MS), 2);
    assert_int_equal(beat(*state, 1, "", NOW_MS + 1), 1);
    expect_told(*state, 1, NULL);
    assert_int_equal(beat(*state, 1, "", NOW_MS + 2), 1);
    assert_int_equal(beat(*state, 0, "", NOW_MS + 3), 0);
    assert_int_equal(call(*state, "EXISTS", FLEET_KEY_SEEN, FLEET_KEY_TOLD).integer, 0);
}

/* A failover to a node whose clock is another: those that live come back with their next heartbeat. */
static void test_stepped_clock_keeps_no_dead_frontend(void **state) {
    assert_int_equal(beat(*state, 0, "a", NOW_MS), 1);
    assert_int_equal(beat(*state, 1, "b", NOW_MS), 2);
    assert_int_equal(beat(*state, 0, "a", NOW_MS - 9999), 2);
    assert_int_equal(beat(*state, 0, "a", NOW_MS - 10000), 1);
    expect_told(*state, 1, NULL);
    assert_int_equal(beat(*state, 1, "b", NOW_MS - 10000), 2);
    assert_int_equal(beat(*state, 0, "a", NOW_MS + 86400000), 1);
}

static void test_time_is_the_servers(void **state) {
    struct redis *redis = *state;
    struct timespec before, after;
    clock_gettime(CLOCK_REALTIME, &before);
    assert_int_equal(beat(redis, 0, "a", -1), 1);
    clock_gettime(CLOCK_REALTIME, &after);
    struct redis_answer answer = call(redis, "ZSCORE", FLEET_KEY_SEEN, redis->frontends[0].id);
    assert_int_equal(answer.kind, REDIS_BULK);
    assert_in_range(strtoll((const char *)answer.text.data, NULL, 10),
                    before.tv_sec * INT64_C(1000) + before.tv_nsec / 1000000,
                    after.tv_sec * INT64_C(1000) + after.tv_nsec / 1000000);
}

static void test_keys_share_a_slot(void **state) {
    (void)state;
    assert_int_equal(slot_of_key(text_bytes(FLEET_KEY_SEEN)), slot_of_key(text_bytes(FLEET_KEY_TOLD)));
    assert_int_equal(script_heartbeat.n_keys, 2);
}

#define FLEET_TEST(test) cmocka_unit_test_setup(test, forget_all)

int main(void) {
    const struct CMUnitTest tests[] = {
        FLEET_TEST(test_each_frontend_counts_once),
        FLEET_TEST(test_silent_frontend_is_forgotten_after_ten_seconds),
        FLEET_TEST(test_what_is_told_is_the_latest),
        FLEET_TEST(test_frontend_that_leaves_is_gone_at_once),
        FLEET_TEST(test_stepped_clock_keeps_no_dead_frontend),
        FLEET_TEST(test_time_is_the_servers),
        FLEET_TEST(test_keys_share_a_slot),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
