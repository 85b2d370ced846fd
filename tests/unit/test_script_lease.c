/* test_script_lease.c — what lease.lua takes and replies, byte by byte. */
#include "tests/support/test_prelude.h"

#include "server/store/packed.h"
#include "server/store/script_lease.h"

#define START_US INT64_C(1800000000000000)
#define TOKEN BUCKET_UTOK_PER_TOKEN

enum { REPLY_MAX_BYTES = 41 + SCRIPT_RECORD_MAX_BYTES };

static const struct bucket_limit limit = {.id = 7, .count = 1000, .period_s = 1, .burst_utok = 200 * TOKEN};

static const struct script_lease asked = {
    .limits = &limit,
    .n_limits = 1,
    .wish = {.told = {.epoch = 1799999999, .n_tokens = 5, .n_unused = 2},
             .need_tokens = 3,
             .extra_tokens = 40,
             .seen_tokens = 6,
             .pace_per_s = 700,
             .lease_us = 50000},
};

static void test_argument_is_packed_as_documented(void **state) {
    (void)state;
    uint8_t argument[SCRIPT_LEASE_ARG_MAX_BYTES];
    const int64_t charges_utok[] = {99};
    struct script_lease lease = asked;
    assert_int_equal(script_lease_pack(&lease, argument, sizeof argument), 65 + 28);
    const int64_t expected[] = {1799999999, 5, 2, 3, 40, 6, 700, 50000};
    assert_int_equal(argument[0], 0);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(packed_get_int64(argument + 1 + 8 * i), expected[i]);
    }
    assert_int_equal(packed_get(argument + 65, 4), 7);
    assert_int_equal(packed_get_int64(argument + 69), 1000);
    assert_int_equal(packed_get_int64(argument + 77), 1);
    assert_int_equal(packed_get_int64(argument + 85), 200 * TOKEN);
    lease.wish.only_returns = true;
    lease.charges_utok = charges_utok;
    assert_int_equal(script_lease_pack(&lease, argument, sizeof argument), 65 + 28 + 8);
    assert_int_equal(argument[0], 3);
    assert_int_equal(packed_get_int64(argument + 93), 99);
}

static void test_argument_that_no_script_takes_is_refused(void **state) {
    (void)state;
    uint8_t argument[SCRIPT_LEASE_ARG_MAX_BYTES];
    struct bucket_limit banned = {.id = 7, .count = 0, .period_s = 1};
    struct script_lease lease = asked;
    assert_int_equal(script_lease_pack(&lease, argument, 65 + 27), 0);
    lease.n_limits = 0;
    assert_int_equal(script_lease_pack(&lease, argument, sizeof argument), 0);
    lease.n_limits = BUCKET_MAX_LIMITS + 1;
    assert_int_equal(script_lease_pack(&lease, argument, sizeof argument), 0);
    lease.n_limits = 1;
    lease.limits = &banned;
    assert_int_equal(script_lease_pack(&lease, argument, sizeof argument), 0);
}

static void test_numbers_out_of_bounds_are_brought_into_them(void **state) {
    (void)state;
    uint8_t argument[SCRIPT_LEASE_ARG_MAX_BYTES];
    struct script_lease lease = asked;
    lease.wish.need_tokens = -1;
    lease.wish.seen_tokens = INT64_MAX;
    lease.wish.pace_per_s = INT64_MAX;
    lease.wish.told.n_unused = 6;
    assert_int_equal(script_lease_pack(&lease, argument, sizeof argument), 65 + 28);
    assert_int_equal(packed_get_int64(argument + 17), 5);
    assert_int_equal(packed_get_int64(argument + 25), 0);
    assert_int_equal(packed_get_int64(argument + 41), LEASE_MAX_SEEN_TOKENS);
    assert_int_equal(packed_get_int64(argument + 49), LEASE_MAX_PACE_PER_S);
}

/* What the script says: granted, delay, out with others; level. */
struct said {
    int64_t now_us, n_there, n_to_come, delay_us, n_others, at_us, utok;
    uint32_t id;
};

static const struct said usual = {START_US, 10, 3, 1000, 20, START_US, -3 * TOKEN, 7};

