/* show.h — durations, instants, rates and shares in a few characters, for tables and lines.
 *
 * Pure functions. For reading numbers, and for showing them exactly, see server/base/units.h. */
#ifndef SLUICE_CLIENT_CMD_SHOW_H
#define SLUICE_CLIENT_CMD_SHOW_H

#include <stdint.h>

enum { SHOW_TEXT_BYTES = 32 };

/* A short text returned by value, so that several fit into one printf. */
struct show_text {
    char text[SHOW_TEXT_BYTES];
};

/* "183ms", "1.2s", "5m03s", "3h20m", "2d4h". Rounded up in the last digit shown: who waits that long has waited
 * long enough. */
struct show_text show_duration(uint64_t us);
/* "2015-05-17T10:05:03Z"; UTC, years 1970 to 9999. */
struct show_text show_time(int64_t at_us);
/* "1.5/s", "152/s": events per second; "-" when no time has passed. */
struct show_text show_rate(uint64_t n, uint64_t us);
/* "12.3%"; "0.0%" of nothing. */
struct show_text show_share(uint64_t part, uint64_t whole);

#endif
