/* test_quota_json.c — JSON is read as strictly as the quota file, and written in one form. */
#include "tests/support/test_prelude.h"

#include <jansson.h>

#include "server/quota/quota_json.h"

static struct bytes of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static void assert_written(const char *text, const char *expected) {
    struct quota_rules rules;
    struct status status = {""};
    struct buf out = {0};
    bool is_good = quota_json_read(of(text), &rules, &status);
    assert_string_equal(status.text, "");
    assert_true(is_good);
    assert_true(quota_json_write(&rules, &out));
    assert_int_equal(buf_len(&out), strlen(expected));
    assert_memory_equal(buf_front(&out), expected, strlen(expected));
    buf_deinit(&out);
}

static void assert_refused(const char *text, const char *reason) {
    struct quota_rules rules;
    struct status status = {""};
    assert_false(quota_json_read(of(text), &rules, &status));
    assert_string_equal(status.text, reason);
}

static void assert_limit_refused(const char *limit, const char *reason) {
    char text[512], expected[512];
    snprintf(text, sizeof text, "{\"limits\":[%s]}", limit);
    snprintf(expected, sizeof expected, "limits[0]%s", reason);
    assert_refused(text, expected);
}

static void test_what_is_written_has_every_field(void **state) {
    (void)state;
    static const char full[] =
        "{\"limits\":[{\"name\":\"second\",\"algorithm\":\"token_bucket\",\"rate\":\"100/s\","
        "\"burst\":200,\"scope\":\"key\"}],\"on_store_failure\":\"local\","
        "\"mode\":\"enforce\"}";
    assert_written(full, full);
    assert_written(
        " {\"mode\":\"enforce\", \"limits\":[{\"rate\":\"6000/min\",\"burst\":200,\"name\":\"second\"}]}\n",
        full);
    assert_written(
        "{\"limits\":[{\"rate\":\"1000000/day\"},{\"algorithm\":\"leaky_bucket\",\"rate\":\"0\"}],"
        "\"on_store_failure\":\"deny\",\"mode\":\"shadow\",\"unlimited\":false}",
        "{\"limits\":[{\"name\":\"token_bucket\",\"algorithm\":\"token_bucket\",\"rate\":\"1000000/day\","
        "\"burst\":11,\"scope\":\"key\"},{\"name\":\"leaky_bucket\",\"algorithm\":\"leaky_bucket\","
        "\"rate\":\"0/s\",\"burst\":1,\"scope\":\"key\"}],\"on_store_failure\":\"deny\","
        "\"mode\":\"shadow\"}");
    assert_written("{ \"unlimited\" : true }", "{\"unlimited\":true}");
    assert_written("{\"limits\":[{\"rate\":\"9/s\",\"scope\":\"tenant\",\"name\":\"all\"},{\"rate\":\"1/s\"}]}",
                   "{\"limits\":[{\"name\":\"token_bucket\",\"algorithm\":\"token_bucket\",\"rate\":\"1/s\","
                   "\"burst\":1,\"scope\":\"key\"},{\"name\":\"all\",\"algorithm\":\"token_bucket\","
                   "\"rate\":\"9/s\",\"burst\":9,\"scope\":\"tenant\"}],\"on_store_failure\":\"local\","
                   "\"mode\":\"enforce\"}");
}

static void test_wrong_values_are_named_by_path_and_reason(void **state) {
    (void)state;
    assert_limit_refused("{\"rate\":\"10x/s\"}",
                         ".rate: '10x/s' is not a rate, such as 100/s, 5000/min, 20/h or 1000000/day");
    assert_limit_refused("{\"rate\":\"010/s\"}",
                         ".rate: '010/s' is not a rate, such as 100/s, 5000/min, 20/h or 1000000/day"
                         " (no leading zero is allowed)");
    assert_limit_refused("{\"rate\":\"10000001/s\"}",
                         ".rate: rate 10000001 per 1 s: more than 10000000 per second");
    assert_limit_refused("{\"rate\":100}", ".rate: is a number; a string is needed");
    assert_limit_refused("{\"burst\":1}", ": 'rate' is missing");
    assert_limit_refused("{\"rate\":\"1/s\",\"burst\":0}", ".burst: 0 is below the minimum, 1");
    assert_limit_refused("{\"rate\":\"1/s\",\"burst\":-3}",
                         ".burst: '-3' is not a whole number, such as 10 (no sign is allowed)");
    assert_limit_refused("{\"rate\":\"1/s\",\"burst\":1000000001}",
                         ".burst: 1000000001 is above the maximum, 1000000000");
    assert_limit_refused("{\"rate\":\"1/s\",\"burst\":\"10\"}",
                         ".burst: is a string; a whole number, such as 10, is needed");
    assert_limit_refused(
        "{\"rate\":\"1/s\",\"burst\":1.0}",
        ".burst: is a number with a fraction or an exponent; a whole number, such as 10, is needed");
    assert_limit_refused(
        "{\"rate\":\"1/s\",\"burst\":1e3}",
        ".burst: is a number with a fraction or an exponent; a whole number, such as 10, is needed");
    assert_limit_refused("{\"rate\":\"1/s\",\"name\":\"a b\"}",
                         ".name: 'a b': a limit's name has only letters, digits and _ . -");
    assert_limit_refused("{\"rate\":\"1/s\",\"scope\":\"user\"}",
                         ".scope: 'user' is none of key, resource, tenant and global");
    assert_limit_refused("{\"rate\":\"1/s\",\"scope\":\"tenant\"}",
                         ".name: give it a name: limits of scope tenant are shared by name");
    assert_limit_refused(
        "{\"rate\":\"1/s\",\"brust\":1}",
        ".brust: there is no such field here; the fields are: name, algorithm, rate, burst, scope");
    assert_limit_refused("5", ": is a number; an object is needed");
    assert_refused(
        "{\"limits\":[{\"rate\":\"1/s\"},{\"rate\":\"1/h\"}]}",
        "limits[1].name: the name 'token_bucket' is also that of limits[0]; give each limit a name of"
        " its own");
}

