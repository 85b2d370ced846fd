/* test_script_take.c — the argument of take.lua byte by byte, and which replies are believed. */
#include "tests/support/test_prelude.h"

#include "server/store/packed.h"
#include "server/store/script_take.h"

#define START_US INT64_C(1790000000000000)

static const struct bucket_limit ten[] = {{.id = 7, .count = 1, .period_s = 1, .burst_utok = 10000000}};
static const struct quota_part part = {.n_limits = 1, .limits = ten};
static const struct store_memo memo = {.fingerprint = "fingerprint 123", .ttl_us = 2000};
static const struct store_reservation reservation = {.id = "reservation 456", .ttl_us = 3000};

/* By a limit that other records hold; as it is packed. */
static const struct store_elsewhere allowed_there = {
    .limit_id = 0x01020304,
    .verdict = {.allowed = true, .remaining_utok = 5000000, .reset_after_us = 6, .wait_us = 7}};
static const struct store_elsewhere denied_there = {
    .limit_id = 0x01020304, .verdict = {.remaining_utok = -1, .retry_after_us = 8, .reset_after_us = 9}};
static const char denied_bytes[] = "\6\4\3\2\1\0"                     /* the tag, the limit's id, not allowed */
                                   "\xff\xff\xff\xff\xff\xff\xff\xff" /* what remains */
                                   "\x8\0\0\0\0\0\0\0\x9\0\0\0\0\0\0\0\0\0\0\0\0\0\0"; /* the times */

static void test_argument_is_packed_as_documented(void **state) {
    (void)state;
    const uint8_t expected[] = "\7\1" /* at most, charges, memo; 1 limit */
                               "\7\0\0\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\x80\x96\x98\0\0\0\0\0" /* the limit */
                               "\5\0\0\0\0\0\0\0"                                               /* the charge */
                               "fingerprint 123\0\2\0\0\0\0\0\0\0"                              /* the memo */
                               "\x80\x84\x1e\0\0\0\0"; /* 2 tokens, up to the string's end */
    const int64_t charge_utok = 5;
    struct store_wish wish = {.cost_tokens = 2};
    struct store_take take = {.part = &part,
                              .wishes = &wish,
                              .n_wishes = 1,
                              .at_most = true,
                              .memo = &memo,
                              .charges_utok = &charge_utok};
    uint8_t argument[SCRIPT_TAKE_ARG_MAX_BYTES];
    assert_int_equal(script_take_pack(&take, argument), sizeof expected);
    assert_memory_equal(argument, expected, sizeof expected);
    take.reservation = &reservation;
    assert_int_equal(script_take_pack(&take, argument), sizeof expected + 24);
    assert_int_equal(argument[0], 15);
    assert_memory_equal(argument + 2 + 28 + 8 + 24, "reservation 456\0\3\0\0\0\0\0\0", 24);
}

static void test_what_was_said_elsewhere_is_packed_behind_the_memo(void **state) {
    (void)state;
    struct store_wish wish = {.cost_tokens = 2};
    struct store_take take = {.part = &part,
                              .wishes = &wish,
                              .n_wishes = 1,
                              .memo = &memo,
                              .reservation = &reservation,
                              .elsewhere = &allowed_there};
    uint8_t argument[SCRIPT_TAKE_ARG_MAX_BYTES];
    size_t n = 2 + 28 + 24 + sizeof denied_bytes + 24 + 8;
    assert_int_equal(sizeof denied_bytes, SCRIPT_ELSEWHERE_BYTES);
    assert_int_equal(script_take_pack(&take, argument), n);
    assert_int_equal(argument[0], 4 + 8 + 32);
    assert_memory_equal(argument + 54, "\6\4\3\2\1\1\x40\x4b\x4c\0\0\0\0\0\0\0\0\0\0\0\0\0\6\0\0\0\0\0\0\0\7",
                        31);
    assert_memory_equal(argument + 54 + 38, "reservation 456", 16);
    take.elsewhere = &denied_there;
    take.is_denied_elsewhere = true;
    assert_int_equal(script_take_pack(&take, argument), n);
    assert_int_equal(argument[0], 4 + 8 + 16 + 32);
    assert_memory_equal(argument + 54, denied_bytes, sizeof denied_bytes);
    take.elsewhere = NULL;
    assert_int_equal(script_take_pack(&take, argument), n - sizeof denied_bytes);
    assert_int_equal(argument[0], 4 + 8 + 16);
}

