/* bytes.h — a borrowed run of bytes, NULs allowed. */
#ifndef SLUICE_BASE_BYTES_H
#define SLUICE_BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *data; /* borrowed; may be NULL when len is 0 */
    size_t len;
};

/* Copies to `*at`, where there is room for it, moves that behind the copy, and returns the copy. */
static inline struct bytes bytes_copy(uint8_t **at, struct bytes bytes) {
    struct bytes copy = {.data = *at, .len = bytes.len};
    if (bytes.len > 0) {
        memcpy(*at, bytes.data, bytes.len);
    }
    *at += bytes.len;
    return copy;
}

#endif
