/* test_tally.c — counts by key, the cap, and the ranking. */
#include "tests/support/test_prelude.h"

#include "client/cmd/tally.h"

static struct bytes bytes_of(const char *text) {
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static void count_times(struct tally *tally, const char *key, enum tally_result result, int n) {
    for (int i = 0; i < n; i++) {
        tally_count(tally, tally_index(tally, bytes_of(key)), result);
    }
}

static void assert_row(const struct tally_row *row, const char *key, uint64_t n_denied, uint64_t n_allowed) {
    assert_int_equal(row->key.len, strlen(key));
    assert_memory_equal(row->key.data, key, row->key.len);
    assert_int_equal(row->n[TALLY_DENIED], n_denied);
    assert_int_equal(row->n[TALLY_ALLOWED], n_allowed);
}

static void test_a_key_keeps_its_number(void **state) {
    struct tally *tally = tally_create(100);
    (void)state;
    assert_non_null(tally);
    uint32_t a = tally_index(tally, bytes_of("a")), b = tally_index(tally, bytes_of("b"));
    assert_int_not_equal(a, TALLY_OTHERS);
    assert_int_not_equal(a, b);
    assert_int_equal(tally_index(tally, bytes_of("a")), a);
    assert_int_equal(tally_key(tally, b).len, 1);
    assert_memory_equal(tally_key(tally, b).data, "b", 1);
    assert_int_equal(tally_n_keys(tally), 2);
    tally_destroy(&tally);
    assert_null(tally);
}

static void test_the_empty_key_and_one_with_a_nul_are_keys(void **state) {
    struct tally *tally = tally_create(100);
    (void)state;
    assert_non_null(tally);
    uint32_t empty = tally_index(tally, (struct bytes){NULL, 0});
    uint32_t with_nul = tally_index(tally, (struct bytes){(const uint8_t *)"a\0b", 3});
    assert_int_not_equal(empty, TALLY_OTHERS);
    assert_int_equal(tally_index(tally, (struct bytes){NULL, 0}), empty);
    assert_int_equal(tally_index(tally, (struct bytes){(const uint8_t *)"a\0b", 3}), with_nul);
    assert_int_not_equal(tally_index(tally, bytes_of("a")), with_nul);
    tally_destroy(&tally);
}

static void test_the_most_denied_come_first_and_equal_ones_by_key(void **state) {
    struct tally *tally = tally_create(100);
    struct tally_row rows[4];
    (void)state;
    assert_non_null(tally);
    count_times(tally, "never", TALLY_ALLOWED, 9);
    count_times(tally, "often", TALLY_DENIED, 5);
    count_times(tally, "often", TALLY_ALLOWED, 2);
    count_times(tally, "bb", TALLY_DENIED, 3);
    count_times(tally, "b", TALLY_DENIED, 3);
    count_times(tally, "rare", TALLY_DENIED, 1);
    count_times(tally, "most", TALLY_DENIED, 7);
    assert_int_equal(tally_most_denied(tally, rows, 4), 4);
    assert_row(&rows[0], "most", 7, 0);
    assert_row(&rows[1], "often", 5, 2);
    assert_row(&rows[2], "b", 3, 0);
    assert_row(&rows[3], "bb", 3, 0);
    assert_int_equal(tally_most_denied(tally, rows, 1), 1);
    assert_row(&rows[0], "most", 7, 0);
    assert_int_equal(tally_most_denied(tally, rows, 0), 0);
    assert_int_equal(tally_n_denied_keys(tally), 5);
    tally_destroy(&tally);
}

static void test_totals_are_over_all_keys(void **state) {
    struct tally *tally = tally_create(100);
    (void)state;
    assert_non_null(tally);
    count_times(tally, "a", TALLY_ALLOWED, 3);
    count_times(tally, "b", TALLY_ALLOWED, 4);
    count_times(tally, "b", TALLY_DENIED, 2);
    count_times(tally, "c", TALLY_FAILED, 1);
    assert_int_equal(tally_total(tally, TALLY_ALLOWED), 7);
    assert_int_equal(tally_total(tally, TALLY_DENIED), 2);
    assert_int_equal(tally_total(tally, TALLY_FAILED), 1);
    tally_destroy(&tally);
}

static void test_keys_above_the_cap_are_counted_together(void **state) {
    struct tally *tally = tally_create(2);
    struct tally_row rows[4];
    (void)state;
    assert_non_null(tally);
    count_times(tally, "a", TALLY_DENIED, 1);
    count_times(tally, "b", TALLY_DENIED, 1);
    count_times(tally, "c", TALLY_DENIED, 5);
    count_times(tally, "d", TALLY_ALLOWED, 6);
    count_times(tally, "a", TALLY_DENIED, 1);
    assert_int_equal(tally_index(tally, bytes_of("c")), TALLY_OTHERS);
    assert_int_equal(tally_n_keys(tally), 2);
    assert_int_equal(tally_n_others(tally), 11);
    assert_int_equal(tally_total(tally, TALLY_DENIED), 8);
    assert_int_equal(tally_n_denied_keys(tally), 2);
    assert_int_equal(tally_most_denied(tally, rows, 4), 2);
    assert_row(&rows[0], "a", 2, 0);
    tally_destroy(&tally);
}

/* Grows through several doublings; each key is denied as often as its number says. */
static void test_many_keys_keep_their_counts(void **state) {
    enum { N_KEYS = 5000 };
    struct tally *tally = tally_create(N_KEYS);
    struct tally_row rows[2];
    char key[16];
    (void)state;
    assert_non_null(tally);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N_KEYS; i++) {
            snprintf(key, sizeof key, "key %d", i);
            count_times(tally, key, TALLY_DENIED, 1);
            count_times(tally, key, TALLY_ALLOWED, i == 4321);
        }
    }
    count_times(tally, "key 77", TALLY_DENIED, 2);
    count_times(tally, "key 4321", TALLY_DENIED, 1);
    assert_int_equal(tally_n_keys(tally), N_KEYS);
    assert_int_equal(tally_n_others(tally), 0);
    assert_int_equal(tally_total(tally, TALLY_DENIED), 3 * N_KEYS + 3);
    assert_int_equal(tally_most_denied(tally, rows, 2), 2);
    assert_row(&rows[0], "key 77", 5, 0);
    assert_row(&rows[1], "key 4321", 4, 3);
    tally_destroy(&tally);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_keeps_its_number),
        cmocka_unit_test(test_the_empty_key_and_one_with_a_nul_are_keys),
        cmocka_unit_test(test_the_most_denied_come_first_and_equal_ones_by_key),
        cmocka_unit_test(test_totals_are_over_all_keys),
        cmocka_unit_test(test_keys_above_the_cap_are_counted_together),
        cmocka_unit_test(test_many_keys_keep_their_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
