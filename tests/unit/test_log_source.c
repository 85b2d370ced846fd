/* test_log_source.c — lines from a file and from a pipe, bad ones counted, overlong ones skipped; and sorted. */
#include "tests/support/test_prelude.h"

#include <unistd.h>

#include "client/cmd/log_source.h"

#define GOOD "192.0.2.1 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 12"

static const struct log_source_options as_read = {.max_lines = 0};

/* Reads to the end, filling as asked. Returns the number of entries. */
static uint64_t drain(struct log_source *source) {
    struct access_log_entry entry;
    struct status status;
    uint64_t n_entries = 0;
    for (;;) {
        switch (log_source_next(source, &entry)) {
        case LOG_SOURCE_ENTRY:
            n_entries++;
            break;
        case LOG_SOURCE_STARVED:
            assert_true(log_source_fill(source, &status));
            break;
        case LOG_SOURCE_END:
            return n_entries;
        }
    }
}

/* A source over `n` bytes in an unnamed file. */
static struct log_source *open_bytes_with(const struct log_source_options *options, const void *bytes,
                                          size_t n) {
    static char path[] = "/tmp/test_log_source.XXXXXX"; /* the source borrows it */
    memset(strchr(path, '.') + 1, 'X', 6);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
    struct status status;
    struct log_source *source = log_source_open(path, options, &status);
    unlink(path);
    assert_non_null(source);
    return source;
}

static struct log_source *open_bytes(const void *bytes, size_t n) {
    return open_bytes_with(&as_read, bytes, n);
}

static void test_the_fixture_is_read_with_its_bad_lines_named(void **state) {
    struct status status;
    struct log_source *source = log_source_open("tests/fixtures/access_small.log", &as_read, &status);
    (void)state;
    assert_non_null(source);
    assert_int_equal(drain(source), 7);
    const struct log_source_stats *stats = log_source_stats(source);
    assert_int_equal(stats->n_lines, 10);
    assert_int_equal(stats->n_bad, 3);
    assert_int_equal(stats->bad[0].number, 5);
    assert_int_equal(stats->bad[0].outcome, ACCESS_LOG_IDENTITY);
    assert_int_equal(stats->bad[1].number, 8);
    assert_int_equal(stats->bad[1].outcome, ACCESS_LOG_TIME);
    assert_int_equal(stats->bad[2].number, 9);
    assert_int_equal(stats->bad[2].outcome, ACCESS_LOG_TAIL);
    assert_int_equal(stats->n_bytes, stats->total_bytes);
    log_source_close(&source);
    assert_null(source);
}

static void test_a_last_line_without_newline_counts(void **state) {
    static const char text[] = GOOD "\n" GOOD;
    struct log_source *source = open_bytes(text, sizeof text - 1);
    (void)state;
    assert_int_equal(drain(source), 2);
    assert_int_equal(log_source_stats(source)->n_lines, 2);
    log_source_close(&source);
}

static void test_an_empty_file_has_no_lines(void **state) {
    struct log_source *source = open_bytes("", 0);
    (void)state;
    assert_int_equal(drain(source), 0);
    assert_int_equal(log_source_stats(source)->n_lines, 0);
    log_source_close(&source);
}

static void test_only_the_first_bad_lines_are_named(void **state) {
    char text[20];
    memset(text, '\n', sizeof text);
    struct log_source *source = open_bytes(text, sizeof text);
    (void)state;
    assert_int_equal(drain(source), 0);
    assert_int_equal(log_source_stats(source)->n_bad, 20);
    assert_int_equal(log_source_stats(source)->bad[LOG_SOURCE_BAD_NAMED - 1].number, LOG_SOURCE_BAD_NAMED);
    assert_int_equal(log_source_stats(source)->bad[0].outcome, ACCESS_LOG_EMPTY);
    log_source_close(&source);
}

/* A line of `n_agent` bytes of agent between two plain ones, given to a fresh source. */
static struct log_source *open_with_long_line(size_t n_bytes) {
    static const char head[] = GOOD "\n" GOOD " \"-\" \"", tail[] = "\"\n" GOOD "\n";
    size_t n_line_head = sizeof head - 1 - (sizeof GOOD - 1) - 1, n_agent = n_bytes - n_line_head - 1;
    size_t n_all = sizeof head - 1 + n_agent + sizeof tail - 1;
    char *text = malloc(n_all);
    assert_non_null(text);
    memcpy(text, head, sizeof head - 1);
    memset(text + sizeof head - 1, 'a', n_agent);
    memcpy(text + sizeof head - 1 + n_agent, tail, sizeof tail - 1);
    struct log_source *source = open_bytes(text, n_all);
    free(text);
    return source;
}

