/* test_api_hotkeys.c — what the workers have measured, as JSON. */
#include "tests/support/test_prelude.h"

#include "tests/support/fake_backend.h"

static struct bytes text(const char *string) {
    return (struct bytes){.data = (const uint8_t *)string, .len = strlen(string)};
}

static struct hotkey row_of(const char *tenant, const char *key, int64_t checks_per_s) {
    struct hotkey row = {.checks_per_s = checks_per_s};
    hotkey_name_set(&row.name, text(tenant), text("r"), text(key));
    return row;
}

static void expect(struct fake_backend *fake, const char *target, const struct hot_report *report,
                   const char *body) {
    struct call *call = fake_backend_call(fake, "GET", target, NULL);
    assert_false(call_is_answered(call));
    fake->hotkeys_done(fake->arg, report);
    fake_backend_expect(&call, 200, body);
}

static void test_rows_are_listed_with_who_decided(void **state) {
    (void)state;
    struct fake_backend fake;
    struct hotkey rows[] = {row_of("acme", "alice", 5210), row_of("b", "\xff", 7)};
    struct hot_report report = {.rows = rows, .n_rows = 2, .n_silent = 1}, none = {.n_rows = 0};
    rows[0].is_hot = true;
    rows[0].denied_per_s = 4110;
    rows[0].decided_per_s[DECISION_STORE] = 5200;
    rows[0].decided_per_s[DECISION_LOCAL] = 10;
    fake_backend_init(&fake);
    expect(&fake, "/v1/hotkeys", &report,
           "{\"hotkeys\":[{\"tenant\":\"acme\",\"resource\":\"r\",\"key\":\"alice\",\"hot\":true,"
           "\"checks_per_s\":5210,\"denied_per_s\":4110,\"sources\":{\"store\":5200,\"local\":10}},"
           "{\"tenant\":\"b\",\"resource\":\"r\",\"key\":\"?\",\"hot\":false,"
           "\"checks_per_s\":7,\"denied_per_s\":0,\"sources\":{}}],\"silent_workers\":1}");
    expect(&fake, "/v1/hotkeys?limit=1", &report, "{\"hotkeys\":[{\"tenant\":\"acme\",\"resource\":\"r\",...");
    expect(&fake, "/v1/hotkeys", &none, "{\"hotkeys\":[],\"silent_workers\":0}");
    fake_backend_deinit(&fake);
}

static void test_the_limit_is_judged(void **state) {
    (void)state;
    struct fake_backend fake;
    struct hotkey rows[] = {row_of("a", "1", 2), row_of("a", "2", 1)};
    struct hot_report report = {.rows = rows, .n_rows = 2};
    fake_backend_init(&fake);
    struct call *call = fake_backend_call(&fake, "GET", "/v1/hotkeys?limit=0", NULL);
    fake_backend_expect(&call, 400, "{\"type\":\"about:blank\"...");
    call = fake_backend_call(&fake, "GET", "/v1/hotkeys?tenant=a", NULL);
    fake_backend_expect(&call, 400, "{\"type\":\"about:blank\"...");
    expect(&fake, "/v1/hotkeys?limit=1", &report,
           "{\"hotkeys\":[{\"tenant\":\"a\",\"resource\":\"r\",\"key\":\"1\",\"hot\":false,"
           "\"checks_per_s\":2,\"denied_per_s\":0,\"sources\":{}}],\"silent_workers\":0}");
    fake_backend_deinit(&fake);
}

static void test_who_leaves_is_not_called(void **state) {
    (void)state;
    struct fake_backend fake;
    fake_backend_init(&fake);
    struct call *call = fake_backend_call(&fake, "GET", "/v1/hotkeys", NULL);
    call_close(&call);
    assert_int_equal(fake.n_abandoned, 1);
    call = fake_backend_call(&fake, "GET", "/v1/hotkeys", NULL);
    call_give_up(call, "stopping");
    assert_int_equal(fake.n_abandoned, 2);
    fake_backend_expect(&call, 503, "{\"type\":\"about:blank\"...");
    assert_int_equal(fake.n_abandoned, 2);
    fake.is_down = true; /* memory is short */
    call = fake_backend_call(&fake, "GET", "/v1/hotkeys", NULL);
    fake_backend_expect(&call, 500, "{\"type\":\"about:blank\"...");
    fake_backend_deinit(&fake);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_listed_with_who_decided),
        cmocka_unit_test(test_the_limit_is_judged),
        cmocka_unit_test(test_who_leaves_is_not_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
