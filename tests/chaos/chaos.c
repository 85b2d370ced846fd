/* chaos.c — the world of a scenario: cluster, frontends, load; see chaos.h. The judge is judge.c. */
#include "tests/chaos/chaos.h"

#include <signal.h>
#include <unistd.h>

#include "server/core/slot.h"

enum {
    BEFORE_MS = 1000, /* of healthy load before anything breaks */
    POLL_MS = 20,
    MAX_FLAGS = 16,
    HEALTHY_US = 500 * 1000, /* so long all checks must have been healthy */
    MASTER_LIMIT_US = 15 * 1000 * 1000,
};

const struct load_class chaos_mixed_load[] = {
    {.resource = "hot",
     .n_keys = 3,
     .is_one_per_shard = true,
     .checks_per_s = 900,
     .rate_per_s = 200,
     .burst = 50},
    {.resource = "cold", .n_keys = 150, .checks_per_s = 600, .rate_per_s = 2, .burst = 4},
    {0},
};

const struct load_class chaos_flood_load[] = {
    {.resource = "flood", .n_keys = 1, .checks_per_s = 1350, .rate_per_s = 1000, .burst = 100},
    {.resource = "cold", .n_keys = 60, .checks_per_s = 150, .rate_per_s = 2, .burst = 4},
    {0},
};

const struct load_class chaos_hot_load[] = {
    {.resource = "hot",
     .n_keys = 1,
     .is_one_per_shard = true,
     .checks_per_s = 2000,
     .rate_per_s = 200,
     .burst = 50},
    {.resource = "cold", .n_keys = 60, .checks_per_s = 150, .rate_per_s = 2, .burst = 4},
    {0},
};

const char *const chaos_hot_flags[] = {"--hot-rate", "40", "--hot-rate-least", "20", NULL};

void chaos_open(struct chaos *chaos) {
    chaos->harness = harness_open();
    cluster_start(chaos->harness, &chaos->cluster);
}

void chaos_close(struct chaos *chaos) {
    harness_close(&chaos->harness);
}

int chaos_set_up(void **state) {
    struct chaos *chaos = *state;
    chaos->flags = NULL;
    chaos->senders = (struct load_senders){0};
    chaos->begun_at_us = chaos->broken_at_us = chaos->repaired_at_us = chaos->healthy_at_us = 0;
    return 0;
}

static void end_single(struct chaos *chaos) {
    if (chaos->proxy_pid != 0) {
        harness_kill(chaos->harness, chaos->proxy_pid);
        chaos->proxy_pid = 0;
        tcp_proxy_close(&chaos->proxy);
    }
    redis_fixture_stop(&chaos->single);
    char path[HARNESS_PATH_BYTES];
    unlink(harness_path(chaos->harness, "dump.rdb", path)); /* the next one begins with nothing */
}

int chaos_tear_down(void **state) {
    struct chaos *chaos = *state;
    load_close(&chaos->load);
    for (size_t i = 0; i < LOAD_SHARDS; i++) {
        cut_offs_free(&chaos->cut_offs[i]);
    }
    for (size_t i = 0; i < LOAD_FRONTENDS; i++) {
        if (chaos->frontends[i].pid != 0) {
            harness_kill(chaos->harness, chaos->frontends[i].pid);
            chaos->frontends[i].pid = 0;
        }
    }
    end_single(chaos);
    cluster_signal_all(&chaos->cluster, SIGCONT);
    cluster_restart(&chaos->cluster);
    CLUSTER_COMMAND_ALL(&chaos->cluster, "config", "set", "maxmemory", "0", "busy-reply-threshold", "5000");
    for (unsigned shard = 0; shard < LOAD_SHARDS; shard++) {
        struct run run;
        CLUSTER_COMMAND(&chaos->cluster, &run, chaos_master_of(chaos, shard), "flushall");
    }
    return 0;
}

void chaos_start_frontend(struct chaos *chaos, size_t i, const char *nodes) {
    char path[HARNESS_PATH_BYTES];
    const char *flags[MAX_FLAGS] = {"--quotas",      harness_path(chaos->harness, "quotas.yaml", path),
                                    "--redis-nodes", nodes,
                                    "--fleet-size",  "3"};
    size_t n = 6;
    for (size_t j = 0; chaos->flags != NULL && chaos->flags[j] != NULL; j++) {
        assert_true(n + 1 < MAX_FLAGS);
        flags[n++] = chaos->flags[j];
    }
    frontend_start_as_shipped(chaos->harness, &chaos->frontends[i], NULL, flags);
}

void chaos_start_frontends(struct chaos *chaos, const struct load_class classes[],
                           const char *const nodes[LOAD_FRONTENDS]) {
    char quotas[1024], path[HARNESS_PATH_BYTES];
    chaos->classes = classes;
    load_write_quotas(classes, quotas, sizeof quotas);
    harness_write(chaos->harness, "quotas.yaml", quotas, path);
    for (size_t i = 0; i < LOAD_FRONTENDS; i++) {
        chaos_start_frontend(chaos, i, nodes[i]);
    }
}

