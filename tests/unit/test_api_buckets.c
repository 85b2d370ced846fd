/* test_api_buckets.c — a key's buckets: any key, levels in tokens, reset. */
#include "tests/support/test_prelude.h"

#include "tests/support/fake_backend.h"

static int setup(void **state) {
    fake_backend_set_up(state);
    struct fake_backend *fake = *state;
    fake_backend_put(fake, "acme", "api.*", "{\"limits\":[{\"name\":\"s\",\"rate\":\"100/s\",\"burst\":200}]}",
                     1);
    fake_backend_put(fake, "acme", "shared",
                     "{\"limits\":[{\"name\":\"u\",\"rate\":\"1/s\"},"
                     "{\"name\":\"all\",\"rate\":\"9/s\",\"scope\":\"resource\"},"
                     "{\"name\":\"contract\",\"rate\":\"20/s\",\"scope\":\"tenant\"}]}",
                     1);
    fake_backend_put(fake, "*", "r", "{\"limits\":[{\"name\":\"site\",\"rate\":\"1/s\",\"scope\":\"global\"}]}",
                     1);
    fake_backend_put(fake, "acme", "free", "{\"unlimited\":true}", 2);
    return 0;
}

static void test_levels_are_in_tokens(void **state) {
    struct fake_backend *fake = *state;
    struct call *call =
        fake_backend_call(fake, "GET", "/v1/tenants/acme/buckets/api.read/al%00ice%2f:reset", NULL);
    assert_string_equal(fake->heard, "look acme api.read 616c006963652f3a7265736574\n");
    struct control_bucket_result result = {.outcome = CONTROL_OK, .quota = fake->quota};
    result.levels_utok[0] = INT64_C(150500000);
    result.full_after_us[0] = 495000;
    fake->bucket_done(fake->arg, &result);
    fake_backend_expect(
        &call, 200,
        "{\"tenant\":\"acme\",\"resource\":\"api.read\",\"key\":\"al\\u0000ice/:reset\","
        "\"pattern\":\"api.*\",\"limits\":[{\"name\":\"s\",\"scope\":\"key\",\"level\":150.5,\"burst\":200,"
        "\"rate\":\"100/s\",\"full_after_us\":495000}],\"source\":\"store\"}");
}

static void test_all_that_a_key_shares_is_shown(void **state) {
    struct fake_backend *fake = *state;
    struct call *call = fake_backend_call(fake, "GET", "/v1/tenants/acme/buckets/shared/k", NULL);
    struct control_bucket_result result = {.outcome = CONTROL_OK, .quota = fake->quota};
    result.levels_utok[2] = 20 * BUCKET_UTOK_PER_TOKEN;
    fake->bucket_done(fake->arg, &result);
    fake_backend_expect(
        &call, 200,
        "{\"tenant\":\"acme\",\"resource\":\"shared\",\"key\":\"k\",\"pattern\":\"shared\",\"limits\":["
        "{\"name\":\"u\",\"scope\":\"key\",\"level\":0.0,\"burst\":1,\"rate\":\"1/s\",\"full_after_us\":0},"
        "{\"name\":\"all\",\"scope\":\"resource\",\"level\":0.0,\"burst\":9,\"rate\":\"9/"
        "s\",\"full_after_us\":0},"
        "{\"name\":\"contract\",\"scope\":\"tenant\",\"level\":20.0,\"burst\":20,\"rate\":\"20/s\","
        "\"full_after_us\":0}],\"source\":\"store\"}");
}

