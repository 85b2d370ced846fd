/* quota_set.h — the quotas in force: a snapshot, found by tenant and resource.
 *
 * Whoever makes a set edits it, alone; then it is shared, counted by holds, and never changes again: any thread may
 * look, hold and release. The next set begins as a copy of the last one, which is cheap: copies share their quotas
 * by the page, and an edit makes a page of its own first. A quota's index belongs to its pattern and stays what it
 * is from set to set; when the pattern is removed, another may get it. So follow the changes by editing copies, and
 * do not build a new set from nothing while buckets hang on the old indexes. Pure: no I/O. */
#ifndef SLUICE_CORE_QUOTA_SET_H
#define SLUICE_CORE_QUOTA_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/base/status.h"
#include "server/core/quota.h"

enum { QUOTA_SET_MAX_QUOTAS = 1000000 };

/* What a check gets whose tenant and resource no quota matches. */
enum quota_unknown { QUOTA_UNKNOWN_ALLOW, QUOTA_UNKNOWN_DENY };

struct quota_set;

/* An empty set of revision 0 that allows what it does not know, held once; NULL when memory is short. */
struct quota_set *quota_set_create(void);
/* A set like this one, to be edited, held once; NULL when memory is short. */
struct quota_set *quota_set_copy(const struct quota_set *set);
struct quota_set *quota_set_hold(struct quota_set *set);
/* Gives one hold back and nulls the pointer; the last one frees. Any thread. NULL inside is fine. */
void quota_set_release(struct quota_set **set);

/* ---- editing, before the set is shared ---- */

/* Adds or replaces the quota of this very pattern (see quota_check_pattern), copying the rules; ids of limits are
 * set from their names. `revision` becomes the quota's own. When rules and revision are those in force, nothing
 * changes and its counters go on. False with a reason, the set as it was: a bad pattern, bad rules or scopes that this
 * tenant cannot have, too many quotas, or "out of memory". */
bool quota_set_put(struct quota_set *set, struct bytes tenant, struct bytes resource,
                   const struct quota_rules *rules, uint64_t revision, struct status *status)
    __attribute__((warn_unused_result));
/* True when the pattern has no quota any more, whether or not it had one (quota_set_get tells). False with a
 * reason, the set as it was: out of memory. */
bool quota_set_remove(struct quota_set *set, struct bytes tenant, struct bytes resource, struct status *status)
    __attribute__((warn_unused_result));
void quota_set_set_unknown(struct quota_set *set, enum quota_unknown unknown);
void quota_set_set_revision(struct quota_set *set, uint64_t revision);

/* ---- looking; quotas are borrowed from the set ---- */

/* The quota in force, or NULL when none matches. Order: the tenant's exact resource, its longest prefix, then the
 * same for tenant "*". */
const struct quota *quota_set_find(const struct quota_set *set, struct bytes tenant, struct bytes resource);
/* The quota of this very pattern, or NULL. */
const struct quota *quota_set_get(const struct quota_set *set, struct bytes tenant, struct bytes resource);
/* The quota of this index, or NULL; all indexes are below quota_set_n_places. For a walk in no order; quota_list.h has an order. */
const struct quota *quota_set_at(const struct quota_set *set, uint32_t index);
uint32_t quota_set_n_places(const struct quota_set *set);

enum quota_unknown quota_set_unknown(const struct quota_set *set);
uint64_t quota_set_revision(const struct quota_set *set);
uint32_t quota_set_count(const struct quota_set *set);
/* At least the most limits that any quota of the set has; 0 for a set that never had one. */
uint32_t quota_set_max_limits(const struct quota_set *set);

#endif
