/* test_fallback.c — what several frontends that cannot ask the store admit together, and what they tell it later. */
#include "tests/support/test_prelude.h"

#include "server/limit/fallback.h"

#define START_US INT64_C(1000000000)
#define SECOND_US INT64_C(1000000)

enum { FLEET = 3, N_QUOTAS = 8 };

/* One of the last N_QUOTAS that were made. */
static struct quota_part quota_of(int64_t count, int64_t period_s, int64_t burst_tokens) {
    static struct bucket_limit limits[N_QUOTAS];
    static size_t n_limits;
    struct bucket_limit *limit = &limits[n_limits++ % N_QUOTAS];
    *limit = (struct bucket_limit){.id = 7, .burst_utok = burst_tokens * BUCKET_UTOK_PER_TOKEN};
    assert_true(bucket_set_rate(limit, count, period_s, NULL));
    return (struct quota_part){.n_limits = 1, .limits = limit};
}

static struct hash128 hash_of(uint64_t n) {
    return hash_bytes_wide(&n, sizeof n, 42);
}

static struct fallback *make(uint32_t fleet_size) {
    struct fallback *fallback = fallback_create(FALLBACK_MIN_KEYS, 2);
    assert_non_null(fallback);
    fallback_set_fleet_size(fallback, fleet_size);
    return fallback;
}

static struct bucket_verdict check(struct fallback *fallback, uint64_t key, const struct quota_part *quota,
                                   int64_t cost_tokens, int64_t now_us) {
    struct bucket_verdict verdict;
    fallback_check(fallback, hash_of(key), quota, cost_tokens, now_us, false, &verdict);
    return verdict;
}

static int take_all(struct fallback *fallback, uint64_t key, const struct quota_part *quota, int64_t now_us) {
    int n = 0;
    while (check(fallback, key, quota, 1, now_us).allowed) {
        n++;
    }
    return n;
}

static void note(struct fallback *fallback, uint64_t key, const struct quota_part *quota, int64_t level_tokens,
                 int64_t now_us) {
    struct bucket_record record = {
        .at_us = now_us, .n_levels = 1, .levels = {{7, level_tokens * BUCKET_UTOK_PER_TOKEN}}};
    fallback_note(fallback, hash_of(key), quota, &record, SECOND_US, now_us);
}

static void test_fleet_admits_burst_and_rate_together(void **state) {
    (void)state;
    enum { RATE = 90, BURST = 30, STEPS = 2000 };
    struct quota_part quota = quota_of(RATE, 1, BURST);
    struct fallback *fleet[FLEET];
    int n_admitted = 0;
    for (int i = 0; i < FLEET; i++) {
        fleet[i] = make(FLEET);
    }
    for (int step = 0; step <= STEPS; step++) {
        int64_t now_us = START_US + step * 5000;
        for (int i = 0; i < FLEET; i++) {
            n_admitted += take_all(fleet[i], 1, &quota, now_us);
        }
        assert_true(n_admitted <= BURST + RATE * step * 5 / 1000);
    }
    assert_int_equal(n_admitted, BURST + RATE * STEPS * 5 / 1000);
    for (int i = 0; i < FLEET; i++) {
        fallback_destroy(&fleet[i]);
        assert_null(fleet[i]);
    }
}

static void test_starts_from_the_level_last_seen(void **state) {
    (void)state;
    struct quota_part quota = quota_of(1, 3600, 30);
    struct fallback *fallback = make(FLEET);
    note(fallback, 1, &quota, 12, START_US);
    assert_int_equal(take_all(fallback, 1, &quota, START_US), 4);
    note(fallback, 2, &quota, -30, START_US);
    assert_int_equal(take_all(fallback, 2, &quota, START_US), 0);
    assert_int_equal(take_all(fallback, 3, &quota, START_US), 10); /* never seen */
    fallback_destroy(&fallback);
}

