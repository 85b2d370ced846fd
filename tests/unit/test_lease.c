/* test_lease.c — what a record grants, and what a purse hands out when. */
#include "tests/support/test_prelude.h"

#include "server/core/lease.h"

#define START_US INT64_C(1800000000000000) /* an epoch begins */
#define TOKEN BUCKET_UTOK_PER_TOKEN

/* 1000/s, burst 200: L is 50 ms, 50 tokens. */
static const struct bucket_limit limit = {.id = 7, .count = 1000, .period_s = 1, .burst_utok = 200 * TOKEN};

struct fixture {
    struct bucket_record record;
    struct lease_account account;
};

static int64_t give(struct fixture *f, int64_t gain_tokens, bool is_refund, int64_t now_us) {
    struct lease_gift gift = {.gain_tokens = gain_tokens, .is_refund = is_refund};
    (void)lease_give_tokens(&f->record, &f->account, &limit, 1, &gift, now_us);
    return gift.booked_utok;
}

static struct lease_grant ask(struct fixture *f, struct lease_wish wish, int64_t now_us) {
    struct lease_grant grant;
    wish.lease_us = lease_time_us(&limit, 1);
    (void)lease_grant_tokens(&f->record, &f->account, &limit, 1, &wish, NULL, now_us, &grant);
    return grant;
}

static void test_lease_time_is_a_quarter_of_the_burst(void **state) {
    (void)state;
    struct bucket_limit limits[] = {limit, limit};
    assert_int_equal(lease_time_us(limits, 1), 50000);
    limits[0].burst_utok = 20 * TOKEN;
    assert_int_equal(lease_time_us(limits, 1), 5000);
    assert_int_equal(lease_time_us(limits, 2), 5000);
    limits[0].burst_utok = 8 * TOKEN;
    assert_int_equal(lease_time_us(limits, 1), 2000);
    limits[0].burst_utok = 8 * TOKEN - 4;
    assert_int_equal(lease_time_us(limits, 1), 0);
    limits[0].burst_utok = 200 * TOKEN;
    limits[1].algorithm = BUCKET_LEAKY;
    assert_int_equal(lease_time_us(limits, 2), 0);
}

static void test_grants_what_is_there_and_accounts_for_it(void **state) {
    (void)state;
    struct fixture f = {0};
    struct lease_grant grant = ask(&f, (struct lease_wish){.need_tokens = 3, .extra_tokens = 27}, START_US);
    assert_int_equal(grant.n_there, 30);
    assert_int_equal(grant.n_to_come, 0);
    assert_int_equal(grant.delay_us, 0);
    assert_int_equal(grant.n_others, 0);
    assert_int_equal(grant.epoch, START_US / LEASE_EPOCH_US);
    assert_int_equal(f.record.levels[0].utok, 170 * TOKEN);
    assert_int_equal(f.account.out_tokens, 30);
    grant = ask(&f, (struct lease_wish){.need_tokens = 500}, START_US);
    assert_int_equal(grant.n_there, 170);
    assert_int_equal(grant.n_others, 30);
}

static void test_level_does_not_refill_over_what_is_out(void **state) {
    (void)state;
    struct fixture f = {0};
    (void)ask(&f, (struct lease_wish){.need_tokens = 150}, START_US);
    lease_refresh(&f.record, &f.account, &limit, 1, START_US + 240000);
    assert_int_equal(f.record.levels[0].utok, 50 * TOKEN);
    assert_int_equal(f.account.out_tokens, 150);
    lease_refresh(&f.record, &f.account, &limit, 1, START_US + 2 * LEASE_EPOCH_US - 1);
    assert_int_equal(f.record.levels[0].utok, 50 * TOKEN);
    assert_int_equal(f.account.out_before_tokens, 150);
}

/* Its room refills from the instant on at which it is forgotten, though nobody looked then. */
static void test_what_nobody_tells_is_forgotten_with_its_epoch(void **state) {
    (void)state;
    struct fixture f = {0};
    (void)ask(&f, (struct lease_wish){.need_tokens = 150}, START_US + LEASE_EPOCH_US - 1);
    lease_refresh(&f.record, &f.account, &limit, 1, START_US + 2 * LEASE_EPOCH_US + 30000);
    assert_int_equal(f.record.levels[0].utok, 80 * TOKEN);
    assert_int_equal(f.account.out_tokens + f.account.out_before_tokens, 0);
}

