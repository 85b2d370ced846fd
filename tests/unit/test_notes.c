/* test_notes.c — notes are found until their time is over, and none is forgotten before it. */
#include "tests/support/test_prelude.h"

#include "server/core/notes.h"

static struct hash128 hash_of(uint64_t n) {
    return (struct hash128){.low = n * UINT64_C(0x9e3779b97f4a7c15), .high = n * UINT64_C(0xbf58476d1ce4e5b9)};
}

static void test_a_note_lasts_until_its_time(void **state) {
    (void)state;
    struct notes *notes = notes_create(16, sizeof(int));
    assert_non_null(notes);
    assert_null(notes_find(notes, hash_of(1), 0));
    int *note = notes_add(notes, hash_of(1), 0, 100);
    assert_non_null(note);
    assert_int_equal(*note, 0);
    *note = 7;
    assert_ptr_equal(notes_find(notes, hash_of(1), 99), note);
    assert_int_equal(*note, 7);
    assert_null(notes_find(notes, hash_of(2), 99));
    assert_null(notes_find(notes, hash_of(1), 100));
    int *again = notes_add(notes, hash_of(1), 100, 200);
    assert_non_null(again);
    assert_int_equal(*again, 0);
    notes_destroy(&notes);
    assert_null(notes);
}

static void test_a_removed_note_is_gone(void **state) {
    (void)state;
    struct notes *notes = notes_create(16, 3);
    uint8_t *first = notes_add(notes, hash_of(1), 0, 100), *second = notes_add(notes, hash_of(2), 0, 100);
    memset(first, 1, 3);
    memset(second, 2, 3);
    notes_remove(first);
    assert_null(notes_find(notes, hash_of(1), 0));
    assert_ptr_equal(notes_find(notes, hash_of(2), 0), second);
    assert_int_equal(second[2], 2);
    notes_destroy(&notes);
}

static void test_a_full_set_forgets_nobody(void **state) {
    (void)state;
    struct notes *notes = notes_create(NOTES_WAYS, sizeof(int64_t));
    for (int64_t i = 0; i < NOTES_WAYS; i++) {
        int64_t *note = notes_add(notes, hash_of((uint64_t)i), 0, 100 + i);
        assert_non_null(note);
        *note = i;
    }
    assert_null(notes_add(notes, hash_of(99), 99, 200));
    for (int64_t i = 0; i < NOTES_WAYS; i++) {
        int64_t *note = notes_find(notes, hash_of((uint64_t)i), 99);
        assert_non_null(note);
        assert_int_equal(*note, i);
    }
    assert_non_null(notes_add(notes, hash_of(99), 100, 200));
    assert_null(notes_add(notes, hash_of(98), 100, 200));
    notes_destroy(&notes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_note_lasts_until_its_time),
        cmocka_unit_test(test_a_removed_note_is_gone),
        cmocka_unit_test(test_a_full_set_forgets_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
