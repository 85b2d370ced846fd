/* test_redis_reply.c — RESP into nodes, however the bytes arrive and whatever they are. */
#include "tests/support/test_prelude.h"

#include "server/store/redis_reply.h"

static void feed(struct redis_reader *reader, const char *text) {
    redis_reader_feed(reader, (const uint8_t *)text, strlen(text));
}

static const struct redis_reply *next(struct redis_reader *reader) {
    const struct redis_reply *reply = NULL;
    assert_int_equal(redis_reader_next(reader, &reply), REDIS_READER_REPLY);
    return reply;
}

static void assert_more(struct redis_reader *reader) {
    const struct redis_reply *reply;
    assert_int_equal(redis_reader_next(reader, &reply), REDIS_READER_MORE);
}

static void assert_broken(struct redis_reader *reader) {
    const struct redis_reply *reply;
    assert_int_equal(redis_reader_next(reader, &reply), REDIS_READER_BROKEN);
    assert_string_not_equal(redis_reader_problem(reader), "");
    assert_int_equal(redis_reader_next(reader, &reply), REDIS_READER_BROKEN);
}

static void assert_text(const struct redis_reply *node, enum redis_reply_kind kind, const char *text) {
    assert_non_null(node);
    assert_int_equal(node->kind, kind);
    assert_int_equal(node->text.len, strlen(text));
    assert_memory_equal(node->text.data, text, node->text.len);
}

static void assert_integer(const struct redis_reply *node, int64_t value) {
    assert_non_null(node);
    assert_int_equal(node->kind, REDIS_KIND_INTEGER);
    assert_int_equal(node->integer, value);
}

static const char nested[] = "*4\r\n"
                             "*3\r\n:0\r\n:5460\r\n*3\r\n$9\r\n127.0.0.1\r\n:7001\r\n*0\r\n"
                             "$-1\r\n"
                             "+OK\r\n"
                             "*2\r\n-ERR no\r\n$0\r\n\r\n";

static void assert_nested(const struct redis_reply *root) {
    assert_int_equal(root->kind, REDIS_KIND_ARRAY);
    assert_int_equal(root->n_children, 4);
    assert_int_equal(root->n_nodes, 13);
    const struct redis_reply *range = redis_reply_child(root, 0);
    assert_integer(redis_reply_child(range, 1), 5460);
    const struct redis_reply *node = redis_reply_child(range, 2);
    assert_text(redis_reply_child(node, 0), REDIS_KIND_STRING, "127.0.0.1");
    assert_integer(redis_reply_child(node, 1), 7001);
    assert_int_equal(redis_reply_child(node, 2)->n_children, 0);
    assert_null(redis_reply_child(node, 3));
    assert_int_equal(redis_reply_child(root, 1)->kind, REDIS_KIND_NIL);
    assert_text(redis_reply_child(root, 2), REDIS_KIND_STATUS, "OK");
    assert_null(redis_reply_child(redis_reply_child(root, 2), 0));
    assert_text(redis_reply_child(redis_reply_child(root, 3), 0), REDIS_KIND_ERROR, "ERR no");
    assert_text(redis_reply_child(redis_reply_child(root, 3), 1), REDIS_KIND_STRING, "");
}

static void test_every_kind_is_read(void **state) {
    (void)state;
    struct redis_reader *reader = redis_reader_create();
    assert_more(reader);
    feed(reader, "+OK\r\n-MOVED 1 h:1\r\n:-9223372036854775808\r\n$5\r\na\r\nbc\r\n$-1\r\n*-1\r\n*0\r\n");
    assert_text(next(reader), REDIS_KIND_STATUS, "OK");
    assert_text(next(reader), REDIS_KIND_ERROR, "MOVED 1 h:1");
    assert_integer(next(reader), INT64_MIN);
    assert_text(next(reader), REDIS_KIND_STRING, "a\r\nbc");
    assert_int_equal(next(reader)->kind, REDIS_KIND_NIL);
    assert_int_equal(next(reader)->kind, REDIS_KIND_NIL);
    assert_int_equal(next(reader)->n_children, 0);
    assert_more(reader);
    redis_reader_destroy(&reader);
    assert_null(reader);
}

static void test_a_string_keeps_its_nul(void **state) {
    (void)state;
    struct redis_reader *reader = redis_reader_create();
    redis_reader_feed(reader, (const uint8_t *)"$3\r\na\0b\r\n", 9);
    const struct redis_reply *reply = next(reader);
    assert_int_equal(reply->text.len, 3);
    assert_memory_equal(reply->text.data, "a\0b", 3);
    redis_reader_destroy(&reader);
}

static void test_nested_reply_split_at_each_byte(void **state) {
    (void)state;
    size_t len = sizeof nested - 1;
    for (size_t split = 1; split < len; split++) {
        struct redis_reader *reader = redis_reader_create();
        redis_reader_feed(reader, (const uint8_t *)nested, split);
        assert_more(reader);
        redis_reader_feed(reader, (const uint8_t *)nested + split, len - split);
        assert_nested(next(reader));
        assert_more(reader);
        redis_reader_destroy(&reader);
    }
}

static void test_replies_byte_by_byte_on_one_reader(void **state) {
    (void)state;
    struct redis_reader *reader = redis_reader_create();
    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i + 1 < sizeof nested - 1; i++) {
            redis_reader_feed(reader, (const uint8_t *)nested + i, 1);
            assert_more(reader);
        }
        redis_reader_feed(reader, (const uint8_t *)nested + sizeof nested - 2, 1);
        assert_nested(next(reader));
    }
    redis_reader_destroy(&reader);
}

