/* quota.h — one quota: its rules as an operator writes them, and the object that decisions read.
 *
 * `struct quota_rules` is a plain value to be filled, checked, compared and copied. `struct quota` is what a
 * quota_set.h makes of it: one allocation of just the size that is needed, immutable, counted by holds, and shared
 * by the sets that follow one another. Only the counters of shadow mode change. Any thread may look, hold and
 * release. Pure: no I/O. */
#ifndef SLUICE_CORE_QUOTA_H
#define SLUICE_CORE_QUOTA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/base/status.h"
#include "server/core/bucket.h"
#include "server/core/bucket_name.h"

enum {
    QUOTA_TENANT_MAX_BYTES = 64,
    QUOTA_RESOURCE_MAX_BYTES = 128,
    QUOTA_KEY_MAX_BYTES = 256,
    QUOTA_LIMIT_NAME_MAX_BYTES = 32,
};

/* What decides when the store cannot. */
enum quota_on_store_failure { QUOTA_FAILS_LOCAL, QUOTA_FAILS_ALLOW, QUOTA_FAILS_DENY };

/* In shadow everything is decided and charged, and then allowed; what would have been denied is counted. */
enum quota_mode { QUOTA_ENFORCED, QUOTA_IN_SHADOW };

/* All zero: enforced, local on failure, no limits yet. */
struct quota_rules {
    bool is_unlimited; /* everything is allowed; there are no limits then, and nothing else differs from zero */
    enum quota_on_store_failure on_store_failure;
    enum quota_mode mode;
    uint32_t n_limits; /* 1 ... BUCKET_MAX_LIMITS, or 0 when is_unlimited */
    struct bucket_limit
        limits[BUCKET_MAX_LIMITS]; /* of count 0 (and period_s 1): a ban, everything is denied */
    char limit_names[BUCKET_MAX_LIMITS][QUOTA_LIMIT_NAME_MAX_BYTES + 1];
    enum bucket_scope scopes[BUCKET_MAX_LIMITS]; /* once checked, the limits of BUCKET_PER_KEY come first */
};

/* Checks answered since the quota was made, peeks left out. */
struct quota_shadow {
    _Atomic uint64_t n_allowed, n_would_deny;
};

/* Limits of a quota that are in one record: all those of scope key, or one that is wider. */
struct quota_part {
    enum bucket_scope scope;
    uint32_t index;       /* differs from that of every other part of the set's quotas */
    uint32_t first_limit; /* of the quota's */
    uint32_t n_limits;
    const struct bucket_limit *limits;
};

struct quota {
    _Atomic uint32_t n_holds;
    uint32_t index;    /* its place in the set, and in each set that follows; see quota_set.h */
    uint64_t revision; /* of its last change */
    uint32_t n_limits; /* 0 when is_unlimited */
    uint8_t tenant_len, resource_len;
    bool is_unlimited; /* allow without asking anybody */
    bool is_banned;    /* deny without asking anybody: a limit's rate is 0 */
    enum quota_mode mode;
    enum quota_on_store_failure on_store_failure;
    uint8_t n_parts;
    const struct bucket_limit *limits; /* these four point into the quota's own memory */
    const struct quota_part *parts;
    const char *const *limit_names;
    struct quota_shadow *shadow; /* NULL unless mode is QUOTA_IN_SHADOW */
};

/* ---- rules ---- */

/* Names limits[index] and sets its id from the name, and from whether it is a window. False with a reason: not 1 to 32 of [A-Za-z0-9_.-], or a
 * limit before it has the name. */
bool quota_name_limit(struct quota_rules *rules, uint32_t index, struct bytes name, struct status *status)
    __attribute__((warn_unused_result));
/* Sets the ids of the limits from their names, and puts those of scope key first. False with a reason: no limits or too many, or limits beside
 * is_unlimited, or a bad name. */
bool quota_rules_check(struct quota_rules *rules, struct status *status) __attribute__((warn_unused_result));
/* May a quota of this tenant (a name or "*") have limits of these scopes? A global one is for tenant "*" alone: it is
 * shared by those who have no quota of their own. False with a reason. */
bool quota_check_scopes(const struct quota_rules *rules, struct bytes tenant, struct status *status)
    __attribute__((warn_unused_result));
/* Of rules that were checked. */
bool quota_rules_are_equal(const struct quota_rules *a, const struct quota_rules *b);

/* `tenant` is a name or "*" (every tenant that has no match of its own); `resource` is a name or a prefix that ends
 * in "*" ("api.*", "*"). False with a reason: empty, too long, a control character, another '*'. */
bool quota_check_pattern(struct bytes tenant, struct bytes resource, struct status *status)
    __attribute__((warn_unused_result));

/* ---- the object ---- */

/* Held once; NULL when memory is short. Rules and pattern were checked. */
struct quota *quota_create(struct bytes tenant, struct bytes resource, const struct quota_rules *rules,
                           uint32_t index, uint64_t revision);
struct quota *quota_hold(struct quota *quota);
/* Gives one hold back and nulls the pointer; the last one frees. */
void quota_release(struct quota **quota);

/* The pattern that it was made for; borrowed. Of quotas from quota_create alone. */
struct bytes quota_tenant(const struct quota *quota);
struct bytes quota_resource(const struct quota *quota);
/* The bucket that a check of (tenant, resource, key) has in the part; borrows the texts, and the limit's name. */
struct bucket_name quota_part_bucket(const struct quota *quota, const struct quota_part *part,
                                     struct bytes tenant, struct bytes resource, struct bytes key);
void quota_get_rules(const struct quota *quota, struct quota_rules *rules);
/* By tenant, then by resource, bytewise: below, at or above 0, as memcmp. */
int quota_compare(const struct quota *quota, struct bytes tenant, struct bytes resource);

#endif
