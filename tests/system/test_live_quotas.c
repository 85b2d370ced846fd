/* test_live_quotas.c — quotas change while traffic flows: how soon three frontends decide by the new one, what
 * sluicectl says of it, and how soon a frontend with very many quotas is ready. */
#include <poll.h>
#include <signal.h>

#include "tests/support/redis_fixture.h"
#include "tests/system/admin_client.h"
#include "tests/system/cluster.h"
#include "tests/system/raw_client.h"

enum {
    N_FRONTENDS = 3,
    N_CONNECTIONS = 3, /* to each frontend, so that more than one of its workers has one */
    N_PROBES = N_FRONTENDS * N_CONNECTIONS,
    N_CHANGES = 200,
    N_WAITED = 12,
    N_MANY = 100000,
    FIRST_BURST = 100000,
    PROBE_PERIOD_US = 3000,
    ARRIVAL_LIMIT_US = 20 * 1000000,
    STOPPED_MS = 700,
    LIMIT_S = 30,
    EXIT_DONE = 0,
    EXIT_REFUSED = 1,
    EXIT_TROUBLE = 2,
    QUOTA_BYTES = 96,
};

static const char all_have_it[] = "in force on 3 frontends after ";

/* A connection that asks again and again, one check at a time. */
struct probe {
    struct raw_client *raw;
    size_t frontend;
    char key[16];
    uint64_t id;
    bool is_waiting;
    int64_t send_at_us, changed_at_us; /* the latter: of the first decision by the quota it saw last */
    uint64_t limit;                    /* of the last decision: the burst of the quota that it was made by */
};

struct world {
    struct harness *harness;
    struct cluster cluster;
    struct frontend frontends[N_FRONTENDS];
    char admin[N_FRONTENDS][32];
    struct probe probes[N_PROBES];
    uint64_t burst; /* of the last quota set for the probes */
    size_t n_checks;
    struct run run;
};

static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    char path[HARNESS_PATH_BYTES];
    assert_non_null(world);
    *state = world;
    world->harness = harness_open();
    world->burst = FIRST_BURST;
    setenv("HOME", world->harness->dir, 1);
    cluster_start(world->harness, &world->cluster);
    harness_write(world->harness, "quotas.yaml", "default: deny\ntenants: {}\n", path);
    for (size_t i = 0; i < N_FRONTENDS; i++) {
        FRONTEND_START(world->harness, &world->frontends[i], "--quotas", path, "--redis-nodes",
                       world->cluster.nodes, "--workers", i == 0 ? "1" : "2");
        frontend_await_status(&world->frontends[i], "/readyz", 200);
        snprintf(world->admin[i], sizeof world->admin[i], "127.0.0.1:%u", world->frontends[i].admin_port);
    }
    for (size_t i = 0; i < N_PROBES; i++) {
        struct probe *probe = &world->probes[i];
        probe->frontend = i % N_FRONTENDS;
        probe->send_at_us = harness_now_us() + (int64_t)(i / N_FRONTENDS) * PROBE_PERIOD_US / N_CONNECTIONS;
        probe->raw = raw_open(&world->frontends[probe->frontend]);
        snprintf(probe->key, sizeof probe->key, "key-%zu", i);
    }
    return 0;
}

static int close_world(void **state) {
    struct world *world = *state;
    for (size_t i = 0; i < N_PROBES; i++) {
        if (world->probes[i].raw != NULL) {
            raw_close(&world->probes[i].raw);
        }
    }
    frontend_stop_all(world->frontends, N_FRONTENDS);
    harness_close(&world->harness);
    free(world);
    return 0;
}

/* Runs sluicectl against frontend `i`. */
#define CTL(world, i, ...)                                                                                     \
    HARNESS_RUN_OURS((world)->harness, &(world)->run, LIMIT_S, "sluicectl", __VA_ARGS__, "--admin",            \
                     (world)->admin[i])

static void assert_run(const struct world *world, int code, const char *out_part, const char *err_part) {
    if (world->run.exit_code != code) {
        fail_msg("exit code %d, out: %s, err: %s", world->run.exit_code, world->run.out, world->run.err);
    }
    assert_contains(world->run.out, out_part);
    assert_contains(world->run.err, err_part);
}

