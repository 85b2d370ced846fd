/* test_client_local.c — the caller's own buckets grant burst + rate * T to a key, and never a token more. */
#include "tests/support/test_prelude.h"

#include "client/client_local.h"

/* 10/s, burst 5. */
static const struct bucket_limit limit = {.count = 10, .period_s = 1, .burst_utok = 5000000};

enum { ONE_SET = 16 }; /* places, all in the same set */

static struct client_local *create(uint64_t max_keys) {
    struct client_local *local = client_local_create(&limit, max_keys);
    assert_non_null(local);
    return local;
}

static struct sluice_decision decide(struct client_local *local, const char *key, uint64_t cost, bool is_peek,
                                     int64_t now_us) {
    struct sluice_check check = sluice_check_of("demo", "hello", key);
    struct sluice_decision decision = {.status = SLUICE_OK};
    check.cost = cost;
    struct client_local_ask ask = client_local_ask_of(local, &check);
    client_local_decide(local, &ask, is_peek, now_us, &decision);
    return decision;
}

static bool take(struct client_local *local, const char *key, int64_t now_us) {
    return decide(local, key, 1, false, now_us).allowed;
}

static void test_figures_are_those_of_the_bucket(void **state) {
    struct client_local *local = create(100);
    (void)state;
    struct sluice_decision decision = decide(local, "alice", 2, false, 1000);
    assert_true(decision.allowed);
    assert_string_equal(decision.limit_name, "local");
    assert_int_equal(decision.limit, 5);
    assert_int_equal(decision.remaining, 3);
    assert_int_equal(decision.retry_after_us, 0);
    assert_int_equal(decision.reset_after_us, 200000);
    decision = decide(local, "alice", 4, false, 51000); /* half a token has come */
    assert_false(decision.allowed);
    assert_int_equal(decision.remaining, 3);
    assert_int_equal(decision.retry_after_us, 50000);
    assert_int_equal(decision.reset_after_us, 150000);
    assert_true(decide(local, "alice", 4, false, 101000).allowed);
    assert_int_equal(decide(local, "alice", 0, true, 101000).retry_after_us,
                     100000); /* no cost is a cost of 1 */
    client_local_destroy(&local);
    assert_null(local);
}

static struct sluice_decision decide_at_most(struct client_local *local, uint64_t cost, bool is_peek,
                                             int64_t now_us) {
    struct sluice_check check = sluice_check_of("demo", "hello", "alice");
    struct sluice_decision decision = {.status = SLUICE_OK};
    check.cost = cost;
    check.at_most = true;
    struct client_local_ask ask = client_local_ask_of(local, &check);
    client_local_decide(local, &ask, is_peek, now_us, &decision);
    return decision;
}

static void test_at_most_grants_what_is_there(void **state) {
    struct client_local *local = create(100);
    (void)state;
    assert_true(decide_at_most(local, 100, true, 0).allowed);
    assert_int_equal(decide_at_most(local, 100, true, 0).granted, 0);
    assert_int_equal(decide_at_most(local, 2, false, 0).granted, 2);
    struct sluice_decision decision = decide_at_most(local, 100, false, 0);
    assert_true(decision.allowed);
    assert_int_equal(decision.granted, 3);
    assert_int_equal(decision.remaining, 0);
    decision = decide_at_most(local, 100, false, 99999);
    assert_false(decision.allowed);
    assert_int_equal(decision.granted, 0);
    assert_int_equal(decision.retry_after_us, 1); /* until there is one */
    assert_int_equal(decide_at_most(local, 100, false, 100000).granted, 1);
    client_local_destroy(&local);
}

static void test_peek_takes_nothing(void **state) {
    struct client_local *local = create(100);
    (void)state;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(decide(local, "alice", 1, true, 0).remaining, 5);
    }
    assert_int_equal(decide(local, "alice", 5, false, 0).remaining, 0);
    assert_false(decide(local, "alice", 1, true, 0).allowed);
    client_local_destroy(&local);
}

static void test_texts_and_their_borders_tell_buckets_apart(void **state) {
    static const char *const triples[][3] = {
        {"a", "b", "c"}, {"ab", "", "c"}, {"a", "bc", ""}, {"", "ab", "c"}};
    struct client_local *local = create(100);
    (void)state;
    for (size_t i = 0; i < sizeof triples / sizeof triples[0]; i++) {
        struct sluice_check check = sluice_check_of(triples[i][0], triples[i][1], triples[i][2]);
        struct sluice_decision decision;
        check.cost = 5;
        struct client_local_ask ask = client_local_ask_of(local, &check);
        client_local_decide(local, &ask, false, 0, &decision);
        assert_true(decision.allowed);
        client_local_decide(local, &ask, false, 0, &decision);
        assert_false(decision.allowed);
    }
    client_local_destroy(&local);
}

static void test_cost_above_the_burst_is_never_granted(void **state) {
    struct client_local *local = create(100);
    (void)state;
    assert_int_equal(decide(local, "alice", 6, false, 0).retry_after_us, BUCKET_MAX_EXACT);
    assert_int_equal(decide(local, "alice", UINT64_MAX, false, 0).retry_after_us, BUCKET_MAX_EXACT);
    assert_int_equal(decide(local, "alice", 5, false, 0).remaining, 0);
    client_local_destroy(&local);
}

