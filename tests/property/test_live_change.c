/* test_live_change.c — a quota changes while its buckets are in use: what was taken stays taken, here and in Redis.
 *
 * Each step is decided twice: by the limiter with an embedded store, and by the very script that Redis runs. */
#include "tests/support/test_prelude.h"

#include "server/limit/limiter.h"
#include "server/quota/quota_json.h"
#include "server/store/embedded_store.h"
#include "tests/property/lua_host.h"

#define START_US INT64_C(1790000000000000)
#define SECOND_US INT64_C(1000000)

enum { DENIED = -1 };

struct both {
    struct quota_set *set;
    struct embedded_metrics store_metrics;
    struct limiter_metrics metrics;
    struct store *store;
    struct limiter *limiter;
    struct lua_host *host;
    int64_t now_us;
    struct decision last; /* the limiter's */
};

static struct bytes of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

/* The limits alone: {"name":"a","rate":"1/h","burst":10}, ... */
static void change(struct both *both, const char *limits) {
    char json[1024];
    struct quota_rules rules;
    struct status status = {""};
    struct quota_set *next = quota_set_copy(both->set);
    snprintf(json, sizeof json, "{\"limits\":[%s]}", limits);
    bool is_read = quota_json_read(of(json), &rules, &status);
    assert_string_equal(status.text, "");
    assert_true(is_read);
    assert_true(quota_set_put(next, of("t"), of("r"), &rules, quota_set_revision(next) + 1, &status));
    quota_set_set_revision(next, quota_set_revision(next) + 1);
    quota_set_release(&both->set);
    both->set = next;
    limiter_set_quotas(both->limiter, next);
}

static void set_up(struct both *both, const char *limits) {
    struct status status;
    struct limiter_options options = {.store_timeout_us = 8000};
    *both = (struct both){.set = quota_set_create(), .now_us = START_US};
    both->store = embedded_store_create(1024, 1, &both->store_metrics, &status);
    both->limiter = limiter_create(&options, both->set, both->store, &both->metrics);
    both->host = lua_host_create(&script_check);
    assert_non_null(both->limiter);
    assert_non_null(both->host);
    change(both, limits);
}

static void tear_down(struct both *both) {
    limiter_destroy(&both->limiter);
    store_destroy(&both->store);
    lua_host_destroy(&both->host);
    quota_set_release(&both->set);
}

static int64_t ask_limiter(struct both *both, int64_t cost_tokens) {
    struct limiter_call call = {.tenant = of("t"),
                                .resource = of("r"),
                                .key = of("k"),
                                .cost_tokens = cost_tokens,
                                .deadline_us = both->now_us + SECOND_US};
    assert_int_equal(limiter_check(both->limiter, &call, both->now_us), LIMITER_DONE);
    assert_int_equal(call.outcome, STORE_OK);
    both->last = call.decision;
    return call.decision.allowed ? call.decision.remaining_tokens : DENIED;
}

static int64_t ask_script(struct both *both, int64_t cost_tokens) {
    const struct quota *quota = quota_set_get(both->set, of("t"), of("r"));
    struct script_check check = {
        .limits = quota->limits, .n_limits = quota->n_limits, .cost_tokens = cost_tokens};
    uint8_t argument[SCRIPT_CHECK_ARG_MAX_BYTES];
    struct bytes reply;
    struct bucket_verdict verdict;
    struct bucket_record record;
    lua_host_set_now(both->host, both->now_us);
    size_t n = script_check_pack(&check, argument, sizeof argument);
    assert_true(lua_host_eval(both->host, (struct bytes){argument, n}, &reply));
    assert_true(script_check_parse(reply, &check, &verdict, &record));
    return verdict.allowed ? verdict.remaining_utok / BUCKET_UTOK_PER_TOKEN : DENIED;
}

/* What is left of the limit that has the least, or DENIED. */
static int64_t take(struct both *both, int64_t cost_tokens) {
    int64_t left = ask_limiter(both, cost_tokens);
    assert_int_equal(ask_script(both, cost_tokens), left);
    return left;
}

static void test_a_larger_burst_refills_nothing(void **state) {
    (void)state;
    struct both both;
    set_up(&both, "{\"name\":\"a\",\"rate\":\"1/h\",\"burst\":10}");
    assert_int_equal(take(&both, 6), 4);
    change(&both, "{\"name\":\"a\",\"rate\":\"1/h\",\"burst\":100}");
    assert_int_equal(take(&both, 1), 3);
    assert_int_equal(take(&both, 4), DENIED);
    tear_down(&both);
}

static void test_a_new_rate_counts_for_the_time_since_the_last_check(void **state) {
    (void)state;
    struct both both;
    set_up(&both, "{\"name\":\"a\",\"rate\":\"1/month\",\"burst\":10}");
    assert_int_equal(take(&both, 10), 0);
    change(&both, "{\"name\":\"a\",\"rate\":\"1/s\",\"burst\":10}");
    both.now_us += SECOND_US - 1;
    assert_int_equal(take(&both, 1), DENIED);
    both.now_us += 1;
    assert_int_equal(take(&both, 1), 0);
    tear_down(&both);
}

