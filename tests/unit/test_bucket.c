/* test_bucket.c — the rules of bucket.h, one example each; tests/property has the random traces. */
#include "tests/support/test_prelude.h"

#include "server/core/bucket.h"

#define SECOND_US INT64_C(1000000)
#define HOUR_US (3600 * SECOND_US)
#define DAY_US (24 * HOUR_US)
#define YEAR_US (365 * DAY_US)
#define START_US INT64_C(1800000000000000)

static struct bucket_limit limit_of(enum bucket_algorithm algorithm, int64_t count, int64_t period_s,
                                    int64_t burst_tokens) {
    struct bucket_limit limit = {
        .id = 1, .algorithm = algorithm, .burst_utok = burst_tokens * BUCKET_UTOK_PER_TOKEN};
    assert_true(bucket_set_rate(&limit, count, period_s, NULL));
    return limit;
}

static struct bucket_limit token_limit(int64_t count, int64_t period_s, int64_t burst_tokens) {
    return limit_of(BUCKET_TOKEN, count, period_s, burst_tokens);
}

static struct bucket_verdict check(struct bucket_record *record, const struct bucket_limit *limit,
                                   int64_t cost_tokens, int64_t now_us) {
    struct bucket_verdict verdict;
    bucket_check(record, limit, 1, cost_tokens, now_us, false, &verdict);
    return verdict;
}

/* How many checks of one token in a row are allowed at this time, `most` at most. */
static int64_t count_allowed(struct bucket_record *record, const struct bucket_limit *limit, int64_t now_us,
                             int64_t most) {
    int64_t n = 0;
    while (n < most && check(record, limit, 1, now_us).allowed) {
        n++;
    }
    return n;
}

static void test_rate_is_kept_in_lowest_terms(void **state) {
    (void)state;
    struct bucket_limit limit = {0};
    assert_true(bucket_set_rate(&limit, 5000, 60, NULL));
    assert_int_equal(limit.count, 250);
    assert_int_equal(limit.period_s, 3);
    assert_true(bucket_set_rate(&limit, 7, 86400, NULL));
    assert_int_equal(limit.count, 7);
    assert_int_equal(limit.period_s, 86400);
    assert_true(bucket_set_rate(&limit, 1, 30 * 86400, NULL));
    assert_true(bucket_set_rate(&limit, 10000000, 1, NULL));
    assert_int_equal(limit.count, 10000000);
}

static void test_rate_out_of_range_is_refused_with_a_reason(void **state) {
    (void)state;
    const int64_t refused[][2] = {
        {0, 1},
        {1, 0},
        {-1, 1},
        {INT64_MIN, -1},
        {1, 30 * 86400 + 1},
        {1, -1},
        {10000001, 1},
        {INT64_MAX, 60},
        {INT64_MAX, INT64_MAX - 1},
    };
    struct bucket_limit limit = {.count = 3, .period_s = 4};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct status status = {{0}};
        assert_false(bucket_set_rate(&limit, refused[i][0], refused[i][1], &status));
        assert_non_null(strstr(status.text, "rate"));
    }
    assert_int_equal(limit.count, 3);
    assert_int_equal(limit.period_s, 4);
}

static void test_new_bucket_holds_exactly_the_burst(void **state) {
    (void)state;
    struct bucket_limit limit = token_limit(1, 1, 10);
    struct bucket_record record = {0};
    assert_int_equal(count_allowed(&record, &limit, START_US, 100), 10);
}

static void test_last_token_is_usable(void **state) {
    (void)state;
    struct bucket_limit limit = token_limit(1, 1, 10);
    struct bucket_record record = {0};
    struct bucket_verdict verdict = check(&record, &limit, 9, START_US);
    assert_int_equal(verdict.remaining_utok, BUCKET_UTOK_PER_TOKEN);
    verdict = check(&record, &limit, 1, START_US);
    assert_true(verdict.allowed);
    assert_int_equal(verdict.remaining_utok, 0);
}

static void test_whole_burst_can_be_taken_at_once(void **state) {
    (void)state;
    struct bucket_limit limit = token_limit(1, 1, 1000000000);
    struct bucket_record record = {0};
    assert_true(check(&record, &limit, 1000000000, START_US).allowed);
    struct bucket_verdict verdict = check(&record, &limit, 1, START_US);
    assert_false(verdict.allowed);
    assert_int_equal(verdict.retry_after_us, SECOND_US);
    assert_int_equal(verdict.reset_after_us, 1000000000 * SECOND_US);
}

