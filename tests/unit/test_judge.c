/* test_judge.c — decisions in virtual time, shadow mode, and judges that share nothing. */
#include "tests/support/test_prelude.h"

#include "client/cmd/judge.h"
#include "tests/support/quota_fixture.h"
#include "tests/support/text_bytes.h"

static const char quotas[] = "default: deny\n"
                             "tenants:\n"
                             "  t:\n"
                             "    two: { limits: [ { rate: 1/s, burst: 2 } ] }\n"
                             "    many: { limits: [ { rate: 1/s, burst: 2 },\n"
                             "      { name: all, rate: 1/s, burst: 3, scope: tenant } ] }\n"
                             "    others: { limits: [ { name: all, rate: 1/s, burst: 3, scope: tenant } ] }\n"
                             "    shadow: { mode: shadow, limits: [ { rate: 1/s, burst: 1 } ] }\n";

static int open_quotas(void **state) {
    *state = quota_fixture_load(quotas);
    return 0;
}

static int close_quotas(void **state) {
    struct quota_set *set = *state;
    quota_set_release(&set);
    return 0;
}

static struct judge *open_judge(struct quota_set *set) {
    struct status status = {""};
    struct judge *judge = judge_create(set, 100, &status);
    assert_non_null(judge);
    return judge;
}

static bool is_denied(struct judge *judge, const char *resource, const char *key, int64_t now_us) {
    struct judge_request request = {text_bytes("t"), text_bytes(resource), text_bytes(key), 1};
    struct decision decision;
    assert_true(judge_decide(judge, &request, now_us, &decision));
    return judge_denies(&decision);
}

static void test_a_key_has_its_burst_and_then_its_rate(void **state) {
    struct judge *judge = open_judge(*state);
    assert_false(is_denied(judge, "two", "a", 5000000));
    assert_false(is_denied(judge, "two", "a", 5000000));
    assert_true(is_denied(judge, "two", "a", 5000000));
    assert_false(is_denied(judge, "two", "b", 5000000));
    assert_false(is_denied(judge, "two", "a", 6000000));
    assert_true(is_denied(judge, "two", "a", 6000000));
    assert_int_equal(judge_n_shared(judge), 0);
    judge_destroy(&judge);
    assert_null(judge);
}

static void test_a_wide_limit_is_shared_and_a_denial_takes_nothing_of_it(void **state) {
    struct judge *judge = open_judge(*state);
    assert_false(is_denied(judge, "many", "a", 5000000));
    assert_false(is_denied(judge, "many", "a", 5000000));
    assert_true(is_denied(judge, "many", "a", 5000000));
    assert_false(is_denied(judge, "others", "b", 5000000));
    assert_true(is_denied(judge, "many", "c", 5000000));
    assert_true(is_denied(judge, "others", "d", 5000000));
    assert_false(is_denied(judge, "many", "c", 6000000));
    judge_destroy(&judge);
}

static void test_in_shadow_it_says_what_would_be(void **state) {
    struct judge *judge = open_judge(*state);
    assert_false(is_denied(judge, "shadow", "a", 5000000));
    assert_true(is_denied(judge, "shadow", "a", 5000000));
    judge_destroy(&judge);
}

static void test_without_a_quota_the_default_decides(void **state) {
    struct judge *judge = open_judge(*state);
    assert_true(is_denied(judge, "unknown", "a", 5000000));
    judge_destroy(&judge);
}

static void test_two_judges_share_no_bucket(void **state) {
    struct judge *one = open_judge(*state), *other = open_judge(*state);
    assert_false(is_denied(one, "two", "a", 5000000));
    assert_false(is_denied(one, "two", "a", 5000000));
    assert_true(is_denied(one, "two", "a", 5000000));
    assert_false(is_denied(other, "two", "a", 5000000));
    judge_destroy(&one);
    judge_destroy(&other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_has_its_burst_and_then_its_rate),
        cmocka_unit_test(test_a_wide_limit_is_shared_and_a_denial_takes_nothing_of_it),
        cmocka_unit_test(test_in_shadow_it_says_what_would_be),
        cmocka_unit_test(test_without_a_quota_the_default_decides),
        cmocka_unit_test(test_two_judges_share_no_bucket),
    };
    return cmocka_run_group_tests(tests, open_quotas, close_quotas);
}
