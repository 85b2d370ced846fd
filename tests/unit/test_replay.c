/* test_replay.c — wishes in their order, as many tokens as there are, and an answer of before under other limits. */
#include "tests/support/test_prelude.h"

#include "server/store/replay.h"

/* 1 per second, 10 at once. */
static const struct bucket_limit ten[] = {{.id = 7, .count = 1, .period_s = 1, .burst_utok = 10000000}};
static const struct quota_part part = {.n_limits = 1, .limits = ten};
static const struct bucket_limit ten_and_three[] = {
    {.id = 7, .count = 1, .period_s = 1, .burst_utok = 10000000},
    {.id = 8, .count = 1, .period_s = 1, .burst_utok = 3000000},
};

static void test_a_smaller_wish_behind_a_large_one_is_granted(void **state) {
    (void)state;
    struct bucket_record record = {0};
    struct store_wish wishes[] = {
        {.cost_tokens = 6}, {.cost_tokens = 5}, {.cost_tokens = 4}, {.cost_tokens = 1}};
    struct store_take take = {.part = &part, .wishes = wishes, .n_wishes = 4};
    assert_int_equal(replay_take(&take, &record, 1000), 10);
    assert_true(wishes[0].verdict.allowed);
    assert_int_equal(wishes[0].verdict.remaining_utok, 4000000);
    assert_false(wishes[1].verdict.allowed);
    assert_int_equal(wishes[1].verdict.retry_after_us, 1000000);
    assert_true(wishes[2].verdict.allowed);
    assert_int_equal(wishes[2].verdict.remaining_utok, 0);
    assert_false(wishes[3].verdict.allowed);
    assert_int_equal(record.levels[0].utok, 0);
}

static void test_at_most_is_bound_by_the_tightest_limit(void **state) {
    (void)state;
    struct quota_part both = {.n_limits = 2, .limits = ten_and_three};
    struct bucket_record record = {.at_us = 0, .n_levels = 2, .levels = {{7, 9000000}, {8, 2900000}}};
    struct store_wish wish = {.cost_tokens = 100};
    struct store_take take = {.part = &both, .wishes = &wish, .n_wishes = 1, .at_most = true};
    assert_int_equal(replay_take(&take, &record, 0), 2);
    assert_true(wish.verdict.allowed);
    assert_int_equal(wish.verdict.limit_index, 1);
    assert_int_equal(record.levels[0].utok, 7000000);
    assert_int_equal(record.levels[1].utok, 900000);
    assert_int_equal(replay_take(&take, &record, 0), 0);
    assert_false(wish.verdict.allowed);
    assert_int_equal(wish.verdict.retry_after_us, 100000);
    wish.cost_tokens = 1;
    assert_int_equal(replay_take(&take, &record, 100000), 1);
}

static void test_at_most_of_a_debt_is_denied(void **state) {
    (void)state;
    struct bucket_record record = {.at_us = 0, .n_levels = 1, .levels = {{7, -4500000}}};
    struct store_wish wish = {.cost_tokens = 5};
    struct store_take take = {.part = &part, .wishes = &wish, .n_wishes = 1, .at_most = true};
    assert_int_equal(replay_take(&take, &record, 0), 0);
    assert_false(wish.verdict.allowed);
    assert_int_equal(wish.verdict.retry_after_us, 5500000);
}

static void test_an_earlier_answer_stands_under_other_limits(void **state) {
    (void)state;
    const struct bucket_record record = {.at_us = 0, .n_levels = 1, .levels = {{7, 4000000}}};
    struct store_wish wish = {.cost_tokens = 4};
    struct store_take take = {.part = &part, .wishes = &wish, .n_wishes = 1};
    replay_earlier_take(&take, &record, 4, 0);
    assert_true(wish.verdict.allowed);
    assert_int_equal(wish.verdict.remaining_utok, 0);
    replay_earlier_take(&take, &record, 0, 0); /* the burst was smaller then */
    assert_false(wish.verdict.allowed);
    struct quota_part three = {.n_limits = 1, .limits = &ten_and_three[1]};
    take.part = &three; /* the burst is smaller now */
    replay_earlier_take(&take, &record, 4, 0);
    assert_true(wish.verdict.allowed);
    assert_int_equal(wish.verdict.retry_after_us, 0);
}

static void test_an_earlier_part_is_told_whatever_is_wished_for_now(void **state) {
    (void)state;
    const struct bucket_record record = {.at_us = 0, .n_levels = 1, .levels = {{7, 4500000}}};
    const struct bucket_record empty = {.at_us = 0, .n_levels = 1, .levels = {{7, 500000}}};
    struct store_wish wish = {.cost_tokens = 2};
    struct store_take take = {.part = &part, .wishes = &wish, .n_wishes = 1, .at_most = true};
    replay_earlier_take(&take, &record, 4, 0);
    assert_true(wish.verdict.allowed);
    assert_int_equal(wish.verdict.remaining_utok, 500000);
    replay_earlier_take(&take, &empty, 0, 0);
    assert_false(wish.verdict.allowed);
    assert_int_equal(wish.verdict.retry_after_us, 500000); /* until there is one */
}

static void test_a_give_tells_the_limit_with_the_least_left(void **state) {
    (void)state;
    struct quota_part both = {.n_limits = 2, .limits = ten_and_three};
    const struct bucket_record record = {.at_us = 0, .n_levels = 2, .levels = {{7, 2000000}, {8, 1000000}}};
    struct store_give give = {.part = &both};
    replay_give(&give, &record, 500000);
    assert_int_equal(give.verdict.limit_index, 1);
    assert_int_equal(give.verdict.remaining_utok, 1500000);
    assert_int_equal(give.verdict.reset_after_us, 1500000);
    assert_int_equal(give.verdict.full_after_us, 7500000);
    const struct bucket_record none = {0};
    replay_give(&give, &none, 0);
    assert_int_equal(give.verdict.remaining_utok, 3000000);
    assert_int_equal(give.verdict.full_after_us, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_smaller_wish_behind_a_large_one_is_granted),
        cmocka_unit_test(test_at_most_is_bound_by_the_tightest_limit),
        cmocka_unit_test(test_at_most_of_a_debt_is_denied),
        cmocka_unit_test(test_an_earlier_answer_stands_under_other_limits),
        cmocka_unit_test(test_an_earlier_part_is_told_whatever_is_wished_for_now),
        cmocka_unit_test(test_a_give_tells_the_limit_with_the_least_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
