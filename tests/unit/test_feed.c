/* test_feed.c — the feed against scripted answers, in virtual time: first reading, following, loss, seeds. */
#include "tests/support/test_prelude.h"

#include "server/base/log.h"
#include "server/quota/feed.h"
#include "tests/support/text_bytes.h"

enum { NODE = 1, OTHER_NODE = 2 };

struct bench {
    struct feed *feed;
    struct feed_metrics metrics;
    struct redis_reader *reader;
    int64_t now_us;
    int n_resets;
};

static void note_reset(void *arg, const struct ledger_entry *entry) {
    struct bench *bench = arg;
    bench->n_resets++;
    assert_true(ledger_is(entry->key, "alice"));
}

static struct quota_set *set_with(const char *resource, uint64_t revision) {
    struct quota_set *set = quota_set_create();
    struct quota_rules rules = {.is_unlimited = true};
    struct status status;
    assert_non_null(set);
    assert_true(quota_set_put(set, text_bytes("t"), text_bytes(resource), &rules, revision, &status));
    quota_set_set_revision(set, revision);
    return set;
}

/* In force at first: a quota named "old". */
static void setup_from(struct bench *bench, uint64_t revision, bool has_seed) {
    *bench = (struct bench){.now_us = 1};
    struct quota_set *set = set_with("old", revision);
    bench->feed = feed_create(&(struct feed_options){.set = set,
                                                     .seed = has_seed ? set : NULL,
                                                     .is_snapshot = revision > 0,
                                                     .metrics = &bench->metrics,
                                                     .on_reset = note_reset,
                                                     .arg = bench});
    assert_non_null(bench->feed);
    quota_set_release(&set);
}

static void teardown(struct bench *bench) {
    feed_destroy(&bench->feed);
    redis_reader_destroy(&bench->reader);
}

/* The next question as text, seeds as SEED and their flags. Waits are waited for. */
static const char *asked(struct bench *bench) {
    static char text[256];
    struct feed_question question;
    feed_ask(bench->feed, &question);
    bench->now_us += question.wait_us;
    assert_true(question.n_words > 0);
    if (question.is_seed) {
        snprintf(text, sizeof text, "SEED %u", (unsigned)question.words[0].data[0]);
        return text;
    }
    size_t n = 0;
    for (uint32_t i = 0; i < question.n_words; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s", i > 0 ? " " : "", (int)question.words[i].len,
                              (const char *)question.words[i].data);
    }
    return text;
}

static bool answer_of(struct bench *bench, const char *resp, uintptr_t node) {
    const struct redis_reply *reply;
    redis_reader_destroy(&bench->reader);
    bench->reader = redis_reader_create();
    assert_non_null(bench->reader);
    redis_reader_feed(bench->reader, (const uint8_t *)resp, strlen(resp));
    assert_int_equal(redis_reader_next(bench->reader, &reply), REDIS_READER_REPLY);
    return feed_take(bench->feed, reply, node, bench->now_us);
}

static bool answer(struct bench *bench, const char *resp) {
    return answer_of(bench, resp, NODE);
}

#define ENTRY_7 "*2\r\n$3\r\n7-0\r\n*2\r\n$4\r\nwhat\r\n$3\r\nput\r\n"
#define LAST_7 "*1\r\n" ENTRY_7
#define PUT_OF(id, resource)                                                                                   \
    "*2\r\n$3\r\n" id                                                                                          \
    "\r\n*8\r\n$4\r\nwhat\r\n$3\r\nput\r\n$6\r\ntenant\r\n$1\r\nt\r\n$8\r\nresource\r\n$1\r\n" resource        \
    "\r\n$3\r\nnew\r\n$18\r\n{\"unlimited\":true}\r\n"
#define STREAM(n, entries) "*1\r\n*2\r\n$16\r\n{sluice}:changes\r\n*" n "\r\n" entries
#define NIL "*-1\r\n"
#define PAGE(cursor, n, fields) "*2\r\n$1\r\n" cursor "\r\n*" n "\r\n" fields
#define FIELD_A "$3\r\nt\na\r\n$20\r\n7 {\"unlimited\":true}\r\n"
#define FOLLOW_7 "XREAD COUNT 500 BLOCK 2000 STREAMS {sluice}:changes 7-0"
#define CHECK_7 "XRANGE {sluice}:changes 7-0 7-0"
#define LOOK "XREVRANGE {sluice}:changes + - COUNT 1"

static bool has(const struct bench *bench, const char *resource) {
    return quota_set_get(feed_set(bench->feed), text_bytes("t"), text_bytes(resource)) != NULL;
}

