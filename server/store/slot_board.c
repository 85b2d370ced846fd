/* slot_board.c — the last slot map that any worker has read; see slot_board.h. */
#include "server/store/slot_board.h"

#include <pthread.h>
#include <stdlib.h>

struct slot_board {
    pthread_mutex_t lock;
    int64_t asked_at_us;        /* the last question; 0: none yet */
    struct slot_record *record; /* the board holds it too; NULL: none yet */
};

struct slot_board *slot_board_create(void) {
    struct slot_board *board = malloc(sizeof *board);
    if (board != NULL) {
        *board = (struct slot_board){.asked_at_us = 0};
        pthread_mutex_init(&board->lock, NULL);
    }
    return board;
}

void slot_board_destroy(struct slot_board **board) {
    struct slot_board *old = *board;
    if (old != NULL) {
        pthread_mutex_destroy(&old->lock);
        free(old->record);
        free(old);
    }
    *board = NULL;
}

static bool is_answered(const struct slot_board *board) {
    return board->record != NULL && board->record->asked_at_us >= board->asked_at_us;
}

/* With the lock held. */
static enum slot_board_advice advise(struct slot_board *board, struct slot_look *look) {
    if (board->record != NULL && board->record->asked_at_us > look->since_us) {
        board->record->n_holders++;
        look->record = board->record;
        return SLOT_BOARD_ADOPT;
    }
    int64_t wait_us = board->asked_at_us > 0 ? board->asked_at_us + look->every_us - look->now_us : 0;
    if (wait_us <= 0 && look->may_ask) {
        board->asked_at_us = look->now_us;
        return SLOT_BOARD_ASK;
    }
    look->wait_us = is_answered(board) && wait_us > 0 ? wait_us : 0;
    return SLOT_BOARD_WAIT;
}

enum slot_board_advice slot_board_look(struct slot_board *board, struct slot_look *look) {
    look->record = NULL;
    look->wait_us = 0;
    if (board == NULL) {
        return look->may_ask ? SLOT_BOARD_ASK : SLOT_BOARD_WAIT;
    }
    pthread_mutex_lock(&board->lock);
    enum slot_board_advice advice = advise(board, look);
    pthread_mutex_unlock(&board->lock);
    return advice;
}

/* With the lock held. */
static void let_go(struct slot_record *record) {
    if (record != NULL && --record->n_holders == 0) {
        free(record);
    }
}

void slot_board_release(struct slot_board *board, struct slot_record **record) {
    pthread_mutex_lock(&board->lock);
    let_go(*record);
    pthread_mutex_unlock(&board->lock);
    *record = NULL;
}

struct slot_record *slot_record_create(const struct slotmap *map, uint32_t n_owners) {
    struct slot_record *record = malloc(sizeof *record + n_owners * sizeof record->owners[0]);
    if (record != NULL) {
        record->n_holders = 1;
        record->n_owners = n_owners;
        record->map = *map;
    }
    return record;
}

void slot_board_pin(struct slot_board *board, struct slot_record **record) {
    struct slot_record *fresh = *record;
    *record = NULL;
    pthread_mutex_lock(&board->lock);
    struct slot_record *old = board->record;
    if (old == NULL || (fresh->asked_at_us > old->asked_at_us && slotmap_may_replace(&fresh->map, &old->map))) {
        board->record = fresh;
        fresh = old;
    }
    let_go(fresh);
    pthread_mutex_unlock(&board->lock);
}
