/* test_metric.c — counted things become Prometheus text, summed over their owners. */
#include "tests/support/test_prelude.h"

#include "server/base/metric.h"

#define SAMPLE_METRICS(X)                                                                                      \
    X(yes, METRIC_COUNTER, "answers_total", "answer=\"yes\"", "Answers given")                                 \
    X(no, METRIC_COUNTER, "answers_total", "answer=\"no\"", "")                                                \
    X(open, METRIC_GAUGE, "open", "", "Open now")                                                              \
    X(busy_us, METRIC_COUNTER_US, "busy_seconds_total", "", "How long busy")

struct sample {
    SAMPLE_METRICS(METRIC_FIELD)
};

#define SAMPLE_ROW(field, kind, family, labels, help)                                                          \
    {family, labels, kind, help, offsetof(struct sample, field)},
static const struct metric_desc rows[] = {SAMPLE_METRICS(SAMPLE_ROW)};

static void test_values_are_summed_and_families_headed_once(void **state) {
    (void)state;
    struct sample first = {0}, second = {0};
    metric_inc(&first.yes);
    metric_add(&second.yes, 41);
    metric_inc(&second.no);
    metric_set(&first.open, 7);
    metric_dec(&first.open);
    const void *both[] = {&first, &second};
    struct buf out = {0};
    assert_true(metric_render(&out, rows, 3, both, 2));
    assert_true(buf_append(&out, "", 1));
    assert_string_equal((const char *)buf_front(&out), "# HELP answers_total Answers given\n"
                                                       "# TYPE answers_total counter\n"
                                                       "answers_total{answer=\"yes\"} 42\n"
                                                       "answers_total{answer=\"no\"} 1\n"
                                                       "# HELP open Open now\n"
                                                       "# TYPE open gauge\n"
                                                       "open 6\n");
    buf_deinit(&out);
}

static void test_gauge_split_over_owners_may_pass_below_zero(void **state) {
    (void)state;
    struct sample first = {0}, second = {0};
    metric_dec(&first.open);
    metric_add(&second.open, 3);
    const void *both[] = {&first, &second};
    struct buf out = {0};
    assert_true(metric_render(&out, &rows[2], 1, both, 2));
    assert_true(buf_append(&out, "", 1));
    assert_non_null(strstr((const char *)buf_front(&out), "open 2\n"));
    buf_deinit(&out);
}

static void test_microseconds_are_shown_in_seconds(void **state) {
    (void)state;
    struct sample first = {0}, second = {0};
    metric_add(&first.busy_us, 1999999);
    metric_add(&second.busy_us, 5);
    const void *both[] = {&first, &second};
    struct buf out = {0};
    assert_true(metric_render(&out, &rows[3], 1, both, 2));
    assert_true(buf_append(&out, "", 1));
    assert_string_equal((const char *)buf_front(&out), "# HELP busy_seconds_total How long busy\n"
                                                       "# TYPE busy_seconds_total counter\n"
                                                       "busy_seconds_total 2.000004\n");
    buf_deinit(&out);
}

struct place {
    char name[16];
    double warmth, damp;
};

#define PLACE_ROW(field, kind, family, label, help) {family, label, kind, help, offsetof(struct place, field)},
static const struct metric_desc place_rows[] = {
    PLACE_ROW(warmth, METRIC_GAUGE, "warmth_degrees", "place", "How warm it is")
        PLACE_ROW(damp, METRIC_GAUGE, "damp_ratio", "place", "How damp it is")};

static void test_items_are_told_apart_by_their_names(void **state) {
    (void)state;
    const struct place places[] = {{"cellar", 11.5, 0.25}, {"\"a\\\nb\"", -3, 1}};
    struct buf out = {0};
    assert_true(metric_render_items(&out, place_rows, 2, places, 2, sizeof places[0]));
    assert_true(buf_append(&out, "", 1));
    assert_string_equal((const char *)buf_front(&out), "# HELP warmth_degrees How warm it is\n"
                                                       "# TYPE warmth_degrees gauge\n"
                                                       "warmth_degrees{place=\"cellar\"} 11.500000\n"
                                                       "warmth_degrees{place=\"\\\"a\\\\\\nb\\\"\"} -3.000000\n"
                                                       "# HELP damp_ratio How damp it is\n"
                                                       "# TYPE damp_ratio gauge\n"
                                                       "damp_ratio{place=\"cellar\"} 0.250000\n"
                                                       "damp_ratio{place=\"\\\"a\\\\\\nb\\\"\"} 1.000000\n");
    buf_deinit(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_are_summed_and_families_headed_once),
        cmocka_unit_test(test_items_are_told_apart_by_their_names),
        cmocka_unit_test(test_gauge_split_over_owners_may_pass_below_zero),
        cmocka_unit_test(test_microseconds_are_shown_in_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