static struct bytes reply_of(const struct said *said, uint8_t out[REPLY_MAX_BYTES]) {
    const int64_t head[] = {said->now_us, said->n_there, said->n_to_come, said->delay_us, said->n_others};
    uint8_t *end = packed_put(out, 4, 1);
    for (size_t i = 0; i < sizeof head / sizeof *head; i++) {
        end = packed_put(end, (uint64_t)head[i], 8);
    }
    struct bucket_record record = {.at_us = said->at_us, .n_levels = 1, .levels = {{said->id, said->utok}}};
    return (struct bytes){out, (size_t)(end - out) + script_record_pack(&record, end)};
}

static bool parses(const struct said *said, const struct script_lease *lease) {
    uint8_t bytes[REPLY_MAX_BYTES];
    struct lease_grant grant;
    struct bucket_record record;
    return script_lease_parse(reply_of(said, bytes), lease, &grant, &record);
}

static void test_reply_tells_grant_and_record(void **state) {
    (void)state;
    uint8_t bytes[REPLY_MAX_BYTES];
    struct lease_grant grant;
    struct bucket_record record;
    assert_true(script_lease_parse(reply_of(&usual, bytes), &asked, &grant, &record));
    assert_int_equal(grant.epoch, START_US / LEASE_EPOCH_US);
    assert_int_equal(grant.n_there, 10);
    assert_int_equal(grant.n_to_come, 3);
    assert_int_equal(grant.delay_us, 1000);
    assert_int_equal(grant.n_others, 20);
    assert_int_equal(record.at_us, 0);
    assert_int_equal(record.n_levels, 1);
    assert_int_equal(record.levels[0].utok, -3 * TOKEN);
}

static void test_replies_against_the_rules_are_refused(void **state) {
    (void)state;
    const struct said bad[] = {
        {-1, 10, 3, 1000, 20, START_US, -3 * TOKEN, 7},
        {START_US, 41, 3, 1000, 20, START_US, -3 * TOKEN, 7}, /* more than was asked for */
        {START_US, -1, 3, 1000, 20, START_US, -3 * TOKEN, 7},
        {START_US, 10, -3, 1000, 20, START_US, -3 * TOKEN, 7},
        {START_US, 10, 3, 0, 20, START_US, -3 * TOKEN, 7}, /* to come, but there */
        {START_US, 10, 3, -1, 20, START_US, -3 * TOKEN, 7},
        {START_US, 10, 3, 1000, -20, START_US, -3 * TOKEN, 7},
        {START_US, 10, 3, 1000, 20, START_US - 1, -3 * TOKEN, 7},
        {START_US, 10, 3, 1000, 20, START_US + 1000001, -3 * TOKEN, 7},
        {START_US, 10, 3, 1000, 20, START_US, 168 * TOKEN, 7}, /* with what is out more than the burst */
        {START_US, 10, 3, 1000, 20, START_US, -201 * TOKEN, 7},
        {START_US, 10, 3, 1000, 20, START_US, -3 * TOKEN, 8},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(parses(&bad[i], &asked));
    }
    struct said brim = usual;
    brim.utok = 167 * TOKEN;
    assert_true(parses(&brim, &asked));
    struct script_lease returning = asked;
    returning.wish.only_returns = true;
    assert_false(parses(&usual, &returning));
}

static void test_cut_replies_are_refused(void **state) {
    (void)state;
    uint8_t bytes[REPLY_MAX_BYTES];
    struct bytes reply = reply_of(&usual, bytes);
    struct lease_grant grant;
    struct bucket_record record;
    for (size_t n = 0; n < reply.len; n++) {
        assert_false(script_lease_parse((struct bytes){bytes, n}, &asked, &grant, &record));
    }
    bytes[0] = 1;
    assert_false(script_lease_parse(reply, &asked, &grant, &record));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_argument_is_packed_as_documented),
        cmocka_unit_test(test_argument_that_no_script_takes_is_refused),
        cmocka_unit_test(test_numbers_out_of_bounds_are_brought_into_them),
        cmocka_unit_test(test_reply_tells_grant_and_record),
        cmocka_unit_test(test_replies_against_the_rules_are_refused),
        cmocka_unit_test(test_cut_replies_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
