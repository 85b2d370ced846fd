/* wait.h — waits until every live frontend has a change in force, and names those that have not. */
#ifndef SLUICE_CTL_WAIT_H
#define SLUICE_CTL_WAIT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admin/ctl/api.h"

enum { WAIT_DEFAULT_US = 5 * 1000 * 1000, WAIT_MAX_US = 600 * 1000 * 1000 };

struct wait_result {
    bool is_everywhere;
    size_t n_frontends;
    int64_t took_us;
    /* Unless it is everywhere: "a1b2 at 127.0.0.1:7380 (revision 11)", comma-separated and cut to fit, or why that is
     * not known. */
    struct status laggards;
};

/* Judges one answer of /v1/frontends; pure. `took_us` is left alone. */
void wait_judge(const json_t *frontends, int64_t revision, struct wait_result *result);

/* Asks again and again, for at most `limit_us`. Failures to answer are borne as long as there is time. */
void wait_for_revision(struct api *api, int64_t revision, int64_t limit_us, struct wait_result *result);

#endif