static void test_figures_are_this_frontends_share(void **state) {
    (void)state;
    struct quota_part quota = quota_of(3, 1, 30);
    struct fallback *fallback = make(FLEET);
    struct bucket_verdict verdict = check(fallback, 1, &quota, 1, START_US);
    assert_true(verdict.allowed);
    assert_int_equal(verdict.remaining_utok, 9 * BUCKET_UTOK_PER_TOKEN);
    assert_int_equal(take_all(fallback, 1, &quota, START_US), 9);
    verdict = check(fallback, 1, &quota, 1, START_US);
    assert_int_equal(verdict.retry_after_us, SECOND_US); /* a share of 1/s */
    assert_true(check(fallback, 1, &quota, 1, START_US + SECOND_US).allowed);
    fallback_destroy(&fallback);
}

static void test_share_below_the_cost_is_saved_up(void **state) {
    (void)state;
    struct quota_part quota = quota_of(1, 1, 1); /* each of 3 has a third of a token */
    struct fallback *fallback = make(FLEET);
    struct bucket_verdict verdict = check(fallback, 1, &quota, 1, START_US);
    assert_false(verdict.allowed);
    assert_int_equal(verdict.retry_after_us, 2 * SECOND_US); /* 1 + 2 of the 3 that the fleet would take */
    assert_false(check(fallback, 1, &quota, 1, START_US + 2 * SECOND_US - 1).allowed);
    assert_true(check(fallback, 1, &quota, 1, START_US + 2 * SECOND_US).allowed);
    assert_false(check(fallback, 1, &quota, 1, START_US + 5 * SECOND_US - 1).allowed);
    assert_true(check(fallback, 1, &quota, 1, START_US + 5 * SECOND_US).allowed);
    note(fallback, 2, &quota, 0, START_US);
    assert_int_equal(check(fallback, 2, &quota, 1, START_US).retry_after_us, 3 * SECOND_US);
    assert_int_equal(check(fallback, 1, &quota, 2, START_US).retry_after_us, BUCKET_MAX_EXACT);
    fallback_destroy(&fallback);
}

static void test_denial_and_peek_take_nothing(void **state) {
    (void)state;
    struct quota_part quota = quota_of(1, 3600, 4);
    struct fallback *fallback = make(1);
    struct fallback_debt debt;
    struct bucket_verdict verdict;
    fallback_check(fallback, hash_of(1), &quota, 4, START_US, true, &verdict);
    assert_true(verdict.allowed);
    assert_false(check(fallback, 1, &quota, 5, START_US).allowed);
    assert_false(fallback_take_debt(fallback, hash_of(1), &quota, START_US, &debt));
    assert_int_equal(take_all(fallback, 1, &quota, START_US), 4);
    fallback_destroy(&fallback);
}

static void test_forgotten_bucket_is_full_and_owes_nothing(void **state) {
    (void)state;
    struct quota_part quota = quota_of(1, 1, 4);
    struct fallback *fallback = make(1);
    struct fallback_debt debt;
    assert_int_equal(take_all(fallback, 1, &quota, START_US), 4);
    assert_int_equal(take_all(fallback, 2, &quota, START_US), 4);
    fallback_forget(fallback, hash_of(1), START_US);
    fallback_forget(fallback, hash_of(3), START_US);
    assert_false(fallback_take_debt(fallback, hash_of(1), &quota, START_US, &debt));
    assert_int_equal(take_all(fallback, 1, &quota, START_US), 4);
    assert_int_equal(take_all(fallback, 2, &quota, START_US), 0);
    note(fallback, 2, &quota, 4, START_US);
    assert_true(fallback_take_debt(fallback, hash_of(2), &quota, START_US, &debt));
    fallback_destroy(&fallback);
}