static void test_figures_beyond_the_bounds_are_packed_as_those(void **state) {
    (void)state;
    const struct store_elsewhere strange = {
        .verdict = {.remaining_utok = INT64_MIN, .retry_after_us = INT64_MAX, .reset_after_us = -1}};
    struct store_wish wish = {.cost_tokens = 2};
    struct store_take take = {.part = &part,
                              .wishes = &wish,
                              .n_wishes = 1,
                              .memo = &memo,
                              .elsewhere = &strange,
                              .is_denied_elsewhere = true};
    uint8_t argument[SCRIPT_TAKE_ARG_MAX_BYTES];
    assert_int_not_equal(script_take_pack(&take, argument), 0);
    assert_int_equal(packed_get_int64(argument + 54 + 6), -BUCKET_MAX_EXACT);
    assert_int_equal(packed_get_int64(argument + 54 + 14), BUCKET_MAX_EXACT);
    assert_int_equal(packed_get_int64(argument + 54 + 22), 0);
}

static void test_the_largest_argument_fits(void **state) {
    (void)state;
    struct bucket_limit limits[BUCKET_MAX_LIMITS];
    struct store_wish wishes[STORE_MAX_WISHES];
    const int64_t charges_utok[BUCKET_MAX_LIMITS] = {0};
    for (size_t i = 0; i < BUCKET_MAX_LIMITS; i++) {
        limits[i] = ten[0];
    }
    for (size_t i = 0; i < STORE_MAX_WISHES; i++) {
        wishes[i].cost_tokens = BUCKET_MAX_TOKENS;
    }
    struct quota_part eight = {.n_limits = BUCKET_MAX_LIMITS, .limits = limits};
    struct store_take take = {
        .part = &eight, .wishes = wishes, .n_wishes = STORE_MAX_WISHES, .charges_utok = charges_utok};
    uint8_t argument[SCRIPT_TAKE_ARG_MAX_BYTES];
    assert_int_equal(script_take_pack(&take, argument),
                     sizeof argument - SCRIPT_MEMO_BYTES - SCRIPT_ELSEWHERE_BYTES - 24);
}

static void test_what_the_store_does_not_allow_is_not_packed(void **state) {
    (void)state;
    struct store_wish wishes[STORE_MAX_WISHES + 1] = {{.cost_tokens = 1}, {.cost_tokens = 1}};
    struct store_take good = {.part = &part, .wishes = wishes, .n_wishes = 2}, take = good;
    uint8_t argument[SCRIPT_TAKE_ARG_MAX_BYTES];
    assert_int_not_equal(script_take_pack(&take, argument), 0);
    take.memo = &memo;
    assert_int_equal(script_take_pack(&take, argument), 0);
    take = good;
    take.reservation = &reservation;
    assert_int_equal(script_take_pack(&take, argument), 0);
    take = good;
    take.at_most = true;
    assert_int_equal(script_take_pack(&take, argument), 0);
    take = good;
    take.n_wishes = 1;
    take.is_denied_elsewhere = true; /* without a memo */
    assert_int_equal(script_take_pack(&take, argument), 0);
    take.memo = &memo;
    assert_int_not_equal(script_take_pack(&take, argument), 0);
    take.elsewhere = &allowed_there; /* and denied there */
    assert_int_equal(script_take_pack(&take, argument), 0);
    take.is_denied_elsewhere = false;
    assert_int_not_equal(script_take_pack(&take, argument), 0);
    take.elsewhere = &denied_there;
    assert_int_equal(script_take_pack(&take, argument), 0);
    take.memo = NULL;
    take.elsewhere = &allowed_there;
    assert_int_equal(script_take_pack(&take, argument), 0);
    take = good;
    take.n_wishes = 0;
    assert_int_equal(script_take_pack(&take, argument), 0);
    take.n_wishes = STORE_MAX_WISHES + 1;
    assert_int_equal(script_take_pack(&take, argument), 0);
    take = good;
    wishes[1].cost_tokens = 0;
    assert_int_equal(script_take_pack(&take, argument), 0);
    wishes[1].cost_tokens = BUCKET_MAX_TOKENS + 1;
    assert_int_equal(script_take_pack(&take, argument), 0);
    wishes[1].cost_tokens = 1;
    struct bucket_limit ban = {.id = 1, .period_s = 1, .burst_utok = 1};
    struct quota_part banned = {.n_limits = 1, .limits = &ban}, empty = {.limits = &ban};
    take.part = &banned;
    assert_int_equal(script_take_pack(&take, argument), 0);
    take.part = &empty;
    assert_int_equal(script_take_pack(&take, argument), 0);
}

