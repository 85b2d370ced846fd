/* test_hierarchy_property.c — limits of a key, a resource, a tenant and everybody, checked by several workers over one
 * store in virtual time, against an exact model of each bucket.
 *
 * A failure names the seed and the run; SLUICE_SEED=<seed> runs it again. */
#include "tests/support/test_prelude.h"

#include <inttypes.h>

#include "server/base/hash.h"
#include "server/limit/limiter.h"
#include "server/quota/registry.h"
#include "tests/property/trace.h"
#include "tests/support/model_store.h"

#define START_US INT64_C(1000000000)

enum {
    N_RUNS = 40,
    RUN_US = 2500 * 1000,
    TICK_US = 1000,
    QUIET_US = 3 * 1000 * 1000,
    MAX_WORKERS = 4,
    N_TENANTS = 4, /* two with quotas of their own, two that have everybody's */
    N_RESOURCES = 2,
    N_KEYS = 6,
    MAX_CHECKS = 40 * 1000,
    MAX_COST = 4,
    QUOTAS_BYTES = 4096,
};

static const char *const tenants[N_TENANTS] = {"a", "b", "c", "d"};
static const char *const resources[N_RESOURCES] = {"r", "s"};
static const char *const keys[N_KEYS] = {"k0", "k1", "k2", "k3", "k4", "k5"};

struct world;

/* One check, and what came of it; later perhaps its refund. */
struct check {
    struct world *world;
    struct limiter_call call;
    uint32_t worker;
    uint8_t tenant, resource, key;
    int64_t cost, refunded;
    int64_t asked_at_us, done_at_us; /* 0: not yet */
    int64_t refund_asked_at_us, refund_done_at_us;
    bool is_allowed, is_busy;
};

struct worker {
    struct model_store store;
    struct hotkeys *hotkeys;
    struct limiter_metrics metrics;
    struct limiter *limiter;
    bool is_dead; /* asks no more, and gives nothing back */
};

struct world {
    uint64_t number;
    struct trace random;
    struct quota_set *quotas;
    struct model_truth *truth;
    uint32_t n_workers;
    struct worker workers[MAX_WORKERS];
    int64_t now_us, next_tick_us;
    size_t n_checks, n_denied_by[BUCKET_GLOBAL + 1];
    struct check *checks; /* MAX_CHECKS */
    size_t n_asked, n_done;
    struct check **refunds_asked, **refunds_done; /* MAX_CHECKS each, in the order of that */
};

static struct bytes text(const char *string) {
    return (struct bytes){.data = (const uint8_t *)string, .len = strlen(string)};
}

static int64_t between(struct world *world, int64_t least, int64_t most) {
    return least + (int64_t)trace_random(&world->random, (uint64_t)(most - least + 1));
}

#define FAIL(world, ...)                                                                                       \
    do {                                                                                                       \
        print_error("run %" PRIu64 " (seed %" PRIu64 "): ", (world)->number, trace_seed());                    \
        fail_msg(__VA_ARGS__);                                                                                 \
    } while (0)

/* ---- the world ---- */

/* The period in which the rates of a world are counted: "s", or "month", in which nothing comes back for our while. */
static size_t write_limit(struct world *world, const char *name, const char *scope, int64_t most_rate,
                          int64_t most_burst, const char *period, char *out, size_t cap) {
    int64_t rate = strcmp(period, "s") == 0 ? between(world, most_rate / 20 + 1, most_rate) : 1;
    return (size_t)snprintf(out, cap, "{name: %s, scope: %s, rate: %" PRId64 "/%s, burst: %" PRId64 "}, ", name,
                            scope, rate, period, between(world, MAX_COST, most_burst));
}

static size_t write_quota(struct world *world, bool is_everybodys, const char *period, const char *tenant_limit,
                          char *out, size_t cap) {
    size_t n = (size_t)snprintf(out, cap, "{limits: [");
    n += write_limit(world, "user", "key", 300, 60, period, out + n, cap - n);
    n += write_limit(world, "all", "resource", 1000, 400, period, out + n, cap - n);
    n += (size_t)snprintf(out + n, cap - n, "%s", tenant_limit);
    if (is_everybodys) {
        n += write_limit(world, "site", "global", 2000, 1500, period, out + n, cap - n);
    }
    return n + (size_t)snprintf(out + n, cap - n, "]}");
}

