/* test_log.c — one line per event, in either form, never broken by what is in it; repetition is held back. */
#include "tests/support/test_prelude.h"

#include <fcntl.h>
#include <unistd.h>

#include "server/base/log.h"

/* Runs one log_write with standard error going to a pipe; returns the line. */
static const char *captured(enum log_level level, const char *text) {
    static char line[4096];
    int ends[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    dup2(ends[1], STDERR_FILENO);
    log_write(level, "room", "%s", text);
    dup2(saved, STDERR_FILENO);
    ssize_t n = read(ends[0], line, sizeof line - 1);
    line[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    close(ends[1]);
    close(saved);
    return line;
}

static void test_text_line(void **state) {
    (void)state;
    log_configure(LOG_INFO, false);
    const char *line = captured(LOG_WARN, "a node\nis gone");
    assert_int_equal(line[4], '-');
    assert_string_equal(line + strlen("2026-01-01T00:00:00.000Z"), " warn room: a node?is gone\n");
}

static void test_json_line_is_escaped(void **state) {
    (void)state;
    log_configure(LOG_INFO, true);
    const char *line = captured(LOG_ERROR, "say \"hi\"\\\t");
    assert_non_null(
        strstr(line, "\"level\":\"error\",\"room\":\"room\",\"text\":\"say \\\"hi\\\"\\\\\\u0009\"}\n"));
    log_configure(LOG_INFO, false);
}

static void test_level_is_kept(void **state) {
    (void)state;
    log_configure(LOG_WARN, false);
    assert_string_equal(captured(LOG_INFO, "x"), "");
    assert_string_not_equal(captured(LOG_WARN, "x"), "");
    log_configure(LOG_INFO, false);
}

static void test_long_sentence_stays_one_line(void **state) {
    (void)state;
    static char text[5000];
    memset(text, '"', sizeof text - 1);
    log_configure(LOG_INFO, true);
    const char *line = captured(LOG_INFO, text);
    size_t n = strlen(line);
    assert_true(n > 700 && line[n - 1] == '\n' && line[n - 2] == '}');
    log_configure(LOG_INFO, false);
}

static void test_gate_lets_one_through_and_counts(void **state) {
    (void)state;
    struct log_gate gate = {0};
    uint64_t n_held_back = 99;
    assert_true(log_gate_open(&gate, 1000, 60, &n_held_back));
    assert_int_equal(n_held_back, 0);
    assert_false(log_gate_open(&gate, 1001, 60, &n_held_back));
    assert_false(log_gate_open(&gate, 1059, 60, &n_held_back));
    assert_true(log_gate_open(&gate, 1060, 60, &n_held_back));
    assert_int_equal(n_held_back, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_line),
        cmocka_unit_test(test_json_line_is_escaped),
        cmocka_unit_test(test_level_is_kept),
        cmocka_unit_test(test_long_sentence_stays_one_line),
        cmocka_unit_test(test_gate_lets_one_through_and_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
