/* slot_board.h — the last slot map that any worker of the process has read, pinned up for the others.
 *
 * Whoever wants a fresh map looks here first: it adopts the one on the board if that is fresh enough for it, asks
 * a node itself when nobody has for a while, and otherwise waits for the one who did. So a MOVED that every worker
 * sees costs one CLUSTER SLOTS. A question that is never answered keeps the others waiting for `every_us`, no
 * longer. Any thread; times are monotonic. */
#ifndef SLUICE_STORE_SLOT_BOARD_H
#define SLUICE_STORE_SLOT_BOARD_H

#include <stdbool.h>
#include <stdint.h>

#include "server/store/node_addr.h"
#include "server/store/slotmap.h"

struct slot_board;

/* A map and where its nodes are. Once it is pinned nobody may change it. */
struct slot_record {
    uint32_t n_holders; /* the board's own */
    uint32_t n_owners;
    int64_t asked_at_us;       /* when the question was sent: the map is no older */
    struct slotmap map;        /* its nodes are numbers below n_owners */
    struct node_addr owners[]; /* by number; only of those with slots */
};

/* NULL when memory is short. */
struct slot_board *slot_board_create(void);
/* Nulls the pointer. Nobody may use it any more. */
void slot_board_destroy(struct slot_board **board);

enum slot_board_advice {
    SLOT_BOARD_ADOPT, /* `record`, held for the caller until it is released */
    SLOT_BOARD_ASK,   /* from now on the others wait for this caller's map */
    SLOT_BOARD_WAIT,  /* for `wait_us`, or for a moment when that is 0: then look again */
};

struct slot_look {
    /* in */
    int64_t now_us;
    int64_t since_us; /* a map asked for later than this is fresh enough */
    int64_t every_us; /* questions of the process are at least so far apart */
    bool may_ask;
    /* out */
    struct slot_record *record;
    int64_t wait_us; /* until the next question may be asked; 0: the last one is not answered yet */
};

/* A NULL board is one that nobody else looks at: ASK if the caller may. */
enum slot_board_advice slot_board_look(struct slot_board *board, struct slot_look *look)
    __attribute__((warn_unused_result));
/* Nulls the pointer. */
void slot_board_release(struct slot_board *board, struct slot_record **record);

/* Copies the map; the caller writes the owners and the time. NULL when memory is short. */
struct slot_record *slot_record_create(const struct slotmap *map, uint32_t n_owners);
/* Takes the record and nulls the pointer. One with holes never replaces one without, nor an older one a newer. */
void slot_board_pin(struct slot_board *board, struct slot_record **record);

#endif
