/* script_memo.h — what take.lua and give.lua have in common: they do a thing once for each idempotency key.
 *
 * Pure functions on the caller's bytes; lua/README.md describes the formats. */
#ifndef SLUICE_STORE_SCRIPT_MEMO_H
#define SLUICE_STORE_SCRIPT_MEMO_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/store/store.h"

enum { SCRIPT_MEMO_BYTES = STORE_FINGERPRINT_BYTES + 8 };

/* The first byte of a reply. REPEATED: the fingerprint that was kept, and the reply that was kept, follow; before that
 * reply, where it was decided elsewhere as well, ELSEWHERE with what was said there. DENIED: by the asker. */
enum script_tag {
    SCRIPT_TAG_DONE = 1,
    SCRIPT_TAG_REPEATED = 2,
    SCRIPT_TAG_UNKNOWN = 3,
    SCRIPT_TAG_DENIED = 5, /* 4: script_tells_time */
    SCRIPT_TAG_ELSEWHERE = 6,
};

/* A memo in an argument, SCRIPT_MEMO_BYTES; returns where it ended. */
uint8_t *script_memo_put(const struct store_memo *memo, uint8_t *out);
/* A time to live, 8 bytes in milliseconds, at least 1. */
uint8_t *script_ttl_put(int64_t ttl_us, uint8_t *out);

/* Takes apart what came: STORE_REPEATED leaves the reply of then in `reply`. `memo` is that of the call, NULL when it
 * had none. False: nothing that the scripts say. */
bool script_memo_read(struct bytes *reply, const struct store_memo *memo, enum store_answer *answer)
    __attribute__((warn_unused_result));

#endif
