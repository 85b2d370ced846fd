/* test_cluster.c — two frontends decide by buckets in a real Redis Cluster, whatever happens to the cluster. */
#include "tests/system/two_frontends.h"

#include <signal.h>

static const char quotas[] =
    "tenants:\n"
    "  t:\n"
    "    five: { limits: [ { name: per_key, rate: 1/h, burst: 5 } ] }\n"
    "    queue: { limits: [ { name: queue, algorithm: leaky_bucket, rate: 1/min, burst: 5 } ] }\n"
    "    month: { limits: [ { name: month, algorithm: fixed_window, rate: 5/month } ] }\n"
    "    week: { limits: [ { name: week, algorithm: sliding_window, rate: 5/week },\n"
    "                      { name: second, rate: 1000000/s } ] }\n"
    "    many: { limits: [ { rate: 1/h, burst: 1000000 } ] }\n";

static const char noscript[] = "sluice_redis_error_replies_total{code=\"NOSCRIPT\"}";
static const char moved[] = "sluice_redis_error_replies_total{code=\"MOVED\"}";
static const char ask[] = "sluice_redis_error_replies_total{code=\"ASK\"}";

static uint64_t sum_of(const struct two_frontends *world, const char *series) {
    return frontend_metric(&world->frontends[0], series) + frontend_metric(&world->frontends[1], series);
}

static void test_token_bucket_is_shared_by_frontends(void **state) {
    struct two_frontends *world = *state;
    struct wire_check check = raw_check_of("t", "five", "shared");
    for (uint64_t i = 0; i < 5; i++) {
        const struct wire_decision *decision = raw_decide(world->raw[i % 2], check);
        assert_int_equal(decision->verdict, WIRE_ALLOW);
        assert_int_equal(decision->source, WIRE_SOURCE_STORE);
        assert_int_equal(decision->remaining, 4 - i);
    }
    for (size_t i = 0; i < N_FRONTENDS; i++) {
        const struct wire_decision *denial = raw_decide(world->raw[i], check);
        assert_int_equal(denial->verdict, WIRE_DENY);
        assert_in_range(denial->retry_after_us, 3000000000ULL, 3600000000ULL);
    }
}

static void test_leaky_bucket_is_shared_by_frontends(void **state) {
    struct two_frontends *world = *state;
    struct wire_check check = raw_check_of("t", "queue", "shared");
    const uint64_t slack_us = 30000000; /* what may drain meanwhile, on a slow machine */
    for (uint64_t i = 0; i < 5; i++) {
        const struct wire_decision *decision = raw_decide(world->raw[i % 2], check);
        assert_int_equal(decision->verdict, WIRE_ALLOW);
        uint64_t wait_us = i * 60000000;
        assert_in_range(decision->wait_us, wait_us > slack_us ? wait_us - slack_us : 0, wait_us);
    }
    assert_int_equal(raw_decide(world->raw[1], check)->verdict, WIRE_DENY);
}

/* Five are granted, by whomever, and then none for up to so long. */
static void expect_five_in_a_window(struct two_frontends *world, const char *resource, uint64_t most_s) {
    struct wire_check check = raw_check_of("t", resource, "shared");
    for (uint64_t i = 0; i < 5; i++) {
        const struct wire_decision *decision = raw_decide(world->raw[i % 2], check);
        assert_int_equal(decision->verdict, WIRE_ALLOW);
        assert_int_equal(decision->limit, 5);
        assert_int_equal(decision->remaining, 4 - i);
        assert_in_range(decision->reset_after_us, 1, most_s * 1000000);
    }
    for (size_t i = 0; i < N_FRONTENDS; i++) {
        const struct wire_decision *denial = raw_decide(world->raw[i], check);
        assert_int_equal(denial->verdict, WIRE_DENY);
        assert_in_range(denial->retry_after_us, 1, most_s * 1000000);
    }
}

static void test_windows_are_shared_by_frontends(void **state) {
    const uint64_t day_s = 86400;
    expect_five_in_a_window(*state, "month", 31 * day_s);
    expect_five_in_a_window(*state, "week", 14 * day_s);
}