static void test_denial_changes_nothing(void **state) {
    (void)state;
    struct bucket_limit limit = token_limit(1, 1, 10);
    struct bucket_record record = {0};
    check(&record, &limit, 8, START_US);
    struct bucket_record before = record;
    struct bucket_verdict verdict = check(&record, &limit, 3, START_US + 500000);
    assert_false(verdict.allowed);
    assert_false(verdict.changed);
    assert_memory_equal(&record, &before, sizeof record);
    assert_int_equal(verdict.remaining_utok, 2500000);
    assert_int_equal(verdict.retry_after_us, 500000);
    assert_int_equal(verdict.reset_after_us, 7500000);
    assert_int_equal(verdict.wait_us, 0);
}

static void test_retry_after_is_exact_to_the_microsecond(void **state) {
    (void)state;
    struct bucket_limit limit = token_limit(7, 86400, 1);
    struct bucket_record record = {0};
    check(&record, &limit, 1, START_US);
    struct bucket_verdict verdict = check(&record, &limit, 1, START_US + 1);
    /* 86400 / 7 s = 12342.857142857... s */
    assert_int_equal(verdict.retry_after_us, INT64_C(12342857143) - 1);
    struct bucket_record copy = record;
    assert_false(check(&copy, &limit, 1, START_US + INT64_C(12342857142)).allowed);
    assert_true(check(&record, &limit, 1, START_US + INT64_C(12342857143)).allowed);
}

static void test_idle_year_gives_no_more_than_the_burst(void **state) {
    (void)state;
    struct bucket_limit limit = token_limit(10000000, 1, 10);
    struct bucket_record record = {0};
    assert_int_equal(count_allowed(&record, &limit, START_US, 100), 10);
    assert_int_equal(count_allowed(&record, &limit, START_US + YEAR_US, 100), 10);
}

/* After a gap just shorter than the time to full, bucket and accrual together must not come to two bursts. */
static void test_gap_just_short_of_full_gives_no_second_burst(void **state) {
    (void)state;
    struct bucket_limit limit = token_limit(1, 1, 10);
    struct bucket_record record = {0};
    check(&record, &limit, 10, START_US);
    int64_t gap_us = 10 * SECOND_US - 1;
    assert_int_equal(count_allowed(&record, &limit, START_US + gap_us, 100), 9);
    assert_int_equal(count_allowed(&record, &limit, START_US + gap_us + 1, 100), 1);
    assert_int_equal(count_allowed(&record, &limit, START_US + gap_us + 1, 100), 0);
}

static void test_clock_a_little_back_makes_checks_wait(void **state) {
    (void)state;
    struct bucket_limit limit = token_limit(10, 1, 1);
    struct bucket_record record = {0};
    check(&record, &limit, 1, START_US);
    struct bucket_verdict verdict = check(&record, &limit, 1, START_US - SECOND_US);
    assert_false(verdict.allowed);
    assert_false(verdict.changed);
    assert_int_equal(verdict.retry_after_us, SECOND_US + 100000);
    assert_true(check(&record, &limit, 1, START_US + 100000).allowed);
}

static void test_clock_far_back_locks_nobody_out(void **state) {
    (void)state;
    struct bucket_limit limit = token_limit(10, 1, 1);
    struct bucket_record record = {0};
    check(&record, &limit, 1, START_US);
    int64_t back_us = START_US - 10 * SECOND_US;
    struct bucket_verdict verdict = check(&record, &limit, 1, back_us);
    assert_false(verdict.allowed);
    assert_true(verdict.changed);
    assert_int_equal(record.at_us, back_us);
    assert_int_equal(record.levels[0].utok, 0);
    assert_int_equal(verdict.retry_after_us, 100000);
    assert_true(check(&record, &limit, 1, back_us + 100000).allowed);
}

static void test_peek_does_not_date_anew(void **state) {
    (void)state;
    struct bucket_limit limit = token_limit(10, 1, 1);
    struct bucket_record record = {0};
    check(&record, &limit, 1, START_US);
    struct bucket_verdict verdict;
    bucket_check(&record, &limit, 1, 1, START_US - HOUR_US, true, &verdict);
    assert_false(verdict.changed);
    assert_int_equal(record.at_us, START_US);
    assert_int_equal(verdict.retry_after_us, 100000);
}