static struct quota_set *make_quotas(struct world *world, const char *period) {
    char out[QUOTAS_BYTES], contract[128];
    struct status status = {""};
    size_t n = (size_t)snprintf(out, sizeof out, "tenants: {");
    static const char *const owners[] = {"a", "b", "'*'"};
    for (size_t i = 0; i < sizeof owners / sizeof owners[0]; i++) {
        write_limit(world, "contract", "tenant", 1500, 800, period, contract, sizeof contract);
        n += (size_t)snprintf(out + n, sizeof out - n, "%s: {", owners[i]);
        for (size_t j = 0; j < N_RESOURCES; j++) {
            n += (size_t)snprintf(out + n, sizeof out - n, "%s: ", resources[j]);
            n += write_quota(world, i == 2 && j == 0, period, contract, out + n, sizeof out - n);
            n += (size_t)snprintf(out + n, sizeof out - n, ", ");
        }
        n += (size_t)snprintf(out + n, sizeof out - n, "}, ");
    }
    n += (size_t)snprintf(out + n, sizeof out - n, "}");
    struct quota_set *set = registry_load_text("quotas", out, n, &status);
    if (set == NULL) {
        FAIL(world, "%s in %s", status.text, out);
    }
    return set;
}

static void world_begin(struct world *world, uint64_t number, const char *period) {
    static const struct hotkeys_options hot = {.hot_per_s = 50, .least_hot_per_s = 20};
    *world = (struct world){.number = number, .now_us = START_US, .next_tick_us = START_US};
    trace_begin(&world->random, trace_seed(), number, START_US);
    world->quotas = make_quotas(world, period);
    world->truth = model_truth_create();
    world->checks = calloc(MAX_CHECKS, sizeof *world->checks);
    world->refunds_asked = calloc(MAX_CHECKS, sizeof(struct check *));
    world->refunds_done = calloc(MAX_CHECKS, sizeof(struct check *));
    assert_true(world->truth != NULL && world->checks != NULL);
    assert_true(world->refunds_asked != NULL && world->refunds_done != NULL);
    world->n_workers = 1 + (uint32_t)(number % MAX_WORKERS);
    for (uint32_t i = 0; i < world->n_workers; i++) {
        struct worker *worker = &world->workers[i];
        model_store_init(&worker->store, world->truth, between(world, 50, 3000));
        worker->hotkeys = hotkeys_create(&hot, START_US);
        assert_non_null(worker->hotkeys);
        struct limiter_options options = {.store_timeout_us = 100000, .hotkeys = worker->hotkeys};
        worker->limiter = limiter_create(&options, world->quotas, &worker->store.store, &worker->metrics);
        assert_non_null(worker->limiter);
    }
}

/* The earliest thing first, whoever's it is. */
static void run_stores(struct world *world, int64_t until_us) {
    for (;;) {
        struct model_store *next = NULL;
        int64_t next_us = INT64_MAX;
        for (uint32_t i = 0; i < world->n_workers; i++) {
            int64_t at_us = model_store_next(&world->workers[i].store);
            next = at_us < next_us ? &world->workers[i].store : next;
            next_us = at_us < next_us ? at_us : next_us;
        }
        if (next_us > until_us) {
            return;
        }
        world->now_us = next_us;
        model_store_run(next, next_us);
    }
}

static void advance(struct world *world, int64_t until_us) {
    for (; world->next_tick_us <= until_us; world->next_tick_us += TICK_US) {
        run_stores(world, world->next_tick_us);
        world->now_us = world->next_tick_us;
        for (uint32_t i = 0; i < world->n_workers; i++) {
            if (!world->workers[i].is_dead) {
                limiter_tick(world->workers[i].limiter, world->next_tick_us);
            }
        }
    }
    run_stores(world, until_us);
    world->now_us = until_us;
}

/* All purses go back. */
static void drain(struct world *world) {
    for (uint32_t i = 0; i < world->n_workers; i++) {
        limiter_drain(world->workers[i].limiter, world->now_us);
    }
    advance(world, world->now_us + 100 * 1000);
}

static void world_end(struct world *world) {
    advance(world, world->now_us + 100 * 1000);
    for (uint32_t i = 0; i < world->n_workers; i++) {
        limiter_destroy(&world->workers[i].limiter);
        hotkeys_destroy(&world->workers[i].hotkeys);
        model_store_deinit(&world->workers[i].store);
    }
    quota_set_release(&world->quotas);
    model_truth_destroy(&world->truth);
    free(world->checks);
    free(world->refunds_asked);
    free(world->refunds_done);
}

/* ---- checks and refunds ---- */