/* The number behind `label` in what sluicectl printed. */
static long long number_after(const char *text, const char *label) {
    assert_contains(text, label);
    return atoll(strstr(text, label) + strlen(label));
}

/* ---- a steady load that sees which quota decides ---- */

/* Keeps to its beat, so that the connections of a frontend take turns. */
static void probe_send(struct probe *probe, int64_t now_us) {
    if (probe->send_at_us <= now_us) {
        probe->send_at_us += ((now_us - probe->send_at_us) / PROBE_PERIOD_US + 1) * PROBE_PERIOD_US;
    }
    raw_send(probe->raw, raw_check_request(probe->raw, ++probe->id, raw_check_of("live", "api", probe->key)));
    probe->is_waiting = true;
}

/* Takes an answer, which must be a full decision by the last quota, or by the one before as long as this connection
 * has not seen the last one. */
static void probe_receive(struct world *world, struct probe *probe) {
    const struct wire_response *response = raw_receive(probe->raw);
    const struct wire_decision *decision = &response->items[0].decision;
    assert_int_equal(response->id, probe->id);
    if (response->status != WIRE_OK || decision->verdict != WIRE_ALLOW || decision->degraded ||
        (decision->limit != world->burst && decision->limit != world->burst - 1) ||
        decision->limit < probe->limit) {
        fail_msg("frontend %zu: status %s, verdict %d, degraded %d, limit %llu after %llu, set is %llu",
                 probe->frontend, wire_status_text(response->status), decision->verdict, decision->degraded,
                 (unsigned long long)decision->limit, (unsigned long long)probe->limit,
                 (unsigned long long)world->burst);
    }
    int64_t now_us = harness_now_us();
    if (decision->limit != probe->limit) {
        probe->limit = decision->limit;
        probe->changed_at_us = now_us;
    }
    probe->is_waiting = false;
    world->n_checks++;
}

/* One turn of the load. Returns whether `other_fd` (-1: none) has something to read. */
static bool turn(struct world *world, int other_fd) {
    struct pollfd fds[N_PROBES + 1];
    int64_t now_us = harness_now_us();
    for (size_t i = 0; i < N_PROBES; i++) {
        struct probe *probe = &world->probes[i];
        if (!probe->is_waiting && probe->send_at_us <= now_us) {
            probe_send(probe, now_us);
        }
        fds[i] = (struct pollfd){.fd = probe->raw->fd, .events = POLLIN};
    }
    fds[N_PROBES] = (struct pollfd){.fd = other_fd, .events = POLLIN};
    assert_true(poll(fds, N_PROBES + 1, 1) >= 0);
    for (size_t i = 0; i < N_PROBES; i++) {
        if (fds[i].revents != 0) {
            probe_receive(world, &world->probes[i]);
        }
    }
    return fds[N_PROBES].revents != 0;
}

/* Takes the answers that are due, and sends no more. */
static void rest(struct world *world) {
    for (size_t i = 0; i < N_PROBES; i++) {
        if (world->probes[i].is_waiting) {
            probe_receive(world, &world->probes[i]);
        }
    }
}

static void await_quota_at_all_probes(struct world *world) {
    int64_t deadline_us = harness_now_us() + ARRIVAL_LIMIT_US;
    for (size_t i = 0; i < N_PROBES;) {
        if (world->probes[i].limit == world->burst) {
            i++;
            continue;
        }
        turn(world, -1);
        if (harness_now_us() > deadline_us) {
            fail_msg("frontend %zu does not come to burst %llu", world->probes[i].frontend,
                     (unsigned long long)world->burst);
        }
    }
}

/* Goes on until the answer to a change is there. Returns when that was. */
static int64_t await_reply(struct world *world, struct admin_client *client) {
    int64_t deadline_us = harness_now_us() + ADMIN_LIMIT_MS * INT64_C(1000);
    while (!turn(world, client->fd)) {
        assert_true(harness_now_us() < deadline_us);
    }
    int64_t replied_at_us = harness_now_us();
    assert_int_equal(admin_receive(client, true), 200);
    return replied_at_us;
}

