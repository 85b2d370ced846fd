/* test_server.c — a whole frontend in this process: quotas are put in force under load, and old ones are let go. */
#include "tests/support/test_prelude.h"

#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>

#include "client/sluice.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/config.h"
#include "server/quota/quota_json.h"
#include "server/server.h"

enum { N_CALLERS = 2, N_SWAPS = 200, N_KEYS = 50, BATCH = 4, LIMIT_S = 20 };

static struct bytes of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

struct world {
    struct config config;
    struct ev_loop *loop;
    struct server *server;
    _Atomic bool is_over;
    _Atomic uint64_t n_decided, n_failed;
};

static void set_up(struct world *world, char *redis_nodes) {
    char name[] = "sluiced", listen[] = "--listen=127.0.0.1:0", workers[] = "--workers=2";
    char keys[] = "--fallback-keys=4096", few[] = "--embedded-keys=4096";
    char *with_redis[] = {name, listen, redis_nodes, workers, keys}, *embedded[] = {name, listen, few};
    char *env[] = {NULL};
    enum config_action action;
    struct status status;
    *world = (struct world){.loop = ev_loop_new(EVFLAG_AUTO)};
    bool has_redis = redis_nodes != NULL;
    assert_true(config_load(has_redis ? 5 : 3, has_redis ? with_redis : embedded, env, &world->config, &action,
                            &status));
    world->server = server_create(world->loop, &world->config, "test", &status);
    assert_non_null(world->server);
}

static void tear_down(struct world *world) {
    server_destroy(&world->server);
    ev_loop_destroy(world->loop);
    config_deinit(&world->config);
}

static struct sluice_client *open_client(const struct world *world) {
    const char *address = server_address(world->server);
    struct sluice_options options = {.servers = &address, .n_servers = 1, .timeout_ms = 5000};
    char message[SLUICE_MESSAGE_BYTES];
    struct sluice_client *client = sluice_open(&options, message, sizeof message);
    assert_non_null(client);
    return client;
}

/* Replaces the quota of tenant t, resource r. */
static void swap(struct world *world, uint64_t revision, const char *json) {
    struct quota_rules rules;
    struct status status;
    struct quota_set *now = server_hold_quotas(world->server), *next = quota_set_copy(now);
    assert_non_null(next);
    assert_true(quota_json_read(of(json), &rules, &status));
    assert_true(quota_set_put(next, of("t"), of("r"), &rules, revision, &status));
    quota_set_set_revision(next, revision);
    server_set_quotas(world->server, next);
    quota_set_release(&next);
    quota_set_release(&now);
}

static void wait_until_applied(const struct world *world, uint64_t revision) {
    int64_t until_us = clock_mono_us() + LIMIT_S * INT64_C(1000000);
    while (server_applied_revision(world->server) != revision) {
        assert_true(clock_mono_us() < until_us);
        ev_run(world->loop, EVRUN_NOWAIT);
    }
}

static void *call(void *arg) {
    struct world *world = arg;
    struct sluice_client *client = open_client(world);
    for (uint64_t i = 0; !atomic_load(&world->is_over); i++) {
        struct sluice_check checks[BATCH];
        struct sluice_decision decisions[BATCH];
        char keys[BATCH][16];
        for (size_t j = 0; j < BATCH; j++) {
            snprintf(keys[j], sizeof keys[j], "%d", (int)((i * BATCH + j) % N_KEYS));
            checks[j] = sluice_check_of("t", "r", keys[j]);
        }
        sluice_check_batch(client, checks, BATCH, decisions);
        for (size_t j = 0; j < BATCH; j++) {
            atomic_fetch_add(decisions[j].status == SLUICE_OK ? &world->n_decided : &world->n_failed, 1);
        }
    }
    sluice_close(&client);
    return NULL;
}

/* One limit, then up to eight, in all modes, one without any. */
static void write_quota(unsigned n, char json[1024]) {
    unsigned n_limits = 1 + n / 25;
    if (n % 10 == 7) {
        strcpy(json, "{\"unlimited\":true}");
        return;
    }
    size_t len = (size_t)sprintf(json, "{\"limits\":[");
    for (unsigned i = 0; i < n_limits; i++) {
        len += (size_t)sprintf(json + len, "%s{\"name\":\"l%u\",\"rate\":\"%u/s\",\"burst\":%u}",
                               i > 0 ? "," : "", i, n % 10 == 3 ? 0 : 1000 + n, 10 + n * 7 % 90);
    }
    sprintf(json + len, "],\"mode\":\"%s\"}", n % 2 == 0 ? "shadow" : "enforce");
}

