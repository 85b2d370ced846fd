/* test_ctl_live.c — sluicectl against the admin endpoint of a real frontend that has its quotas from a file. */
#include "tests/system/frontend.h"

enum { LIMIT_S = 20, N_HOT_LINES = 300, EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_TROUBLE = 2 };

static const char quotas[] =
    "default: deny\n"
    "\n"
    "tenants:\n"
    "  \"*\":\n"
    "    \"*\": { limits: [ { algorithm: leaky_bucket, rate: 5000/min, burst: 50 } ] }\n"
    "  acme:\n"
    "    \"api.*\": { unlimited: true }\n"
    "    api.read: { limits: [ { name: second, rate: 100/s, burst: 200 } ], mode: shadow }\n"
    "    banned: { limits: [ { rate: 0/s, burst: 1 } ] }\n"
    "    \"caf\u00e9 & co\": { limits: [ { rate: 1/s, burst: 1 } ], on_store_failure: deny }\n";

struct world {
    struct harness *harness;
    struct frontend frontend;
    char admin[32], file[HARNESS_PATH_BYTES], viewer[HARNESS_PATH_BYTES], operator[HARNESS_PATH_BYTES];
    struct run run;
};

/* Makes a token, keeps it in a file, and adds its line to those of the tokens file. */
static void make_token(struct world *world, const char *name, const char *role, char path[HARNESS_PATH_BYTES],
                       FILE *tokens) {
    char token[128];
    HARNESS_RUN_OURS(world->harness, &world->run, LIMIT_S, "sluicectl", "token", name, "--role", role);
    const char *at = strstr(world->run.out, "\n\n");
    assert_non_null(at);
    snprintf(token, sizeof token, "%.*s\n", (int)strcspn(at + 2, "\n"), at + 2);
    harness_write(world->harness, name, token, path);
    at = strstr(world->run.out, "\n- { ");
    assert_non_null(at);
    fputs(at + 1, tokens);
}

static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    char tokens_path[HARNESS_PATH_BYTES];
    assert_non_null(world);
    *state = world;
    world->harness = harness_open();
    setenv("HOME", world->harness->dir, 1);
    harness_write(world->harness, "quotas.yaml", quotas, world->file);
    FILE *tokens = fopen(harness_path(world->harness, "tokens.yaml", tokens_path), "w");
    assert_non_null(tokens);
    make_token(world, "vera", "viewer", world->viewer, tokens);
    make_token(world, "otto", "operator", world->operator, tokens);
    assert_int_equal(fclose(tokens), 0);
    FRONTEND_START(world->harness, &world->frontend, "--quotas", world->file, "--admin-tokens", tokens_path);
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

#define CTL(world, token_file, ...)                                                                            \
    HARNESS_RUN_OURS((world)->harness, &(world)->run, LIMIT_S, "sluicectl", __VA_ARGS__, "--admin",            \
                     (world)->admin, "--token-file", token_file)

static void assert_run(const struct world *world, int code, const char *out_part, const char *err_part) {
    if (world->run.exit_code != code) {
        fail_msg("exit code %d, out: %s, err: %s", world->run.exit_code, world->run.out, world->run.err);
    }
    assert_contains(world->run.out, out_part);
    assert_contains(world->run.err, err_part);
}

static void test_what_is_exported_is_the_file(void **state) {
    struct world *world = *state;
    CTL(world, world->viewer, "export");
    assert_int_equal(world->run.exit_code, EXIT_DONE);
    assert_string_equal(world->run.out, quotas);
    CTL(world, world->viewer, "diff", world->file, "--replace");
    assert_run(world, EXIT_DONE, "0 to add, 0 to change, 0 to remove, 5 to keep\n", "");
}

static void test_a_list_in_json_is_a_file_too(void **state) {
    struct world *world = *state;
    char path[HARNESS_PATH_BYTES];
    CTL(world, world->viewer, "quota", "list", "--json");
    assert_int_equal(world->run.exit_code, EXIT_DONE);
    harness_write(world->harness, "list.json", world->run.out, path);
    CTL(world, world->viewer, "diff", path, "--replace");
    assert_run(world, EXIT_DONE, "0 to add, 0 to change, 0 to remove, 5 to keep\n", "");
}

static void test_quotas_of_any_name_are_found(void **state) {
    struct world *world = *state;
    CTL(world, world->viewer, "quota", "get", "acme", "caf\u00e9 & co");
    assert_run(world, EXIT_DONE, "acme caf\u00e9 & co: 1/s burst 1; on store failure deny (revision 0)\n", "");
    CTL(world, world->viewer, "quota", "get", "*", "*");
    assert_run(world, EXIT_DONE, "* *: leaky_bucket 5000/min burst 50 (revision 0)\n", "");
    CTL(world, world->viewer, "quota", "get", "acme", "api.write");
    assert_run(world, EXIT_REFUSED, "", "refused (404): there is no quota");
    CTL(world, world->viewer, "quota", "list", "--tenant", "acme", "--prefix", "api.");
    assert_run(world, EXIT_DONE, "\n2 quotas, revision 0; what no quota matches: deny\n", "");
}

static void test_roles_are_kept_apart(void **state) {
    struct world *world = *state;
    char path[HARNESS_PATH_BYTES];
    CTL(world, world->viewer, "quota", "set", "acme", "r", "--rate", "1/s");
    assert_run(world, EXIT_REFUSED, "", "not allowed: ");
    CTL(world, harness_write(world->harness, "wrong", "0123456789\n", path), "status");
    assert_run(world, EXIT_REFUSED, "", "refuses this token; set one by --token-file");
    HARNESS_RUN_OURS(world->harness, &world->run, LIMIT_S, "sluicectl", "status", "--admin", world->admin);
    assert_run(world, EXIT_REFUSED, "", "refuses callers without a token; set one by --token-file");
}

