/* test_slot_board.c — who asks, who waits and who adopts, among workers that want a slot map. */
#include "tests/support/test_prelude.h"

#include <pthread.h>

#include "server/store/slot_board.h"

enum { EVERY_US = 1000 };

static struct slot_record *record_of(int64_t asked_at_us, uint16_t first_owner_port, bool has_hole) {
    struct slotmap *map = malloc(sizeof *map);
    assert_non_null(map);
    slotmap_init(map);
    slotmap_set_all(map, 1);
    slotmap_set(map, 0, 0);
    if (has_hole) {
        map->node_of_slot[1] = SLOTMAP_NO_NODE;
        map->n_covered--;
    }
    struct slot_record *record = slot_record_create(map, 2);
    assert_non_null(record);
    free(map);
    record->asked_at_us = asked_at_us;
    record->owners[0] = (struct node_addr){.host = "127.0.0.1", .port = first_owner_port};
    record->owners[1] = (struct node_addr){.host = "127.0.0.1", .port = 2};
    return record;
}

static void pin(struct slot_board *board, int64_t asked_at_us, uint16_t first_owner_port, bool has_hole) {
    struct slot_record *record = record_of(asked_at_us, first_owner_port, has_hole);
    slot_board_pin(board, &record);
    assert_null(record);
}

/* What one is told who wants a map of later than `since_us`. */
static enum slot_board_advice look(struct slot_board *board, int64_t now_us, int64_t since_us) {
    struct slot_look look = {.now_us = now_us, .since_us = since_us, .every_us = EVERY_US, .may_ask = true};
    enum slot_board_advice advice = slot_board_look(board, &look);
    assert_int_equal(look.record != NULL, advice == SLOT_BOARD_ADOPT);
    if (look.record != NULL) {
        slot_board_release(board, &look.record);
        assert_null(look.record);
    }
    return advice;
}

static void assert_told_to_wait(struct slot_board *board, int64_t now_us, int64_t since_us, int64_t wait_us) {
    struct slot_look look = {.now_us = now_us, .since_us = since_us, .every_us = EVERY_US, .may_ask = true};
    assert_int_equal(slot_board_look(board, &look), SLOT_BOARD_WAIT);
    assert_int_equal(look.wait_us, wait_us);
}

static uint16_t pinned_port(struct slot_board *board) {
    struct slot_look look = {.now_us = 1, .since_us = 0, .every_us = EVERY_US};
    assert_int_equal(slot_board_look(board, &look), SLOT_BOARD_ADOPT);
    uint16_t port = look.record->owners[slotmap_node(&look.record->map, 0)].port;
    slot_board_release(board, &look.record);
    return port;
}

static void test_one_asks_and_the_others_adopt(void **state) {
    (void)state;
    struct slot_board *board = slot_board_create();
    assert_int_equal(look(board, 100, 90), SLOT_BOARD_ASK);
    assert_told_to_wait(board, 101, 95, 0); /* a moment */
    pin(board, 100, 1, false);
    assert_int_equal(look(board, 103, 95), SLOT_BOARD_ADOPT);
    assert_int_equal(look(board, 104, 0), SLOT_BOARD_ADOPT);
    assert_int_equal(pinned_port(board), 1);
    slot_board_destroy(&board);
    assert_null(board);
}

static void test_a_map_older_than_the_want_is_not_adopted(void **state) {
    (void)state;
    struct slot_board *board = slot_board_create();
    assert_int_equal(look(board, 100, 90), SLOT_BOARD_ASK);
    pin(board, 100, 1, false);
    assert_told_to_wait(board, 110, 100, EVERY_US - 10);
    assert_told_to_wait(board, 1099, 105, 1);
    assert_int_equal(look(board, 1100, 105), SLOT_BOARD_ASK);
    slot_board_destroy(&board);
}

static void test_a_question_without_an_answer_lapses(void **state) {
    (void)state;
    struct slot_board *board = slot_board_create();
    assert_int_equal(look(board, 100, 90), SLOT_BOARD_ASK);
    assert_told_to_wait(board, 1099, 90, 0);
    assert_int_equal(look(board, 1100, 90), SLOT_BOARD_ASK);
    assert_told_to_wait(board, 1101, 90, 0);
    slot_board_destroy(&board);
}

