/* test_plot.c — golden output, plain and for a terminal. */
#include "tests/support/test_prelude.h"

#include "client/cmd/plot.h"

#define START_S INT64_C(1431857100) /* 2015-05-17 10:05:00 */

static void add(struct timeline *timeline, int64_t at_s, int n_allowed, int n_denied) {
    for (int i = 0; i < n_allowed + n_denied; i++) {
        timeline_add(timeline, at_s * 1000000, i < n_allowed);
    }
}

/* What is printed; to be freed. */
static char *print(const struct timeline *timeline, const struct terminal *terminal) {
    char *text = NULL;
    size_t n_text = 0;
    FILE *out = open_memstream(&text, &n_text);
    assert_non_null(out);
    plot_print(timeline, terminal, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void assert_printed(const struct timeline *timeline, const struct terminal *terminal,
                           const char *expected) {
    char *text = print(timeline, terminal);
    assert_string_equal(text, expected);
    free(text);
}

static void test_seconds_in_plain_text(void **state) {
    static struct timeline timeline;
    static const struct terminal plain = {.width = 59};
    (void)state;
    timeline_init(&timeline);
    add(&timeline, START_S, 10, 0);
    add(&timeline, START_S + 1, 10, 10);
    add(&timeline, START_S + 3, 0, 5);
    assert_printed(&timeline, &plain,
                   "checks per second: ### allowed, xxx denied\n"
                   "from (UTC)                                 allowed   denied\n"
                   "2015-05-17 10:05:00  ##########                 10        0\n"
                   "2015-05-17 10:05:01  ##########xxxxxxxxxx       10       10\n"
                   "2015-05-17 10:05:02                              0        0\n"
                   "2015-05-17 10:05:03  xxxxx                       0        5\n");
}

static void test_a_single_denial_is_seen_beside_many_allowed(void **state) {
    static struct timeline timeline;
    static const struct terminal plain = {.width = 50};
    (void)state;
    timeline_init(&timeline);
    add(&timeline, START_S, 1000, 1);
    add(&timeline, START_S + 60, 1, 1);
    add(&timeline, START_S + 120, 1, 1000);
    timeline_fold(&timeline, 3);
    assert_printed(&timeline, &plain,
                   "checks per minute: ### allowed, xxx denied\n"
                   "from (UTC)                        allowed   denied\n"
                   "2015-05-17 10:05  #############x     1000        1\n"
                   "2015-05-17 10:06  #x                    1        1\n"
                   "2015-05-17 10:07  #xxxxxxxxxxxxx        1     1000\n");
}

static void test_a_terminal_gets_blocks_and_colors_where_it_can(void **state) {
    static struct timeline timeline;
    static const struct terminal both = {.is_terminal = true, .is_utf8 = true, .has_colors = true, .width = 51};
    static const struct terminal blocks = {.is_terminal = true, .is_utf8 = true, .width = 51};
    (void)state;
    timeline_init(&timeline);
    add(&timeline, START_S, 9, 3);
    assert_printed(&timeline, &blocks,
                   "checks per second: ███ allowed, ▒▒▒ denied\n"
                   "from (UTC)                         allowed   denied\n"
                   "2015-05-17 10:05:00  █████████▒▒▒        9        3\n");
    assert_printed(&timeline, &both,
                   "checks per second: \033[32m███\033[0m allowed, \033[31m▒▒▒\033[0m denied\n"
                   "from (UTC)                         allowed   denied\n"
                   "2015-05-17 10:05:00  \033[32m█████████\033[0m\033[31m▒▒▒\033[0m        9        3\n");
}

static void test_days_need_no_time_of_day(void **state) {
    static struct timeline timeline;
    static const struct terminal plain = {.width = 42};
    (void)state;
    timeline_init(&timeline);
    add(&timeline, START_S, 1, 0);
    add(&timeline, START_S + 86400, 1, 0);
    timeline_fold(&timeline, 2);
    assert_printed(&timeline, &plain,
                   "checks per day: ### allowed, xxx denied\n"
                   "from (UTC)                allowed   denied\n"
                   "2015-05-17  ############        1        0\n"
                   "2015-05-18  ############        1        0\n");
}

static void test_no_row_is_wider_than_the_terminal(void **state) {
    static struct timeline timeline;
    (void)state;
    timeline_init(&timeline);
    add(&timeline, START_S, 12345, 678);
    add(&timeline, START_S + 1, 1, 1);
    for (size_t width = 60; width <= TERMINAL_WIDTH_MAX; width += 7) {
        struct terminal plain = {.width = width};
        char *text = print(&timeline, &plain), *rest = NULL;
        for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
            assert_true(strlen(line) <= width);
        }
        free(text);
    }
}

static void test_an_empty_timeline_prints_nothing(void **state) {
    static struct timeline timeline;
    static const struct terminal plain = {.width = 80};
    (void)state;
    timeline_init(&timeline);
    assert_printed(&timeline, &plain, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seconds_in_plain_text),
        cmocka_unit_test(test_a_single_denial_is_seen_beside_many_allowed),
        cmocka_unit_test(test_a_terminal_gets_blocks_and_colors_where_it_can),
        cmocka_unit_test(test_days_need_no_time_of_day),
        cmocka_unit_test(test_no_row_is_wider_than_the_terminal),
        cmocka_unit_test(test_an_empty_timeline_prints_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
