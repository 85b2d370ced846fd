/* test_shadow_sum.c — counts of several frontends, added up. */
#include "tests/support/test_prelude.h"

#include "admin/ctl/shadow_sum.h"

static void add(struct shadow_sum *sum, const char *text) {
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    assert_true(shadow_sum_add(sum, json));
    json_decref(json);
}

static void test_counts_add_up_by_tenant_and_resource(void **state) {
    struct shadow_sum sum;
    (void)state;
    shadow_sum_init(&sum);
    add(&sum, "{\"shadow\":[{\"tenant\":\"t\",\"resource\":\"r\",\"allowed\":10,\"would_deny\":1},"
              "{\"tenant\":\"t\",\"resource\":\"s\",\"allowed\":1,\"would_deny\":0}]}");
    add(&sum, "{\"shadow\":[]}");
    add(&sum, "{\"shadow\":[{\"tenant\":\"t\",\"resource\":\"r\",\"allowed\":5,\"would_deny\":2}]}");
    char *text = json_dumps(sum.rows, JSON_COMPACT);
    assert_string_equal(text, "[{\"tenant\":\"t\",\"resource\":\"r\",\"allowed\":15,\"would_deny\":3},"
                              "{\"tenant\":\"t\",\"resource\":\"s\",\"allowed\":1,\"would_deny\":0}]");
    free(text);
    shadow_sum_deinit(&sum);
}

static void test_names_do_not_run_together(void **state) {
    struct shadow_sum sum;
    (void)state;
    shadow_sum_init(&sum);
    add(&sum, "{\"shadow\":[{\"tenant\":\"a\",\"resource\":\"b c\"},{\"tenant\":\"a b\",\"resource\":\"c\"}]}");
    assert_int_equal(json_array_size(sum.rows), 2);
    shadow_sum_deinit(&sum);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_add_up_by_tenant_and_resource),
        cmocka_unit_test(test_names_do_not_run_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
