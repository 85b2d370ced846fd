/* access_log.h — reads one line of a web server's access log, in common or combined format.
 *
 *   host ident user [dd/Mon/yyyy:HH:MM:SS +zzzz] "request" status bytes ["referer" "agent" ...]
 *
 * Strict about what it uses and the shape around it, tolerant of what follows the agent. Quoted fields may hold
 * \" and \\. Pure: nothing is copied or allocated, and no locale or time zone is asked. */
#ifndef SLUICE_CLIENT_CMD_ACCESS_LOG_H
#define SLUICE_CLIENT_CMD_ACCESS_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "server/base/bytes.h"

enum { ACCESS_LOG_HOST_MAX_BYTES = 255, ACCESS_LOG_YEAR_MIN = 1970, ACCESS_LOG_YEAR_MAX = 2199 };

/* What a line is, with what is wrong with it as a sentence. */
#define ACCESS_LOG_OUTCOMES(X)                                                                                 \
    X(OK, "fine")                                                                                              \
    X(EMPTY, "the line is empty")                                                                              \
    X(TOO_LONG, "the line is longer than 64 KiB")                                                              \
    X(NUL, "the line holds a NUL byte")                                                                        \
    X(HOST, "host: not 1 to 255 printable bytes before a space")                                               \
    X(IDENTITY, "ident and user: not found between host and time")                                             \
    X(TIME, "time: not a valid [dd/Mon/yyyy:HH:MM:SS +zzzz]")                                                  \
    X(REQUEST, "request: not between double quotes")                                                           \
    X(STATUS, "status: not three digits or -")                                                                 \
    X(SIZE, "bytes: not a number or -")                                                                        \
    X(TAIL, "referer and agent: not both between double quotes")

enum access_log_outcome {
#define ACCESS_LOG_OUTCOME_ENUM(name, text) ACCESS_LOG_##name,
    ACCESS_LOG_OUTCOMES(ACCESS_LOG_OUTCOME_ENUM)
#undef ACCESS_LOG_OUTCOME_ENUM
};

struct access_log_entry {
    struct bytes host; /* the client's address or name; borrowed from the line */
    int64_t at_us;     /* since 1970-01-01 UTC, never negative; a log's resolution is one second */
};

/* Reads a line given without its "\n"; a "\r" at its end is dropped. `entry` is set on ACCESS_LOG_OK only. */
enum access_log_outcome access_log_parse(const uint8_t *line, size_t n_bytes, struct access_log_entry *entry)
    __attribute__((warn_unused_result));

const char *access_log_outcome_text(enum access_log_outcome outcome);

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar (month 1 ... 12). The formula is
 * days_from_civil from Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms" (public domain). */
int64_t access_log_days_from_civil(int64_t year, int64_t month, int64_t day);

#endif
