/* script_lease.h — lua/lease.lua as C sees it: what it takes, and what it replies.
 *
 * Pure functions on the caller's bytes; replies come from the network and are judged, never trusted. */
#ifndef SLUICE_STORE_SCRIPT_LEASE_H
#define SLUICE_STORE_SCRIPT_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/core/bucket.h"
#include "server/core/lease.h"
#include "server/store/script.h"

/* EVALSHA script_lease.sha1 1 RECORD_KEY ARGUMENT, ARGUMENT as packed below. */
extern const struct script script_lease;

enum {
    SCRIPT_LEASE_HEAD_BYTES = 65,
    SCRIPT_LEASE_ARG_MAX_BYTES =
        SCRIPT_LEASE_HEAD_BYTES + BUCKET_MAX_LIMITS * (SCRIPT_CHECK_LIMIT_BYTES + SCRIPT_CHECK_CHARGE_BYTES),
};

struct script_lease {
    const struct bucket_limit *limits;
    uint32_t n_limits;
    struct lease_wish wish;
    const int64_t *charges_utok; /* of each limit, taken first; NULL: none */
};

/* Packs the argument of one call; SCRIPT_LEASE_ARG_MAX_BYTES always suffice. Returns its length; 0 when it would
 * exceed `cap`, or n_limits is not 1 ... BUCKET_MAX_LIMITS, or a limit is a window or its count is 0. Numbers of the
 * wish that are out of bounds are brought into them. */
size_t script_lease_pack(const struct script_lease *lease, uint8_t *out, size_t cap);

/* What the script's reply grants, and the record as it stands after the grant, dated from the time of the call,
 * which is 0. False, and nothing is set, when it is no such reply or contradicts the rules of lease.h. */
bool script_lease_parse(struct bytes reply, const struct script_lease *lease, struct lease_grant *grant,
                        struct bucket_record *record) __attribute__((warn_unused_result));

#endif
