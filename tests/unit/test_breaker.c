/* test_breaker.c — when a breaker opens, what it lets through meanwhile, and when it closes; in virtual time. */
#include "tests/support/test_prelude.h"

#include "server/store/breaker.h"

#define MS INT64_C(1000)
#define START_US INT64_C(5000000)

struct bench {
    struct breaker_options options;
    struct breaker breaker;
    int64_t now_us;
    uint64_t n_answered;
};

static void setup(struct bench *bench) {
    *bench = (struct bench){
        .options = {.is_on = true,
                    .min_samples = 20,
                    .failure_percent = 50,
                    .silence_us = 100 * MS,
                    .probe_every_us = 100 * MS},
        .now_us = START_US,
    };
    breaker_init(&bench->breaker, &bench->options, 42, bench->now_us);
}

/* Asks on behalf of a node that is idle. */
static enum breaker_pass ask(struct bench *bench) {
    return breaker_ask(&bench->breaker, (struct breaker_view){.n_answered = bench->n_answered}, bench->now_us);
}

/* Asks on behalf of one that has work. */
static enum breaker_pass ask_busy(struct bench *bench) {
    struct breaker_view view = {.has_work = true, .n_answered = bench->n_answered};
    return breaker_ask(&bench->breaker, view, bench->now_us);
}

static void end(struct bench *bench, enum breaker_pass pass, enum breaker_sign sign) {
    breaker_end(&bench->breaker, pass, sign, bench->now_us);
}

/* So many calls that are sent and end at once. */
static void run(struct bench *bench, int n, enum breaker_sign sign) {
    for (int i = 0; i < n; i++) {
        assert_int_equal(ask(bench), BREAKER_PASS);
        end(bench, BREAKER_PASS, sign);
    }
}

static void open_it(struct bench *bench) {
    run(bench, 20, BREAKER_BAD);
    assert_true(bench->breaker.is_open);
}

/* Moves on until a probe may go; fails the test unless that is 100 to 200 ms from now. */
static enum breaker_pass await_probe(struct bench *bench) {
    int64_t from_us = bench->now_us;
    while (bench->now_us - from_us <= 250 * MS) {
        enum breaker_pass pass = ask(bench);
        if (pass != BREAKER_REFUSE) {
            assert_in_range(bench->now_us - from_us, 100 * MS, 201 * MS);
            return pass;
        }
        bench->now_us += MS;
    }
    fail_msg("no probe");
    return BREAKER_REFUSE;
}

/* ---- opening ---- */

static void test_opens_at_twenty_samples(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    run(&bench, 19, BREAKER_BAD);
    assert_false(bench.breaker.is_open);
    run(&bench, 1, BREAKER_BAD);
    assert_true(bench.breaker.is_open);
    assert_int_equal(ask(&bench), BREAKER_REFUSE);
}

static void test_opens_at_half_of_them(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    run(&bench, 100, BREAKER_GOOD);
    run(&bench, 99, BREAKER_BAD);
    assert_false(bench.breaker.is_open);
    run(&bench, 1, BREAKER_BAD);
    assert_true(bench.breaker.is_open);
}

static void test_what_ends_for_its_own_reasons_is_no_sample(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    run(&bench, 19, BREAKER_BAD);
    run(&bench, 100, BREAKER_NO_SIGN);
    assert_false(bench.breaker.is_open);
}

static void test_failures_older_than_a_second_are_forgotten(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    run(&bench, 19, BREAKER_BAD);
    bench.now_us += 1000 * MS;
    run(&bench, 1, BREAKER_BAD);
    assert_false(bench.breaker.is_open);
    bench.now_us += 500 * MS;
    run(&bench, 18, BREAKER_BAD);
    assert_false(bench.breaker.is_open);
    bench.now_us += 400 * MS;
    run(&bench, 1, BREAKER_BAD);
    assert_true(bench.breaker.is_open);
}

static void test_good_ones_older_than_a_second_hide_nothing(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    run(&bench, 100000, BREAKER_GOOD);
    bench.now_us += 1000 * MS;
    run(&bench, 20, BREAKER_BAD);
    assert_true(bench.breaker.is_open);
}

static void test_an_idle_year_leaves_an_empty_window(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    run(&bench, 19, BREAKER_BAD);
    bench.now_us += INT64_C(365) * 86400 * 1000 * MS;
    run(&bench, 19, BREAKER_BAD);
    assert_false(bench.breaker.is_open);
}

/* ---- silence ---- */

static void test_opens_after_100_ms_without_a_reply(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    assert_int_equal(ask(&bench), BREAKER_PASS);
    for (int i = 0; i < 99; i++) {
        bench.now_us += MS;
        assert_int_equal(ask_busy(&bench), BREAKER_PASS);
    }
    bench.now_us += MS;
    assert_int_equal(ask_busy(&bench), BREAKER_REFUSE);
    assert_true(bench.breaker.is_open);
}

static void test_any_reply_ends_the_silence(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    for (int i = 0; i < 1000; i++) {
        bench.now_us += MS;
        bench.n_answered += i % 90 == 0;
        assert_int_equal(ask_busy(&bench), BREAKER_PASS);
    }
}

static void test_without_work_nobody_is_silent(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    for (int i = 0; i < 100; i++) {
        bench.now_us += 99 * MS;
        assert_int_equal(i % 2 == 0 ? ask(&bench) : ask_busy(&bench), BREAKER_PASS);
    }
}