static struct limiter_call call_of(struct world *world, const struct check *check, enum limiter_kind kind,
                                   int64_t cost, limiter_done_fn done) {
    return (struct limiter_call){.tenant = text(tenants[check->tenant]),
                                 .resource = text(resources[check->resource]),
                                 .key = text(keys[check->key]),
                                 .kind = kind,
                                 .cost_tokens = cost,
                                 .deadline_us = world->now_us + 1000 * 1000,
                                 .done = done};
}

static enum bucket_scope scope_of(const char *limit_name) {
    static const char *const names[] = {"user", "all", "contract", "site"};
    enum bucket_scope scope = BUCKET_PER_KEY;
    while (strcmp(names[scope], limit_name) != 0) {
        scope++;
        assert_true(scope <= BUCKET_GLOBAL);
    }
    return scope;
}

static void end_check(struct check *check, int64_t now_us) {
    const struct decision *decision = &check->call.decision;
    assert_int_equal(check->call.outcome, LIMITER_DECIDED);
    assert_true(decision->matched && !decision->degraded);
    check->done_at_us = now_us;
    check->is_allowed = decision->allowed;
    enum bucket_scope scope = scope_of(decision->limit_name);
    check->world->n_denied_by[scope] += !decision->allowed;
}

static void on_checked(struct limiter_call *call) {
    struct check *check = list_entry(call, struct check, call);
    end_check(check, check->world->now_us);
}

static void ask(struct world *world) {
    assert_true(world->n_checks < MAX_CHECKS);
    struct check *check = &world->checks[world->n_checks];
    uint32_t worker = (uint32_t)trace_random(&world->random, world->n_workers);
    if (world->workers[worker].is_dead) {
        return;
    }
    world->n_checks++;
    *check = (struct check){.world = world,
                            .worker = worker,
                            .tenant = (uint8_t)trace_random(&world->random, N_TENANTS),
                            .resource = (uint8_t)trace_random(&world->random, N_RESOURCES),
                            .key = (uint8_t)trace_random(&world->random, N_KEYS),
                            .cost = trace_random(&world->random, 4) > 0 ? 1 : between(world, 1, MAX_COST),
                            .asked_at_us = world->now_us};
    check->call = call_of(world, check, LIMITER_CHECK, check->cost, on_checked);
    if (limiter_check(world->workers[worker].limiter, &check->call, world->now_us) == LIMITER_DONE) {
        end_check(check, world->now_us);
    }
}

static void on_refunded(struct limiter_call *call) {
    struct check *check = list_entry(call, struct check, call);
    assert_int_equal(call->outcome, LIMITER_DECIDED);
    assert_true(call->booking.returned_tokens <= check->refunded);
    check->is_busy = false;
    check->refund_done_at_us = check->world->now_us;
    check->world->refunds_done[check->world->n_done++] = check;
}

/* Of a check a while ago, by any worker, once. */
static void refund(struct world *world) {
    struct check *check = &world->checks[trace_random(&world->random, world->n_checks)];
    if (check->done_at_us == 0 || !check->is_allowed || check->refunded > 0 || check->is_busy) {
        return;
    }
    check->refunded = between(world, 1, check->cost);
    check->refund_asked_at_us = world->now_us;
    check->is_busy = true;
    world->refunds_asked[world->n_asked++] = check;
    check->call = call_of(world, check, LIMITER_REFUND, check->refunded, on_refunded);
    struct limiter *limiter = world->workers[trace_random(&world->random, world->n_workers)].limiter;
    if (limiter_check(limiter, &check->call, world->now_us) == LIMITER_DONE) {
        on_refunded(&check->call);
    }
}

static void run_checks(struct world *world, int64_t mean_pause_us, bool refunds) {
    int64_t end_us = world->now_us + RUN_US;
    while (world->now_us < end_us && world->n_checks < MAX_CHECKS) {
        advance(world, world->now_us + between(world, 0, 2 * mean_pause_us));
        ask(world);
        if (refunds && trace_random(&world->random, 5) == 0) {
            refund(world);
        }
    }
}

/* When nobody asks for a while, nothing is on lease any more. */
static void refund_many(struct world *world) {
    advance(world, world->now_us + QUIET_US);
    for (size_t i = 0; i < world->n_checks / 4; i++) {
        refund(world);
        advance(world, world->now_us + between(world, 0, 200));
    }
    advance(world, world->now_us + TICK_US * 10);
}

/* ---- the model of one bucket ---- */

struct bucket_user {
    struct world *world;
    const struct quota *quota;
    const struct quota_part *part;
    uint8_t tenant, resource, key;
};

