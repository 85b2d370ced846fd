/* bucket_name.c — whose bucket it is; see bucket_name.h. */
#include "server/core/bucket_name.h"

#include <string.h>

#include "server/base/ensure.h"
#include "server/core/quota.h"

struct bucket_name bucket_name_of(enum bucket_scope scope, struct bytes tenant, struct bytes resource,
                                  struct bytes key) {
    struct bucket_name name = {.scope = scope, .key = key};
    if (scope < BUCKET_GLOBAL) {
        name.tenant = tenant;
    }
    if (scope < BUCKET_PER_TENANT) {
        name.resource = resource;
    }
    return name;
}

struct hash128 bucket_name_prefix(enum bucket_scope scope, struct bytes tenant, struct bytes resource,
                                  uint64_t seed) {
    /* Each text is preceded by its length, so that "ab", "c" is not "a", "bc"; the scope is in the first one's. */
    uint8_t text[QUOTA_TENANT_MAX_BYTES + QUOTA_RESOURCE_MAX_BYTES + 2 * sizeof(uint32_t)];
    const struct bytes parts[] = {tenant, resource};
    uint32_t mark = (uint32_t)scope << 24;
    size_t n = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        uint32_t len = (uint32_t)parts[i].len, head = len | mark;
        ensure(n + sizeof len + len, <=, sizeof text);
        memcpy(text + n, &head, sizeof head);
        n += sizeof head;
        if (len > 0) {
            memcpy(text + n, parts[i].data, len);
        }
        n += len;
        mark = 0;
    }
    return hash_bytes_wide(text, n, seed);
}

struct hash128 bucket_name_hash(const struct bucket_name *name, uint64_t seed) {
    return bucket_name_hash_key(bucket_name_prefix(name->scope, name->tenant, name->resource, seed), name->key);
}
