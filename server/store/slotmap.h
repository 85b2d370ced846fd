/* slotmap.h — which node owns which slot, and how CLUSTER SLOTS is read into such a map.
 *
 * Nodes are numbers here; the caller says which number an address has. Pure. */
#ifndef SLUICE_STORE_SLOTMAP_H
#define SLUICE_STORE_SLOTMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "server/core/slot.h"
#include "server/store/node_addr.h"
#include "server/store/redis_reply.h"

enum { SLOTMAP_MAX_NODES = 1000, SLOTMAP_NO_NODE = UINT16_MAX };

struct slotmap {
    uint16_t node_of_slot[SLOT_COUNT]; /* SLOTMAP_NO_NODE: unknown */
    uint16_t n_slots_of_node[SLOTMAP_MAX_NODES];
    uint16_t n_covered; /* slots with a node */
};

void slotmap_init(struct slotmap *map); /* covers nothing */
void slotmap_set(struct slotmap *map, uint16_t slot, uint16_t node);
void slotmap_set_all(struct slotmap *map, uint16_t node);

/* The same map in which node i is numbers[i], or nobody when that is SLOTMAP_NO_NODE. */
void slotmap_renumber(struct slotmap *map, const struct slotmap *from, const uint16_t *numbers);

static inline uint16_t slotmap_node(const struct slotmap *map, uint16_t slot) {
    return map->node_of_slot[slot];
}

static inline bool slotmap_is_complete(const struct slotmap *map) {
    return map->n_covered == SLOT_COUNT;
}

/* A map with holes never replaces one without. */
bool slotmap_may_replace(const struct slotmap *fresh, const struct slotmap *current);
bool slotmap_is_same(const struct slotmap *a, const struct slotmap *b);

/* The number of the node at `addr`, 0 ... SLOTMAP_MAX_NODES - 1, or SLOTMAP_NO_NODE when there can be none. */
typedef uint16_t (*slotmap_node_fn)(void *arg, const struct node_addr *addr);

/* Reads a reply to CLUSTER SLOTS that came from the node at `from`, whose host stands in for hosts left out.
 * Ranges whose address cannot be read, or has no number, stay without a node. False when the reply has another
 * form altogether, or names a slot twice; `map` is then undefined. */
bool slotmap_read(struct slotmap *map, const struct redis_reply *reply, const struct node_addr *from,
                  slotmap_node_fn node_of, void *arg) __attribute__((warn_unused_result));

#endif
