/* test_ledger.c — what is written for the scripts, and what is read from the store, byte by byte. */
#include "tests/support/test_prelude.h"

#include "server/quota/ledger.h"
#include "tests/support/text_bytes.h"

#define assert_text(bytes, text) assert_true(ledger_is(bytes, text))

static bool read_resp(struct redis_reader **reader, const char *resp, struct ledger_entry *entry) {
    const struct redis_reply *reply;
    redis_reader_destroy(reader);
    *reader = redis_reader_create();
    assert_non_null(*reader);
    redis_reader_feed(*reader, (const uint8_t *)resp, strlen(resp));
    assert_int_equal(redis_reader_next(*reader, &reply), REDIS_READER_REPLY);
    return ledger_read_entry(reply, entry);
}

static void test_entry_is_read_and_unknown_fields_are_passed_over(void **state) {
    (void)state;
    struct redis_reader *reader = NULL;
    struct ledger_entry entry;
    assert_true(read_resp(&reader,
                          "*2\r\n$4\r\n12-3\r\n*10\r\n$4\r\nwhat\r\n$3\r\nput\r\n$5\r\nat_ms\r\n$4\r\n1234\r\n"
                          "$5\r\nlater\r\n$1\r\nx\r\n$6\r\ntenant\r\n$1\r\nt\r\n$3\r\nnew\r\n$2\r\n{}\r\n",
                          &entry));
    assert_int_equal(entry.revision, 12);
    assert_int_equal(entry.part, 3);
    assert_int_equal(entry.at_ms, 1234);
    assert_text(entry.what, "put");
    assert_text(entry.tenant, "t");
    assert_text(entry.new, "{}");
    assert_text(entry.old, "");
    redis_reader_destroy(&reader);
}

static void test_what_is_no_entry_is_refused(void **state) {
    (void)state;
    const char *const cases[] = {
        "+OK\r\n",
        "*0\r\n",
        "*1\r\n$3\r\n1-0\r\n",
        "*2\r\n$3\r\n1-0\r\n$-1\r\n",
        "*2\r\n:1\r\n*0\r\n",
        "*2\r\n$1\r\n1\r\n*0\r\n",
        "*2\r\n$3\r\nx-0\r\n*0\r\n",
        "*2\r\n$2\r\n1-\r\n*0\r\n",
        "*2\r\n$22\r\n12345678901234567890-0\r\n*0\r\n",
        "*2\r\n$3\r\n1-0\r\n*1\r\n$4\r\nwhat\r\n",
        "*2\r\n$3\r\n1-0\r\n*2\r\n$4\r\nwhat\r\n*1\r\n:1\r\n",
        "*2\r\n$3\r\n1-0\r\n*2\r\n$5\r\nat_ms\r\n$2\r\n-1\r\n",
    };
    struct redis_reader *reader = NULL;
    struct ledger_entry entry;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (read_resp(&reader, cases[i], &entry)) {
            fail_msg("taken for an entry: %s", cases[i]);
        }
    }
    redis_reader_destroy(&reader);
}

static void test_field_and_value_are_split(void **state) {
    (void)state;
    struct bytes tenant, resource, text;
    uint64_t revision;
    assert_true(ledger_read_field(text_bytes("acme\napi.*"), &tenant, &resource));
    assert_text(tenant, "acme");
    assert_text(resource, "api.*");
    assert_true(ledger_read_field(text_bytes("\ndefault"), &tenant, &resource));
    assert_text(tenant, "");
    assert_text(resource, LEDGER_DEFAULT);
    assert_false(ledger_read_field(text_bytes("acme"), &tenant, &resource));
    assert_true(ledger_read_value(text_bytes("17 {\"a\": 1}"), &revision, &text));
    assert_int_equal(revision, 17);
    assert_text(text, "{\"a\": 1}");
    const char *const bad[] = {"", "17", " {}", "0 {}", "x {}", "-1 {}", "99999999999999999999 {}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(ledger_read_value(text_bytes(bad[i]), &revision, &text));
    }
}

static void test_put_is_packed(void **state) {
    (void)state;
    struct buf out = {0};
    struct ledger_put put = {
        .kind = LEDGER_PUT_SEED, .is_followed = true, .above = 12, .who = text_bytes("me")};
    assert_true(ledger_begin_put(&put, &out));
    assert_true(ledger_add_put(text_bytes("t"), text_bytes("r"), text_bytes("{}"), LEDGER_ANY_REVISION, &out));
    assert_true(ledger_add_put(text_bytes("t"), text_bytes("r"), text_bytes(""), 7, &out));
    static const char wanted[] = "\3\2\0\0\0me\0\0\0\0\2\0\0\00012\1\0\0\0t\1\0\0\0r\2\0\0\0{}\0\0\0\0"
                                 "\1\0\0\0t\1\0\0\0r\0\0\0\0\1\0\0\0007";
    assert_int_equal(buf_len(&out), sizeof wanted - 1);
    assert_memory_equal(buf_front(&out), wanted, sizeof wanted - 1);
    buf_deinit(&out);
}

static void test_long_texts_of_a_note_are_cut(void **state) {
    (void)state;
    struct buf out = {0};
    char *text = calloc(1, LEDGER_NOTE_MAX_BYTES + 100);
    assert_non_null(text);
    struct ledger_entry note = {.new = {(const uint8_t *)text, LEDGER_NOTE_MAX_BYTES + 100}};
    assert_true(ledger_write_note(&note, &out));
    assert_int_equal(buf_len(&out), 10 * 4 + LEDGER_NOTE_MAX_BYTES);
    buf_deinit(&out);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entry_is_read_and_unknown_fields_are_passed_over),
        cmocka_unit_test(test_what_is_no_entry_is_refused),
        cmocka_unit_test(test_field_and_value_are_split),
        cmocka_unit_test(test_put_is_packed),
        cmocka_unit_test(test_long_texts_of_a_note_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
