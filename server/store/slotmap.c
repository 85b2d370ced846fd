/* slotmap.c — which node owns which slot; see slotmap.h. */
#include "server/store/slotmap.h"

#include <string.h>

void slotmap_init(struct slotmap *map) {
    for (uint32_t slot = 0; slot < SLOT_COUNT; slot++) {
        map->node_of_slot[slot] = SLOTMAP_NO_NODE;
    }
    memset(map->n_slots_of_node, 0, sizeof map->n_slots_of_node);
    map->n_covered = 0;
}

void slotmap_set(struct slotmap *map, uint16_t slot, uint16_t node) {
    uint16_t old = map->node_of_slot[slot];
    if (old == SLOTMAP_NO_NODE) {
        map->n_covered++;
    } else {
        map->n_slots_of_node[old]--;
    }
    map->node_of_slot[slot] = node;
    map->n_slots_of_node[node]++;
}

void slotmap_set_all(struct slotmap *map, uint16_t node) {
    for (uint32_t slot = 0; slot < SLOT_COUNT; slot++) {
        slotmap_set(map, (uint16_t)slot, node);
    }
}

void slotmap_renumber(struct slotmap *map, const struct slotmap *from, const uint16_t *numbers) {
    slotmap_init(map);
    for (uint32_t slot = 0; slot < SLOT_COUNT; slot++) {
        uint16_t node = slotmap_node(from, (uint16_t)slot);
        if (node != SLOTMAP_NO_NODE && numbers[node] != SLOTMAP_NO_NODE) {
            slotmap_set(map, (uint16_t)slot, numbers[node]);
        }
    }
}

bool slotmap_may_replace(const struct slotmap *fresh, const struct slotmap *current) {
    return slotmap_is_complete(fresh) || !slotmap_is_complete(current);
}

bool slotmap_is_same(const struct slotmap *a, const struct slotmap *b) {
    return memcmp(a->node_of_slot, b->node_of_slot, sizeof a->node_of_slot) == 0;
}

/* [host, port, …], host a string or nil. */
static bool read_address(const struct redis_reply *node, const struct node_addr *from, struct node_addr *addr) {
    const struct redis_reply *host = redis_reply_child(node, 0), *port = redis_reply_child(node, 1);
    if (host == NULL || port == NULL || port->kind != REDIS_KIND_INTEGER) {
        return false;
    }
    if (host->kind != REDIS_KIND_STRING && host->kind != REDIS_KIND_NIL) {
        return false;
    }
    return node_addr_set(host->text, port->integer, from, addr);
}

static bool is_slot(const struct redis_reply *number) {
    return number != NULL && number->kind == REDIS_KIND_INTEGER && number->integer >= 0 &&
           number->integer < SLOT_COUNT;
}

bool slotmap_read(struct slotmap *map, const struct redis_reply *reply, const struct node_addr *from,
                  slotmap_node_fn node_of, void *arg) {
    slotmap_init(map);
    if (reply->kind != REDIS_KIND_ARRAY) {
        return false;
    }
    const struct redis_reply *range = redis_reply_first(reply);
    for (uint32_t i = 0; i < reply->n_children; i++, range = redis_reply_next(range)) {
        /* [first slot, last slot, master, replica …] */
        const struct redis_reply *first = redis_reply_child(range, 0), *last = redis_reply_child(range, 1);
        const struct redis_reply *master = redis_reply_child(range, 2);
        if (!is_slot(first) || !is_slot(last) || first->integer > last->integer || master == NULL) {
            return false;
        }
        struct node_addr addr;
        uint16_t node = read_address(master, from, &addr) ? node_of(arg, &addr) : SLOTMAP_NO_NODE;
        if (node >= SLOTMAP_MAX_NODES) {
            continue;
        }
        for (int64_t slot = first->integer; slot <= last->integer; slot++) {
            if (slotmap_node(map, (uint16_t)slot) != SLOTMAP_NO_NODE) {
                return false;
            }
            slotmap_set(map, (uint16_t)slot, node);
        }
    }
    return true;
}