static void test_raised_burst_is_not_refilled(void **state) {
    (void)state;
    struct bucket_limit limit = token_limit(1, 1, 10);
    struct bucket_record record = {0};
    check(&record, &limit, 10, START_US);
    limit.burst_utok = 100 * BUCKET_UTOK_PER_TOKEN;
    assert_int_equal(count_allowed(&record, &limit, START_US + 3 * SECOND_US, 100), 3);
}

static void test_lowered_burst_clamps_what_is_left(void **state) {
    (void)state;
    struct bucket_limit limit = token_limit(1, 1, 100);
    struct bucket_record record = {0};
    check(&record, &limit, 1, START_US);
    limit.burst_utok = 5 * BUCKET_UTOK_PER_TOKEN;
    assert_int_equal(count_allowed(&record, &limit, START_US, 100), 5);
}

static void test_level_below_minus_burst_is_lifted_to_it(void **state) {
    (void)state;
    struct bucket_limit limit = token_limit(1, 1, 10);
    struct bucket_record record = {.at_us = START_US, .n_levels = 1, .levels = {{1, INT64_MIN}}};
    assert_int_equal(check(&record, &limit, 1, START_US).retry_after_us, 11 * SECOND_US);
}

static void test_limits_are_found_by_id(void **state) {
    (void)state;
    struct bucket_limit limits[2] = {token_limit(1, 3600, 10), token_limit(1, 3600, 20)};
    limits[1].id = 2;
    struct bucket_record record = {0};
    struct bucket_verdict verdict;
    bucket_check(&record, limits, 2, 4, START_US, false, &verdict);
    struct bucket_limit changed[2] = {limits[1], token_limit(1, 3600, 30)};
    changed[1].id = 3;
    bucket_check(&record, changed, 2, 1, START_US, false, &verdict);
    assert_int_equal(record.n_levels, 2);
    assert_int_equal(record.levels[0].id, 2);
    assert_int_equal(record.levels[0].utok, 15 * BUCKET_UTOK_PER_TOKEN);
    assert_int_equal(record.levels[1].id, 3);
    assert_int_equal(record.levels[1].utok, 29 * BUCKET_UTOK_PER_TOKEN);
}

static void test_all_limits_are_charged_or_none(void **state) {
    (void)state;
    struct bucket_limit limits[2] = {token_limit(1, 1, 10), token_limit(1, 3600, 3)};
    limits[1].id = 2;
    struct bucket_record record = {0};
    struct bucket_verdict verdict;
    bucket_check(&record, limits, 2, 3, START_US, false, &verdict);
    assert_true(verdict.allowed);
    assert_int_equal(verdict.limit_index, 1);
    assert_int_equal(verdict.remaining_utok, 0);
    assert_int_equal(verdict.full_after_us, 3 * HOUR_US);
    bucket_check(&record, limits, 2, 1, START_US + SECOND_US, false, &verdict);
    assert_false(verdict.allowed);
    assert_int_equal(verdict.limit_index, 1);
    assert_int_equal(verdict.retry_after_us, HOUR_US - SECOND_US);
    assert_int_equal(record.levels[0].utok, 7 * BUCKET_UTOK_PER_TOKEN);
}

static void test_denial_names_the_limit_that_denies_longest(void **state) {
    (void)state;
    struct bucket_limit limits[3] = {token_limit(1, 60, 5), token_limit(1, 3600, 5), token_limit(1, 3600, 5)};
    limits[1].id = 2;
    limits[2].id = 3;
    struct bucket_record record = {0};
    struct bucket_verdict verdict;
    bucket_check(&record, limits, 3, 5, START_US, false, &verdict);
    bucket_check(&record, limits, 3, 1, START_US, false, &verdict);
    assert_int_equal(verdict.limit_index, 1);
    assert_int_equal(verdict.retry_after_us, HOUR_US);
}

static void test_leaky_bucket_spaces_departures(void **state) {
    (void)state;
    struct bucket_limit limit = limit_of(BUCKET_LEAKY, 4, 1, 3);
    struct bucket_record record = {0};
    assert_int_equal(check(&record, &limit, 1, START_US).wait_us, 0);
    assert_int_equal(check(&record, &limit, 1, START_US).wait_us, 250000);
    assert_int_equal(check(&record, &limit, 1, START_US).wait_us, 500000);
    struct bucket_verdict verdict = check(&record, &limit, 1, START_US);
    assert_false(verdict.allowed);
    assert_int_equal(verdict.retry_after_us, 250000);
    assert_int_equal(check(&record, &limit, 1, START_US + 300000).wait_us, 450000);
}

