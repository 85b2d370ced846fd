/* test_quota_change.c — the limit that is meant, the numbers that change, and what cannot be changed. */
#include "tests/support/test_prelude.h"

#include "client/cmd/quota_change.h"
#include "tests/support/quota_fixture.h"
#include "tests/support/text_bytes.h"

static const char quotas[] = "tenants:\n"
                             "  t:\n"
                             "    one: { limits: [ { rate: 10/s, burst: 20 } ] }\n"
                             "    \"two.*\": { limits: [ { name: a, rate: 1/s, burst: 5 },\n"
                             "                         { name: b, rate: 9/min, burst: 50 } ] }\n"
                             "    window: { limits: [ { algorithm: fixed_window, rate: 100/day } ] }\n"
                             "    free: { unlimited: true }\n"
                             "    banned: { limits: [ { rate: 0 } ] }\n";

static int open_quotas(void **state) {
    *state = quota_fixture_load(quotas);
    return 0;
}

static int close_quotas(void **state) {
    struct quota_set *set = *state;
    quota_set_release(&set);
    return 0;
}

static void assert_limit(const struct quota_set *set, const char *resource, uint32_t index, int64_t count,
                         int64_t period_s, int64_t burst_tokens) {
    const struct quota *quota = quota_set_find(set, text_bytes("t"), text_bytes(resource));
    assert_non_null(quota);
    assert_in_range(index, 0, quota->n_limits - 1);
    assert_int_equal(quota->limits[index].count, count);
    assert_int_equal(quota->limits[index].period_s, period_s);
    assert_int_equal(quota->limits[index].burst_utok, burst_tokens * BUCKET_UTOK_PER_TOKEN);
}

static struct quota_set *apply(const struct quota_set *set, const char *resource, struct quota_change change) {
    struct status status = {""};
    struct quota_set *changed =
        quota_change_apply(&change, set, text_bytes("t"), text_bytes(resource), &status);
    if (changed == NULL) {
        fail_msg("%s", status.text);
    }
    return changed;
}

static void test_what_is_not_told_stays(void **state) {
    struct quota_set *changed = apply(*state, "one", (struct quota_change){.rate = "7/min"});
    assert_limit(changed, "one", 0, 7, 60, 20);
    quota_set_release(&changed);
    changed = apply(*state, "one", (struct quota_change){.burst_tokens = 7});
    assert_limit(changed, "one", 0, 10, 1, 7);
    quota_set_release(&changed);
}

static void test_a_window_has_another_number_or_period(void **state) {
    struct quota_set *changed = apply(*state, "window", (struct quota_change){.rate = "700/week"});
    assert_limit(changed, "window", 0, 700, CALENDAR_WEEK, 700);
    quota_set_release(&changed);
}

static void test_the_set_that_it_came_from_stays(void **state) {
    struct quota_set *changed = apply(*state, "one", (struct quota_change){.rate = "3/s", .burst_tokens = 7});
    assert_limit(changed, "one", 0, 3, 1, 7);
    assert_limit(*state, "one", 0, 10, 1, 20);
    quota_set_release(&changed);
}

static void test_of_several_limits_the_named_one_changes(void **state) {
    struct quota_set *changed =
        apply(*state, "two.x", (struct quota_change){.limit = "b", .rate = "2/h", .burst_tokens = 6});
    assert_limit(changed, "two.x", 0, 1, 1, 5);
    assert_limit(changed, "two.x", 1, 1, 1800, 6);
    quota_set_release(&changed);
}

static void test_nonsense_is_refused(void **state) {
    static const struct {
        const char *resource;
        struct quota_change change;
        const char *reason;
    } cases[] = {
        {"none", {.rate = "1/s"}, "t none: no quota matches, so there is no rate or burst to change"},
        {"free", {.rate = "1/s"}, "t free: the quota is unlimited, so there is no rate or burst to change"},
        {"banned", {.rate = "1/s"}, "t banned: the quota is a ban, so there is no rate or burst to change"},
        {"one", {.rate = "1/s", .limit = "x"}, "--limit: the quota has no limit 'x'; it has token_bucket"},
        {"two.x", {.burst_tokens = 5}, "the quota has several limits; say by --limit which one changes: a, b"},
        {"one", {.rate = "0/s"}, "--rate: 0 is a ban, which denies every request"},
        {"one",
         {.rate = "10x/s"},
         "--rate: '10x/s' is not a rate, such as 100/s, 5000/min, 20/h or 1000000/day"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct status status = {""};
        assert_null(quota_change_apply(&cases[i].change, *state, text_bytes("t"), text_bytes(cases[i].resource),
                                       &status));
        assert_string_equal(status.text, cases[i].reason);
    }
}

static void test_a_name_alone_is_no_change(void **state) {
    (void)state;
    assert_false(quota_change_is_given(&(struct quota_change){.limit = "a"}));
    assert_true(quota_change_is_given(&(struct quota_change){.rate = "1/s"}));
    assert_true(quota_change_is_given(&(struct quota_change){.burst_tokens = 1}));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_not_told_stays),
        cmocka_unit_test(test_a_window_has_another_number_or_period),
        cmocka_unit_test(test_the_set_that_it_came_from_stays),
        cmocka_unit_test(test_of_several_limits_the_named_one_changes),
        cmocka_unit_test(test_nonsense_is_refused),
        cmocka_unit_test(test_a_name_alone_is_no_change),
    };
    return cmocka_run_group_tests(tests, open_quotas, close_quotas);
}
