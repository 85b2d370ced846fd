/* test_script_give.c — the argument of give.lua byte by byte, and which replies are believed. */
#include "tests/support/test_prelude.h"

#include "server/store/packed.h"
#include "server/store/script_give.h"

#define START_US INT64_C(1790000000000000)

static const struct bucket_limit ten[] = {{.id = 7, .count = 1, .period_s = 1, .burst_utok = 10000000}};
static const struct quota_part part = {.n_limits = 1, .limits = ten};
static const struct store_memo memo = {.fingerprint = "fingerprint 123", .ttl_us = 2000};
static const uint8_t id[STORE_RESERVATION_ID_BYTES] = "reservation 456";

static void test_argument_is_packed_as_documented(void **state) {
    (void)state;
    const uint8_t expected[] = "\5\1\xc0\xbd\xf0\xff\xff\xff\xff\xff" /* refund and memo, 1 limit, -1 token */
                               "\7\0\0\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\x80\x96\x98\0\0\0\0\0"
                               "fingerprint 123\0\2\0\0\0\0\0\0";
    struct store_give give = {.part = &part, .tokens = -1, .is_refund = true, .memo = &memo};
    uint8_t argument[SCRIPT_GIVE_ARG_MAX_BYTES];
    assert_int_equal(script_give_pack(&give, argument), sizeof expected);
    assert_memory_equal(argument, expected, sizeof expected);
    give = (struct store_give){.part = &part, .tokens = 0, .reservation_id = id};
    assert_int_equal(script_give_pack(&give, argument), 38);
    assert_int_equal(argument[0], 8);
}

static void test_what_the_store_does_not_allow_is_not_packed(void **state) {
    (void)state;
    uint8_t argument[SCRIPT_GIVE_ARG_MAX_BYTES];
    struct store_give give = {.part = &part, .tokens = -1, .reservation_id = id};
    assert_int_equal(script_give_pack(&give, argument), 0);
    give = (struct store_give){.part = &part, .tokens = BUCKET_MAX_TOKENS + 1};
    assert_int_equal(script_give_pack(&give, argument), 0);
    give.tokens = -BUCKET_MAX_TOKENS - 1;
    assert_int_equal(script_give_pack(&give, argument), 0);
    struct bucket_limit ban = {.id = 1, .period_s = 1, .burst_utok = 1};
    struct quota_part banned = {.n_limits = 1, .limits = &ban}, empty = {.limits = &ban};
    give = (struct store_give){.part = &banned, .tokens = 1, .memo = &memo};
    assert_int_equal(script_give_pack(&give, argument), 0);
    give.part = &empty;
    assert_int_equal(script_give_pack(&give, argument), 0);
}

static struct bytes make_reply(uint8_t *out, int64_t reserved_utok, int64_t booked_utok, int64_t at_us) {
    struct bucket_record record = {.at_us = at_us, .n_levels = 1, .levels = {{7, 6000000}}};
    uint8_t *end = packed_put(out, SCRIPT_TAG_DONE, 1);
    end = packed_put(end, START_US, 8);
    end = packed_put(end, (uint64_t)reserved_utok, 8);
    end = packed_put(end, (uint64_t)booked_utok, 8);
    end += script_record_pack(&record, end);
    return (struct bytes){.data = out, .len = (size_t)(end - out)};
}

static void test_reply_to_a_refund(void **state) {
    (void)state;
    struct store_give give = {.part = &part, .tokens = 3};
    uint8_t bytes[256];
    assert_true(script_give_parse(make_reply(bytes, 0, 2500000, START_US), &give));
    assert_int_equal(give.answer, STORE_FRESH);
    assert_false(give.is_unknown);
    assert_int_equal(give.booked_utok, 2500000);
    assert_int_equal(give.verdict.remaining_utok, 6000000);
    assert_int_equal(give.verdict.reset_after_us, 4000000);
    assert_int_equal(give.record.at_us, 0);
    assert_int_equal(give.record.levels[0].utok, 6000000);
    assert_false(script_give_parse(make_reply(bytes, 0, 3000001, START_US), &give));
    assert_false(script_give_parse(make_reply(bytes, 0, -1, START_US), &give));
    assert_false(script_give_parse(make_reply(bytes, 1000000, 0, START_US), &give));
    give.tokens = -3;
    assert_true(script_give_parse(make_reply(bytes, 0, -3000000, START_US), &give));
    assert_false(script_give_parse(make_reply(bytes, 0, -3000001, START_US), &give));
    assert_false(script_give_parse(make_reply(bytes, 0, 1, START_US), &give));
}

