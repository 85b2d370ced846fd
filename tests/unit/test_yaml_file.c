/* test_yaml_file.c — the tree is the file's, every refusal names line and reason, and garbage harms nothing. */
#include "tests/support/test_prelude.h"

#include <unistd.h>

#include "server/base/yaml_file.h"

static struct yaml_file *parse(const char *text) {
    struct status status = {"no reason"};
    struct yaml_file *file = yaml_file_parse("t.yaml", text, strlen(text), &status);
    if (file == NULL) {
        fail_msg("%s", status.text);
    }
    return file;
}

static void assert_refused_bytes(const char *text, size_t len, const char *reason) {
    struct status status = {"no reason"};
    assert_null(yaml_file_parse("t.yaml", text, len, &status));
    assert_string_equal(status.text, reason);
}

static void assert_refused(const char *text, const char *reason) {
    assert_refused_bytes(text, strlen(text), reason);
}

static void assert_bytes(struct bytes bytes, const char *text) {
    assert_int_equal(bytes.len, strlen(text));
    assert_memory_equal(bytes.data, text, bytes.len);
}

static void test_maps_lists_and_texts_come_back_in_order(void **state) {
    (void)state;
    struct yaml_file *file = parse("a: 1\n\"b c\": [x, 'y', {z: 2}]\nd:\n");
    struct yaml_node root = yaml_file_root(file);
    assert_int_equal(yaml_node_kind(root), YAML_MAP);
    struct yaml_node a = yaml_node_first(root), b = yaml_node_next(a), d = yaml_node_next(b);
    assert_bytes(yaml_node_key(a), "a");
    assert_bytes(yaml_node_text(a), "1");
    assert_bytes(yaml_node_key(b), "b c");
    assert_int_equal(yaml_node_kind(b), YAML_LIST);
    struct yaml_node x = yaml_node_first(b), y = yaml_node_next(x), z = yaml_node_next(y);
    assert_bytes(yaml_node_text(x), "x");
    assert_bytes(yaml_node_text(y), "y");
    assert_int_equal(yaml_node_kind(z), YAML_MAP);
    assert_bytes(yaml_node_text(yaml_node_first(z)), "2");
    assert_false(yaml_node_exists(yaml_node_next(z)));
    assert_bytes(yaml_node_key(d), "d");
    assert_int_equal(yaml_node_text(d).len, 0);
    assert_false(yaml_node_exists(yaml_node_next(d)));
    yaml_file_destroy(&file);
    assert_null(file);
}

static void test_a_file_of_comments_has_no_root(void **state) {
    (void)state;
    const char *const texts[] = {"", "\n", "# nothing\n", "---\n", "--- # nothing\n...\n", "\xef\xbb\xbf"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct yaml_file *file = parse(texts[i]);
        assert_false(yaml_node_exists(yaml_file_root(file)));
        yaml_file_destroy(&file);
    }
}

static void test_failures_carry_line_and_path(void **state) {
    (void)state;
    struct status status;
    struct yaml_file *file = parse("tenants:\n"
                                   "  demo:\n"
                                   "    api.*:\n"
                                   "      limits:\n"
                                   "        - rate: 1/s\n"
                                   "        - burst:\n"
                                   "            0\n");
    struct yaml_node root = yaml_file_root(file);
    struct yaml_node limits = yaml_node_first(yaml_node_first(yaml_node_first(yaml_node_first(root))));
    struct yaml_node burst = yaml_node_first(yaml_node_next(yaml_node_first(limits)));
    assert_false(yaml_node_fail(burst, &status, "%d is bad", 0));
    assert_string_equal(status.text, "t.yaml:6: tenants.demo.\"api.*\".limits[1].burst: 0 is bad");
    assert_false(yaml_node_fail(root, &status, "is bad"));
    assert_string_equal(status.text, "t.yaml:1: is bad");
    yaml_file_destroy(&file);
}

static void test_long_paths_are_cut(void **state) {
    (void)state;
    char text[1024] = "";
    struct status status;
    for (int i = 0; i < 10; i++) {
        sprintf(text + strlen(text), "{%080d: ", i);
    }
    strcat(text, "x}}}}}}}}}}");
    struct yaml_file *file = parse(text);
    struct yaml_node node = yaml_file_root(file);
    while (yaml_node_kind(node) == YAML_MAP) {
        node = yaml_node_first(node);
    }
    assert_false(yaml_node_fail(node, &status, "is bad"));
    assert_true(strlen(status.text) > 256 && strlen(status.text) < 300);
    assert_string_equal(status.text + strlen(status.text) - 8, ": is bad");
    yaml_file_destroy(&file);
}