static void test_a_text_that_is_too_long_is_not_read(void **state) {
    struct client_local *local = create(100);
    (void)state;
    struct sluice_check checks[3] = {{.tenant_len = 65}, {.resource_len = 129}, {.key_len = SIZE_MAX}};
    for (size_t i = 0; i < 3; i++) {
        struct client_local_ask ask = client_local_ask_of(local, &checks[i]);
        struct sluice_decision decision;
        client_local_decide(local, &ask, false, 0, &decision);
        assert_false(decision.allowed);
    }
    client_local_destroy(&local);
}

/* Takes one token of `n` keys each, so that their buckets are full again 100 ms later. */
static void occupy(struct client_local *local, unsigned n, int64_t now_us) {
    for (unsigned i = 0; i < n; i++) {
        char key[16];
        snprintf(key, sizeof key, "key %u", i);
        struct sluice_decision decision = decide(local, key, 1, false, now_us);
        assert_true(decision.allowed);
        assert_string_equal(decision.limit_name, "local");
    }
}

static void test_keys_without_a_place_share_a_bucket(void **state) {
    struct client_local *local = create(ONE_SET);
    (void)state;
    occupy(local, ONE_SET, 0);
    struct sluice_decision decision = decide(local, "late", 3, false, 0);
    assert_true(decision.allowed);
    assert_string_equal(decision.limit_name, "local_shared");
    assert_int_equal(decide(local, "later", 2, false, 0).remaining, 0);
    assert_false(take(local, "late", 0));
    assert_false(take(local, "latest", 0));
    assert_true(take(local, "key 3", 0)); /* who has a place keeps it */
    client_local_destroy(&local);
}

static void test_getting_a_place_refills_nothing(void **state) {
    struct client_local *local = create(ONE_SET);
    (void)state;
    occupy(local, ONE_SET, 0);
    assert_int_equal(decide(local, "late", 5, false, 0).remaining, 0);
    struct sluice_decision decision = decide(local, "late", 1, false, 100000); /* all places are free again */
    assert_true(decision.allowed);
    assert_string_equal(decision.limit_name, "local");
    assert_int_equal(decision.remaining, 0);
    assert_false(take(local, "late", 100000));
    client_local_destroy(&local);
}

static void test_a_bucket_that_is_not_full_is_never_forgotten(void **state) {
    struct client_local *local = create(ONE_SET);
    (void)state;
    assert_int_equal(decide(local, "alice", 5, false, 0).remaining, 0);
    for (int64_t now_us = 0; now_us < 500000; now_us += 1000) { /* a crowd that wants her place */
        char key[32];
        snprintf(key, sizeof key, "crowd %d", (int)now_us);
        (void)take(local, key, now_us);
        assert_int_equal(decide(local, "alice", 1, true, now_us).remaining, now_us / 100000);
    }
    client_local_destroy(&local);
}

/* One key among a crowd that takes the places whenever it can; both come and go, at different times, so that
 * the key's bucket is now its own, now the shared one. */
static void test_the_bound_holds_in_every_window(void **state) {
    enum { MAX_GRANTS = 1000, COMES_US = 900000, CROWD_COMES_US = 1300000 };
    static int64_t granted_at_us[MAX_GRANTS];
    struct client_local *local = create(ONE_SET);
    unsigned n_granted = 0, n_shared = 0, n_own = 0;
    uint32_t random = 7;
    (void)state;
    for (int64_t now_us = 0; now_us < 40000000; now_us += 1000 + random % 8000) {
        random = random * 1664525 + 1013904223;
        if ((now_us / CROWD_COMES_US) % 2 == 0) {
            char key[16];
            snprintf(key, sizeof key, "key %u", (random >> 16) % 40);
            (void)decide(local, key, 1 + (random >> 24) % 3, false, now_us);
        }
        if ((now_us / COMES_US) % 2 == 0) {
            struct sluice_decision decision = decide(local, "alice", 1, false, now_us);
            *(strcmp(decision.limit_name, "local") == 0 ? &n_own : &n_shared) += 1;
            if (decision.allowed) {
                assert_true(n_granted < MAX_GRANTS);
                granted_at_us[n_granted++] = now_us;
            }
        }
    }
    assert_true(n_own > 100 && n_shared > 100);
    assert_true(n_granted > 50);
    for (unsigned i = 0; i < n_granted; i++) {
        for (unsigned j = i; j < n_granted; j++) {
            int64_t window_us = granted_at_us[j] - granted_at_us[i];
            assert_true((int64_t)(j - i + 1) * 1000000 <= 5000000 + 10 * window_us);
        }
    }
    client_local_destroy(&local);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures_are_those_of_the_bucket),
        cmocka_unit_test(test_at_most_grants_what_is_there),
        cmocka_unit_test(test_peek_takes_nothing),
        cmocka_unit_test(test_texts_and_their_borders_tell_buckets_apart),
        cmocka_unit_test(test_cost_above_the_burst_is_never_granted),
        cmocka_unit_test(test_a_text_that_is_too_long_is_not_read),
        cmocka_unit_test(test_keys_without_a_place_share_a_bucket),
        cmocka_unit_test(test_getting_a_place_refills_nothing),
        cmocka_unit_test(test_a_bucket_that_is_not_full_is_never_forgotten),
        cmocka_unit_test(test_the_bound_holds_in_every_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
