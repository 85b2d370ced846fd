/* test_record.c — the arithmetic that judges the chaos suite must itself see what is wrong. */
#include "tests/support/test_prelude.h"

#include "tests/chaos/record.h"

enum { SECOND_US = 1000000, MAX_RECORDS = 2000 };

struct log {
    size_t n;
    struct record records[MAX_RECORDS];
};

static struct record *add(struct log *log, int64_t sent_at_us, int64_t took_us) {
    assert_true(log->n < MAX_RECORDS);
    log->records[log->n] = (struct record){.sent_at_us = sent_at_us,
                                           .answered_at_us = sent_at_us + took_us,
                                           .status = WIRE_OK,
                                           .verdict = WIRE_ALLOW,
                                           .source = WIRE_SOURCE_STORE};
    return &log->records[log->n++];
}

static struct pace plain_pace(double rate_per_s) {
    return (struct pace){.rate_per_s = rate_per_s};
}

static void assert_near(double value, double wanted) {
    assert_true(value > wanted - 1e-6 && value < wanted + 1e-6);
}

static double worst_of(const struct log *log, double rate_per_s) {
    struct pace pace = plain_pace(rate_per_s);
    return worst_burst(log->records, log->n, 0, &pace);
}

static void test_steady_admissions_at_the_rate_need_a_burst_of_one(void **state) {
    (void)state;
    struct log log = {0};
    for (int i = 0; i < 1000; i++) {
        add(&log, SECOND_US + i * 10000, 0);
    }
    assert_near(worst_of(&log, 100), 1);
}

static void test_burst_is_found_in_the_middle_of_a_quiet_run(void **state) {
    (void)state;
    struct log log = {0};
    for (int i = 0; i < 100; i++) {
        add(&log, SECOND_US + i * 100000, 0);
    }
    for (int i = 0; i < 50; i++) {
        add(&log, 20 * SECOND_US, 0);
    }
    for (int i = 0; i < 100; i++) {
        add(&log, 30 * SECOND_US + i * 100000, 0);
    }
    assert_near(worst_of(&log, 100), 50);
}

static void test_two_bursts_closer_than_the_refill_add_up(void **state) {
    (void)state;
    struct log log = {0};
    for (int i = 0; i < 10; i++) {
        add(&log, SECOND_US, 0);
    }
    for (int i = 0; i < 10; i++) {
        add(&log, SECOND_US + SECOND_US / 2, 0); /* 5 of 10 have come back */
    }
    assert_near(worst_of(&log, 10), 15);
}

static void test_window_ends_with_its_last_answer(void **state) {
    (void)state;
    struct log log = {0};
    for (int i = 0; i < 10; i++) {
        add(&log, SECOND_US, 100000); /* decided at any time until then, so one token may have come */
    }
    assert_near(worst_of(&log, 10), 9);
}

static void test_only_admitted_checks_of_the_key_count(void **state) {
    (void)state;
    struct log log = {0};
    add(&log, SECOND_US, 0);
    add(&log, SECOND_US, 0)->verdict = WIRE_DENY;
    add(&log, SECOND_US, 0)->status = WIRE_UNAVAILABLE;
    add(&log, SECOND_US, 0)->answered_at_us = 0;
    add(&log, SECOND_US, 0)->key = 1;
    assert_near(worst_of(&log, 1), 1);
    assert_int_equal(count_admitted(log.records, log.n, 0, 0, 2 * SECOND_US), 1);
    assert_int_equal(count_admitted(log.records, log.n, 0, 0, SECOND_US), 0);
}

static void test_keys_that_share_a_limit_add_up(void **state) {
    (void)state;
    struct log log = {0};
    for (int i = 0; i < 9; i++) {
        add(&log, SECOND_US, 0)->key = (uint16_t)(i % 3);
    }
    const struct pace pace = {.rate_per_s = 1};
    const bool two[] = {true, false, true};
    assert_near(worst_burst(log.records, log.n, 0, &pace), 3);
    assert_near(worst_shared_burst(log.records, log.n, two, &pace), 6);
}

static void test_while_some_are_cut_off_their_share_comes_on_top(void **state) {
    (void)state;
    struct log log = {0};
    for (int second = 1; second <= 9; second++) {
        for (int frontend = 0; frontend < 3; frontend++) {
            struct record *record = add(&log, second * SECOND_US, 0);
            bool is_local = (frontend == 0 && second >= 3) || (second >= 5 && second < 7);
            record->frontend = (uint8_t)frontend;
            record->source = is_local ? WIRE_SOURCE_LOCAL : WIRE_SOURCE_STORE;
        }
    }
    const bool keys[] = {true};
    struct cut_offs cut_offs;
    assert_true(cut_offs_find(log.records, log.n, keys, 3, &cut_offs));
    struct pace pace = {.rate_per_s = 30, .cut_offs = &cut_offs};
    assert_int_equal(cut_offs.n_local, 7 + 2 + 2);
    assert_near(pace_tokens(&pace, 0, 3 * SECOND_US), 90);
    assert_near(pace_tokens(&pace, 3 * SECOND_US, 5 * SECOND_US), 2 * (30 + 10));
    assert_near(pace_tokens(&pace, 5 * SECOND_US, 7 * SECOND_US), 2 * 30);
    assert_near(pace_tokens(&pace, 7 * SECOND_US, 9 * SECOND_US), 2 * (30 + 10));
    cut_offs_free(&cut_offs);
}

