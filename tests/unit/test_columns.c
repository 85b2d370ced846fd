/* test_columns.c — widths, rows that come later, and texts that would steer a terminal. */
#include "tests/support/test_prelude.h"

#include "admin/ctl/columns.h"

static const char *const heads[] = {"NAME", "N", "REST", NULL};

static void add_row(struct columns *columns, const char *name, int n, const char *rest) {
    columns_add(columns, "%s", name);
    columns_add(columns, "%d", n);
    columns_add(columns, "%s", rest);
}

static void assert_printed(struct columns *columns, const char *expected) {
    char *text = NULL;
    size_t n_text = 0;
    FILE *out = open_memstream(&text, &n_text);
    assert_non_null(out);
    assert_true(columns_print(columns, out));
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
}

static void test_columns_are_as_wide_as_their_widest_cell(void **state) {
    struct columns columns;
    (void)state;
    columns_init(&columns, heads);
    add_row(&columns, "a", 12345, "x y");
    add_row(&columns, "longest", 1, "");
    assert_printed(&columns, "NAME     N      REST\n"
                             "a        12345  x y\n"
                             "longest  1      \n");
    columns_deinit(&columns);
}

static void test_rows_that_come_later_keep_the_widths(void **state) {
    struct columns columns;
    (void)state;
    columns_init(&columns, heads);
    add_row(&columns, "longest", 1, "x");
    assert_printed(&columns, "NAME     N  REST\nlongest  1  x\n");
    assert_printed(&columns, "");
    add_row(&columns, "b", 2, "y");
    assert_printed(&columns, "b        2  y\n");
    columns_deinit(&columns);
}

static void test_characters_count_not_bytes(void **state) {
    struct columns columns;
    (void)state;
    columns_init(&columns, heads);
    add_row(&columns, "\xc3\xa9t\xc3\xa9", 1, "x");
    assert_printed(&columns, "NAME  N  REST\n\xc3\xa9t\xc3\xa9   1  x\n");
    columns_deinit(&columns);
}

static void test_no_text_steers_the_terminal(void **state) {
    struct columns columns;
    (void)state;
    columns_init(&columns, heads);
    add_row(&columns, "\x1b[2J\n\x7f", 1,
            "\xc2\x9b"
            "31m");
    assert_printed(&columns, "NAME    N  REST\n?[2J??  1  ??31m\n");
    columns_deinit(&columns);
}

static void test_empty_heads_print_none(void **state) {
    static const char *const none[] = {"", "", NULL};
    struct columns columns;
    (void)state;
    columns_init(&columns, none);
    columns_add(&columns, "a");
    columns_add(&columns, "b");
    assert_printed(&columns, "a  b\n");
    columns_deinit(&columns);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_are_as_wide_as_their_widest_cell),
        cmocka_unit_test(test_rows_that_come_later_keep_the_widths),
        cmocka_unit_test(test_characters_count_not_bytes),
        cmocka_unit_test(test_no_text_steers_the_terminal),
        cmocka_unit_test(test_empty_heads_print_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
