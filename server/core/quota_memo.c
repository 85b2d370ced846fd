/* quota_memo.c — a place for each name that a few of its bytes choose; see quota_memo.h. */
#include "server/core/quota_memo.h"

#include <string.h>

_Static_assert((QUOTA_MEMO_PLACES & (QUOTA_MEMO_PLACES - 1)) == 0, "a power of two");

void quota_memo_clear(struct quota_memo *memo) {
    *memo = (struct quota_memo){.last = NULL};
}

static size_t choose_place(struct bytes tenant, struct bytes resource) {
    size_t mix = tenant.len + 3u * tenant.data[tenant.len - 1] + 5u * resource.len +
                 7u * resource.data[resource.len / 2] + 11u * resource.data[resource.len - 1];
    return (mix ^ mix >> 4) % QUOTA_MEMO_PLACES;
}

static void keep_names(struct quota_memo_place *place, struct bytes tenant, struct bytes resource) {
    place->tenant_len = (uint8_t)tenant.len;
    place->resource_len = (uint8_t)resource.len;
    memcpy(place->tenant, tenant.data, tenant.len);
    memcpy(place->resource, resource.data, resource.len);
}

const struct quota_memo_place *quota_memo_find(struct quota_memo *memo, const struct quota_set *set,
                                               uint64_t seed, struct bytes tenant, struct bytes resource) {
    if (quota_memo_was_last(memo, tenant, resource)) {
        return memo->last;
    }
    struct quota_memo_place *place = &memo->places[choose_place(tenant, resource)];
    if (!quota_memo_place_has(place, tenant, resource)) {
        keep_names(place, tenant, resource);
        place->quota = quota_set_find(set, tenant, resource);
        place->prefix = bucket_name_prefix(BUCKET_PER_KEY, tenant, resource, seed);
    }
    memo->last = place;
    return place;
}
