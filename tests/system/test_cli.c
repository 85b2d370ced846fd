/* test_cli.c — the programs as people meet them: words, numbers, exit codes, and what they say on trouble. */
#include "tests/system/frontend.h"

#include <jansson.h>

enum { LIMIT_S = 20, EXIT_ALLOWED = 0, EXIT_DENIED = 1, EXIT_TROUBLE = 2 };

static const char quotas[] = "tenants:\n"
                             "  t:\n"
                             "    five: { limits: [ { name: per_key, rate: 1/h, burst: 5 } ] }\n"
                             "    queue: { limits: [ { algorithm: leaky_bucket, rate: 1/min, burst: 5 } ] }\n"
                             "    free: { unlimited: true }\n"
                             "    banned: { limits: [ { rate: 0 } ] }\n"
                             "    tried: { mode: shadow, limits: [ { rate: 1/h, burst: 1 } ] }\n";

/* Nobody listens on port 1. */
static const char nowhere[] = "127.0.0.1:1";

struct world {
    struct harness *harness;
    struct frontend frontend;  /* with the quotas above */
    struct frontend unadorned; /* with none */
};

static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    *state = world;
    world->harness = harness_open();
    char path[HARNESS_PATH_BYTES];
    harness_write(world->harness, "quotas.yaml", quotas, path);
    FRONTEND_START(world->harness, &world->frontend, "--quotas", path);
    FRONTEND_START(world->harness, &world->unadorned, "--workers", "1");
    return 0;
}

static int close_world(void **state) {
    struct world *world = *state;
    frontend_stop(&world->frontend);
    frontend_stop(&world->unadorned);
    harness_close(&world->harness);
    free(world);
    return 0;
}

#define CHECK(world, run, ...)                                                                                 \
    HARNESS_RUN_OURS((world)->harness, run, LIMIT_S, "sluice", "check", "--server", (world)->frontend.address, \
                     __VA_ARGS__)

static void test_sluiced_without_arguments_serves_tenant_demo(void **state) {
    struct world *world = *state;
    struct run run;
    HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluice", "check", "demo", "hello", "alice", "--server",
                     world->unadorned.address);
    assert_string_equal(run.out, "ALLOW  remaining 9/10  reset 200ms  source embedded\n");
    assert_string_equal(run.err, "");
    assert_int_equal(run.exit_code, EXIT_ALLOWED);
}

static void test_check_allows_up_to_the_burst_then_denies(void **state) {
    struct world *world = *state;
    struct run run;
    for (int left = 5; left-- > 0;) {
        char expected[64];
        snprintf(expected, sizeof expected, "ALLOW  remaining %d/5  reset ", left);
        CHECK(world, &run, "t", "five", "bob");
        assert_contains(run.out, expected);
        assert_int_equal(run.exit_code, EXIT_ALLOWED);
    }
    CHECK(world, &run, "t", "five", "bob");
    assert_contains(run.out, "DENY  remaining 0/5  retry after ");
    assert_int_equal(run.exit_code, EXIT_DENIED);
}

static void test_check_tells_the_wait_of_a_queue(void **state) {
    struct world *world = *state;
    struct run run;
    CHECK(world, &run, "t", "queue", "carol");
    assert_null(strstr(run.out, "wait"));
    CHECK(world, &run, "t", "queue", "carol");
    assert_contains(run.out, "  wait ");
    assert_int_equal(run.exit_code, EXIT_ALLOWED);
}

static void test_cost_is_charged(void **state) {
    struct world *world = *state;
    struct run run;
    CHECK(world, &run, "t", "five", "dave", "--cost", "3");
    assert_contains(run.out, "remaining 2/5");
    CHECK(world, &run, "t", "five", "dave", "--cost", "3");
    assert_int_equal(run.exit_code, EXIT_DENIED);
    CHECK(world, &run, "t", "five", "dave", "--cost", "2");
    assert_contains(run.out, "remaining 0/5");
    CHECK(world, &run, "t", "five", "dave", "--cost", "6");
    assert_contains(run.out, "never");
    assert_int_equal(run.exit_code, EXIT_DENIED);
}

static void test_count_sums_up(void **state) {
    struct world *world = *state;
    struct run run;
    CHECK(world, &run, "t", "five", "erin", "--count", "20");
    assert_contains(run.out, "allowed 5  denied 15  errors 0");
    assert_int_equal(run.exit_code, EXIT_DENIED);
}

static void test_unknown_resource_is_allowed_and_says_so(void **state) {
    struct world *world = *state;
    struct run run;
    CHECK(world, &run, "t", "other", "bob");
    assert_string_equal(run.out, "ALLOW  no quota matches\n");
    assert_int_equal(run.exit_code, EXIT_ALLOWED);
}

