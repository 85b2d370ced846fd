/* test_terminal.c — a pipe is none, a pseudo-terminal is one of the width it says. */
#include "tests/support/test_prelude.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/cmd/terminal.h"

/* A pseudo-terminal of `columns`; its other end goes to `*master`. */
static int open_terminal(unsigned short columns, int *master) {
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    *master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(*master >= 0);
    assert_int_equal(grantpt(*master), 0);
    assert_int_equal(unlockpt(*master), 0);
    int fd = open(ptsname(*master), O_RDWR | O_NOCTTY);
    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, TIOCSWINSZ, &size), 0);
    return fd;
}

static size_t width_of(unsigned short columns) {
    int master, fd = open_terminal(columns, &master);
    struct terminal terminal = terminal_detect(fd);
    assert_true(terminal.is_terminal);
    close(fd);
    close(master);
    return terminal.width;
}

static void test_a_pipe_gets_plain_text_of_the_default_width(void **state) {
    int fds[2];
    (void)state;
    assert_int_equal(pipe(fds), 0);
    struct terminal terminal = terminal_detect(fds[1]);
    assert_false(terminal.is_terminal);
    assert_false(terminal.is_utf8);
    assert_false(terminal.has_colors);
    assert_int_equal(terminal.width, 80);
    close(fds[0]);
    close(fds[1]);
}

static void test_the_width_is_the_terminals_within_bounds(void **state) {
    (void)state;
    assert_int_equal(width_of(100), 100);
    assert_int_equal(width_of(10), TERMINAL_WIDTH_MIN);
    assert_int_equal(width_of(5000), TERMINAL_WIDTH_MAX);
    assert_int_equal(width_of(0), TERMINAL_WIDTH_DEFAULT);
}

static void test_colors_yield_to_no_color(void **state) {
    int master, fd = open_terminal(80, &master);
    (void)state;
    unsetenv("NO_COLOR");
    assert_true(terminal_detect(fd).has_colors);
    setenv("NO_COLOR", "1", 1);
    assert_false(terminal_detect(fd).has_colors);
    unsetenv("NO_COLOR");
    close(fd);
    close(master);
}

/* The test has not called setlocale, so its locale is "C". */
static void test_blocks_need_a_utf8_locale(void **state) {
    int master, fd = open_terminal(80, &master);
    (void)state;
    assert_false(terminal_detect(fd).is_utf8);
    close(fd);
    close(master);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pipe_gets_plain_text_of_the_default_width),
        cmocka_unit_test(test_the_width_is_the_terminals_within_bounds),
        cmocka_unit_test(test_colors_yield_to_no_color),
        cmocka_unit_test(test_blocks_need_a_utf8_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
