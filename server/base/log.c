/* log.c — one line per event on standard error; see log.h.
 *
 * The level and the form are the only state at file level: they are the process's, set before threads start. */
#include "server/base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "server/base/clock.h"

enum { LOG_SENTENCE_BYTES = 768, LOG_LINE_BYTES = 2048 };

static _Atomic int log_level_max = LOG_INFO;
static _Atomic bool log_is_json;

void log_configure(enum log_level level, bool as_json) {
    atomic_store(&log_level_max, (int)level);
    atomic_store(&log_is_json, as_json);
}

static const char *level_text(enum log_level level) {
    switch (level) {
    case LOG_ERROR:
        return "error";
    case LOG_WARN:
        return "warn";
    case LOG_INFO:
        return "info";
    case LOG_DEBUG:
        return "debug";
    }
    return "error";
}

/* Copies `text` so that it stays inside one line, and inside a JSON string when `as_json`. */
static void escape(const char *text, bool as_json, char *out, size_t cap) {
    size_t n = 0;
    for (; *text != '\0' && n + 7 < cap; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f) {
            n += (size_t)snprintf(out + n, cap - n, as_json ? "\\u%04x" : "?", (unsigned)c);
        } else {
            if (as_json && (c == '"' || c == '\\')) {
                out[n++] = '\\';
            }
            out[n++] = (char)c;
        }
    }
    out[n] = '\0';
}

static void format_time(char *out, size_t cap) {
    int64_t now_us = clock_wall_us();
    time_t seconds = (time_t)(now_us / 1000000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    size_t n = strftime(out, cap, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + n, cap - n, ".%03dZ", (int)(now_us / 1000 % 1000));
}

void log_write(enum log_level level, const char *room, const char *format, ...) {
    if ((int)level > atomic_load_explicit(&log_level_max, memory_order_relaxed)) {
        return;
    }
    char sentence[LOG_SENTENCE_BYTES], safe[LOG_SENTENCE_BYTES * 2], when[40], line[LOG_LINE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    bool as_json = atomic_load_explicit(&log_is_json, memory_order_relaxed);
    escape(sentence, as_json, safe, sizeof safe);
    format_time(when, sizeof when);
    const char *form =
        as_json ? "{\"time\":\"%s\",\"level\":\"%s\",\"room\":\"%s\",\"text\":\"%s\"}\n" : "%s %s %s: %s\n";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int n = snprintf(line, sizeof line, form, when, level_text(level), room, safe);
#pragma GCC diagnostic pop
    if (n > 0) {
        /* One write keeps lines of several threads apart; a log that cannot be written is no reason to stop. */
        ssize_t ignored = write(STDERR_FILENO, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
        (void)ignored;
    }
}

bool log_gate_open(struct log_gate *gate, int64_t now_us, int64_t every_us, uint64_t *n_held_back) {
    if (now_us < gate->next_at_us) {
        gate->n_held_back++;
        return false;
    }
    *n_held_back = gate->n_held_back;
    gate->n_held_back = 0;
    gate->next_at_us = now_us + every_us;
    return true;
}
