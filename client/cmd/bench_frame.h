/* bench_frame.h — writes frames of checks, byte for byte as wire_encode_request would, at a fraction of its cost.
 *
 * For the same reason as bench_answer.h. Pure. */
#ifndef SLUICE_CLIENT_CMD_BENCH_FRAME_H
#define SLUICE_CLIENT_CMD_BENCH_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

/* What a CHECK or CHECK_BATCH needs at most as a frame; above FRAME_MAX_BYTES it may be too long for one. */
size_t bench_frame_bound_bytes(const struct wire_request *request);

/* Writes the frame into `out`, which has room for the bound, itself at most FRAME_MAX_BYTES. Of the request id, call
 * and checks count; timeout, traceparent and payload must be empty. Returns the frame's length. */
size_t bench_frame_write(const struct wire_request *request, uint8_t *out);

#endif
