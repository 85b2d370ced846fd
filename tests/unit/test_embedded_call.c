/* test_embedded_call.c — inside the process: joined costs, what is done once, reservations, and no room for more. */
#include "tests/support/test_prelude.h"

#include "server/store/embedded_call.h"

#define SECOND_US INT64_C(1000000)

/* 1 per second, 10 at once. */
static const struct bucket_limit ten[] = {{.id = 7, .count = 1, .period_s = 1, .burst_utok = 10000000}};
static const struct quota_part part = {.n_limits = 1, .limits = ten};
static const struct store_reservation reservation = {.id = "reservation 456", .ttl_us = 60 * SECOND_US};

struct bench {
    struct embedded_metrics metrics;
    struct store *store;
    struct store_wish wishes[4];
    struct store_take take;
    struct store_give give;
};

static void setup(struct bench *bench, uint64_t max_keys) {
    struct status status;
    *bench = (struct bench){0};
    bench->store = embedded_store_create(max_keys, 1, &bench->metrics, &status);
    assert_non_null(bench->store);
}

static void teardown(struct bench *bench) {
    store_destroy(&bench->store);
}

static struct store_memo memo_of(const char *key, uint8_t fingerprint) {
    return (struct store_memo){
        .key = {(const uint8_t *)key, strlen(key)}, .fingerprint = {fingerprint}, .ttl_us = 60 * SECOND_US};
}

/* One wish of so many tokens from the record `number`. */
static enum store_outcome take(struct bench *bench, uint64_t number, int64_t cost_tokens, int64_t now_us,
                               const struct store_memo *memo, const struct store_reservation *reserves) {
    bench->wishes[0] = (struct store_wish){.cost_tokens = cost_tokens};
    bench->take = (struct store_take){.part = &part,
                                      .hash = {.low = number, .high = number},
                                      .wishes = bench->wishes,
                                      .n_wishes = 1,
                                      .memo = memo,
                                      .reservation = reserves};
    assert_int_equal(store_take(bench->store, &bench->take, now_us), STORE_DONE);
    return bench->take.outcome;
}

static enum store_outcome give(struct bench *bench, uint64_t number, int64_t tokens, int64_t now_us,
                               const struct store_memo *memo, const uint8_t *reservation_id) {
    bench->give = (struct store_give){.part = &part,
                                      .hash = {.low = number, .high = number},
                                      .tokens = tokens,
                                      .memo = memo,
                                      .reservation_id = reservation_id};
    assert_int_equal(store_give(bench->store, &bench->give, now_us), STORE_DONE);
    return bench->give.outcome;
}

/* Takes what is there, in whole tokens, and says how many. */
static int64_t drain(struct bench *bench, uint64_t number, int64_t now_us) {
    bench->wishes[0] = (struct store_wish){.cost_tokens = BUCKET_MAX_TOKENS};
    bench->take = (struct store_take){.part = &part,
                                      .hash = {.low = number, .high = number},
                                      .wishes = bench->wishes,
                                      .n_wishes = 1,
                                      .at_most = true};
    assert_int_equal(store_take(bench->store, &bench->take, now_us), STORE_DONE);
    assert_int_equal(bench->take.outcome, STORE_OK);
    return bench->take.granted_tokens;
}

static void test_wishes_are_decided_in_their_order_and_kept(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 64);
    const int64_t costs[] = {7, 4, 2, 2};
    for (size_t i = 0; i < 4; i++) {
        bench.wishes[i].cost_tokens = costs[i];
    }
    bench.take = (struct store_take){.part = &part, .wishes = bench.wishes, .n_wishes = 4};
    assert_int_equal(store_take(bench.store, &bench.take, 0), STORE_DONE);
    assert_int_equal(bench.take.outcome, STORE_OK);
    assert_int_equal(bench.take.answer, STORE_FRESH);
    assert_int_equal(bench.take.granted_tokens, 9);
    assert_true(bench.wishes[0].verdict.allowed);
    assert_false(bench.wishes[1].verdict.allowed);
    assert_true(bench.wishes[2].verdict.allowed);
    assert_false(bench.wishes[3].verdict.allowed);
    assert_int_equal(drain(&bench, 0, 0), 1);
    assert_int_equal(drain(&bench, 0, 0), 0);
    assert_int_equal(drain(&bench, 0, 3 * SECOND_US), 3);
    teardown(&bench);
}

