/* slot.h — which of Redis Cluster's 16384 slots a key belongs to.
 *
 * CRC16 (XMODEM: polynomial 0x1021, start 0) of the key, or of its hash tag: what stands between the first '{'
 * and the next '}', if that is not empty. Pure. Source: the Redis Cluster specification, "Key distribution
 * model". */
#ifndef SLUICE_CORE_SLOT_H
#define SLUICE_CORE_SLOT_H

#include <stdint.h>

#include "server/base/bytes.h"

enum { SLOT_COUNT = 16384 };

uint16_t slot_of_key(struct bytes key); /* 0 ... SLOT_COUNT - 1 */

#endif
