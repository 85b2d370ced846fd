/* test_bench_arrivals.c — when frames are due, in virtual time. */
#include "tests/support/test_prelude.h"

#include <math.h>

#include "client/cmd/bench_arrivals.h"

#define START_US INT64_C(5000000)

static void test_a_constant_rate_is_even(void **state) {
    struct bench_arrivals arrivals;
    (void)state;
    bench_arrivals_init(&arrivals, 1000, false, 1);
    bench_arrivals_start(&arrivals, START_US);
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(bench_arrivals_next_us(&arrivals), START_US + i * 1000);
        bench_arrivals_take(&arrivals);
    }
}

/* 333333 / s has an interval of 3.000003 us: after a million it is 3 us past, not lost. */
static void test_a_constant_rate_does_not_drift(void **state) {
    struct bench_arrivals arrivals;
    (void)state;
    bench_arrivals_init(&arrivals, 333333, false, 1);
    bench_arrivals_start(&arrivals, 0);
    for (int i = 0; i < 3333330; i++) {
        bench_arrivals_take(&arrivals);
    }
    assert_in_range(bench_arrivals_next_us(&arrivals), 9999999, 10000000);
}

static void test_several_may_be_due_in_one_microsecond(void **state) {
    struct bench_arrivals arrivals;
    (void)state;
    bench_arrivals_init(&arrivals, 4e6, false, 1);
    bench_arrivals_start(&arrivals, START_US);
    assert_int_equal(bench_arrivals_skip(&arrivals, START_US + 1), 4);
    assert_int_equal(bench_arrivals_next_us(&arrivals), START_US + 1);
}

/* Gaps of a Poisson process have mean and deviation alike; counts per window a variance of their mean. */
static void test_poisson_gaps_and_counts(void **state) {
    enum { N = 100000, WINDOW_US = 10000, MEAN_PER_WINDOW = 10 };
    struct bench_arrivals arrivals;
    double sum = 0, squares = 0, count_sum = 0, count_squares = 0;
    int64_t last_us = START_US;
    (void)state;
    bench_arrivals_init(&arrivals, 1000, true, 11);
    bench_arrivals_start(&arrivals, START_US);
    for (int i = 0; i < N; i++) {
        int64_t gap_us = bench_arrivals_next_us(&arrivals) - last_us;
        assert_true(gap_us >= 0);
        last_us += gap_us;
        sum += (double)gap_us;
        squares += (double)gap_us * (double)gap_us;
        bench_arrivals_take(&arrivals);
    }
    double mean = sum / N;
    assert_true(fabs(mean - 1000) < 5 * 1000 / sqrt(N));
    assert_true(fabs(sqrt(squares / N - mean * mean) - 1000) < 5 * 2000 / sqrt(N));

    bench_arrivals_start(&arrivals, START_US);
    for (int i = 1; i <= N / MEAN_PER_WINDOW; i++) {
        double n = (double)bench_arrivals_skip(&arrivals, START_US + (int64_t)i * WINDOW_US);
        count_sum += n;
        count_squares += n * n;
    }
    double count_mean = count_sum * MEAN_PER_WINDOW / N;
    double variance = count_squares * MEAN_PER_WINDOW / N - count_mean * count_mean;
    assert_true(fabs(variance / count_mean - 1) < 0.1);
}

static void test_a_seed_repeats_its_arrivals(void **state) {
    struct bench_arrivals one, same, other;
    bool is_other_different = false;
    (void)state;
    bench_arrivals_init(&one, 1000, true, 7);
    bench_arrivals_init(&same, 1000, true, 7);
    bench_arrivals_init(&other, 1000, true, 8);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(bench_arrivals_next_us(&one), bench_arrivals_next_us(&same));
        is_other_different |= bench_arrivals_next_us(&one) != bench_arrivals_next_us(&other);
        bench_arrivals_take(&one);
        bench_arrivals_take(&same);
        bench_arrivals_take(&other);
    }
    assert_true(is_other_different);
}

static void test_skipping_takes_what_is_due_before(void **state) {
    struct bench_arrivals arrivals;
    (void)state;
    bench_arrivals_init(&arrivals, 100, false, 1);
    bench_arrivals_start(&arrivals, START_US);
    bench_arrivals_take(&arrivals);
    assert_int_equal(bench_arrivals_skip(&arrivals, START_US + 1000000), 99);
    assert_int_equal(bench_arrivals_skip(&arrivals, START_US + 1000000), 0);
    assert_int_equal(bench_arrivals_next_us(&arrivals), START_US + 1000000);
}

/* A day's backlog is not counted one by one, and yet to the last one. */
static void test_a_large_backlog_is_skipped_exactly(void **state) {
    enum { DAY_S = 86400 };
    struct bench_arrivals arrivals;
    (void)state;
    bench_arrivals_init(&arrivals, 1e7, false, 1);
    bench_arrivals_start(&arrivals, START_US);
    uint64_t n_whole = bench_arrivals_skip(&arrivals, START_US + DAY_S * INT64_C(1000000));
    assert_true(n_whole == DAY_S * UINT64_C(10000000));
    assert_int_equal(bench_arrivals_skip(&arrivals, START_US + DAY_S * INT64_C(1000000) + 7), 70);
    for (int64_t before_us = 1; before_us < 1000; before_us++) {
        struct bench_arrivals stepped;
        uint64_t n_stepped = 0;
        bench_arrivals_init(&arrivals, 333333, false, 1);
        bench_arrivals_init(&stepped, 333333, false, 1);
        while (bench_arrivals_next_us(&stepped) < before_us) {
            bench_arrivals_take(&stepped);
            n_stepped++;
        }
        assert_int_equal(bench_arrivals_skip(&arrivals, before_us), n_stepped);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_constant_rate_is_even),
        cmocka_unit_test(test_a_constant_rate_does_not_drift),
        cmocka_unit_test(test_several_may_be_due_in_one_microsecond),
        cmocka_unit_test(test_poisson_gaps_and_counts),
        cmocka_unit_test(test_a_seed_repeats_its_arrivals),
        cmocka_unit_test(test_skipping_takes_what_is_due_before),
        cmocka_unit_test(test_a_large_backlog_is_skipped_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