static void test_leaky_wait_counts_from_the_record_when_the_clock_is_behind(void **state) {
    (void)state;
    struct bucket_limit limit = limit_of(BUCKET_LEAKY, 4, 1, 3);
    struct bucket_record record = {0};
    check(&record, &limit, 1, START_US);
    struct bucket_verdict verdict = check(&record, &limit, 1, START_US - 100000);
    assert_int_equal(verdict.wait_us, 350000);
    assert_int_equal(verdict.reset_after_us, 600000);
    assert_int_equal(record.at_us, START_US);
}

static void test_cost_above_burst_is_never_granted(void **state) {
    (void)state;
    struct bucket_limit limit = token_limit(1, 1, 10);
    struct bucket_record record = {0};
    struct bucket_verdict verdict = check(&record, &limit, 11, START_US);
    assert_false(verdict.allowed);
    assert_int_equal(verdict.retry_after_us, BUCKET_MAX_EXACT);
    assert_int_equal(verdict.remaining_utok, 10 * BUCKET_UTOK_PER_TOKEN);
    assert_int_equal(verdict.reset_after_us, 0);
    assert_int_equal(record.n_levels, 0);
}

static void test_times_saturate(void **state) {
    (void)state;
    struct bucket_limit limit = token_limit(1, 30 * 86400, 1000000000);
    struct bucket_record record = {0};
    struct bucket_verdict verdict = check(&record, &limit, 1000000000, START_US);
    assert_true(verdict.allowed);
    assert_int_equal(verdict.reset_after_us, BUCKET_MAX_EXACT);
    assert_int_equal(verdict.full_after_us, BUCKET_MAX_EXACT);
    verdict = check(&record, &limit, 1000000000, BUCKET_MAX_NOW_US);
    assert_int_equal(verdict.retry_after_us, BUCKET_MAX_EXACT);
}

static void test_peek_tells_and_takes_nothing(void **state) {
    (void)state;
    struct bucket_limit limit = limit_of(BUCKET_LEAKY, 1, 1, 10);
    struct bucket_record record = {0};
    struct bucket_verdict peeked;
    bucket_check(&record, &limit, 1, 10, START_US, true, &peeked);
    assert_true(peeked.allowed);
    assert_int_equal(record.n_levels, 0);
    assert_int_equal(peeked.remaining_utok, 10 * BUCKET_UTOK_PER_TOKEN);
    check(&record, &limit, 4, START_US);
    bucket_check(&record, &limit, 1, 2, START_US + SECOND_US, true, &peeked);
    assert_true(peeked.allowed);
    assert_int_equal(peeked.remaining_utok, 7 * BUCKET_UTOK_PER_TOKEN);
    assert_int_equal(peeked.reset_after_us, 3 * SECOND_US);
    assert_int_equal(peeked.wait_us, 3 * SECOND_US);
    assert_int_equal(check(&record, &limit, 2, START_US + SECOND_US).wait_us, 3 * SECOND_US);
    bucket_check(&record, &limit, 1, 6, START_US + SECOND_US, true, &peeked);
    assert_false(peeked.allowed);
    assert_int_equal(peeked.retry_after_us, SECOND_US);
}

static void test_a_limit_without_a_rate_gains_nothing(void **state) {
    (void)state;
    struct bucket_limit limit = {.id = 1, .period_s = 1, .burst_utok = 2 * BUCKET_UTOK_PER_TOKEN};
    struct bucket_record record = {.n_levels = 0};
    assert_int_equal(count_allowed(&record, &limit, START_US, 5), 2);
    struct bucket_verdict verdict = check(&record, &limit, 1, START_US + YEAR_US);
    assert_false(verdict.allowed);
    assert_int_equal(verdict.retry_after_us, BUCKET_MAX_EXACT);
    assert_int_equal(verdict.reset_after_us, BUCKET_MAX_EXACT);
}

