/* test_exact.c — eight processes hammer two keys by two frontends: not one token too many, hardly one too few.
 *
 * Each process records what it was allowed, with the times at which it asked and was answered. A decision fell
 * somewhere between the two, so every bound is widened by rate * the largest latency seen, and by no more. */
#include "client/sluice.h"
#include "tests/system/cluster.h"
#include "tests/system/frontend.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

enum { N_FRONTENDS = 2, N_CLIENTS = 8, RUN_S = 10, RATE_PER_S = 100, BURST = 50, MAX_GRANTS = 4096 };

static const char quotas[] = "tenants:\n"
                             "  t:\n"
                             "    token: { limits: [ { rate: 100/s, burst: 50 } ] }\n"
                             "    leaky: { limits: [ { algorithm: leaky_bucket, rate: 100/s, burst: 50 } ] }\n";

struct grant {
    int64_t answered_at_us;
    uint64_t wait_us;
};

/* What one client saw of one resource. */
struct record {
    uint64_t n_checks, n_failed, n_by_frontend;
    int64_t first_asked_at_us, last_answered_at_us, max_latency_us;
    size_t n_grants;
    struct grant grants[MAX_GRANTS];
};

enum resource { TOKEN, LEAKY, N_RESOURCES };
static const char *const resource_names[N_RESOURCES] = {"token", "leaky"};

struct world {
    struct harness *harness;
    struct cluster cluster;
    struct frontend frontends[N_FRONTENDS];
    struct record (*records)[N_CLIENTS]; /* [resource][client], shared with the clients */
    size_t records_bytes;
};

static void ask(struct sluice_client *client, const char *resource, struct record *record) {
    struct sluice_check check = sluice_check_of("t", resource, "hot");
    struct sluice_decision decision;
    int64_t asked_at_us = harness_now_us();
    enum sluice_status status = sluice_check(client, &check, &decision);
    int64_t answered_at_us = harness_now_us();
    if (record->n_checks++ == 0) {
        record->first_asked_at_us = asked_at_us;
    }
    record->last_answered_at_us = answered_at_us;
    if (answered_at_us - asked_at_us > record->max_latency_us) {
        record->max_latency_us = answered_at_us - asked_at_us;
    }
    record->n_failed += status != SLUICE_OK;
    record->n_by_frontend +=
        status == SLUICE_OK && (decision.degraded || decision.source == SLUICE_SOURCE_NONE);
    if (status == SLUICE_OK && decision.allowed && record->n_grants < MAX_GRANTS) {
        record->grants[record->n_grants++] =
            (struct grant){.answered_at_us = answered_at_us, .wait_us = decision.wait_us};
    }
}

/* The life of a client process. */
static void hammer(const struct world *world, size_t i) {
    const char *servers[] = {world->frontends[i % N_FRONTENDS].address};
    struct sluice_options options = {.servers = servers, .n_servers = 1, .timeout_ms = 5000};
    struct sluice_client *client = sluice_open(&options, NULL, 0);
    if (client == NULL) {
        _exit(1);
    }
    int64_t until_us = harness_now_us() + RUN_S * INT64_C(1000000);
    while (harness_now_us() < until_us) {
        for (size_t r = 0; r < N_RESOURCES; r++) {
            ask(client, resource_names[r], &world->records[r][i]);
        }
    }
    sluice_close(&client);
    _exit(0);
}

static void run_clients(struct world *world) {
    pid_t pids[N_CLIENTS];
    for (size_t i = 0; i < N_CLIENTS; i++) {
        pids[i] = harness_fork(world->harness, SIGKILL);
        if (pids[i] == 0) {
            hammer(world, i);
        }
    }
    for (size_t i = 0; i < N_CLIENTS; i++) {
        assert_int_equal(harness_wait(world->harness, pids[i], (RUN_S + 30) * 1000), 0);
    }
}

static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    *state = world;
    world->harness = harness_open();
    cluster_start(world->harness, &world->cluster);
    char path[HARNESS_PATH_BYTES];
    harness_write(world->harness, "quotas.yaml", quotas, path);
    for (size_t i = 0; i < N_FRONTENDS; i++) {
        FRONTEND_START(world->harness, &world->frontends[i], "--quotas", path, "--redis-nodes",
                       world->cluster.nodes);
        frontend_await_status(&world->frontends[i], "/readyz", 200);
    }
    world->records_bytes = N_RESOURCES * sizeof *world->records;
    world->records =
        mmap(NULL, world->records_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(world->records != MAP_FAILED);
    run_clients(world);
    return 0;
}

static int close_world(void **state) {
    struct world *world = *state;
    frontend_stop_all(world->frontends, N_FRONTENDS);
    munmap(world->records, world->records_bytes);
    harness_close(&world->harness);
    free(world);
    return 0;
}