static void test_a_repeated_take_takes_nothing(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 64);
    struct store_memo memo = memo_of("order 7", 1), reused = memo_of("order 7", 2),
                      other = memo_of("order 8", 1);
    assert_int_equal(take(&bench, 1, 4, 0, &memo, NULL), STORE_OK);
    struct bucket_verdict first = bench.wishes[0].verdict;
    assert_int_equal(bench.take.answer, STORE_FRESH);
    assert_int_equal(take(&bench, 1, 4, SECOND_US, &memo, NULL), STORE_OK);
    assert_int_equal(bench.take.answer, STORE_REPEATED);
    assert_int_equal(bench.take.granted_tokens, 4);
    assert_int_equal(bench.wishes[0].verdict.remaining_utok, first.remaining_utok);
    assert_int_equal(take(&bench, 1, 4, SECOND_US, &reused, NULL), STORE_OK);
    assert_int_equal(bench.take.answer, STORE_KEY_REUSED);
    assert_int_equal(give(&bench, 1, 4, SECOND_US, &reused, NULL), STORE_OK);
    assert_int_equal(bench.give.answer, STORE_KEY_REUSED);
    assert_int_equal(take(&bench, 2, 4, SECOND_US, &memo, NULL), STORE_OK); /* of another record */
    assert_int_equal(bench.take.answer, STORE_FRESH);
    assert_int_equal(take(&bench, 1, 4, SECOND_US, &other, NULL), STORE_OK);
    assert_int_equal(bench.take.answer, STORE_FRESH);
    assert_int_equal(drain(&bench, 1, SECOND_US), 3);
    assert_int_equal(take(&bench, 1, 4, 60 * SECOND_US, &memo, NULL), STORE_OK); /* after its time */
    assert_int_equal(bench.take.answer, STORE_FRESH);
    teardown(&bench);
}

static void test_a_denial_is_repeated_as_well(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 64);
    struct store_memo memo = memo_of("order 7", 1);
    assert_int_equal(drain(&bench, 1, 0), 10);
    assert_int_equal(take(&bench, 1, 2, 0, &memo, NULL), STORE_OK);
    assert_false(bench.wishes[0].verdict.allowed);
    assert_int_equal(take(&bench, 1, 2, 5 * SECOND_US, &memo, NULL), STORE_OK);
    assert_int_equal(bench.take.answer, STORE_REPEATED);
    assert_false(bench.wishes[0].verdict.allowed);
    assert_int_equal(bench.wishes[0].verdict.retry_after_us, 2 * SECOND_US);
    teardown(&bench);
}

/* One wish of 4 tokens from record 1, of which other records have said something. */
static enum store_outcome take_with(struct bench *bench, const struct store_memo *memo,
                                    const struct store_elsewhere *elsewhere, bool is_denied) {
    bench->wishes[0] = (struct store_wish){.cost_tokens = 4};
    bench->take = (struct store_take){.part = &part,
                                      .hash = {.low = 1, .high = 1},
                                      .wishes = bench->wishes,
                                      .n_wishes = 1,
                                      .memo = memo,
                                      .elsewhere = elsewhere,
                                      .is_denied_elsewhere = is_denied};
    assert_int_equal(store_take(bench->store, &bench->take, 0), STORE_DONE);
    return bench->take.outcome;
}

static void expect_earlier(const struct bench *bench, enum store_answer answer, int64_t granted_tokens,
                           uint32_t limit_id) {
    assert_int_equal(bench->take.answer, answer);
    assert_int_equal(bench->take.granted_tokens, granted_tokens);
    assert_int_equal(bench->wishes[0].verdict.allowed, granted_tokens > 0);
    if (answer == STORE_REPEATED) {
        assert_int_equal(bench->take.has_earlier, limit_id != 0);
        assert_int_equal(bench->take.earlier.limit_id, limit_id);
    }
}

static void test_what_was_decided_elsewhere_is_told_again(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 64);
    const struct store_elsewhere allowed = {.limit_id = 8, .verdict.allowed = true},
                                 denied = {.limit_id = 9, .verdict.retry_after_us = SECOND_US};
    struct store_memo memo = memo_of("order 7", 1), other = memo_of("order 8", 1),
                      reused = memo_of("order 8", 2);
    assert_int_equal(take_with(&bench, &memo, NULL, true), STORE_OK); /* only looks */
    expect_earlier(&bench, STORE_FRESH, 0, 0);
    assert_int_equal(take_with(&bench, &memo, &allowed, false), STORE_OK);
    expect_earlier(&bench, STORE_FRESH, 4, 0);
    assert_int_equal(take_with(&bench, &memo, &denied, true), STORE_OK);
    expect_earlier(&bench, STORE_REPEATED, 4, 8);
    assert_int_equal(take_with(&bench, &memo, NULL, true), STORE_OK);
    expect_earlier(&bench, STORE_REPEATED, 4, 8);
    assert_int_equal(take_with(&bench, &other, &denied, true), STORE_OK);
    expect_earlier(&bench, STORE_FRESH, 0, 0);
    assert_int_equal(take_with(&bench, &other, &allowed, false), STORE_OK);
    expect_earlier(&bench, STORE_REPEATED, 0, 9);
    assert_int_equal(bench.take.earlier.verdict.retry_after_us, SECOND_US);
    assert_int_equal(take_with(&bench, &reused, &denied, true), STORE_OK);
    assert_int_equal(bench.take.answer, STORE_KEY_REUSED);
    assert_int_equal(drain(&bench, 1, 0), 6);
    teardown(&bench);
}