static void test_steady_pace_is_the_rate(void **state) {
    (void)state;
    struct pace pace = plain_pace(10);
    assert_near(pace_tokens(&pace, SECOND_US, 3 * SECOND_US), 20);
}

static void test_tally_counts_each_kind_of_end(void **state) {
    (void)state;
    struct log log = {0};
    for (int i = 1; i <= 1000; i++) {
        add(&log, SECOND_US + i, i);
    }
    for (size_t i = 500; i < 990; i++) {
        log.records[i].answered_at_us += 100000;
        log.records[i].excused_us = 100000;
    }
    log.records[0].verdict = WIRE_DENY;
    log.records[1].status = WIRE_DEADLINE_EXCEEDED;
    log.records[2].source = WIRE_SOURCE_LOCAL;
    add(&log, SECOND_US + 2000, 0)->answered_at_us = 0;
    struct tally tally;
    assert_true(tally_part(log.records, log.n, (struct part){0, 10 * SECOND_US, NULL}, &tally));
    assert_int_equal(tally.n_checks, 1001);
    assert_int_equal(tally.n_unanswered, 1);
    assert_int_equal(tally.n_undecided, 1);
    assert_int_equal(tally.n_denied, 1);
    assert_int_equal(tally.n_allowed, 998);
    assert_int_equal(tally.n_local, 1);
    assert_int_equal(tally.p50_us, 500);
    assert_int_equal(tally.p99_us, 990);
    assert_int_equal(tally.p999_us, 999);
    assert_int_equal(tally.max_us, 1000);
}

static void test_tally_looks_at_its_part_alone(void **state) {
    (void)state;
    struct log log = {0};
    add(&log, 1 * SECOND_US, 1);
    add(&log, 2 * SECOND_US, 2);
    add(&log, 2 * SECOND_US, 4)->key = 1;
    add(&log, 3 * SECOND_US, 3);
    const bool keys[] = {true, false};
    struct tally tally;
    assert_true(tally_part(log.records, log.n, (struct part){2 * SECOND_US, 3 * SECOND_US, keys}, &tally));
    assert_int_equal(tally.n_checks, 1);
    assert_int_equal(tally.max_us, 2);
    assert_true(tally_part(log.records, log.n, (struct part){5 * SECOND_US, 6 * SECOND_US, NULL}, &tally));
    assert_int_equal(tally.n_checks, 0);
    assert_int_equal(tally.p999_us, 0);
}

static void test_last_unhealthy_check_tells_when_all_was_well_again(void **state) {
    (void)state;
    struct log log = {0};
    add(&log, 1 * SECOND_US, 1)->source = WIRE_SOURCE_LOCAL;
    add(&log, 2 * SECOND_US, 1)->is_degraded = true;
    add(&log, 3 * SECOND_US, 1);
    assert_int_equal(last_unhealthy_us(log.records, log.n, 0), 2 * SECOND_US);
    assert_int_equal(last_unhealthy_us(log.records, log.n, 3 * SECOND_US), 0);
    add(&log, 4 * SECOND_US, 1)->status = WIRE_UNAVAILABLE;
    add(&log, 5 * SECOND_US, 1);
    assert_int_equal(last_unhealthy_us(log.records, log.n, 3 * SECOND_US), 4 * SECOND_US);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steady_admissions_at_the_rate_need_a_burst_of_one),
        cmocka_unit_test(test_burst_is_found_in_the_middle_of_a_quiet_run),
        cmocka_unit_test(test_two_bursts_closer_than_the_refill_add_up),
        cmocka_unit_test(test_window_ends_with_its_last_answer),
        cmocka_unit_test(test_only_admitted_checks_of_the_key_count),
        cmocka_unit_test(test_keys_that_share_a_limit_add_up),
        cmocka_unit_test(test_while_some_are_cut_off_their_share_comes_on_top),
        cmocka_unit_test(test_steady_pace_is_the_rate),
        cmocka_unit_test(test_tally_counts_each_kind_of_end),
        cmocka_unit_test(test_tally_looks_at_its_part_alone),
        cmocka_unit_test(test_last_unhealthy_check_tells_when_all_was_well_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
