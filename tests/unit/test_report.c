/* test_report.c — the common part of the reports, as a table and as JSON. */
#include "tests/support/test_prelude.h"

#include "client/cmd/report.h"

static const struct log_source_stats stats = {.n_lines = 12,
                                              .n_bad = 2,
                                              .bad = {{5, ACCESS_LOG_TIME}, {9, ACCESS_LOG_NUL}},
                                              .n_backward = 4,
                                              .is_sorted = true};

static void count_times(struct tally *tally, const char *key, enum tally_result result, int n) {
    for (int i = 0; i < n; i++) {
        tally_count(tally, tally_index(tally, (struct bytes){(const uint8_t *)key, strlen(key)}), result);
    }
}

static struct tally *make_tally(void) {
    struct tally *tally = tally_create(2);
    assert_non_null(tally);
    count_times(tally, "192.0.2.1", TALLY_ALLOWED, 4);
    count_times(tally, "192.0.2.1", TALLY_DENIED, 3);
    count_times(tally, "::1", TALLY_ALLOWED, 1);
    count_times(tally, "::1", TALLY_FAILED, 1);
    count_times(tally, "one too many", TALLY_ALLOWED, 1);
    return tally;
}

static void test_the_table_names_bad_lines_and_others(void **state) {
    struct tally *tally = make_tally();
    char *text = NULL;
    size_t n_text = 0;
    FILE *out = open_memstream(&text, &n_text);
    (void)state;
    assert_non_null(out);
    report_print_counts(out, &stats, tally);
    report_print_most_denied(out, tally, 10);
    fclose(out);
    assert_string_equal(
        text, "lines          12\n"
              "bad lines      2 (number 5, 9; first: time: not a valid [dd/Mon/yyyy:HH:MM:SS +zzzz])\n"
              "out of order   4 (dated before a line above; sorted by time)\n"
              "allowed        6 (60.0%)\n"
              "denied         3 (30.0%)\n"
              "errors         1\n"
              "addresses      2, 1 of them denied at least once\n"
              "               1 checks of further addresses are counted, but not by address\n"
              "\n"
              "    denied    allowed   share  most denied addresses\n"
              "         3          4   42.9%  192.0.2.1\n");
    free(text);
    tally_destroy(&tally);
}

static void test_only_a_log_too_long_to_sort_is_warned_of(void **state) {
    struct log_source_stats long_one = {.is_beyond_sort = true};
    char *text = NULL;
    size_t n_text = 0;
    FILE *out = open_memstream(&text, &n_text);
    (void)state;
    assert_non_null(out);
    report_warn_unsorted(out, "replay", &stats);
    fflush(out);
    assert_string_equal(text, "");
    report_warn_unsorted(out, "replay", &long_one);
    fclose(out);
    assert_non_null(strstr(text, "sluice replay: too many lines to sort by time (more than 2000000,"));
    free(text);
}

static void test_the_numbers_of_many_bad_lines_end_in_dots(void **state) {
    struct log_source_stats many = {.n_lines = 100, .n_bad = 9};
    struct tally *tally = make_tally();
    char *text = NULL;
    size_t n_text = 0;
    FILE *out = open_memstream(&text, &n_text);
    (void)state;
    assert_non_null(out);
    for (size_t i = 0; i < LOG_SOURCE_BAD_NAMED; i++) {
        many.bad[i] = (struct log_source_bad_line){i + 1, ACCESS_LOG_EMPTY};
    }
    report_print_counts(out, &many, tally);
    fclose(out);
    assert_non_null(strstr(text, "9 (number 1, 2, 3, 4, 5, 6, 7, 8, ...; first: the line is empty)\n"));
    free(text);
    tally_destroy(&tally);
}

static void test_json_has_the_same_numbers(void **state) {
    struct tally *tally = make_tally();
    json_t *json = report_make_json(&stats, tally, 10);
    (void)state;
    assert_non_null(json);
    assert_int_equal(json_integer_value(json_object_get(json, "lines")), 12);
    assert_int_equal(json_integer_value(json_object_get(json, "bad_lines")), 2);
    assert_int_equal(json_integer_value(json_object_get(json, "out_of_order_lines")), 4);
    assert_true(json_is_true(json_object_get(json, "sorted_by_time")));
    const json_t *bad = json_array_get(json_object_get(json, "first_bad_lines"), 1);
    assert_int_equal(json_integer_value(json_object_get(bad, "line")), 9);
    assert_string_equal(json_string_value(json_object_get(bad, "problem")), "the line holds a NUL byte");
    assert_int_equal(json_integer_value(json_object_get(json, "allowed")), 6);
    assert_int_equal(json_integer_value(json_object_get(json, "denied")), 3);
    assert_int_equal(json_integer_value(json_object_get(json, "errors")), 1);
    assert_int_equal(json_integer_value(json_object_get(json, "checks_of_other_addresses")), 1);
    assert_int_equal(json_array_size(json_object_get(json, "most_denied")), 1);
    const json_t *worst = json_array_get(json_object_get(json, "most_denied"), 0);
    assert_string_equal(json_string_value(json_object_get(worst, "address")), "192.0.2.1");
    assert_int_equal(json_integer_value(json_object_get(worst, "denied")), 3);
    json_decref(json);
    tally_destroy(&tally);
}

static void test_a_value_is_printed_on_one_line(void **state) {
    char *text = NULL;
    size_t n_text = 0;
    FILE *out = open_memstream(&text, &n_text);
    (void)state;
    assert_non_null(out);
    assert_true(report_print_json(out, json_pack("{s:i}", "a", 1)));
    assert_true(report_print_json_pair(out, json_pack("{s:i}", "a", 1), json_pack("{s:[i]}", "b", 2)));
    assert_false(report_print_json(out, NULL));
    assert_false(report_print_json_pair(out, NULL, json_object()));
    assert_false(report_print_json_pair(out, json_object(), NULL));
    fclose(out);
    assert_string_equal(text, "{\"a\":1}\n{\"a\":1,\"b\":[2]}\n");
    free(text);
}

static void test_text_that_is_not_utf8_becomes_printable(void **state) {
    json_t *good = report_make_json_text("caf\xc3\xa9"), *bad = report_make_json_text("caf\xe9");
    (void)state;
    assert_string_equal(json_string_value(good), "caf\xc3\xa9");
    assert_string_equal(json_string_value(bad), "caf?");
    json_decref(good);
    json_decref(bad);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table_names_bad_lines_and_others),
        cmocka_unit_test(test_only_a_log_too_long_to_sort_is_warned_of),
        cmocka_unit_test(test_the_numbers_of_many_bad_lines_end_in_dots),
        cmocka_unit_test(test_json_has_the_same_numbers),
        cmocka_unit_test(test_a_value_is_printed_on_one_line),
        cmocka_unit_test(test_text_that_is_not_utf8_becomes_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
