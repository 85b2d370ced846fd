/* test_quota_feed.c — three frontends follow the quotas in a real Redis Cluster: changes, a failover, a restart from
 * the snapshot, a damaged one, and many quotas. */
#include <signal.h>
#include <unistd.h>

#include "server/core/slot.h"
#include "server/quota/ledger.h"
#include "server/store/script.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/text_bytes.h"
#include "tests/system/cluster.h"
#include "tests/system/frontend.h"

enum { N_FRONTENDS = 3, N_CHANGES = 200, N_MANY = 100000, PART = 1000, LIMIT_S = 20, TEXT_BYTES = 160 };

static const char quotas[] = "default: allow\n"
                             "tenants:\n"
                             "  demo:\n"
                             "    hello:\n"
                             "      limits:\n"
                             "        - { rate: 1/day, burst: 3 }\n";
static const char revision[] = "sluice_quota_revision",
                  from_snapshot[] = "sluice_quota_source{source=\"snapshot\"}";

struct world {
    struct harness *harness;
    struct cluster cluster;
    struct frontend frontends[N_FRONTENDS];
    char quota_path[HARNESS_PATH_BYTES], snapshot_path[HARNESS_PATH_BYTES];
};

/* The first frontend keeps a snapshot. */
static void start_frontend(struct world *world, size_t i) {
    if (i == 0) {
        FRONTEND_START(world->harness, &world->frontends[i], "--quotas", world->quota_path, "--redis-nodes",
                       world->cluster.nodes, "--quota-snapshot", world->snapshot_path);
    } else {
        FRONTEND_START(world->harness, &world->frontends[i], "--quotas", world->quota_path, "--redis-nodes",
                       world->cluster.nodes);
    }
}

static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    *state = world;
    world->harness = harness_open();
    cluster_start(world->harness, &world->cluster);
    harness_write(world->harness, "quotas.yaml", quotas, world->quota_path);
    harness_path(world->harness, "quotas.snapshot", world->snapshot_path);
    for (size_t i = 0; i < N_FRONTENDS; i++) {
        start_frontend(world, i);
    }
    return 0;
}

static int close_world(void **state) {
    struct world *world = *state;
    frontend_stop_all(world->frontends, N_FRONTENDS);
    harness_close(&world->harness);
    free(world);
    return 0;
}

static uint16_t master_of_quotas(const struct world *world) {
    return cluster_master_of_slot(&world->cluster, slot_of_key(text_bytes(LEDGER_KEY_QUOTAS)));
}

/* Runs quota_put on the master of the quotas. The revision, or -1: there was a conflict, or none was reached. */
static int64_t put_on(uint16_t port, const struct buf *argument) {
    struct redis_link link = {.fd = -1};
    struct redis_answer answer = {.kind = REDIS_NIL};
    const struct bytes args[] = {text_bytes("EVAL"),
                                 text_bytes(script_quota_put.body),
                                 text_bytes("2"),
                                 text_bytes(LEDGER_KEY_QUOTAS),
                                 text_bytes(LEDGER_KEY_CHANGES),
                                 {buf_front(argument), buf_len(argument)}};
    bool is_answered = redis_link_open(&link, port) && redis_link_queue(&link, args, 6) &&
                       redis_link_flush(&link) && redis_link_read(&link, &answer);
    redis_link_close(&link);
    return is_answered && answer.kind == REDIS_INTEGER ? answer.integer : -1;
}

static void begin(struct buf *argument, uint64_t above) {
    struct ledger_put put = {.above = above, .who = text_bytes("test"), .from = text_bytes("127.0.0.1")};
    assert_true(ledger_begin_put(&put, argument));
}

static int64_t put_burst_above(uint16_t port, uint64_t above, const char *resource, int burst) {
    char text[TEXT_BYTES];
    struct buf argument = {0};
    snprintf(text, sizeof text, "{\"limits\":[{\"rate\":\"1/day\",\"burst\":%d}]}", burst);
    begin(&argument, above);
    assert_true(ledger_add_put(text_bytes("demo"), text_bytes(resource), text_bytes(text), LEDGER_ANY_REVISION,
                               &argument));
    int64_t new_revision = put_on(port, &argument);
    buf_deinit(&argument);
    return new_revision;
}

