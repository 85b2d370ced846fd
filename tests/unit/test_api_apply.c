/* test_api_apply.c — many changes at once: read strictly, all or none, and which one conflicts. */
#include "tests/support/test_prelude.h"

#include "tests/support/fake_backend.h"

#define APPLY "/v1/quotas:apply"

static void test_changes_go_together(void **state) {
    struct fake_backend *fake = *state;
    struct call *call = fake_backend_call(
        fake, "POST", APPLY,
        "{\"changes\":[{\"tenant\":\"a\",\"resource\":\"x\",\"quota\":{\"unlimited\":true},\"if_revision\":4},"
        "{\"tenant\":\"b\",\"resource\":\"y*\",\"quota\":null}],\"default\":\"deny\"}");
    assert_string_equal(fake->heard, "put a x {\"unlimited\":true} if 4 by local from 192.0.2.1\n"
                                     "delete b y* if -1 by local from 192.0.2.1\n"
                                     "default deny if -1 by local from 192.0.2.1\n");
    fake->change_done(fake->arg, &(struct control_change_result){.outcome = CONTROL_OK, .revision = 9});
    fake_backend_expect(&call, 200, "{\"revision\":9,\"changed\":3}");
    call = fake_backend_call(fake, "POST", APPLY, "{\"changes\":[],\"default\":\"allow\"}");
    assert_non_null(strstr(fake->heard, "default allow if -1"));
    call_close(&call);
}

static void test_the_first_conflict_is_named(void **state) {
    struct fake_backend *fake = *state;
    static const char stands[] = "{\"unlimited\":true}";
    struct control_change_result conflict = {.outcome = CONTROL_CONFLICT, .index = 1, .revision = 6};
    conflict.current = (struct bytes){.data = (const uint8_t *)stands, .len = sizeof stands - 1};
    static const char body[] =
        "{\"changes\":[{\"tenant\":\"a\",\"resource\":\"x\",\"quota\":null},"
        "{\"tenant\":\"b\",\"resource\":\"y\",\"quota\":{\"unlimited\":true},\"if_revision\":0}]}";
    struct call *call = fake_backend_call(fake, "POST", APPLY, body);
    fake->change_done(fake->arg, &conflict);
    fake_backend_expect(&call, 412,
                        "{\"type\":\"about:blank\",\"title\":\"Precondition Failed\",\"status\":412,"
                        "\"detail\":\"the quota has revision 6\",\"field\":\"changes[1].if_revision\","
                        "\"index\":1,\"tenant\":\"b\",\"resource\":\"y\",\"current\":{\"tenant\":\"b\","
                        "\"resource\":\"y\",\"revision\":6,\"quota\":{\"unlimited\":true}},"
                        "\"yours\":{\"unlimited\":true}}");
    assert_non_null(strstr(fake->heard, "changes[1].if_revision: the quota has revision 6 by local"));
    call = fake_backend_call(fake, "POST", APPLY, body);
    fake->change_done(fake->arg, &(struct control_change_result){.outcome = CONTROL_CONFLICT});
    fake_backend_expect(&call, 412,
                        "{\"type\":\"about:blank\",\"title\":\"Precondition Failed\",\"status\":412,"
                        "\"detail\":\"there is no quota of this tenant and resource\","
                        "\"field\":\"changes[0].if_revision\",\"index\":0,\"tenant\":\"a\",\"resource\":\"x\","
                        "\"current\":null,\"yours\":null}");
}

static void test_bad_bodies(void **state) {
    struct fake_backend *fake = *state;
    static const struct {
        const char *body, *field;
    } cases[] = {
        {"{\"changes\":[]}", "changes"},
        {"{\"changes\":{}}", "changes"},
        {"{}", "changes"},
        {"[]", "body"},
        {"{\"changes\":[],\"default\":\"maybe\"}", "default"},
        {"{\"changes\":[],\"default\":1}", "default"},
        {"{\"changes\":[],\"defualt\":\"deny\"}", "defualt"},
        {"{\"changes\":[7]}", "changes[0]"},
        {"{\"changes\":[{\"tenant\":\"a\",\"resource\":\"b\"}]}", "changes[0].quota"},
        {"{\"changes\":[{\"tenant\":\"a\",\"resource\":\"b\",\"quota\":null,\"x\":1}]}", "changes[0].x"},
        {"{\"changes\":[{\"tenant\":1,\"resource\":\"b\",\"quota\":null}]}", "changes[0].tenant"},
        {"{\"changes\":[{\"tenant\":\"a\",\"resource\":\"\",\"quota\":null}]}", "changes[0].resource"},
        {"{\"changes\":[{\"tenant\":\"a\\n\",\"resource\":\"b\",\"quota\":null}]}", "changes[0].tenant"},
        {"{\"changes\":[{\"tenant\":\"a\",\"resource\":\"b\",\"quota\":null,\"if_revision\":-1}]}",
         "changes[0].if_revision"},
        {"{\"changes\":[{\"tenant\":\"a\",\"resource\":\"b\",\"quota\":null,\"if_revision\":1.0}]}",
         "changes[0].if_revision"},
        {"{\"changes\":[{\"tenant\":\"a\",\"resource\":\"b\",\"quota\":null},"
         "{\"tenant\":\"a\",\"resource\":\"b\",\"quota\":{\"limits\":[{\"rate\":\"x\"}]}}]}",
         "changes[1].quota.limits[0].rate"},
        {"{\"changes\":[{\"tenant\":\"a\",\"resource\":\"b\",\"quota\":"
         "{\"limits\":[{\"rate\":\"1/s\",\"name\":\"n\",\"scope\":\"global\"}]}}]}",
         "changes[0].quota.limits"},
        {"{\"changes\":[],\"changes\":[]}", "body"},
        {"nonsense", "body"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct call *call = fake_backend_call(fake, "POST", APPLY, cases[i].body);
        char end[96];
        snprintf(end, sizeof end, "\"field\":\"%s\"}\n", cases[i].field);
        assert_true(buf_append(&call->answer.body, "", 1));
        const char *text = (const char *)buf_front(&call->answer.body);
        if (call->answer.status != 400 || strstr(text, end) == NULL) {
            fail_msg("%s: %s", cases[i].body, text);
        }
        call_close(&call);
        assert_memory_equal(fake->heard, "refused", 7);
        fake->heard[0] = '\0';
    }
}

static void test_no_more_than_a_thousand(void **state) {
    struct fake_backend *fake = *state;
    struct buf body = {0};
    assert_true(buf_append(&body, "{\"changes\":[0", 13));
    for (int i = 1; i < CONTROL_MAX_CHANGES + 1; i++) {
        assert_true(buf_append(&body, ",0", 2));
    }
    assert_true(buf_append(&body, "]}", 3));
    struct call *call = fake_backend_call(fake, "POST", APPLY, (const char *)buf_front(&body));
    fake_backend_expect(
        &call, 400,
        "{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,\"detail\":\"has not 1 to "
        "1000 changes, with the default\",\"field\":\"changes\"}");
    buf_deinit(&body);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_backend_set_up, fake_backend_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_changes_go_together),
        TEST(test_the_first_conflict_is_named),
        TEST(test_bad_bodies),
        TEST(test_no_more_than_a_thousand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