static void test_unlimited_banned_and_shadow_say_so(void **state) {
    struct world *world = *state;
    struct run run;
    CHECK(world, &run, "t", "free", "bob", "--cost", "1000000000");
    assert_string_equal(run.out, "ALLOW  unlimited\n");
    CHECK(world, &run, "t", "banned", "bob");
    assert_string_equal(run.out, "DENY  banned: the rate is 0\n");
    assert_int_equal(run.exit_code, EXIT_DENIED);
    CHECK(world, &run, "t", "tried", "bob");
    assert_null(strstr(run.out, "would deny"));
    CHECK(world, &run, "t", "tried", "bob");
    assert_contains(run.out, "ALLOW  remaining 0/1  reset ");
    assert_contains(run.out, "  source embedded, would deny (shadow mode)\n");
    assert_int_equal(run.exit_code, EXIT_ALLOWED);
    CHECK(world, &run, "t", "tried", "bob", "--json");
    json_t *object = json_loads(run.out, 0, NULL);
    assert_true(json_is_true(json_object_get(object, "would_deny")));
    json_decref(object);
}

static json_int_t integer_of(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static void test_json_says_the_same(void **state) {
    struct world *world = *state;
    struct run run;
    CHECK(world, &run, "t", "five", "frank", "--json");
    json_t *object = json_loads(run.out, 0, NULL);
    assert_non_null(object);
    assert_string_equal(json_string_value(json_object_get(object, "decision")), "allow");
    assert_string_equal(json_string_value(json_object_get(object, "source")), "embedded");
    assert_true(json_is_false(json_object_get(object, "degraded")));
    assert_string_equal(json_string_value(json_object_get(object, "limit_name")), "per_key");
    assert_int_equal(integer_of(object, "limit"), 5);
    assert_int_equal(integer_of(object, "remaining"), 4);
    assert_int_equal(integer_of(object, "retry_after_us"), 0);
    json_decref(object);
    assert_int_equal(run.exit_code, EXIT_ALLOWED);

    CHECK(world, &run, "t", "five", "frank", "--json", "--count", "9");
    object = json_loads(run.out, 0, NULL);
    assert_non_null(object);
    assert_int_equal(integer_of(object, "allowed"), 4);
    assert_int_equal(integer_of(object, "denied"), 5);
    assert_int_equal(integer_of(object, "errors"), 0);
    json_decref(object);
    assert_int_equal(run.exit_code, EXIT_DENIED);
}

static void test_no_server_is_an_error_that_names_it(void **state) {
    struct world *world = *state;
    struct run run;
    HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluice", "check", "demo", "hello", "alice", "--server",
                     nowhere, "--timeout", "500ms");
    assert_string_equal(run.out, "");
    assert_contains(run.err, nowhere);
    assert_contains(run.err, "UNAVAILABLE");
    assert_int_equal(run.exit_code, EXIT_TROUBLE);
}

#define CHECK_NOWHERE(world, run, ...)                                                                         \
    HARNESS_RUN_OURS((world)->harness, run, LIMIT_S, "sluice", "check", "demo", "hello", "alice", "--server",  \
                     nowhere, __VA_ARGS__)

static void test_without_a_server_the_callers_policy_decides(void **state) {
    struct world *world = *state;
    struct run run;
    CHECK_NOWHERE(world, &run, "--on-failure", "allow");
    assert_string_equal(run.out, "ALLOW  source caller: cannot connect to 127.0.0.1:1: Connection refused\n");
    assert_string_equal(run.err, "");
    assert_int_equal(run.exit_code, EXIT_ALLOWED);

    CHECK_NOWHERE(world, &run, "--on-failure", "deny", "--json");
    json_t *object = json_loads(run.out, 0, NULL);
    assert_non_null(object);
    assert_string_equal(json_string_value(json_object_get(object, "decision")), "deny");
    assert_string_equal(json_string_value(json_object_get(object, "source")), "caller");
    assert_true(json_is_true(json_object_get(object, "degraded")));
    assert_contains(json_string_value(json_object_get(object, "message")), "Connection refused");
    json_decref(object);
    assert_int_equal(run.exit_code, EXIT_DENIED);

    CHECK_NOWHERE(world, &run, "--on-failure", "allow", "--count", "3");
    assert_contains(run.out, "allowed 3  denied 0  errors 0  by --on-failure 3");
    assert_int_equal(run.exit_code, EXIT_ALLOWED);

    CHECK(world, &run, "", "five", "bob", "--on-failure", "allow");
    assert_contains(run.err, "tenant");
    assert_int_equal(run.exit_code, EXIT_TROUBLE);
}

