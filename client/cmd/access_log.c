/* access_log.c — one pass over a line with a cursor; each take_ function moves it only when it succeeds. */
#include "client/cmd/access_log.h"

#include <stdbool.h>
#include <string.h>

struct cursor {
    const uint8_t *at, *end;
};

static bool is_digit(uint8_t byte) {
    return byte >= '0' && byte <= '9';
}

static bool is_word_byte(uint8_t byte) {
    return ' ' < byte && byte < 0x7f;
}

static bool take_byte(struct cursor *cursor, char byte) {
    if (cursor->at == cursor->end || *cursor->at != (uint8_t)byte) {
        return false;
    }
    cursor->at++;
    return true;
}

/* Printable bytes up to a space or the end; false when there are none or others come first. */
static bool take_word(struct cursor *cursor, struct bytes *word) {
    const uint8_t *at = cursor->at;
    while (at < cursor->end && is_word_byte(*at)) {
        at++;
    }
    if (at == cursor->at || (at < cursor->end && *at != ' ')) {
        return false;
    }
    *word = (struct bytes){cursor->at, (size_t)(at - cursor->at)};
    cursor->at = at;
    return true;
}

/* Exactly `n` digits. */
static bool take_number(struct cursor *cursor, size_t n, int64_t *value) {
    int64_t sum = 0;
    if ((size_t)(cursor->end - cursor->at) < n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(cursor->at[i])) {
            return false;
        }
        sum = sum * 10 + (cursor->at[i] - '0');
    }
    cursor->at += n;
    *value = sum;
    return true;
}

/* "..." with \ before a quote that belongs to the text. */
static bool take_quoted(struct cursor *cursor) {
    const uint8_t *at = cursor->at;
    if (at == cursor->end || *at != '"') {
        return false;
    }
    for (at++; at < cursor->end && *at != '"'; at++) {
        if (*at == '\\' && at + 1 < cursor->end) {
            at++;
        }
    }
    if (at >= cursor->end) {
        return false;
    }
    cursor->at = at + 1;
    return true;
}

static bool take_month(struct cursor *cursor, int64_t *month) {
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    if (cursor->end - cursor->at < 3) {
        return false;
    }
    for (int64_t i = 0; i < 12; i++) {
        if (memcmp(cursor->at, &names[3 * i], 3) == 0) {
            cursor->at += 3;
            *month = i + 1;
            return true;
        }
    }
    return false;
}

int64_t access_log_days_from_civil(int64_t year, int64_t month, int64_t day) {
    enum { DAYS_PER_ERA = 146097, DAYS_FROM_ERA_0_TO_1970 = 719468 };
    /* A year that begins in March has its leap day at the end; 400 of them are an era. */
    int64_t march_year = month <= 2 ? year - 1 : year;
    int64_t era = (march_year >= 0 ? march_year : march_year - 399) / 400;
    int64_t year_of_era = march_year - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - DAYS_FROM_ERA_0_TO_1970;
}

static int64_t days_in_month(int64_t year, int64_t month) {
    int64_t next = month == 12 ? access_log_days_from_civil(year + 1, 1, 1)
                               : access_log_days_from_civil(year, month + 1, 1);
    return next - access_log_days_from_civil(year, month, 1);
}

/* +zzzz as seconds east of UTC; the world uses -1200 to +1400. */
static bool take_zone(struct cursor *cursor, int64_t *east_s) {
    int64_t hours, minutes;
    bool is_west = take_byte(cursor, '-');
    if ((!is_west && !take_byte(cursor, '+')) || !take_number(cursor, 2, &hours) ||
        !take_number(cursor, 2, &minutes) || hours > 14 || minutes > 59) {
        return false;
    }
    *east_s = (hours * 3600 + minutes * 60) * (is_west ? -1 : 1);
    return true;
}