static void test_one_that_may_not_ask_leaves_it_to_others(void **state) {
    (void)state;
    struct slot_board *board = slot_board_create();
    struct slot_look without = {.now_us = 100, .since_us = 90, .every_us = EVERY_US};
    assert_int_equal(slot_board_look(board, &without), SLOT_BOARD_WAIT);
    assert_int_equal(look(board, 100, 90), SLOT_BOARD_ASK);
    slot_board_destroy(&board);
}

static void test_without_a_board_everyone_asks(void **state) {
    (void)state;
    assert_int_equal(look(NULL, 100, 90), SLOT_BOARD_ASK);
    assert_int_equal(look(NULL, 101, 90), SLOT_BOARD_ASK);
    struct slot_look without = {.now_us = 100, .since_us = 90, .every_us = EVERY_US};
    assert_int_equal(slot_board_look(NULL, &without), SLOT_BOARD_WAIT);
}

static void test_neither_holes_nor_an_older_map_replace_a_complete_one(void **state) {
    (void)state;
    struct slot_board *board = slot_board_create();
    pin(board, 100, 1, true);
    assert_int_equal(pinned_port(board), 1);
    pin(board, 200, 2, true);
    assert_int_equal(pinned_port(board), 2);
    pin(board, 300, 3, false);
    assert_int_equal(pinned_port(board), 3);
    pin(board, 400, 4, true);
    pin(board, 299, 5, false);
    assert_int_equal(pinned_port(board), 3);
    slot_board_destroy(&board);
}

static void test_a_record_in_use_outlives_its_successor(void **state) {
    (void)state;
    struct slot_board *board = slot_board_create();
    pin(board, 100, 1, false);
    struct slot_look look = {.now_us = 150, .every_us = EVERY_US};
    assert_int_equal(slot_board_look(board, &look), SLOT_BOARD_ADOPT);
    pin(board, 200, 2, false);
    assert_int_equal(look.record->owners[0].port, 1);
    slot_board_release(board, &look.record);
    assert_int_equal(pinned_port(board), 2);
    slot_board_destroy(&board);
}

/* ---- threads ---- */

enum { N_THREADS = 4, N_LOOKS = 2000 };

struct hammer {
    struct slot_board *board;
    unsigned n_asked, n_adopted;
    int64_t newest_us;
    bool is_in_order;
};

/* Each instant it wants a map of that instant's: one of the threads asks, some of the others adopt. */
static void *hammer_main(void *arg) {
    struct hammer *hammer = arg;
    for (int64_t now_us = 1; now_us <= N_LOOKS; now_us++) {
        struct slot_look look = {.now_us = now_us, .since_us = now_us - 1, .every_us = 1, .may_ask = true};
        switch (slot_board_look(hammer->board, &look)) {
        case SLOT_BOARD_ADOPT:
            hammer->n_adopted++;
            hammer->is_in_order &= look.record->asked_at_us >= hammer->newest_us;
            hammer->newest_us = look.record->asked_at_us;
            slot_board_release(hammer->board, &look.record);
            break;
        case SLOT_BOARD_ASK: {
            hammer->n_asked++;
            static const struct slotmap empty;
            struct slot_record *record = slot_record_create(&empty, 0);
            if (record != NULL) {
                record->asked_at_us = now_us;
                slot_board_pin(hammer->board, &record);
            }
            break;
        }
        case SLOT_BOARD_WAIT:
            break;
        }
    }
    return NULL;
}

static void test_threads_ask_once_for_each_instant(void **state) {
    (void)state;
    struct slot_board *board = slot_board_create();
    struct hammer hammers[N_THREADS];
    pthread_t threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) {
        hammers[i] = (struct hammer){.board = board, .is_in_order = true};
        assert_int_equal(pthread_create(&threads[i], NULL, hammer_main, &hammers[i]), 0);
    }
    unsigned n_asked = 0;
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        n_asked += hammers[i].n_asked;
        assert_true(hammers[i].is_in_order);
    }
    assert_in_range(n_asked, 1, N_LOOKS);
    slot_board_destroy(&board);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_asks_and_the_others_adopt),
        cmocka_unit_test(test_a_map_older_than_the_want_is_not_adopted),
        cmocka_unit_test(test_a_question_without_an_answer_lapses),
        cmocka_unit_test(test_one_that_may_not_ask_leaves_it_to_others),
        cmocka_unit_test(test_without_a_board_everyone_asks),
        cmocka_unit_test(test_neither_holes_nor_an_older_map_replace_a_complete_one),
        cmocka_unit_test(test_a_record_in_use_outlives_its_successor),
        cmocka_unit_test(test_threads_ask_once_for_each_instant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
