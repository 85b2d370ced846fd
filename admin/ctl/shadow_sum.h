/* shadow_sum.h — adds up what frontends counted for quotas in shadow mode. Pure. */
#ifndef SLUICE_CTL_SHADOW_SUM_H
#define SLUICE_CTL_SHADOW_SUM_H

#include <jansson.h>
#include <stdbool.h>

struct shadow_sum {
    json_t
        *rows; /* a list of {tenant, resource, allowed, would_deny}, in the order of their first appearance */
    json_t *places; /* by tenant and resource, the row; borrowed rows */
};

/* Deinit takes an all-zero one as well. */
void shadow_sum_init(struct shadow_sum *sum);
void shadow_sum_deinit(struct shadow_sum *sum);

/* Adds an answer of /v1/shadow. False when memory is short; some of it may be added then. */
bool shadow_sum_add(struct shadow_sum *sum, const json_t *answer) __attribute__((warn_unused_result));

#endif