void chaos_start_load(struct chaos *chaos) {
    chaos->begun_at_us = harness_now_us();
    load_start(chaos->harness, &chaos->load, chaos->classes, chaos->frontends, chaos->senders);
}

/* Were all checks of the last half second healthy, and were there any? Those that may still be on their way are
 * left out. */
static bool is_healthy_now(const struct chaos *chaos) {
    size_t n;
    const struct record *records = load_records(&chaos->load, &n);
    int64_t to_us = harness_now_us() - CHAOS_DEADLINE_US - CHAOS_SLACK_US;
    while (n > 0 && records[n - 1].sent_at_us >= to_us) {
        n--;
    }
    int64_t from_us = to_us - HEALTHY_US;
    return from_us >= chaos->begun_at_us && n > 0 && records[n - 1].sent_at_us > from_us &&
           last_unhealthy_us(records, n, from_us) == 0;
}

static void await_healthy(const struct chaos *chaos) {
    int64_t deadline_us = harness_now_us() + CHAOS_RECOVERY_LIMIT_US + HEALTHY_US;
    while (!is_healthy_now(chaos) && harness_now_us() < deadline_us) {
        harness_sleep_ms(POLL_MS);
    }
}

void chaos_begin(struct chaos *chaos, const struct load_class classes[]) {
    const char *nodes = chaos->cluster.nodes;
    chaos_begin_at(chaos, classes, (const char *const[]){nodes, nodes, nodes});
}

void chaos_begin_at(struct chaos *chaos, const struct load_class classes[],
                    const char *const nodes[LOAD_FRONTENDS]) {
    chaos_start_frontends(chaos, classes, nodes);
    for (size_t i = 0; i < LOAD_FRONTENDS; i++) {
        frontend_await_status(&chaos->frontends[i], "/readyz", 200);
        frontend_await_metric(&chaos->frontends[i], "sluice_fleet_size", LOAD_FRONTENDS);
    }
    chaos_start_load(chaos);
    await_healthy(chaos);
    assert_true(is_healthy_now(chaos));
    harness_sleep_ms(BEFORE_MS);
}

void chaos_begin_single(struct chaos *chaos, uint16_t port) {
    char nodes[32];
    snprintf(nodes, sizeof nodes, "127.0.0.1:%u", port);
    chaos_begin_at(chaos, chaos_mixed_load, (const char *const[]){nodes, nodes, nodes});
}

uint16_t chaos_start_single(struct chaos *chaos, const char *const wrapper[]) {
    const char *const flags[] = {"--dir", chaos->harness->dir, "--enable-debug-command", "yes", NULL};
    chaos->single = redis_fixture_start_with(wrapper, flags);
    assert_non_null(chaos->single);
    return redis_fixture_port(chaos->single);
}

struct tcp_proxy_weather *chaos_start_proxy(struct chaos *chaos) {
    assert_true(tcp_proxy_open(&chaos->proxy));
    chaos->proxy_pid = harness_fork(chaos->harness, SIGKILL);
    if (chaos->proxy_pid == 0) {
        tcp_proxy_run(&chaos->proxy, redis_fixture_port(chaos->single));
    }
    return chaos->proxy.weather;
}

void chaos_break(struct chaos *chaos) {
    chaos->broken_at_us = harness_now_us();
}

void chaos_repair(struct chaos *chaos) {
    chaos->repaired_at_us = harness_now_us();
    await_healthy(chaos);
    chaos->healthy_at_us = harness_now_us();
}

void chaos_end(struct chaos *chaos) {
    CLUSTER_COMMAND_ALL(&chaos->cluster, "ping");
    for (size_t i = 0; i < LOAD_FRONTENDS; i++) {
        frontend_stop(&chaos->frontends[i]);
    }
}

uint16_t chaos_master_of(const struct chaos *chaos, unsigned shard) {
    return cluster_master_of_slot(&chaos->cluster, SLOT_COUNT * shard / LOAD_SHARDS);
}

void chaos_await_master(const struct chaos *chaos, uint16_t port) {
    int64_t deadline_us = harness_now_us() + MASTER_LIMIT_US;
    while (!cluster_is_master(&chaos->cluster, port)) {
        assert_true(harness_now_us() < deadline_us);
        harness_sleep_ms(POLL_MS);
    }
}

uint64_t chaos_metric(const struct chaos *chaos, const char *series) {
    uint64_t sum = 0;
    for (size_t i = 0; i < LOAD_FRONTENDS; i++) {
        if (chaos->frontends[i].pid != 0) {
            sum += frontend_metric(&chaos->frontends[i], series);
        }
    }
    return sum;
}
