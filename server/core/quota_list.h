/* quota_list.h — a page of the quotas of a set, by tenant and then by resource, bytewise.
 *
 * The next page begins after the last quota of this one; a quota that is added or removed between two pages is
 * listed or not, and the others are listed once. Pure. */
#ifndef SLUICE_CORE_QUOTA_LIST_H
#define SLUICE_CORE_QUOTA_LIST_H

#include <stdint.h>

#include "server/base/bytes.h"
#include "server/core/quota_set.h"

/* What a list is to hold; empty texts ask for nothing. */
struct quota_list {
    struct bytes tenant;                       /* this tenant's alone, by its very name */
    struct bytes resource_prefix;              /* resources that begin so */
    struct bytes after_tenant, after_resource; /* only what comes behind this pattern, in the set or not */
};

/* Puts the first `max` of the list into `quotas`, borrowed from the set, and returns how many. A page costs one
 * walk over all quotas. */
uint32_t quota_list_read(const struct quota_list *list, const struct quota_set *set,
                         const struct quota **quotas, uint32_t max);

#endif
