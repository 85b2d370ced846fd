/* test_http_client.c — whole answers, and servers that are absent, silent, or break off. */
#include "tests/support/test_prelude.h"

#include "admin/ctl/http_client.h"
#include "tests/support/fake_frontend.h"
#include "tests/support/fake_http.h"

#include <unistd.h>

struct world {
    struct fake_http *fake;
    struct http_client *client;
    char url[64];
    struct http_answer answer;
    struct status status;
};

static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->fake = fake_http_start();
    world->client = http_client_create();
    assert_non_null(world->client);
    snprintf(world->url, sizeof world->url, "http://%s/v1/x", fake_http_address(world->fake));
    *state = world;
    return 0;
}

static int close_world(void **state) {
    struct world *world = *state;
    buf_deinit(&world->answer.body);
    http_client_destroy(&world->client);
    fake_http_stop(&world->fake);
    free(world);
    return 0;
}

static bool send_request(struct world *world, struct http_request request) {
    request.method = request.method != NULL ? request.method : "GET";
    request.url = world->url;
    request.timeout_us = request.timeout_us > 0 ? request.timeout_us : 10 * 1000 * 1000;
    buf_deinit(&world->answer.body);
    return http_client_send(world->client, &request, &world->answer, &world->status);
}

static void assert_heard(struct world *world, const char *expected) {
    char *heard = fake_http_heard(world->fake);
    assert_string_equal(heard, expected);
    free(heard);
    fake_http_forget(world->fake);
}

static void test_status_and_body_come_back(void **state) {
    struct world *world = *state;
    fake_http_reply(world->fake, 404, "{\"a\":1}");
    assert_true(send_request(world, (struct http_request){.method = "GET"}));
    assert_int_equal(world->answer.status, 404);
    assert_int_equal(buf_len(&world->answer.body), 7);
    assert_string_equal((const char *)buf_front(&world->answer.body), "{\"a\":1}");
    assert_heard(world, "GET /v1/x\n");
}

static void test_an_answer_may_be_empty(void **state) {
    struct world *world = *state;
    fake_http_reply(world->fake, 200, "");
    assert_true(send_request(world, (struct http_request){.method = "GET"}));
    assert_int_equal(buf_len(&world->answer.body), 0);
}

static void test_token_header_and_body_are_sent_and_then_forgotten(void **state) {
    struct world *world = *state;
    fake_http_reply_often(world->fake, 2, 200, "{}");
    assert_true(send_request(
        world,
        (struct http_request){.method = "PUT", .token = "secret", .body = "{}", .header = "If-Match: \"7\""}));
    assert_heard(
        world,
        "PUT /v1/x\nAuthorization: Bearer secret\nContent-Type: application/json\nIf-Match: \"7\"\n{}\n");
    assert_true(send_request(world, (struct http_request){.method = "DELETE"}));
    assert_heard(world, "DELETE /v1/x\n");
}

static void test_a_redirect_is_not_followed(void **state) {
    struct world *world = *state;
    fake_http_reply_raw(world->fake,
                        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    assert_true(send_request(world, (struct http_request){.token = "secret"}));
    assert_int_equal(world->answer.status, 302);
}

static void test_a_refused_connection_says_what_to_do(void **state) {
    struct world *world = *state;
    int fd;
    snprintf(world->url, sizeof world->url, "http://127.0.0.1:%u/v1/x", (unsigned)fake_refusing_port(&fd));
    assert_false(send_request(world, (struct http_request){.method = "GET"}));
    close(fd);
    assert_non_null(strstr(world->status.text, "http://127.0.0.1:"));
    assert_null(strstr(world->status.text, "/v1/x"));
    assert_non_null(strstr(world->status.text, "is sluiced running"));
    assert_int_equal(world->answer.status, 0);
}

static void test_silence_ends_with_the_timeout(void **state) {
    struct world *world = *state;
    fake_http_reply_never(world->fake);
    assert_false(send_request(world, (struct http_request){.timeout_us = 50 * 1000}));
    assert_non_null(strstr(world->status.text, "no whole answer within 50ms; allow more with --timeout"));
}

static void test_an_answer_that_breaks_off_is_none(void **state) {
    struct world *world = *state;
    fake_http_reply_raw(world->fake, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"half");
    assert_false(send_request(world, (struct http_request){.method = "GET"}));
    assert_int_equal(buf_len(&world->answer.body), 0);
    fake_http_reply_raw(world->fake, "");
    assert_false(send_request(world, (struct http_request){.method = "GET"}));
    assert_non_null(strstr(world->status.text, "http://127.0.0.1:"));
}

static void test_other_schemes_are_refused(void **state) {
    struct world *world = *state;
    snprintf(world->url, sizeof world->url, "file:///etc/hostname");
    assert_false(send_request(world, (struct http_request){.method = "GET"}));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_status_and_body_come_back, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_an_answer_may_be_empty, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_token_header_and_body_are_sent_and_then_forgotten, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(test_a_redirect_is_not_followed, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_a_refused_connection_says_what_to_do, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_silence_ends_with_the_timeout, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_an_answer_that_breaks_off_is_none, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_other_schemes_are_refused, open_world, close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
