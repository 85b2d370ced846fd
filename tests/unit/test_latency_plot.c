/* test_latency_plot.c — golden output, plain and for a terminal. */
#include "tests/support/test_prelude.h"

#include "client/cmd/latency_plot.h"

static struct histogram histogram;

static int set_up(void **state) {
    (void)state;
    memset(&histogram, 0, sizeof histogram);
    return 0;
}

static void add(uint64_t value, int n) {
    for (int i = 0; i < n; i++) {
        histogram_add(&histogram, value);
    }
}

/* What is printed; to be freed. */
static char *print(const struct terminal *terminal) {
    char *text = NULL;
    size_t n_text = 0;
    FILE *out = open_memstream(&text, &n_text);
    assert_non_null(out);
    latency_plot_print(&histogram, terminal, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void assert_printed(const struct terminal *terminal, const char *expected) {
    char *text = print(terminal);
    assert_string_equal(text, expected);
    free(text);
}

static void test_steps_from_the_least_to_the_greatest(void **state) {
    static const struct terminal plain = {.width = 52};
    (void)state;
    add(45, 10);
    add(50, 10);
    add(51, 10);
    add(150, 5);
    add(1500, 1);
    assert_printed(&plain, "   up to  latency                   share     so far\n"
                           "    50us  ####################    55.556%    55.556%\n"
                           "   100us  ##########              27.778%    83.333%\n"
                           "   200us  #####                   13.889%    97.222%\n"
                           "   500us                           0.000%    97.222%\n"
                           "     1ms                           0.000%    97.222%\n"
                           "     2ms  #                        2.778%   100.000%\n");
}

static void test_a_terminal_gets_blocks_and_colors_where_it_can(void **state) {
    static const struct terminal both = {.is_terminal = true, .is_utf8 = true, .has_colors = true, .width = 42};
    (void)state;
    add(3, 4);
    assert_printed(&both, "   up to  latency         share     so far\n"
                          "     5us  \033[36m██████████\033[0m   100.000%   100.000%\n");
}

static void test_one_among_many_is_seen(void **state) {
    static const struct terminal plain = {.width = 42};
    (void)state;
    add(1, 100000);
    add(2, 1);
    assert_printed(&plain, "   up to  latency         share     so far\n"
                           "     1us  ##########    99.999%    99.999%\n"
                           "     2us  #              0.001%   100.000%\n");
}

static void test_extremes_have_a_row(void **state) {
    static const struct terminal plain = {.width = TERMINAL_WIDTH_MIN};
    (void)state;
    add(0, 1);
    add(UINT64_MAX, 1);
    char *text = print(&plain), *rest = NULL;
    size_t n_rows = 0;
    double so_far = 0;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        n_rows++;
        const char *last = strrchr(line, ' ');
        so_far = last != NULL ? strtod(last, NULL) : 0;
    }
    assert_in_range(n_rows, 37, 41);
    assert_true(so_far == 100);
    free(text);
}

static void test_an_empty_histogram_prints_nothing(void **state) {
    static const struct terminal plain = {.width = 80};
    (void)state;
    assert_printed(&plain, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_steps_from_the_least_to_the_greatest, set_up),
        cmocka_unit_test_setup(test_a_terminal_gets_blocks_and_colors_where_it_can, set_up),
        cmocka_unit_test_setup(test_one_among_many_is_seen, set_up),
        cmocka_unit_test_setup(test_extremes_have_a_row, set_up),
        cmocka_unit_test_setup(test_an_empty_histogram_prints_nothing, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
