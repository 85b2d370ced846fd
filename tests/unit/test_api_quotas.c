/* test_api_quotas.c — one quota: get, set, delete, and two operators at once. */
#include "tests/support/test_prelude.h"

#include "tests/support/fake_backend.h"

#define PATH "/v1/tenants/acme/quotas/api.%2A"
#define LIMITS(rate)                                                                                           \
    "{\"limits\":[{\"name\":\"token_bucket\",\"algorithm\":\"token_bucket\",\"rate\":\"" rate                  \
    "\",\"burst\":5,\"scope\":\"key\"}],\"on_store_failure\":\"local\",\"mode\":\"enforce\"}"
#define STANDS(revision, rate)                                                                                 \
    "{\"tenant\":\"acme\",\"resource\":\"api.*\",\"revision\":" revision ",\"quota\":" LIMITS(rate) "}"

static struct call *ask(struct fake_backend *fake, const char *method, const char *if_match,
                        const char *if_none_match, const char *body) {
    struct call_head head = {.method = method,
                             .target = PATH,
                             .from = "192.0.2.1",
                             .content_type = "application/json",
                             .if_match = if_match,
                             .if_none_match = if_none_match};
    return fake_backend_call_head(fake, &head, body);
}

static struct bytes bytes_of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static void test_get_shows_the_quota_with_its_revision(void **state) {
    struct fake_backend *fake = *state;
    struct call *call = ask(fake, "GET", NULL, NULL, NULL);
    fake_backend_expect(&call, 404, "{\"type\":\"about:blank\",\"title\":\"Not Found\"...");
    fake_backend_put(fake, "acme", "api.*", "{\"limits\":[{\"rate\":\"5/s\"}]}", 12);
    call = ask(fake, "GET", NULL, NULL, NULL);
    assert_string_equal(call->answer.etag, "\"12\"");
    assert_string_equal(call->answer.content_type, "application/json");
    fake_backend_expect(&call, 200, STANDS("12", "5/s"));
}

static void test_put_answers_what_get_will(void **state) {
    struct fake_backend *fake = *state;
    struct call *call = ask(fake, "PUT", NULL, NULL, "{\"limits\":[{\"rate\":\"5/s\"}]}");
    assert_false(call_is_answered(call));
    assert_string_equal(fake->heard, "put acme api.* " LIMITS("5/s") " if -1 by local from 192.0.2.1\n");
    fake->change_done(fake->arg, &(struct control_change_result){.outcome = CONTROL_OK, .revision = 13});
    assert_string_equal(call->answer.etag, "\"13\"");
    fake_backend_expect(&call, 201, STANDS("13", "5/s"));
    fake_backend_put(fake, "acme", "api.*", "{\"unlimited\":true}", 13);
    call = ask(fake, "PUT", "\"13\"", NULL, "{\"limits\":[{\"rate\":\"5/s\"}]}");
    assert_non_null(strstr(fake->heard, " if 13 by local"));
    fake->change_done(fake->arg, &(struct control_change_result){.outcome = CONTROL_OK, .revision = 14});
    fake_backend_expect(&call, 200, STANDS("14", "5/s"));
    quota_set_release(&fake->set);
    fake->set = quota_set_create(); /* another frontend has made the quota a moment ago */
    call = ask(fake, "PUT", "\"14\"", NULL, "{\"limits\":[{\"rate\":\"5/s\"}]}");
    fake->change_done(fake->arg, &(struct control_change_result){.outcome = CONTROL_OK, .revision = 15});
    fake_backend_expect(&call, 200, STANDS("15", "5/s"));
    assert_int_equal(fake->n_abandoned, 0);
}

