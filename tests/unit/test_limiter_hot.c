/* test_limiter_hot.c — what is counted of keys that are checked often. */
#include "tests/support/test_prelude.h"

#include "tests/support/limiter_fixture.h"
#include "tests/support/text_bytes.h"

/* Which are not leased, so that the store goes on being asked. */
static const char two_queues[] = "tenants:\n"
                                 "  acme:\n"
                                 "    api:\n"
                                 "      limits:\n"
                                 "        - { name: small, rate: 10/s, burst: 5, algorithm: leaky_bucket }\n"
                                 "        - { name: large, rate: 100/h, burst: 50, algorithm: leaky_bucket }\n";

/* Checks of one key, all in the second that begins at 1 s. */
static void check_key(struct limiter_fixture *fixture, const char *key, bool is_peek, int n) {
    for (int i = 0; i < n; i++) {
        struct limiter_call call = limiter_fixture_call_of("acme", "api");
        call.key = text_bytes(key);
        call.kind = is_peek ? LIMITER_PEEK : LIMITER_CHECK;
        assert_int_equal(limiter_check(fixture->limiter, &call, 1000000), LIMITER_DONE);
    }
}

/* The only row that there is. */
static struct hotkey only_row(const struct limiter_fixture *fixture, int64_t now_us) {
    static struct hotkey rows[HOTKEYS_MAX];
    assert_int_equal(hotkeys_copy(fixture->hotkeys, now_us, rows), 1);
    return rows[0];
}

static void assert_bytes(struct bytes bytes, const char *expected) {
    assert_int_equal(bytes.len, strlen(expected));
    assert_memory_equal(bytes.data, expected, bytes.len);
}

static void test_a_key_checked_often_is_counted_by_name(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open(&fixture, two_queues);
    for (int i = 0; i < 7; i++) {
        check_key(&fixture, "alice", false, 20);
        check_key(&fixture, "bob", false, 1);
        limiter_tick(fixture.limiter, 1000000);
    }
    struct hotkey row = only_row(&fixture, 1000000);
    assert_bytes(hotkey_name_tenant(&row.name), "acme");
    assert_bytes(hotkey_name_resource(&row.name), "api");
    assert_bytes(hotkey_name_key(&row.name), "alice");
    assert_in_range(row.checks_per_s, 130, 140); /* the first few are in the sketch alone */
    assert_int_equal(row.decided_per_s[DECISION_STORE], row.checks_per_s);
    assert_int_equal(row.denied_per_s, 0);
    assert_true(row.is_hot);
    assert_int_equal(metric_get(&fixture.metrics.hot_keys), 1);
    limiter_fixture_close(&fixture);
}

static void test_a_key_is_named_by_its_first_check(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open(&fixture, two_queues);
    check_key(&fixture, "alice", false, 20);
    hotkeys_name(fixture.hotkeys, hotkeys_count(fixture.hotkeys, fixture.store.last.hash, 1000000).handle,
                 text_bytes("t"), text_bytes("r"), text_bytes("marked"));
    check_key(&fixture, "alice", false, 20);
    struct hotkey row = only_row(&fixture, 1000000);
    assert_bytes(hotkey_name_key(&row.name), "marked");
    limiter_fixture_close(&fixture);
}

static void test_peeks_and_what_needs_no_bucket_are_not_counted(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open(
        &fixture, "tenants: { acme: { api: { limits: [ { rate: 9/s } ] }, free: { unlimited: true } } }");
    check_key(&fixture, "alice", true, 50);
    for (int i = 0; i < 50; i++) {
        struct limiter_call free = limiter_fixture_call_of("acme", "free"),
                            unknown = limiter_fixture_call_of("acme", "unknown");
        limiter_check(fixture.limiter, &free, 1000000);
        limiter_check(fixture.limiter, &unknown, 1000000);
    }
    static struct hotkey rows[HOTKEYS_MAX];
    assert_int_equal(hotkeys_copy(fixture.hotkeys, 1000000, rows), 0);
    limiter_fixture_close(&fixture);
}

