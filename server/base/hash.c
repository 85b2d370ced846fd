/* hash.c — seeded hashing of callers' bytes; see hash.h. */
#include "server/base/hash.h"

#include <sys/random.h>
#include <xxhash.h>

#include "server/base/clock.h"

uint64_t hash_random_seed(void) {
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed) {
        seed = (uint64_t)clock_wall_us() * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)(uintptr_t)&seed;
    }
    return seed;
}

uint64_t hash_bytes(const void *bytes, size_t n, uint64_t seed) {
    return XXH3_64bits_withSeed(bytes, n, seed);
}

struct hash128 hash_bytes_wide(const void *bytes, size_t n, uint64_t seed) {
    XXH128_hash_t hash = XXH3_128bits_withSeed(bytes, n, seed);
    return (struct hash128){.low = hash.low64, .high = hash.high64};
}

uint32_t hash_stable32(const void *bytes, size_t n) {
    return XXH32(bytes, n, 0);
}
