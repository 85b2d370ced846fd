/* test_progress.c — the line as the terminal gets it. */
#include "tests/support/test_prelude.h"

#include "client/cmd/progress.h"

static const struct terminal wide = {.is_terminal = true, .width = 60};

struct sheet {
    char *text;
    size_t n_text;
    FILE *out;
};

/* The stream keeps the addresses of the sheet's members, so it is opened in place. */
static void open_sheet(struct sheet *sheet) {
    sheet->out = open_memstream(&sheet->text, &sheet->n_text);
    assert_non_null(sheet->out);
}

static void assert_sheet(struct sheet *sheet, const char *expected) {
    assert_int_equal(fclose(sheet->out), 0);
    assert_string_equal(sheet->text, expected);
    free(sheet->text);
}

static void test_a_bar_shows_the_share_done(void **state) {
    struct sheet sheet;
    struct progress progress;
    (void)state;
    open_sheet(&sheet);
    progress_init(&progress, sheet.out, &wide);
    progress_show(&progress, 0, 8, "none");
    progress_show(&progress, 4, 8, "half");
    progress_show(&progress, 9, 8, "all");
    assert_sheet(&sheet, "\r[........................]   0%  none\033[K"
                         "\r[############............]  50%  half\033[K"
                         "\r[########################] 100%  all\033[K");
}

static void test_without_a_total_there_is_no_bar(void **state) {
    struct sheet sheet;
    struct progress progress;
    (void)state;
    open_sheet(&sheet);
    progress_init(&progress, sheet.out, &wide);
    progress_show(&progress, 4, 0, "12 lines");
    progress_clear(&progress);
    progress_clear(&progress);
    assert_sheet(&sheet, "\r12 lines\033[K\r\033[K");
}

static void test_the_line_is_cut_before_the_last_column(void **state) {
    static const struct terminal narrow = {.is_terminal = true, .width = 40};
    struct sheet sheet;
    struct progress progress;
    (void)state;
    open_sheet(&sheet);
    progress_init(&progress, sheet.out, &narrow);
    progress_show(&progress, 1, 2, "123456789");
    assert_sheet(&sheet, "\r[############............]  50%  123456\033[K");
}

static void test_it_is_silent_where_there_is_no_terminal(void **state) {
    static const struct terminal none = {.width = 80};
    struct sheet sheet;
    struct progress progress;
    (void)state;
    open_sheet(&sheet);
    progress_init(&progress, sheet.out, &none);
    progress_show(&progress, 1, 2, "text");
    progress_clear(&progress);
    assert_sheet(&sheet, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_bar_shows_the_share_done),
        cmocka_unit_test(test_without_a_total_there_is_no_bar),
        cmocka_unit_test(test_the_line_is_cut_before_the_last_column),
        cmocka_unit_test(test_it_is_silent_where_there_is_no_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
