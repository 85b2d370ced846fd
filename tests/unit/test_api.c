/* test_api.c — what each kind of answer comes to, and lists in pages. */
#include "tests/support/test_prelude.h"

#include "admin/ctl/api.h"
#include "admin/ctl/field.h"
#include "tests/support/fake_http.h"

struct world {
    struct fake_http *fake;
    char admin[64];
    struct api api;
};

static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->fake = fake_http_start();
    snprintf(world->admin, sizeof world->admin, "http://%s", fake_http_address(world->fake));
    world->api = (struct api){
        .http = http_client_create(), .admin = world->admin, .token = "t", .timeout_us = 10 * 1000 * 1000};
    assert_non_null(world->api.http);
    *state = world;
    return 0;
}

static int close_world(void **state) {
    struct world *world = *state;
    http_client_destroy(&world->api.http);
    fake_http_stop(&world->fake);
    free(world);
    return 0;
}

static void assert_answer(struct world *world, int http_status, const char *body, enum api_outcome expected,
                          const char *sentence) {
    struct api_reply reply;
    struct status status = {""};
    fake_http_reply(world->fake, http_status, body);
    enum api_outcome outcome =
        api_call(&world->api, &(struct api_call){.method = "GET", .path = "/v1/x"}, &reply, &status);
    assert_int_equal(outcome, expected);
    assert_int_equal(reply.status, http_status);
    if (strstr(status.text, sentence) == NULL) {
        fail_msg("\"%s\" is not in: %s", sentence, status.text);
    }
    api_reply_deinit(&reply);
}

static void test_an_object_is_done(void **state) {
    struct world *world = *state;
    assert_answer(world, 200, "{\"revision\":7}", API_DONE, "");
    assert_answer(world, 201, "{}", API_DONE, "");
}

static void test_anything_but_an_object_is_trouble(void **state) {
    struct world *world = *state;
    static const char *const bodies[] = {"", "[]", "7", "{", "{\"a\":1,\"a\":2}", "<html>", "{}{}"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        assert_answer(world, 200, bodies[i], API_TROUBLE, "something else than a JSON object");
    }
}

static void test_refusals_say_why_and_what_to_do(void **state) {
    struct world *world = *state;
    assert_answer(world, 400,
                  "{\"title\":\"Bad\",\"detail\":\"'10x' is no rate\",\"field\":\"limits[0].rate\"}",
                  API_REFUSED, "refused (400): limits[0].rate: '10x' is no rate");
    assert_answer(world, 400, "{\"detail\":\"limits[0].rate: bad\",\"field\":\"limits[0].rate\"}", API_REFUSED,
                  "refused (400): limits[0].rate: bad");
    assert_answer(world, 404, "{\"title\":\"Not Found\"}", API_REFUSED, "refused (404): Not Found");
    assert_answer(world, 401, "{\"detail\":\"unknown\"}", API_REFUSED, "refuses this token; set one by");
    assert_answer(world, 403, "{\"detail\":\"bob is a viewer\",\"field\":\"Authorization\"}", API_REFUSED,
                  "not allowed: bob is a viewer");
    world->api.token = NULL;
    assert_answer(world, 401, "", API_REFUSED, "refuses callers without a token; set one by --token-file");
}

static void test_a_conflict_keeps_what_is_there(void **state) {
    struct world *world = *state;
    struct api_reply reply;
    struct status status = {""};
    fake_http_reply(world->fake, 412, "{\"title\":\"c\",\"current\":{\"revision\":9},\"yours\":{}}");
    assert_int_equal(
        api_call(&world->api, &(struct api_call){.method = "PUT", .path = "/", .body = "{}"}, &reply, &status),
        API_CONFLICT);
    assert_int_equal(field_integer(json_object_get(reply.json, "current"), "revision"), 9);
    api_reply_deinit(&reply);
    assert_null(reply.json);
}

static void test_a_server_that_cannot_is_trouble(void **state) {
    struct world *world = *state;
    assert_answer(world, 503, "{\"detail\":\"Redis is down\"}", API_TROUBLE,
                  "cannot do it now (503): Redis is down");
    assert_answer(world, 500, "oops", API_TROUBLE, "cannot do it now (500)");
    assert_answer(world, 302, "", API_TROUBLE, "cannot do it now (302)");
}

static void test_no_text_of_the_server_steers_the_terminal(void **state) {
    struct world *world = *state;
    assert_answer(world, 400, "{\"detail\":\"a\\u001b[2Jb\"}", API_REFUSED, "refused (400): a?[2Jb");
}

static bool on_page(void *arg, const json_t *page, struct status *status) {
    int64_t *sum = arg;
    *sum = *sum * 10 + field_integer(page, "n");
    return *sum < 100 || status_fail(status, "too much");
}

static void test_pages_follow_one_another(void **state) {
    struct world *world = *state;
    int64_t sum = 0;
    struct status status = {""};
    fake_http_reply(world->fake, 200, "{\"n\":1,\"next\":\"a b\"}");
    fake_http_reply(world->fake, 200, "{\"n\":2,\"next\":null}");
    assert_int_equal(api_get_pages(&world->api, "/v1/q?limit=1", NULL, on_page, &sum, &status), API_DONE);
    assert_int_equal(sum, 12);
    char *heard = fake_http_heard(world->fake);
    assert_string_equal(heard, "GET /v1/q?limit=1\nAuthorization: Bearer t\n"
                               "GET /v1/q?limit=1&after=a%20b\nAuthorization: Bearer t\n");
    free(heard);
}

static void test_a_list_may_begin_in_the_middle(void **state) {
    struct world *world = *state;
    int64_t sum = 0;
    struct status status = {""};
    fake_http_reply(world->fake, 200, "{\"n\":1,\"next\":\"8\"}");
    fake_http_reply(world->fake, 200, "{\"n\":2}");
    world->api.token = NULL;
    assert_int_equal(api_get_pages(&world->api, "/q", "7", on_page, &sum, &status), API_DONE);
    char *heard = fake_http_heard(world->fake);
    assert_string_equal(heard, "GET /q?after=7\nGET /q?after=8\n");
    free(heard);
}

static void test_a_page_that_fails_ends_the_list(void **state) {
    struct world *world = *state;
    int64_t sum = 0;
    struct status status = {""};
    fake_http_reply(world->fake, 200, "{\"n\":1,\"next\":\"a\"}");
    fake_http_reply(world->fake, 503, "{}");
    assert_int_equal(api_get_pages(&world->api, "/q", NULL, on_page, &sum, &status), API_TROUBLE);
    fake_http_reply(world->fake, 200, "{\"n\":1,\"next\":7}");
    assert_int_equal(api_get_pages(&world->api, "/q", NULL, on_page, &sum, &status), API_TROUBLE);
    assert_non_null(strstr(status.text, "'next'"));
    fake_http_reply(world->fake, 200, "{\"n\":1}");
    assert_int_equal(api_get_pages(&world->api, "/q", NULL, on_page, &sum, &status), API_TROUBLE);
    assert_string_equal(status.text, "too much");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_object_is_done, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_anything_but_an_object_is_trouble, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_refusals_say_why_and_what_to_do, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_a_conflict_keeps_what_is_there, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_a_server_that_cannot_is_trouble, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_no_text_of_the_server_steers_the_terminal, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(test_pages_follow_one_another, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_a_list_may_begin_in_the_middle, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_a_page_that_fails_ends_the_list, open_world, close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
