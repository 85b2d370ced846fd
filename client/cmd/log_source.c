/* log_source.c — cuts a descriptor's bytes into lines and has each parsed.
 *
 * The buffer holds one line of the longest kind and one read; a longer line is dropped piece by piece while
 * `is_skipping`, and counted once when it ends. */
#include "client/cmd/log_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER_BYTES = 2 * LOG_SOURCE_LINE_MAX_BYTES };

struct log_source {
    const char *path;
    int fd;
    bool is_at_eof, is_skipping;
    uint64_t max_lines;
    size_t start, end; /* what is read and not yet consumed */
    struct log_source_stats stats;
    uint8_t bytes[BUFFER_BYTES];
};

struct log_source *log_source_open(const char *path, uint64_t max_lines, struct status *status) {
    struct log_source *source = calloc(1, sizeof *source);
    if (source == NULL) {
        status_fail(status, "out of memory");
        return NULL;
    }
    source->path = path;
    source->max_lines = max_lines;
    source->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (source->fd < 0) {
        status_fail(status, "cannot open %s: %s", path, strerror(errno));
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
    if (*source != NULL && (*source)->fd != STDIN_FILENO) {
        close((*source)->fd);
    }
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

enum log_source_step log_source_next(struct log_source *source, struct access_log_entry *entry) {
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
            return LOG_SOURCE_ENTRY;
        }
    }
    return LOG_SOURCE_END;
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
        return status_fail(status, "cannot read %s: %s", source->path, strerror(errno));
    }
    if (n == 0) {
        source->is_at_eof = true;
    } else if (n > 0) {
        source->end += (size_t)n;
    }
    return true;
}

int log_source_fd(const struct log_source *source) {
    return source->fd;
}

const struct log_source_stats *log_source_stats(const struct log_source *source) {
    return &source->stats;
}