/* All nodes share the machine's clock. */
static void expect_no_drift(const struct frontend *frontend, uint16_t port) {
    static char page[64 * 1024];
    char series[96];
    snprintf(series, sizeof series, "\nsluice_redis_clock_drift_seconds{node=\"127.0.0.1:%u\"} ", port);
    int64_t deadline_us = harness_now_us() + 10000000;
    const char *row = NULL;
    while (row == NULL) {
        if (harness_now_us() > deadline_us) {
            char log[4096];
            harness_read(frontend->log_path, log, sizeof log);
            fail_msg("no row for the clock of %u; log: %s", port, log);
        }
        frontend_get(frontend, "/metrics", page, sizeof page);
        row = strstr(page, series);
        harness_sleep_ms(10);
    }
    double drift_s = strtod(row + strlen(series), NULL);
    assert_true(drift_s > -0.1 && drift_s < 0.1);
}

static void test_clock_of_each_master_is_shown(void **state) {
    const struct two_frontends *world = *state;
    size_t n_masters = 0;
    for (size_t i = 0; i < CLUSTER_NODES; i++) {
        if (cluster_is_master(&world->cluster, world->cluster.ports[i])) {
            expect_no_drift(&world->frontends[1], world->cluster.ports[i]);
            n_masters++;
        }
    }
    assert_int_equal(n_masters, CLUSTER_MASTERS);
}

static void test_keys_are_spread_over_all_masters(void **state) {
    struct two_frontends *world = *state;
    assert_int_equal(raw_pipeline(world->raw[0], "t", "five", 10000, 1000), 1000 * 5);
    for (size_t i = 0; i < CLUSTER_MASTERS; i++) {
        assert_true(cluster_info(&world->cluster, world->cluster.ports[i], "keyspace", "db0:keys=") >= 200);
    }
}

/* Known by name, and by one of its nodes alone. */
static void test_one_worker_reads_the_slot_map_for_all(void **state) {
    struct two_frontends *world = *state;
    struct frontend frontend;
    char path[HARNESS_PATH_BYTES], node[32];
    snprintf(node, sizeof node, "localhost:%u", (unsigned)world->cluster.ports[0]);
    FRONTEND_START(world->harness, &frontend, "--quotas", harness_path(world->harness, "quotas.yaml", path),
                   "--redis-nodes", node, "--workers", "4");
    frontend_await_status(&frontend, "/readyz", 200);
    assert_int_equal(frontend_metric(&frontend, "sluice_redis_slots_covered"), 4 * 16384);
    uint64_t n_read = frontend_metric(&frontend, "sluice_redis_slotmap_refreshes_total{result=\"ok\"}");
    uint64_t n_adopted = frontend_metric(&frontend, "sluice_redis_slotmap_refreshes_total{result=\"adopted\"}");
    assert_int_equal(n_read, 1);
    assert_int_equal(n_adopted, 3);
    frontend_stop(&frontend);
}

static void test_denial_writes_nothing(void **state) {
    struct two_frontends *world = *state;
    const struct cluster *cluster = &world->cluster;
    uint16_t of_heartbeats = cluster_master_of_slot(cluster, cluster_slot_of(cluster, "{sluice}"));
    uint16_t port = of_heartbeats;
    char key[32] = "", redis_key[48];
    for (int i = 0; port == of_heartbeats; i++) {
        snprintf(key, sizeof key, "denied-%d", i);
        snprintf(redis_key, sizeof redis_key, "s:t/five/%s", key);
        port = cluster_master_of_slot(cluster, cluster_slot_of(cluster, redis_key));
    }
    struct wire_check check = raw_check_of("t", "five", key);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(raw_decide(world->raw[0], check)->verdict, WIRE_ALLOW);
    }
    uint64_t n_sets = cluster_info(cluster, port, "commandstats", "cmdstat_set:calls=");
    uint64_t n_evals = cluster_info(cluster, port, "commandstats", "cmdstat_evalsha:calls=");
    uint64_t n_changes = cluster_info(cluster, port, "persistence", "rdb_changes_since_last_save:");
    assert_true(n_sets >= 5);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(raw_decide(world->raw[i % 2], check)->verdict, WIRE_DENY);
    }
    assert_int_equal(cluster_info(cluster, port, "commandstats", "cmdstat_set:calls="), n_sets);
    /* Each frontend asks once: until a token can be there, it knows. */
    assert_in_range(cluster_info(cluster, port, "commandstats", "cmdstat_evalsha:calls="), n_evals + 1,
                    n_evals + 4);
    assert_int_equal(cluster_info(cluster, port, "persistence", "rdb_changes_since_last_save:"), n_changes);
}