static void test_kinds_are_checked(void **state) {
    (void)state;
    struct status status;
    struct yaml_file *file = parse("a: x\nb: []\nc:\nd: {e: f}\n");
    struct yaml_node a = yaml_node_first(yaml_file_root(file)), b = yaml_node_next(a), c = yaml_node_next(b),
                     d = yaml_node_next(c);
    assert_true(yaml_node_expect(a, YAML_TEXT, &status));
    assert_true(yaml_node_expect(c, YAML_TEXT, &status));
    assert_true(yaml_node_expect(d, YAML_MAP, &status));
    assert_false(yaml_node_expect(a, YAML_MAP, &status));
    assert_string_equal(status.text, "t.yaml:1: a: is a text; a map is needed");
    assert_false(yaml_node_expect(b, YAML_LIST, &status));
    assert_string_equal(status.text, "t.yaml:2: b: is empty; a list is needed");
    assert_false(yaml_node_expect(b, YAML_TEXT, &status));
    assert_string_equal(status.text, "t.yaml:2: b: is a list; a text is needed");
    assert_false(yaml_node_expect(c, YAML_MAP, &status));
    assert_string_equal(status.text, "t.yaml:3: c: is empty; a map is needed");
    assert_false(yaml_node_expect(d, YAML_TEXT, &status));
    assert_string_equal(status.text, "t.yaml:4: d: is a map; a text is needed");
    yaml_file_destroy(&file);
}

static void test_fields_are_found_required_and_no_others(void **state) {
    (void)state;
    static const struct yaml_field fields[] = {{"name", false}, {"rate", true}, {"burst", false}};
    struct yaml_node values[3];
    struct status status;
    struct yaml_file *file = parse("- {rate: 1, name: n}\n- {name: n}\n- {rate: 1, brust: 2}\n- x\n");
    struct yaml_node item = yaml_node_first(yaml_file_root(file));
    assert_true(yaml_node_fields(item, fields, 3, values, &status));
    assert_bytes(yaml_node_text(values[0]), "n");
    assert_bytes(yaml_node_text(values[1]), "1");
    assert_false(yaml_node_exists(values[2]));
    item = yaml_node_next(item);
    assert_false(yaml_node_fields(item, fields, 3, values, &status));
    assert_string_equal(status.text, "t.yaml:2: [1]: 'rate' is missing");
    item = yaml_node_next(item);
    assert_false(yaml_node_fields(item, fields, 3, values, &status));
    assert_string_equal(status.text,
                        "t.yaml:3: [2].brust: there is no such field here; the fields are: name, rate, burst");
    item = yaml_node_next(item);
    assert_false(yaml_node_fields(item, fields, 3, values, &status));
    assert_string_equal(status.text, "t.yaml:4: [3]: is a text; a map is needed");
    yaml_file_destroy(&file);
}

static void test_what_hides_meaning_is_refused(void **state) {
    (void)state;
    assert_refused("a: &x 1\nb: 2\n", "t.yaml:1: anchors (&name) are not supported");
    assert_refused("a: 1\nb: &x [1]\n", "t.yaml:2: anchors (&name) are not supported");
    assert_refused("a: 1\nb: *x\n",
                   "t.yaml:2: aliases (*name) are not supported; quote a text that begins with '*'");
    assert_refused("a: !!int 1\n", "t.yaml:1: tags (!name) are not supported");
    assert_refused("a: !t {b: c}\n", "t.yaml:1: tags (!name) are not supported");
    assert_refused("a: 1\n---\nb: 2\n", "t.yaml:2: more than one document in the file");
    assert_refused("[a]: 1\n", "t.yaml:1: a key must be a text");
    assert_refused("? {a: b}\n: 1\n", "t.yaml:1: a key must be a text");
}

static void test_duplicate_keys_are_refused(void **state) {
    (void)state;
    assert_refused("a: 1\nb: 2\na: 3\n", "t.yaml:3: a: is given twice, first in line 1");
    assert_refused("x:\n  - a: 1\n    'a': 2\n", "t.yaml:3: x[0].a: is given twice, first in line 2");
    assert_refused("'': 1\n'': 2\n", "t.yaml:2: \"\": is given twice, first in line 1");
    assert_refused("'':\n'':\n", "t.yaml:2: \"\": is given twice, first in line 1");
    struct yaml_file *file = parse("x: {a: 1}\ny: {a: 1, aa: 2}\n");
    yaml_file_destroy(&file);
}

static void test_syntax_errors_have_libyaml_s_line_and_problem(void **state) {
    (void)state;
    assert_refused("a: 1\n\tb: 2\n", "t.yaml:2: found a tab character that violates indentation"
                                     " (while scanning a plain scalar that begins in line 1)");
    assert_refused("a: [1, 2\nb: 3\n", "t.yaml:2: did not find expected ',' or ']'"
                                       " (while parsing a flow sequence that begins in line 1)");
    assert_refused("a: 'x\n", "t.yaml:2: found unexpected end of stream"
                              " (while scanning a quoted scalar that begins in line 1)");
}

static void test_bytes_that_are_not_utf8_text_are_refused(void **state) {
    (void)state;
    assert_refused("a: 1\nb: \xff\xfe\n", "t.yaml:2: invalid leading UTF-8 octet; the file must be UTF-8 text");
    assert_refused("a: 1\nb: \xc3", "t.yaml:2: incomplete UTF-8 octet sequence; the file must be UTF-8 text");
    assert_refused_bytes("a: \0b", 5,
                         "t.yaml:1: control characters are not allowed; the file must be UTF-8 text");
    assert_refused_bytes("\xff\xfe"
                         "a\0",
                         4, "t.yaml:1: invalid leading UTF-8 octet; the file must be UTF-8 text");
}

