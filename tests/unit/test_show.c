/* test_show.c — durations rounded up, instants, rates, shares. */
#include "tests/support/test_prelude.h"

#include "client/cmd/show.h"

#define MIN_US UINT64_C(60000000)
#define DAY_US (1440 * MIN_US)

static void test_durations_are_short_and_rounded_up(void **state) {
    static const struct {
        uint64_t us;
        const char *text;
    } cases[] = {
        {0, "0ms"},
        {1, "1us"},
        {999, "999us"},
        {1000, "1ms"},
        {1001, "1.1ms"},
        {1200, "1.2ms"},
        {9999, "10ms"},
        {10001, "11ms"},
        {182001, "183ms"},
        {200000, "200ms"},
        {999000, "999ms"},
        {999001, "1s"},
        {1000001, "1.1s"},
        {12300000, "12.3s"},
        {59900000, "59.9s"},
        {59900001, "1m00s"},
        {5 * MIN_US + 2500000, "5m03s"},
        {60 * MIN_US - 1, "1h00m"},
        {200 * MIN_US, "3h20m"},
        {DAY_US - 1, "1d0h"},
        {2 * DAY_US + 200 * MIN_US, "2d4h"},
        {UINT64_MAX, "213503982d9h"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(show_duration(cases[i].us).text, cases[i].text);
    }
}

static void test_instants_are_utc(void **state) {
    (void)state;
    assert_string_equal(show_time(0).text, "1970-01-01T00:00:00Z");
    assert_string_equal(show_time(INT64_C(1431857103000000)).text, "2015-05-17T10:05:03Z");
}

static void test_rates_and_shares(void **state) {
    (void)state;
    assert_string_equal(show_rate(3, 2000000).text, "1.5/s");
    assert_string_equal(show_rate(30400, 200000000).text, "152/s");
    assert_string_equal(show_rate(3, 0).text, "-");
    assert_string_equal(show_share(1, 8).text, "12.5%");
    assert_string_equal(show_share(0, 0).text, "0.0%");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations_are_short_and_rounded_up),
        cmocka_unit_test(test_instants_are_utc),
        cmocka_unit_test(test_rates_and_shares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
