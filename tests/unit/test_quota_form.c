/* test_quota_form.c — what the fields of a quota take and what they mean when they are not given. */
#include "tests/support/test_prelude.h"

#include "server/quota/quota_form.h"

static struct bytes of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = text != NULL ? strlen(text) : 0};
}

static bool begin(struct quota_rules *rules, const char *limits, const char *on_store_failure, const char *mode,
                  const char *unlimited, enum quota_field *field, struct status *reason) {
    const struct bytes texts[QUOTA_N_FIELDS] = {[QUOTA_FIELD_LIMITS] = of(limits),
                                                [QUOTA_FIELD_ON_STORE_FAILURE] = of(on_store_failure),
                                                [QUOTA_FIELD_MODE] = of(mode),
                                                [QUOTA_FIELD_UNLIMITED] = of(unlimited)};
    return quota_form_begin(rules, texts, field, reason);
}

static void test_what_is_not_given_is_enforced_and_local(void **state) {
    (void)state;
    struct quota_rules rules = {.mode = QUOTA_IN_SHADOW, .n_limits = 3};
    enum quota_field field;
    struct status reason;
    assert_true(begin(&rules, "", NULL, NULL, NULL, &field, &reason));
    assert_int_equal(rules.mode, QUOTA_ENFORCED);
    assert_int_equal(rules.on_store_failure, QUOTA_FAILS_LOCAL);
    assert_int_equal(rules.n_limits, 0);
    assert_false(rules.is_unlimited);
    assert_true(begin(&rules, "", "deny", "shadow", "false", &field, &reason));
    assert_int_equal(rules.mode, QUOTA_IN_SHADOW);
    assert_int_equal(rules.on_store_failure, QUOTA_FAILS_DENY);
    assert_string_equal(quota_form_mode_word(rules.mode), "shadow");
    assert_string_equal(quota_form_failure_word(rules.on_store_failure), "deny");
}

static void test_unlimited_stands_alone(void **state) {
    (void)state;
    struct quota_rules rules;
    enum quota_field field;
    struct status reason;
    assert_true(begin(&rules, NULL, NULL, NULL, "true", &field, &reason));
    assert_true(rules.is_unlimited);
    assert_false(begin(&rules, NULL, NULL, "shadow", "true", &field, &reason));
    assert_int_equal(field, QUOTA_FIELD_MODE);
    assert_string_equal(reason.text, "means nothing beside 'unlimited: true'; leave one of the two out");
    assert_false(begin(&rules, "", NULL, NULL, "true", &field, &reason));
    assert_int_equal(field, QUOTA_FIELD_LIMITS);
    assert_false(begin(&rules, NULL, NULL, NULL, "false", &field, &reason));
    assert_int_equal(field, QUOTA_N_FIELDS);
    assert_string_equal(reason.text, "'limits' is missing");
}

static void test_other_words_are_refused(void **state) {
    (void)state;
    struct quota_rules rules;
    enum quota_field field;
    struct status reason;
    assert_false(begin(&rules, "", NULL, "dry", NULL, &field, &reason));
    assert_int_equal(field, QUOTA_FIELD_MODE);
    assert_string_equal(reason.text, "'dry' is neither enforce nor shadow");
    assert_false(begin(&rules, "", "", NULL, NULL, &field, &reason));
    assert_int_equal(field, QUOTA_FIELD_ON_STORE_FAILURE);
    assert_string_equal(reason.text, "'' is none of local, allow and deny");
    assert_false(begin(&rules, "", NULL, NULL, "yes", &field, &reason));
    assert_int_equal(field, QUOTA_FIELD_UNLIMITED);
    assert_string_equal(reason.text, "'yes' is neither true nor false");
}

static bool add(struct quota_rules *rules, const char *name, const char *algorithm, const char *rate,
                const char *burst, enum quota_limit_field *field, struct status *reason) {
    const struct bytes texts[QUOTA_N_LIMIT_FIELDS] = {[QUOTA_LIMIT_NAME] = of(name),
                                                      [QUOTA_LIMIT_ALGORITHM] = of(algorithm),
                                                      [QUOTA_LIMIT_RATE] = of(rate),
                                                      [QUOTA_LIMIT_BURST] = of(burst)};
    return quota_form_add_limit(rules, texts, field, reason);
}

