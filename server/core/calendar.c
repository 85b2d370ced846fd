/* calendar.c — the periods of the calendar; see calendar.h. */
#include "server/core/calendar.h"

#define SECOND_US INT64_C(1000000)
#define DAY_US (86400 * SECOND_US)

/* 1970-01-05 was a Monday. */
enum { FIRST_MONDAY = 4 };
enum { DAYS_IN_400_YEARS = 146097, DAYS_BEFORE_1970 = 719468 /* since 0000-03-01 */ };

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

/* Months are counted from March of the year 0, so that the day of a leap year comes last: month m of a year, from 0,
 * begins on day (153 * m + 2) / 5 of it. */
static int64_t first_day_of_month(int64_t month) {
    int64_t year = floor_div(month, 12), of_year = month - year * 12;
    return year * 365 + floor_div(year, 4) - floor_div(year, 100) + floor_div(year, 400) +
           (153 * of_year + 2) / 5 - DAYS_BEFORE_1970;
}

/* The month that holds a day. The mean month tells it but for one, which the months' first days decide. */
static int64_t month_of_day(int64_t day) {
    int64_t month = floor_div((day + DAYS_BEFORE_1970) * 4800, DAYS_IN_400_YEARS);
    while (first_day_of_month(month) > day) {
        month--;
    }
    while (first_day_of_month(month + 1) <= day) {
        month++;
    }
    return month;
}

static int64_t start_of_length(int64_t unix_us, int64_t length_us, int64_t first_us, int n) {
    return (floor_div(unix_us - first_us, length_us) + n) * length_us + first_us;
}

int64_t calendar_start(enum calendar_period period, int64_t unix_us, int n) {
    switch (period) {
    case CALENDAR_MINUTE:
    case CALENDAR_HOUR:
    case CALENDAR_DAY:
        return start_of_length(unix_us, period * SECOND_US, 0, n);
    case CALENDAR_WEEK:
        return start_of_length(unix_us, period * SECOND_US, FIRST_MONDAY * DAY_US, n);
    case CALENDAR_MONTH:
        break;
    }
    return first_day_of_month(month_of_day(floor_div(unix_us, DAY_US)) + n) * DAY_US;
}
