/* log_source.c — cuts a descriptor's bytes into lines and has each parsed.
 *
 * The buffer holds one line of the longest kind and one read; a longer line is dropped piece by piece while
 * `is_skipping`, and counted once when it ends. To sort, entries are collected until the input ends:
 *
 *   COLLECTING ── end ────────────> sort ─> GIVING ─> STREAMING (which then finds the end)
 *              └─ list is full ───────────> GIVING ─> the entry that was too many ─> STREAMING */
#include "client/cmd/log_source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cmd/entry_list.h"

enum { BUFFER_BYTES = 2 * LOG_SOURCE_LINE_MAX_BYTES };

enum phase { COLLECTING, GIVING, STREAMING };

struct log_source {
    const char *name; /* for messages */
    int fd;
    bool is_at_eof, is_skipping;
    uint64_t max_lines;
    enum phase phase;
    struct entry_list list;
    struct access_log_entry spilled; /* the first that the list had no room for */
    int64_t latest_at_us;
    size_t start, end; /* what is read and not yet consumed */
    struct log_source_stats stats;
    uint8_t bytes[BUFFER_BYTES];
};

struct log_source *log_source_open(const char *path, const struct log_source_options *options,
                                   struct status *status) {
    struct log_source *source = calloc(1, sizeof *source);
    if (source == NULL) {
        status_fail(status, "out of memory");
        return NULL;
    }
    bool is_stdin = strcmp(path, "-") == 0;
    source->name = is_stdin ? "standard input" : path;
    source->max_lines = options->max_lines;
    source->phase = options->max_sorted > 0 ? COLLECTING : STREAMING;
    entry_list_init(&source->list, options->max_sorted);
    source->fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (source->fd < 0) {
        status_fail(status, "%s: cannot be opened: %s", path, strerror(errno));
        free(source);
        return NULL;
    }
    struct stat about;
    if (fstat(source->fd, &about) == 0 && S_ISREG(about.st_mode)) {
        source->stats.total_bytes = (uint64_t)about.st_size;
    }
    return source;
}

void log_source_close(struct log_source **source) {
    if (*source == NULL) {
        return;
    }
    if ((*source)->fd != STDIN_FILENO) {
        close((*source)->fd);
    }
    entry_list_deinit(&(*source)->list);
    free(*source);
    *source = NULL;
}

static enum access_log_outcome count_line(struct log_source *source, enum access_log_outcome outcome) {
    struct log_source_stats *stats = &source->stats;
    stats->n_lines++;
    if (outcome != ACCESS_LOG_OK) {
        if (stats->n_bad < LOG_SOURCE_BAD_NAMED) {
            stats->bad[stats->n_bad] = (struct log_source_bad_line){stats->n_lines, outcome};
        }
        stats->n_bad++;
    }
    return outcome;
}

static void consume(struct log_source *source, size_t n_bytes) {
    source->start += n_bytes;
    source->stats.n_bytes += n_bytes;
}

/* Judges the line of `n_bytes` at the front, and drops it with the `n_end` bytes that end it. */
static enum access_log_outcome take_line(struct log_source *source, size_t n_bytes, size_t n_end,
                                         struct access_log_entry *entry) {
    const uint8_t *line = source->bytes + source->start;
    bool is_too_long = source->is_skipping || n_bytes > LOG_SOURCE_LINE_MAX_BYTES;
    source->is_skipping = false;
    consume(source, n_bytes + n_end);
    return count_line(source, is_too_long ? ACCESS_LOG_TOO_LONG : access_log_parse(line, n_bytes, entry));
}

static void note_time(struct log_source *source, int64_t at_us) {
    if (at_us < source->latest_at_us) {
        source->stats.n_backward++;
    } else {
        source->latest_at_us = at_us;
    }
}