static void test_debt_is_what_was_granted_but_no_more_than_lacks(void **state) {
    (void)state;
    struct quota_part quota = quota_of(30, 1, 30);
    struct fallback *fallback = make(FLEET);
    struct fallback_debt debt;
    assert_false(fallback_take_debt(fallback, hash_of(1), &quota, START_US, &debt));
    assert_int_equal(take_all(fallback, 1, &quota, START_US), 10);
    note(fallback, 1, &quota, 30, START_US);
    assert_true(fallback_take_debt(fallback, hash_of(1), &quota, START_US, &debt));
    assert_int_equal(debt.spent_utok, 10 * BUCKET_UTOK_PER_TOKEN);
    assert_int_equal(debt.charges_utok[0], 10 * BUCKET_UTOK_PER_TOKEN);
    assert_false(fallback_take_debt(fallback, hash_of(1), &quota, START_US, &debt)); /* taken once */
    fallback_return_debt(fallback, hash_of(1), debt.spent_utok, START_US);
    int64_t later_us = START_US + SECOND_US / 2;
    assert_int_equal(take_all(fallback, 1, &quota, later_us), 5);
    note(fallback, 1, &quota, 30, later_us);
    assert_true(fallback_take_debt(fallback, hash_of(1), &quota, later_us, &debt));
    assert_int_equal(debt.spent_utok, 10 * BUCKET_UTOK_PER_TOKEN);
    assert_int_equal(debt.charges_utok[0], 10 * BUCKET_UTOK_PER_TOKEN);
    assert_int_equal(take_all(fallback, 1, &quota, later_us + SECOND_US), 10);
    note(fallback, 1, &quota, 0, later_us + 10 * SECOND_US);
    assert_false(
        fallback_take_debt(fallback, hash_of(1), &quota, later_us + 10 * SECOND_US, &debt)); /* all came back */
    fallback_destroy(&fallback);
}

static void test_nothing_is_told_while_the_store_fails(void **state) {
    (void)state;
    struct quota_part quota = quota_of(1, 3600, 30);
    struct fallback *fallback = make(FLEET);
    struct fallback_debt debt;
    assert_int_equal(take_all(fallback, 1, &quota, START_US), 10);
    assert_false(fallback_take_debt(fallback, hash_of(1), &quota, START_US, &debt));
    note(fallback, 1, &quota, 30, START_US);
    fallback_doubt(fallback, hash_of(1), START_US);
    assert_false(fallback_take_debt(fallback, hash_of(1), &quota, START_US, &debt));
    struct bucket_record none = {0}; /* it has started anew, and was peeked at */
    fallback_note(fallback, hash_of(1), &quota, &none, 0, START_US);
    assert_true(fallback_take_debt(fallback, hash_of(1), &quota, START_US, &debt));
    assert_int_equal(debt.charges_utok[0], 10 * BUCKET_UTOK_PER_TOKEN);
    fallback_destroy(&fallback);
}

/* It fills up meanwhile, and others may spend there what came back here. */
static void test_all_is_told_that_was_granted_while_the_store_was_heard(void **state) {
    (void)state;
    struct quota_part quota = quota_of(30, 1, 30);
    struct fallback *fallback = make(FLEET);
    struct fallback_debt debt;
    assert_int_equal(take_all(fallback, 1, &quota, START_US), 10);
    note(fallback, 1, &quota, 30, START_US);
    int64_t soon_us = START_US + SECOND_US / 5;
    assert_int_equal(take_all(fallback, 1, &quota, soon_us), 2);
    assert_true(fallback_take_debt(fallback, hash_of(1), &quota, soon_us, &debt));
    assert_int_equal(debt.charges_utok[0], 12 * BUCKET_UTOK_PER_TOKEN);
    fallback_return_debt(fallback, hash_of(1), debt.spent_utok, soon_us);
    assert_true(fallback_take_debt(fallback, hash_of(1), &quota, START_US + SECOND_US / 2, &debt));
    assert_int_equal(debt.charges_utok[0], 7 * BUCKET_UTOK_PER_TOKEN); /* silent since: what still lacks */
    fallback_destroy(&fallback);
}

