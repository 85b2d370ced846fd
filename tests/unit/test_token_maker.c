/* test_token_maker.c — tokens are random, and their hash is SHA-256. */
#include "tests/support/test_prelude.h"

#include "admin/ctl/token_maker.h"

static void test_the_hash_is_sha_256(void **state) {
    char sha256[TOKEN_MAKER_HEX_BYTES];
    (void)state;
    assert_true(token_maker_hash("abc", sha256));
    assert_string_equal(sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_no_two_tokens_are_alike(void **state) {
    struct token_made a, b;
    char sha256[TOKEN_MAKER_HEX_BYTES];
    (void)state;
    assert_true(token_maker_make(&a, NULL));
    assert_true(token_maker_make(&b, NULL));
    assert_string_not_equal(a.token, b.token);
    assert_int_equal(strlen(a.token), 64);
    assert_int_equal(strspn(a.token, "0123456789abcdef"), 64);
    assert_true(token_maker_hash(a.token, sha256));
    assert_string_equal(a.sha256, sha256);
}

static void test_names_and_roles_are_judged(void **state) {
    struct status status = {""};
    char long_name[TOKEN_MAKER_NAME_MAX_BYTES + 2];
    (void)state;
    memset(long_name, 'a', sizeof long_name);
    long_name[TOKEN_MAKER_NAME_MAX_BYTES + 1] = '\0';
    assert_true(token_maker_check("alice@example.org", "operator", &status));
    assert_true(token_maker_check(long_name + 1, "viewer", &status));
    assert_false(token_maker_check(long_name, "viewer", &status));
    assert_false(token_maker_check("", "viewer", &status));
    assert_false(token_maker_check("local", "viewer", &status));
    assert_false(token_maker_check("a\"b", "viewer", &status));
    assert_false(token_maker_check("alice", "root", &status));
    assert_false(token_maker_check("alice", NULL, &status));
    assert_string_equal(status.text, "say --role viewer or --role operator");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_hash_is_sha_256),
        cmocka_unit_test(test_no_two_tokens_are_alike),
        cmocka_unit_test(test_names_and_roles_are_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
