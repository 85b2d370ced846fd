/* hot_sum.h — adds up what frontends measured of their hot keys. Pure. */
#ifndef SLUICE_CTL_HOT_SUM_H
#define SLUICE_CTL_HOT_SUM_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct hot_sum {
    json_t *rows; /* by name, {tenant, resource, key, hot, checks_per_s, denied_per_s, sources} */
    int64_t n_silent_workers;
};

/* Deinit takes an all-zero one as well. */
void hot_sum_init(struct hot_sum *sum);
void hot_sum_deinit(struct hot_sum *sum);

/* Adds an answer of /v1/hotkeys. False when memory is short; some of it may be added then. */
bool hot_sum_add(struct hot_sum *sum, const json_t *answer) __attribute__((warn_unused_result));
/* A new list of the rows, the most checked first, at most so many. NULL when memory is short. */
json_t *hot_sum_list(const struct hot_sum *sum, size_t limit);

#endif
