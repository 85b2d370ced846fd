/* bucket_name.h — whose bucket it is: a key's, or one that many keys share.
 *
 * A name stands for one record. Limits of scope key are together in the record of (tenant, resource, key); every wider
 * limit has a record of its own, named by what shares it and by the limit's name. Pure. */
#ifndef SLUICE_CORE_BUCKET_NAME_H
#define SLUICE_CORE_BUCKET_NAME_H

#include <stdint.h>

#include "server/base/bytes.h"
#include "server/base/hash.h"

enum bucket_scope {
    BUCKET_PER_KEY,
    BUCKET_PER_RESOURCE, /* one for all keys of a tenant's resource */
    BUCKET_PER_TENANT,   /* one for all resources of a tenant */
    BUCKET_GLOBAL,       /* one for everybody */
};

struct bucket_name {
    enum bucket_scope scope;
    struct bytes tenant, resource; /* empty where the scope is wider */
    struct bytes key;              /* beyond BUCKET_PER_KEY: the limit's name */
};

/* The name of the bucket that a check of (tenant, resource) has in this scope; borrows the texts. `key` is the check's
 * key, or the limit's name. */
struct bucket_name bucket_name_of(enum bucket_scope scope, struct bytes tenant, struct bytes resource,
                                  struct bytes key);

/* One number that stands for a name: 128 bits of a seeded hash. Nobody can aim at another's, and two that meet by
 * chance need some 10^19 names. The texts have at most the lengths that quota.h allows; no two names are hashed as
 * the same bytes. */
struct hash128 bucket_name_hash(const struct bucket_name *name, uint64_t seed);

/* The same in two steps, since checks come in runs of one tenant's resource: what its scope, tenant and resource come
 * to, and then the key. */
struct hash128 bucket_name_prefix(enum bucket_scope scope, struct bytes tenant, struct bytes resource,
                                  uint64_t seed);

/* The prefix seeds the key's hash by one half, and is in the result by the other. */
static inline struct hash128 bucket_name_hash_key(struct hash128 prefix, struct bytes key) {
    struct hash128 hash = hash_bytes_wide(key.data, key.len, prefix.low);
    hash.high ^= prefix.high;
    return hash;
}

#endif
