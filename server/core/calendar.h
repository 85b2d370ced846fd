/* calendar.h — the periods of the calendar: minutes, hours, days, weeks and months, all in UTC.
 *
 * A week begins on Monday, as ISO 8601 has it. Leap seconds do not exist, as in Unix time. Times are microseconds since
 * 1970-01-01, from 1970 to beyond 2112; earlier ones work as well. Pure: no time zones, nothing asked of libc. */
#ifndef SLUICE_CORE_CALENDAR_H
#define SLUICE_CORE_CALENDAR_H

#include <stdint.h>

/* Each is so many seconds long, a month only in name: it has 28 to 31 days. */
enum calendar_period {
    CALENDAR_MINUTE = 60,
    CALENDAR_HOUR = 3600,
    CALENDAR_DAY = 86400,
    CALENDAR_WEEK = 7 * 86400,
    CALENDAR_MONTH = 30 * 86400,
};

/* When the n-th period after the one that holds `unix_us` begins: 0 is that one's own start, 1 its end, -1 the start
 * of the one before. */
int64_t calendar_start(enum calendar_period period, int64_t unix_us, int n);

#endif