static void test_what_is_booked_stays_between_the_bounds(void **state) {
    (void)state;
    const struct bucket_limit limits[] = {
        {.id = 1, .count = 1, .period_s = 1, .burst_utok = 10000000},
        {.id = 2, .count = 1, .period_s = 1, .burst_utok = 4000000},
    };
    const int64_t five[] = {5000000, 5000000}, minus_nine[] = {-9000000, -9000000}, nothing[] = {0, 0};
    struct bucket_record record = {.at_us = 0, .n_levels = 2, .levels = {{2, 1000000}, {1, 2000000}}};
    assert_int_equal(bucket_book(&record, limits, 2, five, 1000000), 2000000);
    assert_int_equal(record.at_us, 1000000);
    assert_int_equal(record.levels[0].id, 1);
    assert_int_equal(record.levels[0].utok, 8000000);
    assert_int_equal(record.levels[1].utok, 4000000);
    assert_int_equal(bucket_book(&record, limits, 2, minus_nine, 1000000), -8000000);
    assert_int_equal(record.levels[0].utok, -1000000);
    assert_int_equal(record.levels[1].utok, -4000000);
    assert_int_equal(bucket_book(&record, limits, 2, nothing, 2000000), 0);
    assert_int_equal(record.levels[0].utok, 0);
    struct bucket_record none = {0};
    assert_int_equal(bucket_book(&none, limits, 2, five, 7), 0);
    assert_int_equal(none.n_levels, 2);
    assert_int_equal(none.levels[0].utok, 10000000);
}

/* ---- windows: what they count is in test_window.c ---- */

#define MINUTE_US (60 * SECOND_US)
#define MINUTE_START_US INT64_C(1800000000000000)

static struct bucket_limit window_limit(enum bucket_algorithm algorithm, int64_t count,
                                        enum calendar_period period) {
    struct bucket_limit limit = {.id = 1};
    assert_true(bucket_set_window(&limit, algorithm, count, period, NULL));
    return limit;
}

static void test_window_of_no_tokens_or_too_many_is_refused(void **state) {
    (void)state;
    struct bucket_limit limit;
    struct status status;
    assert_false(bucket_set_window(&limit, BUCKET_FIXED_WINDOW, 0, CALENDAR_DAY, &status));
    assert_false(bucket_set_window(&limit, BUCKET_FIXED_WINDOW, BUCKET_MAX_TOKENS + 1, CALENDAR_DAY, &status));
    assert_string_equal(status.text, "1000000001 in a period: a window takes 1 to 1000000000");
    assert_true(bucket_set_window(&limit, BUCKET_FIXED_WINDOW, BUCKET_MAX_TOKENS, CALENDAR_DAY, &status));
}

static void test_fixed_window_denies_until_its_end(void **state) {
    (void)state;
    struct bucket_limit limit = window_limit(BUCKET_FIXED_WINDOW, 3, CALENDAR_MINUTE);
    struct bucket_record record = {0};
    assert_int_equal(count_allowed(&record, &limit, MINUTE_START_US + 10 * SECOND_US, 9), 3);
    struct bucket_verdict verdict = check(&record, &limit, 2, MINUTE_START_US + 20 * SECOND_US);
    assert_false(verdict.allowed);
    assert_int_equal(verdict.remaining_utok, 0);
    assert_int_equal(verdict.retry_after_us, 40 * SECOND_US);
    assert_int_equal(verdict.reset_after_us, 40 * SECOND_US);
    assert_int_equal(verdict.full_after_us, 40 * SECOND_US);
    assert_int_equal(check(&record, &limit, 4, MINUTE_START_US).retry_after_us, BUCKET_MAX_EXACT);
    assert_int_equal(count_allowed(&record, &limit, MINUTE_START_US + MINUTE_US - 1, 9), 0);
    assert_int_equal(count_allowed(&record, &limit, MINUTE_START_US + MINUTE_US, 9), 3);
}

static void test_sliding_window_tells_when_the_previous_one_has_faded(void **state) {
    (void)state;
    struct bucket_limit limit = window_limit(BUCKET_SLIDING_WINDOW, 10, CALENDAR_MINUTE);
    struct bucket_record record = {0};
    struct bucket_verdict verdict = check(&record, &limit, 10, MINUTE_START_US);
    assert_int_equal(verdict.remaining_utok, 0);
    assert_int_equal(verdict.reset_after_us, 2 * MINUTE_US);
    verdict = check(&record, &limit, 1, MINUTE_START_US + MINUTE_US);
    assert_false(verdict.allowed);
    assert_int_equal(verdict.retry_after_us, 6 * SECOND_US);
    assert_false(check(&record, &limit, 1, MINUTE_START_US + MINUTE_US + 6 * SECOND_US - 1).allowed);
    assert_true(check(&record, &limit, 1, MINUTE_START_US + MINUTE_US + 6 * SECOND_US).allowed);
}

