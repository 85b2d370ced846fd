/* packed.h — little-endian numbers in the bytes that the Lua scripts take and give. */
#ifndef SLUICE_STORE_PACKED_H
#define SLUICE_STORE_PACKED_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "server/base/bytes.h"

/* Write at `out`, return where it ended. */
static inline uint8_t *packed_put(uint8_t *out, uint64_t value, size_t n_bytes) {
    for (size_t i = 0; i < n_bytes; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
    return out + n_bytes;
}

static inline uint8_t *packed_put_bytes(uint8_t *out, const void *bytes, size_t n_bytes) {
    memcpy(out, bytes, n_bytes);
    return out + n_bytes;
}

static inline uint64_t packed_get(const uint8_t *bytes, size_t n_bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

static inline int64_t packed_get_int64(const uint8_t *bytes) {
    return (int64_t)packed_get(bytes, 8);
}

/* `bytes` without its first `n_bytes`, of which there must be as many. */
static inline struct bytes packed_skip(struct bytes bytes, size_t n_bytes) {
    return (struct bytes){.data = bytes.data + n_bytes, .len = bytes.len - n_bytes};
}

#endif
