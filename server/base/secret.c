/* secret.c — a password from a file of its own; see secret.h. */
#include "server/base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROOM_BYTES = SECRET_MAX_BYTES + 3 }; /* a line's end of two bytes, and one byte too many */

/* Reads to the end of the file or of the room; -1 with errno. */
static ssize_t read_all(const char *path, char room[ROOM_BYTES]) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    size_t n_bytes = 0;
    ssize_t n;
    do {
        n = read(fd, room + n_bytes, ROOM_BYTES - n_bytes);
        n_bytes += n > 0 ? (size_t)n : 0;
    } while ((n > 0 && n_bytes < ROOM_BYTES) || (n < 0 && errno == EINTR));
    int error = errno;
    close(fd);
    errno = error;
    return n < 0 ? -1 : (ssize_t)n_bytes;
}

static size_t cut_line_end(const char *room, size_t n_bytes) {
    if (n_bytes > 0 && room[n_bytes - 1] == '\n') {
        n_bytes--;
        if (n_bytes > 0 && room[n_bytes - 1] == '\r') {
            n_bytes--;
        }
    }
    return n_bytes;
}

static char *judge(const char *path, const char *room, size_t n_bytes, struct status *status) {
    if (n_bytes == 0) {
        status_fail(status, "%s: there is no password in it", path);
        return NULL;
    }
    if (n_bytes > SECRET_MAX_BYTES || memchr(room, '\n', n_bytes) != NULL ||
        memchr(room, '\0', n_bytes) != NULL) {
        status_fail(status, "%s: a password is one line of at most %d bytes", path, SECRET_MAX_BYTES);
        return NULL;
    }
    char *secret = strndup(room, n_bytes);
    if (secret == NULL) {
        status_fail(status, "out of memory");
    }
    return secret;
}

char *secret_read(const char *path, struct status *status) {
    char room[ROOM_BYTES];
    ssize_t n_bytes = read_all(path, room);
    if (n_bytes < 0) {
        status_fail(status, "%s: %s", path, strerror(errno));
        return NULL;
    }
    char *secret = judge(path, room, cut_line_end(room, (size_t)n_bytes), status);
    explicit_bzero(room, sizeof room);
    return secret;
}

void secret_destroy(char **secret) {
    if (*secret != NULL) {
        explicit_bzero(*secret, strlen(*secret));
        free(*secret);
    }
    *secret = NULL;
}
