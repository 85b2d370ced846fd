/* test_calendar.c — bounds of periods, against dates written out and against libc's calendar. */
#define _DEFAULT_SOURCE
#include "tests/support/test_prelude.h"

#include <time.h>

#include "server/core/calendar.h"

#define SECOND_US INT64_C(1000000)
#define DAY_US (86400 * SECOND_US)

static int64_t at(int year, int month, int day, int hour, int minute, int second) {
    struct tm date = {.tm_year = year - 1900,
                      .tm_mon = month - 1,
                      .tm_mday = day,
                      .tm_hour = hour,
                      .tm_min = minute,
                      .tm_sec = second};
    return (int64_t)timegm(&date) * SECOND_US;
}

/* The period that holds `now_us` begins and ends so. */
static void assert_period(enum calendar_period period, int64_t now_us, int64_t start_us, int64_t end_us) {
    assert_int_equal(calendar_start(period, now_us, 0), start_us);
    assert_int_equal(calendar_start(period, now_us, 1), end_us);
}

static void test_short_periods_begin_on_the_clock(void **state) {
    (void)state;
    int64_t now_us = at(2026, 11, 21, 13, 45, 59) + 999999;
    assert_period(CALENDAR_MINUTE, now_us, at(2026, 11, 21, 13, 45, 0), at(2026, 11, 21, 13, 46, 0));
    assert_period(CALENDAR_HOUR, now_us, at(2026, 11, 21, 13, 0, 0), at(2026, 11, 21, 14, 0, 0));
    assert_period(CALENDAR_DAY, now_us, at(2026, 11, 21, 0, 0, 0), at(2026, 11, 22, 0, 0, 0));
}

static void test_start_belongs_to_the_period_and_end_does_not(void **state) {
    (void)state;
    static const enum calendar_period periods[] = {CALENDAR_MINUTE, CALENDAR_HOUR, CALENDAR_DAY, CALENDAR_WEEK,
                                                   CALENDAR_MONTH};
    for (size_t i = 0; i < sizeof periods / sizeof periods[0]; i++) {
        int64_t start_us = calendar_start(periods[i], at(2028, 2, 29, 12, 0, 0), 0);
        int64_t end_us = calendar_start(periods[i], start_us, 1);
        assert_int_equal(calendar_start(periods[i], start_us, 0), start_us);
        assert_int_equal(calendar_start(periods[i], end_us - 1, 0), start_us);
        assert_int_equal(calendar_start(periods[i], end_us, 0), end_us);
        assert_int_equal(calendar_start(periods[i], end_us, -1), start_us);
    }
}

static void test_week_begins_on_monday(void **state) {
    (void)state;
    assert_period(CALENDAR_WEEK, at(2026, 11, 16, 0, 0, 0), at(2026, 11, 16, 0, 0, 0),
                  at(2026, 11, 23, 0, 0, 0));
    assert_period(CALENDAR_WEEK, at(2026, 11, 22, 23, 59, 59), at(2026, 11, 16, 0, 0, 0),
                  at(2026, 11, 23, 0, 0, 0));
    assert_period(CALENDAR_WEEK, at(2024, 12, 31, 1, 0, 0), at(2024, 12, 30, 0, 0, 0), at(2025, 1, 6, 0, 0, 0));
}

/* It was a Thursday, so its week began in 1969. */
static void test_first_week_begins_before_the_first_day(void **state) {
    (void)state;
    assert_period(CALENDAR_WEEK, 0, -3 * DAY_US, 4 * DAY_US);
    assert_int_equal(calendar_start(CALENDAR_MONTH, 0, -1), -31 * DAY_US);
    assert_int_equal(calendar_start(CALENDAR_MINUTE, -1, 0), -60 * SECOND_US);
}

static void test_months_have_their_lengths(void **state) {
    (void)state;
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    for (int month = 1; month <= 12; month++) {
        int64_t start_us = at(2025, month, 1, 0, 0, 0);
        int64_t end_us = start_us + days[month - 1] * DAY_US;
        assert_period(CALENDAR_MONTH, start_us, start_us, end_us);
        assert_period(CALENDAR_MONTH, end_us - 1, start_us, end_us);
    }
}

static void test_leap_years(void **state) {
    (void)state;
    static const struct {
        int year, days_in_february;
    } years[] = {{1972, 29}, {1999, 28}, {2000, 29}, {2024, 29}, {2026, 28}, {2100, 28}, {2104, 29}};
    for (size_t i = 0; i < sizeof years / sizeof years[0]; i++) {
        int64_t february_us = at(years[i].year, 2, 1, 0, 0, 0);
        assert_period(CALENDAR_MONTH, february_us + 27 * DAY_US, february_us,
                      february_us + years[i].days_in_february * DAY_US);
    }
}

static void test_periods_are_counted_across_years(void **state) {
    (void)state;
    assert_int_equal(calendar_start(CALENDAR_MONTH, at(2026, 11, 21, 0, 0, 0), 3), at(2027, 2, 1, 0, 0, 0));
    assert_int_equal(calendar_start(CALENDAR_MONTH, at(2026, 1, 31, 0, 0, 0), -2), at(2025, 11, 1, 0, 0, 0));
    assert_int_equal(calendar_start(CALENDAR_WEEK, at(2026, 1, 1, 0, 0, 0), -1), at(2025, 12, 22, 0, 0, 0));
}

static void test_every_day_of_1970_to_2112_agrees_with_libc(void **state) {
    (void)state;
    int64_t last_us = at(2112, 12, 31, 0, 0, 0);
    for (int64_t day_us = 0; day_us <= last_us; day_us += DAY_US) {
        time_t day_s = (time_t)(day_us / SECOND_US);
        struct tm date;
        assert_non_null(gmtime_r(&day_s, &date));
        int64_t month_us = day_us - (date.tm_mday - 1) * DAY_US;
        int64_t monday_us = day_us - (date.tm_wday + 6) % 7 * DAY_US;
        int64_t now_us = day_us + day_us / 7 % DAY_US;
        if (calendar_start(CALENDAR_MONTH, now_us, 0) != month_us ||
            calendar_start(CALENDAR_WEEK, now_us, 0) != monday_us ||
            calendar_start(CALENDAR_DAY, now_us, 0) != day_us) {
            fail_msg("%d-%02d-%02d", date.tm_year + 1900, date.tm_mon + 1, date.tm_mday);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_periods_begin_on_the_clock),
        cmocka_unit_test(test_start_belongs_to_the_period_and_end_does_not),
        cmocka_unit_test(test_week_begins_on_monday),
        cmocka_unit_test(test_first_week_begins_before_the_first_day),
        cmocka_unit_test(test_months_have_their_lengths),
        cmocka_unit_test(test_leap_years),
        cmocka_unit_test(test_periods_are_counted_across_years),
        cmocka_unit_test(test_every_day_of_1970_to_2112_agrees_with_libc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