static void test_tokens_come_back_once_and_only_while_accounted_for(void **state) {
    (void)state;
    struct fixture f = {0};
    struct lease_grant grant = ask(&f, (struct lease_wish){.need_tokens = 100}, START_US);
    struct lease_wish back = {.only_returns = true, .told = {grant.epoch, 100, 40}};
    (void)ask(&f, back, START_US);
    assert_int_equal(f.record.levels[0].utok, 140 * TOKEN);
    assert_int_equal(f.account.out_tokens, 0);
    (void)ask(&f, back, START_US);
    assert_int_equal(f.record.levels[0].utok, 140 * TOKEN);
    grant = ask(&f, (struct lease_wish){.need_tokens = 100}, START_US);
    back.told.epoch = grant.epoch;
    (void)ask(&f, back, START_US + 2 * LEASE_EPOCH_US);
    assert_int_equal(f.record.levels[0].utok, 100 * TOKEN); /* 200 less what was out */
}

static void test_refund_of_what_a_lease_spent_finds_room_before_it_is_told(void **state) {
    (void)state;
    struct fixture f = {0};
    struct lease_grant grant = ask(&f, (struct lease_wish){.need_tokens = 150}, START_US);
    assert_int_equal(give(&f, 40, true, START_US), 40 * TOKEN);
    assert_int_equal(f.record.levels[0].utok, 90 * TOKEN);
    assert_int_equal(f.account.out_tokens, 150);
    struct lease_wish told = {.only_returns = true, .told = {grant.epoch, 150, 110}};
    assert_int_equal(ask(&f, told, START_US).n_others, 0);
    assert_int_equal(f.record.levels[0].utok, 200 * TOKEN);
    assert_int_equal(f.account.given_tokens, 0);
}

/* In whichever order they are told, all that was not spent comes back. */
static void test_refund_is_not_taken_for_that_of_another_lease(void **state) {
    (void)state;
    struct fixture f = {0};
    struct lease_grant spent = ask(&f, (struct lease_wish){.need_tokens = 60}, START_US);
    struct lease_grant kept = ask(&f, (struct lease_wish){.need_tokens = 60}, START_US);
    (void)give(&f, 60, true, START_US);
    assert_int_equal(f.record.levels[0].utok, 140 * TOKEN);
    (void)ask(&f, (struct lease_wish){.only_returns = true, .told = {spent.epoch, 60, 0}}, START_US);
    (void)ask(&f, (struct lease_wish){.only_returns = true, .told = {kept.epoch, 60, 60}}, START_US);
    assert_int_equal(f.record.levels[0].utok, 200 * TOKEN);
}

static void test_refund_leaves_no_room_once_the_next_epoch_ends(void **state) {
    (void)state;
    struct fixture f = {0};
    (void)ask(&f, (struct lease_wish){.need_tokens = 150}, START_US);
    assert_int_equal(give(&f, 500, true, START_US),
                     150 * TOKEN); /* of the 50 that are there nothing was spent */
    assert_int_equal(f.account.given_tokens, 150);
    (void)ask(&f, (struct lease_wish){.need_tokens = 200}, START_US + LEASE_EPOCH_US);
    assert_int_equal(f.account.given_before_tokens, 150);
    lease_refresh(&f.record, &f.account, &limit, 1, START_US + 2 * LEASE_EPOCH_US + 100000);
    assert_int_equal(f.account.given_before_tokens, 0);
    assert_int_equal(f.record.levels[0].utok, 0);
    lease_refresh(&f.record, &f.account, &limit, 1, START_US + 3 * LEASE_EPOCH_US + 100000);
    assert_int_equal(f.record.levels[0].utok, 100 * TOKEN);
}

static void test_what_was_taken_for_nothing_finds_only_the_room_it_left(void **state) {
    (void)state;
    struct fixture f = {0};
    (void)ask(&f, (struct lease_wish){.need_tokens = 150}, START_US);
    assert_int_equal(give(&f, -20, false, START_US), -20 * TOKEN);
    assert_int_equal(give(&f, 20, false, START_US + 5000), 15 * TOKEN); /* the rest has refilled */
    assert_int_equal(f.record.levels[0].utok, 50 * TOKEN);
    assert_int_equal(f.account.given_tokens, 0);
}

static void test_nothing_is_given_to_what_is_full_and_no_more_taken_than_a_burst(void **state) {
    (void)state;
    struct fixture f = {0};
    assert_int_equal(give(&f, 3, true, START_US), 0);
    assert_int_equal(give(&f, -500, false, START_US), -400 * TOKEN);
    assert_int_equal(f.record.levels[0].utok, -200 * TOKEN);
}