static void test_an_answer_of_a_quota_that_had_more_limits_names_one_it_has(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 64);
    const struct bucket_limit ten_and_three[] = {ten[0],
                                                 {.id = 8, .count = 1, .period_s = 1, .burst_utok = 3000000}};
    const struct quota_part both = {.n_limits = 2, .limits = ten_and_three};
    struct store_memo memo = memo_of("order 7", 1), refund = memo_of("refund 7", 1);
    bench.wishes[0].cost_tokens = 4;
    bench.take = (struct store_take){
        .part = &both, .hash = {.low = 1, .high = 1}, .wishes = bench.wishes, .n_wishes = 1, .memo = &memo};
    assert_int_equal(store_take(bench.store, &bench.take, 0), STORE_DONE);
    assert_int_equal(bench.wishes[0].verdict.limit_index, 1);
    assert_int_equal(take(&bench, 1, 4, 0, &memo, NULL), STORE_OK);
    assert_int_equal(bench.take.answer, STORE_REPEATED);
    assert_int_equal(bench.wishes[0].verdict.limit_index, 0);
    bench.give =
        (struct store_give){.part = &both, .hash = {.low = 1, .high = 1}, .tokens = 1, .memo = &refund};
    assert_int_equal(store_give(bench.store, &bench.give, 0), STORE_DONE);
    assert_int_equal(bench.give.verdict.limit_index, 1);
    assert_int_equal(give(&bench, 1, 1, 0, &refund, NULL), STORE_OK);
    assert_int_equal(bench.give.verdict.limit_index, 0);
    teardown(&bench);
}

static void test_a_refund_stays_within_the_bounds(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 64);
    struct store_memo memo = memo_of("refund 1", 1);
    assert_int_equal(give(&bench, 1, 5, 0, NULL, NULL), STORE_OK); /* it is full */
    assert_int_equal(bench.give.booked_utok, 0);
    assert_int_equal(bench.give.verdict.remaining_utok, 10000000);
    assert_int_equal(drain(&bench, 1, 0), 10);
    assert_int_equal(give(&bench, 1, 4, 0, &memo, NULL), STORE_OK);
    assert_int_equal(bench.give.booked_utok, 4000000);
    assert_int_equal(bench.give.verdict.remaining_utok, 4000000);
    assert_int_equal(bench.give.verdict.reset_after_us, 6 * SECOND_US);
    assert_int_equal(give(&bench, 1, 4, 0, &memo, NULL), STORE_OK);
    assert_int_equal(bench.give.answer, STORE_REPEATED);
    assert_int_equal(bench.give.booked_utok, 4000000);
    assert_int_equal(give(&bench, 1, 7, 0, NULL, NULL), STORE_OK);
    assert_int_equal(bench.give.booked_utok, 6000000);
    assert_int_equal(drain(&bench, 1, 0), 10);
    assert_int_equal(give(&bench, 1, -3, 0, NULL, NULL), STORE_OK);
    assert_int_equal(bench.give.booked_utok, -3000000);
    assert_int_equal(drain(&bench, 1, 4 * SECOND_US), 1);
    teardown(&bench);
}

static void test_a_reservation_is_settled_once(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 64);
    assert_int_equal(take(&bench, 1, 6, 0, NULL, &reservation), STORE_OK);
    assert_memory_equal(bench.take.reservation_id, reservation.id, sizeof reservation.id);
    assert_int_equal(give(&bench, 2, 1, 0, NULL, reservation.id), STORE_OK); /* of another record */
    assert_true(bench.give.is_unknown);
    assert_int_equal(give(&bench, 1, 2, 0, NULL, reservation.id), STORE_OK);
    assert_false(bench.give.is_unknown);
    assert_int_equal(bench.give.reserved_tokens, 6);
    assert_int_equal(bench.give.booked_utok, 4000000);
    assert_int_equal(give(&bench, 1, 2, 0, NULL, reservation.id), STORE_OK);
    assert_true(bench.give.is_unknown);
    assert_int_equal(drain(&bench, 1, 0), 8);
    assert_int_equal(take(&bench, 1, 6, 0, NULL, &reservation), STORE_OK); /* denied: nothing is held */
    assert_int_equal(give(&bench, 1, 0, 0, NULL, reservation.id), STORE_OK);
    assert_true(bench.give.is_unknown);
    teardown(&bench);
}

