/* script_take.h — packs the argument of take.lua and judges its reply; lua/README.md describes both.
 *
 * Pure functions on the caller's bytes. */
#ifndef SLUICE_STORE_SCRIPT_TAKE_H
#define SLUICE_STORE_SCRIPT_TAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/store/script.h"
#include "server/store/script_memo.h"
#include "server/store/store.h"

enum {
    SCRIPT_TAKE_HEAD_BYTES = 2, /* then the limits */
    SCRIPT_ELSEWHERE_BYTES = 38,
    SCRIPT_TAKE_ARG_MAX_BYTES =
        SCRIPT_TAKE_HEAD_BYTES + BUCKET_MAX_LIMITS * (SCRIPT_LIMIT_BYTES + SCRIPT_CHECK_CHARGE_BYTES) +
        SCRIPT_MEMO_BYTES + SCRIPT_ELSEWHERE_BYTES + STORE_RESERVATION_ID_BYTES + 8 + STORE_MAX_WISHES * 8,
};

/* The argument; its length, at most SCRIPT_TAKE_ARG_MAX_BYTES. 0 when what is asked for is beyond what store.h allows,
 * or a limit's count is 0. */
size_t script_take_pack(const struct store_take *take, uint8_t out[SCRIPT_TAKE_ARG_MAX_BYTES]);

/* Works out the results of a take, `record` among them, which is dated from the time of the take, 0. False, and nothing
 * but verdicts is set, when it is no such reply or contradicts the rules of bucket.h. */
bool script_take_parse(struct bytes reply, struct store_take *take) __attribute__((warn_unused_result));

#endif
