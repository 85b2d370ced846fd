/* units.c — numbers as operators write them; see units.h. */
#include "server/base/units.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct units_suffix {
    const char *text;
    int64_t factor;
};

/* One way of writing a number: digits and one of these suffixes, in ascending order. */
struct units_kind {
    const char *what; /* completes "'10x' is not ..." */
    const char *hint; /* for a suffix that begins with `hint_on` (0: any) and is none of ours; NULL: none */
    uint8_t hint_on;
    size_t n_suffixes;
    struct units_suffix suffixes[6];
};

static const struct units_kind units_integer = {
    .what = "a whole number, such as 10", .n_suffixes = 1, .suffixes = {{"", 1}}};

static const struct units_kind units_bytes = {
    .what = "a size, such as 65536, 64KiB or 1MiB",
    .hint = "the units are KiB, MiB and GiB",
    .n_suffixes = 4,
    .suffixes = {{"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}}};

static const struct units_kind units_duration = {.what = "a duration, such as 250ms, 10s or 1min",
                                                 .hint = "the units are us, ms, s, min and h",
                                                 .n_suffixes = 5,
                                                 .suffixes = {{"us", 1},
                                                              {"ms", 1000},
                                                              {"s", 1000000},
                                                              {"min", 60 * INT64_C(1000000)},
                                                              {"h", 3600 * INT64_C(1000000)}}};

static const struct units_kind units_rate = {
    .what = "a rate, such as 100/s, 5000/min, 20/h or 1000000/day",
    .hint = "the periods are /s, /min, /h, /day and /month",
    .hint_on = '/',
    .n_suffixes = 5,
    .suffixes = {{"/s", 1}, {"/min", 60}, {"/h", 3600}, {"/day", 86400}, {"/month", 30 * 86400}}};

static const struct units_kind units_window = {
    .what = "a number for each period of the calendar, such as 1000/day or 1000000/month",
    .hint = "the periods of a window are /min, /h, /day, /week and /month",
    .hint_on = '/',
    .n_suffixes = 5,
    .suffixes = {{"/min", 60}, {"/h", 3600}, {"/day", 86400}, {"/week", 7 * 86400}, {"/month", 30 * 86400}}};

static bool units_is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}

/* Why a text of this kind is refused, when one can tell; NULL otherwise. */
static const char *units_hint(struct bytes text, size_t n_digits, const struct units_kind *kind) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == ' ' || text.data[i] == '\t') {
            return "no spaces are allowed";
        }
    }
    if (text.len > 0 && (text.data[0] == '+' || text.data[0] == '-')) {
        return "no sign is allowed";
    }
    if (n_digits > 1 && text.data[0] == '0') {
        return "no leading zero is allowed";
    }
    if (n_digits == 0) {
        return NULL;
    }
    uint8_t next = n_digits < text.len ? text.data[n_digits] : 0;
    if (next == '.' || next == ',' || next == '_' || next == 'e' || next == 'E') {
        return "write all digits, and nothing but digits";
    }
    return kind->hint_on == 0 || kind->hint_on == next ? kind->hint : NULL;
}

/* Splits `text` into digits, saturated at INT64_MAX, and one of the kind's suffixes. */
static bool units_read(struct bytes text, const struct units_kind *kind, int64_t *number, int64_t *factor,
                       struct status *status) {
    size_t n_digits = 0;
    int64_t sum = 0;
    while (n_digits < text.len && units_is_digit(text.data[n_digits])) {
        if (__builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, text.data[n_digits] - '0', &sum)) {
            sum = INT64_MAX;
        }
        n_digits++;
    }
    bool is_plain = n_digits == 1 || (n_digits > 1 && text.data[0] != '0');
    for (size_t i = 0; is_plain && i < kind->n_suffixes; i++) {
        size_t len = strlen(kind->suffixes[i].text);
        if (text.len - n_digits == len && memcmp(text.data + n_digits, kind->suffixes[i].text, len) == 0) {
            *number = sum;
            *factor = kind->suffixes[i].factor;
            return true;
        }
    }
    const char *hint = units_hint(text, n_digits, kind);
    return status_fail(status, "'%s' is not %s%s%s%s", units_show_text(text).text, kind->what,
                       hint != NULL ? " (" : "", hint != NULL ? hint : "", hint != NULL ? ")" : "");
}

