/* test_quota_value.c — quotas as members of JSON answers. */
#include "tests/support/test_prelude.h"

#include <jansson.h>

#include "admin/quota_value.h"
#include "tests/support/fake_backend.h"

static struct bytes bytes_of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static void test_a_quota_has_its_pattern_and_revision(void **state) {
    (void)state;
    struct fake_backend fake;
    fake_backend_init(&fake);
    fake_backend_put(&fake, "acme", "*", "{\"unlimited\":true}", 3);
    json_t *value = quota_value_of_quota(quota_set_get(fake.set, bytes_of("acme"), bytes_of("*")));
    char *text = json_dumps(value, JSON_COMPACT);
    assert_string_equal(text, "{\"tenant\":\"acme\",\"resource\":\"*\",\"revision\":3,"
                              "\"quota\":{\"unlimited\":true}}");
    free(text);
    json_decref(value);
    assert_null(quota_value_create(bytes_of("a"), bytes_of("b"), 1, NULL));
    fake_backend_deinit(&fake);
}

static void test_a_bad_pattern_is_refused_below_its_path(void **state) {
    (void)state;
    struct fake_backend fake;
    fake_backend_init(&fake);
    struct call_head head = {.method = "GET", .target = "/v1/tenants/a/quotas/b", .from = "::1"};
    struct call *call = call_open(&fake.admin, &head);
    assert_true(quota_value_judge_pattern(call, "", bytes_of("a"), bytes_of("b*")));
    assert_false(quota_value_judge_pattern(call, "changes[2].", bytes_of("a"), bytes_of("b*c")));
    assert_int_equal(call->answer.status, 400);
    assert_true(buf_append(&call->answer.body, "", 1));
    assert_non_null(strstr((const char *)buf_front(&call->answer.body), "\"field\":\"changes[2].resource\""));
    call_close(&call);
    fake_backend_deinit(&fake);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_quota_has_its_pattern_and_revision),
        cmocka_unit_test(test_a_bad_pattern_is_refused_below_its_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
