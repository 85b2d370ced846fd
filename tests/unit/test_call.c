/* test_call.c — who may call what: paths, tokens, headers, bodies; and what the audit is told. */
#include "tests/support/test_prelude.h"

#include "tests/support/fake_backend.h"

#define QUOTA "/v1/tenants/acme/quotas/api"

/* SHA-256 of "test" and of "abc". */
static const char token_file[] =
    "- {name: alice, role: operator, sha256: "
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}\n"
    "- {name: bob, role: viewer, sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad}\n";

/* Also checks that `part` stands in the body. */
static void expect_part(struct call **call, unsigned int status, const char *part) {
    struct buf *body = &(*call)->answer.body;
    assert_int_equal((*call)->answer.status, status);
    assert_true(buf_append(body, "", 1));
    if (strstr((const char *)buf_front(body), part) == NULL) {
        fail_msg("'%s' is not in %s", part, (const char *)buf_front(body));
    }
    call_close(call);
}

static void test_unknown_paths_and_methods(void **state) {
    struct call *call = fake_backend_call(*state, "GET", "/v1/nothing", NULL);
    expect_part(&call, 404, "\"status\":404");
    call = fake_backend_call(*state, "PATCH", QUOTA "?x=1", NULL);
    assert_string_equal(call->answer.allow, "GET, HEAD, PUT, DELETE");
    expect_part(&call, 405, "GET, HEAD, PUT, DELETE");
    call = fake_backend_call(*state, "POST", "/metrics", "{}");
    assert_string_equal(call->answer.allow, "GET, HEAD");
    expect_part(&call, 405, "Method Not Allowed");
    assert_string_equal(((struct fake_backend *)*state)->heard, "");
}

static struct call *with_token(struct fake_backend *fake, const char *method, const char *authorization) {
    struct call_head head = {.method = method, .target = QUOTA, .from = "::1", .authorization = authorization};
    return fake_backend_call_head(fake, &head, NULL);
}

static void test_tokens_say_who_may_what(void **state) {
    struct fake_backend *fake = *state;
    struct status status;
    struct tokens *tokens = tokens_parse("t", token_file, sizeof token_file - 1, &status);
    fake->admin.tokens = tokens;
    static const char *const nobody[] = {NULL,   "Bearer wrong", "Bearer ",       "Basic dGVzdA==",
                                         "test", "Bearer",       "Bearer test x", "Bearer 9f86d0818"};
    for (size_t i = 0; i < sizeof nobody / sizeof nobody[0]; i++) {
        struct call *call = with_token(fake, "DELETE", nobody[i]);
        assert_true(call->answer.asks_for_token);
        expect_part(&call, 401, "\"field\":\"Authorization\"");
    }
    struct call *call = with_token(fake, "GET", "Bearer abc");
    expect_part(&call, 404, "no quota");
    call = with_token(fake, "DELETE", "Bearer abc");
    assert_false(call->answer.asks_for_token);
    expect_part(&call, 403, "bob is a viewer");
    assert_string_equal(fake->heard, "");
    call = with_token(fake, "DELETE", "bearer test");
    assert_false(call_is_answered(call));
    call_close(&call);
    assert_string_equal(fake->heard, "delete acme api if -1 by alice from ::1\n");
    assert_int_equal(fake->n_abandoned, 1);
    tokens_destroy(&tokens);
}

static void test_web_pages_change_nothing_without_tokens(void **state) {
    struct call_head head = {.method = "DELETE", .target = QUOTA, .from = "::1", .origin = "http://evil"};
    struct call *call = fake_backend_call_head(*state, &head, NULL);
    expect_part(&call, 403, "\"field\":\"Origin\"");
    head.method = "GET";
    call = fake_backend_call_head(*state, &head, NULL);
    expect_part(&call, 404, "no quota");
}

