/* replay.h — what takes and gives come to, by the arithmetic of bucket.h: for the embedded store, which does just this,
 * and for who asks Redis, which decides by the same integers and tells no more than it must. Pure. */
#ifndef SLUICE_STORE_REPLAY_H
#define SLUICE_STORE_REPLAY_H

#include <stdint.h>

#include "server/core/bucket.h"
#include "server/store/store.h"

/* Decides each wish in turn, on `record`, and sets its verdict; charges are left alone. Returns what all of them were
 * granted together, in tokens. */
int64_t replay_take(const struct store_take *take, struct bucket_record *record, int64_t now_us);

/* The verdict of an only wish that was granted so many tokens (0: denied) on `record`. Its quota may have changed since:
 * then the figures follow from the limits of now. */
void replay_earlier_take(const struct store_take *take, const struct bucket_record *record,
                         int64_t granted_tokens, int64_t now_us);

/* Sets the verdict of a give that left `record`. */
void replay_give(struct store_give *give, const struct bucket_record *record, int64_t now_us);

#endif
