/* test_cost_property.c — how often workers ask the store for each check, counted in virtual time.
 *
 * Nothing is counted before the buckets have been asked for a while. Nothing here depends on how fast the machine is.
 * What a key's first tokens cost, a call each, no worker can save; what it can are the calls for keys that are asked for
 * more than they may have, and for those that are hot. */
#include "tests/support/test_prelude.h"

#include <inttypes.h>

#include "client/cmd/zipf.h"
#include "server/base/list.h"
#include "server/limit/limiter.h"
#include "server/quota/registry.h"
#include "tests/support/model_store.h"

#define START_US INT64_C(1000000000)
#define SECOND_US INT64_C(1000000)

enum { MAX_WORKERS = 3, ROUND_TRIP_US = 500, TICK_US = 1000, KEY_BYTES = 24 };

/* One way to be asked. */
struct demand {
    const char *quota; /* as the quota file has it */
    uint32_t n_workers;
    uint64_t n_keys; /* asked for by Zipf's law with exponent 1 */
    int64_t checks_per_s;
    int64_t before_us, counted_us;
};

struct pending {
    struct list in_free;
    struct limiter_call call;
    struct bench *bench;
};

struct worker {
    struct model_store store;
    struct hotkeys *hotkeys;
    struct limiter_metrics metrics;
    struct limiter *limiter;
};

struct bench {
    struct quota_set *quotas;
    struct model_truth *truth;
    uint32_t n_workers;
    struct worker workers[MAX_WORKERS];
    int64_t now_us;
    struct list free; /* calls */
    struct rng rng;
    uint64_t n_checks, n_allowed;
};

static struct bytes text(const char *string) {
    return (struct bytes){.data = (const uint8_t *)string, .len = strlen(string)};
}

/* ---- the bench ---- */

static void bench_begin(struct bench *bench, const struct demand *demand) {
    static const struct hotkeys_options hot = {.hot_per_s = HOTKEYS_DEFAULT_PER_S,
                                               .least_hot_per_s = HOTKEYS_DEFAULT_LEAST_PER_S};
    char quotas[256];
    struct status status = {""};
    int n = snprintf(quotas, sizeof quotas, "tenants: {t: {r: {limits: [%s]}}}", demand->quota);
    *bench = (struct bench){.quotas = registry_load_text("quotas", quotas, (size_t)n, &status),
                            .truth = model_truth_create(),
                            .n_workers = demand->n_workers,
                            .now_us = START_US,
                            .rng = {1}};
    assert_true(bench->quotas != NULL && bench->truth != NULL);
    list_init(&bench->free);
    for (uint32_t i = 0; i < bench->n_workers; i++) {
        struct worker *worker = &bench->workers[i];
        model_store_init(&worker->store, bench->truth, ROUND_TRIP_US);
        worker->hotkeys = hotkeys_create(&hot, START_US);
        struct limiter_options options = {.store_timeout_us = 100000, .hotkeys = worker->hotkeys};
        worker->limiter = limiter_create(&options, bench->quotas, &worker->store.store, &worker->metrics);
        assert_true(worker->hotkeys != NULL && worker->limiter != NULL);
    }
}

static void run_stores(struct bench *bench, int64_t until_us) {
    for (uint32_t i = 0; i < bench->n_workers; i++) {
        model_store_run(&bench->workers[i].store, until_us);
    }
    bench->now_us = until_us;
}

static void bench_end(struct bench *bench) {
    run_stores(bench, bench->now_us + SECOND_US);
    for (uint32_t i = 0; i < bench->n_workers; i++) {
        limiter_destroy(&bench->workers[i].limiter);
        hotkeys_destroy(&bench->workers[i].hotkeys);
        model_store_deinit(&bench->workers[i].store);
    }
    struct list *node;
    while ((node = list_pop_front(&bench->free)) != NULL) {
        free(list_entry(node, struct pending, in_free));
    }
    quota_set_release(&bench->quotas);
    model_truth_destroy(&bench->truth);
}

/* ---- checks ---- */

static void end_check(struct pending *pending) {
    struct bench *bench = pending->bench;
    assert_int_equal(pending->call.outcome, LIMITER_DECIDED);
    bench->n_allowed += pending->call.decision.allowed;
    list_push_front(&bench->free, &pending->in_free);
}

