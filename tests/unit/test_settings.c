/* test_settings.c — where address and token come from, and what is refused. */
#include "tests/support/test_prelude.h"

#include <sys/stat.h>
#include <unistd.h>

#include "admin/ctl/settings.h"

struct home {
    char dir[64], file[128], token_file[128];
};

static void write_file(const char *path, const char *text, mode_t mode) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static int open_home(void **state) {
    struct home *home = calloc(1, sizeof *home);
    char path[96];
    assert_non_null(home);
    snprintf(home->dir, sizeof home->dir, "/tmp/sluice-settings.XXXXXX");
    assert_non_null(mkdtemp(home->dir));
    snprintf(path, sizeof path, "%s/.config", home->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/.config/sluice", home->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(home->file, sizeof home->file, "%s/%s", home->dir, SETTINGS_FILE);
    snprintf(home->token_file, sizeof home->token_file, "%s/token", home->dir);
    *state = home;
    return 0;
}

static int close_home(void **state) {
    struct home *home = *state;
    char path[96];
    unlink(home->file);
    unlink(home->token_file);
    snprintf(path, sizeof path, "%s/.config/sluice", home->dir);
    rmdir(path);
    snprintf(path, sizeof path, "%s/.config", home->dir);
    rmdir(path);
    rmdir(home->dir);
    free(home);
    return 0;
}

static void assert_settings(const struct settings_sources *sources, const char *admin, const char *token) {
    struct settings settings;
    struct status status = {""};
    if (!settings_load(&settings, sources, &status)) {
        fail_msg("%s", status.text);
    }
    assert_string_equal(settings.admin, admin);
    if (token == NULL) {
        assert_null(settings.token);
    } else {
        assert_string_equal(settings.token, token);
    }
    settings_deinit(&settings);
}

static void assert_refused(const struct settings_sources *sources, const char *reason) {
    struct settings settings;
    struct status status = {""};
    assert_false(settings_load(&settings, sources, &status));
    assert_null(settings.admin);
    assert_null(settings.token);
    if (strstr(status.text, reason) == NULL) {
        fail_msg("\"%s\" is not in: %s", reason, status.text);
    }
}

static void test_without_anything_it_is_loopback_and_no_token(void **state) {
    const struct home *home = *state;
    assert_settings(&(struct settings_sources){.home = home->dir}, "http://127.0.0.1:7381", NULL);
    assert_settings(&(struct settings_sources){.admin_variable = "", .token_variable = ""},
                    "http://127.0.0.1:7381", NULL);
}

static void test_flag_wins_over_variable_over_file(void **state) {
    const struct home *home = *state;
    struct settings_sources sources = {.home = home->dir};
    write_file(home->file, "admin: file:1\ntoken: from-file\n", 0600);
    write_file(home->token_file, "from-flag\n", 0600);
    assert_settings(&sources, "http://file:1", "from-file");
    sources.admin_variable = "variable:2";
    sources.token_variable = "from-variable";
    assert_settings(&sources, "http://variable:2", "from-variable");
    sources.admin_flag = "https://flag:3/";
    sources.token_file_flag = home->token_file;
    assert_settings(&sources, "https://flag:3", "from-flag");
}

static void test_address_and_token_may_come_from_different_places(void **state) {
    const struct home *home = *state;
    write_file(home->file, "token: from-file\n", 0600);
    assert_settings(&(struct settings_sources){.home = home->dir, .admin_flag = "[::1]:7381"},
                    "http://[::1]:7381", "from-file");
}

static void test_a_token_that_others_may_read_draws_a_warning(void **state) {
    const struct home *home = *state;
    struct settings settings;
    struct settings_sources sources = {.home = home->dir};
    write_file(home->file, "token: t\n", 0640);
    assert_true(settings_load(&settings, &sources, NULL));
    assert_non_null(strstr(settings.warning.text, "chmod 600"));
    settings_deinit(&settings);
    sources.token_variable = "other";
    assert_true(settings_load(&settings, &sources, NULL));
    assert_string_equal(settings.warning.text, "");
    settings_deinit(&settings);
}

static void test_nonsense_is_refused(void **state) {
    const struct home *home = *state;
    static const char *const addresses[] = {"http://",   "ftp://host:1", "http://user:password@host",
                                            "host:1/v1", "host 1",       "http://h?x",
                                            "h\r\nX: y"};
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        assert_refused(&(struct settings_sources){.admin_flag = addresses[i]}, "is no admin address");
    }
    assert_refused(&(struct settings_sources){.token_variable = "two words"}, "no token may have");
    assert_refused(&(struct settings_sources){.token_variable = "a\r\nX-Evil: 1"}, "no token may have");
    assert_refused(&(struct settings_sources){.token_file_flag = "/nonexistent/token"}, "/nonexistent/token");
    write_file(home->file, "admin: h:1\ntokn: x\n", 0600);
    assert_refused(&(struct settings_sources){.home = home->dir}, "tokn: there is no such field");
    write_file(home->file, "admin: [h:1]\n", 0600);
    assert_refused(&(struct settings_sources){.home = home->dir}, "config.yaml:1: admin");
}
int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_without_anything_it_is_loopback_and_no_token, open_home,
                                        close_home),
        cmocka_unit_test_setup_teardown(test_flag_wins_over_variable_over_file, open_home, close_home),
        cmocka_unit_test_setup_teardown(test_address_and_token_may_come_from_different_places, open_home,
                                        close_home),
        cmocka_unit_test_setup_teardown(test_a_token_that_others_may_read_draws_a_warning, open_home,
                                        close_home),
        cmocka_unit_test_setup_teardown(test_nonsense_is_refused, open_home, close_home),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
