/* test_table.c — fixed memory, and no eviction that refills a bucket. */
#include "tests/support/test_prelude.h"

#include "server/core/table.h"

static struct hash128 hash_of(uint64_t n) {
    return hash_bytes_wide(&n, sizeof n, 42);
}

static struct bucket_record record_of(int64_t utok) {
    return (struct bucket_record){.at_us = utok + 1, .n_levels = 1, .levels[0] = {.id = 9, .utok = utok}};
}

static void test_a_record_comes_back_as_saved(void **state) {
    (void)state;
    struct table *table = table_create(1000, 2);
    struct bucket_record saved = {.at_us = 77, .n_levels = 2, .levels = {{1, 11}, {2, -22}}}, loaded = {0};
    bool known = true;
    struct table_slot *slot = table_find(table, hash_of(1), 0, &known);
    assert_false(known);
    table_save(table, slot, hash_of(1), &saved, 100);
    slot = table_find(table, hash_of(1), 0, &known);
    assert_true(known);
    table_load(slot, &loaded);
    assert_memory_equal(&loaded, &saved, sizeof saved);
    table_destroy(&table);
    assert_null(table);
}

static void test_a_full_set_gives_no_place_until_a_bucket_is_full_again(void **state) {
    (void)state;
    struct table *table = table_create(1, 1); /* one set */
    struct bucket_record record = record_of(5);
    bool known;
    for (uint64_t i = 0; i < TABLE_WAYS; i++) {
        struct table_slot *slot = table_find(table, hash_of(i), 10, &known);
        assert_non_null(slot);
        table_save(table, slot, hash_of(i), &record, 100 + (int64_t)i);
    }
    assert_null(table_find(table, hash_of(99), 99, &known));
    assert_false(known);
    assert_non_null(table_find(table, hash_of(3), 99, &known));
    assert_true(known);
    struct table_slot *slot = table_find(table, hash_of(99), 100, &known);
    assert_non_null(slot);
    assert_false(known);
    table_save(table, slot, hash_of(99), &record, 500);
    table_find(table, hash_of(0), 100, &known);
    assert_false(known); /* the one that was full again made room */
    table_find(table, hash_of(1), 100, &known);
    assert_true(known);
    table_destroy(&table);
}

static void test_a_known_key_is_kept_even_when_full_again(void **state) {
    (void)state;
    struct table *table = table_create(1, 1);
    struct bucket_record record = record_of(5);
    bool known;
    table_save(table, table_find(table, hash_of(1), 0, &known), hash_of(1), &record, 100);
    table_find(table, hash_of(1), 1000000, &known);
    assert_true(known);
    table_destroy(&table);
}

static void test_debt_and_mark_are_the_owners(void **state) {
    (void)state;
    struct table *table = table_create(1, 1);
    struct bucket_record record = record_of(5);
    bool known;
    struct table_slot *slot = table_find(table, hash_of(1), 0, &known);
    assert_int_equal(*table_debt(slot), 0);
    assert_int_equal(*table_mark(slot), 0);
    *table_debt(slot) = 7;
    *table_mark(slot) = 77;
    table_save(table, slot, hash_of(1), &record, 100);
    slot = table_find(table, hash_of(1), 0, &known);
    assert_true(known);
    assert_int_equal(*table_debt(slot), 7);
    assert_int_equal(*table_mark(slot), 77);
    table_destroy(&table);
}

static void test_many_keys_find_room(void **state) {
    (void)state;
    enum { N = 70000 }; /* of 131072 slots */
    struct table *table = table_create(100000, 1);
    bool known;
    int n_without_place = 0;
    for (uint64_t i = 0; i < N; i++) {
        struct bucket_record record = record_of((int64_t)i);
        struct table_slot *slot = table_find(table, hash_of(i), 0, &known);
        if (slot == NULL) {
            n_without_place++;
        } else {
            table_save(table, slot, hash_of(i), &record, 100);
        }
    }
    assert_in_range(n_without_place, 0, N / 50);
    int n_right = 0;
    for (uint64_t i = 0; i < N; i++) {
        struct bucket_record record = {0};
        struct table_slot *slot = table_find(table, hash_of(i), 0, &known);
        if (known) {
            table_load(slot, &record);
            n_right += record.levels[0].utok == (int64_t)i;
        }
    }
    assert_int_equal(n_right, N - n_without_place);
    table_destroy(&table);
}

static void test_a_wider_table_holds_the_same(void **state) {
    (void)state;
    enum { N = 500, STEP = 4 };
    struct table *table = table_create(1024, 1);
    bool known;
    for (uint64_t i = 0; i < N; i++) {
        struct bucket_record record = record_of((int64_t)i);
        struct table_slot *slot = table_find(table, hash_of(i), 0, &known);
        table_save(table, slot, hash_of(i), &record, 1000);
        *table_debt(slot) = (int64_t)i * 2;
    }
    struct table *wider = table_create_wider(table, 3);
    assert_int_equal(table_max_levels(wider), 3);
    for (uint64_t part = 0; part < STEP; part++) {
        table_copy(wider, table, part, STEP);
    }
    table_destroy(&table);
    for (uint64_t i = 0; i < N; i++) {
        struct bucket_record record = {0}, expected = record_of((int64_t)i);
        struct table_slot *slot = table_find(wider, hash_of(i), 0, &known);
        assert_true(known);
        table_load(slot, &record);
        assert_memory_equal(&record, &expected, sizeof record);
        assert_int_equal(*table_debt(slot), i * 2);
    }
    assert_non_null(table_find(wider, hash_of(N), 1000, &known));
    assert_false(known);
    struct bucket_record three = {.at_us = 1, .n_levels = 3, .levels = {{1, 1}, {2, 2}, {3, 3}}}, again = {0};
    struct table_slot *slot = table_find(wider, hash_of(0), 0, &known);
    table_save(wider, slot, hash_of(0), &three, 5);
    table_load(slot, &again);
    assert_memory_equal(&again, &three, sizeof three);
    table_destroy(&wider);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_comes_back_as_saved),
        cmocka_unit_test(test_a_full_set_gives_no_place_until_a_bucket_is_full_again),
        cmocka_unit_test(test_a_known_key_is_kept_even_when_full_again),
        cmocka_unit_test(test_debt_and_mark_are_the_owners),
        cmocka_unit_test(test_many_keys_find_room),
        cmocka_unit_test(test_a_wider_table_holds_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
