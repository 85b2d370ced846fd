/* test_client_latency.c — the percentile of recent latencies: close from above, not too soon, not for ever. */
#include "tests/support/test_prelude.h"

#include "client/client_latency.h"

static void add(struct client_latency *latency, unsigned n, int64_t took_us) {
    for (unsigned i = 0; i < n; i++) {
        client_latency_add(latency, took_us);
    }
}

/* At most an eighth too large. */
static void assert_p95(const struct client_latency *latency, int64_t true_us) {
    assert_in_range(client_latency_p95_us(latency), true_us + 1, true_us + true_us / 8 + 1);
}

static void test_too_few_samples_tell_nothing(void **state) {
    struct client_latency latency = {0};
    (void)state;
    assert_int_equal(client_latency_p95_us(&latency), 0);
    add(&latency, CLIENT_LATENCY_MIN_SAMPLES - 1, 300);
    assert_int_equal(client_latency_p95_us(&latency), 0);
    add(&latency, 1, 300);
    assert_p95(&latency, 300);
}

static void test_every_latency_has_a_bin_that_holds_it(void **state) {
    (void)state;
    for (int64_t us = 0; us < 1 << 27; us += 1 + us / 50) {
        struct client_latency latency = {0};
        add(&latency, CLIENT_LATENCY_MIN_SAMPLES, us);
        assert_p95(&latency, us);
    }
}

static void test_latencies_beyond_the_range_are_cut(void **state) {
    struct client_latency high = {0}, low = {0};
    (void)state;
    add(&high, 200, INT64_MAX);
    assert_int_equal(client_latency_p95_us(&high), 1 << 27);
    add(&low, 200, -1);
    assert_int_equal(client_latency_p95_us(&low), 1);
}

static void test_one_in_twenty_is_above(void **state) {
    struct client_latency latency = {0};
    (void)state;
    for (unsigned i = 0; i < 2000; i++) {
        client_latency_add(&latency, i % 25 == 0 ? 90000 : 500); /* 4 % are slow */
    }
    assert_p95(&latency, 500);
    for (unsigned i = 0; i < 4000; i++) {
        client_latency_add(&latency, i % 16 == 0 ? 90000 : 500); /* 6 % are */
    }
    assert_p95(&latency, 90000);
}

static void test_the_past_fades(void **state) {
    struct client_latency latency = {0};
    (void)state;
    add(&latency, 100000, 40000);
    add(&latency, 100, 200);
    assert_p95(&latency, 40000);
    add(&latency, 5000, 200);
    assert_p95(&latency, 200);
    add(&latency, 100, 40000); /* and slowness is noticed at once */
    assert_p95(&latency, 40000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_too_few_samples_tell_nothing),
        cmocka_unit_test(test_every_latency_has_a_bin_that_holds_it),
        cmocka_unit_test(test_latencies_beyond_the_range_are_cut),
        cmocka_unit_test(test_one_in_twenty_is_above),
        cmocka_unit_test(test_the_past_fades),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