static void swap_under_load(struct world *world) {
    pthread_t callers[N_CALLERS];
    for (size_t i = 0; i < N_CALLERS; i++) {
        assert_int_equal(pthread_create(&callers[i], NULL, call, world), 0);
    }
    for (unsigned n = 1; n <= N_SWAPS; n++) {
        char json[1024];
        write_quota(n - 1, json);
        uint64_t n_before = atomic_load(&world->n_decided);
        swap(world, n, json);
        if (n % 3 > 0) { /* two of three are waited for, and decided by */
            wait_until_applied(world, n);
            while (atomic_load(&world->n_decided) < n_before + BATCH && atomic_load(&world->n_failed) == 0) {
                ev_run(world->loop, EVRUN_NOWAIT);
            }
        }
    }
    wait_until_applied(world, N_SWAPS);
    atomic_store(&world->is_over, true);
    for (size_t i = 0; i < N_CALLERS; i++) {
        assert_int_equal(pthread_join(callers[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&world->n_failed), 0);
}

static void test_quotas_change_under_load(void **state) {
    (void)state;
    struct world world;
    set_up(&world, NULL);
    swap_under_load(&world);
    tear_down(&world);
}

/* Nobody listens on port 1: every check is decided by the local buckets, which are widened meanwhile. */
static void test_quotas_change_under_load_without_redis(void **state) {
    (void)state;
    struct world world;
    char nodes[] = "--redis-nodes=127.0.0.1:1";
    set_up(&world, nodes);
    swap_under_load(&world);
    tear_down(&world);
}

static struct sluice_decision ask(const struct world *world) {
    struct sluice_client *client = open_client(world);
    struct sluice_check check = sluice_check_of("t", "r", "k");
    struct sluice_decision decision;
    assert_int_equal(sluice_check(client, &check, &decision), SLUICE_OK);
    sluice_close(&client);
    return decision;
}

static void test_what_is_applied_decides(void **state) {
    (void)state;
    struct world world;
    set_up(&world, NULL);
    assert_int_equal(server_applied_revision(world.server), 0);
    assert_false(ask(&world).matched);
    swap(&world, 1, "{\"limits\":[{\"rate\":\"0\"}]}");
    wait_until_applied(&world, 1);
    assert_false(ask(&world).allowed);
    swap(&world, 2, "{\"unlimited\":true}");
    wait_until_applied(&world, 2);
    assert_true(ask(&world).allowed);
    swap(&world, 3, "{\"limits\":[{\"rate\":\"0\"}],\"mode\":\"shadow\"}");
    wait_until_applied(&world, 3);
    struct sluice_decision decision = ask(&world);
    assert_true(decision.allowed && decision.would_deny);
    tear_down(&world);
}

/* What somebody who asked for hot keys was told of the key "0". */
struct hot_answer {
    int n_calls;
    int64_t checks_per_s, locally_per_s;
    size_t n_silent;
};

static void take_hot(void *arg, const struct hot_report *report) {
    struct hot_answer *answer = arg;
    answer->n_calls++;
    answer->n_silent = report->n_silent;
    for (size_t i = 0; i < report->n_rows; i++) {
        struct bytes key = hotkey_name_key(&report->rows[i].name);
        if (key.len == 1 && key.data[0] == '0') {
            answer->checks_per_s = report->rows[i].checks_per_s;
            answer->locally_per_s = report->rows[i].decided_per_s[DECISION_LOCAL];
        }
    }
}

static struct hot_answer list_hot(struct world *world) {
    struct hot_answer answer = {0};
    assert_non_null(server_list_hotkeys(world->server, take_hot, &answer));
    while (answer.n_calls == 0) {
        ev_run(world->loop, EVRUN_ONCE);
    }
    return answer;
}

/* Each caller's connection is one worker's; there is no Redis. */
static void test_hot_keys_are_listed_under_load(void **state) {
    (void)state;
    struct world world;
    pthread_t callers[N_CALLERS];
    char nodes[] = "--redis-nodes=127.0.0.1:1";
    struct hot_answer answer, last = {0};
    set_up(&world, nodes);
    swap(&world, 1, "{\"limits\":[{\"rate\":\"100/s\"}]}");
    wait_until_applied(&world, 1);
    for (size_t i = 0; i < N_CALLERS; i++) {
        assert_int_equal(pthread_create(&callers[i], NULL, call, &world), 0);
    }
    int64_t until_us = clock_mono_us() + LIMIT_S * INT64_C(1000000);
    do {
        assert_true(clock_mono_us() < until_us);
        answer = list_hot(&world);
    } while (answer.n_silent > 0 || answer.checks_per_s < 20 || answer.locally_per_s == 0);
    atomic_store(&world.is_over, true);
    for (size_t i = 0; i < N_CALLERS; i++) {
        assert_int_equal(pthread_join(callers[i], NULL), 0);
    }
    assert_non_null(server_list_hotkeys(world.server, take_hot, &last));
    tear_down(&world);
    assert_int_equal(last.n_calls, 1); /* the loop did not turn any more */
}

/* The workers may not have looked at them yet. */
static void test_quotas_that_nobody_took_over_are_freed(void **state) {
    (void)state;
    struct world world;
    set_up(&world, NULL);
    for (uint64_t revision = 1; revision <= 20; revision++) {
        swap(&world, revision, "{\"unlimited\":true}");
    }
    tear_down(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quotas_change_under_load),
        cmocka_unit_test(test_quotas_change_under_load_without_redis),
        cmocka_unit_test(test_what_is_applied_decides),
        cmocka_unit_test(test_hot_keys_are_listed_under_load),
        cmocka_unit_test(test_quotas_that_nobody_took_over_are_freed),
    };
    log_configure(LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
