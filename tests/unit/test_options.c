/* test_options.c — command lines against a small table, and the help made from it. */
#include "tests/support/test_prelude.h"

#include "client/cmd/options.h"

struct sample {
    bool is_loud;
    int64_t count, wait_us, patience_us;
    double factor;
    const char *name;
    struct options_list servers;
};

static const struct sample defaults = {.count = 7, .wait_us = 1000000, .factor = 1, .name = "demo"};

#define OPTION(member) offsetof(struct sample, member)
static const struct option_spec table[] = {
    {"loud", NULL, OPTION_FLAG, OPTION(is_loud), 0, 0, "speak up"},
    {"count", "N", OPTION_COUNT, OPTION(count), 1, 100, "how many"},
    {"wait", "DURATION", OPTION_DURATION_US, OPTION(wait_us), 1000, 60000000, "how long"},
    {"patience", "DURATION", OPTION_WAIT_US, OPTION(patience_us), 1000, 60000000, "how long if at all"},
    {"factor", "X", OPTION_FACTOR, OPTION(factor), 0, 0, "how fast"},
    {"name", "T", OPTION_TEXT, OPTION(name), 0, 0, "who"},
    {"server", "HOST", OPTION_LIST, OPTION(servers), 0, 0, "where"},
};

static const struct command sample = {
    .program = "sluice",
    .name = "sample",
    .summary = "Try the table",
    .arguments = "FROM [TO]",
    .min_arguments = 1,
    .max_arguments = 2,
    .options = table,
    .n_options = sizeof table / sizeof table[0],
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes = "That is all.\n",
};

struct parsed {
    bool is_good, wants_help;
    struct sample options;
    char *arguments[3];
    struct status status;
};

