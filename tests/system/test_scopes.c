/* test_scopes.c — limits of a key, a resource and a tenant on three frontends, their buckets on different shards of a
 * real cluster: none has too much in any window, a denial takes from none, and a wide one is filled by its name. */
#include "server/core/slot.h"
#include "server/store/store_key.h"
#include "tests/chaos/load.h"
#include "tests/system/admin_client.h"
#include "tests/system/cluster.h"
#include "tests/system/raw_client.h"

enum {
    RUN_MS = 4000,
    AWAIT_MS = 6000,
    NAME_BYTES = 16,
    WIDER_BYTES = 256,
    ALL_RATE = 300,
    ALL_BURST = 60,
    CONTRACT_RATE = 400,
    CONTRACT_BURST = 100,
    SERVED_PERCENT = 95,
    SLOW_USER_BURST = 5, /* of limits that gain next to nothing */
    SLOW_TREATY_BURST = 30,
    POOL_BURST = 100,
    POOL_BATCHES = 20,
    POOL_COST = 40,
};

struct world {
    struct harness *harness;
    struct cluster cluster;
    struct frontend frontends[LOAD_FRONTENDS];
    char contract[NAME_BYTES], all[NAME_BYTES]; /* limits of the busy quotas */
    char wider[2][WIDER_BYTES];
    struct load_class classes[3];
};

static struct bytes bytes_of(const char *text) {
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

/* ---- the world ---- */

/* A name with this beginning, of a limit whose bucket is on the shard. */
static void name_on_shard(enum bucket_scope scope, const char *resource, const char *beginning, unsigned shard,
                          char name[NAME_BYTES]) {
    uint8_t key[STORE_KEY_MAX_BYTES];
    unsigned slot, number = 0;
    do {
        snprintf(name, NAME_BYTES, "%s%u", beginning, number++);
        struct bucket_name bucket =
            bucket_name_of(scope, bytes_of(LOAD_TENANT), bytes_of(resource), bytes_of(name));
        slot = slot_of_key((struct bytes){key, store_key_write(&bucket, key, sizeof key)});
    } while (slot < SLOT_COUNT * shard / LOAD_SHARDS || slot >= SLOT_COUNT * (shard + 1) / LOAD_SHARDS);
}

/* Users of the first resource are on all shards, what they share on the second and the third. */
static void plan_load(struct world *world) {
    name_on_shard(BUCKET_PER_TENANT, "", "contract", 1, world->contract);
    name_on_shard(BUCKET_PER_RESOURCE, "busy", "all", 2, world->all);
    snprintf(world->wider[1], WIDER_BYTES, "{ name: %s, scope: tenant, rate: %d/s, burst: %d }",
             world->contract, CONTRACT_RATE, CONTRACT_BURST);
    snprintf(world->wider[0], WIDER_BYTES, "{ name: %s, scope: resource, rate: %d/s, burst: %d }, %.120s",
             world->all, ALL_RATE, ALL_BURST, world->wider[1]);
    world->classes[0] = (struct load_class){.resource = "busy",
                                            .n_keys = 12,
                                            .checks_per_s = 1200,
                                            .rate_per_s = 30,
                                            .burst = 10,
                                            .wider = world->wider[0]};
    world->classes[1] = (struct load_class){.resource = "other",
                                            .n_keys = 6,
                                            .checks_per_s = 600,
                                            .rate_per_s = 40,
                                            .burst = 10,
                                            .wider = world->wider[1]};
}

static void write_quotas(const struct world *world, char path[HARNESS_PATH_BYTES]) {
    char quotas[2048];
    load_write_quotas(world->classes, quotas, sizeof quotas);
    size_t n = strlen(quotas);
    snprintf(quotas + n, sizeof quotas - n,
             "    slow: { limits: [ { name: user, rate: 1/month, burst: %d },\n"
             "      { name: treaty, scope: tenant, rate: 1/month, burst: %d } ] }\n"
             "    pool: { limits: [ { name: pool, scope: resource, rate: 1/month, burst: %d } ] }\n"
             "    banned: { limits: [ { rate: 0, burst: 1 } ] }\n",
             SLOW_USER_BURST, SLOW_TREATY_BURST, POOL_BURST);
    harness_write(world->harness, "quotas.yaml", quotas, path);
}

static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    char path[HARNESS_PATH_BYTES];
    assert_non_null(world);
    *state = world;
    world->harness = harness_open();
    cluster_start(world->harness, &world->cluster);
    plan_load(world);
    write_quotas(world, path);
    for (size_t i = 0; i < LOAD_FRONTENDS; i++) {
        FRONTEND_START(world->harness, &world->frontends[i], "--quotas", path, "--redis-nodes",
                       world->cluster.nodes, "--workers", "2");
    }
    for (size_t i = 0; i < LOAD_FRONTENDS; i++) {
        frontend_await_status(&world->frontends[i], "/readyz", 200);
        frontend_await_metric(&world->frontends[i], "sluice_fleet_size", LOAD_FRONTENDS);
    }
    return 0;
}