static void test_limits_have_defaults(void **state) {
    (void)state;
    struct quota_rules rules = {.n_limits = 0};
    enum quota_limit_field field;
    struct status reason;
    assert_true(add(&rules, NULL, "leaky_bucket", "6000/min", NULL, &field, &reason));
    assert_true(add(&rules, NULL, NULL, "20/h", NULL, &field, &reason));
    assert_int_equal(rules.n_limits, 2);
    assert_string_equal(rules.limit_names[0], "leaky_bucket");
    assert_int_equal(rules.limits[0].algorithm, BUCKET_LEAKY);
    assert_int_equal(rules.limits[0].burst_utok, 100 * BUCKET_UTOK_PER_TOKEN);
    assert_string_equal(rules.limit_names[1], "token_bucket");
    assert_int_equal(rules.limits[1].burst_utok, BUCKET_UTOK_PER_TOKEN);
    assert_string_equal(quota_form_algorithm_word(rules.limits[1].algorithm), "token_bucket");
}

static bool add_scoped(struct quota_rules *rules, const char *name, const char *scope,
                       enum quota_limit_field *field, struct status *reason) {
    const struct bytes texts[QUOTA_N_LIMIT_FIELDS] = {
        [QUOTA_LIMIT_NAME] = of(name), [QUOTA_LIMIT_RATE] = of("1/s"), [QUOTA_LIMIT_SCOPE] = of(scope)};
    return quota_form_add_limit(rules, texts, field, reason);
}

static void test_limits_have_scopes(void **state) {
    (void)state;
    struct quota_rules rules = {.n_limits = 0};
    enum quota_limit_field field;
    struct status reason;
    assert_true(add_scoped(&rules, "a", NULL, &field, &reason));
    assert_true(add_scoped(&rules, "b", "key", &field, &reason));
    assert_true(add_scoped(&rules, NULL, "resource", &field, &reason));
    assert_true(add_scoped(&rules, "c", "tenant", &field, &reason));
    assert_true(add_scoped(&rules, "d", "global", &field, &reason));
    static const enum bucket_scope scopes[] = {BUCKET_PER_KEY, BUCKET_PER_KEY, BUCKET_PER_RESOURCE,
                                               BUCKET_PER_TENANT, BUCKET_GLOBAL};
    for (size_t i = 0; i < sizeof scopes / sizeof scopes[0]; i++) {
        assert_int_equal(rules.scopes[i], scopes[i]);
    }
    assert_string_equal(rules.limit_names[2], "token_bucket");
    assert_false(add_scoped(&rules, "e", "user", &field, &reason));
    assert_int_equal(field, QUOTA_LIMIT_SCOPE);
    assert_string_equal(reason.text, "'user' is none of key, resource, tenant and global");
}

static void test_what_is_shared_by_name_needs_one(void **state) {
    (void)state;
    struct quota_rules rules = {.n_limits = 0};
    enum quota_limit_field field;
    struct status reason;
    assert_false(add_scoped(&rules, NULL, "tenant", &field, &reason));
    assert_int_equal(field, QUOTA_LIMIT_NAME);
    assert_string_equal(reason.text, "give it a name: limits of scope tenant are shared by name");
    assert_false(add_scoped(&rules, NULL, "global", &field, &reason));
    assert_string_equal(reason.text, "give it a name: limits of scope global are shared by name");
}

static void test_scopes_have_words(void **state) {
    (void)state;
    for (enum bucket_scope scope = BUCKET_PER_KEY; scope <= BUCKET_GLOBAL; scope++) {
        enum bucket_scope read;
        assert_true(quota_form_read_scope(of(quota_form_scope_word(scope)), &read));
        assert_int_equal(read, scope);
    }
    enum bucket_scope none;
    assert_false(quota_form_read_scope(of(""), &none));
    assert_false(quota_form_read_scope(of(NULL), &none));
    assert_false(quota_form_read_scope(of("tenants"), &none));
}

static void test_a_rate_of_zero_is_taken(void **state) {
    (void)state;
    struct quota_rules rules = {.n_limits = 0};
    enum quota_limit_field field;
    struct status reason;
    assert_true(add(&rules, "a", NULL, "0", NULL, &field, &reason));
    assert_true(add(&rules, "b", NULL, "0/day", "7", &field, &reason));
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(rules.limits[i].count, 0);
        assert_int_equal(rules.limits[i].period_s, 1);
    }
    assert_int_equal(rules.limits[0].burst_utok, BUCKET_UTOK_PER_TOKEN);
    assert_int_equal(rules.limits[1].burst_utok, 7 * BUCKET_UTOK_PER_TOKEN);
}

