/* test_heartbeat_redis.c — the heartbeat script in a real redis-server: who is counted, forgotten, and told of. */
#include "tests/support/test_prelude.h"

#include <inttypes.h>
#include <time.h>

#include "server/core/slot.h"
#include "server/quota/fleet.h"
#include "tests/property/script_redis.h"

#define NOW_MS INT64_C(1800000000000)

static int set_up(void **state) {
    script_redis_set_up(state);
    script_redis_load(*state, &script_heartbeat);
    return 0;
}

static int forget_all(void **state) {
    return script_redis_call(*state, "FLUSHALL", NULL).kind == REDIS_STATUS ? 0 : -1;
}

/* The same each time. */
static struct fleet frontend_of(size_t number) {
    struct fleet frontend;
    fleet_init(&frontend, 1, number, number);
    return frontend;
}

/* The reply to one heartbeat; now_ms < 0: at the server's own time. */
static int64_t beat(struct script_redis *redis, size_t number, const char *about, int64_t now_ms) {
    uint8_t argument[FLEET_BEAT_MAX_BYTES];
    char now[32], n_keys[8];
    snprintf(now, sizeof now, "%" PRId64, now_ms);
    snprintf(n_keys, sizeof n_keys, "%u", (unsigned)script_heartbeat.n_keys);
    struct fleet frontend = frontend_of(number);
    size_t n = fleet_write_beat(&frontend, about, argument);
    const struct bytes args[] = {text_bytes("EVALSHA"),
                                 text_bytes(script_heartbeat.sha1),
                                 text_bytes(n_keys),
                                 text_bytes(FLEET_KEY_SEEN),
                                 text_bytes(FLEET_KEY_TOLD),
                                 {argument, n},
                                 text_bytes(now)};
    struct redis_answer answer = script_redis_send(redis, args, now_ms < 0 ? 6 : 7);
    if (answer.kind != REDIS_INTEGER) {
        fail_msg("no number: %.*s", (int)answer.text.len, (const char *)answer.text.data);
    }
    return answer.integer;
}

static void expect_told(struct script_redis *redis, size_t number, const char *about) {
    struct redis_answer answer = script_redis_call(redis, "HGET", FLEET_KEY_TOLD, frontend_of(number).id, NULL);
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
    assert_int_equal(script_redis_call(*state, "ZCARD", FLEET_KEY_SEEN, NULL).integer, 3);
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
    assert_int_equal(script_redis_call(*state, "EXISTS", FLEET_KEY_SEEN, FLEET_KEY_TOLD, NULL).integer, 0);
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
    struct script_redis *redis = *state;
    struct timespec before, after;
    clock_gettime(CLOCK_REALTIME, &before);
    assert_int_equal(beat(redis, 0, "a", -1), 1);
    clock_gettime(CLOCK_REALTIME, &after);
    struct redis_answer answer = script_redis_call(redis, "ZSCORE", FLEET_KEY_SEEN, frontend_of(0).id, NULL);
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
    return cmocka_run_group_tests(tests, set_up, script_redis_tear_down);
}