static void test_flushed_scripts_are_sent_again(void **state) {
    struct two_frontends *world = *state;
    struct wire_check check = raw_check_of("t", "five", "flushed");
    assert_int_equal(raw_decide(world->raw[0], check)->remaining, 4);
    uint64_t before = sum_of(world, noscript);
    CLUSTER_COMMAND_ALL(&world->cluster, "script", "flush");
    assert_int_equal(raw_decide(world->raw[1], check)->remaining, 3);
    assert_int_equal(raw_decide(world->raw[0], check)->remaining, 2);
    assert_true(sum_of(world, noscript) > before);
    assert_int_equal(raw_pipeline(world->raw[0], "t", "many", 1000, 100), 1000);
}

static void send_setslot(const struct cluster *cluster, uint16_t port, unsigned slot, const char *state,
                         const char *node_id) {
    char slot_text[16];
    struct run run;
    snprintf(slot_text, sizeof slot_text, "%u", slot);
    CLUSTER_COMMAND(cluster, &run, port, "cluster", "setslot", slot_text, state, node_id);
}

static void read_id(const struct cluster *cluster, uint16_t port, char id[48]) {
    struct run run;
    CLUSTER_COMMAND(cluster, &run, port, "cluster", "myid");
    assert_int_equal(sscanf(run.out, "%47s", id), 1);
}

static void test_moving_slot_keeps_its_counts(void **state) {
    struct two_frontends *world = *state;
    const struct cluster *cluster = &world->cluster;
    static const char redis_key[] = "s:t/many/moving";
    struct wire_check check = raw_check_of("t", "many", "moving");
    unsigned slot = cluster_slot_of(cluster, redis_key);
    uint16_t from = cluster_master_of_slot(cluster, slot);
    uint16_t to = cluster->ports[0] != from ? cluster->ports[0] : cluster->ports[1];
    char from_id[48], to_id[48], to_port[16];
    read_id(cluster, from, from_id);
    read_id(cluster, to, to_id);
    snprintf(to_port, sizeof to_port, "%u", to);
    uint64_t n_asks = sum_of(world, ask), n_moves = sum_of(world, moved);

    uint64_t left = 1000000;
    assert_int_equal(raw_decide(world->raw[0], check)->remaining, --left);
    send_setslot(cluster, to, slot, "importing", from_id);
    send_setslot(cluster, from, slot, "migrating", to_id);
    assert_int_equal(raw_decide(world->raw[1], check)->remaining, --left);
    assert_int_equal(sum_of(world, ask), n_asks);

    struct run run;
    CLUSTER_COMMAND(cluster, &run, from, "migrate", "127.0.0.1", to_port, redis_key, "0", "5000");
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(raw_decide(world->raw[i % 2], check)->remaining, --left);
    }
    assert_int_equal(sum_of(world, ask), n_asks + 10);
    assert_int_equal(sum_of(world, moved), n_moves);

    for (size_t i = 0; i < CLUSTER_MASTERS; i++) {
        send_setslot(cluster, cluster->ports[i], slot, "node", to_id);
    }
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(raw_decide(world->raw[i % 2], check)->remaining, --left);
    }
    assert_int_equal(sum_of(world, ask), n_asks + 10);
    assert_int_equal(sum_of(world, moved), n_moves + N_FRONTENDS); /* each learns it once */
}

/* The master of the key hangs for less than Redis needs to notice. */
static void test_hanging_master_does_not_hang_the_answer(void **state) {
    struct two_frontends *world = *state;
    const struct cluster *cluster = &world->cluster;
    uint16_t port = cluster_master_of_slot(cluster, cluster_slot_of(cluster, "s:t/many/hanging"));
    struct raw_client *raw = world->raw[0];
    cluster_signal(cluster, port, SIGSTOP);
    raw_check_request(raw, 1, raw_check_of("t", "many", "hanging"));
    raw->request.timeout_ms = 200;
    int64_t started_at_us = harness_now_us();
    raw_send(raw, &raw->request);
    const struct wire_response *response = raw_receive(raw);
    int64_t took_us = harness_now_us() - started_at_us;
    cluster_signal(cluster, port, SIGCONT);
    assert_int_equal(response->status, WIRE_OK);
    assert_int_equal(response->items[0].decision.source, WIRE_SOURCE_LOCAL);
    assert_true(response->items[0].decision.degraded);
    assert_in_range(took_us, 140000, 1500000); /* three quarters of its time were the store's */
    frontend_await_status(&world->frontends[0], "/readyz", 200);
    raw_decide(raw, raw_check_of("t", "many", "hanging"));
}

static bool is_by_store(const struct wire_response *response) {
    return response->status == WIRE_OK && response->items[0].decision.source == WIRE_SOURCE_STORE;
}

