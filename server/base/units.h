/* units.h — numbers as operators write them: strict in, short out.
 *
 * Readers take the whole text or nothing: no spaces, sign, leading zero, fraction or rest as in "10x". When they
 * refuse, they return false, leave the result alone, and say why in half a sentence that quotes the text; the
 * caller puts the name of the field before it. Pure functions. */
#ifndef SLUICE_BASE_UNITS_H
#define SLUICE_BASE_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/base/status.h"

enum { UNITS_SHOWN_BYTES = 96 };

/* A short NUL-terminated text returned by value, so that several fit into one printf. */
struct units_shown {
    char text[UNITS_SHOWN_BYTES];
};

/* "10": `min` and `max` are at least 0, here and below. */
bool units_read_integer(struct bytes text, int64_t min, int64_t max, int64_t *value, struct status *status)
    __attribute__((warn_unused_result));
/* "1048576", "64KiB", "1MiB", "2GiB" */
bool units_read_bytes(struct bytes text, int64_t min, int64_t max, int64_t *value_bytes, struct status *status)
    __attribute__((warn_unused_result));
/* "500us", "250ms", "10s", "1min", "2h" */
bool units_read_duration(struct bytes text, int64_t min_us, int64_t max_us, int64_t *value_us,
                         struct status *status) __attribute__((warn_unused_result));
/* "100/s", "5000/min", "20/h", "1000000/day", "3/month" (30 days). Nothing at all is "0/s", of any period, or "0":
 * `count` is 0 then and `period_s` 1. */
bool units_read_rate(struct bytes text, int64_t *count, int64_t *period_s, struct status *status)
    __attribute__((warn_unused_result));

/* "1000/day", "1000000/month": of a minute, hour, day, week or month of the calendar, which `period_s` names by its
 * seconds, a month being 30 days. Nothing at all as above. */
bool units_read_window(struct bytes text, int64_t *count, int64_t *period_s, struct status *status)
    __attribute__((warn_unused_result));

/* In the largest unit that needs no fraction, as the readers take it. `bytes` and `us` are at least 0. */
struct units_shown units_show_bytes(int64_t bytes);
struct units_shown units_show_duration(int64_t us);
/* By the shortest period that needs no fraction. `period_s` divides one of the periods. */
struct units_shown units_show_rate(int64_t count, int64_t period_s);
/* As it was read; with period_s 1, which is that of nothing at all, "0/min". */
struct units_shown units_show_window(int64_t count, int64_t period_s);
/* Any text, made fit for a message: control characters become '?', a long text is cut and ends in "...". */
struct units_shown units_show_text(struct bytes text);

#endif