static uint64_t revision(const struct bench *bench) {
    return quota_set_revision(feed_set(bench->feed));
}

/* The store has quota "a", at revision 7, and nothing else. */
static void synchronise(struct bench *bench) {
    assert_string_equal(asked(bench), LOOK);
    assert_false(answer(bench, LAST_7));
    assert_string_equal(asked(bench), "HSCAN {sluice}:quotas 0 COUNT 2000");
    assert_false(answer(bench, PAGE("5", "2", FIELD_A)));
    assert_string_equal(asked(bench), "HSCAN {sluice}:quotas 5 COUNT 2000");
    assert_false(answer(bench, PAGE("0", "0", "")));
    assert_string_equal(asked(bench), "XREAD COUNT 500 STREAMS {sluice}:changes 7-0");
    assert_true(answer(bench, NIL));
    assert_string_equal(asked(bench), FOLLOW_7);
}

static void test_store_replaces_what_was_in_force(void **state) {
    (void)state;
    struct bench bench;
    setup_from(&bench, 0, true);
    assert_false(feed_is_synced(bench.feed));
    assert_int_equal(metric_get(&bench.metrics.from_file), 1);
    synchronise(&bench);
    assert_true(feed_is_synced(bench.feed));
    assert_int_equal(revision(&bench), 7);
    assert_true(has(&bench, "a"));
    assert_false(has(&bench, "old"));
    assert_int_equal(metric_get(&bench.metrics.from_store), 1);
    assert_int_equal(metric_get(&bench.metrics.from_file), 0);
    teardown(&bench);
}

static void test_changes_while_it_reads_are_caught_up(void **state) {
    (void)state;
    struct bench bench;
    setup_from(&bench, 0, true);
    asked(&bench);
    answer(&bench, LAST_7);
    asked(&bench);
    answer(&bench, PAGE("0", "2", FIELD_A));
    asked(&bench);
    assert_true(answer(&bench, STREAM("1", PUT_OF("8-0", "b"))));
    assert_int_equal(revision(&bench), 8);
    assert_true(has(&bench, "a") && has(&bench, "b"));
    teardown(&bench);
}

static void test_changes_of_one_answer_are_one_set_once_checked(void **state) {
    (void)state;
    struct bench bench;
    setup_from(&bench, 0, true);
    synchronise(&bench);
    assert_false(answer(&bench, STREAM("2", PUT_OF("8-0", "b") PUT_OF("9-0", "c"))));
    assert_int_equal(revision(&bench), 7);
    assert_string_equal(asked(&bench), CHECK_7);
    assert_true(answer(&bench, LAST_7));
    assert_int_equal(revision(&bench), 9);
    assert_true(has(&bench, "b") && has(&bench, "c"));
    assert_int_equal(metric_get(&bench.metrics.changes), 2);
    assert_string_equal(asked(&bench), "XREAD COUNT 500 BLOCK 2000 STREAMS {sluice}:changes 9-0");
    teardown(&bench);
}

static void test_silence_is_checked_as_well(void **state) {
    (void)state;
    struct bench bench;
    setup_from(&bench, 0, true);
    synchronise(&bench);
    assert_false(answer(&bench, NIL));
    assert_string_equal(asked(&bench), CHECK_7);
    assert_false(answer(&bench, LAST_7));
    assert_string_equal(asked(&bench), FOLLOW_7);
    teardown(&bench);
}

/* Trimmed, gone, or another one under the same id: a failover lost it. */
static void test_position_that_is_lost_means_reading_anew(void **state) {
    (void)state;
    const char *const lost[] = {"*0\r\n", "*1\r\n*2\r\n$3\r\n7-0\r\n*2\r\n$4\r\nwhat\r\n$6\r\ndelete\r\n"};
    for (size_t i = 0; i < 2; i++) {
        struct bench bench;
        setup_from(&bench, 0, true);
        synchronise(&bench);
        answer(&bench, STREAM("1", PUT_OF("8-0", "b")));
        asked(&bench);
        assert_false(answer(&bench, lost[i]));
        assert_int_equal(revision(&bench), 7);
        assert_string_equal(asked(&bench), LOOK);
        assert_false(answer(&bench, "*1\r\n" PUT_OF("3-0", "c")));
        asked(&bench);
        answer(&bench, PAGE("0", "2", "$3\r\nt\nc\r\n$20\r\n3 {\"unlimited\":true}\r\n"));
        asked(&bench);
        assert_true(answer(&bench, NIL));
        assert_int_equal(revision(&bench), 3);
        assert_true(has(&bench, "c"));
        assert_false(has(&bench, "a"));
        assert_int_equal(metric_get(&bench.metrics.resyncs), 2);
        teardown(&bench);
    }
}

