/* test_allocation_limiter.c — checks, peeks and bookings over several records while memory fails: whole, or said so. */
#include "tests/support/test_prelude.h"

#include "tests/support/failing_malloc.h"
#include "tests/support/limiter_bench.h"

static const char both[] = "tenants: {t: {r: {limits: [{name: own, rate: 1/day, burst: 10},"
                           " {name: all, rate: 1/day, burst: 100, scope: resource}]}}}";

/* Every call is done once; one that has failed has been decided without the store, or says that it was not. */
static bool is_whole(const struct bench_call *call) {
    assert_int_equal(call->n_done, 1);
    bool is_whole = call->call.outcome == LIMITER_DECIDED && !call->call.decision.degraded;
    if (!is_whole) {
        assert_true(failing_malloc_has_failed());
        assert_true(call->call.outcome != LIMITER_UNDECIDED || call->call.store_outcome == STORE_NO_MEMORY);
    }
    return is_whole;
}

static void let_pass(struct limiter_bench *bench) {
    for (int i = 0; i < 10; i++) {
        bench_pass(bench, BENCH_ROUND_TRIP_US);
    }
}

static bool check_several(void *arg) {
    struct limiter_bench *bench = arg;
    struct bench_call calls[6];
    failing_malloc_begin();
    for (int i = 0; i < 6; i++) { /* the first asks, the others are one take of their key */
        calls[i] = bench_call_of(i == 5 ? LIMITER_PEEK : LIMITER_CHECK, 3);
        bench_start(bench, &calls[i]);
    }
    let_pass(bench);
    failing_malloc_end();
    bool are_whole = true;
    int64_t n_granted = 0;
    for (int i = 0; i < 6; i++) {
        are_whole = is_whole(&calls[i]) && are_whole;
        n_granted += calls[i].call.decision.granted_tokens;
    }
    assert_true(!are_whole || n_granted == 9);
    return are_whole;
}

static bool book(void *arg) {
    struct limiter_bench *bench = arg;
    enum { N_CALLS = 5 };
    struct bench_call calls[N_CALLS] = {bench_call_of(LIMITER_RESERVE, 4), bench_call_of(LIMITER_CHECK, 2),
                                        bench_call_of(LIMITER_REFUND, 1), bench_call_of(LIMITER_RESERVE, 1),
                                        bench_call_of(LIMITER_CHECK, 101)}; /* more than anybody is allowed */
    calls[1].names[3][0] = 'k';
    calls[4].names[3][0] = 'd';
    for (int i = 0; i < 4; i += 3) {
        calls[i].call.reservation[0] = (uint8_t)(i + 1);
        calls[i].call.ttl_us = 20000;
        calls[i].call.returns_on_timeout = true;
    }
    failing_malloc_begin();
    for (int i = 0; i < N_CALLS; i++) {
        bench_start(bench, &calls[i]);
    }
    let_pass(bench);
    bench_pass(bench, 20000); /* the reservations go back */
    let_pass(bench);
    failing_malloc_end();
    bool are_whole = true;
    for (int i = 0; i < N_CALLS; i++) {
        are_whole = is_whole(&calls[i]) && are_whole;
    }
    assert_int_equal(calls[4].call.decision.granted_tokens, 0);
    uint64_t n_back = metric_get(&bench->metrics.timeouts);
    assert_true(!are_whole || n_back == 2 || failing_malloc_has_failed());
    return are_whole && n_back == 2;
}

struct path {
    bool (*run)(void *arg);
};

/* The bench itself is made while there is memory, its records too; the limiter has nothing in hand. */
static bool with_bench(void *arg) {
    const struct path *path = arg;
    struct limiter_bench bench;
    struct limiter_options options = {.store_timeout_us = 8000, .seed = BENCH_SEED};
    bench_open(&bench, both);
    bench_ask(&bench, LIMITER_CHECK, 1);
    options.fallback = bench.fallback;
    limiter_destroy(&bench.limiter);
    bench.limiter = limiter_create(&options, bench.quotas, &bench.store.store, &bench.metrics);
    bool is_done = path->run(&bench);
    bench_close(&bench);
    return is_done;
}

static void test_checks_are_decided_whole_or_without_the_store(void **state) {
    (void)state;
    struct path path = {check_several};
    failing_malloc_sweep(with_bench, &path, 10);
}

static void test_bookings_are_made_or_said_not_to_be(void **state) {
    (void)state;
    struct path path = {book};
    failing_malloc_sweep(with_bench, &path, 10);
}

static bool make_limiter(void *arg) {
    struct limiter_bench *bench = arg;
    struct limiter_options options = {.store_timeout_us = 8000, .fallback = bench->fallback};
    failing_malloc_begin();
    struct limiter *limiter = limiter_create(&options, bench->quotas, &bench->store.store, &bench->metrics);
    failing_malloc_end();
    bool is_made = limiter != NULL;
    assert_true(is_made || failing_malloc_has_failed());
    limiter_destroy(&limiter);
    return is_made;
}

static void test_a_limiter_is_made_or_not(void **state) {
    (void)state;
    struct limiter_bench bench;
    bench_open(&bench, both);
    failing_malloc_sweep(make_limiter, &bench, 3);
    bench_close(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checks_are_decided_whole_or_without_the_store),
        cmocka_unit_test(test_bookings_are_made_or_said_not_to_be),
        cmocka_unit_test(test_a_limiter_is_made_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
