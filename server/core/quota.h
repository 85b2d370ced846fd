/* quota.h — the quotas in force: an immutable set, found by tenant and resource.
 *
 * Built once by quota/registry, then read by every worker; reference-counted, so that a set can be swapped by
 * pointer while checks hold the old one. Pure: no I/O. */
#ifndef SLUICE_CORE_QUOTA_H
#define SLUICE_CORE_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/base/status.h"
#include "server/core/bucket.h"

enum {
    QUOTA_TENANT_MAX_BYTES = 64,
    QUOTA_RESOURCE_MAX_BYTES = 128,
    QUOTA_KEY_MAX_BYTES = 256,
    QUOTA_LIMIT_NAME_MAX_BYTES = 32,
};

/* What decides when the store cannot. */
enum quota_on_store_failure { QUOTA_FAILS_LOCAL, QUOTA_FAILS_ALLOW, QUOTA_FAILS_DENY };

struct quota {
    uint32_t index;    /* 0 ... quota_set_count - 1, the place in the set */
    uint32_t n_limits; /* 1 ... BUCKET_MAX_LIMITS */
    enum quota_on_store_failure on_store_failure;
    struct bucket_limit limits[BUCKET_MAX_LIMITS];
    char limit_names[BUCKET_MAX_LIMITS][QUOTA_LIMIT_NAME_MAX_BYTES + 1];
};

/* What a check gets whose tenant and resource no quota matches. */
enum quota_unknown { QUOTA_UNKNOWN_ALLOW, QUOTA_UNKNOWN_DENY };

struct quota_set;

/* An empty set that allows what it does not know, held once; NULL when memory is short. */
struct quota_set *quota_set_create(void);
struct quota_set *quota_set_hold(struct quota_set *set);
/* Gives one hold back and nulls the pointer; the last one frees. Any thread. */
void quota_set_release(struct quota_set **set);

/* Names limits[index] of a quota that is being made, and sets its id from the name. False with a reason: not
 * 1 to 32 of [A-Za-z0-9_.-], or a limit before it has the name. */
bool quota_name_limit(struct quota *quota, uint32_t index, struct bytes name, struct status *status)
    __attribute__((warn_unused_result));

/* Adds a quota while the set is being built, copying it. `tenant` is a name or "*" (every tenant that has no
 * match of its own); `resource` is a name or a prefix that ends in "*" ("api.*", "*"). A limit's id is set from
 * its name. False with a reason: duplicate pattern or limit name, a name too long, no limits, out of memory. */
bool quota_set_add(struct quota_set *set, struct bytes tenant, struct bytes resource, const struct quota *quota,
                   struct status *status) __attribute__((warn_unused_result));
void quota_set_set_unknown(struct quota_set *set, enum quota_unknown unknown);

/* The quota in force, borrowed from the set; NULL when none matches. Order: the tenant's exact resource, its
 * longest prefix, then the same for tenant "*". */
const struct quota *quota_set_find(const struct quota_set *set, struct bytes tenant, struct bytes resource);
enum quota_unknown quota_set_unknown(const struct quota_set *set);
uint32_t quota_set_count(const struct quota_set *set);
/* The most limits any quota of the set has; 0 for an empty set. */
uint32_t quota_set_max_limits(const struct quota_set *set);

#endif