static void test_a_reservation_that_ended_stands(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 64);
    struct store_memo memo = memo_of("settle 1", 1);
    assert_int_equal(take(&bench, 1, 6, 0, NULL, &reservation), STORE_OK);
    assert_int_equal(give(&bench, 1, 0, 60 * SECOND_US, &memo, reservation.id), STORE_OK);
    assert_true(bench.give.is_unknown);
    assert_int_equal(give(&bench, 1, 0, 60 * SECOND_US, &memo, reservation.id), STORE_OK);
    assert_int_equal(bench.give.answer, STORE_REPEATED);
    assert_true(bench.give.is_unknown);
    teardown(&bench);
}

static void test_a_repeated_reserve_brings_the_first_id(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 64);
    struct store_memo memo = memo_of("reserve 1", 1);
    const struct store_reservation later = {.id = "a later one", .ttl_us = 60 * SECOND_US};
    assert_int_equal(take(&bench, 1, 6, 0, &memo, &reservation), STORE_OK);
    assert_int_equal(take(&bench, 1, 6, 0, &memo, &later), STORE_OK);
    assert_int_equal(bench.take.answer, STORE_REPEATED);
    assert_memory_equal(bench.take.reservation_id, reservation.id, sizeof reservation.id);
    assert_int_equal(give(&bench, 1, 6, 0, NULL, later.id), STORE_OK);
    assert_true(bench.give.is_unknown);
    teardown(&bench);
}

static void test_without_room_nothing_is_taken(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 16);
    char key[16];
    struct store_memo memo = {0};
    for (int i = 0; i < 15; i++) {
        snprintf(key, sizeof key, "key %d", i);
        memo = memo_of(key, 1);
        assert_int_equal(give(&bench, 1, 0, 0, &memo, NULL), STORE_OK);
    }
    memo = memo_of("one more", 1);
    assert_int_equal(take(&bench, 1, 4, 0, &memo, &reservation), STORE_FULL); /* both are wanted, or none */
    assert_int_equal(drain(&bench, 1, 0), 10);
    assert_int_equal(take(&bench, 1, 1, SECOND_US, &memo, NULL), STORE_OK);
    struct store_memo last = memo_of("the last", 1);
    assert_int_equal(give(&bench, 1, 1, SECOND_US, &last, NULL), STORE_FULL);
    assert_int_equal(drain(&bench, 1, SECOND_US), 0);
    assert_int_equal(give(&bench, 1, 1, SECOND_US, &memo, NULL), STORE_OK);
    assert_int_equal(bench.give.answer, STORE_REPEATED);
    assert_int_equal(take(&bench, 1, 1, 60 * SECOND_US, &last, &reservation), STORE_OK);
    teardown(&bench);
}

static void test_a_key_beyond_the_limits_is_refused(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 16);
    static const char long_key[] = "12345678901234567890123456789012345678901234567890123456789012345";
    struct store_memo memo = memo_of(long_key, 1), none = memo_of("", 1);
    assert_int_equal(take(&bench, 1, 1, 0, &memo, NULL), STORE_REFUSED);
    assert_int_equal(give(&bench, 1, 1, 0, &none, NULL), STORE_REFUSED);
    memo.key.len = STORE_MEMO_KEY_MAX_BYTES;
    assert_int_equal(take(&bench, 1, 1, 0, &memo, NULL), STORE_OK);
    teardown(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wishes_are_decided_in_their_order_and_kept),
        cmocka_unit_test(test_a_repeated_take_takes_nothing),
        cmocka_unit_test(test_a_denial_is_repeated_as_well),
        cmocka_unit_test(test_what_was_decided_elsewhere_is_told_again),
        cmocka_unit_test(test_an_answer_of_a_quota_that_had_more_limits_names_one_it_has),
        cmocka_unit_test(test_a_refund_stays_within_the_bounds),
        cmocka_unit_test(test_a_reservation_is_settled_once),
        cmocka_unit_test(test_a_reservation_that_ended_stands),
        cmocka_unit_test(test_a_repeated_reserve_brings_the_first_id),
        cmocka_unit_test(test_without_room_nothing_is_taken),
        cmocka_unit_test(test_a_key_beyond_the_limits_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
