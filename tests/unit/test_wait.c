/* test_wait.c — who lags behind a revision, and how long that is borne. */
#include "tests/support/test_prelude.h"

#include "admin/ctl/wait.h"
#include "tests/support/fake_http.h"

static const char behind[] = "{\"self\":\"a\",\"revision\":12,\"frontends\":["
                             "{\"id\":\"a\",\"address\":\"127.0.0.1:1\",\"revision\":12},"
                             "{\"id\":\"b\",\"address\":\"127.0.0.1:2\",\"revision\":11},"
                             "{\"id\":\"c\",\"address\":\"127.0.0.1:3\"}]}";
static const char everywhere[] =
    "{\"frontends\":[{\"id\":\"a\",\"revision\":12},{\"id\":\"b\",\"revision\":13}]}";

static struct wait_result judge(const char *text, int64_t revision) {
    struct wait_result result = {.is_everywhere = false};
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    wait_judge(json, revision, &result);
    json_decref(json);
    return result;
}

static void test_those_behind_are_named(void **state) {
    (void)state;
    struct wait_result result = judge(behind, 12);
    assert_false(result.is_everywhere);
    assert_int_equal(result.n_frontends, 3);
    assert_string_equal(result.laggards.text, "b at 127.0.0.1:2 (revision 11), c at 127.0.0.1:3 (revision 0)");
    assert_string_equal(judge(behind, 11).laggards.text, "c at 127.0.0.1:3 (revision 0)");
}

static void test_later_revisions_count_too(void **state) {
    (void)state;
    assert_true(judge(everywhere, 12).is_everywhere);
    assert_string_equal(judge(everywhere, 12).laggards.text, "");
    assert_string_equal(judge(everywhere, 13).laggards.text, "a at  (revision 12)");
}

static void test_no_frontend_is_not_everywhere(void **state) {
    (void)state;
    assert_false(judge("{\"frontends\":[]}", 1).is_everywhere);
    assert_false(judge("{}", 1).is_everywhere);
    assert_non_null(strstr(judge("{}", 1).laggards.text, "no frontend is known"));
}

static struct wait_result wait_against(struct fake_http *fake, int64_t limit_us) {
    char admin[64];
    struct wait_result result;
    snprintf(admin, sizeof admin, "http://%s", fake_http_address(fake));
    struct api api = {.http = http_client_create(), .admin = admin, .timeout_us = 10 * 1000 * 1000};
    assert_non_null(api.http);
    wait_for_revision(&api, 12, limit_us, &result);
    http_client_destroy(&api.http);
    return result;
}

static void test_it_asks_until_all_have_it(void **state) {
    struct fake_http *fake = fake_http_start();
    (void)state;
    fake_http_reply_often(fake, 2, 200, behind);
    fake_http_reply(fake, 503, "{}");
    fake_http_reply(fake, 200, everywhere);
    struct wait_result result = wait_against(fake, 60 * 1000 * 1000);
    assert_true(result.is_everywhere);
    assert_int_equal(result.n_frontends, 2);
    fake_http_stop(&fake);
}

static void test_it_gives_up_in_time_with_what_was_last_known(void **state) {
    struct fake_http *fake = fake_http_start();
    (void)state;
    fake_http_reply(fake, 200, behind);
    fake_http_reply_never(fake);
    struct wait_result result = wait_against(fake, 60 * 1000);
    assert_false(result.is_everywhere);
    assert_true(result.took_us >= 60 * 1000);
    assert_string_equal(result.laggards.text, "b at 127.0.0.1:2 (revision 11), c at 127.0.0.1:3 (revision 0)");
    fake_http_stop(&fake);
}

static void test_without_any_answer_it_says_so(void **state) {
    struct fake_http *fake = fake_http_start();
    (void)state;
    fake_http_reply_often(fake, 100, 503, "{\"detail\":\"Redis is down\"}");
    struct wait_result result = wait_against(fake, 20 * 1000);
    assert_false(result.is_everywhere);
    assert_int_equal(result.n_frontends, 0);
    assert_non_null(strstr(result.laggards.text, "(503): Redis is down"));
    fake_http_stop(&fake);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_those_behind_are_named),
        cmocka_unit_test(test_later_revisions_count_too),
        cmocka_unit_test(test_no_frontend_is_not_everywhere),
        cmocka_unit_test(test_it_asks_until_all_have_it),
        cmocka_unit_test(test_it_gives_up_in_time_with_what_was_last_known),
        cmocka_unit_test(test_without_any_answer_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
