/* commands.h — the commands of `sluicectl`; each group lives in its own ctl_*.c and knows nothing of the others. */
#ifndef SLUICE_CTL_COMMANDS_H
#define SLUICE_CTL_COMMANDS_H

#include "client/cmd/options.h"

extern const struct command ctl_quota_set;
extern const struct command ctl_quota_get;
extern const struct command ctl_quota_list;
extern const struct command ctl_quota_delete;
extern const struct command ctl_quota_shadow_report;
extern const struct command ctl_apply;
extern const struct command ctl_diff;
extern const struct command ctl_export;
extern const struct command ctl_bucket_show;
extern const struct command ctl_bucket_reset;
extern const struct command ctl_frontends;
extern const struct command ctl_changes;
extern const struct command ctl_hot;
extern const struct command ctl_status;
extern const struct command ctl_token;

#endif
