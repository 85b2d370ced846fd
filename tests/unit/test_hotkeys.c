/* test_hotkeys.c — a key gets hot by what was measured, cools by half, and cannot be crowded out. */
#include "tests/support/test_prelude.h"

#include "server/core/hotkeys.h"
#include "server/core/sketch.h"

#define START_US INT64_C(5000000000)
#define SECOND_US INT64_C(1000000)

enum { HOT_PER_S = 1000, LEAST_PER_S = 100 };

struct bench {
    struct hotkeys *hotkeys;
    int64_t now_us;
    struct hotkey rows[HOTKEYS_MAX];
};

static struct hash128 hash_of(uint64_t key) {
    return hash_bytes_wide(&key, sizeof key, 42);
}

static struct bytes text(const char *string) {
    return (struct bytes){(const uint8_t *)string, strlen(string)};
}

static int set_up(void **state) {
    struct bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    bench->now_us = START_US;
    bench->hotkeys = hotkeys_create(
        &(struct hotkeys_options){.hot_per_s = HOT_PER_S, .least_hot_per_s = LEAST_PER_S}, START_US);
    assert_non_null(bench->hotkeys);
    *state = bench;
    return 0;
}

static int tear_down(void **state) {
    struct bench *bench = *state;
    hotkeys_destroy(&bench->hotkeys);
    assert_null(bench->hotkeys);
    free(bench);
    return 0;
}

/* One check; a new entry is named by the key's number. */
static struct hotkeys_count check(struct bench *bench, uint64_t key) {
    struct hotkeys_count count = hotkeys_count(bench->hotkeys, hash_of(key), bench->now_us);
    if (count.is_new) {
        char digits[24];
        snprintf(digits, sizeof digits, "%llu", (unsigned long long)key);
        hotkeys_name(bench->hotkeys, count.handle, text("t"), text("r"), text(digits));
    }
    return count;
}

/* Checks of the keys [first, first + n_keys), each at the rate, evenly, for so long. Returns the last check's. */
static struct hotkeys_count run(struct bench *bench, uint64_t first, uint64_t n_keys, int64_t per_s,
                                int64_t for_us) {
    struct hotkeys_count count = {0};
    int64_t n_rounds = per_s * for_us / SECOND_US;
    int64_t begin_us = bench->now_us;
    for (int64_t i = 0; i < n_rounds; i++) {
        bench->now_us = begin_us + i * SECOND_US / per_s;
        hotkeys_tick(bench->hotkeys, bench->now_us);
        for (uint64_t key = first; key < first + n_keys; key++) {
            count = check(bench, key);
        }
    }
    bench->now_us = begin_us + for_us;
    return count;
}

static void note(struct bench *bench, uint32_t handle, enum decision_source source, bool is_allowed, int n) {
    struct decision decision = {.source = source, .allowed = is_allowed};
    for (int i = 0; i < n; i++) {
        hotkeys_note_decision(bench->hotkeys, handle, &decision, bench->now_us);
    }
}

static void rest(struct bench *bench, int64_t for_us) {
    for (int64_t end_us = bench->now_us + for_us; bench->now_us < end_us; bench->now_us += 10000) {
        hotkeys_tick(bench->hotkeys, bench->now_us);
    }
}

static const struct hotkey *find_row(struct bench *bench, uint64_t key) {
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)key);
    size_t n = hotkeys_copy(bench->hotkeys, bench->now_us, bench->rows);
    for (size_t i = 0; i < n; i++) {
        struct bytes name = hotkey_name_key(&bench->rows[i].name);
        if (name.len == (size_t)len && memcmp(name.data, digits, name.len) == 0) {
            return &bench->rows[i];
        }
    }
    return NULL;
}

static void test_a_key_seldom_checked_has_no_entry(void **state) {
    struct bench *bench = *state;
    struct hotkeys_count count = run(bench, 1, 1, 2, 20 * SECOND_US);
    assert_int_equal(count.handle, 0);
    assert_false(count.is_hot);
    assert_int_equal(hotkeys_copy(bench->hotkeys, bench->now_us, bench->rows), 0);
}

static void test_an_entry_is_new_once(void **state) {
    struct bench *bench = *state;
    int n_new = 0;
    uint32_t handle = 0;
    for (int i = 0; i < 100; i++) {
        struct hotkeys_count count = hotkeys_count(bench->hotkeys, hash_of(1), bench->now_us);
        n_new += count.is_new;
        assert_true(handle == 0 || count.handle == handle);
        handle = count.handle;
    }
    assert_int_equal(n_new, 1);
    assert_int_not_equal(handle, 0);
}

