/* test_control_desk.c — what operators ask for, on a scripted Redis: the words sent, and what the replies mean. */
#include "tests/support/test_prelude.h"

#include "server/base/log.h"
#include "server/control.h"
#include "server/store/script.h"
#include "tests/support/fake_redis.h"
#include "tests/support/text_bytes.h"

struct bench {
    struct ev_loop *loop;
    struct fake_redis *fake;
    struct control_metrics metrics;
    struct control *control;
    struct quota_set *set;
    int n_done;
    enum control_outcome outcome;
    char text[512];
    uint64_t revision;
    uint32_t index;
    bool may_be_made;
};

static void ignore_number(void *arg, uint32_t number) {
    (void)arg;
    (void)number;
}

static uint64_t zero(void *arg) {
    (void)arg;
    return 0;
}

static void setup(struct bench *bench) {
    struct status status;
    struct quota_rules rules = {.n_limits = 2};
    *bench = (struct bench){.loop = ev_loop_new(EVFLAG_AUTO), .set = quota_set_create()};
    assert_non_null(bench->set);
    assert_true(quota_name_limit(&rules, 0, text_bytes("a"), &status));
    assert_true(quota_name_limit(&rules, 1, text_bytes("b"), &status));
    assert_true(bucket_set_rate(&rules.limits[0], 10, 1, &status));
    assert_true(bucket_set_rate(&rules.limits[1], 1, 1, &status));
    rules.limits[0].burst_utok = rules.limits[1].burst_utok = 20 * BUCKET_UTOK_PER_TOKEN;
    assert_true(quota_set_put(bench->set, text_bytes("t"), text_bytes("r"), &rules, 1, &status));
    rules.scopes[1] = BUCKET_PER_TENANT;
    assert_true(quota_set_put(bench->set, text_bytes("t"), text_bytes("wide"), &rules, 1, &status));
    bench->fake = fake_redis_start(bench->loop, 0);
    fake_redis_mute(bench->fake, "XREVRANGE"); /* of the follower */
    char nodes[32];
    snprintf(nodes, sizeof nodes, "127.0.0.1:%u", (unsigned)fake_redis_port(bench->fake));
    struct control_options options = {
        .nodes = nodes,
        .connect_timeout_us = 500000,
        .address = "127.0.0.1:7380",
        .version = "1.2.3",
        .fleet_size = 1,
        .quotas = bench->set,
        .hooks = {.on_fleet_size = ignore_number, .applied_revision = zero, .degraded_shards = zero},
    };
    bench->control = control_create(bench->loop, &options, &bench->metrics, &status);
    assert_non_null(bench->control);
    fake_redis_reply(bench->fake, ":1\r\n");
    turn_until(bench->loop, metric_get(&bench->metrics.heartbeats) == 1);
    fake_redis_forget(bench->fake);
}

static void teardown(struct bench *bench) {
    control_destroy(&bench->control);
    fake_redis_stop(&bench->fake);
    quota_set_release(&bench->set);
    ev_loop_destroy(bench->loop);
}

static void note_change(void *arg, const struct control_change_result *result) {
    struct bench *bench = arg;
    bench->n_done++;
    bench->outcome = result->outcome;
    bench->revision = result->revision;
    bench->index = result->index;
    bench->may_be_made = result->may_be_made;
    snprintf(bench->text, sizeof bench->text, "%.*s%s", (int)result->current.len,
             (const char *)result->current.data, result->reason != NULL ? result->reason : "");
}

static struct control_call *change(struct bench *bench) {
    struct quota_rules rules = {.is_unlimited = true};
    const struct control_change changes[] = {
        {.kind = CONTROL_PUT, .tenant = text_bytes("t"), .resource = text_bytes("r"), .rules = &rules},
        {.kind = CONTROL_DELETE,
         .tenant = text_bytes("t"),
         .resource = text_bytes("s"),
         .if_revision = CONTROL_ANY_REVISION},
        {.kind = CONTROL_DEFAULT, .unknown = QUOTA_UNKNOWN_DENY, .if_revision = 4},
    };
    struct control_asker asker = {text_bytes("ann"), text_bytes("::1")};
    struct status status;
    bench->n_done = 0;
    struct control_call *call = control_change(bench->control, changes, 3, asker, note_change, bench, &status);
    assert_non_null(call);
    assert_int_equal(bench->n_done, 0);
    return call;
}

static void expect(struct bench *bench, enum control_outcome outcome) {
    turn_until(bench->loop, bench->n_done > 0);
    assert_int_equal(bench->n_done, 1);
    assert_int_equal(bench->outcome, outcome);
}