/* The same quota with one token more. */
static const char *next_quota(struct world *world, char text[QUOTA_BYTES]) {
    snprintf(text, QUOTA_BYTES, "{\"limits\":[{\"rate\":\"1000000/s\",\"burst\":%llu}]}",
             (unsigned long long)++world->burst);
    return text;
}

static void set_burst_and_wait(struct world *world, size_t i, const char *wait) {
    char burst[32];
    snprintf(burst, sizeof burst, "%llu", (unsigned long long)++world->burst);
    CTL(world, i, "quota", "set", "live", "api", "--rate", "1000000/s", "--burst", burst, wait);
}

/* From `from_us` until the last frontend has decided by the last quota on one of its connections, or on all of them.
 * What came before counts as 0. */
static int64_t measure_arrival(const struct world *world, int64_t from_us, bool is_of_all) {
    int64_t last_us = 0;
    for (size_t f = 0; f < N_FRONTENDS; f++) {
        int64_t of_frontend_us = is_of_all ? 0 : INT64_MAX;
        for (size_t i = f; i < N_PROBES; i += N_FRONTENDS) {
            int64_t took_us = world->probes[i].changed_at_us - from_us;
            if (is_of_all ? took_us > of_frontend_us : took_us < of_frontend_us) {
                of_frontend_us = took_us;
            }
        }
        last_us = of_frontend_us > last_us ? of_frontend_us : last_us;
    }
    return last_us;
}