/* Does the check take from the same bucket? */
static bool is_of(const struct bucket_user *user, const struct check *check) {
    switch (user->part->scope) {
    case BUCKET_PER_KEY:
        return check->tenant == user->tenant && check->resource == user->resource && check->key == user->key;
    case BUCKET_PER_RESOURCE:
        return check->tenant == user->tenant && check->resource == user->resource;
    case BUCKET_PER_TENANT:
        return check->tenant == user->tenant;
    case BUCKET_GLOBAL:
        return check->tenant >= 2 && check->resource == 0; /* those that everybody's first quota decides */
    }
    return false;
}

typedef void (*bucket_fn)(const struct bucket_user *user);

/* Calls back for the bucket of each part of each name; wide ones come more than once. */
static void for_each_bucket(struct world *world, bucket_fn look) {
    for (uint8_t tenant = 0; tenant < N_TENANTS; tenant++) {
        for (uint8_t resource = 0; resource < N_RESOURCES; resource++) {
            const struct quota *quota =
                quota_set_find(world->quotas, text(tenants[tenant]), text(resources[resource]));
            for (uint32_t i = 0; i < quota->n_parts; i++) {
                bool is_wide = quota->parts[i].scope != BUCKET_PER_KEY;
                for (uint8_t key = 0; key < (is_wide ? 1 : N_KEYS); key++) {
                    look(&(struct bucket_user){world, quota, &quota->parts[i], tenant, resource, key});
                }
            }
        }
    }
}

static double tokens_in(const struct bucket_limit *limit, int64_t us) {
    return (double)us * 1e-6 * (double)limit->count / (double)limit->period_s;
}

static const char *name_of(const struct bucket_user *user) {
    return user->quota->limit_names[user->part->first_limit];
}

/* Refunds as a bucket sees them, while time goes by. */
struct refund_sums {
    size_t n_asked, n_over;
    int64_t asked_tokens; /* asked for by then */
    int64_t over_tokens;  /* of these, with no effect any more */
};

static int64_t refunds_asked_by(struct refund_sums *sums, const struct bucket_user *user, int64_t at_us) {
    const struct world *world = user->world;
    for (; sums->n_asked < world->n_asked; sums->n_asked++) {
        const struct check *check = world->refunds_asked[sums->n_asked];
        if (check->refund_asked_at_us > at_us) {
            break;
        }
        sums->asked_tokens += is_of(user, check) ? check->refunded : 0;
    }
    return sums->asked_tokens;
}

static int64_t refunds_over_by(struct refund_sums *sums, const struct bucket_user *user, int64_t at_us) {
    const struct world *world = user->world;
    for (; sums->n_over < world->n_done; sums->n_over++) {
        const struct check *check = world->refunds_done[sums->n_over];
        if (check->refund_done_at_us + 2 * LEASE_EPOCH_US >= at_us) {
            break;
        }
        sums->over_tokens += is_of(user, check) ? check->refunded : 0;
    }
    return sums->over_tokens;
}

/* A check was decided somewhere between asking and answer: over no window, from the first asking to the last answer, may
 * more be admitted than the burst, what comes in meanwhile, and refunds that may have an effect in it. */
static void expect_bound(const struct bucket_user *user) {
    const struct bucket_limit *limit = &user->part->limits[0];
    double burst = (double)limit->burst_utok / (double)BUCKET_UTOK_PER_TOKEN;
    double best_start = -1e18;
    int64_t n_admitted = 0, last_us = START_US;
    struct refund_sums refunds = {0};
    for (const struct check *check = user->world->checks; check < user->world->checks + user->world->n_checks;
         check++) {
        if (!check->is_allowed || !is_of(user, check)) {
            continue;
        }
        double start = tokens_in(limit, check->asked_at_us - START_US) - (double)n_admitted +
                       (double)refunds_over_by(&refunds, user, check->asked_at_us);
        best_start = start > best_start ? start : best_start;
        last_us = check->done_at_us > last_us ? check->done_at_us : last_us;
        n_admitted += check->cost;
        double over = best_start + (double)n_admitted - tokens_in(limit, last_us - START_US) - burst -
                      (double)refunds_asked_by(&refunds, user, last_us);
        if (over > 1e-6) {
            FAIL(user->world, "%s of %s/%s/%s: %.3f tokens more than its bound", name_of(user),
                 tenants[user->tenant], resources[user->resource], keys[user->key], over);
        }
    }
}

