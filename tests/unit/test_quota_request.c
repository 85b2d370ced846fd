/* test_quota_request.c — the body of a PUT from flags and from files. */
#include "tests/support/test_prelude.h"

#include <unistd.h>

#include "admin/ctl/quota_request.h"

static void assert_body(struct quota_request request, const char *expected) {
    struct status status = {""};
    char *body = quota_request_make(&request, &status);
    if (body == NULL) {
        fail_msg("%s", status.text);
    }
    assert_string_equal(body, expected);
    free(body);
}

static void assert_refused(struct quota_request request, const char *reason) {
    struct status status = {""};
    assert_true(!quota_request_check(&request, &status) || quota_request_make(&request, &status) == NULL);
    if (strstr(status.text, reason) == NULL) {
        fail_msg("\"%s\" is not in: %s", reason, status.text);
    }
}

static void test_only_what_was_told_is_sent(void **state) {
    (void)state;
    assert_body((struct quota_request){.rate = "100/s"}, "{\"limits\":[{\"rate\":\"100/s\"}]}");
    assert_body((struct quota_request){.rate = "10x",
                                       .burst = 200,
                                       .algorithm = "leaky_bucket",
                                       .name = "n",
                                       .scope = "tenant",
                                       .mode = "shadow",
                                       .on_store_failure = "deny"},
                "{\"limits\":[{\"name\":\"n\",\"algorithm\":\"leaky_bucket\",\"rate\":\"10x\",\"burst\":200,"
                "\"scope\":\"tenant\"}],"
                "\"on_store_failure\":\"deny\",\"mode\":\"shadow\"}");
    assert_body((struct quota_request){.is_unlimited = true}, "{\"unlimited\":true}");
}

static void test_parts_that_do_not_go_together_are_refused(void **state) {
    (void)state;
    assert_refused((struct quota_request){.burst = 7}, "what shall be set?");
    assert_refused((struct quota_request){.rate = "1/s", .is_unlimited = true}, "do not go together");
    assert_refused((struct quota_request){.rate = "1/s", .file = "f"}, "do not go together");
    assert_refused((struct quota_request){.file = "f", .mode = "shadow"}, "the file says everything");
    assert_refused((struct quota_request){.file = "f", .scope = "tenant"}, "the file says everything");
    assert_refused((struct quota_request){.is_unlimited = true, .burst = 7},
                   "an unlimited quota has none of them");
    assert_refused((struct quota_request){.rate = "\xff"}, "UTF-8");
}

static void test_a_file_is_sent_as_it_is(void **state) {
    char path[] = "/tmp/sluice-request.XXXXXX";
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    assert_refused((struct quota_request){.file = path}, "there is nothing in it");
    assert_int_equal(write(fd, "{ \"limits\": 7 }\n", 16), 16);
    assert_body((struct quota_request){.file = path}, "{ \"limits\": 7 }\n");
    assert_int_equal(write(fd, "", 1), 1);
    assert_refused((struct quota_request){.file = path}, "a quota is a text");
    assert_int_equal(ftruncate(fd, 0), 0);
    for (int i = 0; i < QUOTA_REQUEST_MAX_BYTES / 16; i++) {
        assert_int_equal(pwrite(fd, "0123456789abcdef", 16, 16 * i), 16);
    }
    char *whole = quota_request_make(&(struct quota_request){.file = path}, NULL);
    assert_non_null(whole);
    free(whole);
    assert_int_equal(pwrite(fd, "x", 1, QUOTA_REQUEST_MAX_BYTES), 1);
    assert_refused((struct quota_request){.file = path}, "at most 65536 bytes");
    close(fd);
    unlink(path);
    assert_refused((struct quota_request){.file = path}, path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_what_was_told_is_sent),
        cmocka_unit_test(test_parts_that_do_not_go_together_are_refused),
        cmocka_unit_test(test_a_file_is_sent_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