static void on_done(struct limiter_call *call) {
    end_check(list_entry(call, struct pending, call));
}

static void ask(struct bench *bench, uint64_t key_number) {
    char key[KEY_BYTES];
    snprintf(key, sizeof key, "k%" PRIu64, key_number);
    struct list *node = list_pop_front(&bench->free);
    struct pending *pending =
        node != NULL ? list_entry(node, struct pending, in_free) : malloc(sizeof *pending);
    assert_non_null(pending);
    *pending = (struct pending){.bench = bench,
                                .call = {.tenant = text("t"),
                                         .resource = text("r"),
                                         .key = text(key),
                                         .cost_tokens = 1,
                                         .deadline_us = bench->now_us + SECOND_US,
                                         .done = on_done}};
    list_init(&pending->in_free);
    struct worker *worker = &bench->workers[rng_below(&bench->rng, bench->n_workers)];
    bench->n_checks++;
    if (limiter_check(worker->limiter, &pending->call, bench->now_us) == LIMITER_DONE) {
        end_check(pending);
    }
}

/* Checks come as they like, so many a second in the mean. */
static void run(struct bench *bench, const struct demand *demand, int64_t lasts_us) {
    struct zipf zipf;
    zipf_init(&zipf, demand->n_keys, 1.0);
    double at_us = (double)bench->now_us;
    int64_t end_us = bench->now_us + lasts_us, next_tick_us = bench->now_us;
    while (bench->now_us < end_us) {
        at_us += rng_exponential(&bench->rng) * (double)SECOND_US / (double)demand->checks_per_s;
        for (; next_tick_us <= (int64_t)at_us; next_tick_us += TICK_US) {
            run_stores(bench, next_tick_us);
            for (uint32_t i = 0; i < bench->n_workers; i++) {
                limiter_tick(bench->workers[i].limiter, next_tick_us);
            }
        }
        run_stores(bench, (int64_t)at_us);
        ask(bench, zipf_draw(&zipf, &bench->rng));
    }
}

static double calls_per_check(const char *what, const struct demand *demand) {
    struct bench bench;
    bench_begin(&bench, demand);
    run(&bench, demand, demand->before_us);
    uint64_t n_calls = bench.truth->n_calls;
    bench.n_checks = bench.n_allowed = 0;
    run(&bench, demand, demand->counted_us);
    n_calls = bench.truth->n_calls - n_calls;
    double calls = (double)n_calls / (double)bench.n_checks;
    print_message("%-28s %8" PRIu64 " checks  %8" PRIu64 " allowed  %7" PRIu64 " calls  %.5f a check\n", what,
                  bench.n_checks, bench.n_allowed, n_calls, calls);
    bench_end(&bench);
    return calls;
}

/* ---- tests ---- */

static void test_a_hot_key_is_leased(void **state) {
    (void)state;
    struct demand demand = {.quota = "{rate: 1000/s, burst: 500}",
                            .n_workers = 3,
                            .n_keys = 1,
                            .checks_per_s = 30000,
                            .before_us = 2 * SECOND_US,
                            .counted_us = 10 * SECOND_US};
    assert_true(calls_per_check("one key, 30 times its rate", &demand) <= 0.01);
}

static void test_of_many_keys_the_busy_ones_cost_little(void **state) {
    (void)state;
    struct demand demand = {.quota = "{rate: 5/min, burst: 5}",
                            .n_workers = 1,
                            .n_keys = 1000 * 1000,
                            .checks_per_s = 100000,
                            .before_us = 20 * SECOND_US,
                            .counted_us = 10 * SECOND_US};
    assert_true(calls_per_check("Zipf, 10^6 keys", &demand) <= 0.35);
}

static void test_abusers_cost_next_to_nothing(void **state) {
    (void)state;
    struct demand demand = {.quota = "{rate: 1/h, burst: 1}",
                            .n_workers = 3,
                            .n_keys = 5,
                            .checks_per_s = 10000,
                            .before_us = SECOND_US,
                            .counted_us = 10 * SECOND_US};
    assert_true(calls_per_check("five keys, always denied", &demand) <= 0.001);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hot_key_is_leased),
        cmocka_unit_test(test_of_many_keys_the_busy_ones_cost_little),
        cmocka_unit_test(test_abusers_cost_next_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