static void test_a_conflict_shows_both_values(void **state) {
    struct fake_backend *fake = *state;
    struct control_change_result conflict = {
        .outcome = CONTROL_CONFLICT, .revision = 14, .current = bytes_of(LIMITS("7/s"))};
    struct call *call = ask(fake, "PUT", "\"13\"", NULL, "{\"limits\":[{\"rate\":\"5/s\"}]}");
    fake->heard[0] = '\0';
    fake->change_done(fake->arg, &conflict);
    assert_string_equal(fake->heard, "refused acme api.* '{\"limits\":[{\"rate\":\"5/s\"}]}' If-Match: "
                                     "the quota has revision 14 by local\n");
    fake_backend_expect(&call, 412,
                        "{\"type\":\"about:blank\",\"title\":\"Precondition Failed\",\"status\":412,"
                        "\"detail\":\"the quota has revision 14\",\"field\":\"If-Match\","
                        "\"current\":" STANDS("14", "7/s") ",\"yours\":" LIMITS("5/s") "}");
    call = ask(fake, "PUT", NULL, "*", "{\"unlimited\":true}");
    assert_non_null(strstr(fake->heard, "{\"unlimited\":true} if 0 by"));
    conflict.current = bytes_of("{\"unlimited\":true}");
    fake->change_done(fake->arg, &conflict);
    fake_backend_expect(&call, 412,
                        "{\"type\":\"about:blank\",\"title\":\"Precondition Failed\",\"status\":412,"
                        "\"detail\":\"the quota has revision 14\",\"field\":\"If-None-Match\"...");
    call = ask(fake, "PUT", "\"3\"", NULL, "{\"unlimited\":true}");
    fake->change_done(fake->arg, &(struct control_change_result){.outcome = CONTROL_CONFLICT});
    fake_backend_expect(&call, 412,
                        "{\"type\":\"about:blank\",\"title\":\"Precondition Failed\",\"status\":412,"
                        "\"detail\":\"there is no quota of this tenant and resource\",\"field\":\"If-Match\","
                        "\"current\":null,\"yours\":{\"unlimited\":true}}");
}

static void test_redis_that_cannot_says_why(void **state) {
    struct fake_backend *fake = *state;
    struct control_change_result result = {
        .outcome = CONTROL_UNAVAILABLE, .may_be_made = true, .reason = "no answer in time"};
    struct call *call = ask(fake, "DELETE", NULL, NULL, NULL);
    fake->change_done(fake->arg, &result);
    assert_int_equal(call->answer.retry_after_s, 1);
    fake_backend_expect(&call, 503,
                        "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\"detail\":"
                        "\"no answer in time; nobody knows whether the change was made\"}");
}

static void test_delete(void **state) {
    struct fake_backend *fake = *state;
    struct call *call = ask(fake, "DELETE", "\"4\"", NULL, NULL);
    assert_string_equal(fake->heard, "delete acme api.* if 4 by local from 192.0.2.1\n");
    fake->change_done(fake->arg, &(struct control_change_result){.outcome = CONTROL_OK, .revision = 5});
    fake_backend_expect(&call, 200, "{\"revision\":5}");
    call = ask(fake, "DELETE", NULL, NULL, NULL);
    fake->change_done(fake->arg, &(struct control_change_result){.outcome = CONTROL_CONFLICT});
    fake_backend_expect(&call, 404, "{\"type\":\"about:blank\",\"title\":\"Not Found\"...");
    call = ask(fake, "DELETE", "\"4\"", NULL, NULL);
    fake->change_done(fake->arg, &(struct control_change_result){.outcome = CONTROL_CONFLICT,
                                                                 .revision = 6,
                                                                 .current = bytes_of(LIMITS("7/s"))});
    fake_backend_expect(&call, 412, "{\"type\":\"about:blank\",\"title\":\"Precondition Failed\"...");
}

