/* test_embedded_store.c — buckets inside the process: separate keys, shared overflow, nothing refilled. */
#include "tests/support/test_prelude.h"

#include "server/core/bucket_name.h"
#include "server/store/embedded_store.h"

/* The last one that was made. */
static struct quota_part quota_of(int64_t burst_tokens) {
    static struct bucket_limit limit;
    limit = (struct bucket_limit){
        .id = 1, .count = 1, .period_s = 1, .burst_utok = burst_tokens * BUCKET_UTOK_PER_TOKEN};
    return (struct quota_part){.n_limits = 1, .limits = &limit};
}

static struct bytes text(const char *string) {
    return (struct bytes){.data = (const uint8_t *)string, .len = strlen(string)};
}

static enum store_progress ask(struct store *store, struct store_call *call, int64_t now_us) {
    call->hash = bucket_name_hash(&call->name, 5);
    return store_check(store, call, now_us);
}

static bool take(struct store *store, const struct quota_part *quota, struct bytes key, int64_t now_us,
                 bool peek) {
    struct store_call call = {.part = quota,
                              .name = {.tenant = text("t"), .resource = text("r"), .key = key},
                              .cost_tokens = 1,
                              .peek = peek};
    assert_int_equal(ask(store, &call, now_us), STORE_DONE);
    assert_int_equal(call.outcome, STORE_OK);
    return call.verdict.allowed;
}

static struct store *make(uint64_t max_keys, struct embedded_metrics *metrics) {
    struct status status;
    struct store *store = embedded_store_create(max_keys, 1, metrics, &status);
    assert_non_null(store);
    assert_true(store_is_ready(store));
    return store;
}

static void test_each_key_has_its_own_bucket(void **state) {
    (void)state;
    struct embedded_metrics metrics = {0};
    struct store *store = make(1024, &metrics);
    struct quota_part quota = quota_of(2);
    assert_true(take(store, &quota, text("alice"), 1000, false));
    assert_true(take(store, &quota, text("alice"), 1000, false));
    assert_false(take(store, &quota, text("alice"), 1000, false));
    assert_true(take(store, &quota, text("bob"), 1000, false));
    struct bytes with_nul = {.data = (const uint8_t *)"alice\0x", .len = 7};
    assert_true(take(store, &quota, with_nul, 1000, false));
    assert_false(take(store, &quota, text("alice"), 1000 + 999999, false));
    assert_true(take(store, &quota, text("alice"), 1000 + 1000000, false));
    store_destroy(&store);
}

static void test_tenant_resource_and_key_do_not_run_together(void **state) {
    (void)state;
    struct embedded_metrics metrics = {0};
    struct store *store = make(1024, &metrics);
    struct quota_part quota = quota_of(1);
    struct store_call first = {.part = &quota,
                               .name = {.tenant = text("ab"), .resource = text("c"), .key = text("d")},
                               .cost_tokens = 1};
    struct store_call second = {.part = &quota,
                                .name = {.tenant = text("a"), .resource = text("bc"), .key = text("d")},
                                .cost_tokens = 1};
    ask(store, &first, 0);
    ask(store, &second, 0);
    assert_true(first.verdict.allowed && second.verdict.allowed);
    store_destroy(&store);
}

static void test_peek_takes_nothing(void **state) {
    (void)state;
    struct embedded_metrics metrics = {0};
    struct store *store = make(1024, &metrics);
    struct quota_part quota = quota_of(1);
    assert_true(take(store, &quota, text("alice"), 0, true));
    assert_true(take(store, &quota, text("alice"), 0, true));
    assert_true(take(store, &quota, text("alice"), 0, false));
    assert_false(take(store, &quota, text("alice"), 0, true));
    store_destroy(&store);
}

static void test_flood_of_keys_shares_a_bucket_and_refills_none(void **state) {
    (void)state;
    struct embedded_metrics metrics = {0};
    struct store *store = make(1024, &metrics);
    struct quota_part quota = quota_of(1);
    quota.index = 3;
    assert_true(take(store, &quota, text("victim"), 0, false));
    int n_allowed = 0;
    char key[32];
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "attacker-%d", i);
        n_allowed += take(store, &quota, text(key), 0, false);
    }
    /* At most one token for each of the 1024 slots, and one for the bucket that the rest share. */
    assert_in_range(n_allowed, 900, 1024);
    assert_in_range(metric_get(&metrics.overflowed), 18000, 20000);
    assert_false(take(store, &quota, text("victim"), 0, false));
    assert_true(take(store, &quota, text("later"), 1000000, false));
    store_destroy(&store);
}

/* It was made for one limit. */
static void test_windows_go_by_the_calendar_that_was_told(void **state) {
    (void)state;
    const int64_t minute_us = 60 * INT64_C(1000000);
    struct embedded_metrics metrics = {0};
    struct store *store = make(1024, &metrics);
    struct bucket_limit limit = {.id = 1};
    assert_true(bucket_set_window(&limit, BUCKET_FIXED_WINDOW, 1, CALENDAR_MINUTE, NULL));
    struct quota_part quota = {.n_limits = 1, .limits = &limit};
    embedded_store_set_calendar(store, 30000000 * minute_us);
    assert_true(take(store, &quota, text("alice"), 1000, false));
    assert_false(take(store, &quota, text("alice"), minute_us - 1, false));
    embedded_store_set_calendar(store, 30000000 * minute_us + EMBEDDED_CALENDAR_SLACK_US);
    assert_false(take(store, &quota, text("alice"), minute_us - 1, false));
    assert_true(take(store, &quota, text("alice"), minute_us, false));
    embedded_store_set_calendar(store, 30000000 * minute_us + 5000000);
    assert_false(take(store, &quota, text("alice"), 2 * minute_us - 5000001, false));
    assert_true(take(store, &quota, text("alice"), 2 * minute_us - 5000000, false));
    store_destroy(&store);
}

static void test_quotas_with_more_limits_find_room(void **state) {
    (void)state;
    struct embedded_metrics metrics = {0};
    struct store *store = make(1024, &metrics);
    struct quota_part quota = quota_of(2);
    assert_true(take(store, &quota, text("alice"), 0, false));
    struct bucket_limit limits[BUCKET_MAX_LIMITS];
    for (uint32_t i = 0; i < BUCKET_MAX_LIMITS; i++) {
        limits[i] = quota.limits[0];
        limits[i].id = 1 + i;
    }
    struct quota_part more = {.n_limits = BUCKET_MAX_LIMITS, .limits = limits};
    assert_true(take(store, &more, text("alice"), 0, false));
    assert_false(take(store, &more, text("alice"), 0, false));
    assert_false(take(store, &quota, text("alice"), 0, false));
    store_destroy(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_key_has_its_own_bucket),
        cmocka_unit_test(test_tenant_resource_and_key_do_not_run_together),
        cmocka_unit_test(test_peek_takes_nothing),
        cmocka_unit_test(test_flood_of_keys_shares_a_bucket_and_refills_none),
        cmocka_unit_test(test_windows_go_by_the_calendar_that_was_told),
        cmocka_unit_test(test_quotas_with_more_limits_find_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
