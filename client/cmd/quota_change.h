/* quota_change.h — a quota with another rate or burst, to be tried beside the one in force. Pure. */
#ifndef SLUICE_CLIENT_CMD_QUOTA_CHANGE_H
#define SLUICE_CLIENT_CMD_QUOTA_CHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/base/status.h"
#include "server/core/quota_set.h"

struct quota_change {
    const char *limit;    /* its name; NULL: the only one */
    const char *rate;     /* "100/s"; NULL: as it is */
    int64_t burst_tokens; /* 0: as it is */
};

/* Whether anything is to be changed. */
bool quota_change_is_given(const struct quota_change *change);

/* A set like this one, held once, but for the quota that tenant and resource find in it. NULL with a sentence: no
 * quota matches, it is unlimited or a ban, no limit or several could be meant, or the rate is nonsense or 0,
 * or a window is to have a burst. */
struct quota_set *quota_change_apply(const struct quota_change *change, const struct quota_set *set,
                                     struct bytes tenant, struct bytes resource, struct status *status);

#endif