static void test_bad_parts_name_themselves(void **state) {
    struct fake_backend *fake = *state;
    struct call *call = fake_backend_call(fake, "DELETE", "/v1/tenants/a%2/quotas/r", NULL);
    expect_part(&call, 400, "\"field\":\"tenant\"");
    assert_string_equal(fake->heard,
                        "refused   '' tenant: '%' is not followed by two hexadecimal digits by local\n");
    char path[512] = "/v1/tenants/a/quotas/";
    memset(path + strlen(path), 'x', 129);
    call = fake_backend_call(fake, "DELETE", path, NULL);
    expect_part(&call, 400, "\"detail\":\"is longer than 128 bytes\",\"field\":\"resource\"");
    call = fake_backend_call(fake, "GET", QUOTA "?limit=1", NULL);
    expect_part(&call, 400, "\"field\":\"limit\"");
}

static void test_bodies_are_bounded_and_json(void **state) {
    struct fake_backend *fake = *state;
    struct call_head head = {.method = "PUT", .target = QUOTA, .from = "::1", .content_type = "text/plain"};
    struct call *call = fake_backend_call_head(fake, &head, "{}");
    expect_part(&call, 415, "\"field\":\"Content-Type\"");
    head.content_type = NULL;
    call = fake_backend_call_head(fake, &head, "{}");
    expect_part(&call, 415, "must be application/json");
    head.content_type = "Application/JSON; charset=utf-8";
    call = fake_backend_call_head(fake, &head, NULL);
    expect_part(&call, 400, "\"detail\":\"is empty; JSON is needed\",\"field\":\"body\"");
    head.content_length = "65537";
    call = call_open(&fake->admin, &head);
    assert_true(call_is_answered(call));
    expect_part(&call, 413, "is larger than 64KiB");
    head.content_length = "65536";
    call = call_open(&fake->admin, &head);
    assert_false(call_is_answered(call));
    static char big[65536];
    memset(big, ' ', sizeof big);
    call_take_body(call, big, sizeof big);
    assert_false(call_is_answered(call));
    call_take_body(call, big, 1);
    assert_int_equal(buf_len(&call->body), 65536);
    call_take_body(call, big, sizeof big);
    call_run(call);
    expect_part(&call, 413, "is larger than 64KiB");
    call = fake_backend_call(fake, "DELETE", QUOTA, "x");
    expect_part(&call, 413, "takes no body");
    call = fake_backend_call(fake, "GET", QUOTA, "ignored");
    expect_part(&call, 404, "no quota");
}

static void test_redis_that_cannot_is_no_refusal(void **state) {
    struct fake_backend *fake = *state;
    fake->is_down = true;
    struct call *call = fake_backend_call(fake, "DELETE", QUOTA, NULL);
    assert_int_equal(call->answer.retry_after_s, 1);
    expect_part(&call, 503, "\"detail\":\"Redis is down\"");
    assert_null(strstr(fake->heard, "refused"));
}

static void count_answer(void *arg) {
    ++*(int *)arg;
}

static void test_a_call_under_way_can_be_given_up(void **state) {
    struct fake_backend *fake = *state;
    int n_answers = 0;
    struct call *call = fake_backend_call(fake, "DELETE", QUOTA, NULL);
    call->on_answer = count_answer;
    call->arg = &n_answers;
    call_give_up(call, "the frontend stops");
    assert_int_equal(n_answers, 1);
    assert_int_equal(fake->n_abandoned, 1);
    expect_part(&call, 503, "the frontend stops");
    assert_int_equal(fake->n_abandoned, 1);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_backend_set_up, fake_backend_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_unknown_paths_and_methods),
        TEST(test_tokens_say_who_may_what),
        TEST(test_web_pages_change_nothing_without_tokens),
        TEST(test_bad_parts_name_themselves),
        TEST(test_bodies_are_bounded_and_json),
        TEST(test_redis_that_cannot_is_no_refusal),
        TEST(test_a_call_under_way_can_be_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
