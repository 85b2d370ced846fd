/* snapshot.h — the last quotas known from Redis, as bytes for a file, and the file.
 *
 *   sluice quotas 1 BYTES CHECKSUM\n        the length of what follows, and its XXH3-128 in hex
 *   REVISION allow|deny\n                   of the set, and for what no quota matches
 *   REVISION\tTENANT\tRESOURCE\tJSON\n      each quota; neither name holds control bytes, nor does the JSON
 *
 * What is read is taken whole or refused with the reason. */
#ifndef SLUICE_QUOTA_SNAPSHOT_H
#define SLUICE_QUOTA_SNAPSHOT_H

#include <stdbool.h>

#include "server/base/buf.h"
#include "server/base/bytes.h"
#include "server/base/status.h"
#include "server/core/quota_set.h"

enum { SNAPSHOT_MAX_BYTES = 1024 * 1024 * 1024 };

/* Appends the set's bytes. False when memory is short. Any thread. */
bool snapshot_encode(const struct quota_set *set, struct buf *out) __attribute__((warn_unused_result));
/* A set held once; NULL with a reason. */
struct quota_set *snapshot_decode(struct bytes bytes, struct status *status);

/* Replaces the file whole, or leaves it as it is: written beside it, synchronised with the disk, renamed. Blocks.
 * False with a reason. */
bool snapshot_write(const char *path, const struct quota_set *set, struct status *status)
    __attribute__((warn_unused_result));
/* A set held once; NULL with a reason, which begins with the path. `*is_absent`: there is no such file. */
struct quota_set *snapshot_read(const char *path, bool *is_absent, struct status *status);

#endif
