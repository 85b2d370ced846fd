/* test_replay.c — replay and simulate read access logs: what they count, how they keep time, what they refuse.
 *
 * With $SLUICE_ACCESS_LOG, the path of a real log, they are held against that as well. */
#include "tests/system/frontend.h"

#include <jansson.h>

enum { LIMIT_S = 60 };

static const char quotas[] = "tenants:\n"
                             "  t:\n"
                             "    five: { limits: [ { rate: 1/h, burst: 5 } ] }\n"
                             "    twenty: { limits: [ { rate: 1/h, burst: 20 } ] }\n"
                             "    steady: { limits: [ { rate: 1/s, burst: 1 } ] }\n";

struct world {
    struct harness *harness;
    struct frontend frontend;
    char quotas_path[HARNESS_PATH_BYTES], log_path[HARNESS_PATH_BYTES];
};

/* 18 lines over 2 s, the fifth of them bad: 8 requests of one address, 3 of a second, 6 of a third. */
static void write_log(struct world *world) {
    static const char *const hosts[] = {"10.0.0.1", "10.0.0.1", "10.0.0.2", "::1",      NULL,       "::1",
                                        "10.0.0.1", "10.0.0.1", "10.0.0.1", "::1",      "10.0.0.2", "::1",
                                        "10.0.0.1", "::1",      "10.0.0.1", "10.0.0.2", "::1",      "10.0.0.1"};
    char text[4096];
    size_t n = 0;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        if (hosts[i] == NULL) {
            n += (size_t)snprintf(text + n, sizeof text - n, "this is no log line\n");
            continue;
        }
        n += (size_t)snprintf(text + n, sizeof text - n,
                              "%s - - [10/Oct/2000:13:55:3%zu -0700] \"GET /a?b HTTP/1.0\" 200 2326\n",
                              hosts[i], i / 6);
    }
    harness_write(world->harness, "access.log", text, world->log_path);
}

static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    *state = world;
    world->harness = harness_open();
    harness_write(world->harness, "quotas.yaml", quotas, world->quotas_path);
    write_log(world);
    FRONTEND_START(world->harness, &world->frontend, "--quotas", world->quotas_path);
    return 0;
}

static int close_world(void **state) {
    struct world *world = *state;
    frontend_stop(&world->frontend);
    harness_close(&world->harness);
    free(world);
    return 0;
}

static json_int_t integer_of(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

/* Both run with --json and return the object; the exit code must be 0. */
static json_t *replay(struct world *world, const char *log, const char *resource, const char *speed) {
    struct run run;
    HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluice", "replay", log, "--tenant", "t", "--resource",
                     resource, "--speed", speed, "--server", world->frontend.address, "--timeout", "5s",
                     "--json");
    assert_string_equal(run.err, "");
    assert_int_equal(run.exit_code, 0);
    json_t *object = json_loads(run.out, 0, NULL);
    assert_non_null(object);
    return object;
}

static json_t *simulate(struct world *world, const char *log, const char *resource) {
    struct run run;
    HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluice", "simulate", log, "--quota", world->quotas_path,
                     "--tenant", "t", "--resource", resource, "--json");
    assert_string_equal(run.err, "");
    assert_int_equal(run.exit_code, 0);
    json_t *object = json_loads(run.out, 0, NULL);
    assert_non_null(object);
    return object;
}

/* What five tokens for each address make of the log above. */
static void assert_counts_of_five(const json_t *object) {
    assert_int_equal(integer_of(object, "lines"), 18);
    assert_int_equal(integer_of(object, "bad_lines"), 1);
    const json_t *bad = json_array_get(json_object_get(object, "first_bad_lines"), 0);
    assert_int_equal(integer_of(bad, "line"), 5);
    assert_int_equal(integer_of(object, "allowed"), 5 + 3 + 5);
    assert_int_equal(integer_of(object, "denied"), 3 + 0 + 1);
    assert_int_equal(integer_of(object, "errors"), 0);
    const json_t *worst = json_array_get(json_object_get(object, "most_denied"), 0);
    assert_string_equal(json_string_value(json_object_get(worst, "address")), "10.0.0.1");
    assert_int_equal(integer_of(worst, "denied"), 3);
    assert_int_equal(integer_of(worst, "allowed"), 5);
}

static void test_replay_checks_every_line_with_its_address(void **state) {
    struct world *world = *state;
    json_t *object = replay(world, world->log_path, "five", "0");
    assert_counts_of_five(object);
    assert_int_equal(integer_of(json_object_get(object, "sources"), "embedded"), 17);
    json_decref(object);
}

static void test_replay_keeps_the_logs_pace(void **state) {
    struct world *world = *state;
    int64_t started_at_us = harness_now_us();
    json_decref(replay(world, world->log_path, "twenty", "2")); /* 2 s of log */
    assert_in_range(harness_now_us() - started_at_us, 990000, 5000000);
}

