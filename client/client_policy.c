/* client_policy.c — what stands in for a decision that nobody made; see client_policy.h. */
#include "client/client_policy.h"

#include <stddef.h>

bool client_policy_init(struct client_policy *policy, const struct client_options *options) {
    *policy = (struct client_policy){.on_failure = options->on_failure};
    if (policy->on_failure == SLUICE_ON_FAILURE_LOCAL) {
        policy->local = client_local_create(&options->local_limit, options->local_max_keys);
        return policy->local != NULL;
    }
    return true;
}

void client_policy_deinit(struct client_policy *policy) {
    client_local_destroy(&policy->local);
}

bool client_policy_reads_asks(const struct client_policy *policy) {
    return policy->on_failure == SLUICE_ON_FAILURE_ALLOW || policy->on_failure == SLUICE_ON_FAILURE_LOCAL;
}

struct client_local_ask client_policy_ask_of(const struct client_policy *policy,
                                             const struct sluice_check *check) {
    if (policy->local != NULL) {
        return client_local_ask_of(policy->local, check);
    }
    return (struct client_local_ask){.cost_tokens = client_local_cost(check)};
}

static bool has_a_say(enum sluice_status status, bool is_answer) {
    switch (status) {
    case SLUICE_UNAVAILABLE:
    case SLUICE_DEADLINE_EXCEEDED:
    case SLUICE_RESOURCE_EXHAUSTED:
        return true;
    case SLUICE_INTERNAL:
        return !is_answer;
    case SLUICE_OK:
    case SLUICE_CANCELLED:
    case SLUICE_UNKNOWN:
    case SLUICE_INVALID_ARGUMENT:
    case SLUICE_NOT_FOUND:
    case SLUICE_UNIMPLEMENTED:
        break;
    }
    return false;
}

void client_policy_apply(const struct client_policy *policy, const struct client_local_ask *ask, bool is_peek,
                         bool is_answer, int64_t now_us, struct sluice_decision *decision) {
    if (policy->on_failure == SLUICE_ON_FAILURE_REPORT || !has_a_say(decision->status, is_answer)) {
        return;
    }
    decision->status = SLUICE_OK;
    decision->source = SLUICE_SOURCE_CALLER;
    decision->degraded = true;
    switch (policy->on_failure) {
    case SLUICE_ON_FAILURE_REPORT:
    case SLUICE_ON_FAILURE_DENY:
        break;
    case SLUICE_ON_FAILURE_ALLOW:
        decision->allowed = true;
        decision->granted = is_peek ? 0 : (uint64_t)ask->cost_tokens;
        break;
    case SLUICE_ON_FAILURE_LOCAL:
        client_local_decide(policy->local, ask, is_peek, now_us, decision);
        break;
    }
}