/* What the store would hold, had nobody lost it, is never less than what it holds once all have told it. */
static void test_store_knows_all_once_told(void **state) {
    (void)state;
    enum { RATE = 30, BURST = 30 };
    struct quota_part quota = quota_of(RATE, 1, BURST);
    for (int64_t outage_us = 0; outage_us <= 4 * SECOND_US; outage_us += 37000) {
        int64_t lost_at = 12, now_us = START_US + outage_us, charged_utok = 0, left_utok = 0;
        for (int i = 0; i < FLEET; i++) {
            struct fallback *fallback = make(FLEET);
            struct fallback_debt debt;
            note(fallback, 1, &quota, lost_at, START_US);
            for (int64_t at_us = START_US; at_us <= now_us; at_us += 1000 * (i + 1) * 250) {
                check(fallback, 1, &quota, 1, at_us);
            }
            struct bucket_verdict verdict;
            fallback_check(fallback, hash_of(1), &quota, 1, now_us, true, &verdict);
            left_utok += verdict.remaining_utok;
            note(fallback, 1, &quota, lost_at, now_us);
            charged_utok +=
                fallback_take_debt(fallback, hash_of(1), &quota, now_us, &debt) ? debt.charges_utok[0] : 0;
            fallback_destroy(&fallback);
        }
        int64_t held_utok = lost_at * BUCKET_UTOK_PER_TOKEN + outage_us * RATE;
        held_utok = held_utok < BURST * BUCKET_UTOK_PER_TOKEN ? held_utok : BURST * BUCKET_UTOK_PER_TOKEN;
        assert_true(held_utok - charged_utok <= left_utok + FLEET);
    }
}

static void test_note_leaves_off_what_the_store_was_not_told(void **state) {
    (void)state;
    struct quota_part quota = quota_of(1, 3600, 30);
    struct fallback *fallback = make(FLEET);
    assert_true(check(fallback, 1, &quota, 2, START_US).allowed);
    note(fallback, 1, &quota, 30, START_US); /* the answer to a question from before */
    assert_int_equal(take_all(fallback, 1, &quota, START_US), 8);
    fallback_destroy(&fallback);
}

static void test_note_leaves_off_nothing_that_has_come_back(void **state) {
    (void)state;
    struct quota_part quota = quota_of(30, 1, 30);
    struct fallback *fallback = make(FLEET);
    struct fallback_debt debt;
    assert_int_equal(take_all(fallback, 1, &quota, START_US), 10);
    assert_int_equal(take_all(fallback, 1, &quota, START_US + SECOND_US / 2), 5);
    int64_t later_us = START_US + SECOND_US; /* half of the share is back */
    note(fallback, 1, &quota, 30, later_us);
    assert_true(fallback_take_debt(fallback, hash_of(1), &quota, later_us, &debt));
    assert_int_equal(debt.charges_utok[0], 5 * BUCKET_UTOK_PER_TOKEN);
    assert_int_equal(take_all(fallback, 1, &quota, later_us), 5);
    fallback_destroy(&fallback);
}

static void test_crowd_shares_a_bucket_and_nobody_is_refilled(void **state) {
    (void)state;
    enum { N_KEYS = 20000 };
    struct quota_part quota = quota_of(1, 3600, 1);
    quota.index = 2;
    struct fallback *fallback = make(1);
    assert_true(check(fallback, 0, &quota, 1, START_US).allowed);
    int n_allowed = 0;
    for (uint64_t key = 1; key < N_KEYS; key++) {
        n_allowed += check(fallback, key, &quota, 1, START_US).allowed;
    }
    assert_in_range(n_allowed, 900, FALLBACK_MIN_KEYS);
    uint64_t n_overflowed = metric_get(&fallback_metrics(fallback)->overflowed);
    assert_int_equal(n_allowed, N_KEYS - n_overflowed); /* the one for all that share came instead of key 0's */
    assert_false(check(fallback, 0, &quota, 1, START_US).allowed);
    struct quota_part other = quota;
    other.index = 5;
    assert_true(check(fallback, N_KEYS + 1, &other, 1, START_US).allowed);
    fallback_destroy(&fallback);
}

static void test_records_of_more_limits_are_not_noted(void **state) {
    (void)state;
    struct quota_part quota = quota_of(1, 3600, 10);
    struct fallback *fallback = make(1);
    struct bucket_record record = {.at_us = START_US, .n_levels = 3, .levels = {{1, 0}, {2, 0}, {7, 0}}};
    fallback_note(fallback, hash_of(1), &quota, &record, SECOND_US, START_US);
    assert_int_equal(take_all(fallback, 1, &quota, START_US), 10);
    fallback_destroy(&fallback);
}