static void test_raised_window_gives_the_difference_at_once(void **state) {
    (void)state;
    struct bucket_limit limit = window_limit(BUCKET_FIXED_WINDOW, 10, CALENDAR_MONTH);
    struct bucket_record record = {0};
    assert_int_equal(count_allowed(&record, &limit, START_US, 99), 10);
    limit = window_limit(BUCKET_FIXED_WINDOW, 15, CALENDAR_MONTH);
    assert_int_equal(count_allowed(&record, &limit, START_US, 99), 5);
    limit = window_limit(BUCKET_FIXED_WINDOW, 12, CALENDAR_MONTH);
    assert_int_equal(check(&record, &limit, 1, START_US).remaining_utok, -3 * BUCKET_UTOK_PER_TOKEN);
}

/* The record's clock began long ago; what it says of the calendar may change under it. */
static void test_calendar_of_a_record_is_told_with_it(void **state) {
    (void)state;
    struct bucket_limit limit = window_limit(BUCKET_FIXED_WINDOW, 5, CALENDAR_MINUTE);
    struct bucket_record record = {.calendar_us = MINUTE_START_US};
    assert_int_equal(count_allowed(&record, &limit, 59 * SECOND_US, 9), 5);
    assert_int_equal(check(&record, &limit, 1, 59 * SECOND_US).retry_after_us, SECOND_US);
    record.calendar_us -= 30 * SECOND_US;
    assert_int_equal(check(&record, &limit, 1, MINUTE_US).retry_after_us, 30 * SECOND_US);
    assert_int_equal(count_allowed(&record, &limit, 90 * SECOND_US, 9), 5);
}

static void test_windows_and_buckets_of_one_record(void **state) {
    (void)state;
    struct bucket_limit limits[2] = {token_limit(1, 1, 5),
                                     window_limit(BUCKET_FIXED_WINDOW, 7, CALENDAR_MINUTE)};
    limits[1].id = 2;
    struct bucket_record record = {0};
    struct bucket_verdict verdict;
    bucket_check(&record, limits, 2, 5, MINUTE_START_US, false, &verdict);
    assert_int_equal(verdict.limit_index, 0);
    assert_int_equal(verdict.full_after_us, MINUTE_US);
    bucket_check(&record, limits, 2, 3, MINUTE_START_US + 5 * SECOND_US, false, &verdict);
    assert_false(verdict.allowed);
    assert_int_equal(verdict.limit_index, 1);
    assert_int_equal(verdict.retry_after_us, 55 * SECOND_US);
    bucket_check(&record, limits, 2, 2, MINUTE_START_US + 5 * SECOND_US, false, &verdict);
    assert_true(verdict.allowed);
    assert_int_equal(verdict.limit_index, 1);
    assert_int_equal(verdict.remaining_utok, 0);
}

static void test_bookings_keep_to_the_bounds(void **state) {
    (void)state;
    struct bucket_limit limits[2] = {token_limit(1, 1, 5),
                                     window_limit(BUCKET_SLIDING_WINDOW, 7, CALENDAR_MINUTE)};
    limits[1].id = 2;
    struct bucket_record record = {0};
    int64_t gains_utok[BUCKET_MAX_LIMITS] = {-2500000, -2500000}, left_utok[BUCKET_MAX_LIMITS];
    assert_int_equal(bucket_book(&record, limits, 2, gains_utok, MINUTE_START_US), -2500000);
    bucket_levels(&record, limits, 2, MINUTE_START_US, left_utok);
    assert_int_equal(left_utok[0], 2500000);
    assert_int_equal(left_utok[1], 4000000);
    gains_utok[0] = gains_utok[1] = -100000000;
    assert_int_equal(bucket_book(&record, limits, 2, gains_utok, MINUTE_START_US), -7500000);
    bucket_levels(&record, limits, 2, MINUTE_START_US, left_utok);
    assert_int_equal(left_utok[0], -5000000);
    assert_int_equal(left_utok[1], -7000000);
    assert_int_equal(check(&record, &limits[1], 1, MINUTE_START_US).retry_after_us, MINUTE_US + 34285715);
    gains_utok[0] = gains_utok[1] = 100000000;
    assert_int_equal(bucket_book(&record, limits, 2, gains_utok, MINUTE_START_US), 10000000);
}