static void test_windows_count_in_periods_of_the_calendar(void **state) {
    (void)state;
    static const struct {
        const char *algorithm, *rate;
        enum calendar_period period;
    } windows[] = {{"fixed_window", "60/min", CALENDAR_MINUTE},
                   {"sliding_window", "7/h", CALENDAR_HOUR},
                   {"fixed_window", "1000/day", CALENDAR_DAY},
                   {"sliding_window", "30/week", CALENDAR_WEEK},
                   {"fixed_window", "1000000000/month", CALENDAR_MONTH}};
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        struct quota_rules rules = {.n_limits = 0};
        enum quota_limit_field field;
        struct status reason;
        assert_true(add(&rules, NULL, windows[i].algorithm, windows[i].rate, NULL, &field, &reason));
        const struct bucket_limit *limit = &rules.limits[0];
        assert_int_equal(limit->algorithm, i % 2 == 0 ? BUCKET_FIXED_WINDOW : BUCKET_SLIDING_WINDOW);
        assert_int_equal(limit->period_s, windows[i].period);
        assert_int_equal(limit->burst_utok, limit->count * BUCKET_UTOK_PER_TOKEN);
        assert_string_equal(quota_form_show_rate(limit).text, windows[i].rate);
        assert_string_equal(rules.limit_names[0], windows[i].algorithm);
    }
}

static void test_what_makes_no_window_is_refused(void **state) {
    (void)state;
    struct quota_rules rules = {.n_limits = 0};
    enum quota_limit_field field;
    struct status reason;
    assert_false(add(&rules, NULL, "fixed_window", "60/s", NULL, &field, &reason));
    assert_int_equal(field, QUOTA_LIMIT_RATE);
    assert_string_equal(reason.text,
                        "'60/s' is not a number for each period of the calendar, such as 1000/day or "
                        "1000000/month (the periods of a window are /min, /h, /day, /week and /month)");
    assert_false(add(&rules, NULL, "sliding_window", "1000000001/day", NULL, &field, &reason));
    assert_int_equal(field, QUOTA_LIMIT_RATE);
    assert_false(add(&rules, NULL, "fixed_window", "60/min", "60", &field, &reason));
    assert_int_equal(field, QUOTA_LIMIT_BURST);
    assert_string_equal(reason.text, "means nothing beside fixed_window: the number in the rate is the limit");
    assert_false(add(&rules, NULL, "token_bucket", "60/week", NULL, &field, &reason));
    assert_int_equal(field, QUOTA_LIMIT_RATE);
    assert_true(add(&rules, NULL, "fixed_window", "0/week", NULL, &field, &reason));
    assert_int_equal(rules.limits[0].count, 0);
}

static void test_a_bad_limit_is_named_by_its_field(void **state) {
    (void)state;
    struct quota_rules rules = {.n_limits = 0};
    enum quota_limit_field field;
    struct status reason;
    assert_false(add(&rules, NULL, NULL, "010/s", NULL, &field, &reason));
    assert_int_equal(field, QUOTA_LIMIT_RATE);
    assert_false(add(&rules, NULL, NULL, "10000001/s", NULL, &field, &reason));
    assert_int_equal(field, QUOTA_LIMIT_RATE);
    assert_false(add(&rules, NULL, NULL, "1/s", "-1", &field, &reason));
    assert_int_equal(field, QUOTA_LIMIT_BURST);
    assert_false(add(&rules, "a/b", NULL, "1/s", NULL, &field, &reason));
    assert_int_equal(field, QUOTA_LIMIT_NAME);
    assert_false(add(&rules, NULL, "gcra", "1/s", NULL, &field, &reason));
    assert_int_equal(field, QUOTA_LIMIT_ALGORITHM);
    assert_int_equal(rules.n_limits, 0);
    rules.n_limits = BUCKET_MAX_LIMITS;
    assert_false(add(&rules, NULL, NULL, "1/s", NULL, &field, &reason));
    assert_int_equal(field, QUOTA_N_LIMIT_FIELDS);
    assert_string_equal(reason.text, "is one too many; a quota has at most 8 limits");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_not_given_is_enforced_and_local),
        cmocka_unit_test(test_unlimited_stands_alone),
        cmocka_unit_test(test_other_words_are_refused),
        cmocka_unit_test(test_limits_have_defaults),
        cmocka_unit_test(test_limits_have_scopes),
        cmocka_unit_test(test_what_is_shared_by_name_needs_one),
        cmocka_unit_test(test_scopes_have_words),
        cmocka_unit_test(test_a_rate_of_zero_is_taken),
        cmocka_unit_test(test_windows_count_in_periods_of_the_calendar),
        cmocka_unit_test(test_what_makes_no_window_is_refused),
        cmocka_unit_test(test_a_bad_limit_is_named_by_its_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
