/* snapshot.c — the last quotas known from Redis, in a file; see snapshot.h for its form. */
#include "server/quota/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/hash.h"
#include "server/quota/quota_json.h"

enum { HEAD_MAX_BYTES = 128, LINE_MAX_BYTES = 512, N_PARTS = 4, NUMBER_MAX_DIGITS = 19 };

#define HEAD_FORM "sluice quotas 1 %zu %016" PRIx64 "%016" PRIx64 "\n"
static const char name_and_version[] = "sluice quotas 1 ";

/* ---- writing ---- */

static int write_head(struct bytes body, char head[HEAD_MAX_BYTES]) {
    struct hash128 sum = hash_bytes_wide(body.data, body.len, 0);
    return snprintf(head, HEAD_MAX_BYTES, HEAD_FORM, body.len, sum.high, sum.low);
}

static bool add_quota(const struct quota *quota, struct buf *out) {
    char line[LINE_MAX_BYTES];
    struct bytes tenant = quota_tenant(quota), resource = quota_resource(quota);
    struct quota_rules rules;
    quota_get_rules(quota, &rules);
    int n = snprintf(line, sizeof line, "%" PRIu64 "\t%.*s\t%.*s\t", quota->revision, (int)tenant.len,
                     (const char *)tenant.data, (int)resource.len, (const char *)resource.data);
    return buf_append(out, line, (size_t)n) && quota_json_write(&rules, out) && buf_append(out, "\n", 1);
}

static bool encode_body(const struct quota_set *set, struct buf *body) {
    char line[LINE_MAX_BYTES];
    int n = snprintf(line, sizeof line, "%" PRIu64 " %s\n", quota_set_revision(set),
                     quota_set_unknown(set) == QUOTA_UNKNOWN_DENY ? "deny" : "allow");
    bool is_encoded = buf_append(body, line, (size_t)n);
    for (uint32_t i = 0; i < quota_set_n_places(set) && is_encoded; i++) {
        const struct quota *quota = quota_set_at(set, i);
        is_encoded = quota == NULL || add_quota(quota, body);
    }
    return is_encoded;
}

bool snapshot_encode(const struct quota_set *set, struct buf *out) {
    char head[HEAD_MAX_BYTES];
    struct buf body = {0};
    bool is_encoded = encode_body(set, &body);
    if (is_encoded) {
        int n = write_head((struct bytes){buf_front(&body), buf_len(&body)}, head);
        is_encoded = buf_append(out, head, (size_t)n) && buf_append(out, buf_front(&body), buf_len(&body));
    }
    buf_deinit(&body);
    return is_encoded;
}

/* ---- reading ---- */

/* The text up to `mark`, which is passed over. */
static bool take_part(struct bytes *rest, char mark, struct bytes *part) {
    const uint8_t *at = rest->len > 0 ? memchr(rest->data, mark, rest->len) : NULL;
    if (at == NULL) {
        return false;
    }
    *part = (struct bytes){rest->data, (size_t)(at - rest->data)};
    *rest = (struct bytes){at + 1, rest->len - part->len - 1};
    return true;
}

static bool read_number(struct bytes text, uint64_t *number) {
    *number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        *number = *number * 10 + (uint64_t)(text.data[i] - '0');
    }
    return text.len > 0 && text.len <= NUMBER_MAX_DIGITS;
}

static bool is_text(struct bytes bytes, const char *text) {
    return bytes.len == strlen(text) && memcmp(bytes.data, text, bytes.len) == 0;
}

static bool read_first_line(struct bytes *rest, struct quota_set *set) {
    struct bytes number, word;
    uint64_t revision;
    if (!take_part(rest, ' ', &number) || !take_part(rest, '\n', &word) || !read_number(number, &revision) ||
        !(is_text(word, "allow") || is_text(word, "deny"))) {
        return false;
    }
    quota_set_set_revision(set, revision);
    quota_set_set_unknown(set, is_text(word, "deny") ? QUOTA_UNKNOWN_DENY : QUOTA_UNKNOWN_ALLOW);
    return true;
}

static bool read_quota(struct bytes *rest, struct quota_set *set, struct status *status) {
    struct bytes parts[N_PARTS];
    struct quota_rules rules;
    uint64_t revision;
    for (size_t i = 0; i < N_PARTS; i++) {
        if (!take_part(rest, i + 1 < N_PARTS ? '\t' : '\n', &parts[i])) {
            return status_fail(status, "a line of it is no quota");
        }
    }
    return (read_number(parts[0], &revision) || status_fail(status, "a line of it has no revision")) &&
           quota_json_read(parts[3], &rules, status) &&
           quota_set_put(set, parts[1], parts[2], &rules, revision, status);
}

