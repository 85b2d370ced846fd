/* client_policy.h — what stands in for a decision that nobody made: the caller's own policy.
 *
 * See enum sluice_on_failure. Reads no clock. */
#ifndef SLUICE_CLIENT_CLIENT_POLICY_H
#define SLUICE_CLIENT_CLIENT_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "client/client_local.h"
#include "client/client_options.h"
#include "client/sluice.h"

/* All zero: failures are reported. */
struct client_policy {
    enum sluice_on_failure on_failure;
    struct client_local *local; /* owned; NULL unless on_failure is LOCAL */
};

/* False when memory is short. */
bool client_policy_init(struct client_policy *policy, const struct client_options *options)
    __attribute__((warn_unused_result));
/* Harmless on an all-zero one. */
void client_policy_deinit(struct client_policy *policy);

/* What the policy must know of a check, when its texts are gone; whether it reads that at all. */
bool client_policy_reads_asks(const struct client_policy *policy);
struct client_local_ask client_policy_ask_of(const struct client_policy *policy,
                                             const struct sluice_check *check);

/* Puts the policy in the place of a decision that failed, where it has a say. `is_answer`: a frontend gave the
 * status. `ask` is that of the check; NULL where the policy reads none. The message stays. */
void client_policy_apply(const struct client_policy *policy, const struct client_local_ask *ask, bool is_peek,
                         bool is_answer, int64_t now_us, struct sluice_decision *decision);

#endif