static struct units_shown units_show(int64_t value, const struct units_kind *kind) {
    size_t i = kind->n_suffixes - 1;
    while (i > 0 && (value == 0 || value % kind->suffixes[i].factor != 0)) {
        i--;
    }
    struct units_shown shown;
    snprintf(shown.text, sizeof shown.text, "%" PRId64 "%s", value / kind->suffixes[i].factor,
             kind->suffixes[i].text);
    return shown;
}

static bool units_read_within(struct bytes text, const struct units_kind *kind, int64_t min, int64_t max,
                              int64_t *value, struct status *status) {
    int64_t number = 0, factor = 1;
    if (!units_read(text, kind, &number, &factor, status)) {
        return false;
    }
    int64_t product;
    if (__builtin_mul_overflow(number, factor, &product)) {
        product = INT64_MAX;
    }
    if (product < min || product > max) {
        bool is_low = product < min;
        return status_fail(status, "%s is %s, %s", units_show_text(text).text,
                           is_low ? "below the minimum" : "above the maximum",
                           units_show(is_low ? min : max, kind).text);
    }
    *value = product;
    return true;
}

bool units_read_integer(struct bytes text, int64_t min, int64_t max, int64_t *value, struct status *status) {
    return units_read_within(text, &units_integer, min, max, value, status);
}

bool units_read_bytes(struct bytes text, int64_t min, int64_t max, int64_t *value_bytes,
                      struct status *status) {
    return units_read_within(text, &units_bytes, min, max, value_bytes, status);
}

bool units_read_duration(struct bytes text, int64_t min_us, int64_t max_us, int64_t *value_us,
                         struct status *status) {
    return units_read_within(text, &units_duration, min_us, max_us, value_us, status);
}

static bool units_read_per(struct bytes text, const struct units_kind *kind, int64_t *count, int64_t *period_s,
                           struct status *status) {
    int64_t number = 0, factor = 1;
    bool is_zero = text.len == 1 && text.data[0] == '0';
    if (!is_zero && !units_read(text, kind, &number, &factor, status)) {
        return false;
    }
    *count = number;
    *period_s = number > 0 ? factor : 1;
    return true;
}

bool units_read_rate(struct bytes text, int64_t *count, int64_t *period_s, struct status *status) {
    return units_read_per(text, &units_rate, count, period_s, status);
}

bool units_read_window(struct bytes text, int64_t *count, int64_t *period_s, struct status *status) {
    return units_read_per(text, &units_window, count, period_s, status);
}

struct units_shown units_show_bytes(int64_t bytes) {
    return units_show(bytes, &units_bytes);
}

struct units_shown units_show_duration(int64_t us) {
    return units_show(us, &units_duration);
}

struct units_shown units_show_rate(int64_t count, int64_t period_s) {
    size_t i = 0;
    while (i < units_rate.n_suffixes - 1 && units_rate.suffixes[i].factor % period_s != 0) {
        i++;
    }
    struct units_shown shown;
    snprintf(shown.text, sizeof shown.text, "%" PRId64 "%s", count * (units_rate.suffixes[i].factor / period_s),
             units_rate.suffixes[i].text);
    return shown;
}

struct units_shown units_show_window(int64_t count, int64_t period_s) {
    size_t i = units_window.n_suffixes - 1;
    while (i > 0 && units_window.suffixes[i].factor != period_s) {
        i--;
    }
    struct units_shown shown;
    snprintf(shown.text, sizeof shown.text, "%" PRId64 "%s", count, units_window.suffixes[i].text);
    return shown;
}

struct units_shown units_show_text(struct bytes text) {
    static const char cut[] = "...";
    struct units_shown shown;
    size_t len = text.len;
    bool is_cut = len >= sizeof shown.text;
    if (is_cut) {
        len = sizeof shown.text - sizeof cut;
        while (len > 0 && (text.data[len] & 0xc0) == 0x80) {
            len--; /* not inside a UTF-8 sequence */
        }
    }
    for (size_t i = 0; i < len; i++) {
        uint8_t c = text.data[i];
        shown.text[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    memcpy(shown.text + len, is_cut ? cut : "", is_cut ? sizeof cut : 1);
    return shown;
}
