/* test_timeline.c — slots that widen as the log gets longer, and lose no count. */
#include "tests/support/test_prelude.h"

#include "client/cmd/timeline.h"

#define DAY_S INT64_C(86400)
#define LAST_S INT64_C(7258118399) /* 2199-12-31 23:59:59 */

static struct timeline *make_timeline(void) {
    struct timeline *timeline = malloc(sizeof *timeline);
    assert_non_null(timeline);
    timeline_init(timeline);
    return timeline;
}

static void add(struct timeline *timeline, int64_t at_s, bool is_allowed) {
    timeline_add(timeline, at_s * 1000000, is_allowed);
}

static struct timeline_slot sum(const struct timeline *timeline) {
    struct timeline_slot all = {0, 0};
    for (size_t i = 0; i < timeline->n_slots; i++) {
        all.n_allowed += timeline->slots[i].n_allowed;
        all.n_denied += timeline->slots[i].n_denied;
    }
    return all;
}

static void test_a_second_is_a_slot_at_first(void **state) {
    struct timeline *timeline = make_timeline();
    (void)state;
    assert_int_equal(timeline->n_slots, 0);
    add(timeline, 1000, true);
    add(timeline, 1000, false);
    add(timeline, 1003, true);
    assert_int_equal(timeline_width_s(timeline), 1);
    assert_int_equal(timeline->n_slots, 4);
    assert_int_equal(timeline_slot_at_s(timeline, 0), 1000);
    assert_int_equal(timeline->slots[0].n_allowed, 1);
    assert_int_equal(timeline->slots[0].n_denied, 1);
    assert_int_equal(timeline->slots[1].n_allowed, 0);
    assert_int_equal(timeline->slots[3].n_allowed, 1);
    free(timeline);
}

static void test_folding_merges_on_multiples_of_the_width(void **state) {
    struct timeline *timeline = make_timeline();
    (void)state;
    for (int64_t at_s = 58; at_s < 123; at_s++) {
        add(timeline, at_s, at_s % 2 == 0);
    }
    timeline_fold(timeline, 3);
    assert_int_equal(timeline_width_s(timeline), 60);
    assert_string_equal(timeline_width_text(timeline), "minute");
    assert_int_equal(timeline->n_slots, 3);
    assert_int_equal(timeline_slot_at_s(timeline, 0), 0);
    assert_int_equal(timeline->slots[0].n_allowed, 1);
    assert_int_equal(timeline->slots[0].n_denied, 1);
    assert_int_equal(timeline->slots[1].n_allowed, 30);
    assert_int_equal(timeline->slots[1].n_denied, 30);
    assert_int_equal(timeline->slots[2].n_allowed, 2);
    assert_int_equal(timeline->slots[2].n_denied, 1);
    free(timeline);
}

static void test_a_long_log_widens_the_slots_and_loses_nothing(void **state) {
    struct timeline *timeline = make_timeline();
    (void)state;
    for (int64_t day = 0; day < 365; day++) {
        add(timeline, 20000 * DAY_S + day * DAY_S + day, true);
        add(timeline, 20000 * DAY_S + day * DAY_S + day, false);
    }
    assert_true(timeline->n_slots <= TIMELINE_MAX_SLOTS);
    assert_int_equal(timeline_width_s(timeline), 3 * 3600);
    assert_int_equal(sum(timeline).n_allowed, 365);
    timeline_fold(timeline, 30);
    assert_int_equal(timeline_width_s(timeline), 28 * DAY_S);
    assert_int_equal(sum(timeline).n_allowed, 365);
    assert_int_equal(sum(timeline).n_denied, 365);
    free(timeline);
}

static void test_the_whole_calendar_fits(void **state) {
    struct timeline *timeline = make_timeline();
    (void)state;
    add(timeline, 0, true);
    add(timeline, LAST_S, false);
    assert_true(timeline->n_slots <= TIMELINE_MAX_SLOTS);
    assert_int_equal(timeline->slots[0].n_allowed, 1);
    assert_int_equal(timeline->slots[timeline->n_slots - 1].n_denied, 1);
    timeline_fold(timeline, 1);
    assert_string_equal(timeline_width_text(timeline), "52 weeks");
    assert_int_equal(sum(timeline).n_denied, 1);
    free(timeline);
}

static void test_a_time_before_the_first_slot_counts_there(void **state) {
    struct timeline *timeline = make_timeline();
    (void)state;
    add(timeline, 1000, true);
    add(timeline, 900, true);
    assert_int_equal(timeline->n_slots, 1);
    assert_int_equal(timeline->slots[0].n_allowed, 2);
    free(timeline);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_second_is_a_slot_at_first),
        cmocka_unit_test(test_folding_merges_on_multiples_of_the_width),
        cmocka_unit_test(test_a_long_log_widens_the_slots_and_loses_nothing),
        cmocka_unit_test(test_the_whole_calendar_fits),
        cmocka_unit_test(test_a_time_before_the_first_slot_counts_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
