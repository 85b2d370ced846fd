/* bytes.h — a borrowed run of bytes, NULs allowed. */
#ifndef SLUICE_BASE_BYTES_H
#define SLUICE_BASE_BYTES_H

#include <stdbool.h>
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

static inline uint64_t bytes_word(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint32_t bytes_half_word(const uint8_t *at) {
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Are these `n` bytes the same? Of short names, which is what it is for, faster than memcmp, whose call and choice of a
 * way cost more than the comparison: words, of which the last one overlaps those before. */
static inline bool bytes_are_same(const uint8_t *a, const uint8_t *b, size_t n) {
    if (n >= sizeof(uint64_t)) {
        for (size_t i = 0; i + sizeof(uint64_t) < n; i += sizeof(uint64_t)) {
            if (bytes_word(a + i) != bytes_word(b + i)) {
                return false;
            }
        }
        return bytes_word(a + n - sizeof(uint64_t)) == bytes_word(b + n - sizeof(uint64_t));
    }
    if (n >= sizeof(uint32_t)) {
        size_t last = n - sizeof(uint32_t);
        return bytes_half_word(a) == bytes_half_word(b) &&
               bytes_half_word(a + last) == bytes_half_word(b + last);
    }
    return n == 0 || (a[0] == b[0] && a[n / 2] == b[n / 2] && a[n - 1] == b[n - 1]);
}

#endif
