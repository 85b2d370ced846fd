/* quota_memo.h — what was looked up lately: checks come in runs of one tenant's resource, and a lookup costs more than
 * to see that it is the same again.
 *
 * A few places, each with the names, what quota_set_find said, that there is none included, and what the names come to in
 * the hash of a key's bucket. Whoever owns it clears it when the set changes; until then the set must live. One thread.
 * Pure. */
#ifndef SLUICE_CORE_QUOTA_MEMO_H
#define SLUICE_CORE_QUOTA_MEMO_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/core/bucket_name.h"
#include "server/core/quota_set.h"

enum { QUOTA_MEMO_PLACES = 16 };

/* All zero: of no check, for a tenant's name is not empty. */
struct quota_memo_place {
    const struct quota *quota;
    struct hash128 prefix; /* bucket_name_prefix of the scope key */
    uint8_t tenant_len, resource_len;
    uint8_t tenant[QUOTA_TENANT_MAX_BYTES], resource[QUOTA_RESOURCE_MAX_BYTES];
};

struct quota_memo {
    const struct quota_memo_place *last; /* found last; NULL: none since it was cleared */
    struct quota_memo_place places[QUOTA_MEMO_PLACES];
};

void quota_memo_clear(struct quota_memo *memo);

/* What quota_set_find(set, tenant, resource) says, and the prefix under `seed`, which is always the same. Both names
 * have a byte at least, and no more than quota.h allows. Borrowed until the next call. */
const struct quota_memo_place *quota_memo_find(struct quota_memo *memo, const struct quota_set *set,
                                               uint64_t seed, struct bytes tenant, struct bytes resource);

static inline bool quota_memo_place_has(const struct quota_memo_place *place, struct bytes tenant,
                                        struct bytes resource) {
    return place->tenant_len == tenant.len && place->resource_len == resource.len &&
           bytes_are_same(place->tenant, tenant.data, tenant.len) &&
           bytes_are_same(place->resource, resource.data, resource.len);
}

/* Are these the names that were found last? */
static inline bool quota_memo_was_last(const struct quota_memo *memo, struct bytes tenant,
                                       struct bytes resource) {
    return memo->last != NULL && quota_memo_place_has(memo->last, tenant, resource);
}

#endif