static void test_changes_are_made(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_redis_reply(bench.fake, ":12\r\n");
    change(&bench);
    expect(&bench, CONTROL_OK);
    assert_int_equal(bench.revision, 12);
    assert_int_equal(fake_redis_count(bench.fake, "EVALSHA"), 1);
    assert_non_null(strstr(fake_redis_last(bench.fake), "|2|{sluice}:quotas|{sluice}:changes|"));
    teardown(&bench);
}

static void test_conflicts_show_what_stands(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_redis_reply(bench.fake, "$20\r\n1 9 {\"unlimited\":1}\n\r\n");
    change(&bench);
    expect(&bench, CONTROL_CONFLICT);
    assert_int_equal(bench.index, 1);
    assert_int_equal(bench.revision, 9);
    assert_string_equal(bench.text, "{\"unlimited\":1}\n");
    fake_redis_reply(bench.fake, "$2\r\n2 \r\n");
    change(&bench);
    expect(&bench, CONTROL_CONFLICT);
    assert_int_equal(bench.index, 2);
    assert_int_equal(bench.revision, 0);
    assert_string_equal(bench.text, "");
    teardown(&bench);
}

static void test_replies_that_make_no_sense_may_have_changed_something(void **state) {
    (void)state;
    struct bench bench;
    const char *const replies[] = {"+OK\r\n", "$0\r\n\r\n", "$1\r\n5\r\n", "$6\r\n99999 \r\n", "*0\r\n"};
    setup(&bench);
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        fake_redis_reply(bench.fake, "%s", replies[i]);
        change(&bench);
        expect(&bench, CONTROL_UNAVAILABLE);
        assert_true(bench.may_be_made);
        assert_string_equal(bench.text, "the answer of Redis makes no sense");
    }
    teardown(&bench);
}

static void test_refusal_has_changed_nothing_and_a_loss_maybe(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_redis_reply(bench.fake, "-OOM no room\r\n");
    change(&bench);
    expect(&bench, CONTROL_UNAVAILABLE);
    assert_false(bench.may_be_made);
    fake_redis_reply(bench.fake, "$6\r\nbehind\r\n");
    change(&bench);
    expect(&bench, CONTROL_UNAVAILABLE);
    assert_false(bench.may_be_made);
    assert_non_null(strstr(bench.text, "has lost changes"));
    change(&bench);
    turn_until(bench.loop, fake_redis_count(bench.fake, "EVALSHA") == 3);
    fake_redis_drop_clients(bench.fake);
    expect(&bench, CONTROL_UNAVAILABLE);
    assert_true(bench.may_be_made);
    assert_string_equal(bench.text, "the connection to Redis was lost before its answer");
    teardown(&bench);
}

static void test_abandoned_calls_are_never_done(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    struct control_call *call = change(&bench);
    control_abandon(&call);
    assert_null(call);
    change(&bench); /* left to the end */
    teardown(&bench);
    assert_int_equal(bench.n_done, 0);
}

static void note_changes(void *arg, const struct control_changes_result *result) {
    struct bench *bench = arg;
    bench->n_done++;
    bench->outcome = result->outcome;
    size_t n = 0;
    for (uint32_t i = 0; i < result->n_entries; i++) {
        n += (size_t)snprintf(bench->text + n, sizeof bench->text - n, "%u-%u ",
                              (unsigned)result->entries[i].revision, (unsigned)result->entries[i].part);
    }
}

static void test_audit_is_told_oldest_first(void **state) {
    (void)state;
    struct bench bench;
    struct status status;
    setup(&bench);
    fake_redis_reply(bench.fake, "*2\r\n*2\r\n$3\r\n7-0\r\n*0\r\n*2\r\n$3\r\n7-1\r\n*0\r\n");
    struct control_range range = {.after_revision = 6, .after_part = 2, .limit = 50};
    assert_non_null(control_changes(bench.control, &range, note_changes, &bench, &status));
    expect(&bench, CONTROL_OK);
    assert_string_equal(bench.text, "7-0 7-1 ");
    assert_string_equal(fake_redis_last(bench.fake), "XRANGE|{sluice}:changes|(6-2|+|COUNT|50");
    teardown(&bench);
}

static void note_bucket(void *arg, const struct control_bucket_result *result) {
    struct bench *bench = arg;
    bench->n_done++;
    bench->outcome = result->outcome;
    snprintf(bench->text, sizeof bench->text, "%lld %lld %lld %lld", (long long)result->levels_utok[0],
             (long long)result->levels_utok[1], (long long)result->full_after_us[0],
             (long long)result->full_after_us[1]);
}

