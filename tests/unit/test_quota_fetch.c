/* test_quota_fetch.c — the call that is made, the quota that comes back, and answers that hold none. */
#include "tests/support/test_prelude.h"

#include "client/cmd/quota_fetch.h"
#include "tests/support/fake_http.h"

enum { TIMEOUT_US = 10 * 1000 * 1000 };

static int open_fake(void **state) {
    *state = fake_http_start();
    return 0;
}

static int close_fake(void **state) {
    struct fake_http *fake = *state;
    fake_http_stop(&fake);
    return 0;
}

static struct quota_set *fetch(const struct fake_http *fake, const char *token, const char *resource,
                               struct status *status) {
    struct settings_sources sources = {.admin_flag = fake_http_address(fake), .token_variable = token};
    struct status warning;
    struct quota_set *set = quota_fetch(&sources, "t", resource, TIMEOUT_US, &warning, status);
    assert_string_equal(warning.text, "");
    return set;
}

static void test_the_quota_is_asked_for_and_found(void **state) {
    struct status status = {""};
    struct fake_http *fake = *state;
    fake_http_reply(fake, 200,
                    "{\"tenant\":\"t\",\"resource\":\"a/*\",\"revision\":12,\"quota\":{\"limits\":[{\"rate\":"
                    "\"7/s\",\"burst\":9}]}}");
    struct quota_set *set = fetch(fake, "secret", "a/*", &status);
    assert_non_null(set);
    const struct quota *quota =
        quota_set_find(set, (struct bytes){(const uint8_t *)"t", 1}, (struct bytes){(const uint8_t *)"a/b", 3});
    assert_non_null(quota);
    assert_int_equal(quota->revision, 12);
    assert_int_equal(quota->limits[0].count, 7);
    assert_int_equal(quota->limits[0].burst_utok, 9 * BUCKET_UTOK_PER_TOKEN);
    quota_set_release(&set);
    char *heard = fake_http_heard(fake);
    assert_string_equal(heard, "GET /v1/tenants/t/quotas/a%2F%2A\nAuthorization: Bearer secret\n");
    free(heard);
}

static void test_an_answer_without_a_quota_is_refused(void **state) {
    static const struct {
        int status;
        const char *body, *reason;
    } cases[] = {
        {404, "{\"title\":\"Not Found\"}",
         "has no quota t r; --tenant and --resource name one as it is stored"},
        {401, "{}", "refuses callers without a token; set one by --token-file, SLUICE_TOKEN"},
        {200, "hello", "is it the admin address of sluiced?"},
        {200, "{}", "the answer holds no quota with its revision"},
        {200, "{\"revision\":-1,\"quota\":{\"unlimited\":true}}",
         "the answer holds no quota with its revision"},
        {200, "{\"revision\":1,\"quota\":{\"limits\":[{\"rate\":\"x\"}]}}",
         "the answer: quota.limits[0].rate: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct status status = {""};
        fake_http_reply(*state, cases[i].status, cases[i].body);
        assert_null(fetch(*state, NULL, "r", &status));
        if (strstr(status.text, cases[i].reason) == NULL) {
            fail_msg("\"%s\" is not in: %s", cases[i].reason, status.text);
        }
    }
}

static void test_settings_that_are_nonsense_are_refused(void **state) {
    struct settings_sources sources = {.admin_flag = "http://"};
    struct status warning, status = {""};
    (void)state;
    assert_null(quota_fetch(&sources, "t", "r", TIMEOUT_US, &warning, &status));
    assert_non_null(strstr(status.text, "is no admin address"));
    assert_string_equal(warning.text, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_quota_is_asked_for_and_found, open_fake, close_fake),
        cmocka_unit_test_setup_teardown(test_an_answer_without_a_quota_is_refused, open_fake, close_fake),
        cmocka_unit_test(test_settings_that_are_nonsense_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