/* Room was made for two limits. */
static void test_widening_forgets_nothing(void **state) {
    (void)state;
    enum { N_KEYS = 300 };
    struct quota_part quota = quota_of(1, 3600, 10);
    struct bucket_limit limits[3] = {quota.limits[0], quota.limits[0], quota.limits[0]};
    limits[1].id = 8;
    limits[2].id = 9;
    struct quota_part more = {.n_limits = 3, .limits = limits};
    struct fallback *fallback = make(1);
    for (uint64_t key = 0; key < N_KEYS; key++) {
        assert_true(check(fallback, key, &quota, 1 + (int64_t)key % 9, START_US).allowed);
        note(fallback, key, &quota, 10, START_US); /* so that the debt may be told */
    }
    assert_true(fallback_widen(fallback, 1)); /* no less than before */
    assert_true(fallback_widen(fallback, 3));
    for (uint64_t key = 0; key < N_KEYS; key++) {
        struct fallback_debt debt;
        assert_true(fallback_take_debt(fallback, hash_of(key), &quota, START_US, &debt));
        assert_int_equal(debt.spent_utok, (1 + (int64_t)key % 9) * BUCKET_UTOK_PER_TOKEN);
        struct bucket_verdict verdict = check(fallback, key, &more, 1, START_US);
        assert_true(verdict.allowed);
        assert_int_equal(verdict.remaining_utok, (8 - (int64_t)key % 9) * BUCKET_UTOK_PER_TOKEN);
    }
    assert_int_equal(metric_get(&fallback_metrics(fallback)->overflowed), 0);
    fallback_destroy(&fallback);
}

/* ---- windows ---- */

#define MINUTE_US (60 * SECOND_US)
#define CALENDAR_US INT64_C(1799999000000000) /* START_US is a minute's beginning then */

static struct quota_part window_of(int64_t count) {
    static struct bucket_limit limit;
    limit = (struct bucket_limit){.id = 7};
    assert_true(bucket_set_window(&limit, BUCKET_FIXED_WINDOW, count, CALENDAR_MINUTE, NULL));
    return (struct quota_part){.n_limits = 1, .limits = &limit};
}

static struct fallback *make_with_calendar(uint32_t fleet_size, int64_t calendar_us) {
    struct fallback *fallback = make(fleet_size);
    fallback_set_calendar(fallback, calendar_us);
    return fallback;
}

static void note_used(struct fallback *fallback, uint64_t key, const struct quota_part *quota,
                      int64_t used_tokens, int64_t calendar_us, int64_t now_us) {
    struct bucket_record record = {
        .at_us = now_us, .calendar_us = calendar_us, .n_levels = 1, .levels = {{7, used_tokens}}};
    fallback_note(fallback, hash_of(key), quota, &record, MINUTE_US, now_us);
}

static void test_fleet_admits_a_window_together(void **state) {
    (void)state;
    struct quota_part quota = window_of(30);
    struct fallback *fleet[FLEET];
    for (int i = 0; i < FLEET; i++) {
        fleet[i] = make_with_calendar(FLEET, CALENDAR_US);
    }
    for (int minute = 0; minute < 3; minute++) {
        for (int i = 0; i < FLEET; i++) {
            int64_t start_us = START_US + minute * MINUTE_US;
            assert_int_equal(take_all(fleet[i], 1, &quota, start_us), 10);
            assert_int_equal(take_all(fleet[i], 1, &quota, start_us + MINUTE_US - 1), 0);
        }
    }
    for (int i = 0; i < FLEET; i++) {
        fallback_destroy(&fleet[i]);
    }
}

/* The store's clock is 40 s ahead of this host's, and what it told holds until its minute is over. */
static void test_calendar_is_the_stores(void **state) {
    (void)state;
    struct quota_part quota = window_of(30);
    struct fallback *fallback = make_with_calendar(1, CALENDAR_US);
    note_used(fallback, 1, &quota, 18, CALENDAR_US + 40 * SECOND_US, START_US);
    assert_int_equal(take_all(fallback, 1, &quota, START_US + 20 * SECOND_US - 1), 12);
    assert_int_equal(take_all(fallback, 1, &quota, START_US + 20 * SECOND_US), 30);
    fallback_destroy(&fallback);
}

