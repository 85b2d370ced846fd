/* test_simulate.c — a quota from a frontend or a file, tried on a log beside a changed one. */
#include "tests/system/frontend.h"

#include <jansson.h>

enum { LIMIT_S = 60 };

static const char quotas[] = "tenants:\n"
                             "  t:\n"
                             "    five: { limits: [ { rate: 1/h, burst: 5 } ] }\n"
                             "    pair: { limits: [ { name: a, rate: 1/h, burst: 5 },\n"
                             "                      { name: b, rate: 1/h, burst: 50 } ] }\n"
                             "    free: { unlimited: true }\n"
                             "    banned: { limits: [ { rate: 0 } ] }\n";

/* of "simulate-secret" */
static const char tokens[] = "- { name: reader, role: viewer, sha256: "
                             "83136b3ef5ea8a90fc50fb006a16020b52924245ac693cb2d32c17d5129cf320 }\n";

struct world {
    struct harness *harness;
    struct frontend frontend;
    char quotas_path[HARNESS_PATH_BYTES], tokens_path[HARNESS_PATH_BYTES], log_path[HARNESS_PATH_BYTES];
    char token_flag[HARNESS_PATH_BYTES + 16], server_flag[64];
};

/* 10.0.0.1 asks eight times, 10.0.0.2 four times, 10.0.0.3 twice. */
static void write_log(struct world *world) {
    static const int n_requests[] = {8, 4, 2};
    char text[4096];
    size_t n = 0;
    for (size_t host = 0; host < 3; host++) {
        for (int i = 0; i < n_requests[host]; i++) {
            n += (size_t)snprintf(text + n, sizeof text - n,
                                  "10.0.0.%zu - - [10/Oct/2000:13:55:3%d -0700] \"GET / HTTP/1.0\" 200 1\n",
                                  host + 1, i);
        }
    }
    harness_write(world->harness, "access.log", text, world->log_path);
}

static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    char path[HARNESS_PATH_BYTES];
    assert_non_null(world);
    *state = world;
    world->harness = harness_open();
    harness_write(world->harness, "quotas.yaml", quotas, world->quotas_path);
    harness_write(world->harness, "tokens.yaml", tokens, world->tokens_path);
    harness_write(world->harness, "token", "simulate-secret\n", path);
    write_log(world);
    FRONTEND_START(world->harness, &world->frontend, "--quotas", world->quotas_path, "--admin-tokens",
                   world->tokens_path);
    snprintf(world->token_flag, sizeof world->token_flag, "--token-file=%s", path);
    snprintf(world->server_flag, sizeof world->server_flag, "--from-server=127.0.0.1:%u",
             (unsigned)world->frontend.admin_port);
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

/* Runs with --json, tenant and resource; the exit code must be 0. */
#define SIMULATE(world, resource, ...)                                                                         \
    simulate(world, (const char *const[]){harness_program("sluice", (char[HARNESS_PATH_BYTES]){0}),            \
                                          "simulate", (world)->log_path, "--tenant", "t", "--json",            \
                                          "--resource", resource, __VA_ARGS__, NULL})
static json_t *simulate(struct world *world, const char *const argv[]) {
    struct run run;
    harness_run(world->harness, &run, LIMIT_S, argv);
    assert_string_equal(run.err, "");
    assert_int_equal(run.exit_code, 0);
    json_t *object = json_loads(run.out, 0, NULL);
    assert_non_null(object);
    return object;
}

static void assert_address(const json_t *list, const char *address, json_int_t n_denied) {
    assert_int_equal(json_array_size(list), 1);
    const json_t *row = json_array_get(list, 0);
    assert_string_equal(json_string_value(json_object_get(row, "address")), address);
    assert_int_equal(integer_of(row, "denied"), n_denied);
}

/* With burst 3 the first address loses two more, and the second one request for the first time. */
static void assert_three_instead_of_five(const json_t *object) {
    const json_t *changed = json_object_get(object, "changed");
    assert_int_equal(integer_of(object, "denied"), 3);
    assert_int_equal(integer_of(changed, "denied"), 5 + 1);
    assert_int_equal(integer_of(changed, "denied_more"), 3);
    assert_int_equal(integer_of(changed, "addresses_newly_denied"), 1);
    assert_int_equal(integer_of(changed, "addresses_newly_allowed"), 0);
    assert_address(json_object_get(changed, "newly_denied"), "10.0.0.2", 1);
    assert_int_equal(json_array_size(json_object_get(changed, "newly_allowed")), 0);
}

