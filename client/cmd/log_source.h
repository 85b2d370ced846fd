/* log_source.h — an access log as a stream of entries: a file or standard input, in bounded memory.
 *
 * Bad lines are skipped, counted and remembered by number. Servers write a line when its request ends, so logs
 * are never quite in order; entries can be had by time: then the first one comes when all of the log was read.
 * Reading is split in two so that an event loop can wait for input: `next` takes entries from what was read,
 * `fill` reads once (and may block unless the descriptor is readable). One thread. */
#ifndef SLUICE_CLIENT_CMD_LOG_SOURCE_H
#define SLUICE_CLIENT_CMD_LOG_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/cmd/access_log.h"
#include "server/base/status.h"

/* Sorting so many takes about 130 MiB. */
enum { LOG_SOURCE_LINE_MAX_BYTES = 64 * 1024, LOG_SOURCE_BAD_NAMED = 8, LOG_SOURCE_SORT_MAX = 2000000 };

struct log_source_bad_line {
    uint64_t number; /* from 1 */
    enum access_log_outcome outcome;
};

struct log_source_stats {
    uint64_t n_lines; /* good and bad */
    uint64_t n_bad;
    struct log_source_bad_line bad[LOG_SOURCE_BAD_NAMED]; /* the first of them */
    uint64_t n_bytes;                                     /* consumed */
    uint64_t total_bytes;                                 /* of a regular file; 0: not known */
    uint64_t n_backward;                                  /* entries dated before one above them */
    uint64_t n_given;                                     /* entries that `next` gave */
    bool is_sorted;      /* all of the log was read, and entries come by time */
    bool is_beyond_sort; /* they should, but are too many; they come as in the log */
};

enum log_source_step {
    LOG_SOURCE_ENTRY,   /* entry is set; its host stays valid until the next call with this source */
    LOG_SOURCE_STARVED, /* no whole line left: fill, then ask again */
    LOG_SOURCE_END,     /* end of input, or the wanted number of lines was read */
};

struct log_source;

struct log_source_options {
    uint64_t max_lines; /* stop after so many; 0: no limit */
    size_t max_sorted;  /* give entries by time, unless there are more than so many; 0: as in the log */
};

/* Opens a path, "-" for standard input; the path is borrowed. NULL with a sentence. */
struct log_source *log_source_open(const char *path, const struct log_source_options *options,
                                   struct status *status);
void log_source_close(struct log_source **source);

enum log_source_step log_source_next(struct log_source *source, struct access_log_entry *entry)
    __attribute__((warn_unused_result));
/* Reads once. Only to be called when starved. False with a sentence when the input cannot be read; what was
 * read before stays valid. */
bool log_source_fill(struct log_source *source, struct status *status) __attribute__((warn_unused_result));

/* To be asked at the end: false with a sentence when there was not one valid line. */
bool log_source_had_entries(const struct log_source *source, struct status *status)
    __attribute__((warn_unused_result));

/* What to wait for before filling. */
int log_source_fd(const struct log_source *source);
const struct log_source_stats *log_source_stats(const struct log_source *source);

#endif
