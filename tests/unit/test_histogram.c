/* test_histogram.c — percentiles against the exact ones of the sorted values. */
#include "tests/support/test_prelude.h"

#include "client/cmd/histogram.h"

enum { N_VALUES = 10000 };

static int compare(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* The same numbers in every run (xorshift). */
static uint64_t next_random(uint64_t *random) {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

static struct histogram *make_histogram(void) {
    struct histogram *histogram = calloc(1, sizeof *histogram);
    assert_non_null(histogram);
    return histogram;
}

static void test_small_values_are_exact(void **state) {
    struct histogram *histogram = make_histogram();
    (void)state;
    for (uint64_t value = 1; value <= 100; value++) {
        histogram_add(histogram, value);
    }
    assert_int_equal(histogram_percentile(histogram, 0.50), 50);
    assert_int_equal(histogram_percentile(histogram, 0.99), 99);
    assert_int_equal(histogram_percentile(histogram, 1), 100);
    assert_int_equal(histogram_percentile(histogram, 0), 1);
    free(histogram);
}

static void test_percentiles_are_never_low_and_at_most_1_in_128_high(void **state) {
    static const double shares[] = {0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1};
    static uint64_t values[N_VALUES];
    uint64_t random = 88172645463325252u;
    (void)state;
    for (unsigned bits = 8; bits <= 40; bits += 4) {
        struct histogram *histogram = make_histogram();
        for (size_t i = 0; i < N_VALUES; i++) {
            values[i] = next_random(&random) >> (64 - bits) >> (next_random(&random) % bits);
            histogram_add(histogram, values[i]);
        }
        qsort(values, N_VALUES, sizeof values[0], compare);
        for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
            uint64_t exact = values[(size_t)(shares[i] * N_VALUES + 0.5) - 1];
            uint64_t found = histogram_percentile(histogram, shares[i]);
            assert_true(found >= exact);
            assert_true(found - exact <= exact / 128);
        }
        assert_int_equal(histogram->max, values[N_VALUES - 1]);
        free(histogram);
    }
}

static void test_values_at_the_edges_of_buckets(void **state) {
    (void)state;
    for (unsigned bit = 7; bit < HISTOGRAM_MAX_BITS; bit++) {
        struct histogram *histogram = make_histogram();
        uint64_t edge = UINT64_C(1) << bit;
        histogram_add(histogram, edge - 1);
        histogram_add(histogram, edge);
        histogram_add(histogram, UINT64_MAX);
        assert_int_equal(histogram_percentile(histogram, 0.33), edge - 1);
        assert_true(histogram_percentile(histogram, 0.66) >= edge);
        assert_true(histogram_percentile(histogram, 0.66) <= edge + edge / 128);
        free(histogram);
    }
}

static void test_the_greatest_value_is_kept_as_it_came(void **state) {
    struct histogram *histogram = make_histogram();
    (void)state;
    histogram_add(histogram, 1000003);
    assert_int_equal(histogram_percentile(histogram, 0.5), 1000003);
    histogram_add(histogram, UINT64_MAX);
    assert_true(histogram->max == UINT64_MAX);
    assert_int_equal(histogram_percentile(histogram, 1), HISTOGRAM_MAX_VALUE);
    free(histogram);
}

static void test_counts_up_to_a_value(void **state) {
    struct histogram *histogram = make_histogram();
    (void)state;
    for (uint64_t value = 1; value <= 100; value++) {
        histogram_add(histogram, value);
    }
    histogram_add(histogram, 1000000);
    histogram_add(histogram, UINT64_MAX);
    assert_int_equal(histogram_count(histogram, 0), 0);
    assert_int_equal(histogram_count(histogram, 50), 50);
    assert_int_equal(histogram_count(histogram, 900000), 100);
    assert_int_equal(histogram_count(histogram, 1000000), 101);
    assert_int_equal(histogram_count(histogram, UINT64_MAX), 102);
    free(histogram);
}

static void test_an_empty_histogram_says_0(void **state) {
    struct histogram *histogram = make_histogram();
    (void)state;
    assert_int_equal(histogram_percentile(histogram, 0.99), 0);
    free(histogram);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_values_are_exact),
        cmocka_unit_test(test_percentiles_are_never_low_and_at_most_1_in_128_high),
        cmocka_unit_test(test_values_at_the_edges_of_buckets),
        cmocka_unit_test(test_the_greatest_value_is_kept_as_it_came),
        cmocka_unit_test(test_counts_up_to_a_value),
        cmocka_unit_test(test_an_empty_histogram_says_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