static void test_a_line_of_64_kib_is_read(void **state) {
    struct log_source *source = open_with_long_line(LOG_SOURCE_LINE_MAX_BYTES);
    (void)state;
    assert_int_equal(drain(source), 3);
    assert_int_equal(log_source_stats(source)->n_bad, 0);
    log_source_close(&source);
}

static void test_a_longer_line_is_one_bad_line_however_long(void **state) {
    static const size_t lengths[] = {LOG_SOURCE_LINE_MAX_BYTES + 1, 2 * LOG_SOURCE_LINE_MAX_BYTES,
                                     2 * LOG_SOURCE_LINE_MAX_BYTES + 1, 10 * LOG_SOURCE_LINE_MAX_BYTES};
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct log_source *source = open_with_long_line(lengths[i]);
        assert_int_equal(drain(source), 2);
        assert_int_equal(log_source_stats(source)->n_lines, 3);
        assert_int_equal(log_source_stats(source)->n_bad, 1);
        assert_int_equal(log_source_stats(source)->bad[0].number, 2);
        assert_int_equal(log_source_stats(source)->bad[0].outcome, ACCESS_LOG_TOO_LONG);
        log_source_close(&source);
    }
}

static void test_an_overlong_last_line_without_newline_is_counted(void **state) {
    size_t n = 5 * LOG_SOURCE_LINE_MAX_BYTES;
    char *text = malloc(n);
    (void)state;
    assert_non_null(text);
    memset(text, 'a', n);
    struct log_source *source = open_bytes(text, n);
    free(text);
    assert_int_equal(drain(source), 0);
    assert_int_equal(log_source_stats(source)->n_lines, 1);
    assert_int_equal(log_source_stats(source)->bad[0].outcome, ACCESS_LOG_TOO_LONG);
    log_source_close(&source);
}

static void test_it_stops_after_the_wanted_number_of_lines(void **state) {
    static const struct log_source_options six_lines = {.max_lines = 6};
    struct status status;
    struct log_source *source = log_source_open("tests/fixtures/access_small.log", &six_lines, &status);
    (void)state;
    assert_non_null(source);
    assert_int_equal(drain(source), 5);
    assert_int_equal(log_source_stats(source)->n_lines, 6);
    log_source_close(&source);
}

/* Bytes arrive one at a time: starved until the newline is there. */
static void test_standard_input_may_arrive_in_pieces(void **state) {
    static const char text[] = GOOD "\n";
    int pipe_fds[2], saved = dup(STDIN_FILENO);
    struct status status;
    struct access_log_entry entry;
    (void)state;
    assert_true(saved >= 0);
    assert_int_equal(pipe(pipe_fds), 0);
    assert_int_equal(dup2(pipe_fds[0], STDIN_FILENO), STDIN_FILENO);
    struct log_source *source = log_source_open("-", &as_read, &status);
    assert_non_null(source);
    assert_int_equal(log_source_fd(source), STDIN_FILENO);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        assert_int_equal(log_source_next(source, &entry), LOG_SOURCE_STARVED);
        assert_int_equal(write(pipe_fds[1], &text[i], 1), 1);
        assert_true(log_source_fill(source, &status));
    }
    assert_int_equal(log_source_next(source, &entry), LOG_SOURCE_ENTRY);
    assert_int_equal(entry.host.len, strlen("192.0.2.1"));
    close(pipe_fds[1]);
    assert_int_equal(drain(source), 0);
    assert_true(log_source_had_entries(source, &status));
    log_source_close(&source);
    source = log_source_open("-", &as_read, &status);
    assert_non_null(source);
    assert_int_equal(drain(source), 0);
    assert_false(log_source_had_entries(source, &status));
    assert_string_equal(status.text, "standard input: is empty");
    log_source_close(&source);
    close(pipe_fds[0]);
    assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
    close(saved);
}

/* A line of `host` at second `second`. */
#define AT(host, second) host " - - [17/May/2015:10:05:0" second " +0000] \"GET / HTTP/1.1\" 200 12\n"

/* e is as old as c; one line is bad. */
static const char shuffled[] = AT("c", "3") AT("a", "1") "bad\n" AT("e", "3") AT("b", "2") AT("d", "3");