static void test_rates_are_measured(void **state) {
    struct bench *bench = *state;
    struct hotkeys_count count = run(bench, 1, 1, 400, 3 * SECOND_US);
    note(bench, count.handle, DECISION_STORE, true, 40);
    note(bench, count.handle, DECISION_STORE, false, 10);
    note(bench, count.handle, DECISION_LOCAL, false, 20);
    bench->now_us += SECOND_US / 2;
    const struct hotkey *row = find_row(bench, 1);
    assert_non_null(row);
    assert_int_equal(row->checks_per_s, 200); /* 400 in the second before, half of which counts still */
    assert_int_equal(row->denied_per_s, 30);
    assert_int_equal(row->decided_per_s[DECISION_STORE], 50);
    assert_int_equal(row->decided_per_s[DECISION_LOCAL], 20);
    assert_int_equal(row->decided_per_s[DECISION_NONE], 0);
    assert_int_equal(hotkey_name_tenant(&row->name).data[0], 't');
    assert_int_equal(hotkey_name_resource(&row->name).data[0], 'r');
}

static void test_a_key_is_hot_from_the_threshold_on(void **state) {
    struct bench *bench = *state;
    assert_false(run(bench, 1, 1, HOT_PER_S - 10, 5 * SECOND_US).is_hot);
    assert_true(run(bench, 1, 1, HOT_PER_S + 10, 3 * SECOND_US).is_hot);
    assert_true(find_row(bench, 1)->is_hot);
}

static void test_a_very_hot_key_is_seen_at_once(void **state) {
    struct bench *bench = *state;
    run(bench, 1, 1, 30 * HOT_PER_S,
        SECOND_US / 25); /* 40 ms: 1200 checks, a few of them before it had an entry */
    assert_true(find_row(bench, 1)->is_hot);
}

static void test_it_stays_hot_down_to_half_the_threshold(void **state) {
    struct bench *bench = *state;
    assert_int_equal(hotkeys_n_hot(bench->hotkeys), 0);
    assert_true(run(bench, 1, 1, 2 * HOT_PER_S, 3 * SECOND_US).is_hot);
    assert_true(run(bench, 1, 1, HOT_PER_S * 6 / 10, 5 * SECOND_US).is_hot);
    assert_int_equal(hotkeys_n_hot(bench->hotkeys), 1);
    assert_false(run(bench, 1, 1, HOT_PER_S * 4 / 10, 3 * SECOND_US).is_hot);
    assert_int_equal(hotkeys_n_hot(bench->hotkeys), 0);
    assert_false(run(bench, 1, 1, HOT_PER_S * 6 / 10, 5 * SECOND_US).is_hot);
}

static void test_an_answer_of_the_next_second_cools_no_key(void **state) {
    struct bench *bench = *state;
    struct hotkeys_count count = run(bench, 1, 1, 2 * HOT_PER_S, 3 * SECOND_US - 10);
    assert_true(count.is_hot);
    bench->now_us += 20;
    note(bench, count.handle, DECISION_STORE, true, 1);
    bench->now_us -= 20;
    assert_true(check(bench, 1).is_hot);
}

static void test_a_key_that_nobody_asks_for_cools_and_goes(void **state) {
    struct bench *bench = *state;
    uint32_t handle = run(bench, 1, 1, 2 * HOT_PER_S, 3 * SECOND_US).handle;
    assert_int_equal(hotkeys_n_hot(bench->hotkeys), 1);
    rest(bench, 4 * SECOND_US);
    assert_null(find_row(bench, 1));
    assert_int_equal(hotkeys_n_hot(bench->hotkeys), 0);
    note(bench, handle, DECISION_STORE, false, 1); /* stale by now */
    struct hotkeys_count count = run(bench, 2, 1, 400, SECOND_US);
    assert_int_not_equal(count.handle, handle);
    hotkeys_name(bench->hotkeys, handle, text("t"), text("r"), text("stale"));
    note(bench, handle, DECISION_STORE, false, 1);
    assert_int_equal(find_row(bench, 2)->denied_per_s, 0);
    assert_int_equal(find_row(bench, 2)->decided_per_s[DECISION_STORE], 0);
}

static void test_five_times_the_median_is_hot(void **state) {
    struct bench *bench = *state;
    for (int second = 0; second < 6; second++) { /* 40 keys at 50/s, one at 350/s */
        for (int i = 0; i < 50; i++) {
            for (uint64_t key = 1; key <= 40; key++) {
                check(bench, key);
            }
            for (int j = 0; j < 7; j++) {
                check(bench, 99);
            }
            bench->now_us += SECOND_US / 50;
            hotkeys_tick(bench->hotkeys, bench->now_us);
        }
    }
    assert_in_range(hotkeys_threshold_per_s(bench->hotkeys), 245, 255);
    assert_true(find_row(bench, 99)->is_hot);
    assert_false(find_row(bench, 1)->is_hot);
}

static void test_the_median_moves_the_threshold_between_its_bounds(void **state) {
    struct bench *bench = *state;
    assert_int_equal(hotkeys_threshold_per_s(bench->hotkeys), HOT_PER_S);
    run(bench, 1, 50, 10, 4 * SECOND_US);
    assert_int_equal(hotkeys_threshold_per_s(bench->hotkeys), LEAST_PER_S);
    run(bench, 1, 50, 300, 4 * SECOND_US);
    assert_int_equal(hotkeys_threshold_per_s(bench->hotkeys), HOT_PER_S);
    rest(bench, 4 * SECOND_US);
    assert_int_equal(hotkeys_threshold_per_s(bench->hotkeys), HOT_PER_S);
}