static void test_wrong_quotas_are_refused(void **state) {
    (void)state;
    assert_refused("{}", "'limits' is missing");
    assert_refused("[]", "is a list; an object is needed");
    assert_refused("{\"limits\":[]}", "limits: is empty; at least one limit is needed");
    assert_refused("{\"limits\":{}}", "limits: is an object; a list is needed");
    assert_refused("{\"limits\":null}", "limits: is null; a list is needed");
    assert_refused("{\"unlimited\":\"true\"}", "unlimited: is a string; true or false is needed");
    assert_refused("{\"unlimited\":true,\"mode\":\"shadow\"}",
                   "mode: means nothing beside 'unlimited: true'; leave one of the two out");
    assert_refused("{\"mode\":\"dry\",\"limits\":[{\"rate\":\"1/s\"}]}",
                   "mode: 'dry' is neither enforce nor shadow");
    assert_refused(
        "{\"mod\\u0001\":1,\"limits\":[{\"rate\":\"1/s\"}]}",
        "mod?: there is no such field here; the fields are: limits, on_store_failure, mode, unlimited");
}

static void assert_no_json(const char *text, size_t len) {
    struct quota_rules rules;
    struct status status = {""};
    assert_false(quota_json_read((struct bytes){(const uint8_t *)text, len}, &rules, &status));
    assert_non_null(strstr(status.text, "is not good JSON: line 1, column "));
}

static void test_what_is_not_json_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"",
                                        "5",
                                        "{",
                                        "{\"unlimited\":true} x",
                                        "{\"unlimited\":true,}",
                                        "{\"unlimited\":true,\"unlimited\":true}",
                                        "{\"limits\":[{\"rate\":\"1/s\",\"burst\":010}]}",
                                        "{\"limits\":[{\"rate\":\"1/s\",\"burst\":99999999999999999999}]}",
                                        "{\"limits\":[{\"rate\":\"1/s\",\"burst\":NaN}]}",
                                        "{\"mode\":\"a\\u0000b\"}",
                                        "{\"mode\":\"\xff\"}",
                                        "{\"mode\":\"a\nb\"}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_no_json(texts[i], strlen(texts[i]));
    }
    assert_no_json("{\"unlimited\"\0:true}", sizeof "{\"unlimited\"\0:true}" - 1);
}

static void test_deep_and_large_texts_are_refused(void **state) {
    (void)state;
    static char text[QUOTA_JSON_MAX_BYTES + 1];
    struct quota_rules rules;
    struct status status;
    memset(text, '[', sizeof text);
    assert_no_json(text, QUOTA_JSON_MAX_BYTES);
    assert_false(quota_json_read((struct bytes){(const uint8_t *)text, sizeof text}, &rules, &status));
    assert_string_equal(status.text, "is larger than 64KiB");
}

static void test_a_part_of_a_document_is_named_by_its_path(void **state) {
    (void)state;
    struct quota_rules rules;
    struct status status;
    json_t *value = json_loads("{\"limits\":[{\"rate\":\"1/s\"},{\"name\":\"b\",\"rate\":\"x\"}]}", 0, NULL);
    assert_false(quota_json_read_value(value, "changes[3].quota", &rules, &status));
    assert_string_equal(status.text,
                        "changes[3].quota.limits[1].rate: 'x' is not a rate, such as 100/s, 5000/min,"
                        " 20/h or 1000000/day");
    json_decref(value);
    value = json_loads("{\"unlimited\":false}", 0, NULL);
    assert_false(quota_json_read_value(value, "changes[3].quota", &rules, &status));
    assert_string_equal(status.text, "changes[3].quota: 'limits' is missing");
    json_decref(value);
    value = json_loads("{\"unlimited\":true}", 0, NULL);
    assert_true(quota_json_read_value(value, "changes[3].quota", &rules, &status));
    assert_true(rules.is_unlimited);
    json_decref(value);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_has_every_field),
        cmocka_unit_test(test_wrong_values_are_named_by_path_and_reason),
        cmocka_unit_test(test_wrong_quotas_are_refused),
        cmocka_unit_test(test_what_is_not_json_is_refused),
        cmocka_unit_test(test_deep_and_large_texts_are_refused),
        cmocka_unit_test(test_a_part_of_a_document_is_named_by_its_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
