/* quota_value.h — quotas and patterns as members of JSON answers, and the checks that calls share. */
#ifndef SLUICE_ADMIN_QUOTA_VALUE_H
#define SLUICE_ADMIN_QUOTA_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/core/quota.h"

struct call;
struct json_t;

/* What GET of a quota answers: {"tenant","resource","revision","quota"}. `quota` is taken over; NULL, or NULL returned,
 * stands for memory that is short. */
struct json_t *quota_value_create(struct bytes tenant, struct bytes resource, uint64_t revision,
                                  struct json_t *quota);
/* The canonical form of rules that were checked, as a value; NULL when memory is short. */
struct json_t *quota_value_of_rules(const struct quota_rules *rules);
/* The same of a quota in force with its own pattern, in the form of GET. */
struct json_t *quota_value_of_quota(const struct quota *quota);

/* Is this a pattern that a quota may have? Text that JSON cannot carry is none. False: the call is refused. `path`
 * stands before the field. */
bool quota_value_judge_pattern(struct call *call, const char *path, struct bytes tenant, struct bytes resource);
/* May a quota of this tenant have these scopes? False: the call is refused; `path` as above. */
bool quota_value_judge_scopes(struct call *call, const char *path, struct bytes tenant,
                              const struct quota_rules *rules);
/* Is it a tenant and a resource that checks may have? */
bool quota_value_judge_names(struct call *call);

#endif
