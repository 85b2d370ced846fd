/* script_give.h — packs the argument of give.lua and judges its reply; lua/README.md describes both.
 *
 * Pure functions on the caller's bytes. */
#ifndef SLUICE_STORE_SCRIPT_GIVE_H
#define SLUICE_STORE_SCRIPT_GIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/store/script.h"
#include "server/store/script_memo.h"
#include "server/store/store.h"

enum {
    SCRIPT_GIVE_HEAD_BYTES = 10, /* then the limits */
    SCRIPT_GIVE_ARG_MAX_BYTES =
        SCRIPT_GIVE_HEAD_BYTES + BUCKET_MAX_LIMITS * SCRIPT_LIMIT_BYTES + SCRIPT_MEMO_BYTES,
};

/* The argument; its length, at most SCRIPT_GIVE_ARG_MAX_BYTES. 0 when what is asked for is beyond what store.h allows,
 * or a limit's count is 0. */
size_t script_give_pack(const struct store_give *give, uint8_t out[SCRIPT_GIVE_ARG_MAX_BYTES]);

/* Works out the results of a give, `record` among them, which is dated from the time of the give, 0. False, and
 * nothing is set, when it is no such reply or contradicts the rules of store.h. */
bool script_give_parse(struct bytes reply, struct store_give *give) __attribute__((warn_unused_result));

#endif
