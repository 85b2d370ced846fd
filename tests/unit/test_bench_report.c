/* test_bench_report.c — the table word by word, and the members of the JSON object. */
#include "tests/support/test_prelude.h"

#include "client/cmd/bench_report.h"

static const struct terminal plain = {.width = 52};

static struct bench_stats stats;
static struct bench_result result;

static int set_up(void **state) {
    (void)state;
    memset(&stats, 0, sizeof stats);
    stats.n_sent = 1000;
    stats.n_allowed[WIRE_SOURCE_STORE] = 600;
    stats.n_denied[WIRE_SOURCE_STORE] = 300;
    stats.n_denied[WIRE_SOURCE_LEASE] = 100;
    stats.took_us = 2000000;
    stats.cpu_us = 500000;
    for (int i = 0; i < 100; i++) {
        histogram_add(&stats.latency_us, 100);
    }
    result = (struct bench_result){.settings = {.n_connections = 4,
                                                .pipeline = 8,
                                                .batch = 10,
                                                .cost = 1,
                                                .duration_us = 2000000,
                                                .seed = 1,
                                                .tenants = "t",
                                                .resource = "r",
                                                .keys = "one"},
                                   .stats = &stats};
    return 0;
}

/* To be freed. */
static char *print(void) {
    char *text = NULL;
    size_t n_text = 0;
    FILE *out = open_memstream(&text, &n_text);
    assert_non_null(out);
    bench_report_print(&result, &plain, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void test_a_plain_run(void **state) {
    (void)state;
    char *text = print();
    assert_string_equal(text,
                        "load           closed loop; 4 connections, each with up to 8 frames in flight\n"
                        "batch          10 per frame, cost 1\n"
                        "keys           one\n"
                        "checks sent    1000\n"
                        "allowed        600 (60.0%)\n"
                        "denied         400 (40.0%)\n"
                        "decided by     allow: store 600; deny: store 300, lease 100\n"
                        "errors         0\n"
                        "rate           500/s over 2s\n"
                        "latency        p50 100us  p90 100us  p99 100us  p99.9 100us  p99.99 100us  max 100us\n"
                        "this program   25% of a CPU\n"
                        "\n"
                        "   up to  latency                   share     so far\n"
                        "   100us  ####################   100.000%   100.000%\n");
    free(text);
}

static void assert_says(const char *part) {
    char *text = print();
    if (strstr(text, part) == NULL) {
        fail_msg("no '%s' in: %s", part, text);
    }
    free(text);
}

static void test_an_open_loop_tells_how_late_it_sent(void **state) {
    (void)state;
    result.settings.rate_per_s = 700;
    histogram_add(&stats.lag_us, 20);
    stats.n_not_sent = 400;
    assert_says("load           open loop, 700/s, constant; ");
    assert_says("behind pace    p50 20us  p99 20us  max 20us\n");
    assert_says("never sent     400 checks that were due: the rate was not kept\n");
    result.settings.is_poisson = true;
    assert_says("open loop, 700/s, Poisson; ");
}

static void test_trouble_is_told(void **state) {
    (void)state;
    stats.n_errors[WIRE_UNAVAILABLE] = 7;
    stats.n_errors[WIRE_DEADLINE_EXCEEDED] = 5;
    stats.n_degraded = 100;
    stats.n_would_deny = 50;
    stats.n_late = 3;
    stats.n_conns_lost = 2;
    snprintf(stats.first_error, sizeof stats.first_error, "UNAVAILABLE: gone");
    result.is_interrupted = true;
    assert_says("errors         12\n"
                "               DEADLINE_EXCEEDED 5\n"
                "               UNAVAILABLE 7\n"
                "first error    UNAVAILABLE: gone\n"
                "late answers   3 frames\n"
                "lost           connections, 2 times\n");
    assert_says("degraded       100 (10.0%)\n"
                "would deny     50 (5.0%), allowed by shadow mode\n");
    assert_says("interrupted    this is what was seen so far\n");
}

static void test_costs_are_those_of_a_check(void **state) {
    (void)state;
    result.has_counters = true;
    result.counters = (struct bench_counters){.cpu_us = 1500, .n_decisions = 1000, .n_store_calls = 500};
    stats.cpu_us = 1900000;
    assert_says("frontends      1.500us of CPU and 0.500 store calls per check, 1000 decided\n");
    assert_says("this program   95% of a CPU; it may be what limits the rate\n");
}

static void test_nothing_seen_is_no_fault(void **state) {
    (void)state;
    memset(&stats, 0, sizeof stats);
    result.has_counters = true;
    assert_says("rate           - over 0ms\n");
    assert_says("frontends      0.000us of CPU");
}

static json_int_t integer_of(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static void test_json_says_the_same(void **state) {
    (void)state;
    stats.n_errors[WIRE_UNAVAILABLE] = 7;
    json_t *json = bench_report_make_json(&result);
    assert_non_null(json);
    assert_int_equal(integer_of(json, "sent"), 1000);
    assert_int_equal(integer_of(json, "allowed"), 600);
    assert_int_equal(integer_of(json, "denied"), 400);
    assert_int_equal(integer_of(json, "errors"), 7);
    assert_int_equal(integer_of(json_object_get(json, "errors_by_status"), "UNAVAILABLE"), 7);
    assert_int_equal(integer_of(json_object_get(json, "denied_by"), "lease"), 100);
    assert_int_equal(integer_of(json_object_get(json, "latency_us"), "p99.99"), 100);
    assert_true(json_real_value(json_object_get(json, "rate_per_s")) == 500);
    assert_true(json_real_value(json_object_get(json, "own_cpu_share")) == 0.25);
    assert_true(json_is_null(json_object_get(json, "frontends")));
    const json_t *settings = json_object_get(json, "settings");
    assert_string_equal(json_string_value(json_object_get(settings, "loop")), "closed");
    assert_int_equal(integer_of(settings, "pipeline"), 8);
    json_decref(json);

    result.has_counters = true;
    result.counters = (struct bench_counters){.cpu_us = 1500, .n_decisions = 1000, .n_store_calls = 500};
    json = bench_report_make_json(&result);
    const json_t *frontends = json_object_get(json, "frontends");
    assert_true(json_real_value(json_object_get(frontends, "cpu_us_per_check")) == 1.5);
    assert_true(json_real_value(json_object_get(frontends, "store_calls_per_check")) == 0.5);
    json_decref(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_plain_run, set_up),
        cmocka_unit_test_setup(test_an_open_loop_tells_how_late_it_sent, set_up),
        cmocka_unit_test_setup(test_trouble_is_told, set_up),
        cmocka_unit_test_setup(test_costs_are_those_of_a_check, set_up),
        cmocka_unit_test_setup(test_nothing_seen_is_no_fault, set_up),
        cmocka_unit_test_setup(test_json_says_the_same, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