/* Parses words separated by blanks; `line` is written to. */
static struct parsed parse(char *line) {
    struct parsed parsed = {.status = {""}};
    char *words[64], *rest = NULL;
    int n_words = 0;
    for (char *word = strtok_r(line, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        words[n_words++] = word;
    }
    parsed.is_good = options_parse(&sample, n_words, words, &parsed.options, parsed.arguments,
                                   &parsed.wants_help, &parsed.status);
    return parsed;
}

static void test_without_options_the_defaults_hold(void **state) {
    char line[] = "here";
    struct parsed parsed = parse(line);
    (void)state;
    assert_true(parsed.is_good);
    assert_string_equal(parsed.arguments[0], "here");
    assert_null(parsed.arguments[1]);
    assert_false(parsed.options.is_loud);
    assert_int_equal(parsed.options.count, 7);
    assert_int_equal(parsed.options.wait_us, 1000000);
    assert_string_equal(parsed.options.name, "demo");
    assert_int_equal(parsed.options.servers.n, 0);
}

static void test_options_and_arguments_may_be_mixed(void **state) {
    char line[] = "--loud a --count=100 --wait 250ms b --factor 0.25 --name x --server one --server=two";
    struct parsed parsed = parse(line);
    (void)state;
    assert_true(parsed.is_good);
    assert_string_equal(parsed.arguments[0], "a");
    assert_string_equal(parsed.arguments[1], "b");
    assert_null(parsed.arguments[2]);
    assert_true(parsed.options.is_loud);
    assert_int_equal(parsed.options.count, 100);
    assert_int_equal(parsed.options.wait_us, 250000);
    assert_true(parsed.options.factor == 0.25);
    assert_string_equal(parsed.options.name, "x");
    assert_int_equal(parsed.options.servers.n, 2);
    assert_string_equal(parsed.options.servers.items[0], "one");
    assert_string_equal(parsed.options.servers.items[1], "two");
}

static void test_a_dash_is_an_argument_and_two_end_the_options(void **state) {
    char line[] = "- -- --loud";
    struct parsed parsed = parse(line);
    (void)state;
    assert_true(parsed.is_good);
    assert_string_equal(parsed.arguments[0], "-");
    assert_string_equal(parsed.arguments[1], "--loud");
    assert_false(parsed.options.is_loud);
}

static void test_help_is_wanted_whatever_else_is_wrong(void **state) {
    char line[] = "--nonsense --help", after_end[] = "-- --help", brief[] = "-h";
    struct parsed parsed = parse(line);
    (void)state;
    assert_true(parsed.is_good && parsed.wants_help);
    parsed = parse(brief);
    assert_true(parsed.is_good && parsed.wants_help);
    parsed = parse(after_end);
    assert_true(parsed.is_good);
    assert_false(parsed.wants_help);
}

static void test_what_is_wrong_is_said(void **state) {
    static const struct {
        const char *line, *reason;
    } cases[] = {
        {"a --nonsense", "unknown option --nonsense; 'sluice sample --help' lists them"},
        {"a --lou", "unknown option --lou; 'sluice sample --help' lists them"},
        {"a --loudly", "unknown option --loudly; 'sluice sample --help' lists them"},
        {"a -x", "unknown option -x; 'sluice sample --help' lists them"},
        {"a --loud=yes", "--loud takes no value"},
        {"a --count", "--count needs a value: N"},
        {"a --count 10x", "--count: '10x' is not a whole number, such as 10"},
        {"a --count 0", "--count: 0 is below the minimum, 1"},
        {"a --count 101", "--count: 101 is above the maximum, 100"},
        {"a --factor 1.", "--factor: '1.' is not a number such as 10 or 0.5"},
        {"a --factor -1", "--factor: '-1' is not a number such as 10 or 0.5"},
        {"a --factor 1e3", "--factor: '1e3' is not a number such as 10 or 0.5"},
        {"a --factor nan", "--factor: 'nan' is not a number such as 10 or 0.5"},
        {"a --factor 1234567890", "--factor: '1234567890' is not a number such as 10 or 0.5"},
        {"--loud", "too few arguments; usage: sluice sample FROM [TO] [OPTION ...]"},
        {"a b c", "'c' is one argument too many; usage: sluice sample FROM [TO] [OPTION ...]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[64];
        snprintf(line, sizeof line, "%s", cases[i].line);
        struct parsed parsed = parse(line);
        assert_false(parsed.is_good);
        if (strncmp(parsed.status.text, cases[i].reason, strlen(cases[i].reason)) != 0) {
            fail_msg("%s: %s", cases[i].line, parsed.status.text);
        }
    }
}

static void test_a_duration_needs_its_unit(void **state) {
    char line[] = "a --wait 250";
    struct parsed parsed = parse(line);
    (void)state;
    assert_false(parsed.is_good);
    assert_non_null(strstr(parsed.status.text, "--wait: '250' is not a duration"));
}

static void test_a_value_may_be_left_out_where_the_table_says_so(void **state) {
    char absent[] = "a", bare[] = "--patience a", given[] = "a --patience=2s", wrong[] = "a --patience=2";
    (void)state;
    assert_int_equal(parse(absent).options.patience_us, 0);
    struct parsed parsed = parse(bare);
    assert_int_equal(parsed.options.patience_us, OPTIONS_BARE);
    assert_string_equal(parsed.arguments[0], "a");
    assert_int_equal(parse(given).options.patience_us, 2000000);
    parsed = parse(wrong);
    assert_false(parsed.is_good);
    assert_non_null(strstr(parsed.status.text, "--patience: '2' is not a duration"));
}

static void test_a_list_has_a_bound(void **state) {
    char line[256] = "a", longer[256] = "a --server t";
    (void)state;
    for (int i = 0; i < OPTIONS_LIST_MAX; i++) {
        strcat(line, " --server s");
        strcat(longer, " --server s");
    }
    assert_true(parse(line).is_good);
    struct parsed parsed = parse(longer);
    assert_false(parsed.is_good);
    assert_string_equal(parsed.status.text, "--server: given more than 16 times");
}

static void test_help_shows_every_option_with_its_default(void **state) {
    static const char expected[] = "Usage: sluice sample FROM [TO] [OPTION ...]\n"
                                   "\n"
                                   "Try the table.\n"
                                   "\n"
                                   "  --loud                speak up\n"
                                   "  --count N             how many (default 7)\n"
                                   "  --wait DURATION       how long (default 1s)\n"
                                   "  --patience[=DURATION] how long if at all\n"
                                   "  --factor X            how fast (default 1)\n"
                                   "  --name T              who (default demo)\n"
                                   "  --server HOST         where\n"
                                   "  --help                print this text\n"
                                   "\n"
                                   "That is all.\n";
    char *text = NULL;
    size_t n_text = 0;
    FILE *out = open_memstream(&text, &n_text);
    (void)state;
    assert_non_null(out);
    options_print_help(&sample, out);
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
}

static void test_a_command_without_arguments_has_a_usage_too(void **state) {
    static const struct command bare = {.program = "sluice",
                                        .name = "bare",
                                        .arguments = "",
                                        .defaults = &defaults,
                                        .options_bytes = sizeof defaults};
    char word[] = "x", *words[] = {word}, *arguments[1];
    struct sample options;
    struct status status = {""};
    bool wants_help;
    (void)state;
    assert_false(options_parse(&bare, 1, words, &options, arguments, &wants_help, &status));
    assert_string_equal(status.text, "'x' is one argument too many; usage: sluice bare [OPTION ...]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_options_the_defaults_hold),
        cmocka_unit_test(test_options_and_arguments_may_be_mixed),
        cmocka_unit_test(test_a_dash_is_an_argument_and_two_end_the_options),
        cmocka_unit_test(test_help_is_wanted_whatever_else_is_wrong),
        cmocka_unit_test(test_what_is_wrong_is_said),
        cmocka_unit_test(test_a_command_without_arguments_has_a_usage_too),
        cmocka_unit_test(test_a_duration_needs_its_unit),
        cmocka_unit_test(test_a_value_may_be_left_out_where_the_table_says_so),
        cmocka_unit_test(test_a_list_has_a_bound),
        cmocka_unit_test(test_help_shows_every_option_with_its_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
