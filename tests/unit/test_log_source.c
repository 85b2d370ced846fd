/* test_log_source.c — lines from a file and from a pipe, bad ones counted, overlong ones skipped. */
#include "tests/support/test_prelude.h"

#include <unistd.h>

#include "client/cmd/log_source.h"

#define GOOD "192.0.2.1 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 12"

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
static struct log_source *open_bytes(const void *bytes, size_t n) {
    char path[] = "/tmp/test_log_source.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
    struct status status;
    struct log_source *source = log_source_open(path, 0, &status);
    unlink(path);
    assert_non_null(source);
    return source;
}

static void test_the_fixture_is_read_with_its_bad_lines_named(void **state) {
    struct status status;
    struct log_source *source = log_source_open("tests/fixtures/access_small.log", 0, &status);
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
    struct status status;
    struct log_source *source = log_source_open("tests/fixtures/access_small.log", 6, &status);
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
    struct log_source *source = log_source_open("-", 0, &status);
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
    log_source_close(&source);
    close(pipe_fds[0]);
    assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
    close(saved);
}

static void test_what_cannot_be_read_is_named(void **state) {
    struct status status = {""};
    (void)state;
    assert_null(log_source_open("/nonexistent/access.log", 0, &status));
    assert_string_equal(status.text, "cannot open /nonexistent/access.log: No such file or directory");
    struct log_source *source = log_source_open("/tmp", 0, &status);
    assert_non_null(source);
    assert_false(log_source_fill(source, &status));
    assert_string_equal(status.text, "cannot read /tmp: Is a directory");
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
        cmocka_unit_test(test_what_cannot_be_read_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
