/* key_hash.c — one number that stands for (tenant, resource, key); see key_hash.h. */
#include "server/core/key_hash.h"

#include <string.h>

#include "server/base/ensure.h"
#include "server/core/quota.h"

struct hash128 key_hash(struct bytes tenant, struct bytes resource, struct bytes key, uint64_t seed) {
    /* Each text is preceded by its length, so that "ab", "c" is not "a", "bc". */
    uint8_t
        text[QUOTA_TENANT_MAX_BYTES + QUOTA_RESOURCE_MAX_BYTES + QUOTA_KEY_MAX_BYTES + 3 * sizeof(uint32_t)];
    const struct bytes parts[] = {tenant, resource, key};
    size_t n = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        uint32_t len = (uint32_t)parts[i].len;
        ensure(n + sizeof len + len, <=, sizeof text);
        memcpy(text + n, &len, sizeof len);
        n += sizeof len;
        if (len > 0) {
            memcpy(text + n, parts[i].data, len);
        }
        n += len;
    }
    return hash_bytes_wide(text, n, seed);
}
