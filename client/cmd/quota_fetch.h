/* quota_fetch.h — a quota as it is in force, asked of a frontend's admin address. Blocking. */
#ifndef SLUICE_CLIENT_CMD_QUOTA_FETCH_H
#define SLUICE_CLIENT_CMD_QUOTA_FETCH_H

#include <stdint.h>

#include "admin/ctl/settings.h"
#include "server/base/status.h"
#include "server/core/quota_set.h"

/* A set, held once, of just the quota that is stored under tenant and resource. NULL with a sentence: settings that
 * are nonsense, no answer, no such quota, or an answer that holds none. `warning` is "" or what to put right. */
struct quota_set *quota_fetch(const struct settings_sources *sources, const char *tenant, const char *resource,
                              int64_t timeout_us, struct status *warning, struct status *status);

#endif