static void test_tokens_to_come_go_by_the_share_of_the_demand(void **state) {
    (void)state;
    struct fixture f = {0};
    (void)ask(&f, (struct lease_wish){.need_tokens = 100, .seen_tokens = 100}, START_US);
    struct lease_wish all = {.only_returns = true, .told = {START_US / LEASE_EPOCH_US, 100, 0}};
    (void)ask(&f, all, START_US);
    (void)ask(&f, (struct lease_wish){.need_tokens = 100, .seen_tokens = 2400}, START_US);
    struct lease_wish wish = {.need_tokens = 1, .extra_tokens = 400, .pace_per_s = 2500};
    struct lease_grant grant = ask(&f, wish, START_US);
    assert_int_equal(grant.n_there, 0);
    assert_int_equal(grant.n_to_come, 12); /* of 50, a quarter */
    assert_int_equal(grant.delay_us, 1000);
    assert_int_equal(f.record.levels[0].utok, -12 * TOKEN);
    wish.pace_per_s = 10000;
    grant = ask(&f, wish, START_US);
    assert_int_equal(grant.n_to_come, 38); /* to -50 */
    assert_int_equal(grant.delay_us, 13000);
    grant = ask(&f, wish, START_US);
    assert_int_equal(grant.n_to_come, 0);
    assert_int_equal(grant.delay_us, 51000);
    assert_int_equal(grant.n_others, 150);
}

/* Whoever holds them may still spend them all at once, when what is to come has come. */
static void test_nothing_is_to_come_while_all_is_out(void **state) {
    (void)state;
    struct fixture f = {0};
    (void)ask(&f, (struct lease_wish){.need_tokens = 195}, START_US);
    struct lease_wish wish = {.need_tokens = 30, .pace_per_s = 5000};
    struct lease_grant grant = ask(&f, wish, START_US);
    assert_int_equal(grant.n_there, 5);
    assert_int_equal(grant.n_to_come, 0);
    assert_int_equal(f.account.out_tokens, 200);
}

static void test_nothing_extra_is_promised_while_demand_is_below_the_rate(void **state) {
    (void)state;
    struct fixture f = {0};
    (void)ask(&f, (struct lease_wish){.need_tokens = 190}, START_US);
    struct lease_wish told = {.only_returns = true, .told = {START_US / LEASE_EPOCH_US, 190, 0}};
    (void)ask(&f, told, START_US);
    struct lease_wish wish = {.need_tokens = 1, .extra_tokens = 40, .seen_tokens = 250, .pace_per_s = 1000};
    struct lease_grant grant = ask(&f, wish, START_US);
    assert_int_equal(grant.n_there, 10);
    assert_int_equal(grant.n_to_come, 0);
    wish.seen_tokens = 1;
    grant = ask(&f, wish, START_US);
    assert_int_equal(grant.n_there, 0);
    assert_int_equal(grant.n_to_come, 41);
}

static void test_nothing_is_to_come_of_a_rate_too_slow(void **state) {
    (void)state;
    struct bucket_limit slow = {.id = 7, .count = 1, .period_s = 1, .burst_utok = TOKEN};
    struct fixture f = {0};
    struct lease_grant grant;
    struct lease_wish wish = {.need_tokens = 2, .pace_per_s = 100, .lease_us = lease_time_us(&slow, 1)};
    assert_true(lease_grant_tokens(&f.record, &f.account, &slow, 1, &wish, NULL, START_US, &grant));
    assert_int_equal(grant.n_there, 1);
    assert_int_equal(grant.n_to_come, 0);
    assert_int_equal(grant.delay_us, 1000000);
    assert_false(lease_grant_tokens(&f.record, &f.account, &slow, 1, &wish, NULL, START_US + 500000, &grant));
    assert_int_equal(grant.n_there, 0);
}

static void test_record_dated_anew_keeps_what_is_out(void **state) {
    (void)state;
    struct fixture f = {0};
    (void)ask(&f, (struct lease_wish){.need_tokens = 150}, START_US);
    assert_true(lease_refresh(&f.record, &f.account, &limit, 1, START_US - 3600 * INT64_C(1000000)));
    assert_int_equal(f.account.out_tokens, 150);
    assert_int_equal(f.record.levels[0].utok, 50 * TOKEN);
}

/* --- the purse --- */