static int compare(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static void print_times(const char *what, int64_t *times_us, size_t n) {
    qsort(times_us, n, sizeof times_us[0], compare);
    printf("%s: p50 %.1f ms, p99 %.1f ms, max %.1f ms\n", what, (double)times_us[(n + 1) / 2 - 1] / 1000,
           (double)times_us[(n * 99 + 99) / 100 - 1] / 1000, (double)times_us[n - 1] / 1000);
}

static void test_changes_decide_everywhere_while_no_check_fails(void **state) {
    struct world *world = *state;
    static const char path[] = "/v1/tenants/live/quotas/api";
    static int64_t first_us[N_CHANGES], all_us[N_CHANGES];
    struct admin_client *clients[N_FRONTENDS];
    char text[QUOTA_BYTES];
    for (size_t i = 0; i < N_FRONTENDS; i++) {
        clients[i] = admin_open(&world->frontends[i], NULL);
    }
    set_burst_and_wait(world, 0, "--wait");
    assert_run(world, EXIT_DONE, all_have_it, "");
    await_quota_at_all_probes(world);
    world->n_checks = 0;
    int64_t started_at_us = harness_now_us();
    for (size_t i = 0; i < N_CHANGES; i++) {
        struct admin_client *client = clients[i % N_FRONTENDS];
        admin_send(client, "PUT", path, "", next_quota(world, text));
        int64_t replied_at_us = await_reply(world, client);
        await_quota_at_all_probes(world);
        first_us[i] = measure_arrival(world, replied_at_us, false);
        all_us[i] = measure_arrival(world, replied_at_us, true);
    }
    rest(world);
    printf("%d changes by PUT, %d frontends, %.0f checks/s meanwhile, none failed or degraded\n", N_CHANGES,
           N_FRONTENDS, (double)world->n_checks * 1e6 / (double)(harness_now_us() - started_at_us));
    print_times("from PUT's reply to the first decision by the new quota on every frontend", first_us,
                N_CHANGES);
    print_times("the same on every connection", all_us, N_CHANGES);
    for (size_t i = 0; i < N_FRONTENDS; i++) {
        admin_close(&clients[i]);
    }
}

/* ---- --wait ---- */

/* Each connection's next decision must be by the last quota. */
static void expect_quota_at_all_probes(struct world *world) {
    for (size_t i = 0; i < N_PROBES; i++) {
        probe_send(&world->probes[i], harness_now_us());
        probe_receive(world, &world->probes[i]);
        assert_int_equal(world->probes[i].limit, world->burst);
    }
}

static void test_what_was_waited_for_decides_at_once(void **state) {
    struct world *world = *state;
    printf("sluicectl quota set --wait: %s", all_have_it);
    for (size_t i = 0; i < N_WAITED; i++) {
        set_burst_and_wait(world, i % N_FRONTENDS, "--wait");
        assert_run(world, EXIT_DONE, all_have_it, "");
        expect_quota_at_all_probes(world);
        const char *took = strstr(world->run.out, all_have_it) + strlen(all_have_it);
        printf("%s%.*s", i > 0 ? ", " : "", (int)strcspn(took, "\n"), took);
    }
    puts("");
}

static void test_wait_names_the_one_that_stands_still(void **state) {
    struct world *world = *state;
    char named[N_FRONTENDS][48];
    for (size_t i = 0; i < N_FRONTENDS; i++) {
        snprintf(named[i], sizeof named[i], " at %s (revision ", world->frontends[i].address);
    }
    kill(world->frontends[2].pid, SIGSTOP);
    set_burst_and_wait(world, 0, "--wait=1500ms");
    struct run first = world->run;
    CTL(world, 1, "status");
    kill(world->frontends[2].pid, SIGCONT);
    assert_run(world, EXIT_DONE, "in force   not everywhere: ", "");
    assert_contains(world->run.out, named[2]);
    world->run = first;
    assert_run(world, EXIT_TROUBLE, "live api: 1000000/s burst ", "not in force everywhere: ");
    assert_contains(world->run.err, named[2]);
    assert_null(strstr(world->run.err, named[0]));
    assert_null(strstr(world->run.err, named[1]));
    await_quota_at_all_probes(world);
    rest(world);
    set_burst_and_wait(world, 1, "--wait");
    assert_run(world, EXIT_DONE, all_have_it, "");
    expect_quota_at_all_probes(world);
}

static void test_wait_lasts_as_long_as_one_stands_still(void **state) {
    struct world *world = *state;
    char program[HARNESS_PATH_BYTES], out[HARNESS_PATH_BYTES], err[HARNESS_PATH_BYTES], burst[32];
    snprintf(burst, sizeof burst, "%llu", (unsigned long long)++world->burst);
    const char *const argv[] = {
        harness_program("sluicectl", program),
        "quota",
        "set",
        "live",
        "api",
        "--rate",
        "1000000/s",
        "--burst",
        burst,
        "--wait=20s",
        "--admin",
        world->admin[0],
        NULL,
    };
    kill(world->frontends[2].pid, SIGSTOP);
    pid_t pid = harness_spawn(world->harness, argv, harness_path(world->harness, "wait.out", out),
                              harness_path(world->harness, "wait.err", err), SIGTERM);
    int code = harness_wait(world->harness, pid, STOPPED_MS);
    kill(world->frontends[2].pid, SIGCONT);
    assert_int_equal(code, -1);
    assert_int_equal(harness_wait(world->harness, pid, LIMIT_S * 1000), EXIT_DONE);
    harness_read(out, world->run.out, sizeof world->run.out);
    assert_contains(world->run.out, all_have_it);
    expect_quota_at_all_probes(world);
}

/* ---- sluicectl and the fleet ---- */

static void test_a_conflict_shows_both_values(void **state) {
    struct world *world = *state;
    char old[32], old_revision[64], there[96];
    CTL(world, 0, "quota", "set", "acme", "race", "--rate", "7/s", "--if-revision", "0", "--wait");
    assert_run(world, EXIT_DONE, "acme race: 7/s burst 7 (new, revision ", "");
    snprintf(old, sizeof old, "%lld", number_after(world->run.out, "(new, revision "));
    snprintf(old_revision, sizeof old_revision, "\"id\":\"%s-0\"", old);
    CTL(world, 1, "quota", "set", "acme", "race", "--rate", "8/s", "--if-revision", old, "--wait");
    assert_run(world, EXIT_DONE, "acme race: 8/s burst 8 (revision ", "");
    snprintf(there, sizeof there, "  there now  8/s burst 8 (revision %lld)\n  yours      9/s burst 9\n",
             number_after(world->run.out, "(revision "));
    CTL(world, 2, "quota", "set", "acme", "race", "--rate", "9/s", "--if-revision", old);
    assert_run(world, EXIT_REFUSED, "", there);
    CTL(world, 2, "quota", "get", "acme", "race");
    assert_run(world, EXIT_DONE, "acme race: 8/s burst 8 (revision ", "");
    CTL(world, 0, "changes", "--tenant", "acme");
    assert_run(world, EXIT_DONE, "none -> 7/s burst 7\n", "");
    assert_contains(world->run.out, "7/s burst 7 -> 8/s burst 8\n");
    assert_contains(world->run.out, "  9/s: If-Match: the quota has revision ");
    CTL(world, 0, "changes", "--tenant", "acme", "--json", "--after", old);
    assert_run(world, EXIT_DONE, "\"what\":\"put\",", "");
    assert_contains(strchr(world->run.out, '\n'), "\"what\":\"refused\",");
    assert_null(strstr(world->run.out, old_revision));
}

static void test_a_live_bucket_is_shown_and_filled(void **state) {
    struct world *world = *state;
    struct wire_check check = raw_check_of("tank", "api.read", "a b/c");
    struct raw_client *raw = raw_open(&world->frontends[1]);
    CTL(world, 0, "quota", "set", "tank", "api.*", "--rate", "1/month", "--burst", "5", "--wait");
    assert_run(world, EXIT_DONE, all_have_it, "");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(raw_decide(raw, check)->verdict, WIRE_ALLOW);
    }
    CTL(world, 2, "bucket", "show", "tank", "api.read", "a b/c");
    assert_run(world, EXIT_DONE, "quota api.*, as the store has it\n", "");
    assert_contains(world->run.out, "token_bucket  key    3      5      1/month");
    CTL(world, 0, "quota", "set", "tank", "api.*", "--rate", "1/month", "--burst", "2", "--wait");
    assert_run(world, EXIT_DONE, all_have_it, "");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(raw_decide(raw, check)->verdict, i < 2 ? WIRE_ALLOW : WIRE_DENY);
    }
    CTL(world, 2, "bucket", "reset", "tank", "api.read", "a b/c");
    assert_run(world, EXIT_DONE, "reset: ", "");
    CTL(world, 0, "bucket", "show", "tank", "api.read", "a b/c");
    assert_run(world, EXIT_DONE, "token_bucket  key    2      2      1/month", "");
    assert_int_equal(raw_decide(raw, check)->verdict, WIRE_ALLOW);
    CTL(world, 1, "changes", "--tenant", "tank");
    assert_run(world, EXIT_DONE, "key a b/c\n", "");
    raw_close(&raw);
}