/* Asks until no breaker of the frontend is open. Returns how many checks the store decided. */
static uint64_t ask_until_closed(const struct frontend *frontend, struct raw_client *raw) {
    struct wire_check check = raw_check_of("t", "many", "hanging");
    int64_t deadline_us = harness_now_us() + 10000000;
    uint64_t n_decided = 0;
    while (frontend_metric(frontend, "sluice_redis_breakers_open") > 0) {
        assert_true(harness_now_us() < deadline_us);
        n_decided += is_by_store(raw_check(raw, 1, check));
        harness_sleep_ms(5);
    }
    return n_decided;
}

static void test_breaker_leaves_hanging_master_alone_and_finds_it_again(void **state) {
    struct two_frontends *world = *state;
    const struct cluster *cluster = &world->cluster;
    uint16_t port = cluster_master_of_slot(cluster, cluster_slot_of(cluster, "s:t/many/hanging"));
    struct frontend frontend;
    char path[HARNESS_PATH_BYTES];
    FRONTEND_START(world->harness, &frontend, "--quotas", harness_path(world->harness, "quotas.yaml", path),
                   "--redis-nodes", cluster->nodes, "--store-timeout", "500ms", "--redis-breaker-samples", "4",
                   "--redis-breaker-silence", "50ms");
    frontend_await_status(&frontend, "/readyz", 200);
    struct raw_client *raw = raw_open(&frontend);
    cluster_signal(cluster, port, SIGSTOP);
    raw_check_request(raw, 1, raw_check_of("t", "many", "hanging"));
    raw->request.timeout_ms = 40;  /* those of one key wait for each other */
    for (int i = 0; i < 20; i++) { /* enough to notice that none is answered */
        raw_send(raw, &raw->request);
        harness_sleep_ms(10);
    }
    int64_t started_at_us = harness_now_us();
    for (int i = 0; i < 20; i++) {
        raw_receive(raw);
    }
    int64_t waited_us = harness_now_us() - started_at_us;
    uint64_t n_open = frontend_metric(&frontend, "sluice_redis_breakers_open");
    uint64_t n_refusals = frontend_metric(&frontend, "sluice_redis_breaker_refusals_total");
    cluster_signal(cluster, port, SIGCONT);
    assert_int_equal(n_open, 1);
    assert_true(n_refusals > 0);
    assert_in_range(waited_us, 0, 2000000);
    assert_true(ask_until_closed(&frontend, raw) > 0);
    raw_close(&raw);
    frontend_stop(&frontend);
}

/* Looks at the key until the store decides about it again, and again: a single answer may be that of a probe. */
static void await_store(struct raw_client *raw, struct wire_check check) {
    enum { IN_A_ROW = 5 };
    int64_t deadline_us = harness_now_us() + 10000000;
    for (int n_by_store = 0; n_by_store < IN_A_ROW;) {
        assert_true(harness_now_us() < deadline_us);
        harness_sleep_ms(5);
        raw_check_request(raw, 1, check);
        raw->request.call = WIRE_CALL_PEEK;
        raw_send(raw, &raw->request);
        n_by_store = is_by_store(raw_receive(raw)) ? n_by_store + 1 : 0;
    }
}

static uint64_t local_decisions(const struct frontend *frontend) {
    return frontend_metric(frontend, "sluice_decisions_total{decision=\"allow\",source=\"local\"}") +
           frontend_metric(frontend, "sluice_decisions_total{decision=\"deny\",source=\"local\"}");
}

static void await_new_master(const struct cluster *cluster, uint16_t port) {
    int64_t deadline_us = harness_now_us() + 15000000;
    while (!cluster_is_master(cluster, port)) {
        assert_true(harness_now_us() < deadline_us);
        harness_sleep_ms(50);
    }
}