/* The hosts, one letter each, in the order the source gives them. */
static const char *order_of(struct log_source *source, char order[8]) {
    struct access_log_entry entry;
    struct status status;
    size_t n = 0;
    for (;;) {
        enum log_source_step step = log_source_next(source, &entry);
        if (step == LOG_SOURCE_END) {
            order[n] = '\0';
            return order;
        }
        if (step == LOG_SOURCE_STARVED) {
            assert_true(log_source_fill(source, &status));
        } else {
            assert_in_range(n, 0, 6);
            order[n++] = (char)entry.host.data[0];
        }
    }
}

static void test_entries_come_by_time_and_equal_ones_as_in_the_log(void **state) {
    static const struct log_source_options just_enough = {.max_sorted = 5};
    struct log_source *source = open_bytes_with(&just_enough, shuffled, sizeof shuffled - 1);
    char order[8];
    (void)state;
    assert_string_equal(order_of(source, order), "abced");
    const struct log_source_stats *stats = log_source_stats(source);
    assert_int_equal(stats->n_lines, 6);
    assert_int_equal(stats->n_bad, 1);
    assert_int_equal(stats->bad[0].number, 3);
    assert_int_equal(stats->n_backward, 2);
    assert_int_equal(stats->n_given, 5);
    assert_true(stats->is_sorted);
    assert_false(stats->is_beyond_sort);
    log_source_close(&source);
}

static void test_too_many_to_sort_come_as_in_the_log_and_none_is_lost(void **state) {
    (void)state;
    for (size_t max_sorted = 1; max_sorted < 5; max_sorted++) {
        struct log_source_options options = {.max_sorted = max_sorted};
        struct log_source *source = open_bytes_with(&options, shuffled, sizeof shuffled - 1);
        char order[8];
        assert_string_equal(order_of(source, order), "caebd");
        assert_int_equal(log_source_stats(source)->n_given, 5);
        assert_int_equal(log_source_stats(source)->n_backward, 2);
        assert_true(log_source_stats(source)->is_beyond_sort);
        assert_false(log_source_stats(source)->is_sorted);
        log_source_close(&source);
    }
}

static void test_only_the_wanted_lines_are_sorted(void **state) {
    static const struct log_source_options options = {.max_lines = 4, .max_sorted = 100};
    struct log_source *source = open_bytes_with(&options, shuffled, sizeof shuffled - 1);
    char order[8];
    (void)state;
    assert_string_equal(order_of(source, order), "ace");
    log_source_close(&source);
}

static void test_a_log_without_a_valid_line_is_told(void **state) {
    static const struct {
        const char *text, *reason; /* NULL: fine */
    } cases[] = {
        {"", ": is empty"},
        {"\x1f\x8b\n# Title\n", ": no valid line among the 2 read; line 1: host: not 1 to 255"},
        {"bad\n" GOOD "\n", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct log_source *source = open_bytes(cases[i].text, strlen(cases[i].text));
        struct status status = {""};
        drain(source);
        assert_int_equal(log_source_had_entries(source, &status), cases[i].reason == NULL);
        assert_non_null(strstr(status.text, cases[i].reason == NULL ? "" : cases[i].reason));
        log_source_close(&source);
    }
}

static void test_what_cannot_be_read_is_named(void **state) {
    struct status status = {""};
    (void)state;
    assert_null(log_source_open("/nonexistent/access.log", &as_read, &status));
    assert_string_equal(status.text, "/nonexistent/access.log: cannot be opened: No such file or directory");
    struct log_source *source = log_source_open("/tmp", &as_read, &status);
    assert_non_null(source);
    assert_false(log_source_fill(source, &status));
    assert_string_equal(status.text, "/tmp: cannot be read: Is a directory");
    log_source_close(&source);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_fixture_is_read_with_its_bad_lines_named),
        cmocka_unit_test(test_a_last_line_without_newline_counts),
        cmocka_unit_test(test_an_empty_file_has_no_lines),
        cmocka_unit_test(test_only_the_first_bad_lines_are_named),
        cmocka_unit_test(test_a_line_of_64_kib_is_read),
        cmocka_unit_test(test_a_longer_line_is_one_bad_line_however_long),
        cmocka_unit_test(test_an_overlong_last_line_without_newline_is_counted),
        cmocka_unit_test(test_it_stops_after_the_wanted_number_of_lines),
        cmocka_unit_test(test_standard_input_may_arrive_in_pieces),
        cmocka_unit_test(test_entries_come_by_time_and_equal_ones_as_in_the_log),
        cmocka_unit_test(test_too_many_to_sort_come_as_in_the_log_and_none_is_lost),
        cmocka_unit_test(test_only_the_wanted_lines_are_sorted),
        cmocka_unit_test(test_a_log_without_a_valid_line_is_told),
        cmocka_unit_test(test_what_cannot_be_read_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