static void test_without_redis_nothing_can_be_changed(void **state) {
    struct world *world = *state;
    static const char reason[] = "cannot do it now (503): quotas come from the file alone";
    CTL(world, world->operator, "quota", "set", "acme", "r", "--rate", "1/s");
    assert_run(world, EXIT_TROUBLE, "", reason);
    CTL(world, world->operator, "quota", "delete", "acme", "banned");
    assert_run(world, EXIT_TROUBLE, "", reason);
    CTL(world, world->operator, "apply",
        harness_write(world->harness, "q.yaml", "tenants: {}\n", (char[HARNESS_PATH_BYTES]){0}), "--replace",
        "--yes");
    assert_run(world, EXIT_TROUBLE, "- acme banned: 0/s burst 1 (ban)\n", reason);
}

static void test_bad_values_are_refused_with_their_field(void **state) {
    struct world *world = *state;
    static const struct {
        const char *rate, *reason;
    } cases[] = {
        {"10x", "refused (400): limits[0].rate: '10x'"},
        {"-1/s", "refused (400): limits[0].rate: '-1/s'"},
        {"010/s", "refused (400): limits[0].rate: '010/s'"},
        {"10000001/s", "refused (400): limits[0].rate: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CTL(world, world->operator, "quota", "set", "acme", "r", "--rate", cases[i].rate);
        assert_run(world, EXIT_REFUSED, "", cases[i].reason);
    }
    CTL(world, world->operator, "quota", "set", "acme", "r", "--rate", "1/s", "--mode", "maybe");
    assert_run(world, EXIT_REFUSED, "", "refused (400): mode: 'maybe'");
    CTL(world, world->operator, "quota", "set", "acme", "a*b", "--unlimited");
    assert_run(world, EXIT_REFUSED, "", "refused (400): ");
}

static void test_the_fleet_is_one(void **state) {
    struct world *world = *state;
    CTL(world, world->viewer, "status");
    assert_run(world, EXIT_DONE, "frontends  1\nin force   everywhere\n", "");
    CTL(world, world->viewer, "frontends");
    assert_run(world, EXIT_DONE, world->frontend.address, "");
    CTL(world, world->viewer, "hot");
    assert_run(world, EXIT_DONE, "no key is checked often enough to be measured\n", "");
}

/* Rates are of the last second or two, so a machine that was busy meanwhile gets another try. */
static void test_a_key_checked_often_is_listed(void **state) {
    struct world *world = *state;
    static const char line[] = "192.0.2.77 - - [01/Mar/2024:08:00:00 +0000] \"GET / HTTP/1.1\" 200 512\n";
    char log[N_HOT_LINES * sizeof line] = "", path[HARNESS_PATH_BYTES];
    for (size_t i = 0; i < N_HOT_LINES; i++) {
        memcpy(log + i * (sizeof line - 1), line, sizeof line);
    }
    harness_write(world->harness, "hot.log", log, path);
    int64_t until_us = harness_now_us() + LIMIT_S * INT64_C(1000000);
    do {
        assert_true(harness_now_us() < until_us);
        HARNESS_RUN_OURS(world->harness, &world->run, LIMIT_S, "sluice", "replay", path, "--tenant", "acme",
                         "--resource", "hot", "--speed", "0", "--server", world->frontend.address);
        assert_int_equal(world->run.exit_code, EXIT_DONE);
        CTL(world, world->viewer, "hot", "--limit", "1");
    } while (strstr(world->run.out, "192.0.2.77") == NULL);
    assert_run(world, EXIT_DONE, "TENANT  RESOURCE  KEY         HOT", "");
    assert_contains(world->run.out, "\nacme    hot       192.0.2.77  ");
    assert_contains(world->run.out, "embedded ");
}

static void test_shadow_report_counts_what_passed(void **state) {
    struct world *world = *state;
    HARNESS_RUN_OURS(world->harness, &world->run, LIMIT_S, "sluice", "check", "acme", "api.read", "k", "--cost",
                     "200", "--server", world->frontend.address);
    assert_int_equal(world->run.exit_code, EXIT_DONE);
    HARNESS_RUN_OURS(world->harness, &world->run, LIMIT_S, "sluice", "check", "acme", "api.read", "k", "--cost",
                     "200", "--server", world->frontend.address);
    assert_int_equal(world->run.exit_code, EXIT_DONE);
    CTL(world, world->viewer, "quota", "shadow-report");
    assert_run(world, EXIT_DONE,
               "TENANT  RESOURCE  ALLOWED  WOULD DENY  SHARE\n"
               "acme    api.read  1        1           50.0%\n",
               "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_exported_is_the_file),
        cmocka_unit_test(test_a_list_in_json_is_a_file_too),
        cmocka_unit_test(test_quotas_of_any_name_are_found),
        cmocka_unit_test(test_roles_are_kept_apart),
        cmocka_unit_test(test_without_redis_nothing_can_be_changed),
        cmocka_unit_test(test_bad_values_are_refused_with_their_field),
        cmocka_unit_test(test_the_fleet_is_one),
        cmocka_unit_test(test_shadow_report_counts_what_passed),
        cmocka_unit_test(test_a_key_checked_often_is_listed),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