/* The next entry as the log has it. */
static enum log_source_step read_entry(struct log_source *source, struct access_log_entry *entry) {
    while (source->max_lines == 0 || source->stats.n_lines < source->max_lines) {
        const uint8_t *front = source->bytes + source->start;
        size_t n_left = source->end - source->start;
        const uint8_t *newline = memchr(front, '\n', n_left);
        enum access_log_outcome outcome;
        if (newline != NULL) {
            outcome = take_line(source, (size_t)(newline - front), 1, entry);
        } else if (!source->is_at_eof) {
            return LOG_SOURCE_STARVED;
        } else if (n_left > 0 || source->is_skipping) {
            outcome = take_line(source, n_left, 0, entry);
        } else {
            return LOG_SOURCE_END;
        }
        if (outcome == ACCESS_LOG_OK) {
            note_time(source, entry->at_us);
            return LOG_SOURCE_ENTRY;
        }
    }
    return LOG_SOURCE_END;
}

/* Starved, or ended and in the next phase. */
static enum log_source_step collect(struct log_source *source) {
    struct access_log_entry entry;
    for (;;) {
        switch (read_entry(source, &entry)) {
        case LOG_SOURCE_ENTRY:
            if (!entry_list_add(&source->list, &entry)) {
                source->spilled = entry;
                source->stats.is_beyond_sort = true;
                source->phase = GIVING;
                return LOG_SOURCE_END;
            }
            break;
        case LOG_SOURCE_STARVED:
            return LOG_SOURCE_STARVED;
        case LOG_SOURCE_END:
            entry_list_sort(&source->list);
            source->stats.is_sorted = true;
            source->phase = GIVING;
            return LOG_SOURCE_END;
        }
    }
}

/* From the list, at its end what was spilled, from then on as read. */
static enum log_source_step give(struct log_source *source, struct access_log_entry *entry) {
    if (entry_list_take(&source->list, entry)) {
        return LOG_SOURCE_ENTRY;
    }
    source->phase = STREAMING;
    if (source->stats.is_beyond_sort) {
        *entry = source->spilled;
        return LOG_SOURCE_ENTRY;
    }
    return LOG_SOURCE_END;
}

enum log_source_step log_source_next(struct log_source *source, struct access_log_entry *entry) {
    if (source->phase == COLLECTING && collect(source) == LOG_SOURCE_STARVED) {
        return LOG_SOURCE_STARVED;
    }
    enum log_source_step step = source->phase == GIVING ? give(source, entry) : read_entry(source, entry);
    source->stats.n_given += step == LOG_SOURCE_ENTRY;
    return step;
}

bool log_source_fill(struct log_source *source, struct status *status) {
    size_t n_left = source->end - source->start;
    if (n_left > LOG_SOURCE_LINE_MAX_BYTES) {
        source->is_skipping = true;
        consume(source, n_left);
        n_left = 0;
    }
    memmove(source->bytes, source->bytes + source->start, n_left);
    source->start = 0;
    source->end = n_left;

    ssize_t n;
    do {
        n = read(source->fd, source->bytes + source->end, BUFFER_BYTES - source->end);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN) {
        return status_fail(status, "%s: cannot be read: %s", source->name, strerror(errno));
    }
    if (n == 0) {
        source->is_at_eof = true;
    } else if (n > 0) {
        source->end += (size_t)n;
    }
    return true;
}

bool log_source_had_entries(const struct log_source *source, struct status *status) {
    const struct log_source_stats *stats = &source->stats;
    if (stats->n_lines == 0) {
        return status_fail(status, "%s: is empty", source->name);
    }
    if (stats->n_bad == stats->n_lines) {
        return status_fail(status, "%s: no valid line among the %" PRIu64 " read; line 1: %s", source->name,
                           stats->n_lines, access_log_outcome_text(stats->bad[0].outcome));
    }
    return true;
}

int log_source_fd(const struct log_source *source) {
    return source->fd;
}

const struct log_source_stats *log_source_stats(const struct log_source *source) {
    return &source->stats;
}