static void test_a_decision_without_the_store_is_shown_as_degraded(void **state) {
    struct world *world = *state;
    struct frontend lonely;
    struct run run;
    FRONTEND_START(world->harness, &lonely, "--redis-nodes", nowhere);
    HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluice", "check", "demo", "hello", "alice", "--timeout",
                     "5s", "--server", lonely.address);
    assert_contains(run.out, "ALLOW  remaining 9/10  reset ");
    assert_contains(run.out, "  source local, degraded\n");
    assert_int_equal(run.exit_code, EXIT_ALLOWED);
    HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluice", "check", "demo", "hello", "alice", "--timeout",
                     "5s", "--server", lonely.address, "--json");
    json_t *object = json_loads(run.out, 0, NULL);
    assert_non_null(object);
    assert_true(json_is_true(json_object_get(object, "degraded")));
    json_decref(object);
    frontend_stop(&lonely);
}

static void test_second_server_answers_when_the_first_is_gone(void **state) {
    struct world *world = *state;
    struct run run;
    HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluice", "check", "demo", "hello", "grace", "--count", "4",
                     "--timeout", "5s", "--server", nowhere, "--server", world->unadorned.address);
    assert_contains(run.out, "allowed 4  denied 0  errors 0");
    assert_int_equal(run.exit_code, EXIT_ALLOWED);
}

static void test_bad_field_is_named(void **state) {
    struct world *world = *state;
    struct run run;
    CHECK(world, &run, "", "five", "bob");
    assert_contains(run.err, "tenant");
    assert_int_equal(run.exit_code, EXIT_TROUBLE);
}

static void test_bad_command_lines_are_explained(void **state) {
    static const char *const bad[][6] = {
        {"check", "only", "two"},
        {"check", "t", "r", "k", "--cost=0"},
        {"check", "t", "r", "k", "--cots=1"},
        {"check", "t", "r", "k", "--timeout=10x"},
        {"check", "t", "r", "k", "--server=nonsense"},
        {"check", "t", "r", "k", "--on-failure=maybe"},
        {"chekc"},
        {"replay"},
        {"simulate"},
    };
    struct world *world = *state;
    char program[HARNESS_PATH_BYTES];
    harness_program("sluice", program);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *argv[8] = {program};
        memcpy(argv + 1, bad[i], sizeof bad[i]);
        struct run run;
        harness_run(world->harness, &run, LIMIT_S, argv);
        assert_string_equal(run.out, "");
        assert_contains(run.err, "sluice");
        assert_int_equal(run.exit_code, EXIT_TROUBLE);
    }
}

static void test_help_and_version_go_to_standard_output(void **state) {
    static const char *const words[][4] = {
        {"sluice", "--help", NULL, "check"},        {"sluice", "check", "--help", "--cost"},
        {"sluice", "replay", "--help", "--speed"},  {"sluice", "simulate", "--help", "--quota"},
        {"sluice", "--version", NULL, "sluice "},   {"sluiced", "--help", NULL, "--redis-nodes"},
        {"sluiced", "--version", NULL, "sluiced "},
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        char program[HARNESS_PATH_BYTES];
        const char *argv[] = {harness_program(words[i][0], program), words[i][1], words[i][2], NULL};
        struct run run;
        harness_run(world->harness, &run, LIMIT_S, argv);
        assert_contains(run.out, words[i][3]);
        assert_string_equal(run.err, "");
        assert_int_equal(run.exit_code, 0);
    }
}

static void test_sluiced_check_accepts_good_files(void **state) {
    struct world *world = *state;
    char path[HARNESS_PATH_BYTES];
    struct run run;
    harness_write(world->harness, "good.yaml", quotas, path);
    HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluiced", "--check", "--quotas", path);
    assert_int_equal(run.exit_code, 0);
    HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluiced", "--check", "--quotas",
                     "deploy/sample/quotas.yaml");
    assert_int_equal(run.exit_code, 0);
}