/* What take.lua replies: done at `now_us`, so many tokens granted, the reservation's id, a record of one level. */
static struct bytes make_reply(uint8_t *out, int64_t now_us, int64_t granted_utok, const uint8_t *id,
                               int64_t level_utok) {
    struct bucket_record record = {.at_us = START_US, .n_levels = 1, .levels = {{7, level_utok}}};
    uint8_t *end = packed_put(out, SCRIPT_TAG_DONE, 1);
    end = packed_put(end, (uint64_t)now_us, 8);
    end = packed_put(end, (uint64_t)granted_utok, 8);
    if (id != NULL) {
        end = packed_put_bytes(end, id, STORE_RESERVATION_ID_BYTES);
    }
    end += script_record_pack(&record, end);
    return (struct bytes){.data = out, .len = (size_t)(end - out)};
}

static void test_reply_tells_every_verdict(void **state) {
    (void)state;
    struct store_wish wishes[] = {{.cost_tokens = 3}, {.cost_tokens = 2}, {.cost_tokens = 1}};
    struct store_take take = {.part = &part, .wishes = wishes, .n_wishes = 3};
    uint8_t bytes[256];
    assert_true(script_take_parse(make_reply(bytes, START_US + 1000000, 4000000, NULL, 3000000), &take));
    assert_int_equal(take.answer, STORE_FRESH);
    assert_int_equal(take.granted_tokens, 4);
    assert_true(wishes[0].verdict.allowed);
    assert_false(wishes[1].verdict.allowed);
    assert_int_equal(wishes[1].verdict.retry_after_us, 1000000);
    assert_true(wishes[2].verdict.allowed);
    assert_int_equal(wishes[2].verdict.remaining_utok, 0);
    assert_int_equal(take.record.at_us, 0);
    assert_int_equal(take.record.levels[0].utok, 0);
}

static void test_reply_that_contradicts_the_rules_is_refused(void **state) {
    (void)state;
    struct store_wish wish = {.cost_tokens = 3};
    struct store_take take = {.part = &part, .wishes = &wish, .n_wishes = 1};
    uint8_t bytes[256];
    assert_true(script_take_parse(make_reply(bytes, START_US, 3000000, NULL, 3000000), &take));
    assert_false(script_take_parse(make_reply(bytes, START_US, 0, NULL, 3000000), &take));
    assert_false(script_take_parse(make_reply(bytes, START_US, 3000000, NULL, 2999999), &take));
    assert_false(script_take_parse(make_reply(bytes, START_US, 3000001, NULL, 3000000), &take));
    assert_false(script_take_parse(make_reply(bytes, START_US, -1000000, NULL, 3000000), &take));
    assert_false(script_take_parse(make_reply(bytes, -1, 3000000, NULL, 3000000), &take));
    assert_false(script_take_parse(make_reply(bytes, BUCKET_MAX_NOW_US + 1, 3000000, NULL, 3000000), &take));
    struct bytes reply = make_reply(bytes, START_US, 3000000, NULL, 3000000);
    bytes[0] = SCRIPT_TAG_UNKNOWN;
    assert_false(script_take_parse(reply, &take));
}

static void test_cut_replies_are_refused(void **state) {
    (void)state;
    struct store_wish wish = {.cost_tokens = 3};
    struct store_take take = {.part = &part, .wishes = &wish, .n_wishes = 1, .reservation = &reservation};
    uint8_t bytes[256];
    struct bytes reply = make_reply(bytes, START_US, 3000000, reservation.id, 3000000);
    assert_true(script_take_parse(reply, &take));
    assert_memory_equal(take.reservation_id, reservation.id, STORE_RESERVATION_ID_BYTES);
    for (size_t n = 0; n < reply.len; n++) {
        bool is_without_record = n == 17 + 16; /* a full bucket */
        assert_int_equal(script_take_parse((struct bytes){bytes, n}, &take), is_without_record);
    }
}