static void test_bad_preconditions(void **state) {
    static const struct {
        const char *if_match, *if_none_match, *field;
    } cases[] = {
        {"13", NULL, "If-Match"},     {"\"\"", NULL, "If-Match"},        {"\"013\"", NULL, "If-Match"},
        {"*", NULL, "If-Match"},      {"W/\"13\"", NULL, "If-Match"},    {"\"13\", \"14\"", NULL, "If-Match"},
        {"\"-1\"", NULL, "If-Match"}, {NULL, "\"13\"", "If-None-Match"}, {"\"13\"", "*", "If-None-Match"},
        {"\"", NULL, "If-Match"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct call *call =
            ask(*state, "PUT", cases[i].if_match, cases[i].if_none_match, "{\"unlimited\":true}");
        char end[64];
        snprintf(end, sizeof end, "\"field\":\"%s\"}\n", cases[i].field);
        assert_int_equal(call->answer.status, 400);
        assert_true(buf_append(&call->answer.body, "", 1));
        assert_non_null(strstr((const char *)buf_front(&call->answer.body), end));
        call_close(&call);
    }
}

static void test_bad_quotas_name_field_and_reason(void **state) {
    struct fake_backend *fake = *state;
    static const struct {
        const char *body, *field, *reason;
    } cases[] = {
        {"{\"limits\":[{\"rate\":\"10x/s\"}]}", "limits[0].rate", "'10x/s' is not a rate"},
        {"{\"limits\":[{\"rate\":\"-1/s\"}]}", "limits[0].rate", "'-1/s' is not a rate"},
        {"{\"limits\":[{\"rate\":\"010/s\"}]}", "limits[0].rate", "'010/s' is not a rate"},
        {"{\"limits\":[{\"rate\":\"10000001/s\"}]}", "limits[0].rate", ""},
        {"{\"limits\":[{\"rate\":5}]}", "limits[0].rate", "is a number"},
        {"{\"limits\":[{\"rate\":\"5/s\",\"burst\":0}]}", "limits[0].burst", "0 is below the minimum, 1"},
        {"{\"limits\":[{\"rate\":\"5/s\",\"burst\":1.0}]}", "limits[0].burst", "is a number with a fraction"},
        {"{\"limits\":[{\"rate\":\"5/s\",\"burst\":1e3}]}", "limits[0].burst", "is a number with a fraction"},
        {"{\"limits\":[{\"rate\":\"5/s\",\"burst\":-1}]}", "limits[0].burst", ""},
        {"{\"limits\":[{\"rate\":\"5/s\",\"burst\":\"5\"}]}", "limits[0].burst", "is a string"},
        {"{\"limits\":[{\"rate\":\"5/s\",\"brust\":5}]}", "limits[0].brust", "there is no such field"},
        {"{\"limits\":[{\"rate\":\"5/s\",\"name\":\"abcdefghijklmnopqrstuvwxyzabcdefg\"}]}", "limits[0].name",
         ""},
        {"{\"limits\":[{\"rate\":\"5/s\",\"scope\":\"user\"}]}", "limits[0].scope", "'user' is none of key"},
        {"{\"limits\":[{\"rate\":\"5/s\",\"scope\":\"tenant\"}]}", "limits[0].name", "give it a name"},
        {"{\"limits\":[{\"rate\":\"5/s\",\"scope\":\"global\",\"name\":\"a\"}]}", "limits",
         "'a' has scope global"},
        {"{\"limits\":[]}", "limits", "is empty"},
        {"{\"limit\":[]}", "limit", "there is no such field"},
        {"{\"limits\":[{\"rate\":\"5/s\"}],\"mode\":\"off\"}", "mode", "'off'"},
        {"{}", "", ""},
        {"[]", "body", "is a list; an object is needed"},
        {"{\"limits\":[{\"rate\":\"5/s\"}],\"limits\":[]}", "body", "is not good JSON"},
        {"{\"limits\":[{\"rate\":\"5/s\",\"burst\":010}]}", "body", "is not good JSON"},
        {"{\"unlimited\":true} x", "body", "is not good JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct call *call = ask(fake, "PUT", NULL, NULL, cases[i].body);
        char field[96], reason[96];
        snprintf(field, sizeof field, "\"field\":\"%s", cases[i].field);
        snprintf(reason, sizeof reason, "\"detail\":\"%s", cases[i].reason);
        assert_true(buf_append(&call->answer.body, "", 1));
        const char *text = (const char *)buf_front(&call->answer.body);
        if (call->answer.status != 400 || strstr(text, field) == NULL || strstr(text, reason) == NULL) {
            fail_msg("%s: %s", cases[i].body, text);
        }
        call_close(&call);
        assert_memory_equal(fake->heard, "refused acme api.* '", 20);
        assert_null(strstr(fake->heard, "put"));
        fake->heard[0] = '\0';
    }
}

static void test_bad_patterns(void **state) {
    static const struct {
        const char *path, *field;
    } cases[] = {
        {"/v1/tenants//quotas/r", "tenant"},     {"/v1/tenants/a/quotas/", "resource"},
        {"/v1/tenants/a%00/quotas/r", "tenant"}, {"/v1/tenants/a/quotas/r%0a", "resource"},
        {"/v1/tenants/a*/quotas/r", "tenant"},   {"/v1/tenants/a/quotas/*r", "resource"},
        {"/v1/tenants/a%ff/quotas/r", "tenant"}, {"/v1/tenants/a/quotas/%c3", "resource"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct call *call = fake_backend_call(*state, "PUT", cases[i].path, "{\"unlimited\":true}");
        char end[64];
        snprintf(end, sizeof end, "\"field\":\"%s\"}\n", cases[i].field);
        assert_int_equal(call->answer.status, 400);
        assert_true(buf_append(&call->answer.body, "", 1));
        assert_non_null(strstr((const char *)buf_front(&call->answer.body), end));
        call_close(&call);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_backend_set_up, fake_backend_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_get_shows_the_quota_with_its_revision),
        TEST(test_put_answers_what_get_will),
        TEST(test_a_conflict_shows_both_values),
        TEST(test_redis_that_cannot_says_why),
        TEST(test_delete),
        TEST(test_bad_preconditions),
        TEST(test_bad_quotas_name_field_and_reason),
        TEST(test_bad_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
