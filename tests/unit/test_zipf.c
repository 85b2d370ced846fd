/* test_zipf.c — what is drawn against the exact probabilities.
 *
 * Seeds are fixed, so the bounds, five standard deviations wide, hold in every run or in none. */
#include "tests/support/test_prelude.h"

#include <math.h>

#include "client/cmd/zipf.h"

enum { N_DRAWS = 400000 };

/* The sum of 1 / k^s over first ... last, small terms first. */
static double weight(uint64_t first, uint64_t last, double s) {
    double sum = 0;
    for (uint64_t k = last; k >= first; k--) {
        sum += s == 1 ? 1 / (double)k : pow((double)k, -s);
    }
    return sum;
}

static void assert_share(uint64_t n_seen, double probability) {
    double expected = N_DRAWS * probability, sigma = sqrt(expected * (1 - probability));
    if (fabs((double)n_seen - expected) > 5 * sigma + 1e-9) {
        fail_msg("seen %llu times, expected %.1f with a deviation of %.1f", (unsigned long long)n_seen,
                 expected, sigma);
    }
}

/* Each rank by itself, and all together by chi-square: its mean is n - 1, its deviation sqrt(2 (n - 1)). */
static void test_every_rank_of_few_has_its_share(void **state) {
    enum { N = 50 };
    static const double exponents[] = {0, 0.5, 0.9, 0.99, 0.999999999, 1, 1.000000001, 1.01, 1.5, 2, 3};
    (void)state;
    for (size_t i = 0; i < sizeof exponents / sizeof exponents[0]; i++) {
        double s = exponents[i], total = weight(1, N, s), chi_square = 0;
        uint64_t counts[N + 1] = {0};
        struct rng rng = {1000 + i};
        struct zipf zipf;
        zipf_init(&zipf, N, s);
        for (int drawn = 0; drawn < N_DRAWS; drawn++) {
            uint64_t rank = zipf_draw(&zipf, &rng);
            assert_in_range(rank, 1, N);
            counts[rank]++;
        }
        for (uint64_t k = 1; k <= N; k++) {
            double probability = weight(k, k, s) / total, expected = N_DRAWS * probability;
            assert_share(counts[k], probability);
            chi_square += ((double)counts[k] - expected) * ((double)counts[k] - expected) / expected;
        }
        assert_true(fabs(chi_square - (N - 1)) < 5 * sqrt(2.0 * (N - 1)));
    }
}

/* The first ranks by themselves, then decades, up to ten million. */
static void test_shares_of_ten_million_ranks(void **state) {
    enum { N = 10000000, N_BINS = 16 };
    static const uint64_t lasts[N_BINS] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 100, 1000, 10000, 100000, 1000000, N};
    static const double exponents[] = {0.99, 1, 1.2};
    (void)state;
    for (size_t i = 0; i < sizeof exponents / sizeof exponents[0]; i++) {
        double s = exponents[i], weights[N_BINS], total = 0;
        uint64_t counts[N_BINS] = {0};
        for (size_t bin = N_BINS; bin-- > 0;) {
            weights[bin] = weight(bin == 0 ? 1 : lasts[bin - 1] + 1, lasts[bin], s);
            total += weights[bin];
        }
        struct rng rng = {2000 + i};
        struct zipf zipf;
        zipf_init(&zipf, N, s);
        for (int drawn = 0; drawn < N_DRAWS; drawn++) {
            uint64_t rank = zipf_draw(&zipf, &rng);
            size_t bin = 0;
            assert_in_range(rank, 1, N);
            while (rank > lasts[bin]) {
                bin++;
            }
            counts[bin]++;
        }
        for (size_t bin = 0; bin < N_BINS; bin++) {
            assert_share(counts[bin], weights[bin] / total);
        }
    }
}

static void test_a_single_rank_is_always_drawn(void **state) {
    struct rng rng = {5};
    (void)state;
    for (double s = 0; s <= ZIPF_MAX_S; s += 0.5) {
        struct zipf zipf;
        zipf_init(&zipf, 1, s);
        for (int i = 0; i < 100; i++) {
            assert_int_equal(zipf_draw(&zipf, &rng), 1);
        }
    }
}

static void test_the_extremes_stay_in_range(void **state) {
    static const double exponents[] = {0, 0.99, 1, 1.01, ZIPF_MAX_S};
    struct rng rng = {6};
    (void)state;
    for (size_t i = 0; i < sizeof exponents / sizeof exponents[0]; i++) {
        struct zipf zipf;
        zipf_init(&zipf, ZIPF_MAX_N, exponents[i]);
        for (int drawn = 0; drawn < 10000; drawn++) {
            uint64_t rank = zipf_draw(&zipf, &rng);
            assert_true(rank >= 1 && rank <= ZIPF_MAX_N);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_rank_of_few_has_its_share),
        cmocka_unit_test(test_shares_of_ten_million_ranks),
        cmocka_unit_test(test_a_single_rank_is_always_drawn),
        cmocka_unit_test(test_the_extremes_stay_in_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