static void test_a_pause_of_our_own_is_not_the_nodes(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    assert_int_equal(ask(&bench), BREAKER_PASS);
    bench.now_us += 60000 * MS;
    for (int i = 0; i < 100; i++) { /* of one turn of the loop */
        assert_int_equal(ask_busy(&bench), BREAKER_PASS);
    }
    for (int i = 0; i < 2; i++) {
        bench.now_us += 60000 * MS;
        assert_int_equal(ask_busy(&bench), BREAKER_PASS);
    }
    bench.now_us += 60000 * MS;
    assert_int_equal(ask_busy(&bench), BREAKER_REFUSE);
}

/* ---- probes ---- */

static void test_one_probe_at_a_time(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    open_it(&bench);
    assert_int_equal(await_probe(&bench), BREAKER_PROBE);
    bench.now_us += 1000 * MS;
    assert_int_equal(ask(&bench), BREAKER_REFUSE);
    end(&bench, BREAKER_PROBE, BREAKER_GOOD);
    assert_int_equal(ask(&bench), BREAKER_PROBE);
    assert_int_equal(ask(&bench), BREAKER_REFUSE);
}

static void test_closes_after_five_good_probes(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    open_it(&bench);
    for (int i = 0; i < 5; i++) {
        assert_true(bench.breaker.is_open);
        assert_int_equal(await_probe(&bench), BREAKER_PROBE);
        end(&bench, BREAKER_PROBE, BREAKER_GOOD);
    }
    assert_false(bench.breaker.is_open);
    run(&bench, 19, BREAKER_BAD); /* what was before is forgotten */
    assert_false(bench.breaker.is_open);
}

static void test_a_failed_probe_begins_anew(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    open_it(&bench);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(await_probe(&bench), BREAKER_PROBE);
        end(&bench, BREAKER_PROBE, BREAKER_GOOD);
    }
    assert_int_equal(await_probe(&bench), BREAKER_PROBE);
    end(&bench, BREAKER_PROBE, BREAKER_BAD);
    for (int i = 0; i < 5; i++) {
        assert_true(bench.breaker.is_open);
        assert_int_equal(await_probe(&bench), BREAKER_PROBE);
        end(&bench, BREAKER_PROBE, BREAKER_GOOD);
    }
    assert_false(bench.breaker.is_open);
}

static void test_a_probe_without_a_sign_makes_room_for_another(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    open_it(&bench);
    assert_int_equal(await_probe(&bench), BREAKER_PROBE);
    end(&bench, BREAKER_PROBE, BREAKER_NO_SIGN);
    assert_int_equal(await_probe(&bench), BREAKER_PROBE);
}

static void test_what_was_sent_before_opening_says_nothing(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    open_it(&bench);
    for (int i = 0; i < 100; i++) {
        end(&bench, BREAKER_PASS, BREAKER_GOOD);
    }
    assert_true(bench.breaker.is_open);
    assert_int_equal(bench.breaker.n_good_probes, 0);
    assert_int_equal(await_probe(&bench), BREAKER_PROBE);
    end(&bench, BREAKER_PASS, BREAKER_BAD);
    assert_int_equal(ask(&bench), BREAKER_REFUSE); /* the probe is still out */
}

static void test_hope_lets_the_next_probe_go_at_once(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    open_it(&bench);
    breaker_hope(&bench.breaker);
    assert_int_equal(ask(&bench), BREAKER_PROBE);
    end(&bench, BREAKER_PROBE, BREAKER_GOOD);
    assert_int_equal(await_probe(&bench), BREAKER_PROBE);
}

static void test_probes_of_two_breakers_are_not_in_step(void **state) {
    (void)state;
    struct bench one, other;
    setup(&one);
    setup(&other);
    breaker_init(&other.breaker, &other.options, 43, other.now_us);
    open_it(&one);
    open_it(&other);
    assert_true(one.breaker.probe_at_us != other.breaker.probe_at_us);
}

static void test_off_it_never_opens(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    bench.options.is_on = false;
    run(&bench, 1000, BREAKER_BAD);
    for (int i = 0; i < 1000; i++) {
        bench.now_us += MS;
        assert_int_equal(ask_busy(&bench), BREAKER_PASS);
    }
}

static void test_a_clock_that_goes_back_stands_still(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    bench.now_us -= 3000 * MS;
    run(&bench, 19, BREAKER_BAD);
    assert_int_equal(ask_busy(&bench), BREAKER_PASS);
    assert_false(bench.breaker.is_open);
    run(&bench, 1, BREAKER_BAD);
    assert_true(bench.breaker.is_open);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens_at_twenty_samples),
        cmocka_unit_test(test_opens_at_half_of_them),
        cmocka_unit_test(test_what_ends_for_its_own_reasons_is_no_sample),
        cmocka_unit_test(test_failures_older_than_a_second_are_forgotten),
        cmocka_unit_test(test_good_ones_older_than_a_second_hide_nothing),
        cmocka_unit_test(test_an_idle_year_leaves_an_empty_window),
        cmocka_unit_test(test_opens_after_100_ms_without_a_reply),
        cmocka_unit_test(test_any_reply_ends_the_silence),
        cmocka_unit_test(test_without_work_nobody_is_silent),
        cmocka_unit_test(test_a_pause_of_our_own_is_not_the_nodes),
        cmocka_unit_test(test_one_probe_at_a_time),
        cmocka_unit_test(test_closes_after_five_good_probes),
        cmocka_unit_test(test_a_failed_probe_begins_anew),
        cmocka_unit_test(test_a_probe_without_a_sign_makes_room_for_another),
        cmocka_unit_test(test_what_was_sent_before_opening_says_nothing),
        cmocka_unit_test(test_hope_lets_the_next_probe_go_at_once),
        cmocka_unit_test(test_probes_of_two_breakers_are_not_in_step),
        cmocka_unit_test(test_off_it_never_opens),
        cmocka_unit_test(test_a_clock_that_goes_back_stands_still),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
