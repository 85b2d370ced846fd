/* test_rng.c — the generator's known numbers, and that what is made of them is even. */
#include "tests/support/test_prelude.h"

#include <math.h>

#include "client/cmd/rng.h"

enum { N_DRAWS = 200000 };

/* The first outputs for seed 0, from the published test vector of SplitMix64. */
static void test_numbers_are_those_of_splitmix64(void **state) {
    struct rng rng = {0};
    (void)state;
    assert_true(rng_next(&rng) == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(rng_next(&rng) == UINT64_C(0x6e789e6aa1b965f4));
    assert_true(rng_next(&rng) == UINT64_C(0x06c45d188009454f));
}

static void test_the_same_seed_gives_the_same_numbers(void **state) {
    struct rng one = {42}, same = {42}, other = {43};
    (void)state;
    assert_true(rng_next(&one) == rng_next(&same));
    assert_true(rng_next(&one) != rng_next(&other));
}

static void test_below_is_even_and_never_reaches_its_bound(void **state) {
    enum { N = 7 };
    struct rng rng = {1};
    uint64_t counts[N] = {0};
    (void)state;
    for (int i = 0; i < N_DRAWS; i++) {
        uint64_t drawn = rng_below(&rng, N);
        assert_true(drawn < N);
        counts[drawn]++;
    }
    double expected = (double)N_DRAWS / N, sigma = sqrt(expected);
    for (int i = 0; i < N; i++) {
        assert_true(fabs((double)counts[i] - expected) < 5 * sigma);
    }
    assert_int_equal(rng_below(&rng, 1), 0);
}

/* Just above half of all numbers, nearly every second draw must be made again. */
static void test_below_is_even_where_the_range_divides_worst(void **state) {
    uint64_t n = (UINT64_C(1) << 63) + 1, n_low = 0;
    struct rng rng = {7};
    (void)state;
    for (int i = 0; i < N_DRAWS; i++) {
        n_low += rng_below(&rng, n) < n / 2;
    }
    assert_true(fabs((double)n_low - N_DRAWS / 2.0) < 5 * sqrt(N_DRAWS / 4.0));
}

static void test_unit_and_exponential_have_their_means(void **state) {
    struct rng rng = {3};
    double unit_sum = 0, exponential_sum = 0;
    (void)state;
    for (int i = 0; i < N_DRAWS; i++) {
        double unit = rng_unit(&rng), exponential = rng_exponential(&rng);
        assert_true(unit > 0 && unit <= 1);
        assert_true(exponential >= 0 && exponential <= 37);
        unit_sum += unit;
        exponential_sum += exponential;
    }
    assert_true(fabs(unit_sum / N_DRAWS - 0.5) < 5 * sqrt(1 / 12.0 / N_DRAWS));
    assert_true(fabs(exponential_sum / N_DRAWS - 1) < 5 * sqrt(1.0 / N_DRAWS));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_those_of_splitmix64),
        cmocka_unit_test(test_the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(test_below_is_even_and_never_reaches_its_bound),
        cmocka_unit_test(test_below_is_even_where_the_range_divides_worst),
        cmocka_unit_test(test_unit_and_exponential_have_their_means),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
