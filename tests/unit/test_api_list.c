/* test_api_list.c — the quotas by the page, each once; and the counters of shadow mode. */
#include "tests/support/test_prelude.h"

#include <jansson.h>
#include <stdatomic.h>

#include "tests/support/fake_backend.h"

static json_t *get(struct fake_backend *fake, const char *path) {
    struct call *call = fake_backend_call(fake, "GET", path, NULL);
    assert_int_equal(call->answer.status, 200);
    json_t *page =
        json_loadb((const char *)buf_front(&call->answer.body), buf_len(&call->answer.body), 0, NULL);
    assert_non_null(page);
    call_close(&call);
    return page;
}

static void test_pages_hold_each_quota_once_in_order(void **state) {
    struct fake_backend *fake = *state;
    enum { N_QUOTAS = 25, LIMIT = 10 };
    for (int i = 0; i < N_QUOTAS; i++) {
        char resource[16];
        snprintf(resource, sizeof resource, "r%02d", i * 7 % N_QUOTAS);
        fake_backend_put(fake, "acme", resource, "{\"unlimited\":true}", (uint64_t)i + 1);
    }
    char path[256] = "/v1/quotas?limit=10";
    int n_seen = 0, n_pages = 0;
    for (bool has_more = true; has_more; n_pages++) {
        json_t *page = get(fake, path);
        const json_t *list = json_object_get(page, "quotas"), *next = json_object_get(page, "next");
        assert_int_equal(json_integer_value(json_object_get(page, "revision")), N_QUOTAS);
        assert_string_equal(json_string_value(json_object_get(page, "default")), "allow");
        for (size_t i = 0; i < json_array_size(list); i++) {
            char resource[16];
            snprintf(resource, sizeof resource, "r%02d", n_seen++);
            assert_string_equal(json_string_value(json_object_get(json_array_get(list, i), "resource")),
                                resource);
        }
        has_more = json_is_string(next);
        snprintf(path, sizeof path, "/v1/quotas?limit=10&after=%s", has_more ? json_string_value(next) : "");
        json_decref(page);
    }
    assert_int_equal(n_seen, N_QUOTAS);
    assert_int_equal(n_pages, 3);
}

static void test_a_list_can_be_of_a_tenant_and_a_prefix(void **state) {
    struct fake_backend *fake = *state;
    fake_backend_put(fake, "a", "api.x", "{\"unlimited\":true}", 1);
    fake_backend_put(fake, "a", "web", "{\"unlimited\":true}", 2);
    fake_backend_put(fake, "b", "api.y", "{\"unlimited\":true}", 3);
    quota_set_set_unknown(fake->set, QUOTA_UNKNOWN_DENY);
    json_t *page = get(fake, "/v1/quotas?tenant=a&prefix=api.");
    assert_int_equal(json_array_size(json_object_get(page, "quotas")), 1);
    assert_string_equal(json_string_value(json_object_get(page, "default")), "deny");
    assert_true(json_is_null(json_object_get(page, "next")));
    json_decref(page);
    page = get(fake, "/v1/quotas?prefix=api.");
    assert_int_equal(json_array_size(json_object_get(page, "quotas")), 2);
    json_decref(page);
}

static void test_a_bad_cursor_is_refused(void **state) {
    static const char *const bad[] = {"6", "zz", "61", "6162", "6162%0a", ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char path[64];
        snprintf(path, sizeof path, "/v1/quotas?after=%s", bad[i]);
        struct call *call = fake_backend_call(*state, "GET", path, NULL);
        fake_backend_expect(
            &call, 400,
            "{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,\"detail\":\"is "
            "not what \\\"next\\\" of a page was\",\"field\":\"after\"}");
    }
}

static void test_shadow_counts(void **state) {
    struct fake_backend *fake = *state;
    fake_backend_put(fake, "a", "x", "{\"limits\":[{\"rate\":\"1/s\"}],\"mode\":\"shadow\"}", 1);
    fake_backend_put(fake, "a", "y", "{\"limits\":[{\"rate\":\"1/s\"}]}", 2);
    const struct quota *quota = quota_set_get(fake->set, (struct bytes){(const uint8_t *)"a", 1},
                                              (struct bytes){(const uint8_t *)"x", 1});
    atomic_store(&quota->shadow->n_allowed, 7);
    atomic_store(&quota->shadow->n_would_deny, 3);
    struct call *call = fake_backend_call(fake, "GET", "/v1/shadow", NULL);
    fake_backend_expect(&call, 200,
                        "{\"shadow\":[{\"tenant\":\"a\",\"resource\":\"x\",\"allowed\":7,\"would_deny\":3}]}");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_backend_set_up, fake_backend_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_pages_hold_each_quota_once_in_order),
        TEST(test_a_list_can_be_of_a_tenant_and_a_prefix),
        TEST(test_a_bad_cursor_is_refused),
        TEST(test_shadow_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