static void test_a_repeated_reply_brings_the_first_answer(void **state) {
    (void)state;
    struct store_wish wish = {.cost_tokens = 3};
    struct store_take take = {
        .part = &part, .wishes = &wish, .n_wishes = 1, .memo = &memo, .reservation = &reservation};
    const uint8_t first_id[STORE_RESERVATION_ID_BYTES] = "the first";
    uint8_t bytes[256] = {SCRIPT_TAG_REPEATED};
    memcpy(bytes + 1, memo.fingerprint, STORE_FINGERPRINT_BYTES);
    size_t n = 17 + make_reply(bytes + 17, START_US, 3000000, first_id, 5000000).len;
    assert_true(script_take_parse((struct bytes){bytes, n}, &take));
    assert_int_equal(take.answer, STORE_REPEATED);
    assert_int_equal(take.granted_tokens, 3);
    assert_memory_equal(take.reservation_id, first_id, sizeof first_id);
    assert_int_equal(wish.verdict.remaining_utok, 2000000);
    make_reply(bytes + 17, START_US, 4000000, first_id, 5000000); /* more than was asked for */
    assert_false(script_take_parse((struct bytes){bytes, n}, &take));
    bytes[1] ^= 1;
    assert_true(script_take_parse((struct bytes){bytes, n}, &take));
    assert_int_equal(take.answer, STORE_KEY_REUSED);
}

/* What is kept under the memo's fingerprint: `elsewhere`, if any, then the reply. */
static struct bytes make_kept(uint8_t *out, const char *elsewhere, struct bytes reply) {
    uint8_t *end = packed_put(out, SCRIPT_TAG_REPEATED, 1);
    end = packed_put_bytes(end, memo.fingerprint, STORE_FINGERPRINT_BYTES);
    end = elsewhere != NULL ? packed_put_bytes(end, elsewhere, SCRIPT_ELSEWHERE_BYTES) : end;
    end = packed_put_bytes(end, reply.data, reply.len);
    return (struct bytes){.data = out, .len = (size_t)(end - out)};
}

static void test_a_repeated_part_may_be_more_than_the_wish_of_now(void **state) {
    (void)state;
    struct store_wish wish = {.cost_tokens = 1};
    struct store_take take = {.part = &part, .wishes = &wish, .n_wishes = 1, .memo = &memo, .at_most = true};
    uint8_t reply[128], bytes[256];
    assert_true(
        script_take_parse(make_kept(bytes, NULL, make_reply(reply, START_US, 3000000, NULL, 3500000)), &take));
    assert_int_equal(take.granted_tokens, 3);
    assert_int_equal(wish.verdict.remaining_utok, 500000);
    int64_t too_many_utok = (BUCKET_MAX_TOKENS + 1) * BUCKET_UTOK_PER_TOKEN;
    assert_false(script_take_parse(
        make_kept(bytes, NULL, make_reply(reply, START_US, too_many_utok, NULL, 3500000)), &take));
}

static const struct bytes denial = {(const uint8_t *)"\5", 1};

static void test_a_denial_elsewhere_is_fresh_only_if_it_was_told(void **state) {
    (void)state;
    struct store_wish wish = {.cost_tokens = 3};
    struct store_take take = {
        .part = &part, .wishes = &wish, .n_wishes = 1, .memo = &memo, .is_denied_elsewhere = true};
    uint8_t bytes[256];
    wish.verdict.allowed = true;
    take.granted_tokens = 3;
    assert_true(script_take_parse(denial, &take));
    assert_int_equal(take.answer, STORE_FRESH);
    assert_int_equal(take.granted_tokens, 0);
    assert_false(wish.verdict.allowed);
    assert_false(script_take_parse(make_reply(bytes, START_US, 3000000, NULL, 3000000), &take));
    assert_false(script_take_parse((struct bytes){(const uint8_t *)"\5\0", 2}, &take));
    take.is_denied_elsewhere = false;
    assert_false(script_take_parse(denial, &take));
}