static int64_t put_burst(uint16_t port, const char *resource, int burst) {
    return put_burst_above(port, 0, resource, burst);
}

static void await_revision(const struct world *world, uint64_t wanted) {
    for (size_t i = 0; i < N_FRONTENDS; i++) {
        frontend_await_metric(&world->frontends[i], revision, wanted);
    }
}

/* How many of `n` checks of a new key the frontend allows. */
static int count_allowed(const struct world *world, size_t i, const char *resource, const char *key, int n) {
    int n_allowed = 0;
    for (int k = 0; k < n; k++) {
        struct run run;
        HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluice", "check", "--server",
                         world->frontends[i].address, "demo", resource, key);
        assert_in_range(run.exit_code, 0, 1);
        n_allowed += run.exit_code == 0;
    }
    return n_allowed;
}

static void test_one_frontend_seeds_and_all_agree(void **state) {
    struct world *world = *state;
    await_revision(world, 2);
    for (size_t i = 0; i < N_FRONTENDS; i++) {
        frontend_await_status(&world->frontends[i], "/readyz", 200);
        char key[] = {'k', (char)('0' + i), '\0'};
        assert_int_equal(count_allowed(world, i, "hello", key, 5), 3);
    }
}

static void test_changes_reach_every_frontend(void **state) {
    struct world *world = *state;
    uint16_t port = master_of_quotas(world);
    int64_t last = 0;
    for (int i = 1; i <= N_CHANGES; i++) {
        last = put_burst(port, "hello", i % 7 + 1);
        assert_int_equal(last, 2 + i);
    }
    int64_t changed_at_us = harness_now_us();
    await_revision(world, (uint64_t)last);
    printf("%d changes followed by %d frontends, the last %lld ms after it was made (as polled)\n", N_CHANGES,
           N_FRONTENDS, (long long)(harness_now_us() - changed_at_us) / 1000);
    for (size_t i = 0; i < N_FRONTENDS; i++) {
        char key[] = {'l', (char)('0' + i), '\0'};
        assert_int_equal(count_allowed(world, i, "hello", key, N_CHANGES % 7 + 3), N_CHANGES % 7 + 1);
        assert_int_equal(frontend_metric(&world->frontends[i], "sluice_quota_resyncs_total"), 1);
    }
}

static void test_death_of_the_shard_stops_changes_and_nothing_else(void **state) {
    struct world *world = *state;
    uint16_t master = master_of_quotas(world);
    uint64_t before = frontend_metric(&world->frontends[1], revision);
    cluster_signal(&world->cluster, master, SIGKILL);
    assert_int_equal(put_burst(master, "hello", 2), -1);
    for (size_t i = 0; i < N_FRONTENDS; i++) {
        char key[] = {'m', (char)('0' + i), '\0'};
        assert_true(count_allowed(world, i, "hello", key, 1) == 1);
        assert_int_equal(frontend_metric(&world->frontends[i], revision), before);
    }
    cluster_restart(&world->cluster);
    int64_t after = -1; /* the node that died has come back empty, or a replica has taken over */
    for (int64_t until_us = harness_now_us() + 10000000; after < 0 && harness_now_us() < until_us;) {
        after = put_burst_above(master_of_quotas(world), before, "hello", 2);
    }
    assert_true(after > (int64_t)before);
    await_revision(world, (uint64_t)after);
}

/* Of the folder that the first frontend keeps its snapshot in. */
static void await_snapshot(const struct world *world, int64_t wanted) {
    char text[4096], line[64];
    snprintf(line, sizeof line, "\n%lld allow\n", (long long)wanted);
    for (int64_t until_us = harness_now_us() + 10000000; harness_now_us() < until_us; harness_sleep_ms(50)) {
        harness_read(world->snapshot_path, text, sizeof text);
        if (strstr(text, line) != NULL) {
            return;
        }
    }
    fail_msg("no snapshot of revision %lld: %s", (long long)wanted, text);
}

