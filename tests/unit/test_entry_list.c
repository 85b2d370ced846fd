/* test_entry_list.c — entries come back in either order, and the list knows when it is full. */
#include "tests/support/test_prelude.h"

#include "client/cmd/entry_list.h"

static bool add(struct entry_list *list, const char *host, int64_t at_us) {
    struct access_log_entry entry = {.host = {(const uint8_t *)host, strlen(host)}, .at_us = at_us};
    return entry_list_add(list, &entry);
}

static void assert_next(struct entry_list *list, const char *host, int64_t at_us) {
    struct access_log_entry entry;
    assert_true(entry_list_take(list, &entry));
    assert_int_equal(entry.at_us, at_us);
    assert_int_equal(entry.host.len, strlen(host));
    assert_memory_equal(entry.host.data, host, entry.host.len);
}

static void test_without_sorting_the_order_is_kept(void **state) {
    struct access_log_entry entry;
    struct entry_list list;
    (void)state;
    entry_list_init(&list, 10);
    assert_false(entry_list_take(&list, &entry));
    assert_true(add(&list, "late", 9) && add(&list, "b", 1));
    assert_next(&list, "late", 9);
    assert_next(&list, "b", 1);
    assert_false(entry_list_take(&list, &entry));
    entry_list_deinit(&list);
}

static void test_a_full_list_refuses_and_keeps_what_it_has(void **state) {
    struct access_log_entry entry;
    struct entry_list list;
    (void)state;
    entry_list_init(&list, 2);
    assert_true(add(&list, "a", 1) && add(&list, "b", 2));
    assert_false(add(&list, "c", 3));
    assert_next(&list, "a", 1);
    assert_next(&list, "b", 2);
    assert_false(entry_list_take(&list, &entry));
    entry_list_deinit(&list);
}

static void test_hosts_have_a_bound_of_their_own(void **state) {
    enum { HOST_BYTES = 1024 * 1024 };
    static char host[HOST_BYTES + 1];
    struct entry_list list;
    (void)state;
    memset(host, 'h', HOST_BYTES);
    entry_list_init(&list, 1000);
    for (int i = 0; i < ENTRY_LIST_TEXT_MAX_BYTES / HOST_BYTES; i++) {
        assert_true(add(&list, host, i));
    }
    assert_false(add(&list, "x", 1));
    assert_int_equal(list.n, ENTRY_LIST_TEXT_MAX_BYTES / HOST_BYTES);
    entry_list_deinit(&list);
}

/* Host "7" is the eighth entry of its time; 30000 entries make the list grow several times. */
static void test_sorting_is_by_time_and_stable(void **state) {
    enum { N_TIMES = 3000, N_OF_A_TIME = 10 };
    struct access_log_entry entry;
    struct entry_list list;
    (void)state;
    entry_list_init(&list, N_TIMES * N_OF_A_TIME);
    for (int i = 0; i < N_OF_A_TIME; i++) {
        for (int64_t time = 0; time < N_TIMES; time++) {
            char host[8];
            snprintf(host, sizeof host, "%d", i);
            assert_true(add(&list, host, time * 1237 % N_TIMES)); /* every time once, scattered */
        }
    }
    entry_list_sort(&list);
    for (int64_t time = 0; time < N_TIMES; time++) {
        for (int i = 0; i < N_OF_A_TIME; i++) {
            char host[8];
            snprintf(host, sizeof host, "%d", i);
            assert_next(&list, host, time);
        }
    }
    assert_false(entry_list_take(&list, &entry));
    entry_list_deinit(&list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_sorting_the_order_is_kept),
        cmocka_unit_test(test_a_full_list_refuses_and_keeps_what_it_has),
        cmocka_unit_test(test_hosts_have_a_bound_of_their_own),
        cmocka_unit_test(test_sorting_is_by_time_and_stable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