static void test_what_was_said_elsewhere_is_told_again(void **state) {
    (void)state;
    struct store_wish wish = {.cost_tokens = 3};
    struct store_take take = {.part = &part, .wishes = &wish, .n_wishes = 1, .memo = &memo};
    uint8_t reply[128], bytes[256];
    for (int i = 0; i < 2; i++) { /* whatever the others say now */
        take.is_denied_elsewhere = i == 1;
        assert_true(script_take_parse(make_kept(bytes, denied_bytes, denial), &take));
        assert_int_equal(take.answer, STORE_REPEATED);
        assert_int_equal(take.granted_tokens, 0);
        assert_true(take.has_earlier);
        assert_int_equal(take.earlier.limit_id, 0x01020304);
        assert_false(take.earlier.verdict.allowed);
        assert_int_equal(take.earlier.verdict.remaining_utok, -1);
        assert_int_equal(take.earlier.verdict.retry_after_us, 8);
        assert_int_equal(take.earlier.verdict.reset_after_us, 9);
        char allowed_bytes[SCRIPT_ELSEWHERE_BYTES];
        memcpy(allowed_bytes, denied_bytes, sizeof allowed_bytes);
        allowed_bytes[5] = 1;
        allowed_bytes[14] = 0;
        struct bytes done = make_reply(reply, START_US, 3000000, NULL, 3500000);
        assert_true(script_take_parse(make_kept(bytes, allowed_bytes, done), &take));
        assert_int_equal(take.granted_tokens, 3);
        assert_true(wish.verdict.allowed);
        assert_true(take.has_earlier && take.earlier.verdict.allowed);
        assert_true(script_take_parse(make_kept(bytes, NULL, done), &take));
        assert_false(take.has_earlier);
    }
}

static bool is_believed(const char *elsewhere, struct bytes reply) {
    struct store_wish wish = {.cost_tokens = 3};
    struct store_take take = {.part = &part, .wishes = &wish, .n_wishes = 1, .memo = &memo};
    uint8_t bytes[256];
    return script_take_parse(make_kept(bytes, elsewhere, reply), &take);
}

static void test_what_cannot_have_been_said_elsewhere_is_refused(void **state) {
    (void)state;
    uint8_t reply[128], bytes[256];
    char said[SCRIPT_ELSEWHERE_BYTES];
    struct bytes done = make_reply(reply, START_US, 3000000, NULL, 3500000);
    assert_true(is_believed(denied_bytes, denial));
    assert_false(is_believed(denied_bytes, done)); /* denied, and yet decided here */
    assert_false(is_believed(NULL, denial));       /* by nobody */
    memcpy(said, denied_bytes, sizeof said);
    said[5] = 1;
    assert_false(is_believed(said, done)); /* allowed, and yet to be tried again */
    said[14] = 0;
    assert_true(is_believed(said, done));
    assert_false(is_believed(said, denial));
    said[5] = 2;
    assert_false(is_believed(said, done));
    for (size_t at = 6; at < sizeof said; at += 8) { /* numbers beyond 2^53, and times before now */
        memcpy(said, denied_bytes, sizeof said);
        memset(said + at, 0x7f, 8);
        assert_false(is_believed(said, denial));
        memset(said + at, 0x80, 8);
        assert_false(is_believed(said, denial));
    }
    struct store_wish wish = {.cost_tokens = 3};
    struct store_take take = {.part = &part, .wishes = &wish, .n_wishes = 1, .memo = &memo};
    struct bytes kept = make_kept(bytes, denied_bytes, denial);
    for (size_t n = 0; n < kept.len; n++) {
        assert_false(script_take_parse((struct bytes){bytes, n}, &take));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_argument_is_packed_as_documented),
        cmocka_unit_test(test_what_was_said_elsewhere_is_packed_behind_the_memo),
        cmocka_unit_test(test_figures_beyond_the_bounds_are_packed_as_those),
        cmocka_unit_test(test_the_largest_argument_fits),
        cmocka_unit_test(test_what_the_store_does_not_allow_is_not_packed),
        cmocka_unit_test(test_reply_tells_every_verdict),
        cmocka_unit_test(test_reply_that_contradicts_the_rules_is_refused),
        cmocka_unit_test(test_cut_replies_are_refused),
        cmocka_unit_test(test_a_repeated_reply_brings_the_first_answer),
        cmocka_unit_test(test_a_repeated_part_may_be_more_than_the_wish_of_now),
        cmocka_unit_test(test_a_denial_elsewhere_is_fresh_only_if_it_was_told),
        cmocka_unit_test(test_what_was_said_elsewhere_is_told_again),
        cmocka_unit_test(test_what_cannot_have_been_said_elsewhere_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