static void test_denials_and_who_decided_are_told_apart(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open_with_fallback(&fixture, two_queues);
    check_key(&fixture, "alice", false, 20);
    fixture.store.verdict = (struct bucket_verdict){.allowed = false}; /* stands for no time */
    check_key(&fixture, "alice", false, 30);
    int64_t n_before = only_row(&fixture, 1000000).decided_per_s[DECISION_STORE];
    assert_in_range(n_before, 40, 50);
    fixture.store.outcome = STORE_DOWN;
    check_key(&fixture, "alice", false, 10); /* the local bucket has 5 tokens, a check takes 3 */
    struct hotkey row = only_row(&fixture, 1000000);
    assert_int_equal(row.decided_per_s[DECISION_STORE], n_before);
    assert_int_equal(row.decided_per_s[DECISION_LOCAL], 10);
    assert_int_equal(row.denied_per_s, 30 + 9);
    limiter_fixture_close(&fixture);
}

static void test_a_pending_check_is_counted_when_asked_and_noted_when_done(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open(&fixture, two_queues);
    check_key(&fixture, "alice", false, 20);
    int64_t n_before = only_row(&fixture, 1000000).checks_per_s;
    fixture.store.is_pending = true;
    struct limiter_call call = limiter_fixture_call_of("acme", "api");
    assert_int_equal(limiter_check(fixture.limiter, &call, 1000000), LIMITER_PENDING);
    struct hotkey row = only_row(&fixture, 1000000);
    assert_int_equal(row.checks_per_s, n_before + 1);
    assert_int_equal(row.decided_per_s[DECISION_STORE], n_before);
    fixture.store.verdict = (struct bucket_verdict){.retry_after_us = 1};
    fixture.store.done_at_us = 1004000;
    fake_store_conclude(&fixture.store, 0);
    row = only_row(&fixture, 1004000);
    assert_int_equal(row.decided_per_s[DECISION_STORE], n_before + 1);
    assert_int_equal(row.denied_per_s, 1);
    limiter_fixture_close(&fixture);
}

static void test_what_nobody_decided_is_checked_and_no_more(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open(&fixture, two_queues);
    check_key(&fixture, "alice", false, 20);
    struct hotkey before = only_row(&fixture, 1000000);
    fixture.store.outcome = STORE_NO_MEMORY;
    check_key(&fixture, "alice", false, 5);
    struct hotkey row = only_row(&fixture, 1000000);
    assert_int_equal(row.checks_per_s, before.checks_per_s + 5);
    assert_int_equal(row.decided_per_s[DECISION_STORE], before.decided_per_s[DECISION_STORE]);
    assert_int_equal(row.denied_per_s, 0);
    limiter_fixture_close(&fixture);
}

static void test_a_hot_key_cools_with_the_turns(void **state) {
    (void)state;
    struct limiter_fixture fixture;
    limiter_fixture_open(&fixture, two_queues);
    check_key(&fixture, "alice", false, 200);
    limiter_tick(fixture.limiter, 1000000);
    assert_int_equal(metric_get(&fixture.metrics.hot_keys), 1);
    for (int64_t now_us = 1050000; now_us < 5000000; now_us += 50000) {
        limiter_tick(fixture.limiter, now_us);
    }
    assert_int_equal(metric_get(&fixture.metrics.hot_keys), 0);
    limiter_fixture_close(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_checked_often_is_counted_by_name),
        cmocka_unit_test(test_a_key_is_named_by_its_first_check),
        cmocka_unit_test(test_peeks_and_what_needs_no_bucket_are_not_counted),
        cmocka_unit_test(test_denials_and_who_decided_are_told_apart),
        cmocka_unit_test(test_a_pending_check_is_counted_when_asked_and_noted_when_done),
        cmocka_unit_test(test_what_nobody_decided_is_checked_and_no_more),
        cmocka_unit_test(test_a_hot_key_cools_with_the_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
