/* test_bench_stats.c — every check ends in exactly one count. */
#include "tests/support/test_prelude.h"

#include "client/cmd/bench_stats.h"

static struct bench_stats stats;
static struct wire_response response;

static int set_up(void **state) {
    (void)state;
    memset(&stats, 0, sizeof stats);
    memset(&response, 0, sizeof response);
    return 0;
}

static struct wire_bytes text_of(const char *text) {
    return (struct wire_bytes){(const uint8_t *)text, strlen(text)};
}

static struct wire_item decided(enum wire_verdict verdict, enum wire_source source, bool is_degraded) {
    return (struct wire_item){.decision = {.verdict = verdict, .source = source, .degraded = is_degraded}};
}

static void test_decisions_count_by_verdict_and_source(void **state) {
    (void)state;
    response.n_items = 4;
    response.items[0] = decided(WIRE_ALLOW, WIRE_SOURCE_STORE, false);
    response.items[1] = decided(WIRE_DENY, WIRE_SOURCE_STORE, false);
    response.items[2] = decided(WIRE_ALLOW, WIRE_SOURCE_LOCAL, true);
    response.items[3] = decided(WIRE_ALLOW, WIRE_SOURCE_STORE, false);
    response.items[3].decision.would_deny = true;
    bench_stats_add_answer(&stats, &response, 4, 150);
    assert_int_equal(stats.n_allowed[WIRE_SOURCE_STORE], 2);
    assert_int_equal(stats.n_allowed[WIRE_SOURCE_LOCAL], 1);
    assert_int_equal(stats.n_denied[WIRE_SOURCE_STORE], 1);
    assert_int_equal(stats.n_degraded, 1);
    assert_int_equal(stats.n_would_deny, 1);
    assert_int_equal(bench_stats_allowed(&stats), 3);
    assert_int_equal(bench_stats_denied(&stats), 1);
    assert_int_equal(bench_stats_decided(&stats), 4);
    assert_int_equal(bench_stats_failed(&stats), 0);
    assert_int_equal(stats.latency_us.n, 1);
    assert_int_equal(stats.latency_us.max, 150);
    assert_string_equal(stats.first_error, "");
}

static void test_an_error_of_the_frame_is_one_of_every_check(void **state) {
    (void)state;
    response.status = WIRE_RESOURCE_EXHAUSTED;
    response.message = text_of("memory is short");
    bench_stats_add_answer(&stats, &response, 32, 10);
    assert_int_equal(stats.n_errors[WIRE_RESOURCE_EXHAUSTED], 32);
    assert_int_equal(bench_stats_failed(&stats), 32);
    assert_int_equal(bench_stats_decided(&stats), 0);
    assert_int_equal(stats.latency_us.n, 0);
    assert_string_equal(stats.first_error, "RESOURCE_EXHAUSTED: memory is short");
}

static void test_an_error_of_one_item_is_one_error(void **state) {
    (void)state;
    response.n_items = 2;
    response.items[0] = decided(WIRE_ALLOW, WIRE_SOURCE_EMBEDDED, false);
    response.items[1] =
        (struct wire_item){.status = WIRE_INVALID_ARGUMENT, .message = text_of("key: too long")};
    bench_stats_add_answer(&stats, &response, 2, 10);
    assert_int_equal(bench_stats_allowed(&stats), 1);
    assert_int_equal(stats.n_errors[WIRE_INVALID_ARGUMENT], 1);
    assert_string_equal(stats.first_error, "INVALID_ARGUMENT: key: too long");
}

static void test_answers_that_make_no_sense_are_errors(void **state) {
    (void)state;
    response.n_items = 3;
    bench_stats_add_answer(&stats, &response, 2, 10);
    assert_int_equal(stats.n_errors[WIRE_INTERNAL], 2);
    response.n_items = 1;
    response.items[0] = decided(WIRE_VERDICT_UNSPECIFIED, WIRE_SOURCE_STORE, false);
    bench_stats_add_answer(&stats, &response, 1, 10);
    assert_int_equal(stats.n_errors[WIRE_UNKNOWN], 1);
    assert_int_equal(bench_stats_decided(&stats), 0);
}

static void test_the_first_error_is_kept(void **state) {
    (void)state;
    bench_stats_add_failed(&stats, WIRE_UNAVAILABLE, 0, "nothing was in flight");
    assert_string_equal(stats.first_error, "");
    bench_stats_add_failed(&stats, WIRE_UNAVAILABLE, 5, "lost");
    bench_stats_add_failed(&stats, WIRE_DEADLINE_EXCEEDED, 1, "late");
    assert_int_equal(stats.n_errors[WIRE_UNAVAILABLE], 5);
    assert_int_equal(bench_stats_failed(&stats), 6);
    assert_string_equal(stats.first_error, "UNAVAILABLE: lost");
}

static void test_the_rate_counts_decisions(void **state) {
    (void)state;
    assert_true(bench_stats_rate_per_s(&stats) == 0);
    stats.n_allowed[WIRE_SOURCE_STORE] = 300;
    stats.n_denied[WIRE_SOURCE_LEASE] = 100;
    stats.n_errors[WIRE_UNAVAILABLE] = 77;
    stats.took_us = 200000;
    assert_true(bench_stats_rate_per_s(&stats) == 2000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_decisions_count_by_verdict_and_source, set_up),
        cmocka_unit_test_setup(test_an_error_of_the_frame_is_one_of_every_check, set_up),
        cmocka_unit_test_setup(test_an_error_of_one_item_is_one_error, set_up),
        cmocka_unit_test_setup(test_answers_that_make_no_sense_are_errors, set_up),
        cmocka_unit_test_setup(test_the_first_error_is_kept, set_up),
        cmocka_unit_test_setup(test_the_rate_counts_decisions, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
