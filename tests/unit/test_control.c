/* test_control.c — heartbeats to a scripted Redis, what their replies do, and the goodbye. */
#include "tests/support/test_prelude.h"

#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/control.h"
#include "tests/support/fake_redis.h"

struct bench {
    struct ev_loop *loop;
    struct fake_redis *fake;
    struct control_metrics metrics;
    struct control *control;
    struct quota_set *quotas;
    uint32_t told_size;
    int n_told;
};

static void note_size(void *arg, uint32_t fleet_size) {
    struct bench *bench = arg;
    bench->told_size = fleet_size;
    bench->n_told++;
}

static void note_quotas(void *arg, struct quota_set *quotas) {
    struct bench *bench = arg;
    quota_set_release(&bench->quotas);
    bench->quotas = quota_set_hold(quotas);
}

static void note_reset(void *arg, const struct bucket_name *name) {
    (void)arg;
    (void)name;
}

static uint64_t revision_in_force(void *arg) {
    const struct bench *bench = arg;
    return quota_set_revision(bench->quotas);
}

static uint64_t three(void *arg) {
    (void)arg;
    return 3;
}

static void start_control(struct bench *bench, const char *nodes) {
    struct control_options options = {
        .nodes = nodes,
        .connect_timeout_us = 500000,
        .address = "127.0.0.1:7380",
        .version = "1.2.3",
        .fleet_size = 2,
        .quotas = bench->quotas,
        .hooks = {.arg = bench,
                  .on_fleet_size = note_size,
                  .on_quotas = note_quotas,
                  .on_reset = note_reset,
                  .applied_revision = revision_in_force,
                  .degraded_shards = three},
    };
    struct status status;
    bench->control = control_create(bench->loop, &options, &bench->metrics, &status);
    assert_non_null(bench->control);
}

static void setup(struct bench *bench) {
    *bench = (struct bench){.loop = ev_loop_new(EVFLAG_AUTO)};
    bench->quotas = quota_set_create();
    assert_non_null(bench->quotas);
    bench->fake = fake_redis_start(bench->loop, 0);
    fake_redis_mute(bench->fake, "XREVRANGE"); /* of the follower */
    char nodes[32];
    snprintf(nodes, sizeof nodes, "127.0.0.1:%u", (unsigned)fake_redis_port(bench->fake));
    start_control(bench, nodes);
}

static void teardown(struct bench *bench) {
    control_destroy(&bench->control);
    assert_null(bench->control);
    fake_redis_stop(&bench->fake);
    quota_set_release(&bench->quotas);
    ev_loop_destroy(bench->loop);
}

static uint64_t n_beats(const struct bench *bench) {
    return metric_get(&bench->metrics.heartbeats) + metric_get(&bench->metrics.heartbeats_failed);
}

static void test_heartbeat_tells_and_learns(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_redis_reply(bench.fake, ":5\r\n");
    turn_until(bench.loop, n_beats(&bench) == 1);
    assert_int_equal(bench.told_size, 5);
    assert_int_equal(metric_get(&bench.metrics.heartbeats), 1);
    char sha1[48], id[40], about[256];
    const char *beat = fake_redis_last(bench.fake);
    assert_int_equal(sscanf(beat, "EVALSHA|%40[0-9a-f]|2|{sluice}:fleet|{sluice}:frontends|%32[0-9a-f]%255s",
                            sha1, id, about),
                     3);
    assert_int_equal(strlen(id), 32);
    assert_memory_equal(about, "{\"address\":\"127.0.0.1:7380\",\"admin\":\"\",\"host\":\"", 47);
    assert_non_null(strstr(about, "\"version\":\"1.2.3\",\"revision\":0,\"started_at\":"));
    assert_non_null(strstr(about, ",\"degraded_shards\":3}"));
    teardown(&bench);
}

static void test_unchanged_number_is_not_told_again(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_redis_reply(bench.fake, ":2\r\n");
    turn_until(bench.loop, n_beats(&bench) == 1);
    assert_int_equal(bench.n_told, 0);
    teardown(&bench);
}

