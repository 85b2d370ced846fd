/* key_hash.h — one number that stands for whose bucket it is: (tenant, resource, key).
 *
 * 128 bits of a seeded hash: nobody can aim at another's, and two that meet by chance need some 10^19 keys. Pure. */
#ifndef SLUICE_CORE_KEY_HASH_H
#define SLUICE_CORE_KEY_HASH_H

#include <stdint.h>

#include "server/base/bytes.h"
#include "server/base/hash.h"

/* The texts have at most the lengths that quota.h allows. No two triples are hashed as the same bytes. */
struct hash128 key_hash(struct bytes tenant, struct bytes resource, struct bytes key, uint64_t seed);

#endif