static void test_depth_is_bounded(void **state) {
    (void)state;
    char text[YAML_FILE_MAX_DEPTH * 2 + 3];
    for (int depth = YAML_FILE_MAX_DEPTH; depth <= YAML_FILE_MAX_DEPTH + 1; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        text[2 * depth] = '\0';
        if (depth > YAML_FILE_MAX_DEPTH) {
            assert_refused(text, "t.yaml:1: maps and lists are nested too deeply");
        } else {
            struct yaml_file *file = parse(text);
            yaml_file_destroy(&file);
        }
    }
    size_t len = 1 << 20;
    char *brackets = malloc(len);
    assert_non_null(brackets);
    memset(brackets, '[', len);
    assert_refused_bytes(brackets, len, "t.yaml:1: maps and lists are nested too deeply");
    free(brackets);
}

static void test_size_is_bounded(void **state) {
    (void)state;
    size_t len = YAML_FILE_MAX_BYTES + 1;
    char *text = malloc(len);
    assert_non_null(text);
    memset(text, '\n', len);
    assert_refused_bytes(text, len, "t.yaml: is larger than 16MiB");
    free(text);
    struct status status;
    assert_null(yaml_file_load("/dev/zero", &status));
    assert_string_equal(status.text, "/dev/zero: is larger than 16MiB");
}

static void test_files_are_read_or_the_reason_given(void **state) {
    (void)state;
    struct status status;
    char path[] = "/tmp/sluice_yaml_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a: b\n", 5), 5);
    close(fd);
    struct yaml_file *file = yaml_file_load(path, &status);
    unlink(path);
    assert_non_null(file);
    assert_bytes(yaml_node_text(yaml_node_first(yaml_file_root(file))), "b");
    yaml_file_destroy(&file);
    assert_null(yaml_file_load("/nowhere/t.yaml", &status));
    assert_string_equal(status.text, "/nowhere/t.yaml: cannot be opened: No such file or directory");
    assert_null(yaml_file_load("/", &status));
    assert_string_equal(status.text, "/: cannot be read: Is a directory");
}

/* Visits everything, so that the sanitizers see every byte that can be reached. */
static size_t visit(struct yaml_node node) {
    size_t sum = yaml_node_text(node).len + yaml_node_key(node).len;
    struct status status;
    sum += (size_t)yaml_node_fail(node, &status, "x");
    for (struct yaml_node child = yaml_node_first(node); yaml_node_exists(child);
         child = yaml_node_next(child)) {
        sum += visit(child);
    }
    return sum;
}

static void test_damaged_files_harm_nothing(void **state) {
    (void)state;
    static const char good[] =
        "# c\na: [1, {b: 'c', d: \"e\\t\"}]\n\"f.*\":\n  - g: |\n      h\n  - ? i\n    : j\n"
        "k: &l m\nn: *l\no: !p q\n--- r\n";
    static const char alphabet[] = "\n\t -?:,[]{}#&*!|>'\"%@`\\ab\xff\xc3\xa4";
    char text[sizeof good];
    unsigned seed = 1;
    for (int round = 0; round < 20000; round++) {
        memcpy(text, good, sizeof good);
        for (int edits = rand_r(&seed) % 6; edits >= 0; edits--) {
            text[(size_t)rand_r(&seed) % (sizeof good - 1)] =
                alphabet[(size_t)rand_r(&seed) % (sizeof alphabet - 1)];
        }
        struct status status = {""};
        size_t len = (size_t)rand_r(&seed) % sizeof good;
        struct yaml_file *file = yaml_file_parse("t.yaml", text, len, &status);
        assert_true((file != NULL) == (status.text[0] == '\0'));
        if (file != NULL && yaml_node_exists(yaml_file_root(file))) {
            assert_true(visit(yaml_file_root(file)) < 2 * sizeof good);
        }
        yaml_file_destroy(&file);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_maps_lists_and_texts_come_back_in_order),
        cmocka_unit_test(test_a_file_of_comments_has_no_root),
        cmocka_unit_test(test_failures_carry_line_and_path),
        cmocka_unit_test(test_long_paths_are_cut),
        cmocka_unit_test(test_kinds_are_checked),
        cmocka_unit_test(test_fields_are_found_required_and_no_others),
        cmocka_unit_test(test_what_hides_meaning_is_refused),
        cmocka_unit_test(test_duplicate_keys_are_refused),
        cmocka_unit_test(test_syntax_errors_have_libyaml_s_line_and_problem),
        cmocka_unit_test(test_bytes_that_are_not_utf8_text_are_refused),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_size_is_bounded),
        cmocka_unit_test(test_files_are_read_or_the_reason_given),
        cmocka_unit_test(test_damaged_files_harm_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