static struct lease_purse fill(int64_t n_there, int64_t n_to_come, int64_t delay_us, int64_t reply_us) {
    struct lease_purse purse;
    struct lease_grant grant = {.epoch = 5, .n_there = n_there, .n_to_come = n_to_come, .delay_us = delay_us};
    lease_purse_fill(&purse, &grant, &limit, 1, 50000, START_US, START_US + reply_us);
    return purse;
}

static void test_tokens_there_are_usable_for_a_lease_time(void **state) {
    (void)state;
    struct lease_purse purse = fill(3, 0, 0, 1000);
    int64_t when_us;
    assert_int_equal(lease_purse_take(&purse, 2, START_US + 1000, &when_us), LEASE_TAKEN);
    assert_int_equal(lease_purse_take(&purse, 2, START_US + 1000, &when_us), LEASE_EMPTY);
    assert_int_equal(lease_purse_left(&purse, START_US + 50000), 1);
    assert_int_equal(lease_purse_take(&purse, 1, START_US + 50001, &when_us), LEASE_EMPTY);
    assert_true(lease_purse_is_over(&purse, START_US + 50001));
    struct lease_told told = lease_purse_tell(&purse, START_US + 60000);
    assert_int_equal(told.epoch, 5);
    assert_int_equal(told.n_tokens, 3);
    assert_int_equal(told.n_unused, 1);
    assert_int_equal(lease_purse_tell(&purse, START_US + 60000).n_tokens, 0);
}

static void test_tokens_to_come_are_usable_one_after_the_other(void **state) {
    (void)state;
    struct lease_purse purse = fill(0, 3, 10000, 1000);
    int64_t when_us = 0, first_us = START_US + 11000;
    assert_int_equal(lease_purse_take(&purse, 1, first_us - 1, &when_us), LEASE_NOT_YET);
    assert_int_equal(when_us, first_us);
    assert_int_equal(lease_purse_take(&purse, 1, first_us, &when_us), LEASE_TAKEN);
    assert_int_equal(lease_purse_take(&purse, 1, first_us + 999, &when_us), LEASE_NOT_YET);
    assert_int_equal(when_us, first_us + 1000);
    assert_int_equal(lease_purse_take(&purse, 2, first_us + 1000, &when_us), LEASE_NOT_YET);
    assert_int_equal(when_us, first_us + 2000);
    assert_int_equal(lease_purse_take(&purse, 3, first_us + 1000, &when_us), LEASE_EMPTY);
    assert_int_equal(lease_purse_take(&purse, 2, first_us + 52000, &when_us), LEASE_TAKEN);
    assert_true(lease_purse_is_over(&purse, first_us + 52000));
}

static void test_late_reply_serves_who_waits_and_nobody_after(void **state) {
    (void)state;
    struct lease_purse purse = fill(2, 0, 0, 80000);
    int64_t when_us;
    assert_int_equal(lease_purse_take(&purse, 1, START_US + 80000, &when_us), LEASE_TAKEN);
    assert_int_equal(lease_purse_take(&purse, 1, START_US + 80001, &when_us), LEASE_EMPTY);
    purse = fill(2, 3, 0, LEASE_LIFE_US + 1);
    assert_int_equal(lease_purse_take(&purse, 1, START_US + LEASE_LIFE_US + 1, &when_us), LEASE_EMPTY);
}

static void test_returned_tokens_find_no_more_room_than_was_used(void **state) {
    (void)state;
    struct lease_purse purse = fill(3, 0, 0, 0);
    int64_t when_us;
    assert_int_equal(lease_purse_take(&purse, 2, START_US, &when_us), LEASE_TAKEN);
    assert_int_equal(lease_purse_give_back(&purse, 5), 2);
    assert_int_equal(lease_purse_left(&purse, START_US), 3);
}

static void test_purse_too_old_is_not_told(void **state) {
    (void)state;
    struct lease_purse purse = fill(3, 0, 0, 0);
    assert_false(lease_purse_has_to_be_told(&purse, START_US + 2 * LEASE_EPOCH_US + 1));
    assert_int_equal(lease_purse_tell(&purse, START_US + 2 * LEASE_EPOCH_US + 1).n_tokens, 0);
}

static void test_only_unused_tokens_are_worth_a_call(void **state) {
    (void)state;
    struct lease_purse purse = fill(3, 0, 0, 0);
    int64_t when_us;
    assert_true(lease_purse_has_to_be_told(&purse, START_US + 60000));
    assert_int_equal(lease_purse_take(&purse, 3, START_US, &when_us), LEASE_TAKEN);
    assert_false(lease_purse_has_to_be_told(&purse, START_US + 60000));
    assert_int_equal(lease_purse_tell(&purse, START_US + 60000).n_tokens, 3);
}

