/* test_api_changes.c — the audit by the page. */
#include "tests/support/test_prelude.h"

#include "tests/support/fake_backend.h"

static struct bytes bytes_of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static const struct ledger_entry *entries(void) {
    static struct ledger_entry list[3];
    list[0] = (struct ledger_entry){.revision = 12,
                                    .at_ms = INT64_C(1763688329007),
                                    .what = bytes_of("put"),
                                    .who = bytes_of("alice"),
                                    .from = bytes_of("::1"),
                                    .tenant = bytes_of("acme"),
                                    .resource = bytes_of("api"),
                                    .new = bytes_of("{\"unlimited\":true}")};
    list[1] = (struct ledger_entry){.revision = 12,
                                    .part = 1,
                                    .what = bytes_of("refused"),
                                    .tenant = bytes_of("b"),
                                    .new = bytes_of("{\"cut"),
                                    .detail = bytes_of("too big")};
    list[2] = (struct ledger_entry){.revision = 12,
                                    .part = 2,
                                    .what = bytes_of("reset"),
                                    .tenant = bytes_of("acme"),
                                    .scope = bytes_of("tenant"),
                                    .limit = bytes_of("day")};
    return list;
}

static void test_entries_tell_who_what_and_when(void **state) {
    (void)state;
    struct fake_backend fake;
    fake_backend_init(&fake);
    struct control_changes_result result = {.outcome = CONTROL_OK, .entries = entries(), .n_entries = 3};
    struct call *call = fake_backend_call(&fake, "GET", "/v1/changes", NULL);
    assert_string_equal(fake.heard, "changes after 0-0 limit 100\n");
    fake.changes_done(fake.arg, &result);
    fake_backend_expect(&call, 200,
                        "{\"changes\":[{\"id\":\"12-0\",\"revision\":12,\"what\":\"put\","
                        "\"at\":\"2025-11-21T01:25:29.007Z\",\"who\":\"alice\",\"from\":\"::1\","
                        "\"tenant\":\"acme\",\"resource\":\"api\",\"old\":null,\"new\":{\"unlimited\":true}},"
                        "{\"id\":\"12-1\",\"revision\":12,\"what\":\"refused\","
                        "\"at\":\"1970-01-01T00:00:00.000Z\",\"who\":\"\",\"from\":\"\",\"tenant\":\"b\","
                        "\"resource\":\"\",\"old\":null,\"new\":\"{\\\"cut\",\"detail\":\"too big\"},"
                        "{\"id\":\"12-2\",\"revision\":12,\"what\":\"reset\","
                        "\"at\":\"1970-01-01T00:00:00.000Z\",\"who\":\"\",\"from\":\"\",\"tenant\":\"acme\","
                        "\"resource\":\"\",\"old\":null,\"new\":null,\"scope\":\"tenant\",\"limit\":\"day\"}],"
                        "\"next\":null}");
    fake_backend_deinit(&fake);
}

static void test_pages_of_one_tenant(void **state) {
    (void)state;
    struct fake_backend fake;
    fake_backend_init(&fake);
    struct control_changes_result result = {.outcome = CONTROL_OK, .entries = entries(), .n_entries = 2};
    struct call *call = fake_backend_call(&fake, "GET", "/v1/changes?tenant=x&limit=2&after=7-3", NULL);
    assert_string_equal(fake.heard, "changes after 7-3 limit 2\n");
    fake.changes_done(fake.arg, &result);
    fake_backend_expect(&call, 200, "{\"changes\":[],\"next\":\"12-1\"}");
    call = fake_backend_call(&fake, "GET", "/v1/changes?after=7", NULL);
    assert_non_null(strstr(fake.heard, "changes after 7-0 limit 100\n"));
    fake.changes_done(fake.arg,
                      &(struct control_changes_result){.outcome = CONTROL_UNAVAILABLE, .reason = "x"});
    fake_backend_expect(&call, 503, "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\"...");
    fake_backend_deinit(&fake);
}

static void test_bad_cursors_and_no_redis(void **state) {
    (void)state;
    struct fake_backend fake;
    fake_backend_init(&fake);
    static const char *const bad[] = {"x", "-", "1-", "-1", "1-2-3", "01", ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char path[64];
        snprintf(path, sizeof path, "/v1/changes?after=%s", bad[i]);
        struct call *call = fake_backend_call(&fake, "GET", path, NULL);
        fake_backend_expect(&call, 400, "{\"type\":\"about:blank\",\"title\":\"Bad Request\"...");
    }
    fake.is_shared = false;
    struct call *call = fake_backend_call(&fake, "GET", "/v1/changes", NULL);
    fake_backend_expect(&call, 200, "{\"changes\":[],\"next\":null}");
    fake_backend_deinit(&fake);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries_tell_who_what_and_when),
        cmocka_unit_test(test_pages_of_one_tenant),
        cmocka_unit_test(test_bad_cursors_and_no_redis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
