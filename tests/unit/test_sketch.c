/* test_sketch.c — estimates are never too low, seldom much too high, and halve with their lines. */
#include "tests/support/test_prelude.h"

#include "server/core/sketch.h"

static struct hash128 hash_of(uint64_t n) {
    return hash_bytes_wide(&n, sizeof n, 42);
}

static struct sketch *make_sketch(void) {
    struct sketch *sketch = aligned_alloc(_Alignof(struct sketch), sizeof *sketch);
    assert_non_null(sketch);
    memset(sketch, 0, sizeof *sketch);
    return sketch;
}

static void test_a_key_alone_is_counted_exactly(void **state) {
    (void)state;
    struct sketch *sketch = make_sketch();
    for (uint32_t i = 1; i <= 1000; i++) {
        assert_int_equal(sketch_add(sketch, hash_of(7)), i);
    }
    free(sketch);
}

static void test_estimates_are_never_too_low(void **state) {
    (void)state;
    enum { N_KEYS = 20000, ROUNDS = 5 };
    struct sketch *sketch = make_sketch();
    uint64_t excess = 0;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        for (uint64_t key = 0; key < N_KEYS; key++) {
            uint32_t estimate = sketch_add(sketch, hash_of(key));
            assert_true(estimate >= round);
            excess += round == ROUNDS ? estimate - round : 0;
        }
    }
    /* About 98 are added to a line: without the conservative update it would be 4.7 on average. */
    assert_in_range(excess, N_KEYS, 2 * N_KEYS);
    free(sketch);
}

/* Only what shares all counters with a key may be mistaken for it. */
static void test_one_great_count_does_not_raise_its_neighbours(void **state) {
    (void)state;
    struct sketch *sketch = make_sketch();
    for (int i = 0; i < 5000; i++) {
        sketch_add(sketch, hash_of(0));
    }
    uint32_t n_neighbours = 0, n_mistaken = 0;
    for (uint64_t key = 1; n_neighbours < 50; key++) {
        if (sketch_line(hash_of(key)) == sketch_line(hash_of(0))) {
            n_neighbours++;
            n_mistaken += sketch_add(sketch, hash_of(key)) > 50;
        }
    }
    assert_in_range(n_mistaken, 0, 1);
    free(sketch);
}

static void test_halving_is_of_the_lines_named(void **state) {
    (void)state;
    struct sketch *sketch = make_sketch();
    uint32_t line = sketch_line(hash_of(7));
    for (int i = 0; i < 101; i++) {
        sketch_add(sketch, hash_of(7));
    }
    sketch_halve(sketch, 0, line);
    sketch_halve(sketch, line + 1, SKETCH_LINES - line - 1);
    assert_int_equal(sketch_add(sketch, hash_of(7)), 102);
    sketch_halve(sketch, line, 1);
    assert_int_equal(sketch_add(sketch, hash_of(7)), 52);
    free(sketch);
}

static void test_the_greatest_count_stays(void **state) {
    (void)state;
    struct sketch *sketch = make_sketch();
    for (uint32_t i = 0; i < UINT16_MAX; i++) {
        sketch_add(sketch, hash_of(7));
    }
    assert_int_equal(sketch_add(sketch, hash_of(7)), UINT16_MAX);
    free(sketch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_alone_is_counted_exactly),
        cmocka_unit_test(test_estimates_are_never_too_low),
        cmocka_unit_test(test_one_great_count_does_not_raise_its_neighbours),
        cmocka_unit_test(test_halving_is_of_the_lines_named),
        cmocka_unit_test(test_the_greatest_count_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
