/* test_bench.c — `sluice bench` against a real frontend: its counts are the frontend's own, whatever the load. */
#include "tests/system/frontend.h"

#include <jansson.h>

enum { LIMIT_S = 60, EXIT_TROUBLE = 2 };

static const char quotas[] = "tenants:\n"
                             "  a:\n"
                             "    five: { limits: [ { rate: 1/month, burst: 5 } ] }\n"
                             "    plenty: { limits: [ { rate: 1000000/s, burst: 1000000000 } ] }\n"
                             "  b:\n"
                             "    plenty: { limits: [ { rate: 1000000/s, burst: 1000000000 } ] }\n";

struct world {
    struct harness *harness;
    struct frontend frontend;
    char admin[32];
};

static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    char path[HARNESS_PATH_BYTES];
    assert_non_null(world);
    *state = world;
    world->harness = harness_open();
    harness_write(world->harness, "quotas.yaml", quotas, path);
    FRONTEND_START(world->harness, &world->frontend, "--quotas", path);
    snprintf(world->admin, sizeof world->admin, "127.0.0.1:%u", world->frontend.admin_port);
    return 0;
}

static int close_world(void **state) {
    struct world *world = *state;
    frontend_stop(&world->frontend);
    harness_close(&world->harness);
    free(world);
    return 0;
}

#define BENCH(world, run, ...)                                                                                 \
    HARNESS_RUN_OURS((world)->harness, run, LIMIT_S, "sluice", "bench", "--server", (world)->frontend.address, \
                     "--tenants", "a", "--timeout", "30s", __VA_ARGS__)

static json_int_t integer_of(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    if (!json_is_integer(value)) {
        fail_msg("no integer '%s'", name);
    }
    return json_integer_value(value);
}

static double number_of(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    if (!json_is_number(value)) {
        fail_msg("no number '%s'", name);
    }
    return json_number_value(value);
}

/* The object that a run without errors printed. */
static json_t *object_of(const struct run *run) {
    assert_string_equal(run->err, "");
    assert_int_equal(run->exit_code, 0);
    json_t *object = json_loads(run->out, 0, NULL);
    assert_non_null(object);
    return object;
}

static void assert_adds_up(const json_t *object) {
    const json_t *latency = json_object_get(object, "latency_us");
    assert_true(integer_of(object, "sent") > 0);
    assert_int_equal(integer_of(object, "sent"), integer_of(object, "allowed") + integer_of(object, "denied"));
    assert_int_equal(integer_of(object, "errors"), 0);
    assert_true(number_of(object, "rate_per_s") > 0);
    assert_true(integer_of(latency, "p50") <= integer_of(latency, "p99"));
    assert_true(integer_of(latency, "p99") <= integer_of(latency, "max"));
    assert_true(integer_of(latency, "max") > 0);
}

static void test_a_closed_loop_counts_what_the_frontend_counts(void **state) {
    static const char allowed[] = "sluice_decisions_total{decision=\"allow\",source=\"embedded\"}";
    struct world *world = *state;
    struct run run;
    uint64_t before = frontend_metric(&world->frontend, allowed);
    BENCH(world, &run, "--resource", "plenty", "--duration", "200ms", "--warm-up", "0s", "--json", "--admin",
          world->admin);
    json_t *object = object_of(&run);
    assert_adds_up(object);
    assert_int_equal(frontend_metric(&world->frontend, allowed) - before, integer_of(object, "allowed"));
    assert_int_equal(integer_of(json_object_get(object, "allowed_by"), "embedded"),
                     integer_of(object, "allowed"));
    const json_t *frontends = json_object_get(object, "frontends");
    assert_int_equal(integer_of(frontends, "decisions"), integer_of(object, "sent"));
    assert_true(number_of(frontends, "cpu_us_per_check") > 0);
    assert_true(number_of(frontends, "store_calls_per_check") == 0);
    assert_true(number_of(object, "own_cpu_share") > 0);
    json_decref(object);
}

static void test_the_warm_up_is_not_counted(void **state) {
    struct world *world = *state;
    struct run run;
    uint64_t before = frontend_metric(&world->frontend, "sluice_requests_total{call=\"check\"}");
    BENCH(world, &run, "--resource", "plenty", "--rate", "1000", "--duration", "100ms", "--warm-up", "300ms",
          "--json");
    json_t *object = object_of(&run);
    assert_adds_up(object);
    assert_true(integer_of(object, "sent") <= 100);
    uint64_t n_all = frontend_metric(&world->frontend, "sluice_requests_total{call=\"check\"}") - before;
    assert_in_range(n_all, integer_of(object, "sent") + 1, 400);
    json_decref(object);
}

static void test_an_open_loop_sends_what_is_due(void **state) {
    struct world *world = *state;
    struct run run;
    BENCH(world, &run, "--resource", "plenty", "--rate", "2000", "--duration", "250ms", "--warm-up", "0s",
          "--json");
    json_t *object = object_of(&run);
    assert_adds_up(object);
    assert_int_equal(integer_of(object, "sent") + integer_of(object, "not_sent"), 500);
    assert_string_equal(json_string_value(json_object_get(json_object_get(object, "settings"), "loop")),
                        "open");
    json_decref(object);
    BENCH(world, &run, "--resource", "plenty", "--rate", "2000", "--poisson", "--duration", "250ms",
          "--warm-up", "0s", "--json");
    object = object_of(&run);
    assert_adds_up(object);
    assert_in_range(integer_of(object, "sent") + integer_of(object, "not_sent"), 380, 620);
    json_decref(object);
}

