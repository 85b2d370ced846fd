/* test_quota_yaml.c — what is exported is read back as the same quotas, whatever the names are. */
#include "tests/support/test_prelude.h"

#include "admin/ctl/quota_bag.h"

static char *write_yaml(const struct quota_bag *bag) {
    char *text = NULL;
    size_t n_text = 0;
    FILE *out = open_memstream(&text, &n_text);
    assert_non_null(out);
    assert_true(quota_bag_write_yaml(bag, out));
    fclose(out);
    return text;
}

static void read_text(struct quota_bag *bag, const char *text) {
    struct status status = {""};
    *bag = (struct quota_bag){.items = NULL};
    if (!quota_bag_read_text(bag, "q", text, strlen(text), &status)) {
        fail_msg("%s in: %s", status.text, text);
    }
}

static void assert_round_trip(const char *text) {
    struct quota_bag first, second;
    read_text(&first, text);
    char *yaml = write_yaml(&first);
    read_text(&second, yaml);
    assert_int_equal(second.n, first.n);
    assert_true(second.has_default);
    assert_int_equal(second.is_deny, first.is_deny);
    for (size_t i = 0; i < first.n; i++) {
        assert_int_equal(quota_item_compare(&first.items[i], &second.items[i]), 0);
        assert_string_equal(first.items[i].text, second.items[i].text);
    }
    free(yaml);
    quota_bag_deinit(&first);
    quota_bag_deinit(&second);
}

static void test_a_file_is_written_as_people_write_it(void **state) {
    struct quota_bag bag;
    (void)state;
    static const char text[] =
        "default: deny\n"
        "\n"
        "tenants:\n"
        "  \"*\":\n"
        "    \"no\": { limits: [ { rate: 0/s, burst: 7 } ], on_store_failure: deny }\n"
        "  acme:\n"
        "    \"api.*\": { unlimited: true }\n"
        "    api.read: { limits: [ { name: second, rate: 100/s, burst: 200 } ], mode: shadow }\n"
        "    api.write:\n"
        "      limits:\n"
        "        - { rate: 100/s, burst: 200 }\n"
        "        - { name: queue, algorithm: leaky_bucket, rate: 5/min, burst: 3 }\n"
        "        - { algorithm: leaky_bucket, rate: 5/min, burst: 3 }\n"
        "        - { name: month, algorithm: fixed_window, rate: 5/month }\n"
        "      on_store_failure: allow\n"
        "      mode: shadow\n";
    read_text(&bag, text);
    char *yaml = write_yaml(&bag);
    assert_string_equal(yaml, text);
    free(yaml);
    quota_bag_deinit(&bag);
}

static void test_every_form_comes_back(void **state) {
    (void)state;
    assert_round_trip("tenants: {}");
    assert_round_trip(
        "default: deny\n"
        "tenants: { a: { b: { limits: [ { rate: 7/month, burst: 3 },\n"
        "  { name: '1', algorithm: leaky_bucket, rate: 10000000/s, burst: 1000000000 } ] } },\n"
        "  '*': { '*': { limits: [ { rate: 0/s, burst: 5 } ], on_store_failure: allow },\n"
        "    w: { limits: [ { name: all, rate: 1/s, scope: resource }, { name: t, rate: 1/s, scope: tenant },\n"
        "      { name: token_bucket, rate: 9/s, scope: global } ] } } }");
}

static void test_any_name_comes_back(void **state) {
    static const char *const names[] = {"yes",
                                        "NULL",
                                        "1",
                                        "-",
                                        "a b",
                                        "a: b",
                                        "#",
                                        "a#",
                                        "\\\"q\\\"",
                                        "back\\\\slash",
                                        "{x}",
                                        "caf\u00e9",
                                        "\\ud83d\\ude00",
                                        "\\u0080",
                                        "\\ufeffx",
                                        "'",
                                        "a\\u009fb.*",
                                        "%40",
                                        ".x",
                                        "~"};
    char text[256];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(text, sizeof text,
                 "{\"quotas\":[{\"tenant\":\"t\",\"resource\":\"%s\",\"quota\":{\"unlimited\":true}}]}",
                 names[i]);
        struct quota_bag bag;
        read_text(&bag, text);
        char *yaml = write_yaml(&bag);
        struct quota_bag again;
        read_text(&again, yaml);
        assert_string_equal(again.items[0].resource, bag.items[0].resource);
        free(yaml);
        quota_bag_deinit(&bag);
        quota_bag_deinit(&again);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_is_written_as_people_write_it),
        cmocka_unit_test(test_every_form_comes_back),
        cmocka_unit_test(test_any_name_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
