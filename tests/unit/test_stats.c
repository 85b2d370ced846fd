/* test_stats.c — every metric of every module is in the text and in the description, families unbroken. */
#include "tests/support/test_prelude.h"

#include "server/stats.h"

static char *rendered(const struct process_metrics *process, const struct worker_metrics *const *workers,
                      size_t n) {
    static const struct node_metrics node = {.node = "[::1]:6379", .clock_drift_s = -0.25};
    struct buf out = {0};
    struct fallback_metrics fallback = {.fleet_size = 3};
    struct stats_sources sources = {.process = process,
                                    .fallback = &fallback,
                                    .nodes = &node,
                                    .n_nodes = 1,
                                    .workers = workers,
                                    .n_workers = n};
    assert_true(stats_render(&out, &sources));
    assert_true(buf_append(&out, "", 1));
    char *text = strdup((const char *)buf_front(&out));
    buf_deinit(&out);
    return text;
}

static void test_workers_are_summed_and_nodes_told_apart(void **state) {
    (void)state;
    static struct worker_metrics first, second;
    struct process_metrics process = {0};
    const struct worker_metrics *both[] = {&first, &second};
    metric_set(&process.workers, 2);
    metric_set(&process.cpu_us, 1500000);
    metric_add(&first.limiter.allowed_store, 40);
    metric_add(&second.limiter.allowed_store, 2);
    metric_add(&second.redis.commands, 3);
    char *text = rendered(&process, both, 2);
    assert_non_null(strstr(text, "\nsluice_workers 2\n"));
    assert_non_null(strstr(text, "\nsluice_cpu_seconds_total 1.500000\n"));
    assert_non_null(strstr(text, "\nsluice_fleet_size 3\n"));
    assert_non_null(strstr(text, "\nsluice_decisions_total{decision=\"allow\",source=\"store\"} 42\n"));
    assert_non_null(strstr(text, "\nsluice_redis_commands_total 3\n"));
    assert_non_null(strstr(text, "\nsluice_redis_clock_drift_seconds{node=\"[::1]:6379\"} -0.250000\n"));
    free(text);
}

/* Prometheus refuses a family that is announced twice. */
static void test_each_family_is_announced_once_with_help(void **state) {
    (void)state;
    static struct worker_metrics worker;
    struct process_metrics process = {0};
    const struct worker_metrics *one[] = {&worker};
    char *text = rendered(&process, one, 1), *rest = text, *line, *families[256];
    size_t n = 0;
    while ((line = strsep(&rest, "\n")) != NULL) {
        if (strncmp(line, "# HELP ", 7) != 0) {
            continue;
        }
        char *family = line + 7, *space = strchr(family, ' ');
        assert_non_null(space);
        assert_true(strlen(space + 1) > 10);
        *space = '\0';
        for (size_t i = 0; i < n; i++) {
            assert_string_not_equal(families[i], family);
        }
        assert_memory_equal(family, "sluice_", 7);
        assert_in_range(n, 0, 255);
        families[n++] = family;
    }
    assert_true(n > 20);
    free(text);
}

static void test_description_has_a_line_for_each_family(void **state) {
    (void)state;
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    stats_describe(out);
    fclose(out);
    assert_non_null(strstr(text, "sluice_decisions_total\tcounter\tDecisions on checks"));
    assert_non_null(strstr(text, "sluice_connections_open\tgauge\tConnections open now\n"));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workers_are_summed_and_nodes_told_apart),
        cmocka_unit_test(test_each_family_is_announced_once_with_help),
        cmocka_unit_test(test_description_has_a_line_for_each_family),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
