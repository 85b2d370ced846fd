/* test_api_buckets.c — a key's buckets: any key, levels in tokens, reset. */
#include "tests/support/test_prelude.h"

#include "tests/support/fake_backend.h"

static int setup(void **state) {
    struct fake_backend *fake = calloc(1, sizeof *fake);
    assert_non_null(fake);
    fake_backend_init(fake);
    fake_backend_put(fake, "acme", "api.*", "{\"limits\":[{\"name\":\"s\",\"rate\":\"100/s\",\"burst\":200}]}",
                     1);
    fake_backend_put(fake, "acme", "free", "{\"unlimited\":true}", 2);
    *state = fake;
    return 0;
}

static int teardown(void **state) {
    struct fake_backend *fake = *state;
    fake_backend_deinit(fake);
    free(fake);
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
    fake_backend_expect(&call, 200,
                        "{\"tenant\":\"acme\",\"resource\":\"api.read\",\"key\":\"al\\u0000ice/:reset\","
                        "\"pattern\":\"api.*\",\"limits\":[{\"name\":\"s\",\"level\":150.5,\"burst\":200,"
                        "\"rate\":\"100/s\",\"full_after_us\":495000}],\"source\":\"store\"}");
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_levels_are_in_tokens),
        TEST(test_what_keeps_no_buckets_has_none),
        TEST(test_a_reset_names_who),
        TEST(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