static void test_replay_ends_with_a_table(void **state) {
    static const char *const rows[] = {"lines", "bad lines", "(number 5", "allowed", "denied",     "errors",
                                       "rate",  "p50",       "p99",       "max",     "most denied"};
    struct world *world = *state;
    struct run run;
    HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluice", "replay", world->log_path, "--tenant", "t",
                     "--resource", "five", "--speed", "0", "--server", world->frontend.address, "--timeout",
                     "5s");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_contains(run.out, rows[i]);
    }
    assert_string_equal(run.err, ""); /* no progress bar without a terminal */
    assert_int_equal(run.exit_code, 0);
}

static void test_replay_without_a_frontend_says_so(void **state) {
    struct world *world = *state;
    struct run run;
    HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluice", "replay", world->log_path, "--tenant", "t",
                     "--resource", "five", "--server", "127.0.0.1:1", "--timeout", "500ms");
    assert_contains(run.err, "127.0.0.1:1");
    assert_int_equal(run.exit_code, 2);
}

static void test_simulate_counts_the_same(void **state) {
    struct world *world = *state;
    json_t *object = simulate(world, world->log_path, "five");
    assert_counts_of_five(object);
    json_decref(object);
}

/* In each of three seconds an address gets one request through; 10.0.0.2 makes one request in each. */
static void test_simulate_runs_in_the_logs_time(void **state) {
    struct world *world = *state;
    json_t *object = simulate(world, world->log_path, "steady");
    assert_int_equal(integer_of(object, "allowed"), 9);
    assert_int_equal(integer_of(object, "denied"), 8);
    json_decref(object);
}

/* 40 requests of one address, two a second, and one of another in each of ten seconds; `step` scatters them. */
static const char *write_scattered(struct world *world, const char *name, size_t step,
                                   char path[HARNESS_PATH_BYTES]) {
    enum { N_LINES = 50 };
    char text[8192];
    size_t n = 0;
    for (size_t i = 0; i < N_LINES; i++) {
        size_t line = i * step % N_LINES, second = line < 40 ? line / 2 : line - 40;
        n += (size_t)snprintf(text + n, sizeof text - n,
                              "%s - - [10/Oct/2000:13:55:%02zu -0700] \"GET / HTTP/1.0\" 200 1\n",
                              line < 40 ? "10.0.0.1" : "10.0.0.2", second);
    }
    return harness_write(world->harness, name, text, path);
}

static void test_simulate_judges_a_shuffled_log_as_its_sorted_copy(void **state) {
    struct world *world = *state;
    char shuffled_path[HARNESS_PATH_BYTES], sorted_path[HARNESS_PATH_BYTES], command[1024];
    struct run run;
    write_scattered(world, "shuffled.log", 37, shuffled_path);
    snprintf(command, sizeof command, "sort -s -k 4,4 %s", shuffled_path);
    HARNESS_RUN(world->harness, &run, LIMIT_S, "sh", "-c", command);
    assert_int_equal(run.exit_code, 0);
    harness_write(world->harness, "sorted.log", run.out, sorted_path);

    json_t *shuffled = simulate(world, shuffled_path, "steady"),
           *sorted = simulate(world, sorted_path, "steady");
    assert_int_equal(integer_of(shuffled, "allowed"), 20 + 10);
    assert_int_equal(integer_of(shuffled, "denied"), 20);
    assert_true(integer_of(shuffled, "out_of_order_lines") > 0);
    assert_int_equal(integer_of(sorted, "out_of_order_lines"), 0);
    json_object_del(shuffled, "out_of_order_lines");
    json_object_del(sorted, "out_of_order_lines");
    assert_true(json_equal(shuffled, sorted));
    json_decref(shuffled);
    json_decref(sorted);
}

static void test_replay_sends_a_shuffled_log_by_time(void **state) {
    struct world *world = *state;
    char path[HARNESS_PATH_BYTES];
    int64_t started_at_us = harness_now_us();
    json_t *object = replay(world, write_scattered(world, "shuffled.log", 37, path), "twenty", "20");
    assert_in_range(harness_now_us() - started_at_us, 940000, 5000000); /* 19 s of log */
    assert_true(json_is_true(json_object_get(object, "sorted_by_time")));
    assert_true(integer_of(object, "behind_pace_max_us") < 500000);
    json_decref(object);
    object = replay(world, path, "twenty", "0");
    assert_true(json_is_false(json_object_get(object, "sorted_by_time")));
    json_decref(object);
}

static void test_simulate_says_what_decided(void **state) {
    static const struct {
        const char *resource, *out, *err;
    } cases[] = {
        {"twenty", "judged as      t twenty: token_bucket (1 per 1h, burst 20)\n", ""},
        {"nowhere", "judged as      t nowhere: no quota matches, the default allows\n",
         "no quota matches t nowhere"},
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct run run;
        HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluice", "simulate", world->log_path, "--quota",
                         world->quotas_path, "--tenant", "t", "--resource", cases[i].resource);
        assert_contains(run.out, cases[i].out);
        assert_contains(run.err, cases[i].err);
        assert_int_equal(run.exit_code, 0);
    }
}