static void test_reply_to_a_settlement(void **state) {
    (void)state;
    struct store_give give = {.part = &part, .tokens = 2, .reservation_id = id};
    uint8_t bytes[256];
    assert_true(script_give_parse(make_reply(bytes, 5000000, 3000000, START_US), &give));
    assert_int_equal(give.reserved_tokens, 5);
    assert_true(script_give_parse(make_reply(bytes, 1000000, -1000000, START_US), &give));
    assert_int_equal(give.reserved_tokens, 1);
    assert_int_equal(give.booked_utok, -1000000);
    assert_false(script_give_parse(make_reply(bytes, 0, 0, START_US), &give));
    assert_false(script_give_parse(make_reply(bytes, -1000000, -3000000, START_US), &give));
    assert_false(script_give_parse(make_reply(bytes, 5000001, 0, START_US), &give));
    assert_false(script_give_parse(make_reply(bytes, INT64_MAX, 0, START_US), &give));
}

static void test_a_record_far_ahead_is_taken_for_one_of_now(void **state) {
    (void)state;
    struct store_give give = {.part = &part, .tokens = 3};
    uint8_t bytes[256];
    assert_true(script_give_parse(make_reply(bytes, 0, 0, INT64_MAX), &give));
    assert_int_equal(give.record.at_us, 0);
    assert_true(script_give_parse(make_reply(bytes, 0, 0, START_US + 900000), &give));
    assert_int_equal(give.record.at_us, 900000);
}

static void test_an_unknown_reservation_is_told(void **state) {
    (void)state;
    struct store_give give = {.part = &part, .tokens = 2, .reservation_id = id, .memo = &memo};
    uint8_t bytes[64] = {SCRIPT_TAG_UNKNOWN, 1};
    assert_true(script_give_parse((struct bytes){bytes, 9}, &give));
    assert_true(give.is_unknown);
    assert_int_equal(give.answer, STORE_FRESH);
    assert_false(script_give_parse((struct bytes){bytes, 8}, &give));
    assert_false(script_give_parse((struct bytes){bytes, 10}, &give));
    bytes[8] = 0x80;
    assert_false(script_give_parse((struct bytes){bytes, 9}, &give));
    uint8_t repeated[64] = {SCRIPT_TAG_REPEATED};
    memcpy(repeated + 1, memo.fingerprint, STORE_FINGERPRINT_BYTES);
    repeated[17] = SCRIPT_TAG_UNKNOWN;
    assert_true(script_give_parse((struct bytes){repeated, 26}, &give));
    assert_true(give.is_unknown);
    assert_int_equal(give.answer, STORE_REPEATED);
    repeated[1] ^= 1;
    assert_true(script_give_parse((struct bytes){repeated, 26}, &give));
    assert_int_equal(give.answer, STORE_KEY_REUSED);
    bytes[8] = 0;
    give.reservation_id = NULL; /* nobody asked for one */
    assert_false(script_give_parse((struct bytes){bytes, 9}, &give));
}

static void test_cut_replies_are_refused(void **state) {
    (void)state;
    struct store_give give = {.part = &part, .tokens = 3};
    uint8_t bytes[256];
    struct bytes reply = make_reply(bytes, 0, 0, START_US);
    for (size_t n = 0; n < reply.len; n++) {
        assert_int_equal(script_give_parse((struct bytes){bytes, n}, &give), n == 25);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_argument_is_packed_as_documented),
        cmocka_unit_test(test_what_the_store_does_not_allow_is_not_packed),
        cmocka_unit_test(test_reply_to_a_refund),
        cmocka_unit_test(test_reply_to_a_settlement),
        cmocka_unit_test(test_a_record_far_ahead_is_taken_for_one_of_now),
        cmocka_unit_test(test_an_unknown_reservation_is_told),
        cmocka_unit_test(test_cut_replies_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
