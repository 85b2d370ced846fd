/* test_pages.c — health and metrics, for everybody and in any case. */
#include "tests/support/test_prelude.h"

#include "tests/support/fake_backend.h"

static void expect(struct fake_backend *fake, const char *method, const char *path, unsigned int status,
                   const char *body) {
    struct call *call = fake_backend_call(fake, method, path, NULL);
    fake_backend_expect(&call, status, body);
}

static void test_pages(void **state) {
    (void)state;
    struct fake_backend fake;
    fake_backend_init(&fake);
    expect(&fake, "GET", "/livez", 200, "alive\n");
    expect(&fake, "GET", "/readyz", 200, "ready\n");
    expect(&fake, "GET", "/metrics?name=x", 200, "sluice_up 1\n");
    expect(&fake, "HEAD", "/metrics", 200, "sluice_up 1\n");
    fake.is_ready = false;
    fake.is_down = true;
    expect(&fake, "GET", "/livez", 200, "alive\n");
    expect(&fake, "GET", "/readyz", 503, "not ready: ...");
    fake_backend_deinit(&fake);
}

static void test_pages_need_no_token(void **state) {
    (void)state;
    static const char none[] = "- {name: a, role: viewer, sha256: "
                               "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}";
    struct fake_backend fake;
    struct status status;
    fake_backend_init(&fake);
    struct tokens *tokens = tokens_parse("t", none, sizeof none - 1, &status);
    fake.admin.tokens = tokens;
    expect(&fake, "GET", "/livez", 200, "alive\n");
    expect(&fake, "GET", "/readyz", 200, "ready\n");
    expect(&fake, "GET", "/metrics", 200, "sluice_up 1\n");
    expect(&fake, "GET", "/v1/hotkeys", 401, "{\"type\":\"about:blank\",\"title\":\"Unauthorized\"...");
    tokens_destroy(&tokens);
    fake_backend_deinit(&fake);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_pages_need_no_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
