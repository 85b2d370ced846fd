/* test_tokens.c — reading the file of tokens strictly, and finding whose token it is. */
#include "tests/support/test_prelude.h"

#include "admin/tokens.h"

/* SHA-256 of "test" and of "abc", the latter from FIPS 180. */
#define SHA_TEST "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
#define SHA_ABC "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"

static const struct token *find(const struct tokens *tokens, const char *token) {
    return tokens_find(tokens, (struct bytes){.data = (const uint8_t *)token, .len = strlen(token)});
}

static void test_a_token_has_its_name_and_role(void **state) {
    (void)state;
    static const char text[] = "- {name: alice, role: operator, sha256: " SHA_TEST "}\n"
                               "- {name: grafana@ops, role: viewer, sha256: " SHA_ABC "}\n";
    struct status status;
    struct tokens *tokens = tokens_parse("t.yaml", text, sizeof text - 1, &status);
    assert_non_null(tokens);
    assert_int_equal(tokens_count(tokens), 2);
    const struct token *alice = find(tokens, "test"), *grafana = find(tokens, "abc");
    assert_non_null(alice);
    assert_string_equal(alice->name, "alice");
    assert_int_equal(alice->role, TOKEN_OPERATOR);
    assert_non_null(grafana);
    assert_string_equal(grafana->name, "grafana@ops");
    assert_int_equal(grafana->role, TOKEN_VIEWER);
    assert_null(find(tokens, "tes"));
    assert_null(find(tokens, "test "));
    assert_null(find(tokens, ""));
    assert_null(find(tokens, SHA_TEST));
    tokens_destroy(&tokens);
    assert_null(tokens);
}

static void test_bad_files_are_refused_with_line_and_field(void **state) {
    (void)state;
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"", "t.yaml: there is no token in it"},
        {"name: a\n", "t.yaml:1:"},
        {"- {name: a, role: operator}\n", "t.yaml:1: [0]: 'sha256' is missing"},
        {"- {name: a, role: viewer, sha256: " SHA_ABC ", rôle: x}\n", "t.yaml:1:"},
        {"- name: a b\n  role: viewer\n  sha256: " SHA_ABC "\n", "t.yaml:1: [0].name: 'a b' is not 1 to 64"},
        {"- name: ''\n  role: viewer\n  sha256: " SHA_ABC "\n", "t.yaml:1: [0].name: '' is not 1 to 64"},
        {"- name: local\n  role: viewer\n  sha256: " SHA_ABC "\n", "t.yaml:1: [0].name: 'local' is the name"},
        {"- name: a\n  role: admin\n  sha256: " SHA_ABC "\n",
         "t.yaml:2: [0].role: 'admin' is neither viewer nor operator"},
        {"- name: a\n  role: viewer\n  sha256: hunter2\n", "t.yaml:3: [0].sha256: is not a SHA-256, 64"},
        {"- name: a\n  role: viewer\n  sha256: " SHA_ABC "0\n", "t.yaml:3: [0].sha256: is not a SHA-256"},
        {"- name: a\n  role: viewer\n  sha256: x" SHA_ABC "\n", "t.yaml:3: [0].sha256: is not a SHA-256"},
        {"- {name: a, role: viewer, sha256: " SHA_ABC "}\n- {name: a, role: viewer, sha256: " SHA_TEST "}\n",
         "t.yaml:2: [1].name: 'a' is given twice"},
        {"- {name: a, role: viewer, sha256: " SHA_ABC "}\n- {name: b, role: viewer, sha256: " SHA_ABC "}\n",
         "t.yaml:2: [1].sha256: is that of 'a' as well"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct status status = {{0}};
        assert_null(tokens_parse("t.yaml", cases[i].text, strlen(cases[i].text), &status));
        if (strncmp(status.text, cases[i].reason, strlen(cases[i].reason)) != 0) {
            fail_msg("case %zu: '%s' does not begin with '%s'", i, status.text, cases[i].reason);
        }
        assert_null(strstr(status.text, "hunter2"));
    }
}

static void test_a_missing_file_is_named(void **state) {
    (void)state;
    struct status status;
    assert_null(tokens_load("/nowhere/tokens.yaml", &status));
    assert_non_null(strstr(status.text, "/nowhere/tokens.yaml"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_token_has_its_name_and_role),
        cmocka_unit_test(test_bad_files_are_refused_with_line_and_field),
        cmocka_unit_test(test_a_missing_file_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