static void test_a_smaller_burst_clamps(void **state) {
    (void)state;
    struct both both;
    set_up(&both, "{\"name\":\"a\",\"rate\":\"1/h\",\"burst\":10}");
    assert_int_equal(take(&both, 1), 9);
    change(&both, "{\"name\":\"a\",\"rate\":\"1/h\",\"burst\":5}");
    assert_int_equal(take(&both, 1), 4);
    change(&both, "{\"name\":\"a\",\"rate\":\"1/h\",\"burst\":10}");
    assert_int_equal(take(&both, 1), 3); /* and what was cut off does not come back */
    tear_down(&both);
}

static void test_nobody_is_locked_out(void **state) {
    (void)state;
    struct both both;
    set_up(&both, "{\"name\":\"a\",\"rate\":\"1/h\",\"burst\":1000000}");
    assert_int_equal(take(&both, 1000000), 0);
    change(&both, "{\"name\":\"a\",\"rate\":\"1/s\",\"burst\":3}");
    both.now_us += SECOND_US;
    assert_int_equal(take(&both, 1), 0);
    both.now_us += 60 * SECOND_US;
    assert_int_equal(take(&both, 3), 0);
    tear_down(&both);
}

static void test_a_limit_that_goes_takes_its_state_along(void **state) {
    (void)state;
    struct both both;
    static const char with_b[] = "{\"name\":\"a\",\"rate\":\"1/h\",\"burst\":10},"
                                 "{\"name\":\"b\",\"rate\":\"1/h\",\"burst\":5}";
    set_up(&both, with_b);
    assert_int_equal(take(&both, 3), 2);
    change(&both, "{\"name\":\"a\",\"rate\":\"1/h\",\"burst\":10}");
    assert_int_equal(take(&both, 1), 6);
    change(&both, with_b);
    assert_int_equal(take(&both, 1), 4);
    assert_string_equal(both.last.limit_name, "b");
    assert_int_equal(take(&both, 4), 0);
    assert_int_equal(take(&both, 1), DENIED);
    tear_down(&both);
}

static void test_limits_are_known_by_name_wherever_they_stand(void **state) {
    (void)state;
    struct both both;
    set_up(&both,
           "{\"name\":\"a\",\"rate\":\"1/h\",\"burst\":10},{\"name\":\"b\",\"rate\":\"1/h\",\"burst\":8}");
    assert_int_equal(take(&both, 7), 1);
    change(&both, "{\"name\":\"b\",\"rate\":\"1/h\",\"burst\":8},{\"name\":\"c\",\"rate\":\"1/h\",\"burst\":9},"
                  "{\"name\":\"a\",\"rate\":\"1/h\",\"burst\":10}");
    assert_int_equal(take(&both, 1), 0);
    assert_string_equal(both.last.limit_name, "b");
    change(&both, "{\"name\":\"renamed\",\"rate\":\"1/h\",\"burst\":8}");
    assert_int_equal(take(&both, 1), 7);
    tear_down(&both);
}

static void test_a_ban_and_a_free_pass_leave_the_bucket_alone(void **state) {
    (void)state;
    struct both both;
    set_up(&both, "{\"name\":\"a\",\"rate\":\"1/h\",\"burst\":10}");
    assert_int_equal(take(&both, 4), 6);
    change(&both, "{\"name\":\"a\",\"rate\":\"0\",\"burst\":10}");
    assert_int_equal(ask_limiter(&both, 1), DENIED);
    assert_int_equal(both.last.retry_after_us, BUCKET_MAX_EXACT);
    change(&both, "{\"name\":\"a\",\"rate\":\"1/h\",\"burst\":10}");
    assert_int_equal(take(&both, 1), 5);
    tear_down(&both);
}

/* The embedded table was made for one limit. */
static void test_more_limits_than_ever_find_room(void **state) {
    (void)state;
    struct both both;
    char limits[512] = "{\"name\":\"l0\",\"rate\":\"1/h\",\"burst\":10}";
    set_up(&both, limits);
    assert_int_equal(take(&both, 2), 8);
    for (int n = 2; n <= BUCKET_MAX_LIMITS; n++) {
        size_t len = strlen(limits);
        snprintf(limits + len, sizeof limits - len, ",{\"name\":\"l%d\",\"rate\":\"1/h\",\"burst\":%d}", n - 1,
                 20 + n);
        change(&both, limits);
        assert_int_equal(take(&both, 1), 9 - n);
    }
    tear_down(&both);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_larger_burst_refills_nothing),
        cmocka_unit_test(test_a_new_rate_counts_for_the_time_since_the_last_check),
        cmocka_unit_test(test_a_smaller_burst_clamps),
        cmocka_unit_test(test_nobody_is_locked_out),
        cmocka_unit_test(test_a_limit_that_goes_takes_its_state_along),
        cmocka_unit_test(test_limits_are_known_by_name_wherever_they_stand),
        cmocka_unit_test(test_a_ban_and_a_free_pass_leave_the_bucket_alone),
        cmocka_unit_test(test_more_limits_than_ever_find_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
