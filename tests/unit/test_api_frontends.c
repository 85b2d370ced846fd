/* test_api_frontends.c — who lives, and what each says of itself. */
#include "tests/support/test_prelude.h"

#include "tests/support/fake_backend.h"

static struct bytes bytes_of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static void test_each_frontend_tells_of_itself(void **state) {
    (void)state;
    struct fake_backend fake;
    fake_backend_init(&fake);
    quota_set_set_revision(fake.set, 12);
    struct control_frontend frontends[] = {
        {.id = bytes_of("f1"), .about = bytes_of("{\"revision\":12,\"id\":\"forged\"}"), .silent_ms = 40},
        {.id = bytes_of("f2"), .about = bytes_of("no JSON"), .silent_ms = 2000},
    };
    struct call *call = fake_backend_call(&fake, "GET", "/v1/frontends", NULL);
    fake.frontends_done(fake.arg, &(struct control_frontends_result){
                                      .outcome = CONTROL_OK, .frontends = frontends, .n_frontends = 2});
    fake_backend_expect(&call, 200,
                        "{\"self\":\"f1\",\"revision\":12,\"frontends\":[{\"id\":\"f1\",\"revision\":12,"
                        "\"silent_ms\":40},{\"id\":\"f2\",\"silent_ms\":2000}]}");
    call = fake_backend_call(&fake, "GET", "/v1/frontends", NULL);
    fake.frontends_done(
        fake.arg, &(struct control_frontends_result){.outcome = CONTROL_UNAVAILABLE, .reason = "no answer"});
    fake_backend_expect(&call, 503, "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\"...");
    fake_backend_deinit(&fake);
}

static void test_without_redis_there_is_this_one(void **state) {
    (void)state;
    struct fake_backend fake;
    fake_backend_init(&fake);
    fake.is_shared = false;
    struct call *call = fake_backend_call(&fake, "GET", "/v1/frontends", NULL);
    fake_backend_expect(&call, 200,
                        "{\"self\":\"f1\",\"revision\":0,\"frontends\":[{\"id\":\"f1\",\"version\":\"1\","
                        "\"silent_ms\":0}]}");
    fake_backend_deinit(&fake);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_frontend_tells_of_itself),
        cmocka_unit_test(test_without_redis_there_is_this_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
