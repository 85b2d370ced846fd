/* buf.c — a growable run of bytes; see buf.h. */
#include "server/base/buf.h"

#include <stdlib.h>
#include <string.h>

enum { BUF_MIN_BYTES = 1024, BUF_KEEP_BYTES = 16 * 1024 };

void buf_deinit(struct buf *buf) {
    free(buf->data);
    *buf = (struct buf){0};
}

static void buf_move_to_front(struct buf *buf) {
    if (buf->start > 0) {
        memmove(buf->data, buf->data + buf->start, buf_len(buf));
        buf->end -= buf->start;
        buf->start = 0;
    }
}

uint8_t *buf_reserve(struct buf *buf, size_t n) {
    if (buf->data != NULL && buf->cap - buf->end >= n) {
        return buf->data + buf->end;
    }
    size_t used = buf_len(buf);
    if (n > SIZE_MAX / 4 - used) {
        return NULL;
    }
    size_t cap = buf->cap > 0 ? buf->cap : BUF_MIN_BYTES;
    while (cap < used + n) {
        cap *= 2;
    }
    if (buf->data == NULL || cap > buf->cap) {
        uint8_t *data = realloc(buf->data, cap);
        if (data == NULL) {
            return NULL;
        }
        buf->data = data;
        buf->cap = cap;
    }
    buf_move_to_front(buf);
    return buf->data + buf->end;
}

void buf_commit(struct buf *buf, size_t n) {
    buf->end += n;
}

bool buf_append(struct buf *buf, const void *bytes, size_t n) {
    if (n == 0) {
        return true;
    }
    uint8_t *to = buf_reserve(buf, n);
    if (to == NULL) {
        return false;
    }
    memcpy(to, bytes, n);
    buf_commit(buf, n);
    return true;
}

void buf_consume(struct buf *buf, size_t n) {
    buf->start += n;
    if (buf->start == buf->end) {
        buf->start = buf->end = 0;
        if (buf->cap > BUF_KEEP_BYTES) {
            buf_deinit(buf);
        }
    }
}