static void expect_log(const struct frontend *frontend, const char *part) {
    char text[64 * 1024];
    harness_read(frontend->log_path, text, sizeof text);
    assert_contains(text, part);
}

static void test_snapshot_serves_a_start_without_redis(void **state) {
    struct world *world = *state;
    struct frontend *frontend = &world->frontends[0];
    int64_t last = put_burst(master_of_quotas(world), "hello", 5);
    await_revision(world, (uint64_t)last);
    await_snapshot(world, last);
    frontend_stop(frontend);
    cluster_signal_all(&world->cluster, SIGSTOP);
    start_frontend(world, 0);
    assert_int_equal(frontend_metric(frontend, revision), last);
    assert_int_equal(frontend_metric(frontend, from_snapshot), 1);
    expect_log(frontend, "until Redis answers: 1 quotas of revision");
    assert_int_equal(count_allowed(world, 0, "hello", "snap", 7), 5);
    frontend_stop(frontend);
    assert_int_equal(truncate(world->snapshot_path, 100), 0);
    start_frontend(world, 0);
    expect_log(frontend, "the snapshot is refused: ");
    expect_log(frontend, "its length or checksum is wrong");
    assert_int_equal(frontend_metric(frontend, revision), 0);
    assert_int_equal(count_allowed(world, 0, "hello", "seed", 7), 3);
    cluster_signal_all(&world->cluster, SIGCONT);
    cluster_restart(&world->cluster);
    int64_t after = put_burst(master_of_quotas(world), "hello", 6);
    await_revision(world, (uint64_t)after);
    expect_log(frontend, "those of the file are not looked at");
}

static void put_many(uint16_t port) {
    for (int i = 0; i < N_MANY; i += PART) {
        struct buf argument = {0};
        begin(&argument, 0);
        for (int k = i; k < i + PART; k++) {
            char resource[32];
            snprintf(resource, sizeof resource, "r%d", k);
            assert_true(ledger_add_put(text_bytes("many"), text_bytes(resource),
                                       text_bytes("{\"limits\":[{\"rate\":\"100/s\",\"burst\":200}]}"),
                                       LEDGER_ANY_REVISION, &argument));
        }
        assert_true(put_on(port, &argument) > 0);
        buf_deinit(&argument);
    }
}

static void test_many_quotas_are_soon_read(void **state) {
    struct world *world = *state;
    put_many(master_of_quotas(world));
    uint64_t last = (uint64_t)put_burst(master_of_quotas(world), "hello", 7);
    for (size_t i = 0; i < N_FRONTENDS; i++) {
        int64_t until_us =
            harness_now_us() + INT64_C(60000000); /* under sanitizers, and with two cores for all */
        while (frontend_metric(&world->frontends[i], revision) < last && harness_now_us() < until_us) {
            harness_sleep_ms(50);
        }
        frontend_await_metric(&world->frontends[i], revision, last);
        assert_int_equal(frontend_metric(&world->frontends[i], "sluice_quotas"), N_MANY + 1);
    }
    frontend_stop(&world->frontends[1]);
    int64_t started_at_us = harness_now_us();
    start_frontend(world, 1);
    frontend_await_status(&world->frontends[1], "/readyz", 200);
    printf("%d quotas: ready %lld ms after the start\n", N_MANY,
           (long long)(harness_now_us() - started_at_us) / 1000);
    assert_int_equal(frontend_metric(&world->frontends[1], "sluice_quotas"), N_MANY + 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_frontend_seeds_and_all_agree),
        cmocka_unit_test(test_changes_reach_every_frontend),
        cmocka_unit_test(test_death_of_the_shard_stops_changes_and_nothing_else),
        cmocka_unit_test(test_snapshot_serves_a_start_without_redis),
        cmocka_unit_test(test_many_quotas_are_soon_read),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