/* [dd/Mon/yyyy:HH:MM:SS +zzzz]; second 60 is a leap second and counts as the next minute's first. */
static bool take_time(struct cursor *cursor, int64_t *at_us) {
    int64_t day, month, year, hour, minute, second, east_s;
    if (!take_byte(cursor, '[') || !take_number(cursor, 2, &day) || !take_byte(cursor, '/') ||
        !take_month(cursor, &month) || !take_byte(cursor, '/') || !take_number(cursor, 4, &year) ||
        !take_byte(cursor, ':') || !take_number(cursor, 2, &hour) || !take_byte(cursor, ':') ||
        !take_number(cursor, 2, &minute) || !take_byte(cursor, ':') || !take_number(cursor, 2, &second) ||
        !take_byte(cursor, ' ') || !take_zone(cursor, &east_s) || !take_byte(cursor, ']')) {
        return false;
    }
    if (year < ACCESS_LOG_YEAR_MIN || year > ACCESS_LOG_YEAR_MAX || day < 1 ||
        day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 60) {
        return false;
    }
    int64_t days = access_log_days_from_civil(year, month, day);
    *at_us = (days * 86400 + hour * 3600 + minute * 60 + second - east_s) * 1000000;
    return *at_us >= 0;
}

/* " ident user " up to the bracket of the time; a user's name may hold spaces. */
static bool take_identity(struct cursor *cursor) {
    struct bytes word;
    struct cursor start = *cursor;
    if (!take_byte(cursor, ' ') || !take_word(cursor, &word) || !take_byte(cursor, ' ')) {
        *cursor = start;
        return false;
    }
    const uint8_t *bracket = memmem(cursor->at, (size_t)(cursor->end - cursor->at), " [", 2);
    if (bracket == NULL || bracket == cursor->at) {
        *cursor = start;
        return false;
    }
    cursor->at = bracket + 1;
    return true;
}

static bool take_status(struct cursor *cursor) {
    int64_t status;
    return take_byte(cursor, ' ') && (take_byte(cursor, '-') || take_number(cursor, 3, &status));
}

static bool take_size(struct cursor *cursor) {
    struct bytes word;
    if (!take_byte(cursor, ' ') || !take_word(cursor, &word)) {
        return false;
    }
    if (word.len == 1 && word.data[0] == '-') {
        return true;
    }
    for (size_t i = 0; i < word.len; i++) {
        if (!is_digit(word.data[i])) {
            return false;
        }
    }
    return true;
}

static bool is_at_end(const struct cursor *cursor) {
    return cursor->at == cursor->end;
}

static bool is_at_end_or_space(const struct cursor *cursor) {
    return is_at_end(cursor) || *cursor->at == ' ';
}

static bool take_tail(struct cursor *cursor) {
    return take_byte(cursor, ' ') && take_quoted(cursor) && take_byte(cursor, ' ') && take_quoted(cursor) &&
           is_at_end_or_space(cursor);
}

enum access_log_outcome access_log_parse(const uint8_t *line, size_t n_bytes, struct access_log_entry *entry) {
    if (n_bytes > 0 && line[n_bytes - 1] == '\r') {
        n_bytes--;
    }
    if (n_bytes == 0) {
        return ACCESS_LOG_EMPTY;
    }
    if (memchr(line, '\0', n_bytes) != NULL) {
        return ACCESS_LOG_NUL;
    }
    struct cursor cursor = {line, line + n_bytes};
    struct access_log_entry parsed;
    if (!take_word(&cursor, &parsed.host) || parsed.host.len > ACCESS_LOG_HOST_MAX_BYTES ||
        is_at_end(&cursor)) {
        return ACCESS_LOG_HOST;
    }
    if (!take_identity(&cursor)) {
        return ACCESS_LOG_IDENTITY;
    }
    if (!take_time(&cursor, &parsed.at_us)) {
        return ACCESS_LOG_TIME;
    }
    if (!take_byte(&cursor, ' ') || !take_quoted(&cursor)) {
        return ACCESS_LOG_REQUEST;
    }
    if (!take_status(&cursor) || !is_at_end_or_space(&cursor)) {
        return ACCESS_LOG_STATUS;
    }
    if (!take_size(&cursor)) {
        return ACCESS_LOG_SIZE;
    }
    if (!is_at_end(&cursor) && !take_tail(&cursor)) {
        return ACCESS_LOG_TAIL;
    }
    *entry = parsed;
    return ACCESS_LOG_OK;
}

const char *access_log_outcome_text(enum access_log_outcome outcome) {
    static const char *const texts[] = {
#define ACCESS_LOG_OUTCOME_TEXT(name, text) [ACCESS_LOG_##name] = text,
        ACCESS_LOG_OUTCOMES(ACCESS_LOG_OUTCOME_TEXT)
#undef ACCESS_LOG_OUTCOME_TEXT
    };
    return texts[outcome];
}