static int close_world(void **state) {
    struct world *world = *state;
    frontend_stop_all(world->frontends, LOAD_FRONTENDS);
    harness_close(&world->harness);
    free(world);
    return 0;
}

/* ---- under load ---- */

/* What keys that share a limit were given. Returns the part of it that was due, in percent. */
static double expect_bound(const struct load *load, const char *what, const bool keys[], double rate,
                           double burst) {
    size_t n, n_admitted = 0;
    const struct record *records = load_records(load, &n);
    struct pace pace = {.rate_per_s = rate};
    double worst = worst_shared_burst(records, n, keys, &pace);
    for (size_t i = 0; i < n; i++) {
        n_admitted += keys[records[i].key] && record_is_admitted(&records[i]);
    }
    double due = burst + pace_tokens(&pace, records[0].sent_at_us, records[n - 1].sent_at_us);
    print_message("%-14s %5zu admitted, %7.1f at most  worst window %5.1f of %3.0f\n", what, n_admitted, due,
                  worst, burst);
    if (worst > burst + 1e-6) {
        fail_msg("%s: %.2f tokens beyond its rate in some window, at most %.0f may be", what, worst, burst);
    }
    return 100. * (double)n_admitted / due;
}

static void expect_users_bounds(const struct load *load) {
    for (size_t i = 0; i < load->n_keys; i++) {
        bool keys[LOAD_MAX_KEYS] = {false};
        keys[i] = true;
        const struct load_class *class = load->keys[i].class;
        expect_bound(load, load->keys[i].name, keys, class->rate_per_s, class->burst);
    }
}

static void test_no_limit_of_any_scope_is_exceeded(void **state) {
    struct world *world = *state;
    struct load load;
    struct tally tally;
    load_start(world->harness, &load, world->classes, world->frontends, (struct load_senders){.n_conns = 24});
    harness_sleep_ms(RUN_MS);
    load_stop(&load);
    size_t n;
    const struct record *records = load_records(&load, &n);
    assert_true(tally_part(records, n, (struct part){0, INT64_MAX, NULL}, &tally));
    assert_int_equal(tally.n_unanswered + tally.n_undecided + tally.n_local, 0);
    bool busy[LOAD_MAX_KEYS] = {false}, both[LOAD_MAX_KEYS] = {false};
    for (size_t i = 0; i < load.n_keys; i++) {
        busy[i] = load.keys[i].class == &world->classes[0];
        both[i] = true;
    }
    expect_users_bounds(&load);
    expect_bound(&load, world->all, busy, ALL_RATE, ALL_BURST);
    double served = expect_bound(&load, world->contract, both, CONTRACT_RATE, CONTRACT_BURST);
    assert_true(served >= SERVED_PERCENT);
    load_close(&load);
}

/* ---- one check after the other ---- */

static void await_level(const struct frontend *frontend, const char *key, const char *limit, double level) {
    char bucket[64];
    snprintf(bucket, sizeof bucket, LOAD_TENANT "/buckets/slow/%s", key);
    frontend_await_level(frontend, bucket, limit, level);
}

/* Asks each frontend in turn. Returns how many were allowed. */
static unsigned ask(struct raw_client *const raws[LOAD_FRONTENDS], const char *key, unsigned n_checks) {
    unsigned n_allowed = 0;
    for (unsigned i = 0; i < n_checks; i++) {
        const struct wire_decision *decision =
            raw_decide(raws[i % LOAD_FRONTENDS], raw_check_of(LOAD_TENANT, "slow", key));
        n_allowed += decision->verdict == WIRE_ALLOW;
    }
    return n_allowed;
}

