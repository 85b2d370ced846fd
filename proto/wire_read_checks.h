/* wire_read_checks.h — reads requests that are nothing but checks, at a fraction of what protobuf-c costs.
 *
 * That is a check, a peek or a batch of fields that were there from the beginning, each written as short as it can be:
 * nearly every request. All else is declined, and is for protobuf-c to judge. Pure. */
#ifndef SLUICE_PROTO_WIRE_READ_CHECKS_H
#define SLUICE_PROTO_WIRE_READ_CHECKS_H

#include "proto/wire.h"

/* Sets all of `request` to what protobuf-c would make of it, but that its bytes are borrowed from `body`. False when
 * declined: it may be set in part then. */
bool wire_read_checks(const uint8_t *body, size_t n_bytes, struct wire_request *request)
    __attribute__((warn_unused_result));

#endif