static void test_a_log_without_a_valid_line_is_an_error(void **state) {
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"", "junk.log: is empty\n"},
        {"# Title\n\n", "junk.log: no valid line among the 2 read; line 1: "},
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[HARNESS_PATH_BYTES];
        struct run runs[2];
        harness_write(world->harness, "junk.log", cases[i].text, path);
        HARNESS_RUN_OURS(world->harness, &runs[0], LIMIT_S, "sluice", "simulate", path, "--quota",
                         world->quotas_path);
        HARNESS_RUN_OURS(world->harness, &runs[1], LIMIT_S, "sluice", "replay", path, "--tenant", "t",
                         "--resource", "five", "--server", world->frontend.address);
        for (size_t j = 0; j < 2; j++) {
            assert_contains(runs[j].err, cases[i].reason);
            assert_string_equal(runs[j].out, "");
            assert_int_equal(runs[j].exit_code, 2);
        }
    }
}

static void test_simulate_is_deterministic(void **state) {
    struct world *world = *state;
    struct run runs[2];
    for (size_t i = 0; i < 2; i++) {
        HARNESS_RUN_OURS(world->harness, &runs[i], LIMIT_S, "sluice", "simulate",
                         "tests/fixtures/access_small.log", "--quota", world->quotas_path, "--tenant", "t",
                         "--resource", "five");
        assert_int_equal(runs[i].exit_code, 0);
    }
    assert_contains(runs[0].out, "lines");
    assert_string_equal(runs[0].out, runs[1].out);
}

static void test_log_is_read_from_standard_input(void **state) {
    struct world *world = *state;
    char program[HARNESS_PATH_BYTES], command[1024];
    snprintf(command, sizeof command, "cat %s | %s simulate - --quota %s --tenant t --resource five --json",
             world->log_path, harness_program("sluice", program), world->quotas_path);
    struct run run;
    HARNESS_RUN(world->harness, &run, LIMIT_S, "sh", "-c", command);
    assert_int_equal(run.exit_code, 0);
    json_t *object = json_loads(run.out, 0, NULL);
    assert_non_null(object);
    assert_counts_of_five(object);
    json_decref(object);
}

static void test_absent_log_is_an_error(void **state) {
    struct world *world = *state;
    struct run run;
    HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluice", "simulate", "/nonexistent.log", "--quota",
                     world->quotas_path);
    assert_contains(run.err, "/nonexistent.log");
    assert_int_equal(run.exit_code, 2);
}

/* How many requests are too many when each address has `burst`, by other means than ours. */
static json_int_t count_denied(struct world *world, const char *log, const char *burst) {
    static const char *const program =
        "{ n[$1]++ } END { for (a in n) if (n[a] > b) d += n[a] - b; print d + 0 }";
    char setting[32];
    struct run run;
    snprintf(setting, sizeof setting, "b=%s", burst);
    HARNESS_RUN(world->harness, &run, LIMIT_S, "awk", "-v", setting, program, log);
    assert_int_equal(run.exit_code, 0);
    return strtoll(run.out, NULL, 10);
}

static void test_real_log(void **state) {
    const char *log = getenv("SLUICE_ACCESS_LOG");
    if (log == NULL) {
        print_message("skipped: SLUICE_ACCESS_LOG names no real log\n");
        skip();
    }
    struct world *world = *state;
    json_t *object = replay(world, log, "twenty", "0");
    json_int_t n_lines = integer_of(object, "lines");
    assert_true(n_lines > 0);
    assert_int_equal(integer_of(object, "errors"), 0);
    assert_int_equal(integer_of(object, "allowed") + integer_of(object, "denied"),
                     n_lines - integer_of(object, "bad_lines"));
    if (integer_of(object, "bad_lines") == 0) {
        assert_int_equal(integer_of(object, "denied"), count_denied(world, log, "20"));
    }
    json_decref(object);

    int64_t started_at_us = harness_now_us();
    object = simulate(world, log, "steady");
    print_message("simulated %lld lines in %lld ms\n", (long long)n_lines,
                  (long long)(harness_now_us() - started_at_us) / 1000);
    assert_int_equal(integer_of(object, "lines"), n_lines);
    json_decref(object);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replay_checks_every_line_with_its_address),
        cmocka_unit_test(test_replay_keeps_the_logs_pace),
        cmocka_unit_test(test_replay_ends_with_a_table),
        cmocka_unit_test(test_replay_without_a_frontend_says_so),
        cmocka_unit_test(test_simulate_counts_the_same),
        cmocka_unit_test(test_simulate_runs_in_the_logs_time),
        cmocka_unit_test(test_simulate_judges_a_shuffled_log_as_its_sorted_copy),
        cmocka_unit_test(test_replay_sends_a_shuffled_log_by_time),
        cmocka_unit_test(test_simulate_says_what_decided),
        cmocka_unit_test(test_a_log_without_a_valid_line_is_an_error),
        cmocka_unit_test(test_simulate_is_deterministic),
        cmocka_unit_test(test_log_is_read_from_standard_input),
        cmocka_unit_test(test_absent_log_is_an_error),
        cmocka_unit_test(test_real_log),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
