/* store_key.h — the name of a bucket in Redis: s:TENANT/RESOURCE/KEY; of a limit that is wider than a key,
 * r:TENANT/RESOURCE/LIMIT, t:TENANT//LIMIT or g://LIMIT.
 *
 * In each part '%', '/', '{', '}' and the control bytes (0x00 to 0x1f, 0x7f) are written as %xx, lower-case
 * hex. So no two buckets share a name, and no caller can choose a slot with a hash tag. Pure. */
#ifndef SLUICE_STORE_STORE_KEY_H
#define SLUICE_STORE_STORE_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/core/bucket_name.h"
#include "server/core/quota.h"
#include "server/store/store.h"

/* Longest name of parts within the limits of quota.h. */
enum {
    STORE_KEY_MAX_BYTES = 4 + 3 * (QUOTA_TENANT_MAX_BYTES + QUOTA_RESOURCE_MAX_BYTES + QUOTA_KEY_MAX_BYTES),
};

/* Writes the name into `out` and returns its length; 0 when it would exceed `cap`. */
size_t store_key_write(const struct bucket_name *name, uint8_t *out, size_t cap);

/* What stands beside a bucket, in its slot: {BUCKET}i:MEMO, what is kept of an idempotency key, escaped as above, and
 * {BUCKET}v:ID, a reservation, by its bytes in lower-case hex. `bucket` is a name as store_key_write writes it. */
enum {
    STORE_KEY_BESIDE_MAX_BYTES = STORE_KEY_MAX_BYTES + 4 + 3 * STORE_MEMO_KEY_MAX_BYTES,
};
size_t store_key_write_memo(struct bytes bucket, struct bytes memo, uint8_t *out, size_t cap);
size_t store_key_write_reservation(struct bytes bucket, const uint8_t id[STORE_RESERVATION_ID_BYTES],
                                   uint8_t *out, size_t cap);

#endif