static void test_sluiced_names_file_line_and_field_of_a_bad_quota(void **state) {
    static const struct {
        const char *text, *where, *field;
    } bad[] = {
        {"tenants:\n  t:\n    r:\n      limits:\n        - rate: 10x\n          burst: 5\n",
         "bad.yaml:5: ", "rate"},
        {"tenants:\n  t:\n    r: { limits: [ { rate: 1/s, burst: -1 } ] }\n", "bad.yaml:3: ", "burst"},
        {"tenants:\n  t:\n    r: { limits: [ { rate: 1/s, busrt: 1 } ] }\n", "bad.yaml:3: ", "busrt"},
        {"tenants:\n  t:\n    r: { limits: [ ] }\n", "bad.yaml:3: ", "limits"},
        {"default: maybe\ntenants: {}\n", "bad.yaml:1: ", "default"},
        {"default: deny\n", "bad.yaml:1: ", "tenants"},
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char path[HARNESS_PATH_BYTES];
        struct run run;
        harness_write(world->harness, "bad.yaml", bad[i].text, path);
        HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluiced", "--check", "--quotas", path);
        assert_contains(run.err, bad[i].where);
        assert_contains(run.err, bad[i].field);
        assert_int_equal(run.exit_code, EXIT_TROUBLE);
        HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluiced", "--listen", "127.0.0.1:0", "--admin-listen",
                         "127.0.0.1:0", "--quotas", path);
        assert_string_equal(run.out, ""); /* it never became ready */
        assert_int_equal(run.exit_code, EXIT_TROUBLE);
    }
}

static void test_sluiced_refuses_bad_options(void **state) {
    struct world *world = *state;
    struct run run;
    HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluiced", "--check", "--store-timeout", "soon");
    assert_contains(run.err, "store");
    assert_int_equal(run.exit_code, EXIT_TROUBLE);
    HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluiced", "--check", "--no-such-option");
    assert_contains(run.err, "no-such-option");
    assert_int_equal(run.exit_code, EXIT_TROUBLE);
    HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluiced", "--check", "--quotas", "/nonexistent.yaml");
    assert_contains(run.err, "/nonexistent.yaml");
    assert_int_equal(run.exit_code, EXIT_TROUBLE);
    HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluiced", "--listen", world->frontend.address,
                     "--admin-listen", "127.0.0.1:0");
    assert_contains(run.err, world->frontend.address);
    assert_int_equal(run.exit_code, EXIT_TROUBLE);
}

static void test_sluiced_reads_a_configuration_file(void **state) {
    struct world *world = *state;
    char path[HARNESS_PATH_BYTES];
    struct run run;
    harness_write(world->harness, "quotas.yaml", quotas, path);
    harness_write(world->harness, "config.yaml", "quotas: quotas.yaml\nstore_timeout: 15ms\n", path);
    HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluiced", "--check", "--config", path);
    assert_string_equal(run.err, "");
    assert_int_equal(run.exit_code, 0);
    harness_write(world->harness, "config.yaml", "quotas: quotas.yaml\nstore_timeout: never\n", path);
    HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluiced", "--check", "--config", path);
    assert_contains(run.err, "config.yaml:2: ");
    assert_contains(run.err, "store_timeout");
    assert_int_equal(run.exit_code, EXIT_TROUBLE);
}

static void test_examples_run(void **state) {
    static const char *const examples[] = {"example_sync", "example_async"};
    struct world *world = *state;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        struct run run;
        HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, examples[i], world->unadorned.address);
        assert_string_equal(run.err, "");
        assert_string_not_equal(run.out, "");
        assert_int_equal(run.exit_code, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sluiced_without_arguments_serves_tenant_demo),
        cmocka_unit_test(test_check_allows_up_to_the_burst_then_denies),
        cmocka_unit_test(test_check_tells_the_wait_of_a_queue),
        cmocka_unit_test(test_cost_is_charged),
        cmocka_unit_test(test_count_sums_up),
        cmocka_unit_test(test_unknown_resource_is_allowed_and_says_so),
        cmocka_unit_test(test_unlimited_banned_and_shadow_say_so),
        cmocka_unit_test(test_json_says_the_same),
        cmocka_unit_test(test_no_server_is_an_error_that_names_it),
        cmocka_unit_test(test_without_a_server_the_callers_policy_decides),
        cmocka_unit_test(test_a_decision_without_the_store_is_shown_as_degraded),
        cmocka_unit_test(test_second_server_answers_when_the_first_is_gone),
        cmocka_unit_test(test_bad_field_is_named),
        cmocka_unit_test(test_bad_command_lines_are_explained),
        cmocka_unit_test(test_help_and_version_go_to_standard_output),
        cmocka_unit_test(test_sluiced_check_accepts_good_files),
        cmocka_unit_test(test_sluiced_names_file_line_and_field_of_a_bad_quota),
        cmocka_unit_test(test_sluiced_refuses_bad_options),
        cmocka_unit_test(test_sluiced_reads_a_configuration_file),
        cmocka_unit_test(test_examples_run),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
