/* test_quota_line.c — quotas as people read them. */
#include "tests/support/test_prelude.h"

#include "admin/ctl/quota_line.h"

static void test_a_quota_is_one_line(void **state) {
    static const struct {
        const char *json, *line;
    } cases[] = {
        {"{\"limits\":[{\"name\":\"token_bucket\",\"algorithm\":\"token_bucket\",\"rate\":\"100/"
         "s\",\"burst\":200,"
         "\"scope\":\"key\"}],\"on_store_failure\":\"local\",\"mode\":\"enforce\"}",
         "100/s burst 200"},
        {"{\"limits\":[{\"name\":\"second\",\"algorithm\":\"token_bucket\",\"rate\":\"100/s\",\"burst\":200},"
         "{\"name\":\"queue\",\"algorithm\":\"leaky_bucket\",\"rate\":\"6/min\",\"burst\":5}],"
         "\"on_store_failure\":\"deny\",\"mode\":\"shadow\"}",
         "second 100/s burst 200, queue leaky_bucket 6/min burst 5; shadow; on store failure deny"},
        {"{\"limits\":[{\"algorithm\":\"leaky_bucket\",\"name\":\"leaky_bucket\",\"rate\":\"0/"
         "s\",\"burst\":1}]}",
         "leaky_bucket 0/s burst 1 (ban)"},
        {"{\"limits\":[{\"rate\":\"9/s\",\"burst\":4,\"scope\":\"key\"},"
         "{\"name\":\"day\",\"rate\":\"100/day\",\"burst\":7,\"scope\":\"tenant\"}]}",
         "9/s burst 4, day 100/day burst 7 scope tenant"},
        {"{\"limits\":[{\"rate\":\"0\"}]}", "0 (ban)"},
        {"{\"unlimited\":true}", "unlimited"},
        {"null", "none"},
        {"", "none"},
        {"[]", "none"},
        {"allow", "allow"},
        {"{\"limits\":[{\"name\":\"a\\u001b\",\"rate\":\"1/s\"}]}", "a? 1/s"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(quota_line_show_text(cases[i].json).text, cases[i].line);
    }
}

static void test_a_long_one_is_cut(void **state) {
    json_t *limits = json_array();
    (void)state;
    for (int i = 0; i < 100; i++) {
        json_array_append_new(limits, json_pack("{s:s}", "rate", "1000000/day"));
    }
    json_t *quota = json_pack("{s:o}", "limits", limits);
    struct quota_line line = quota_line_show(quota);
    assert_int_equal(strlen(line.text), QUOTA_LINE_BYTES - 1);
    json_decref(quota);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_quota_is_one_line),
        cmocka_unit_test(test_a_long_one_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