/* As many keys as there are entries, at 40/s, and others beside them. */
struct contest {
    uint64_t n_lesser;  /* keys at 30/s */
    uint64_t n_greater; /* keys at 300/s */
    int n_new_lesser, n_new_greater;
};

static void contend(struct bench *bench, struct contest *contest, int64_t for_us) {
    for (int64_t i = 0; i < for_us * 120 / SECOND_US; i++) {
        for (uint64_t key = 1; i % 3 == 0 && key <= HOTKEYS_MAX; key++) {
            check(bench, key);
        }
        for (uint64_t key = 0; i % 4 == 0 && key < contest->n_lesser; key++) {
            contest->n_new_lesser += check(bench, 1000 + key).is_new;
        }
        for (uint64_t n = 0; n < contest->n_greater * (2 + (uint64_t)i % 2); n++) {
            contest->n_new_greater += check(bench, 2000 + n % contest->n_greater).is_new;
        }
        bench->now_us += SECOND_US / 120;
        hotkeys_tick(bench->hotkeys, bench->now_us);
    }
}

static void test_a_full_table_keeps_its_keys_from_lesser_ones(void **state) {
    struct bench *bench = *state;
    struct contest contest = {0};
    contend(bench, &contest, 4 * SECOND_US);
    contest.n_lesser = 100;
    contend(bench, &contest, 4 * SECOND_US);
    assert_int_equal(contest.n_new_lesser, 0);
    assert_int_equal(hotkeys_copy(bench->hotkeys, bench->now_us, bench->rows), HOTKEYS_MAX);
}

/* They hold their entries while they are being measured, though others would like to have them. */
static void test_a_full_table_gives_way_to_greater_ones_for_good(void **state) {
    struct bench *bench = *state;
    struct contest contest = {0};
    contend(bench, &contest, 4 * SECOND_US);
    contest.n_greater = 20;
    contend(bench, &contest, 4 * SECOND_US);
    assert_in_range(contest.n_new_greater, 20, 30); /* hardly one twice */
    for (uint64_t key = 2000; key < 2020; key++) {
        assert_in_range(find_row(bench, key)->checks_per_s, 290, 300);
    }
}

static void test_a_flood_of_keys_makes_none_hot_and_pushes_none_out(void **state) {
    struct bench *bench = *state;
    uint64_t fresh = 1000000;
    int n_false_alarms = 0;
    uint32_t handle = run(bench, 1, 1, 2 * HOT_PER_S, 2 * SECOND_US).handle;
    for (int i = 0; i < 2 * 2000; i++) { /* 200000 new keys a second */
        struct hotkeys_count count = check(bench, 1);
        assert_true(count.is_hot);
        assert_int_equal(count.handle, handle);
        for (int j = 0; j < 100; j++) {
            n_false_alarms += check(bench, fresh++).is_hot;
        }
        bench->now_us += 500;
        hotkeys_tick(bench->hotkeys, bench->now_us);
    }
    assert_int_equal(n_false_alarms, 0);
}

static void test_memory_is_bounded(void **state) {
    (void)state;
    assert_in_range(hotkeys_bytes(), SKETCH_LINES * SKETCH_LINE_BYTES, HOTKEYS_MAX_BYTES);
}

static void test_a_pause_of_a_day_leaves_nothing_hot(void **state) {
    struct bench *bench = *state;
    run(bench, 1, 5, 2 * HOT_PER_S, 2 * SECOND_US);
    bench->now_us += 86400 * SECOND_US;
    assert_false(check(bench, 1).is_hot);
    hotkeys_tick(bench->hotkeys, bench->now_us);
    assert_int_equal(hotkeys_copy(bench->hotkeys, bench->now_us, bench->rows), 1);
    assert_int_equal(bench->rows[0].checks_per_s, 1);
}

#define bench_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        bench_test(test_a_key_seldom_checked_has_no_entry),
        bench_test(test_an_entry_is_new_once),
        bench_test(test_rates_are_measured),
        bench_test(test_a_key_is_hot_from_the_threshold_on),
        bench_test(test_a_very_hot_key_is_seen_at_once),
        bench_test(test_it_stays_hot_down_to_half_the_threshold),
        bench_test(test_an_answer_of_the_next_second_cools_no_key),
        bench_test(test_a_key_that_nobody_asks_for_cools_and_goes),
        bench_test(test_five_times_the_median_is_hot),
        bench_test(test_the_median_moves_the_threshold_between_its_bounds),
        bench_test(test_a_full_table_keeps_its_keys_from_lesser_ones),
        bench_test(test_a_full_table_gives_way_to_greater_ones_for_good),
        bench_test(test_a_flood_of_keys_makes_none_hot_and_pushes_none_out),
        cmocka_unit_test(test_memory_is_bounded),
        bench_test(test_a_pause_of_a_day_leaves_nothing_hot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