/* Sends what the script replies when it has only looked; `record` may be empty. */
static void send_look(struct bench *bench, const struct bucket_record *record) {
    uint8_t reply[9 + SCRIPT_RECORD_MAX_BYTES] = {2, 100};
    size_t n = 9;
    char head[16];
    if (record->n_levels > 0) {
        n += script_record_pack(record, reply + n);
    }
    snprintf(head, sizeof head, "$%zu\r\n", n);
    fake_redis_send(bench->fake, head);
    fake_redis_send_bytes(bench->fake, reply, n);
    fake_redis_send(bench->fake, "\r\n");
}

static void look(struct bench *bench, const struct bucket_record *record) {
    struct control_bucket bucket = {text_bytes("t"), text_bytes("r"), text_bytes("alice")};
    const struct quota *quota = quota_set_find(control_quotas(bench->control), bucket.tenant, bucket.resource);
    struct status status;
    fake_redis_forget(bench->fake);
    bench->n_done = 0;
    assert_non_null(control_bucket_look(bench->control, &bucket, quota, note_bucket, bench, &status));
    turn_until(bench->loop, fake_redis_count(bench->fake, "EVALSHA") == 1);
    assert_non_null(strstr(fake_redis_last(bench->fake), "|1|s:t/r/alice|"));
    send_look(bench, record);
    expect(bench, CONTROL_OK);
}

static void test_bucket_is_looked_at_without_a_charge(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    look(&bench, &(struct bucket_record){.n_levels = 0});
    assert_string_equal(bench.text, "20000000 20000000 0 0");
    const struct quota *quota = quota_set_at(bench.set, 0);
    look(&bench,
         &(struct bucket_record){.at_us = 100,
                                 .n_levels = 2,
                                 .levels = {{quota->limits[0].id, 15000000}, {quota->limits[1].id, 500000}}});
    assert_string_equal(bench.text, "15000000 500000 500000 19500000");
    teardown(&bench);
}

static struct control_call *look_wide(struct bench *bench) {
    struct control_bucket bucket = {text_bytes("t"), text_bytes("wide"), text_bytes("alice")};
    const struct quota *quota = quota_set_find(control_quotas(bench->control), bucket.tenant, bucket.resource);
    struct status status;
    fake_redis_forget(bench->fake);
    bench->n_done = 0;
    struct control_call *call =
        control_bucket_look(bench->control, &bucket, quota, note_bucket, bench, &status);
    assert_non_null(call);
    turn_until(bench->loop, fake_redis_count(bench->fake, "EVALSHA") == 1);
    assert_non_null(strstr(fake_redis_last(bench->fake), "|1|s:t/wide/alice|"));
    return call;
}

static void test_each_bucket_of_a_quota_is_looked_at_in_turn(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    const struct quota *quota = quota_set_get(bench.set, text_bytes("t"), text_bytes("wide"));
    look_wide(&bench);
    send_look(&bench, &(struct bucket_record){
                          .at_us = 100, .n_levels = 1, .levels = {{quota->limits[0].id, 15000000}}});
    turn_until(bench.loop, fake_redis_count(bench.fake, "EVALSHA") == 2);
    assert_non_null(strstr(fake_redis_last(bench.fake), "|1|t:t//b|"));
    assert_int_equal(bench.n_done, 0);
    send_look(&bench,
              &(struct bucket_record){.at_us = 100, .n_levels = 1, .levels = {{quota->limits[1].id, 500000}}});
    expect(&bench, CONTROL_OK);
    assert_string_equal(bench.text, "15000000 500000 500000 19500000");
    teardown(&bench);
}

static void test_one_bucket_that_is_not_seen_hides_all(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    look_wide(&bench);
    send_look(&bench, &(struct bucket_record){.n_levels = 0});
    turn_until(bench.loop, fake_redis_count(bench.fake, "EVALSHA") == 2);
    fake_redis_send(bench.fake, "+nonsense\r\n");
    expect(&bench, CONTROL_UNAVAILABLE);
    look_wide(&bench);
    fake_redis_drop_clients(bench.fake);
    expect(&bench, CONTROL_UNAVAILABLE);
    assert_int_equal(fake_redis_count(bench.fake, "EVALSHA"), 1);
    teardown(&bench);
}

static void test_a_look_may_be_abandoned_between_two_buckets(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    struct control_call *call = look_wide(&bench);
    send_look(&bench, &(struct bucket_record){.n_levels = 0});
    turn_until(bench.loop, fake_redis_count(bench.fake, "EVALSHA") == 2);
    control_abandon(&call);
    teardown(&bench);
    assert_int_equal(bench.n_done, 0);
}