static void test_checks_go_on_after_a_failover(void **state) {
    enum { N_BEFORE = 20, N_DURING = 100, N_AFTER = 50 };
    struct two_frontends *world = *state;
    const struct cluster *cluster = &world->cluster;
    struct wire_check check = raw_check_of("t", "many", "failover");
    uint16_t master = cluster_master_of_slot(cluster, cluster_slot_of(cluster, "s:t/many/failover"));
    uint16_t replica = cluster_replica_of(cluster, master);
    for (size_t i = 0; i < N_BEFORE; i++) {
        raw_decide(world->raw[i % 2], check);
    }
    struct run run;
    CLUSTER_COMMAND(cluster, &run, replica, "cluster", "failover");
    uint64_t n_by_store = 0;
    for (size_t i = 0; i < N_DURING; i++) { /* each is decided, if not always by the store */
        const struct wire_response *response = raw_check(world->raw[i % 2], i, check);
        assert_int_equal(response->status, WIRE_OK);
        n_by_store += is_by_store(response);
        harness_sleep_ms(5);
    }
    await_new_master(cluster, replica);
    await_store(world->raw[0], check);
    await_store(world->raw[1], check);
    uint64_t left = 0;
    for (size_t i = 0; i < N_AFTER; i++) {
        left = raw_decide(world->raw[i % 2], check)->remaining;
    }
    /* One that was given up may have been charged, and was charged again when it was decided locally. */
    assert_in_range(left, 1000000 - N_BEFORE - 2 * N_DURING - N_AFTER,
                    1000000 - N_BEFORE - n_by_store - N_AFTER);
}

/* A frontend of another test may still be counted, for ten seconds. */
static void await_fleet_of_two(const struct two_frontends *world) {
    int64_t deadline_us = harness_now_us() + 20000000;
    while (frontend_metric(&world->frontends[0], "sluice_fleet_size") != N_FRONTENDS) {
        assert_true(harness_now_us() < deadline_us);
        harness_sleep_ms(20);
    }
}

/* The last test: it loses all buckets. Each of the two frontends has half a bucket of five meanwhile. */
static void test_without_redis_checks_are_decided_and_charged_afterwards(void **state) {
    struct two_frontends *world = *state;
    const struct frontend *frontend = &world->frontends[0];
    struct wire_check check = raw_check_of("t", "five", "gone");
    await_fleet_of_two(world);
    cluster_signal_all(&world->cluster, SIGKILL);
    uint64_t n_local = local_decisions(frontend);
    for (uint64_t i = 0; i < 20; i++) {
        raw_check_request(world->raw[0], i, check);
        world->raw[0]->request.timeout_ms = 1000;
        int64_t started_at_us = harness_now_us();
        raw_send(world->raw[0], &world->raw[0]->request);
        const struct wire_response *response = raw_receive(world->raw[0]);
        assert_in_range(harness_now_us() - started_at_us, 0, 1500000);
        assert_int_equal(response->status, WIRE_OK);
        assert_true(response->items[0].decision.degraded);
        assert_int_equal(response->items[0].decision.verdict, i < 2 ? WIRE_ALLOW : WIRE_DENY);
    }
    assert_int_equal(frontend_get_status(frontend, "/livez"), 200);
    assert_int_equal(local_decisions(frontend) - n_local, 20);
    raw_ping(world->raw[0], 1);

    cluster_restart(&world->cluster);
    for (size_t i = 0; i < N_FRONTENDS; i++) {
        frontend_await_status(&world->frontends[i], "/readyz", 200);
    }
    await_store(world->raw[0], check);
    await_store(world->raw[1], check);
    assert_int_equal(raw_decide(world->raw[0], check)->remaining, 5 - 2 - 1);
    assert_int_equal(raw_decide(world->raw[1], check)->remaining, 5 - 2 - 2);
    assert_true(frontend_metric(frontend, "sluice_debts_total{result=\"told\"}") > 0);
}

static int open_world(void **state) {
    return two_frontends_open(state, quotas);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TWO_FRONTENDS_TEST(test_token_bucket_is_shared_by_frontends),
        TWO_FRONTENDS_TEST(test_leaky_bucket_is_shared_by_frontends),
        TWO_FRONTENDS_TEST(test_windows_are_shared_by_frontends),
        TWO_FRONTENDS_TEST(test_clock_of_each_master_is_shown),
        TWO_FRONTENDS_TEST(test_keys_are_spread_over_all_masters),
        TWO_FRONTENDS_TEST(test_one_worker_reads_the_slot_map_for_all),
        TWO_FRONTENDS_TEST(test_denial_writes_nothing),
        TWO_FRONTENDS_TEST(test_flushed_scripts_are_sent_again),
        TWO_FRONTENDS_TEST(test_moving_slot_keeps_its_counts),
        TWO_FRONTENDS_TEST(test_hanging_master_does_not_hang_the_answer),
        TWO_FRONTENDS_TEST(test_breaker_leaves_hanging_master_alone_and_finds_it_again),
        TWO_FRONTENDS_TEST(test_checks_go_on_after_a_failover),
        TWO_FRONTENDS_TEST(test_without_redis_checks_are_decided_and_charged_afterwards),
    };
    return cmocka_run_group_tests(tests, open_world, two_frontends_close);
}