static void test_the_quota_in_force_is_a_frontends(void **state) {
    struct world *world = *state;
    json_t *from_server = SIMULATE(world, "five", world->server_flag, world->token_flag);
    json_t *from_file = SIMULATE(world, "five", "--quota", world->quotas_path);
    assert_int_equal(integer_of(from_server, "denied"), 3);
    assert_null(json_object_get(from_server, "changed"));
    assert_true(json_equal(from_server, from_file));
    json_decref(from_server);
    json_decref(from_file);
}

static void test_a_smaller_burst_denies_an_address_newly(void **state) {
    struct world *world = *state;
    json_t *from_server = SIMULATE(world, "five", world->server_flag, world->token_flag, "--burst", "3");
    json_t *from_file = SIMULATE(world, "five", "--quota", world->quotas_path, "--burst", "3");
    assert_three_instead_of_five(from_server);
    assert_true(json_equal(from_server, from_file));
    json_decref(from_server);
    json_decref(from_file);
}

/* A token a second is enough for all of them. */
static void test_a_higher_rate_denies_fewer(void **state) {
    struct world *world = *state;
    json_t *object =
        SIMULATE(world, "pair", world->server_flag, world->token_flag, "--limit", "a", "--rate", "1/s");
    const json_t *changed = json_object_get(object, "changed");
    assert_int_equal(integer_of(object, "denied"), 3);
    assert_int_equal(integer_of(changed, "denied"), 0);
    assert_int_equal(integer_of(changed, "denied_more"), -3);
    assert_address(json_object_get(changed, "newly_allowed"), "10.0.0.1", 3);
    json_decref(object);
}

static void test_the_table_ends_with_the_difference(void **state) {
    static const char expected[] = "changed to     t five: token_bucket (1 per 1h, burst 3)\n"
                                   "denied then    6 (42.9%), 3 more\n"
                                   "newly denied   1 (addresses denied then, never before)\n"
                                   "newly allowed  0 (addresses denied before, never then)\n"
                                   "\n"
                                   "    denied  newly denied addresses (denied then)\n"
                                   "         1  10.0.0.2\n";
    struct world *world = *state;
    struct run run;
    HARNESS_RUN_OURS(world->harness, &run, LIMIT_S, "sluice", "simulate", world->log_path, "--quota",
                     world->quotas_path, "--tenant", "t", "--resource", "five", "--burst", "3");
    assert_int_equal(run.exit_code, 0);
    assert_contains(run.out, "judged as      t five: token_bucket (1 per 1h, burst 5)\n");
    assert_contains(run.out, expected);
}

static void assert_refused(struct world *world, const char *resource, const char *const flags[4],
                           const char *reason) {
    const char *argv[13] = {harness_program("sluice", (char[HARNESS_PATH_BYTES]){0}),
                            "simulate",
                            world->log_path,
                            "--tenant",
                            "t",
                            "--resource",
                            resource};
    struct run run;
    for (size_t i = 0; i < 4; i++) {
        argv[7 + i] = flags[i];
    }
    harness_run(world->harness, &run, LIMIT_S, argv);
    assert_contains(run.err, reason);
    assert_string_equal(run.out, "");
    assert_int_equal(run.exit_code, 2);
}

static void test_nonsense_is_refused(void **state) {
    struct world *world = *state;
    const char *server = world->server_flag, *token = world->token_flag;
    const struct {
        const char *resource, *flags[4], *reason;
    } cases[] = {
        {"five", {"--rate", "1/s"}, "--quota FILE or --from-server is missing"},
        {"five", {"--quota", world->quotas_path, server}, "--quota and --from-server do not go together"},
        {"five", {"--quota", world->quotas_path, token}, "--token-file means nothing without --from-server"},
        {"five", {server, token, "--limit=x"}, "--limit says what --rate or --burst change"},
        {"five", {server, token, "--limit=x", "--rate=1/s"}, "the quota has no limit 'x'; it has token_bucket"},
        {"pair", {server, token, "--rate=1/s"}, "say by --limit which one changes: a, b"},
        {"free", {server, token, "--rate=1/s"}, "t free: the quota is unlimited"},
        {"banned", {server, token, "--burst=9"}, "t banned: the quota is a ban"},
        {"nowhere", {server, token}, "has no quota t nowhere"},
        {"five", {server}, "refuses callers without a token"},
        {"five", {"--from-server=127.0.0.1:1", token}, "is sluiced running"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_refused(world, cases[i].resource, cases[i].flags, cases[i].reason);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_quota_in_force_is_a_frontends),
        cmocka_unit_test(test_a_smaller_burst_denies_an_address_newly),
        cmocka_unit_test(test_a_higher_rate_denies_fewer),
        cmocka_unit_test(test_the_table_ends_with_the_difference),
        cmocka_unit_test(test_nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