static void test_the_whole_fleet_is_listed(void **state) {
    struct world *world = *state;
    CTL(world, 2, "frontends");
    assert_run(world, EXIT_DONE, world->frontends[0].address, "");
    assert_contains(world->run.out, world->frontends[1].address);
    const char *asked = strchr(world->run.out, '*');
    assert_non_null(asked);
    assert_null(strchr(asked + 1, '*'));
    asked += strspn(asked, "* ");
    assert_memory_equal(asked, world->frontends[2].address, strlen(world->frontends[2].address));
    assert_null(strstr(world->run.out, "(behind)"));
    CTL(world, 0, "status");
    assert_run(world, EXIT_DONE, "frontends  3\nin force   everywhere\ndegraded   no frontend\n", "");
}

static void test_what_was_exported_can_be_applied_again(void **state) {
    struct world *world = *state;
    char before[HARNESS_PATH_BYTES], other[HARNESS_PATH_BYTES];
    CTL(world, 0, "export");
    assert_run(world, EXIT_DONE, "tenants:\n", "");
    struct run exported = world->run;
    harness_write(world->harness, "before.yaml", exported.out, before);
    harness_write(world->harness, "other.yaml",
                  "default: allow\ntenants:\n  acme:\n    race: { unlimited: true }\n"
                  "    new: { limits: [ { rate: 1/s } ] }\n",
                  other);
    CTL(world, 1, "diff", before, "--replace");
    assert_run(world, EXIT_DONE, "0 to add, 0 to change, 0 to remove, 3 to keep\n", "");
    CTL(world, 1, "diff", other, "--replace");
    assert_run(world, EXIT_REFUSED, "1 to add, 1 to change, 2 to remove, 0 to keep\n", "");
    CTL(world, 1, "apply", other, "--replace");
    assert_run(world, EXIT_TROUBLE, "", "nobody can be asked here; nothing was changed");
    CTL(world, 1, "apply", other, "--replace", "--yes", "--wait");
    assert_run(world, EXIT_DONE, all_have_it, "");
    CTL(world, 2, "quota", "list");
    assert_run(world, EXIT_DONE, "\n2 quotas, revision ", "");
    assert_contains(world->run.out, "; what no quota matches: allow\n");
    CTL(world, 2, "apply", before, "--replace", "--yes", "--wait");
    assert_run(world, EXIT_DONE, all_have_it, "");
    CTL(world, 0, "export");
    assert_string_equal(world->run.out, exported.out);
    CTL(world, 0, "apply", before, "--replace", "--yes");
    assert_run(world, EXIT_DONE, "nothing to change\n", "");
}