static void test_after_a_failure_the_position_is_checked_first(void **state) {
    (void)state;
    struct bench bench;
    setup_from(&bench, 0, true);
    synchronise(&bench);
    int64_t before_us = bench.now_us;
    feed_fail(bench.feed);
    assert_string_equal(asked(&bench), CHECK_7);
    assert_in_range(bench.now_us - before_us, FEED_BACKOFF_MIN_US / 2, FEED_BACKOFF_MIN_US * 3 / 2);
    for (int i = 0; i < 20; i++) {
        feed_fail(bench.feed);
        before_us = bench.now_us;
        assert_string_equal(asked(&bench), CHECK_7);
    }
    assert_in_range(bench.now_us - before_us, FEED_BACKOFF_MAX_US / 2, FEED_BACKOFF_MAX_US * 3 / 2);
    assert_true(has(&bench, "a"));
    assert_false(answer(&bench, LAST_7));
    assert_string_equal(asked(&bench), FOLLOW_7);
    teardown(&bench);
}

static void test_another_node_in_the_middle_of_a_scan_begins_it_anew(void **state) {
    (void)state;
    struct bench bench;
    setup_from(&bench, 5, true);
    asked(&bench);
    answer(&bench, LAST_7);
    asked(&bench);
    answer(&bench, PAGE("5", "2", FIELD_A));
    asked(&bench);
    assert_false(answer_of(&bench, PAGE("0", "0", ""), OTHER_NODE));
    assert_string_equal(asked(&bench), LOOK);
    assert_true(has(&bench, "old"));
    teardown(&bench);
}

static void test_answers_that_make_no_sense_change_nothing(void **state) {
    (void)state;
    const char *const answers[] = {"+OK\r\n",
                                   ":1\r\n",
                                   "*1\r\n:1\r\n",
                                   "*1\r\n*1\r\n:1\r\n",
                                   "*2\r\n:1\r\n:2\r\n",
                                   "*1\r\n*2\r\n$1\r\nx\r\n*1\r\n:5\r\n"};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct bench bench;
        setup_from(&bench, 5, true);
        for (int n = 0; n < 10; n++) { /* in each state */
            asked(&bench);
            assert_false(answer(&bench, answers[i]));
        }
        synchronise(&bench);
        for (int n = 0; n < 10; n++) {
            assert_false(answer(&bench, answers[i]));
            asked(&bench);
        }
        assert_true(has(&bench, "a") || has(&bench, "old"));
        teardown(&bench);
    }
}

static void test_reset_is_told_and_a_refusal_only_passed(void **state) {
    (void)state;
    struct bench bench;
    setup_from(&bench, 0, true);
    synchronise(&bench);
    answer(&bench,
           STREAM("2", "*2\r\n$3\r\n7-1\r\n*2\r\n$4\r\nwhat\r\n$7\r\nrefused\r\n"
                       "*2\r\n$3\r\n7-2\r\n*4\r\n$4\r\nwhat\r\n$5\r\nreset\r\n$3\r\nkey\r\n$5\r\nalice\r\n"));
    asked(&bench);
    assert_true(answer(&bench, LAST_7));
    assert_int_equal(bench.n_resets, 1);
    assert_int_equal(revision(&bench), 7);
    assert_string_equal(asked(&bench), "XREAD COUNT 500 BLOCK 2000 STREAMS {sluice}:changes 7-2");
    teardown(&bench);
}

/* ---- stores without quotas ---- */

static void find_blank(struct bench *bench) {
    assert_string_equal(asked(bench), LOOK);
    answer(bench, "*0\r\n");
    asked(bench);
    answer(bench, PAGE("0", "0", ""));
}

static void test_blank_store_is_seeded_and_read(void **state) {
    (void)state;
    struct bench bench;
    setup_from(&bench, 0, true);
    find_blank(&bench);
    assert_string_equal(asked(&bench), "SEED 1");
    answer(&bench, ":7\r\n");
    synchronise(&bench);
    teardown(&bench);
}

static void test_who_comes_second_reads_what_the_first_has_seeded(void **state) {
    (void)state;
    struct bench bench;
    setup_from(&bench, 0, true);
    find_blank(&bench);
    asked(&bench);
    answer(&bench, "$2\r\n0 \r\n");
    synchronise(&bench);
    teardown(&bench);
}