/* What was taken in the period before is past: a window gains back no more than was taken in this one. */
static void test_window_gains_no_more_than_was_taken_in_its_period(void **state) {
    (void)state;
    struct bucket_limit limit = window_limit(BUCKET_SLIDING_WINDOW, 10, CALENDAR_MINUTE);
    struct bucket_record record = {0};
    int64_t gain_utok = 6000000;
    check(&record, &limit, 6, MINUTE_START_US);
    check(&record, &limit, 3, MINUTE_START_US + MINUTE_US);
    assert_int_equal(bucket_book(&record, &limit, 1, &gain_utok, MINUTE_START_US + MINUTE_US), 3000000);
    assert_int_equal(check(&record, &limit, 1, MINUTE_START_US + MINUTE_US).remaining_utok, 3000000);
}

static void test_clock_that_steps_back_over_an_edge_keeps_what_was_used(void **state) {
    (void)state;
    struct bucket_limit limit = window_limit(BUCKET_FIXED_WINDOW, 5, CALENDAR_MINUTE);
    struct bucket_record record = {0};
    assert_int_equal(count_allowed(&record, &limit, MINUTE_START_US, 9), 5);
    assert_int_equal(check(&record, &limit, 1, MINUTE_START_US - 1000).retry_after_us, MINUTE_US + 1000);
    assert_int_equal(record.at_us, MINUTE_START_US);
    struct bucket_verdict verdict = check(&record, &limit, 1, MINUTE_START_US - 2 * SECOND_US);
    assert_true(verdict.changed);
    assert_int_equal(verdict.retry_after_us, 2 * SECOND_US);
    assert_int_equal(count_allowed(&record, &limit, MINUTE_START_US, 9), 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_is_kept_in_lowest_terms),
        cmocka_unit_test(test_rate_out_of_range_is_refused_with_a_reason),
        cmocka_unit_test(test_new_bucket_holds_exactly_the_burst),
        cmocka_unit_test(test_last_token_is_usable),
        cmocka_unit_test(test_whole_burst_can_be_taken_at_once),
        cmocka_unit_test(test_denial_changes_nothing),
        cmocka_unit_test(test_retry_after_is_exact_to_the_microsecond),
        cmocka_unit_test(test_idle_year_gives_no_more_than_the_burst),
        cmocka_unit_test(test_gap_just_short_of_full_gives_no_second_burst),
        cmocka_unit_test(test_clock_a_little_back_makes_checks_wait),
        cmocka_unit_test(test_clock_far_back_locks_nobody_out),
        cmocka_unit_test(test_peek_does_not_date_anew),
        cmocka_unit_test(test_raised_burst_is_not_refilled),
        cmocka_unit_test(test_lowered_burst_clamps_what_is_left),
        cmocka_unit_test(test_level_below_minus_burst_is_lifted_to_it),
        cmocka_unit_test(test_limits_are_found_by_id),
        cmocka_unit_test(test_all_limits_are_charged_or_none),
        cmocka_unit_test(test_denial_names_the_limit_that_denies_longest),
        cmocka_unit_test(test_leaky_bucket_spaces_departures),
        cmocka_unit_test(test_leaky_wait_counts_from_the_record_when_the_clock_is_behind),
        cmocka_unit_test(test_cost_above_burst_is_never_granted),
        cmocka_unit_test(test_times_saturate),
        cmocka_unit_test(test_peek_tells_and_takes_nothing),
        cmocka_unit_test(test_a_limit_without_a_rate_gains_nothing),
        cmocka_unit_test(test_what_is_booked_stays_between_the_bounds),
        cmocka_unit_test(test_window_of_no_tokens_or_too_many_is_refused),
        cmocka_unit_test(test_fixed_window_denies_until_its_end),
        cmocka_unit_test(test_sliding_window_tells_when_the_previous_one_has_faded),
        cmocka_unit_test(test_raised_window_gives_the_difference_at_once),
        cmocka_unit_test(test_calendar_of_a_record_is_told_with_it),
        cmocka_unit_test(test_windows_and_buckets_of_one_record),
        cmocka_unit_test(test_bookings_keep_to_the_bounds),
        cmocka_unit_test(test_window_gains_no_more_than_was_taken_in_its_period),
        cmocka_unit_test(test_clock_that_steps_back_over_an_edge_keeps_what_was_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