/* ---- very many quotas ---- */

static void write_many(const struct harness *harness, char path[HARNESS_PATH_BYTES]) {
    FILE *file = fopen(harness_path(harness, "many.yaml", path), "w");
    assert_non_null(file);
    fputs("tenants:\n", file);
    for (int i = 0; i < N_MANY; i++) {
        if (i % 100 == 0) {
            fprintf(file, "  tenant-%d:\n", i / 100);
        }
        fprintf(file, "    r%d: { limits: [ { rate: 100/s, burst: 200 } ] }\n", i % 100);
    }
    assert_int_equal(fclose(file), 0);
}

/* Starts one as a user has it, not sanitized, and prints how long that takes. */
static void start_with_many(struct harness *harness, struct frontend *frontend, const char *how,
                            const char *const flags[]) {
    int64_t started_at_us = harness_now_us();
    frontend_start_as_shipped(harness, frontend, NULL, flags);
    int64_t serving_at_us = harness_now_us();
    frontend_await_status(frontend, "/readyz", 200);
    int64_t ready_at_us = harness_now_us();
    printf("%d quotas %s: serves after %lld ms, ready after %lld ms\n", N_MANY, how,
           (long long)(serving_at_us - started_at_us) / 1000, (long long)(ready_at_us - started_at_us) / 1000);
    while (frontend_metric(frontend, "sluice_quota_revision") < N_MANY &&
           harness_now_us() < ready_at_us + ARRIVAL_LIMIT_US) {
        harness_sleep_ms(20);
    }
    assert_true(frontend_metric(frontend, "sluice_quota_revision") >= N_MANY);
    assert_int_equal(frontend_metric(frontend, "sluice_quotas"), N_MANY);
}

static void test_very_many_quotas_are_seeded_and_read(void **state) {
    struct world *world = *state;
    struct redis_fixture *redis = redis_fixture_start();
    struct frontend frontends[2];
    char path[HARNESS_PATH_BYTES], nodes[32];
    assert_non_null(redis);
    snprintf(nodes, sizeof nodes, "127.0.0.1:%u", redis_fixture_port(redis));
    write_many(world->harness, path);
    harness_swap_builds();
    start_with_many(world->harness, &frontends[0], "as a seed",
                    (const char *const[]){"--redis-nodes", nodes, "--quotas", path, NULL});
    start_with_many(world->harness, &frontends[1], "from Redis",
                    (const char *const[]){"--redis-nodes", nodes, NULL});
    harness_swap_builds();
    frontend_stop(&frontends[0]);
    frontend_stop(&frontends[1]);
    redis_fixture_stop(&redis);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes_decide_everywhere_while_no_check_fails),
        cmocka_unit_test(test_what_was_waited_for_decides_at_once),
        cmocka_unit_test(test_wait_names_the_one_that_stands_still),
        cmocka_unit_test(test_wait_lasts_as_long_as_one_stands_still),
        cmocka_unit_test(test_a_conflict_shows_both_values),
        cmocka_unit_test(test_a_live_bucket_is_shown_and_filled),
        cmocka_unit_test(test_the_whole_fleet_is_listed),
        cmocka_unit_test(test_what_was_exported_can_be_applied_again),
        cmocka_unit_test(test_very_many_quotas_are_seeded_and_read),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