static void test_blank_store_with_nothing_to_seed_leaves_all_as_it_is(void **state) {
    (void)state;
    struct bench bench;
    setup_from(&bench, 0, false);
    find_blank(&bench);
    assert_string_equal(asked(&bench), "XREAD COUNT 500 BLOCK 2000 STREAMS {sluice}:changes 0-0");
    assert_true(feed_is_synced(bench.feed));
    assert_true(has(&bench, "old"));
    answer(&bench, NIL);
    assert_string_equal(asked(&bench), "XREAD COUNT 500 BLOCK 2000 STREAMS {sluice}:changes 0-0");
    answer(&bench, STREAM("1", PUT_OF("1-0", "b")));
    synchronise(&bench);
    assert_false(has(&bench, "old"));
    teardown(&bench);
}

/* Redis has lost all: it gets back what is in force, though there is no file. */
static void test_emptied_store_gets_back_what_is_in_force(void **state) {
    (void)state;
    struct bench bench;
    setup_from(&bench, 0, false);
    synchronise(&bench);
    feed_fail(bench.feed);
    asked(&bench);
    answer(&bench, "*0\r\n");
    find_blank(&bench);
    assert_string_equal(asked(&bench), "SEED 1");
    assert_true(has(&bench, "a"));
    teardown(&bench);
}

static void test_stuck_seed_of_another_is_taken_over(void **state) {
    (void)state;
    struct bench bench;
    setup_from(&bench, 0, true);
    int64_t began_at_us = bench.now_us;
    int n_looks = 0;
    while (strcmp(asked(&bench), LOOK) == 0) {
        answer(&bench, LAST_7);
        asked(&bench);
        answer(&bench, PAGE("0", "4", FIELD_A "$8\r\n\nseeding\r\n$3\r\n7 -\r\n"));
        n_looks++;
        assert_true(has(&bench, "old") && n_looks < 100);
    }
    assert_string_equal(asked(&bench), "SEED 5");
    assert_in_range(bench.now_us - began_at_us, FEED_SEED_STUCK_US, FEED_SEED_STUCK_US + FEED_SEED_LOOK_US);
    answer(&bench, ":7\r\n");
    synchronise(&bench);
    teardown(&bench);
}

static void test_snapshot_is_shown_until_the_store_was_read(void **state) {
    (void)state;
    struct bench bench;
    setup_from(&bench, 5, true);
    assert_int_equal(metric_get(&bench.metrics.from_snapshot), 1);
    synchronise(&bench);
    assert_int_equal(metric_get(&bench.metrics.from_snapshot), 0);
    teardown(&bench);
}

static void test_unreadable_quotas_are_counted_and_the_others_taken(void **state) {
    (void)state;
    struct bench bench;
    setup_from(&bench, 0, true);
    asked(&bench);
    answer(&bench, LAST_7);
    asked(&bench);
    answer(&bench, PAGE("0", "4", FIELD_A "$5\r\nt\nold\r\n$4\r\n7 {}\r\n"));
    asked(&bench);
    assert_true(answer(&bench, NIL));
    assert_int_equal(metric_get(&bench.metrics.unreadable), 1);
    assert_true(has(&bench, "a") && has(&bench, "old"));
    teardown(&bench);
}

int main(void) {
    log_configure(LOG_ERROR, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_replaces_what_was_in_force),
        cmocka_unit_test(test_changes_while_it_reads_are_caught_up),
        cmocka_unit_test(test_changes_of_one_answer_are_one_set_once_checked),
        cmocka_unit_test(test_silence_is_checked_as_well),
        cmocka_unit_test(test_position_that_is_lost_means_reading_anew),
        cmocka_unit_test(test_after_a_failure_the_position_is_checked_first),
        cmocka_unit_test(test_another_node_in_the_middle_of_a_scan_begins_it_anew),
        cmocka_unit_test(test_answers_that_make_no_sense_change_nothing),
        cmocka_unit_test(test_reset_is_told_and_a_refusal_only_passed),
        cmocka_unit_test(test_blank_store_is_seeded_and_read),
        cmocka_unit_test(test_who_comes_second_reads_what_the_first_has_seeded),
        cmocka_unit_test(test_blank_store_with_nothing_to_seed_leaves_all_as_it_is),
        cmocka_unit_test(test_emptied_store_gets_back_what_is_in_force),
        cmocka_unit_test(test_stuck_seed_of_another_is_taken_over),
        cmocka_unit_test(test_snapshot_is_shown_until_the_store_was_read),
        cmocka_unit_test(test_unreadable_quotas_are_counted_and_the_others_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