/* Where nothing comes in, what is left tells of each token: denials took none, and refunds gave all back, once. */
static void expect_level(const struct bucket_user *user) {
    int64_t left = user->part->limits[0].burst_utok / BUCKET_UTOK_PER_TOKEN;
    for (const struct check *check = user->world->checks; check < user->world->checks + user->world->n_checks;
         check++) {
        left -= check->is_allowed && is_of(user, check) ? check->cost - check->refunded : 0;
    }
    struct bucket_name name = quota_part_bucket(user->quota, user->part, text(tenants[user->tenant]),
                                                text(resources[user->resource]), text(keys[user->key]));
    int64_t found =
        model_truth_level(user->world->truth, bucket_name_hash(&name, 0), user->part, user->world->now_us);
    if (found != left) {
        FAIL(user->world, "%s of %s/%s/%s: %" PRId64 " tokens instead of %" PRId64, name_of(user),
             tenants[user->tenant], resources[user->resource], keys[user->key], found, left);
    }
}

/* ---- tests ---- */

static void add_denials(const struct world *world, size_t n_denied_by[BUCKET_GLOBAL + 1]) {
    for (enum bucket_scope scope = BUCKET_PER_KEY; scope <= BUCKET_GLOBAL; scope++) {
        n_denied_by[scope] += world->n_denied_by[scope];
    }
}

/* In some runs a worker dies half-way, with what it holds. */
static void test_no_limit_is_exceeded(void **state) {
    size_t n_denied_by[BUCKET_GLOBAL + 1] = {0};
    (void)state;
    for (uint64_t number = 0; number < N_RUNS; number++) {
        struct world world;
        world_begin(&world, number, "s");
        run_checks(&world, between(&world, 50, 800), false);
        for_each_bucket(&world, expect_bound);
        add_denials(&world, n_denied_by);
        world_end(&world);
    }
    for (enum bucket_scope scope = BUCKET_PER_KEY; scope <= BUCKET_GLOBAL; scope++) {
        assert_true(n_denied_by[scope] > 100);
    }
}

static void test_a_worker_that_dies_takes_no_more_than_it_held(void **state) {
    (void)state;
    for (uint64_t number = 1; number < N_RUNS; number += 4) {
        struct world world;
        world_begin(&world, number, "s");
        int64_t pause_us = between(&world, 50, 800), end_us = START_US + RUN_US;
        while (world.now_us < end_us) {
            advance(&world, world.now_us + between(&world, 0, 2 * pause_us));
            world.workers[0].is_dead = world.now_us > START_US + RUN_US / 2;
            ask(&world);
        }
        for_each_bucket(&world, expect_bound);
        world_end(&world);
    }
}

static void test_denials_take_nothing_and_refunds_lose_nothing(void **state) {
    size_t n_denied_by[BUCKET_GLOBAL + 1] = {0};
    (void)state;
    for (uint64_t number = 0; number < N_RUNS; number++) {
        struct world world;
        world_begin(&world, number, "month");
        int64_t pause_us = between(&world, 300, 3000);
        run_checks(&world, pause_us, false);
        if (number % 2 == 1) {
            refund_many(&world);
            run_checks(&world, pause_us, false);
        }
        drain(&world);
        for_each_bucket(&world, expect_level);
        add_denials(&world, n_denied_by);
        world_end(&world);
    }
    for (enum bucket_scope scope = BUCKET_PER_KEY; scope <= BUCKET_GLOBAL; scope++) {
        assert_true(n_denied_by[scope] > 100);
    }
}

static void test_refunds_beside_leases_lose_nothing_and_give_nothing_twice(void **state) {
    size_t n_refunds = 0;
    (void)state;
    for (uint64_t number = 0; number < N_RUNS; number++) {
        struct world world;
        world_begin(&world, number, "month");
        run_checks(&world, between(&world, 300, 3000), true);
        drain(&world);
        for_each_bucket(&world, expect_level);
        n_refunds += world.n_done;
        world_end(&world);
    }
    assert_true(n_refunds > 1000);
}

static void test_no_limit_is_exceeded_by_more_than_refunds(void **state) {
    size_t n_refunds = 0;
    (void)state;
    for (uint64_t number = 0; number < N_RUNS; number++) {
        struct world world;
        world_begin(&world, number, "s");
        run_checks(&world, between(&world, 50, 800), true);
        for_each_bucket(&world, expect_bound);
        n_refunds += world.n_done;
        world_end(&world);
    }
    assert_true(n_refunds > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_limit_is_exceeded),
        cmocka_unit_test(test_a_worker_that_dies_takes_no_more_than_it_held),
        cmocka_unit_test(test_denials_take_nothing_and_refunds_lose_nothing),
        cmocka_unit_test(test_refunds_beside_leases_lose_nothing_and_give_nothing_twice),
        cmocka_unit_test(test_no_limit_is_exceeded_by_more_than_refunds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
