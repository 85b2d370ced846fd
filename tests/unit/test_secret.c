/* test_secret.c — a password is one line of a file, and never shown. */
#include "tests/support/test_prelude.h"

#include <unistd.h>

#include "server/base/secret.h"

static char path[] = "/tmp/sluice-secret.XXXXXX";

static int make_file(void **state) {
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state) {
    (void)state;
    return unlink(path);
}

static void write_file(const char *bytes, size_t n_bytes) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n_bytes, file), n_bytes);
    assert_int_equal(fclose(file), 0);
}

static void assert_read(const char *text, const char *expected) {
    struct status status;
    write_file(text, strlen(text));
    char *secret = secret_read(path, &status);
    assert_non_null(secret);
    assert_string_equal(secret, expected);
    secret_destroy(&secret);
    assert_null(secret);
    secret_destroy(&secret);
}

static void assert_refused(const char *bytes, size_t n_bytes, const char *reason) {
    struct status status;
    write_file(bytes, n_bytes);
    assert_null(secret_read(path, &status));
    assert_non_null(strstr(status.text, reason));
    assert_null(strstr(status.text, "hunter"));
}

static void test_a_password_is_the_files_line(void **state) {
    (void)state;
    assert_read("hunter2", "hunter2");
    assert_read("hunter2\n", "hunter2");
    assert_read("hunter2\r\n", "hunter2");
    assert_read(" with blanks \n", " with blanks ");
}

static void test_anything_else_is_refused_without_showing_it(void **state) {
    (void)state;
    assert_refused("", 0, "there is no password in it");
    assert_refused("\n", 1, "there is no password in it");
    assert_refused("hunter\n2\n", 9, "one line");
    assert_refused("hunter\0002", 8, "one line");
}

static void test_the_longest_password_fits(void **state) {
    (void)state;
    char text[SECRET_MAX_BYTES + 2];
    memset(text, 'x', sizeof text);
    text[SECRET_MAX_BYTES] = '\0';
    assert_read(text, text);
    assert_refused("hunter", 0, "there is no password in it");
    text[SECRET_MAX_BYTES] = 'x';
    assert_refused(text, SECRET_MAX_BYTES + 1, "at most 512 bytes");
}

static void test_a_missing_file_is_named(void **state) {
    (void)state;
    struct status status;
    assert_null(secret_read("/nowhere/secret", &status));
    assert_string_equal(status.text, "/nowhere/secret: No such file or directory");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_password_is_the_files_line),
        cmocka_unit_test(test_anything_else_is_refused_without_showing_it),
        cmocka_unit_test(test_the_longest_password_fits),
        cmocka_unit_test(test_a_missing_file_is_named),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
