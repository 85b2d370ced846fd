/* bench_answer.h — reads plain answers at a fraction of the cost of proto/wire.h, so that a load is not what limits.
 *
 * Plain is what a frontend answers nearly always: status 0, with decisions of fields that are known. All else is
 * declined, and is for wire_decode_response to judge. Pure; borrows nothing. */
#ifndef SLUICE_CLIENT_CMD_BENCH_ANSWER_H
#define SLUICE_CLIENT_CMD_BENCH_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

/* Sets of `response` the id, status, n_items, and of each item its status and its decision's verdict, source,
 * degraded and would_deny, to what wire_decode_response would; nothing else. False when declined: it may be set in part then. */
bool bench_answer_read(const uint8_t *body, size_t n_bytes, struct wire_response *response)
    __attribute__((warn_unused_result));

#endif
