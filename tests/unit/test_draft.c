/* test_draft.c — a set made of what Redis holds: order, overlap, damage, and what is gone. */
#include "tests/support/test_prelude.h"

#include "server/base/log.h"
#include "server/quota/draft.h"
#include "tests/support/text_bytes.h"

static bool take(struct draft *draft, const char *field, const char *value) {
    return draft_take_field(draft, text_bytes(field), text_bytes(value));
}

static bool change(struct draft *draft, const char *what, const char *resource, uint64_t revision,
                   const char *text) {
    struct ledger_entry entry = {.what = text_bytes(what),
                                 .tenant = text_bytes("t"),
                                 .resource = text_bytes(resource),
                                 .revision = revision,
                                 .new = text_bytes(text)};
    return draft_take_change(draft, &entry);
}

/* 0: there is none. */
static uint64_t revision_of(const struct draft *draft, const char *resource) {
    const struct quota *quota = quota_set_get(draft->set, text_bytes("t"), text_bytes(resource));
    return quota != NULL ? quota->revision : 0;
}

static const char rate_1[] = "{\"limits\":[{\"rate\":\"1/s\"}]}", free_for_all[] = "{\"unlimited\":true}";

static void begin(struct draft *draft) {
    struct quota_set *set = quota_set_create();
    assert_non_null(set);
    assert_true(draft_begin(draft, set, 0));
    quota_set_release(&set);
    assert_true(take(draft, "t\na", "3 {\"unlimited\":true}"));
    assert_true(take(draft, "t\nb", "4 {\"unlimited\":true}"));
    assert_true(take(draft, "\ndefault", "5 deny"));
}

static void test_what_the_hash_has_is_in_the_set_and_nothing_else(void **state) {
    (void)state;
    struct draft draft, next;
    begin(&draft);
    assert_int_equal(draft.n_read, 3);
    assert_int_equal(draft.highest_revision, 5);
    assert_int_equal(quota_set_unknown(draft.set), QUOTA_UNKNOWN_DENY);
    assert_true(draft_begin(&next, draft.set, 0));
    assert_true(take(&next, "t\nb", "4 {\"unlimited\":true}"));
    draft_end_scan(&next);
    assert_int_equal(revision_of(&next, "a"), 0);
    assert_int_equal(revision_of(&next, "b"), 4);
    assert_int_equal(quota_set_unknown(next.set), QUOTA_UNKNOWN_ALLOW);
    assert_ptr_equal(quota_set_get(next.set, text_bytes("t"), text_bytes("b")),
                     quota_set_get(draft.set, text_bytes("t"), text_bytes("b")));
    draft_deinit(&draft);
    draft_deinit(&next);
}

static void test_unreadable_keeps_what_was_there(void **state) {
    (void)state;
    struct draft draft, next;
    begin(&draft);
    assert_true(draft_begin(&next, draft.set, 0));
    assert_false(take(&next, "t\na", "9 {\"unlimited\":true,\"later\":1}"));
    assert_false(take(&next, "t\nb", "damaged"));
    assert_false(take(&next, "\ndefault", "9 maybe"));
    assert_false(take(&next, "no field", "1 {}"));
    draft_end_scan(&next);
    assert_int_equal(next.n_unreadable, 4);
    assert_int_equal(revision_of(&next, "a"), 3);
    assert_int_equal(revision_of(&next, "b"), 4);
    assert_false(next.is_short);
    draft_deinit(&draft);
    draft_deinit(&next);
}

static void test_a_scope_that_the_tenant_cannot_have_is_unreadable(void **state) {
    (void)state;
    static const char wide[] = "9 {\"limits\":[{\"rate\":\"1/s\",\"name\":\"site\",\"scope\":\"global\"}]}";
    struct draft draft, next;
    begin(&draft);
    assert_true(draft_begin(&next, draft.set, 0));
    assert_false(take(&next, "t\na", wide));
    assert_true(take(&next, "*\na", wide));
    assert_int_equal(next.n_unreadable, 1);
    assert_int_equal(revision_of(&next, "a"), 3);
    draft_deinit(&draft);
    draft_deinit(&next);
}

static void test_of_two_texts_the_later_counts(void **state) {
    (void)state;
    struct draft draft;
    begin(&draft);
    assert_true(take(&draft, "t\na", "7 {\"unlimited\":true}"));
    assert_true(take(&draft, "t\na", "3 {\"unlimited\":true}"));
    assert_int_equal(revision_of(&draft, "a"), 7);
    assert_true(change(&draft, "put", "a", 6, rate_1));
    assert_true(change(&draft, "delete", "a", 6, ""));
    assert_int_equal(revision_of(&draft, "a"), 7);
    assert_true(change(&draft, "put", "a", 8, rate_1));
    assert_int_equal(revision_of(&draft, "a"), 8);
    assert_true(change(&draft, "delete", "a", 9, ""));
    assert_int_equal(revision_of(&draft, "a"), 0);
    assert_true(change(&draft, "default", "default", 4, "allow"));
    assert_int_equal(quota_set_unknown(draft.set), QUOTA_UNKNOWN_DENY);
    assert_true(change(&draft, "default", "default", 10, "allow"));
    assert_int_equal(quota_set_unknown(draft.set), QUOTA_UNKNOWN_ALLOW);
    assert_false(change(&draft, "renamed", "b", 11, free_for_all));
    draft_deinit(&draft);
}

static void test_a_store_that_went_back_wins(void **state) {
    (void)state;
    struct draft draft, next;
    begin(&draft);
    assert_true(draft_begin(&next, draft.set, 5));
    assert_true(take(&next, "t\na", "2 {\"limits\":[{\"rate\":\"1/s\"}]}"));
    assert_int_equal(revision_of(&next, "a"), 2);
    draft_deinit(&draft);
    draft_deinit(&next);
}

static void test_mark_of_a_seed_is_no_quota(void **state) {
    (void)state;
    struct draft draft;
    begin(&draft);
    assert_false(draft.is_seeding);
    assert_true(take(&draft, "\nseeding", "5 -"));
    assert_true(draft.is_seeding);
    assert_int_equal(draft.n_read, 3);
    draft_deinit(&draft);
}

int main(void) {
    log_configure(LOG_ERROR, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_hash_has_is_in_the_set_and_nothing_else),
        cmocka_unit_test(test_unreadable_keeps_what_was_there),
        cmocka_unit_test(test_a_scope_that_the_tenant_cannot_have_is_unreadable),
        cmocka_unit_test(test_of_two_texts_the_later_counts),
        cmocka_unit_test(test_a_store_that_went_back_wins),
        cmocka_unit_test(test_mark_of_a_seed_is_no_quota),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
