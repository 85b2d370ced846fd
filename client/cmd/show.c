/* show.c — short texts for people. */
#include "client/cmd/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define US_PER_MS UINT64_C(1000)
#define US_PER_S UINT64_C(1000000)

static uint64_t divide_up(uint64_t value, uint64_t by) {
    return value / by + (value % by != 0);
}

/* `tenths` of `unit`, without a ".0". */
static struct show_text show_tenths(uint64_t tenths, const char *unit) {
    struct show_text out;
    if (tenths % 10 == 0) {
        snprintf(out.text, sizeof out.text, "%" PRIu64 "%s", tenths / 10, unit);
    } else {
        snprintf(out.text, sizeof out.text, "%" PRIu64 ".%" PRIu64 "%s", tenths / 10, tenths % 10, unit);
    }
    return out;
}

/* From a minute on: two units, the smaller one as two digits unless it is hours. */
static struct show_text show_long_duration(uint64_t us) {
    struct show_text out;
    uint64_t s = divide_up(us, US_PER_S), min = divide_up(s, 60), h = divide_up(min, 60);
    if (s < 3600) {
        snprintf(out.text, sizeof out.text, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
    } else if (min < 24 * 60) {
        snprintf(out.text, sizeof out.text, "%" PRIu64 "h%02" PRIu64 "m", min / 60, min % 60);
    } else {
        snprintf(out.text, sizeof out.text, "%" PRIu64 "d%" PRIu64 "h", h / 24, h % 24);
    }
    return out;
}

struct show_text show_duration(uint64_t us) {
    if (us == 0) {
        return (struct show_text){"0ms"};
    }
    if (us < US_PER_MS) {
        return show_tenths(us * 10, "us");
    }
    if (us <= 10 * US_PER_MS) {
        return show_tenths(divide_up(us, US_PER_MS / 10), "ms");
    }
    if (us <= US_PER_S - US_PER_MS) {
        return show_tenths(divide_up(us, US_PER_MS) * 10, "ms");
    }
    if (us <= 60 * US_PER_S - US_PER_S / 10) {
        return show_tenths(divide_up(us, US_PER_S / 10), "s");
    }
    return show_long_duration(us);
}

struct show_text show_time(int64_t at_us) {
    struct show_text out = {"-"};
    time_t at_s = (time_t)(at_us / (int64_t)US_PER_S);
    struct tm civil;
    if (gmtime_r(&at_s, &civil) != NULL) {
        strftime(out.text, sizeof out.text, "%Y-%m-%dT%H:%M:%SZ", &civil);
    }
    return out;
}

struct show_text show_rate(uint64_t n, uint64_t us) {
    struct show_text out = {"-"};
    if (us > 0) {
        double per_s = (double)n * (double)US_PER_S / (double)us;
        snprintf(out.text, sizeof out.text, "%.*f/s", per_s < 100 ? 1 : 0, per_s);
    }
    return out;
}

struct show_text show_share(uint64_t part, uint64_t whole) {
    struct show_text out;
    snprintf(out.text, sizeof out.text, "%.1f%%", whole == 0 ? 0.0 : 100.0 * (double)part / (double)whole);
    return out;
}
