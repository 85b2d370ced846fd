/* test_units.c — numbers are taken whole or refused with a reason, and shown as they are written. */
#include "tests/support/test_prelude.h"

#include "server/base/units.h"

#define MINUTE_US INT64_C(60000000)

static struct bytes bytes_of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static void assert_integer_refused(const char *text, const char *reason) {
    struct status status;
    int64_t value = -7;
    assert_false(units_read_integer(bytes_of(text), 1, 64, &value, &status));
    assert_string_equal(status.text, reason);
    assert_int_equal(value, -7);
}

static int64_t duration_of(const char *text) {
    struct status status;
    int64_t value_us;
    assert_true(units_read_duration(bytes_of(text), 0, INT64_MAX, &value_us, &status));
    return value_us;
}

static void test_integers_are_digits(void **state) {
    (void)state;
    struct status status;
    int64_t value;
    assert_true(units_read_integer(bytes_of("1"), 1, 64, &value, &status));
    assert_int_equal(value, 1);
    assert_true(units_read_integer(bytes_of("64"), 1, 64, &value, &status));
    assert_int_equal(value, 64);
    assert_true(units_read_integer(bytes_of("0"), 0, 64, &value, &status));
    assert_int_equal(value, 0);
    assert_true(units_read_integer(bytes_of("9223372036854775807"), 0, INT64_MAX, &value, &status));
    assert_true(value == INT64_MAX);
}

static void test_anything_but_digits_is_refused_with_the_reason(void **state) {
    (void)state;
    assert_integer_refused("", "'' is not a whole number, such as 10");
    assert_integer_refused("ten", "'ten' is not a whole number, such as 10");
    assert_integer_refused("10x", "'10x' is not a whole number, such as 10");
    assert_integer_refused("0x10", "'0x10' is not a whole number, such as 10");
    assert_integer_refused("010", "'010' is not a whole number, such as 10 (no leading zero is allowed)");
    assert_integer_refused("00", "'00' is not a whole number, such as 10 (no leading zero is allowed)");
    assert_integer_refused(" 10", "' 10' is not a whole number, such as 10 (no spaces are allowed)");
    assert_integer_refused("10 ", "'10 ' is not a whole number, such as 10 (no spaces are allowed)");
    assert_integer_refused("+10", "'+10' is not a whole number, such as 10 (no sign is allowed)");
    assert_integer_refused("-1", "'-1' is not a whole number, such as 10 (no sign is allowed)");
    assert_integer_refused(
        "1e3", "'1e3' is not a whole number, such as 10 (write all digits, and nothing but digits)");
    assert_integer_refused(
        "1.5", "'1.5' is not a whole number, such as 10 (write all digits, and nothing but digits)");
    assert_integer_refused(
        "1_000", "'1_000' is not a whole number, such as 10 (write all digits, and nothing but digits)");
}

static void test_range_is_part_of_the_reason(void **state) {
    (void)state;
    assert_integer_refused("100", "100 is above the maximum, 64");
    assert_integer_refused("0", "0 is below the minimum, 1");
    assert_integer_refused("9223372036854775808", "9223372036854775808 is above the maximum, 64");
    assert_integer_refused("99999999999999999999999999999999999999",
                           "99999999999999999999999999999999999999 is above the maximum, 64");
}

static void test_a_nul_ends_nothing(void **state) {
    (void)state;
    struct status status;
    int64_t value;
    assert_false(units_read_integer((struct bytes){(const uint8_t *)"1\0", 2}, 0, 9, &value, &status));
    assert_string_equal(status.text, "'1?' is not a whole number, such as 10");
}

static void test_durations_need_a_unit(void **state) {
    (void)state;
    struct status status;
    int64_t value;
    assert_int_equal(duration_of("500us"), 500);
    assert_int_equal(duration_of("250ms"), 250000);
    assert_int_equal(duration_of("10s"), 10000000);
    assert_int_equal(duration_of("1min"), MINUTE_US);
    assert_int_equal(duration_of("2h"), 120 * MINUTE_US);
    assert_false(units_read_duration(bytes_of("10"), 0, MINUTE_US, &value, &status));
    assert_string_equal(status.text, "'10' is not a duration, such as 250ms, 10s or 1min"
                                     " (the units are us, ms, s, min and h)");
    assert_false(units_read_duration(bytes_of("5m"), 0, MINUTE_US, &value, &status));
    assert_false(units_read_duration(bytes_of("5 s"), 0, MINUTE_US, &value, &status));
    assert_false(units_read_duration(bytes_of("5S"), 0, MINUTE_US, &value, &status));
    assert_false(units_read_duration(bytes_of("s"), 0, MINUTE_US, &value, &status));
    assert_false(units_read_duration(bytes_of("61s"), 1000, MINUTE_US, &value, &status));
    assert_string_equal(status.text, "61s is above the maximum, 1min");
    assert_false(units_read_duration(bytes_of("999us"), 1000, MINUTE_US, &value, &status));
    assert_string_equal(status.text, "999us is below the minimum, 1ms");
}

static void test_a_product_that_overflows_is_too_large(void **state) {
    (void)state;
    struct status status;
    int64_t value;
    assert_false(units_read_duration(bytes_of("9223372036854775807h"), 0, MINUTE_US, &value, &status));
    assert_string_equal(status.text, "9223372036854775807h is above the maximum, 1min");
}

