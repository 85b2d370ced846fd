/* hash.h — seeded hashing of callers' bytes, so that nobody can aim at a table's slots.
 *
 * Pure functions; the seed is drawn once by each owner with hash_random_seed. */
#ifndef SLUICE_BASE_HASH_H
#define SLUICE_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash128 {
    uint64_t low, high;
};

/* From the kernel; never fails (falls back to address and time bits). */
uint64_t hash_random_seed(void);
uint64_t hash_bytes(const void *bytes, size_t n, uint64_t seed);
/* Wide enough to stand for the bytes themselves. */
struct hash128 hash_bytes_wide(const void *bytes, size_t n, uint64_t seed);
/* Unseeded and stable across versions and machines: for numbers that are stored. */
uint32_t hash_stable32(const void *bytes, size_t n);

#endif