/* What stands behind a head that is right about it. */
static bool check_head(struct bytes bytes, struct bytes *body, struct status *status) {
    char head[HEAD_MAX_BYTES];
    struct bytes line, rest = bytes;
    size_t n_name = sizeof name_and_version - 1;
    if (bytes.len < n_name || memcmp(bytes.data, name_and_version, n_name) != 0) {
        return status_fail(status, "it is no snapshot of this version");
    }
    if (!take_part(&rest, '\n', &line)) {
        return status_fail(status, "it is cut short");
    }
    int n = write_head(rest, head);
    if ((size_t)n != line.len + 1 || memcmp(head, bytes.data, (size_t)n) != 0) {
        return status_fail(status, "its length or checksum is wrong: it was cut short or damaged");
    }
    *body = rest;
    return true;
}

struct quota_set *snapshot_decode(struct bytes bytes, struct status *status) {
    struct bytes rest = {NULL, 0};
    if (!check_head(bytes, &rest, status)) {
        return NULL;
    }
    struct quota_set *set = quota_set_create();
    if (set == NULL) {
        status_fail(status, "out of memory");
        return NULL;
    }
    bool is_read = read_first_line(&rest, set) || status_fail(status, "its first line is wrong");
    while (is_read && rest.len > 0) {
        is_read = read_quota(&rest, set, status);
    }
    if (!is_read) {
        quota_set_release(&set);
    }
    return set;
}

/* ---- the file ---- */

static bool write_all(int fd, const struct buf *bytes) {
    const uint8_t *at = buf_front(bytes);
    for (size_t n_left = buf_len(bytes); n_left > 0;) {
        ssize_t n = write(fd, at, n_left);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        at += n > 0 ? n : 0;
        n_left -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* So that the new name outlives a crash. */
static bool sync_folder(const char *path) {
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool is_synced = fsync(fd) == 0;
    close(fd);
    return is_synced;
}

static bool write_file(const char *path, const char *temporary, const struct buf *bytes) {
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return false;
    }
    bool is_written = write_all(fd, bytes) && fsync(fd) == 0;
    is_written = close(fd) == 0 && is_written;
    return is_written && rename(temporary, path) == 0 && sync_folder(path);
}

bool snapshot_write(const char *path, const struct quota_set *set, struct status *status) {
    char temporary[PATH_MAX];
    struct buf bytes = {0};
    int n = snprintf(temporary, sizeof temporary, "%s.new", path);
    if (n < 0 || (size_t)n >= sizeof temporary) {
        return status_fail(status, "%s: the path is too long", path);
    }
    bool is_written = snapshot_encode(set, &bytes);
    if (!is_written) {
        status_fail(status, "%s: out of memory", path);
    } else if (!write_file(path, temporary, &bytes)) {
        is_written = status_fail(status, "%s: %s", path, strerror(errno));
        unlink(temporary);
    }
    buf_deinit(&bytes);
    return is_written;
}

/* All of a file that is a regular one and not too large. */
static bool read_all(int fd, struct buf *out, struct status *status) {
    struct stat stat;
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode) || stat.st_size > SNAPSHOT_MAX_BYTES) {
        return status_fail(status, "it is no regular file, or larger than any snapshot");
    }
    uint8_t *to = buf_reserve(out, (size_t)stat.st_size + 1);
    if (to == NULL) {
        return status_fail(status, "out of memory");
    }
    for (size_t n_left = (size_t)stat.st_size; n_left > 0;) {
        ssize_t n = read(fd, to, n_left);
        if (n == 0) {
            break;
        }
        if (n < 0 && errno != EINTR) {
            return status_fail(status, "%s", strerror(errno));
        }
        to += n > 0 ? n : 0;
        n_left -= n > 0 ? (size_t)n : 0;
        buf_commit(out, n > 0 ? (size_t)n : 0);
    }
    return true;
}

struct quota_set *snapshot_read(const char *path, bool *is_absent, struct status *status) {
    struct status why;
    struct buf bytes = {0};
    struct quota_set *set = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *is_absent = fd < 0 && errno == ENOENT;
    if (fd < 0) {
        status_fail(status, "%s: %s", path, strerror(errno));
        return NULL;
    }
    if (read_all(fd, &bytes, &why)) {
        set = snapshot_decode((struct bytes){bytes.data + bytes.start, buf_len(&bytes)}, &why);
    }
    if (set == NULL) {
        status_fail(status, "%s: %s", path, why.text);
    }
    close(fd);
    buf_deinit(&bytes);
    return set;
}