static void test_slowest_limit_sets_the_pace_of_tokens_to_come(void **state) {
    (void)state;
    struct bucket_limit limits[] = {limit, limit};
    limits[1].count = 100;
    struct lease_purse purse;
    struct lease_grant grant = {.n_to_come = 2, .delay_us = 5};
    int64_t when_us = 0;
    lease_purse_fill(&purse, &grant, limits, 2, 50000, START_US, START_US);
    assert_int_equal(lease_purse_take(&purse, 2, START_US + 5, &when_us), LEASE_NOT_YET);
    assert_int_equal(when_us, START_US + 5 + 10000);
}

/* --- the wish --- */

static void test_wish_asks_for_the_demand_of_a_lease_time(void **state) {
    (void)state;
    struct lease_pace pace = {0};
    struct lease_purse purse = fill(5, 0, 0, 0);
    purse.sent_at_us = START_US + 900000;
    for (int i = 0; i < 1000; i++) {
        lease_pace_note(&pace, 2, START_US + i * INT64_C(1000));
    }
    struct lease_wish wish = lease_next_wish(&purse, &pace, 4, 50000, START_US + 1000000);
    assert_int_equal(wish.need_tokens, 4);
    assert_int_equal(wish.pace_per_s, 2000);
    assert_int_equal(wish.extra_tokens, 100);
    assert_int_equal(wish.seen_tokens, 2000);
    assert_int_equal(wish.told.n_unused, 5);
    assert_false(wish.only_returns);
    wish = lease_last_wish(&purse, &pace, START_US + 1000000);
    assert_true(wish.only_returns);
    assert_int_equal(wish.seen_tokens, 0);
    assert_int_equal(wish.told.n_tokens, 0);
}

static void test_pace_forgets_in_a_quiet_second(void **state) {
    (void)state;
    struct lease_pace pace = {0};
    for (int i = 0; i < 1000; i++) {
        lease_pace_note(&pace, 1, START_US + i * INT64_C(100));
    }
    assert_int_equal(lease_pace_per_s(&pace, START_US + 100000), 10000);
    lease_pace_note(&pace, 1, START_US + 100000 + 10000000);
    assert_true(lease_pace_per_s(&pace, START_US + 100000 + 10000000) < 200);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lease_time_is_a_quarter_of_the_burst),
        cmocka_unit_test(test_grants_what_is_there_and_accounts_for_it),
        cmocka_unit_test(test_level_does_not_refill_over_what_is_out),
        cmocka_unit_test(test_what_nobody_tells_is_forgotten_with_its_epoch),
        cmocka_unit_test(test_tokens_come_back_once_and_only_while_accounted_for),
        cmocka_unit_test(test_refund_of_what_a_lease_spent_finds_room_before_it_is_told),
        cmocka_unit_test(test_refund_is_not_taken_for_that_of_another_lease),
        cmocka_unit_test(test_refund_leaves_no_room_once_the_next_epoch_ends),
        cmocka_unit_test(test_what_was_taken_for_nothing_finds_only_the_room_it_left),
        cmocka_unit_test(test_nothing_is_given_to_what_is_full_and_no_more_taken_than_a_burst),
        cmocka_unit_test(test_tokens_to_come_go_by_the_share_of_the_demand),
        cmocka_unit_test(test_nothing_is_to_come_while_all_is_out),
        cmocka_unit_test(test_nothing_extra_is_promised_while_demand_is_below_the_rate),
        cmocka_unit_test(test_nothing_is_to_come_of_a_rate_too_slow),
        cmocka_unit_test(test_record_dated_anew_keeps_what_is_out),
        cmocka_unit_test(test_tokens_there_are_usable_for_a_lease_time),
        cmocka_unit_test(test_tokens_to_come_are_usable_one_after_the_other),
        cmocka_unit_test(test_late_reply_serves_who_waits_and_nobody_after),
        cmocka_unit_test(test_returned_tokens_find_no_more_room_than_was_used),
        cmocka_unit_test(test_purse_too_old_is_not_told),
        cmocka_unit_test(test_only_unused_tokens_are_worth_a_call),
        cmocka_unit_test(test_slowest_limit_sets_the_pace_of_tokens_to_come),
        cmocka_unit_test(test_wish_asks_for_the_demand_of_a_lease_time),
        cmocka_unit_test(test_pace_forgets_in_a_quiet_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