/* Of one key with five tokens, and of tenants of whom b has no such quota. */
static void test_limits_are_met_as_by_any_caller(void **state) {
    struct world *world = *state;
    struct run run;
    BENCH(world, &run, "--resource", "five", "--keys", "one", "--batch", "10", "--duration", "100ms",
          "--warm-up", "0s", "--json");
    json_t *object = object_of(&run);
    assert_adds_up(object);
    assert_int_equal(integer_of(object, "allowed"), 5);
    assert_int_equal(integer_of(object, "denied"), integer_of(object, "sent") - 5);
    json_decref(object);
    BENCH(world, &run, "--resource", "five", "--keys", "one", "--tenants", "a,b", "--duration", "100ms",
          "--warm-up", "0s", "--json");
    object = object_of(&run);
    assert_adds_up(object);
    assert_true(integer_of(json_object_get(object, "allowed_by"), "none") > 0);
    assert_true(integer_of(json_object_get(object, "denied_by"), "embedded") > 0);
    json_decref(object);
}

static void test_keys_of_every_kind_are_asked_about(void **state) {
    struct world *world = *state;
    struct run run;
    char keys_path[HARNESS_PATH_BYTES], choice[HARNESS_PATH_BYTES + 8];
    harness_write(world->harness, "keys", "alice\nbob\n", keys_path);
    snprintf(choice, sizeof choice, "file:%s", keys_path);
    const char *const choices[] = {"uniform:1000", "zipf:1000000", "zipf:1000:1", choice};
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        BENCH(world, &run, "--resource", "plenty", "--keys", choices[i], "--duration", "50ms", "--warm-up",
              "0s", "--json");
        json_t *object = object_of(&run);
        assert_adds_up(object);
        json_decref(object);
    }
}

static void test_the_table_has_its_rows(void **state) {
    static const char *const rows[] = {"load           closed loop; 2 connections",
                                       "checks sent",
                                       "allowed",
                                       "denied",
                                       "decided by     ",
                                       "errors         0",
                                       "p99.99",
                                       "this program",
                                       "up to  latency"};
    struct world *world = *state;
    struct run run;
    BENCH(world, &run, "--resource", "plenty", "--connections", "2", "--duration", "50ms", "--warm-up", "0s");
    assert_string_equal(run.err, "");
    assert_int_equal(run.exit_code, 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_contains(run.out, rows[i]);
    }
}

static void test_compare_prints_ratios(void **state) {
    struct world *world = *state;
    struct run run;
    char base[HARNESS_PATH_BYTES];
    BENCH(world, &run, "--resource", "plenty", "--duration", "50ms", "--warm-up", "0s", "--json");
    json_decref(object_of(&run));
    harness_write(world->harness, "base.json", run.out, base);
    BENCH(world, &run, "--resource", "plenty", "--duration", "50ms", "--warm-up", "0s", "--compare", base);
    assert_int_equal(run.exit_code, 0);
    assert_contains(run.out, "compared                         here           base    ratio\n");
    assert_contains(run.out, "\nrate_per_s ");
    assert_contains(run.out, "\nlatency_p99.9_us ");
    assert_null(strstr(run.out, "differ"));
    BENCH(world, &run, "--resource", "plenty", "--duration", "50ms", "--warm-up", "0s", "--batch", "4",
          "--compare", base, "--json");
    json_t *object = object_of(&run);
    const json_t *compared = json_object_get(object, "compared");
    assert_true(number_of(json_object_get(compared, "ratios"), "rate_per_s") > 0);
    assert_int_equal(json_array_size(json_object_get(compared, "different_settings")), 1);
    json_decref(object);
}

#define ASSERT_REFUSED(world, part, ...)                                                                       \
    do {                                                                                                       \
        struct run refused;                                                                                    \
        BENCH(world, &refused, "--duration", "50ms", __VA_ARGS__);                                             \
        assert_string_equal(refused.out, "");                                                                  \
        assert_contains(refused.err, part);                                                                    \
        assert_int_equal(refused.exit_code, EXIT_TROUBLE);                                                     \
    } while (0)

static void test_what_cannot_be_run_is_refused_with_the_reason(void **state) {
    struct world *world = *state;
    ASSERT_REFUSED(world, "--keys: 'few'", "--keys", "few");
    ASSERT_REFUSED(world, "--poisson needs --rate", "--poisson");
    ASSERT_REFUSED(world, "--compare: /no/such/base", "--compare", "/no/such/base");
    ASSERT_REFUSED(world, "127.0.0.1:1: Connection refused", "--server", "127.0.0.1:1");
    ASSERT_REFUSED(world, "127.0.0.1:1: Connection refused; --admin takes admin addresses", "--admin",
                   "127.0.0.1:1", "--warm-up", "0s");
    ASSERT_REFUSED(world, "--connections", "--connections", "65536", "--pipeline", "65536");
    ASSERT_REFUSED(world, "too many", "surplus");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_closed_loop_counts_what_the_frontend_counts),
        cmocka_unit_test(test_the_warm_up_is_not_counted),
        cmocka_unit_test(test_an_open_loop_sends_what_is_due),
        cmocka_unit_test(test_limits_are_met_as_by_any_caller),
        cmocka_unit_test(test_keys_of_every_kind_are_asked_about),
        cmocka_unit_test(test_the_table_has_its_rows),
        cmocka_unit_test(test_compare_prints_ratios),
        cmocka_unit_test(test_what_cannot_be_run_is_refused_with_the_reason),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
