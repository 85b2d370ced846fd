/* test_bench_compare.c — ratios of figures that both runs have, and names of settings that differ. */
#include "tests/support/test_prelude.h"

#include <unistd.h>

#include "client/cmd/bench_compare.h"

static json_t *parse(const char *text) {
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    return json;
}

static json_t *make_run(void) {
    return parse("{\"settings\": {\"pipeline\": 32, \"batch\": 1, \"keys\": \"one\"}, \"rate_per_s\": 3000.0,"
                 " \"latency_us\": {\"p50\": 50, \"p99\": 90, \"max\": 100}, \"errors\": 0, \"allowed\": 10,"
                 " \"frontends\": {\"cpu_us_per_check\": 0.25, \"store_calls_per_check\": 0.0}}");
}

static json_t *make_base(void) {
    return parse("{\"settings\": {\"pipeline\": 8, \"batch\": 1}, \"rate_per_s\": 2000.0,"
                 " \"latency_us\": {\"p50\": 100, \"max\": 80}, \"errors\": 0, \"allowed\": 10,"
                 " \"frontends\": null}");
}

static void test_ratios_and_differences_are_printed(void **state) {
    json_t *run = make_run(), *base = make_base();
    char *text = NULL;
    size_t n_text = 0;
    FILE *out = open_memstream(&text, &n_text);
    (void)state;
    bench_compare_print(run, base, out);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, "compared                         here           base    ratio\n"
                              "rate_per_s                       3000           2000    1.500\n"
                              "latency_p50_us                     50            100    0.500\n"
                              "latency_max_us                    100             80    1.250\n"
                              "allowed                            10             10    1.000\n"
                              "errors                              0              0        -\n"
                              "these settings differ: pipeline, keys\n");
    free(text);
    json_decref(run);
    json_decref(base);
}

static void test_a_run_like_its_base_has_no_difference(void **state) {
    json_t *run = make_run(), *base = make_run();
    char *text = NULL;
    size_t n_text = 0;
    FILE *out = open_memstream(&text, &n_text);
    (void)state;
    bench_compare_print(run, base, out);
    assert_int_equal(fclose(out), 0);
    assert_null(strstr(text, "differ"));
    assert_non_null(strstr(text, "cpu_us_per_check                0.250          0.250    1.000\n"));
    free(text);
    json_decref(run);
    json_decref(base);
}

static void test_json_has_the_same_ratios(void **state) {
    json_t *run = make_run(), *base = make_base(), *compared = bench_compare_make_json(run, base);
    (void)state;
    assert_non_null(compared);
    const json_t *ratios = json_object_get(compared, "ratios");
    assert_true(json_real_value(json_object_get(ratios, "rate_per_s")) == 1.5);
    assert_true(json_real_value(json_object_get(ratios, "latency_p50_us")) == 0.5);
    assert_true(json_is_null(json_object_get(ratios, "errors")));
    assert_true(json_is_null(json_object_get(ratios, "latency_p99_us")));
    assert_true(json_is_null(json_object_get(ratios, "cpu_us_per_check")));
    const json_t *names = json_object_get(compared, "different_settings");
    assert_int_equal(json_array_size(names), 2);
    assert_string_equal(json_string_value(json_array_get(names, 0)), "pipeline");
    json_decref(compared);
    json_decref(run);
    json_decref(base);
}

static void assert_load(const char *text, const char *part) {
    char path[] = "/tmp/sluice_compare_XXXXXX";
    struct status status = {""};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
    json_t *base = bench_compare_load(path, &status);
    unlink(path);
    if (part == NULL) {
        assert_non_null(base);
    } else {
        assert_null(base);
        assert_non_null(strstr(status.text, part));
    }
    json_decref(base);
}

static void test_only_a_run_can_be_a_base(void **state) {
    struct status status = {""};
    (void)state;
    assert_load("{\"settings\": {}, \"rate_per_s\": 1}", NULL);
    assert_load("{\"settings\": {}}", "is not what 'sluice bench --json' prints");
    assert_load("{\"rate_per_s\": 1}", "is not what");
    assert_load("[]", "is not what");
    assert_load("{\"settings\": ", "--compare: /tmp/");
    assert_null(bench_compare_load("/no/such/file", &status));
    assert_non_null(strstr(status.text, "/no/such/file"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ratios_and_differences_are_printed),
        cmocka_unit_test(test_a_run_like_its_base_has_no_difference),
        cmocka_unit_test(test_json_has_the_same_ratios),
        cmocka_unit_test(test_only_a_run_can_be_a_base),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