/* What all clients together saw of one resource. */
struct sum {
    uint64_t n_checks, n_failed, n_by_frontend;
    int64_t run_us, max_latency_us;
    size_t n_grants;
    int64_t at_us[N_CLIENTS * MAX_GRANTS]; /* of each grant, in order: when it was answered, plus its wait */
};

static int compare_times(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Heap. */
static struct sum *sum_up(const struct world *world, enum resource resource) {
    struct sum *sum = calloc(1, sizeof *sum);
    assert_non_null(sum);
    int64_t first_us = INT64_MAX, last_us = 0;
    for (size_t i = 0; i < N_CLIENTS; i++) {
        const struct record *record = &world->records[resource][i];
        assert_true(record->n_grants < MAX_GRANTS);
        sum->n_checks += record->n_checks;
        sum->n_failed += record->n_failed;
        sum->n_by_frontend += record->n_by_frontend;
        first_us = record->first_asked_at_us < first_us ? record->first_asked_at_us : first_us;
        last_us = record->last_answered_at_us > last_us ? record->last_answered_at_us : last_us;
        if (record->max_latency_us > sum->max_latency_us) {
            sum->max_latency_us = record->max_latency_us;
        }
        for (size_t g = 0; g < record->n_grants; g++) {
            sum->at_us[sum->n_grants++] = record->grants[g].answered_at_us + (int64_t)record->grants[g].wait_us;
        }
    }
    sum->run_us = last_us - first_us;
    qsort(sum->at_us, sum->n_grants, sizeof sum->at_us[0], compare_times);
    print_message("%s: %zu of %llu checks allowed in %.3f s, due %.1f, largest latency %.1f ms\n",
                  resource_names[resource], sum->n_grants, (unsigned long long)sum->n_checks,
                  (double)sum->run_us / 1e6, BURST + RATE_PER_S * (double)sum->run_us / 1e6,
                  (double)sum->max_latency_us / 1e3);
    return sum;
}

/* Tokens that may be granted in `us`, without the burst. */
static double tokens_in(int64_t us) {
    return (double)us * RATE_PER_S / 1e6;
}

static void assert_never_degraded(const struct sum *sum) {
    assert_true(sum->n_checks > 1000);
    assert_int_equal(sum->n_failed, 0);
    assert_int_equal(sum->n_by_frontend, 0);
}

static void assert_bound_and_yield(const struct sum *sum) {
    double due = BURST + tokens_in(sum->run_us);
    if ((double)sum->n_grants > due || (double)sum->n_grants < 0.99 * due) {
        fail_msg("%zu allowed, %.1f due", sum->n_grants, due);
    }
}

static void test_token_bucket_holds_in_every_window(void **state) {
    struct world *world = *state;
    struct sum *sum = sum_up(world, TOKEN);
    assert_never_degraded(sum);
    assert_bound_and_yield(sum);
    for (size_t i = 0; i < sum->n_grants; i++) {
        for (size_t j = i; j < sum->n_grants; j++) {
            int64_t window_us = sum->at_us[j] - sum->at_us[i] + sum->max_latency_us;
            if ((double)(j - i + 1) > BURST + tokens_in(window_us)) {
                fail_msg("%zu allowed in %lld us", j - i + 1, (long long)window_us);
            }
        }
    }
    free(sum);
}

static void test_leaky_bucket_spaces_departures(void **state) {
    struct world *world = *state;
    struct sum *sum = sum_up(world, LEAKY);
    assert_never_degraded(sum);
    assert_bound_and_yield(sum);
    for (size_t i = 0; i < sum->n_grants; i++) {
        for (size_t j = i + 1; j < sum->n_grants; j++) {
            int64_t apart_us = sum->at_us[j] - sum->at_us[i] + sum->max_latency_us;
            if ((double)(j - i) > tokens_in(apart_us + 1)) { /* waits are told to the microsecond */
                fail_msg("%zu departures in %lld us", j - i + 1, (long long)apart_us);
            }
        }
    }
    free(sum);
}

static void test_both_frontends_took_part(void **state) {
    struct world *world = *state;
    uint64_t n_allowed = 0;
    for (size_t i = 0; i < N_FRONTENDS; i++) {
        const struct frontend *frontend = &world->frontends[i];
        uint64_t n = frontend_metric(frontend, "sluice_decisions_total{decision=\"allow\",source=\"store\"}") +
                     frontend_metric(frontend, "sluice_decisions_total{decision=\"allow\",source=\"lease\"}");
        assert_true(n > 0);
        n_allowed += n;
    }
    uint64_t n_recorded = 0;
    for (size_t i = 0; i < N_CLIENTS; i++) {
        n_recorded += world->records[TOKEN][i].n_grants + world->records[LEAKY][i].n_grants;
    }
    assert_int_equal(n_allowed, n_recorded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token_bucket_holds_in_every_window),
        cmocka_unit_test(test_leaky_bucket_spaces_departures),
        cmocka_unit_test(test_both_frontends_took_part),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
