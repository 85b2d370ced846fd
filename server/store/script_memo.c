/* script_memo.c — idempotency keys in arguments and replies; see script_memo.h. */
#include "server/store/script_memo.h"

#include <string.h>

#include "server/store/packed.h"

uint8_t *script_ttl_put(int64_t ttl_us, uint8_t *out) {
    return packed_put(out, ttl_us > 1000 ? (uint64_t)(ttl_us + 999) / 1000 : 1, 8);
}

uint8_t *script_memo_put(const struct store_memo *memo, uint8_t *out) {
    out = packed_put_bytes(out, memo->fingerprint, STORE_FINGERPRINT_BYTES);
    return script_ttl_put(memo->ttl_us, out);
}

bool script_memo_read(struct bytes *reply, const struct store_memo *memo, enum store_answer *answer) {
    *answer = STORE_FRESH;
    if (reply->len < 1) {
        return false;
    }
    if (reply->data[0] != SCRIPT_TAG_REPEATED) {
        return true;
    }
    if (memo == NULL || reply->len < 1 + STORE_FINGERPRINT_BYTES) {
        return false;
    }
    bool is_same = memcmp(reply->data + 1, memo->fingerprint, STORE_FINGERPRINT_BYTES) == 0;
    *answer = is_same ? STORE_REPEATED : STORE_KEY_REUSED;
    *reply = packed_skip(*reply, 1 + STORE_FINGERPRINT_BYTES);
    return true;
}
