/* bench_keys.c — reads the choice of keys and gives them out; see bench_keys.h. */
#include "client/cmd/bench_keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wire.h"
#include "server/base/units.h"

#define DEFAULT_S 0.99

/* The key of number 0; the greatest number has 13 digits. */
static const char zero[] = "bench:000000000000000000";
_Static_assert(sizeof zero == BENCH_KEYS_KEY_BYTES + 1, "as long as every numbered key");

/* "1.2": no sign, no exponent. */
static bool read_s(const char *text, double *s) {
    char *end;
    if (text[0] == '\0' || text[strspn(text, "0123456789.")] != '\0') {
        return false;
    }
    *s = strtod(text, &end);
    return *end == '\0' && *s <= ZIPF_MAX_S;
}

/* "N" of uniform:N, or "N[:S]" of zipf:N[:S]. */
static bool read_numbers(struct bench_keys *keys, const char *text, struct status *status) {
    struct status reason;
    int64_t n;
    double s = keys->kind == BENCH_KEYS_ZIPF ? DEFAULT_S : 0;
    size_t n_digits = keys->kind == BENCH_KEYS_ZIPF ? strcspn(text, ":") : strlen(text);
    struct bytes count = {(const uint8_t *)text, n_digits};
    if (!units_read_integer(count, 1, (int64_t)ZIPF_MAX_N, &n, &reason)) {
        return status_fail(status, "--keys: %s", reason.text);
    }
    if (text[n_digits] == ':' && !read_s(text + n_digits + 1, &s)) {
        return status_fail(status, "--keys: '%s' is not an exponent from 0 to 10, such as 0.99",
                           text + n_digits + 1);
    }
    keys->n = (uint64_t)n;
    zipf_init(&keys->zipf, keys->n, s);
    return true;
}

/* Counts the lines; false when one is longer than a key may be. */
static bool judge_lines(struct bench_keys *keys, const char *path, struct status *status) {
    for (size_t at = 0; at < keys->text_bytes;) {
        const char *line = keys->text + at;
        const char *newline = memchr(line, '\n', keys->text_bytes - at);
        size_t n_bytes = newline != NULL ? (size_t)(newline - line) : keys->text_bytes - at;
        keys->n++;
        if (n_bytes > WIRE_KEY_MAX_BYTES) {
            return status_fail(status, "%s: line %llu has %zu bytes, a key at most %d", path,
                               (unsigned long long)keys->n, n_bytes, WIRE_KEY_MAX_BYTES);
        }
        at += n_bytes + 1;
    }
    return keys->n > 0 || status_fail(status, "%s: it is empty, there is no key in it", path);
}

/* Reads all of `file` into keys->text. */
static bool read_text(struct bench_keys *keys, FILE *file, const char *path, struct status *status) {
    size_t cap = 0, n = 0;
    do {
        if (keys->text_bytes == cap) {
            cap = cap == 0 ? 64 * 1024 : 2 * cap;
            char *grown = cap > BENCH_KEYS_FILE_MAX_BYTES ? NULL : realloc(keys->text, cap);
            if (grown == NULL) {
                return status_fail(status, "%s: too large to be kept in memory", path);
            }
            keys->text = grown;
        }
        n = fread(keys->text + keys->text_bytes, 1, cap - keys->text_bytes, file);
        keys->text_bytes += n;
    } while (n > 0);
    return ferror(file) == 0 || status_fail(status, "%s: cannot be read: %s", path, strerror(errno));
}

static bool read_file(struct bench_keys *keys, const char *path, struct status *status) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return status_fail(status, "%s: cannot be opened: %s", path, strerror(errno));
    }
    bool is_read = read_text(keys, file, path, status);
    fclose(file);
    return is_read && judge_lines(keys, path, status);
}

static const char *after(const char *text, const char *word) {
    size_t n = strlen(word);
    return strncmp(text, word, n) == 0 ? text + n : NULL;
}

bool bench_keys_init(struct bench_keys *keys, const char *choice, struct status *status) {
    const char *rest;
    *keys = (struct bench_keys){.kind = BENCH_KEYS_ONE, .n = 1};
    if (strcmp(choice, "one") == 0) {
        return true;
    }
    if ((rest = after(choice, "uniform:")) != NULL) {
        keys->kind = BENCH_KEYS_UNIFORM;
        return read_numbers(keys, rest, status);
    }
    if ((rest = after(choice, "zipf:")) != NULL) {
        keys->kind = BENCH_KEYS_ZIPF;
        return read_numbers(keys, rest, status);
    }
    if ((rest = after(choice, "file:")) != NULL) {
        keys->kind = BENCH_KEYS_FILE;
        keys->n = 0;
        bool is_read = read_file(keys, rest, status);
        if (!is_read) {
            bench_keys_deinit(keys);
        }
        return is_read;
    }
    return status_fail(status, "--keys: '%s' is none of one, uniform:N, zipf:N, zipf:N:S, file:PATH", choice);
}

void bench_keys_deinit(struct bench_keys *keys) {
    free(keys->text);
    *keys = (struct bench_keys){.kind = BENCH_KEYS_ONE};
}

static struct bytes write_number(uint64_t number, uint8_t numbered[BENCH_KEYS_KEY_BYTES]) {
    memcpy(numbered, zero, BENCH_KEYS_KEY_BYTES);
    for (size_t i = BENCH_KEYS_KEY_BYTES; number > 0; number /= 10) {
        numbered[--i] = (uint8_t)('0' + number % 10);
    }
    return (struct bytes){numbered, BENCH_KEYS_KEY_BYTES};
}

static struct bytes next_line(struct bench_keys *keys) {
    const char *line = keys->text + keys->at;
    size_t left = keys->text_bytes - keys->at;
    const char *newline = memchr(line, '\n', left);
    size_t n_bytes = newline != NULL ? (size_t)(newline - line) : left;
    keys->at = n_bytes + 1 < left ? keys->at + n_bytes + 1 : 0;
    return (struct bytes){(const uint8_t *)line, n_bytes};
}

struct bytes bench_keys_next(struct bench_keys *keys, struct rng *rng, uint8_t numbered[BENCH_KEYS_KEY_BYTES]) {
    switch (keys->kind) {
    case BENCH_KEYS_ONE:
        break;
    case BENCH_KEYS_UNIFORM:
        return write_number(rng_below(rng, keys->n), numbered);
    case BENCH_KEYS_ZIPF:
        return write_number(zipf_draw(&keys->zipf, rng) - 1, numbered);
    case BENCH_KEYS_FILE:
        return next_line(keys);
    }
    return write_number(0, numbered);
}
