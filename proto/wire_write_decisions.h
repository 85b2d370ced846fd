/* wire_write_decisions.h — writes responses that are nothing but decisions, at a fraction of what protobuf-c costs.
 *
 * That is the answer to a check, a peek or a batch in which nothing failed: nearly every response. The bytes are those
 * that protobuf-c would write. Pure. */
#ifndef SLUICE_PROTO_WIRE_WRITE_DECISIONS_H
#define SLUICE_PROTO_WIRE_WRITE_DECISIONS_H

#include "proto/wire.h"

/* Writes the whole frame into `out` and returns its length; 0 when it declines: `response` is no such answer, or might
 * need more than `cap` or FRAME_MAX_BYTES. */
size_t wire_write_decisions(const struct wire_response *response, uint8_t *out, size_t cap);

#endif
