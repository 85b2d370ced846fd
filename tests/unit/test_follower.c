/* test_follower.c — the follower on a scripted Redis: from the first question to a new set, and after a loss. */
#include "tests/support/test_prelude.h"

#include "server/base/log.h"
#include "server/follower.h"
#include "tests/support/fake_redis.h"

struct bench {
    struct ev_loop *loop;
    struct fake_redis *fake;
    struct feed_metrics metrics;
    struct follower *follower;
    struct quota_set *first;
    int n_sets;
    uint64_t revision;
};

static void note_set(void *arg, struct quota_set *set) {
    struct bench *bench = arg;
    bench->n_sets++;
    bench->revision = quota_set_revision(set);
}

static void setup(struct bench *bench) {
    *bench = (struct bench){.loop = ev_loop_new(EVFLAG_AUTO), .first = quota_set_create()};
    assert_non_null(bench->first);
    bench->fake = fake_redis_start(bench->loop, 0);
    char nodes[32];
    snprintf(nodes, sizeof nodes, "127.0.0.1:%u", (unsigned)fake_redis_port(bench->fake));
    struct follower_options options = {
        .cluster = {.nodes = nodes, .connect_timeout_us = 500000, .refresh_every_us = 50000},
        .feed = {.set = bench->first, .seed = bench->first, .metrics = &bench->metrics},
        .on_set = note_set,
        .arg = bench,
    };
    struct status status;
    bench->follower = follower_create(bench->loop, &options, &status);
    assert_non_null(bench->follower);
}

static void teardown(struct bench *bench) {
    follower_destroy(&bench->follower);
    assert_null(bench->follower);
    fake_redis_stop(&bench->fake);
    quota_set_release(&bench->first);
    ev_loop_destroy(bench->loop);
}

#define LAST_7 "*1\r\n*2\r\n$3\r\n7-0\r\n*2\r\n$4\r\nwhat\r\n$7\r\ndefault\r\n"

static void script_sync(struct bench *bench) {
    fake_redis_reply(bench->fake, LAST_7);
    fake_redis_reply(bench->fake, "*2\r\n$1\r\n0\r\n*2\r\n$8\r\n\ndefault\r\n$6\r\n7 deny\r\n");
    fake_redis_reply(bench->fake, "*-1\r\n");
}

static void test_quotas_are_read_and_then_followed(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    script_sync(&bench);
    turn_until(bench.loop, bench.n_sets == 1);
    assert_int_equal(bench.revision, 7);
    assert_true(feed_is_synced(follower_feed(bench.follower)));
    turn_until(bench.loop, fake_redis_count(bench.fake, "XREAD") == 2);
    assert_string_equal(fake_redis_last(bench.fake), "XREAD|COUNT|500|BLOCK|2000|STREAMS|{sluice}:changes|7-0");
    teardown(&bench);
}

static void test_blank_store_is_seeded_by_the_script(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_redis_reply(bench.fake, "*0\r\n");
    fake_redis_reply(bench.fake, "*2\r\n$1\r\n0\r\n*0\r\n");
    fake_redis_reply(bench.fake, ":1\r\n");
    turn_until(bench.loop, fake_redis_count(bench.fake, "EVALSHA") == 1);
    script_sync(&bench);
    turn_until(bench.loop, bench.n_sets == 1);
    teardown(&bench);
}

static void test_lost_connection_is_survived(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    script_sync(&bench);
    turn_until(bench.loop, fake_redis_count(bench.fake, "XREAD") == 2);
    fake_redis_drop_clients(bench.fake);
    fake_redis_reply(bench.fake, LAST_7);
    turn_until(bench.loop, fake_redis_count(bench.fake, "XREAD") == 3);
    assert_int_equal(fake_redis_count(bench.fake, "XRANGE"), 1);
    assert_int_equal(bench.n_sets, 1);
    teardown(&bench);
}

static void test_it_may_go_at_any_time(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    teardown(&bench);
    setup(&bench);
    turn_until(bench.loop, fake_redis_count(bench.fake, "XREVRANGE") == 1);
    teardown(&bench);
}

int main(void) {
    log_configure(LOG_ERROR, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quotas_are_read_and_then_followed),
        cmocka_unit_test(test_blank_store_is_seeded_by_the_script),
        cmocka_unit_test(test_lost_connection_is_survived),
        cmocka_unit_test(test_it_may_go_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
