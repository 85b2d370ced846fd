/* buf.h — a growable run of bytes: written at the end, consumed at the front.
 *
 * The bytes in use are data[start, end). Grows by doubling; never shrinks below what is in use, but gives its
 * memory back when emptied after having grown past 16 KiB. One thread. */
#ifndef SLUICE_BASE_BUF_H
#define SLUICE_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data;
    size_t start, end, cap;
};

/* An all-zero struct buf is an empty one. Deinit frees and leaves an empty one. */
void buf_deinit(struct buf *buf);

/* Makes room for `n` bytes at the end and returns where they go; NULL when memory is short (nothing changed). */
uint8_t *buf_reserve(struct buf *buf, size_t n);
/* Says that `n` reserved bytes were written. */
void buf_commit(struct buf *buf, size_t n);
/* Copies bytes to the end. False when memory is short (nothing changed). */
bool buf_append(struct buf *buf, const void *bytes, size_t n) __attribute__((warn_unused_result));
/* Drops `n` bytes, at most what is in use, at the front. */
void buf_consume(struct buf *buf, size_t n);

static inline size_t buf_len(const struct buf *buf) {
    return buf->end - buf->start;
}

/* The bytes in use, of which there must be some. */
static inline const uint8_t *buf_front(const struct buf *buf) {
    return buf->data + buf->start;
}

#endif