static void test_share_of_a_window_below_the_cost_is_denied(void **state) {
    (void)state;
    struct quota_part quota = window_of(5);
    struct fallback *fallback = make_with_calendar(FLEET, CALENDAR_US);
    assert_int_equal(take_all(fallback, 1, &quota, START_US), 1);
    struct bucket_verdict verdict = check(fallback, 1, &quota, 2, START_US);
    assert_false(verdict.allowed);
    assert_int_equal(verdict.retry_after_us, SECOND_US);
    assert_int_equal(check(fallback, 1, &quota, 6, START_US).retry_after_us, BUCKET_MAX_EXACT);
    fallback_destroy(&fallback);
}

static void test_debt_of_a_window_ends_with_it(void **state) {
    (void)state;
    struct quota_part quota = window_of(30);
    struct fallback *fallback = make_with_calendar(1, CALENDAR_US);
    struct fallback_debt debt;
    note_used(fallback, 1, &quota, 20, CALENDAR_US, START_US);
    assert_int_equal(take_all(fallback, 1, &quota, START_US + SECOND_US), 10);
    note_used(fallback, 1, &quota, 20, CALENDAR_US, START_US + 2 * SECOND_US);
    assert_int_equal(take_all(fallback, 1, &quota, START_US + 2 * SECOND_US), 0);
    assert_true(fallback_take_debt(fallback, hash_of(1), &quota, START_US + 3 * SECOND_US, &debt));
    assert_int_equal(debt.charges_utok[0], 10000000);
    fallback_return_debt(fallback, hash_of(1), debt.spent_utok, START_US + 3 * SECOND_US);
    assert_false(fallback_take_debt(fallback, hash_of(1), &quota, START_US + MINUTE_US, &debt));
    fallback_destroy(&fallback);
}

static void test_fleet_size_is_shown_and_bounded(void **state) {
    (void)state;
    struct fallback *fallback = make(0);
    assert_int_equal(metric_get(&fallback_metrics(fallback)->fleet_size), 1);
    fallback_set_fleet_size(fallback, 5000);
    assert_int_equal(metric_get(&fallback_metrics(fallback)->fleet_size), FALLBACK_MAX_FLEET);
    struct quota_part quota = quota_of(BUCKET_MAX_RATE_PER_S, 1, BUCKET_MAX_TOKENS);
    assert_true(check(fallback, 1, &quota, BUCKET_MAX_TOKENS / FALLBACK_MAX_FLEET, START_US).allowed);
    struct bucket_verdict verdict = check(fallback, 1, &quota, BUCKET_MAX_TOKENS, START_US);
    assert_false(verdict.allowed);
    assert_int_equal(verdict.retry_after_us, INT64_C(100) * FALLBACK_MAX_FLEET * SECOND_US);
    fallback_destroy(&fallback);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fleet_admits_burst_and_rate_together),
        cmocka_unit_test(test_starts_from_the_level_last_seen),
        cmocka_unit_test(test_figures_are_this_frontends_share),
        cmocka_unit_test(test_share_below_the_cost_is_saved_up),
        cmocka_unit_test(test_denial_and_peek_take_nothing),
        cmocka_unit_test(test_forgotten_bucket_is_full_and_owes_nothing),
        cmocka_unit_test(test_debt_is_what_was_granted_but_no_more_than_lacks),
        cmocka_unit_test(test_nothing_is_told_while_the_store_fails),
        cmocka_unit_test(test_all_is_told_that_was_granted_while_the_store_was_heard),
        cmocka_unit_test(test_store_knows_all_once_told),
        cmocka_unit_test(test_note_leaves_off_what_the_store_was_not_told),
        cmocka_unit_test(test_note_leaves_off_nothing_that_has_come_back),
        cmocka_unit_test(test_crowd_shares_a_bucket_and_nobody_is_refilled),
        cmocka_unit_test(test_records_of_more_limits_are_not_noted),
        cmocka_unit_test(test_widening_forgets_nothing),
        cmocka_unit_test(test_fleet_admits_a_window_together),
        cmocka_unit_test(test_calendar_is_the_stores),
        cmocka_unit_test(test_share_of_a_window_below_the_cost_is_denied),
        cmocka_unit_test(test_debt_of_a_window_ends_with_it),
        cmocka_unit_test(test_fleet_size_is_shown_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