/* More than a KiB is consumed, so that hiredis moves its buffer under the replies. */
static void test_many_replies_in_one_feed_keep_their_texts(void **state) {
    (void)state;
    struct redis_reader *reader = redis_reader_create();
    char text[32], all[64 * 1024] = "";
    size_t n_bytes = 0;
    for (int i = 0; i < 3000; i++) {
        n_bytes += (size_t)snprintf(all + n_bytes, sizeof all - n_bytes, "$8\r\n%08d\r\n", i);
    }
    redis_reader_feed(reader, (const uint8_t *)all, n_bytes);
    for (int i = 0; i < 3000; i++) {
        snprintf(text, sizeof text, "%08d", i);
        assert_text(next(reader), REDIS_KIND_STRING, text);
    }
    assert_more(reader);
    redis_reader_destroy(&reader);
}

static void test_arrays_grow_while_a_reply_is_read(void **state) {
    (void)state;
    struct redis_reader *reader = redis_reader_create();
    feed(reader, "*5000\r\n");
    for (int i = 0; i < 5000; i++) {
        char child[64];
        snprintf(child, sizeof child, "*2\r\n:%d\r\n$12\r\nnumber %05d\r\n", i, i);
        assert_more(reader);
        feed(reader, child);
    }
    const struct redis_reply *root = next(reader);
    assert_int_equal(root->n_nodes, 15001);
    const struct redis_reply *child = redis_reply_first(root);
    for (int i = 0; i < 5000; i++, child = redis_reply_next(child)) {
        char text[32];
        snprintf(text, sizeof text, "number %05d", i);
        assert_integer(redis_reply_child(child, 0), i);
        assert_text(redis_reply_child(child, 1), REDIS_KIND_STRING, text);
    }
    redis_reader_destroy(&reader);
}

static void test_room_is_used_again_for_the_next_reply(void **state) {
    (void)state;
    struct redis_reader *reader = redis_reader_create();
    for (int i = 0; i < REDIS_REPLY_MAX_NODES; i++) {
        feed(reader, "*2\r\n:7\r\n+abc\r\n");
        assert_text(redis_reply_child(next(reader), 1), REDIS_KIND_STATUS, "abc");
    }
    redis_reader_destroy(&reader);
}

static void test_garbage_breaks_the_reader_for_good(void **state) {
    (void)state;
    static const char *const texts[] = {
        "HTTP/1.1 400 Bad Request\r\n", "$x\r\n", "$-2\r\n", ":1x\r\n", "*-2\r\n", "*2147483648\r\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct redis_reader *reader = redis_reader_create();
        feed(reader, texts[i]);
        assert_broken(reader);
        feed(reader, "+OK\r\n");
        assert_broken(reader);
        redis_reader_destroy(&reader);
    }
}

static void test_garbage_inside_an_array_breaks_the_reader(void **state) {
    (void)state;
    struct redis_reader *reader = redis_reader_create();
    feed(reader, "*2\r\n$3\r\nabc\r\n?\r\n");
    assert_broken(reader);
    redis_reader_destroy(&reader);
}

static void test_too_deep_a_reply_breaks_the_reader(void **state) {
    (void)state;
    struct redis_reader *reader = redis_reader_create();
    for (int i = 0; i < 20; i++) {
        feed(reader, "*1\r\n");
    }
    feed(reader, ":1\r\n");
    assert_broken(reader);
    redis_reader_destroy(&reader);
}

static void test_too_many_nodes_break_the_reader(void **state) {
    (void)state;
    struct redis_reader *reader = redis_reader_create();
    feed(reader, "*65535\r\n");
    for (int i = 0; i < 65535; i++) {
        feed(reader, ":1\r\n");
    }
    assert_int_equal(next(reader)->n_nodes, REDIS_REPLY_MAX_NODES);
    feed(reader, "*65536\r\n");
    for (int i = 0; i < 65536; i++) {
        feed(reader, ":1\r\n");
    }
    assert_broken(reader);
    assert_string_equal(redis_reader_problem(reader), "a reply of too many parts");
    redis_reader_destroy(&reader);
}

static void test_too_long_a_string_breaks_the_reader_before_it_is_all_there(void **state) {
    (void)state;
    struct redis_reader *reader = redis_reader_create();
    feed(reader, "$1000000000000\r\n");
    uint8_t *mega = calloc(1, 1024 * 1024);
    for (int i = 0; i < 3; i++) {
        redis_reader_feed(reader, mega, 1024 * 1024);
        assert_more(reader);
    }
    redis_reader_feed(reader, mega, 1024 * 1024);
    assert_broken(reader);
    assert_string_equal(redis_reader_problem(reader), "a reply of too many bytes");
    free(mega);
    redis_reader_destroy(&reader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_is_read),
        cmocka_unit_test(test_a_string_keeps_its_nul),
        cmocka_unit_test(test_nested_reply_split_at_each_byte),
        cmocka_unit_test(test_replies_byte_by_byte_on_one_reader),
        cmocka_unit_test(test_many_replies_in_one_feed_keep_their_texts),
        cmocka_unit_test(test_arrays_grow_while_a_reply_is_read),
        cmocka_unit_test(test_room_is_used_again_for_the_next_reply),
        cmocka_unit_test(test_garbage_breaks_the_reader_for_good),
        cmocka_unit_test(test_garbage_inside_an_array_breaks_the_reader),
        cmocka_unit_test(test_too_deep_a_reply_breaks_the_reader),
        cmocka_unit_test(test_too_many_nodes_break_the_reader),
        cmocka_unit_test(test_too_long_a_string_breaks_the_reader_before_it_is_all_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