static void test_sizes_are_bytes_or_binary_units(void **state) {
    (void)state;
    struct status status;
    int64_t value;
    assert_true(units_read_bytes(bytes_of("65536"), 1, 1 << 30, &value, &status));
    assert_int_equal(value, 65536);
    assert_true(units_read_bytes(bytes_of("64KiB"), 1, 1 << 30, &value, &status));
    assert_int_equal(value, 65536);
    assert_true(units_read_bytes(bytes_of("1GiB"), 1, 1 << 30, &value, &status));
    assert_int_equal(value, 1 << 30);
    assert_false(units_read_bytes(bytes_of("1MB"), 1, 1 << 30, &value, &status));
    assert_string_equal(status.text,
                        "'1MB' is not a size, such as 65536, 64KiB or 1MiB (the units are KiB, MiB and GiB)");
    assert_false(units_read_bytes(bytes_of("2GiB"), 1, 1 << 30, &value, &status));
    assert_string_equal(status.text, "2GiB is above the maximum, 1GiB");
}

static void assert_rate(const char *text, int64_t count, int64_t period_s) {
    struct status status;
    int64_t actual_count, actual_period_s;
    assert_true(units_read_rate(bytes_of(text), &actual_count, &actual_period_s, &status));
    assert_int_equal(actual_count, count);
    assert_int_equal(actual_period_s, period_s);
}

static void assert_rate_refused(const char *text, const char *reason) {
    struct status status;
    int64_t count, period_s;
    assert_false(units_read_rate(bytes_of(text), &count, &period_s, &status));
    assert_string_equal(status.text, reason);
}

static void test_rates_are_shown_by_the_shortest_period(void **state) {
    (void)state;
    assert_string_equal(units_show_rate(100, 1).text, "100/s");
    assert_string_equal(units_show_rate(250, 3).text, "5000/min");
    assert_string_equal(units_show_rate(1, 180).text, "20/h");
    assert_string_equal(units_show_rate(625, 54).text, "1000000/day");
    assert_string_equal(units_show_rate(1, 2592000).text, "1/month");
    assert_string_equal(units_show_rate(0, 1).text, "0/s");
}

static void test_rates_are_a_number_per_period(void **state) {
    (void)state;
    assert_rate("100/s", 100, 1);
    assert_rate("5000/min", 5000, 60);
    assert_rate("20/h", 20, 3600);
    assert_rate("1000000/day", 1000000, 86400);
    assert_rate("1/month", 1, 2592000);
    assert_rate_refused("10x/s", "'10x/s' is not a rate, such as 100/s, 5000/min, 20/h or 1000000/day");
    assert_rate_refused("100", "'100' is not a rate, such as 100/s, 5000/min, 20/h or 1000000/day");
    assert_rate_refused("10/m", "'10/m' is not a rate, such as 100/s, 5000/min, 20/h or 1000000/day"
                                " (the periods are /s, /min, /h, /day and /month)");
    assert_rate("0/s", 0, 1);
    assert_rate("0/month", 0, 1);
    assert_rate("0", 0, 1);
    assert_rate_refused("00", "'00' is not a rate, such as 100/s, 5000/min, 20/h or 1000000/day"
                              " (no leading zero is allowed)");
    assert_rate_refused("0.5/s", "'0.5/s' is not a rate, such as 100/s, 5000/min, 20/h or 1000000/day"
                                 " (write all digits, and nothing but digits)");
}

static void test_values_are_shown_in_the_largest_whole_unit(void **state) {
    (void)state;
    assert_string_equal(units_show_duration(8000).text, "8ms");
    assert_string_equal(units_show_duration(1500).text, "1500us");
    assert_string_equal(units_show_duration(90 * INT64_C(1000000)).text, "90s");
    assert_string_equal(units_show_duration(MINUTE_US).text, "1min");
    assert_string_equal(units_show_duration(0).text, "0us");
    assert_string_equal(units_show_bytes(1 << 20).text, "1MiB");
    assert_string_equal(units_show_bytes(1000).text, "1000");
    assert_string_equal(units_show_bytes(0).text, "0");
}

static void test_texts_are_shown_short_and_harmless(void **state) {
    (void)state;
    char text[200];
    memset(text, 'a', sizeof text);
    assert_string_equal(units_show_text(bytes_of("a\tb\x1b\x7f\xc3\xa4")).text, "a?b??\xc3\xa4");
    assert_string_equal(units_show_text((struct bytes){NULL, 0}).text, "");
    struct units_shown shown = units_show_text((struct bytes){(const uint8_t *)text, 95});
    assert_int_equal(strlen(shown.text), 95);
    shown = units_show_text((struct bytes){(const uint8_t *)text, sizeof text});
    assert_int_equal(strlen(shown.text), 95);
    assert_string_equal(shown.text + 90, "aa...");
    memcpy(text + 91, "\xc3\xa4", 2); /* would be cut in two */
    shown = units_show_text((struct bytes){(const uint8_t *)text, sizeof text});
    assert_string_equal(shown.text + 89, "aa...");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers_are_digits),
        cmocka_unit_test(test_anything_but_digits_is_refused_with_the_reason),
        cmocka_unit_test(test_range_is_part_of_the_reason),
        cmocka_unit_test(test_a_nul_ends_nothing),
        cmocka_unit_test(test_durations_need_a_unit),
        cmocka_unit_test(test_a_product_that_overflows_is_too_large),
        cmocka_unit_test(test_sizes_are_bytes_or_binary_units),
        cmocka_unit_test(test_rates_are_a_number_per_period),
        cmocka_unit_test(test_rates_are_shown_by_the_shortest_period),
        cmocka_unit_test(test_values_are_shown_in_the_largest_whole_unit),
        cmocka_unit_test(test_texts_are_shown_short_and_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