static void test_a_wide_bucket_is_filled_by_its_name(void **state) {
    (void)state;
    struct bench bench;
    struct status status;
    setup(&bench);
    struct bucket_name name =
        bucket_name_of(BUCKET_PER_TENANT, text_bytes("t"), text_bytes("wide"), text_bytes("b"));
    struct control_asker asker = {text_bytes("ann"), text_bytes("::1")};
    assert_non_null(control_bucket_reset(bench.control, &name, asker, note_bucket, &bench, &status));
    turn_until(bench.loop, fake_redis_count(bench.fake, "EVALSHA") == 1);
    fake_redis_send(bench.fake, ":12\r\n");
    turn_until(bench.loop, fake_redis_count(bench.fake, "DEL") == 1);
    assert_string_equal(fake_redis_last(bench.fake), "DEL|t:t//b");
    fake_redis_send(bench.fake, ":1\r\n");
    expect(&bench, CONTROL_OK);
    teardown(&bench);
}

static void test_reset_is_noted_before_it_is_done(void **state) {
    (void)state;
    struct bench bench;
    struct status status;
    setup(&bench);
    struct bucket_name name =
        bucket_name_of(BUCKET_PER_KEY, text_bytes("t"), text_bytes("r"), text_bytes("alice"));
    struct control_asker asker = {text_bytes("ann"), text_bytes("::1")};
    fake_redis_reply(bench.fake, ":12\r\n");
    fake_redis_reply(bench.fake, ":1\r\n");
    assert_non_null(control_bucket_reset(bench.control, &name, asker, note_bucket, &bench, &status));
    expect(&bench, CONTROL_OK);
    assert_string_equal(fake_redis_heard(bench.fake), "EVALSHA DEL ");
    assert_string_equal(fake_redis_last(bench.fake), "DEL|s:t/r/alice");
    fake_redis_reply(bench.fake, "-OOM no room\r\n");
    bench.n_done = 0;
    assert_non_null(control_bucket_reset(bench.control, &name, asker, note_bucket, &bench, &status));
    expect(&bench, CONTROL_UNAVAILABLE);
    assert_int_equal(fake_redis_count(bench.fake, "DEL"), 1);
    teardown(&bench);
}

static void note_frontends(void *arg, const struct control_frontends_result *result) {
    struct bench *bench = arg;
    bench->n_done++;
    bench->outcome = result->outcome;
    if (result->n_frontends == 2) {
        const struct control_frontend *last = &result->frontends[1];
        snprintf(bench->text, sizeof bench->text, "%.*s %lld %.*s", (int)last->id.len,
                 (const char *)last->id.data, (long long)last->silent_ms, (int)last->about.len,
                 (const char *)last->about.data);
    }
}

static void test_frontends_are_listed(void **state) {
    (void)state;
    struct bench bench;
    struct status status;
    setup(&bench);
    fake_redis_reply(bench.fake, "*6\r\n$1\r\na\r\n:5\r\n$2\r\n{}\r\n$1\r\nb\r\n:70\r\n$3\r\n{1}\r\n");
    assert_non_null(control_frontends(bench.control, note_frontends, &bench, &status));
    expect(&bench, CONTROL_OK);
    assert_string_equal(bench.text, "b 70 {1}");
    fake_redis_reply(bench.fake, "*4\r\n$1\r\na\r\n:5\r\n$2\r\n{}\r\n$1\r\nb\r\n");
    bench.n_done = 0;
    assert_non_null(control_frontends(bench.control, note_frontends, &bench, &status));
    expect(&bench, CONTROL_UNAVAILABLE);
    teardown(&bench);
}

static void test_refused_attempt_is_noted(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_redis_reply(bench.fake, ":12\r\n");
    control_refused(bench.control, text_bytes("t"), text_bytes("r"), text_bytes("{}"), "limits: missing",
                    (struct control_asker){text_bytes("ann"), text_bytes("::1")});
    turn_until(bench.loop, fake_redis_count(bench.fake, "EVALSHA") == 1);
    teardown(&bench);
}

int main(void) {
    log_configure(LOG_ERROR, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes_are_made),
        cmocka_unit_test(test_conflicts_show_what_stands),
        cmocka_unit_test(test_replies_that_make_no_sense_may_have_changed_something),
        cmocka_unit_test(test_refusal_has_changed_nothing_and_a_loss_maybe),
        cmocka_unit_test(test_abandoned_calls_are_never_done),
        cmocka_unit_test(test_audit_is_told_oldest_first),
        cmocka_unit_test(test_bucket_is_looked_at_without_a_charge),
        cmocka_unit_test(test_each_bucket_of_a_quota_is_looked_at_in_turn),
        cmocka_unit_test(test_one_bucket_that_is_not_seen_hides_all),
        cmocka_unit_test(test_a_look_may_be_abandoned_between_two_buckets),
        cmocka_unit_test(test_a_wide_bucket_is_filled_by_its_name),
        cmocka_unit_test(test_reset_is_noted_before_it_is_done),
        cmocka_unit_test(test_frontends_are_listed),
        cmocka_unit_test(test_refused_attempt_is_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
