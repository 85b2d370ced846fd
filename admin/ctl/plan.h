/* plan.h — what must change so that a server's quotas become those of a file. Pure but for printing. */
#ifndef SLUICE_CTL_PLAN_H
#define SLUICE_CTL_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "admin/ctl/quota_bag.h"
#include "server/base/buf.h"

/* Limits of one request: POST /v1/quotas:apply. */
enum { PLAN_CHUNK_MAX_CHANGES = 1000, PLAN_CHUNK_MAX_BYTES = 1000 * 1000 };

/* Added: `have` is NULL. Removed: `want` is NULL. Both are borrowed from the bags. */
struct plan_change {
    const struct quota_item *have, *want;
};

struct plan {
    struct plan_change *changes;
    size_t n, n_added, n_changed, n_removed, n_kept;
    bool changes_default, is_deny; /* to deny, or else to allow */
};

/* Both bags are sorted, and outlive the plan. What `want` lacks is kept, or removed when `is_replacing`; then a
 * default that `want` does not state is "allow", else it is kept. False when memory is short. */
bool plan_make(struct plan *plan, const struct quota_bag *have, const struct quota_bag *want, bool is_replacing)
    __attribute__((warn_unused_result));
void plan_deinit(struct plan *plan);
bool plan_is_empty(const struct plan *plan);

/* "+ acme api.read: 100/s burst 200", "~ ... -> ...", "- ...", and a line that sums up. */
void plan_print(const struct plan *plan, bool has_colors, FILE *out);

/* Appends the body of a request, ended by a NUL, with the changes from number `from` on, as many as fit, and the
 * default if it is the first one; each with the revision it is based on. How many changes it has comes back in `*n`.
 * False when memory is short. */
bool plan_write_chunk(const struct plan *plan, size_t from, size_t *n, struct buf *body)
    __attribute__((warn_unused_result));

#endif
