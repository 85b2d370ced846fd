/* test_plan.c — the way from the quotas that are to the quotas that shall be. */
#include "tests/support/test_prelude.h"

#include "admin/ctl/plan.h"

#define QUOTA(rate)                                                                                            \
    "{\"limits\":[{\"name\":\"token_bucket\",\"algorithm\":\"token_bucket\",\"rate\":\"" rate                  \
    "\",\"burst\":1,\"scope\":\"key\"}],\"on_store_failure\":\"local\",\"mode\":\"enforce\"}"
#define ROW(resource, revision, rate)                                                                          \
    "{\"tenant\":\"t\",\"resource\":\"" resource "\",\"revision\":" revision ",\"quota\":" QUOTA(rate) "}"

static const char there[] = "{\"default\":\"allow\",\"quotas\":[" ROW("changed", "3", "1/s") "," ROW(
    "gone", "4", "2/s") "," ROW("same", "5", "3/s") "]}";
static const char wanted[] =
    "{\"quotas\":[" ROW("added", "9", "7/s") "," ROW("changed", "9", "8/s") "," ROW("same", "9", "3/s") "]}";

struct world {
    struct quota_bag have, want;
    struct plan plan;
};

static void read_text(struct quota_bag *bag, const char *text) {
    struct status status = {""};
    if (!quota_bag_read_text(bag, "q", text, strlen(text), &status)) {
        fail_msg("%s", status.text);
    }
}

static void make(struct world *world, const char *have, const char *want, bool is_replacing) {
    *world = (struct world){.plan = {.changes = NULL}};
    read_text(&world->have, have);
    read_text(&world->want, want);
    assert_true(plan_make(&world->plan, &world->have, &world->want, is_replacing));
}

static void drop(struct world *world) {
    plan_deinit(&world->plan);
    quota_bag_deinit(&world->have);
    quota_bag_deinit(&world->want);
}

static void assert_printed(const struct plan *plan, const char *expected) {
    char *text = NULL;
    size_t n_text = 0;
    FILE *out = open_memstream(&text, &n_text);
    assert_non_null(out);
    plan_print(plan, false, out);
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
}

static void test_what_the_file_lacks_is_kept(void **state) {
    struct world world;
    (void)state;
    make(&world, there, wanted, false);
    assert_printed(&world.plan, "+ t added: 7/s burst 1\n"
                                "~ t changed: 1/s burst 1 -> 8/s burst 1\n"
                                "1 to add, 1 to change, 0 to remove, 2 to keep\n");
    drop(&world);
}

static void test_replacing_removes_it(void **state) {
    struct world world;
    (void)state;
    make(&world, there, wanted, true);
    assert_printed(&world.plan, "+ t added: 7/s burst 1\n"
                                "~ t changed: 1/s burst 1 -> 8/s burst 1\n"
                                "- t gone: 2/s burst 1\n"
                                "1 to add, 1 to change, 1 to remove, 1 to keep\n");
    drop(&world);
}

static void test_equal_quotas_need_nothing(void **state) {
    struct world world;
    (void)state;
    make(&world, there, there, true);
    assert_true(plan_is_empty(&world.plan));
    drop(&world);
    make(&world, "{\"quotas\":[]}", "tenants: {}", true);
    assert_true(plan_is_empty(&world.plan));
    drop(&world);
}

static void test_a_default_changes_when_it_is_stated_or_replaced(void **state) {
    struct world world;
    (void)state;
    make(&world, "default: deny\ntenants: {}", "tenants: {}", false);
    assert_true(plan_is_empty(&world.plan));
    drop(&world);
    make(&world, "default: deny\ntenants: {}", "tenants: {}", true);
    assert_printed(&world.plan, "~ default: deny -> allow\n0 to add, 0 to change, 0 to remove, 0 to keep\n");
    drop(&world);
    make(&world, "tenants: {}", "default: deny\ntenants: {}", false);
    assert_false(plan_is_empty(&world.plan));
    size_t n;
    struct buf body = {0};
    assert_true(plan_write_chunk(&world.plan, 0, &n, &body));
    assert_int_equal(n, 0);
    assert_string_equal((const char *)buf_front(&body), "{\"changes\":[],\"default\":\"deny\"}");
    buf_deinit(&body);
    drop(&world);
}

static void test_a_request_says_what_it_is_based_on(void **state) {
    struct world world;
    struct buf body = {0};
    size_t n;
    (void)state;
    make(&world, there, wanted, true);
    assert_true(plan_write_chunk(&world.plan, 0, &n, &body));
    assert_int_equal(n, 3);
    assert_string_equal(
        (const char *)buf_front(&body),
        "{\"changes\":[{\"tenant\":\"t\",\"resource\":\"added\",\"quota\":" QUOTA(
            "7/s") ",\"if_revision\":0},"
                   "{\"tenant\":\"t\",\"resource\":\"changed\",\"quota\":" QUOTA(
                       "8/s") ",\"if_revision\":3},"
                              "{\"tenant\":\"t\",\"resource\":\"gone\",\"quota\":null,\"if_revision\":4}]}");
    buf_deinit(&body);
    drop(&world);
}

/* A list of so many quotas with names of 100 bytes. */
static char *make_list(int n, int n_limits) {
    char *text = NULL;
    size_t n_text = 0;
    FILE *out = open_memstream(&text, &n_text);
    fputs("{\"quotas\":[", out);
    for (int i = 0; i < n; i++) {
        fprintf(out, "%s{\"tenant\":\"t\",\"resource\":\"%0100d\",\"quota\":{\"limits\":[", i > 0 ? "," : "",
                i);
        for (int k = 0; k < n_limits; k++) {
            fprintf(out, "%s{\"name\":\"a_limit_with_a_long_name_%d\",\"rate\":\"123456/day\"}",
                    k > 0 ? "," : "", k);
        }
        fputs("]}}", out);
    }
    fputs("]}", out);
    fclose(out);
    return text;
}

static size_t count_requests(int n_limits) {
    struct world world;
    char *list = make_list(2995, n_limits);
    size_t n_done = 0, n_requests = 0;
    make(&world, "{\"default\":\"deny\",\"quotas\":[]}", list, true);
    while (n_done < 2995) {
        struct buf body = {0};
        size_t n;
        assert_true(plan_write_chunk(&world.plan, n_done, &n, &body));
        assert_in_range(n, 1, PLAN_CHUNK_MAX_CHANGES);
        assert_in_range(buf_len(&body), 1, 1024 * 1024);
        json_t *json = json_loads((const char *)buf_front(&body), 0, NULL);
        assert_int_equal(json_array_size(json_object_get(json, "changes")), n);
        bool has_default = json_object_get(json, "default") != NULL;
        assert_int_equal(has_default, n_done == 0);
        assert_true(n + has_default <= PLAN_CHUNK_MAX_CHANGES);
        json_decref(json);
        buf_deinit(&body);
        n_done += n;
        n_requests++;
    }
    assert_int_equal(n_done, 2995);
    free(list);
    drop(&world);
    return n_requests;
}

static void test_many_changes_go_in_requests_that_fit(void **state) {
    (void)state;
    assert_int_equal(count_requests(1), 3); /* 999, 1000, 996 */
    assert_in_range(count_requests(8), 4, 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_file_lacks_is_kept),
        cmocka_unit_test(test_replacing_removes_it),
        cmocka_unit_test(test_equal_quotas_need_nothing),
        cmocka_unit_test(test_a_default_changes_when_it_is_stated_or_replaced),
        cmocka_unit_test(test_a_request_says_what_it_is_based_on),
        cmocka_unit_test(test_many_changes_go_in_requests_that_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