static void test_a_wide_bucket_is_filled_by_its_name(void **state) {
    struct fake_backend *fake = *state;
    static const struct {
        const char *target, *heard;
    } cases[] = {
        {"/v1/tenants/acme/buckets/shared/k:reset", "reset acme shared 6b by local\n"},
        {"/v1/tenants/acme/buckets/shared/k:reset?limit_name=all",
         "reset resource acme shared 616c6c by local\n"},
        {"/v1/tenants/acme/buckets/shared/k:reset?limit_name=contract",
         "reset tenant acme  636f6e7472616374 by local\n"},
        {"/v1/tenants/else/buckets/r/k:reset?limit_name=site", "reset global   73697465 by local\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct call *call = fake_backend_call(fake, "POST", cases[i].target, NULL);
        assert_string_equal(fake->heard, cases[i].heard);
        fake->bucket_done(fake->arg, &(struct control_bucket_result){.outcome = CONTROL_OK});
        fake_backend_expect(&call, 200, "{\"reset\":true}");
        fake->heard[0] = '\0';
    }
}

static void test_what_shall_be_filled_must_be_clear(void **state) {
    static const struct {
        const char *target, *reason;
    } cases[] = {
        {"/v1/tenants/acme/buckets/shared/k:reset?limit_name=u", "'u' has scope key; leave the name out"},
        {"/v1/tenants/acme/buckets/shared/k:reset?limit_name=x",
         "the quota has no limit 'x'; it has u, all, contract\",\"field\":\"limit_name\""},
        {"/v1/tenants/acme/buckets/free/k:reset?limit_name=x", "the quota has no limit 'x'; it has none"},
        {"/v1/tenants/else/buckets/r/k:reset", "is missing: the quota has no limit of scope key"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct call *call = fake_backend_call(*state, "POST", cases[i].target, NULL);
        assert_int_equal(call->answer.status, 400);
        assert_true(buf_append(&call->answer.body, "", 1));
        assert_non_null(strstr((const char *)buf_front(&call->answer.body), cases[i].reason));
        call_close(&call);
    }
}

static void test_what_keeps_no_buckets_has_none(void **state) {
    struct fake_backend *fake = *state;
    struct call *call = fake_backend_call(fake, "GET", "/v1/tenants/acme/buckets/free/k", NULL);
    fake_backend_expect(&call, 200,
                        "{\"tenant\":\"acme\",\"resource\":\"free\",\"key\":\"k\",\"pattern\":\"free\","
                        "\"limits\":[],\"source\":\"store\"}");
    assert_string_equal(fake->heard, "");
}

static void test_a_reset_names_who(void **state) {
    struct fake_backend *fake = *state;
    struct call *call = fake_backend_call(fake, "POST", "/v1/tenants/acme/buckets/api.x/k:reset:reset", NULL);
    assert_string_equal(fake->heard, "reset acme api.x 6b3a7265736574 by local\n");
    fake->bucket_done(fake->arg, &(struct control_bucket_result){.outcome = CONTROL_OK});
    fake_backend_expect(&call, 200, "{\"reset\":true}");
}

static void test_refusals(void **state) {
    struct fake_backend *fake = *state;
    struct call *call = fake_backend_call(fake, "GET", "/v1/tenants/acme/buckets/web/k", NULL);
    fake_backend_expect(&call, 404, "{\"type\":\"about:blank\",\"title\":\"Not Found\"...");
    call = fake_backend_call(fake, "GET", "/v1/tenants/acme/buckets//k", NULL);
    fake_backend_expect(&call, 400, "{\"type\":\"about:blank\",\"title\":\"Bad Request\"...");
    call = fake_backend_call(fake, "GET", "/v1/tenants/a%7f/buckets/r/k", NULL);
    fake_backend_expect(&call, 400, "{\"type\":\"about:blank\",\"title\":\"Bad Request\"...");
    call = fake_backend_call(fake, "GET", "/v1/tenants/acme/buckets/api.x/k", NULL);
    struct control_bucket_result result = {.outcome = CONTROL_UNAVAILABLE, .reason = "no answer"};
    fake->bucket_done(fake->arg, &result);
    fake_backend_expect(&call, 503, "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\"...");
    call = fake_backend_call(fake, "POST", "/v1/tenants/acme/buckets/api.x/k:reset", NULL);
    fake->bucket_done(fake->arg, &result);
    fake_backend_expect(&call, 503, "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\"...");
    fake->is_down = true;
    call = fake_backend_call(fake, "GET", "/v1/tenants/acme/buckets/api.x/k", NULL);
    fake_backend_expect(&call, 503, "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\"...");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fake_backend_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_levels_are_in_tokens),
        TEST(test_all_that_a_key_shares_is_shown),
        TEST(test_a_wide_bucket_is_filled_by_its_name),
        TEST(test_what_shall_be_filled_must_be_clear),
        TEST(test_what_keeps_no_buckets_has_none),
        TEST(test_a_reset_names_who),
        TEST(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
