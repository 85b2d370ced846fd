/* test_url.c — any text becomes a part of a path, and only one part. */
#include "tests/support/test_prelude.h"

#include "admin/ctl/url.h"

static void assert_url(const char *expected, const char *form, const char *a, const char *b) {
    struct buf url = {0};
    assert_true(url_append(&url, form, a, b));
    assert_string_equal((const char *)buf_front(&url), expected);
    assert_int_equal(buf_len(&url), strlen(expected));
    buf_deinit(&url);
}

static void test_names_stand_as_they_are(void **state) {
    (void)state;
    assert_url("/v1/tenants/acme/quotas/api.read", "/v1/tenants/%/quotas/%", "acme", "api.read");
}

static void test_what_could_change_the_path_is_encoded(void **state) {
    (void)state;
    assert_url("/t/a%2Fb%3Fc%23d%25%20%26/q/api.%2A", "/t/%/q/%", "a/b?c#d% &", "api.*");
    assert_url("/t/%2E%2E/q/%2E", "/t/%/q/%", "..", ".");
    assert_url("/t/%C3%A9%FF/q/", "/t/%/q/%", "\xc3\xa9\xff", "");
}

static void test_a_second_piece_follows_the_first(void **state) {
    struct buf url = {0};
    (void)state;
    assert_true(url_append(&url, "/v1/quotas?limit=2"));
    assert_true(url_append(&url, "&after=%", "a=b"));
    assert_string_equal((const char *)buf_front(&url), "/v1/quotas?limit=2&after=a%3Db");
    buf_deinit(&url);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_stand_as_they_are),
        cmocka_unit_test(test_what_could_change_the_path_is_encoded),
        cmocka_unit_test(test_a_second_piece_follows_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