/* A frontend is denied what another has on lease, for a moment: so they are asked until it is all gone. */
static void use_up(struct raw_client *const raws[LOAD_FRONTENDS], unsigned n_left) {
    int64_t deadline_us = harness_now_us() + AWAIT_MS * INT64_C(1000);
    unsigned n_allowed = 0;
    while (n_allowed < n_left) {
        assert_true(harness_now_us() < deadline_us);
        for (unsigned key = 1; key < 12; key++) {
            char name[8];
            snprintf(name, sizeof name, "k%u", key);
            n_allowed += ask(raws, name, 3);
        }
        harness_sleep_ms(20);
    }
    assert_int_equal(n_allowed, n_left);
}

static void test_a_denial_takes_from_none_and_a_reset_fills_one(void **state) {
    struct world *world = *state;
    struct raw_client *raws[LOAD_FRONTENDS];
    for (size_t i = 0; i < LOAD_FRONTENDS; i++) {
        raws[i] = raw_open(&world->frontends[i]);
    }
    assert_int_equal(ask(raws, "k0", 20), SLOW_USER_BURST);
    await_level(&world->frontends[1], "k0", "user", 0);
    await_level(&world->frontends[1], "k0", "treaty", SLOW_TREATY_BURST - SLOW_USER_BURST);
    use_up(raws, SLOW_TREATY_BURST - SLOW_USER_BURST);
    assert_int_equal(ask(raws, "new", 9), 0);
    await_level(&world->frontends[2], "new", "user", SLOW_USER_BURST);

    struct admin_client *admin = admin_open(&world->frontends[0], NULL);
    admin_expect(admin, "POST", "/v1/tenants/" LOAD_TENANT "/buckets/slow/new:reset?limit_name=treaty", NULL,
                 200, "{\"reset\":true}");
    admin_expect(admin, "GET", "/v1/changes?limit=1000", NULL, 200,
                 "\"scope\":\"tenant\",\"limit\":\"treaty\"");
    admin_close(&admin);
    harness_sleep_ms(200); /* every frontend hears of it, and forgets its denials */
    for (size_t i = 0; i < LOAD_FRONTENDS; i++) {
        char key[8];
        snprintf(key, sizeof key, "r%zu", i);
        const struct wire_decision *decision = raw_decide(raws[i], raw_check_of(LOAD_TENANT, "slow", key));
        assert_int_equal(decision->verdict, WIRE_ALLOW);
    }
    await_level(&world->frontends[0], "k0", "treaty", SLOW_TREATY_BURST - LOAD_FRONTENDS);
    await_level(&world->frontends[0], "k0", "user", 0);
    for (size_t i = 0; i < LOAD_FRONTENDS; i++) {
        raw_close(&raws[i]);
    }
}

/* What a shared limit gives comes out of a lease, be it one that was waited for, and is all back there. */
static void test_a_denied_batch_takes_nothing_of_what_is_shared(void **state) {
    struct world *world = *state;
    for (size_t i = 0; i < POOL_BATCHES; i++) {
        struct raw_client *raw = raw_open(&world->frontends[i % LOAD_FRONTENDS]);
        raw->request = (struct wire_request){
            .id = i, .call = WIRE_CALL_CHECK_BATCH, .all_or_nothing = true, .n_checks = 2};
        raw->request.checks[0] = raw_check_of(LOAD_TENANT, "pool", "alice");
        raw->request.checks[0].cost = POOL_COST;
        raw->request.checks[1] = raw_check_of(LOAD_TENANT, "banned", "alice");
        raw_send(raw, &raw->request);
        const struct wire_response *response = raw_receive(raw);
        assert_int_equal(response->n_items, 2);
        assert_false(response->granted);
        assert_int_equal(response->items[0].decision.verdict, WIRE_DENY);
        assert_int_equal(response->items[0].decision.granted, 0);
        raw_close(&raw);
    }
    frontend_await_level(&world->frontends[0], LOAD_TENANT "/buckets/pool/alice", "pool", POOL_BURST);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_limit_of_any_scope_is_exceeded),
        cmocka_unit_test(test_a_denial_takes_from_none_and_a_reset_fills_one),
        cmocka_unit_test(test_a_denied_batch_takes_nothing_of_what_is_shared),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