/* The next one comes after half a second or so, not after two. */
static void test_refused_heartbeat_is_counted_and_sent_again_soon(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_redis_reply(bench.fake, "-OOM no room\r\n");
    fake_redis_reply(bench.fake, "+not a number\r\n");
    fake_redis_reply(bench.fake, ":3\r\n");
    turn_until(bench.loop, n_beats(&bench) == 1);
    assert_int_equal(metric_get(&bench.metrics.heartbeats_failed), 1);
    assert_int_equal(bench.n_told, 0);
    turn_until(bench.loop, n_beats(&bench) == 3);
    assert_int_equal(metric_get(&bench.metrics.heartbeats_failed), 2);
    assert_int_equal(bench.told_size, 3);
    teardown(&bench);
}

static void test_without_redis_it_tries_and_goes_at_once(void **state) {
    (void)state;
    struct bench bench = {.loop = ev_loop_new(EVFLAG_AUTO), .quotas = quota_set_create()};
    start_control(&bench, "127.0.0.1:1");
    turn_until(bench.loop, metric_get(&bench.metrics.heartbeats_failed) == 2);
    assert_int_equal(bench.n_told, 0);
    teardown(&bench);
}

static void test_goodbye_is_the_id_alone(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_redis_reply(bench.fake, ":2\r\n");
    turn_until(bench.loop, n_beats(&bench) == 1);
    fake_redis_reply(bench.fake, ":1\r\n");
    control_destroy(&bench.control);
    const char *last_word = strrchr(fake_redis_last(bench.fake), '|');
    assert_non_null(last_word);
    assert_int_equal(strlen(last_word + 1), 32);
    assert_int_equal(bench.n_told, 0);
    teardown(&bench);
}

static void test_silent_redis_does_not_delay_the_end(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    turn_until(bench.loop, fake_redis_count(bench.fake, "EVALSHA") == 1); /* not answered: still under way */
    int64_t started_at_us = clock_mono_us();
    control_destroy(&bench.control);
    assert_in_range(clock_mono_us() - started_at_us, 90000, 1000000);
    assert_int_equal(fake_redis_count(bench.fake, "EVALSHA"), 2);
    teardown(&bench);
}

static void test_clocks_of_nodes_can_be_read(void **state) {
    (void)state;
    struct bench bench;
    struct node_metrics *nodes = NULL;
    size_t n_nodes = 0;
    char name[32];
    setup(&bench);
    fake_redis_set_ahead(bench.fake, 3000000);
    assert_true(control_read_nodes(bench.control, &nodes, &n_nodes));
    assert_int_equal(n_nodes, 0);
    assert_null(nodes);
    turn_until(bench.loop, fake_redis_count(bench.fake, "TIME") == 1);
    turn_until(bench.loop, control_read_nodes(bench.control, &nodes, &n_nodes) && n_nodes == 1);
    snprintf(name, sizeof name, "127.0.0.1:%u", (unsigned)fake_redis_port(bench.fake));
    assert_string_equal(nodes[0].node, name);
    assert_true(nodes[0].clock_drift_s > 2.9 && nodes[0].clock_drift_s < 3.1);
    free(nodes);
    teardown(&bench);
}

static void test_bad_list_of_nodes_is_refused(void **state) {
    (void)state;
    struct control_metrics metrics = {0};
    struct control_options options = {
        .nodes = "nowhere", .address = "", .version = "", .fleet_size = 1, .quotas = quota_set_create()};
    struct status status;
    assert_null(control_create(ev_default_loop(EVFLAG_AUTO), &options, &metrics, &status));
    quota_set_release(&options.quotas);
    assert_string_equal(status.text, "\"nowhere\" is not HOST:PORT");
}

int main(void) {
    log_configure(LOG_ERROR, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heartbeat_tells_and_learns),
        cmocka_unit_test(test_unchanged_number_is_not_told_again),
        cmocka_unit_test(test_refused_heartbeat_is_counted_and_sent_again_soon),
        cmocka_unit_test(test_without_redis_it_tries_and_goes_at_once),
        cmocka_unit_test(test_goodbye_is_the_id_alone),
        cmocka_unit_test(test_silent_redis_does_not_delay_the_end),
        cmocka_unit_test(test_clocks_of_nodes_can_be_read),
        cmocka_unit_test(test_bad_list_of_nodes_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
