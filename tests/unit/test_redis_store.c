/* test_redis_store.c — a check becomes a script call, and its reply a verdict. */
#include "tests/support/test_prelude.h"

#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/core/decision.h"
#include "server/store/redis_store.h"
#include "server/store/script.h"
#include "tests/support/fake_redis.h"

struct bench {
    struct ev_loop *loop;
    struct fake_redis *redis;
    struct redis_metrics metrics;
    struct store *store;
    struct store_call call;
    int n_done;
};

static const struct quota_part quota = {
    .n_limits = 1,
    .limits = (const struct bucket_limit[]){{.id = 7, .count = 5, .period_s = 1, .burst_utok = 10000000}},
};

static struct bench *bench_of_call;

static struct bytes of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static void on_done(struct store_call *call) {
    assert_ptr_equal(call, &bench_of_call->call);
    bench_of_call->n_done++;
}

static void create(struct bench *bench) {
    *bench = (struct bench){.loop = ev_loop_new(EVFLAG_AUTO)};
    bench_of_call = bench;
    bench->redis = fake_redis_start(bench->loop, 0);
    char nodes[32];
    snprintf(nodes, sizeof nodes, "127.0.0.1:%u", (unsigned)fake_redis_port(bench->redis));
    struct redis_store_options options = {.nodes = nodes};
    struct status status;
    bench->store = redis_store_create(bench->loop, &options, &bench->metrics, &status);
    assert_non_null(bench->store);
}

static void setup(struct bench *bench) {
    create(bench);
    turn_until(bench->loop, store_is_ready(bench->store));
}

static void teardown(struct bench *bench) {
    store_destroy(&bench->store);
    assert_null(bench->store);
    fake_redis_stop(&bench->redis);
    ev_loop_destroy(bench->loop);
}

static enum store_progress check(struct bench *bench, struct bytes key) {
    int64_t now_us = clock_mono_us();
    bench->call = (struct store_call){
        .part = &quota,
        .name = {.tenant = of("acme"), .resource = of("api"), .key = key},
        .cost_tokens = 1,
        .deadline_us = now_us + 1000000,
        .done = on_done,
    };
    return store_check(bench->store, &bench->call, now_us);
}

/* Sends the first `n_bytes` bytes, or all, of the record that an allowance leaves: 9 of 10 tokens. */
static void reply_with_record(struct bench *bench, size_t n_bytes) {
    struct bucket_record record = {.at_us = 1000000, .n_levels = 1, .levels = {{.id = 7, .utok = 9000000}}};
    uint8_t reply[SCRIPT_RECORD_MAX_BYTES];
    size_t n_record_bytes = script_record_pack(&record, reply);
    if (n_bytes > n_record_bytes) {
        n_bytes = n_record_bytes;
    }
    char resp[16];
    int n = snprintf(resp, sizeof resp, "$%zu\r\n", n_bytes);
    fake_redis_send_bytes(bench->redis, resp, (size_t)n);
    fake_redis_send_bytes(bench->redis, reply, n_bytes);
    fake_redis_send_bytes(bench->redis, "\r\n", 2);
}

static void test_ready_once_redis_is_known_and_connected(void **state) {
    (void)state;
    struct bench bench;
    create(&bench);
    assert_false(store_is_ready(bench.store));
    assert_int_equal(bench.store->ops->source, DECISION_STORE);
    turn_until(bench.loop, store_is_ready(bench.store));
    teardown(&bench);
}

static void test_a_check_becomes_a_script_call_on_the_escaped_key(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    assert_int_equal(check(&bench, of("a{b}")), STORE_PENDING);
    turn_until(bench.loop, fake_redis_count(bench.redis, "EVALSHA") == 1);
    char beginning[128];
    int n = snprintf(beginning, sizeof beginning, "EVALSHA|%s|1|s:acme/api/a%%7bb%%7d|", script_check.sha1);
    assert_memory_equal(fake_redis_last(bench.redis), beginning, n);
    reply_with_record(&bench, SIZE_MAX);
    turn_until(bench.loop, bench.n_done > 0);
    assert_int_equal(bench.n_done, 1);
    assert_int_equal(bench.call.outcome, STORE_OK);
    assert_true(bench.call.verdict.allowed);
    assert_int_equal(bench.call.verdict.remaining_utok, 9000000);
    assert_int_equal(bench.call.verdict.reset_after_us, 200000);
    teardown(&bench);
}

static void test_a_reply_of_another_length_or_kind_is_not_understood(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    static const char *const replies[] = {"+OK\r\n", ":1\r\n", "$-1\r\n", "*0\r\n", "$3\r\nabc\r\n"};
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        bench.n_done = 0;
        fake_redis_reply(bench.redis, "%s", replies[i]);
        assert_int_equal(check(&bench, of("k")), STORE_PENDING);
        turn_until(bench.loop, bench.n_done > 0);
        assert_int_equal(bench.call.outcome, STORE_BAD_REPLY);
    }
    assert_int_equal(check(&bench, of("k")), STORE_PENDING);
    turn_until(bench.loop, fake_redis_count(bench.redis, "EVALSHA") == 6);
    reply_with_record(&bench, 20);
    bench.n_done = 0;
    turn_until(bench.loop, bench.n_done > 0);
    assert_int_equal(bench.call.outcome, STORE_BAD_REPLY);
    teardown(&bench);
}

static void test_errors_and_loss_reach_the_call(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_redis_reply(bench.redis, "-OOM no memory\r\n");
    assert_int_equal(check(&bench, of("k")), STORE_PENDING);
    turn_until(bench.loop, bench.n_done == 1);
    assert_int_equal(bench.call.outcome, STORE_REFUSED);
    assert_int_equal(check(&bench, of("k")), STORE_PENDING);
    turn_until(bench.loop, fake_redis_count(bench.redis, "EVALSHA") == 2);
    fake_redis_drop_clients(bench.redis);
    turn_until(bench.loop, bench.n_done == 2);
    assert_int_equal(bench.call.outcome, STORE_LOST);
    assert_int_equal(check(&bench, of("k")), STORE_DONE);
    assert_int_equal(bench.call.outcome, STORE_DOWN);
    assert_int_equal(bench.n_done, 2);
    teardown(&bench);
}

static void test_what_no_quota_allows_is_refused_at_once(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    static uint8_t braces[QUOTA_KEY_MAX_BYTES * 2];
    memset(braces, '{', sizeof braces);
    assert_int_equal(check(&bench, (struct bytes){.data = braces, .len = sizeof braces}), STORE_DONE);
    assert_int_equal(bench.call.outcome, STORE_REFUSED);
    assert_int_equal(bench.n_done, 0);
    teardown(&bench);
}

static void test_a_bad_list_of_nodes_is_refused_by_name(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    struct redis_store_options options = {.nodes = "localhost"};
    struct status status;
    assert_null(redis_store_create(bench.loop, &options, &bench.metrics, &status));
    assert_string_equal(status.text, "redis store: \"localhost\" is not HOST:PORT");
    teardown(&bench);
}

static const struct bucket_limit window = {
    .id = 7, .algorithm = BUCKET_FIXED_WINDOW, .count = 5, .period_s = CALENDAR_MINUTE, .burst_utok = 5000000};
static const struct quota_part windowed = {.n_limits = 1, .limits = &window};

static void reply_with_time(struct bench *bench, int64_t unix_us) {
    uint8_t reply[] = {'$', '9', '\r', '\n', 4, 0, 0, 0, 0, 0, 0, 0, 0, '\r', '\n'};
    for (int i = 0; i < 8; i++) {
        reply[5 + i] = (uint8_t)(unix_us >> (8 * i));
    }
    fake_redis_send_bytes(bench->redis, reply, sizeof reply);
}

static void check_by_window(struct bench *bench) {
    int64_t now_us = clock_mono_us();
    bench->call = (struct store_call){
        .part = &windowed,
        .name = {.tenant = of("acme"), .resource = of("api"), .key = of("k")},
        .cost_tokens = 2,
        .deadline_us = now_us + 1000000,
        .done = on_done,
    };
    assert_int_equal(store_check(bench->store, &bench->call, now_us), STORE_PENDING);
}

/* The argument of the last call is one that was packed at this time. */
static void assert_packed_at(struct bench *bench, int64_t unix_us) {
    uint8_t expected[SCRIPT_CHECK_ARG_MAX_BYTES];
    struct script_check script = {.limits = &window, .n_limits = 1, .cost_tokens = 2, .unix_us = unix_us};
    size_t n = script_check_pack(&script, expected, sizeof expected);
    assert_true(fake_redis_last_ends_in(bench->redis, expected, n));
}

static void reply_with_window(struct bench *bench, int64_t unix_us) {
    struct bucket_record record = {.at_us = unix_us, .n_levels = 1, .levels = {{.id = 7, .utok = 2}}};
    uint8_t reply[SCRIPT_RECORD_MAX_BYTES];
    char resp[16];
    size_t n_bytes = script_record_pack(&record, reply);
    fake_redis_send_bytes(bench->redis, resp, (size_t)snprintf(resp, sizeof resp, "$%zu\r\n", n_bytes));
    fake_redis_send_bytes(bench->redis, reply, n_bytes);
    fake_redis_send_bytes(bench->redis, "\r\n", 2);
}

/* Years from our own clock; and once it was heard, the next check goes by it. */
static void test_whoever_has_the_wrong_time_is_told_and_asks_again(void **state) {
    (void)state;
    const int64_t there_us = INT64_C(2500000000000000);
    struct bench bench;
    setup(&bench);
    check_by_window(&bench);
    turn_until(bench.loop, fake_redis_count(bench.redis, "EVALSHA") == 1);
    reply_with_time(&bench, there_us);
    turn_until(bench.loop, fake_redis_count(bench.redis, "EVALSHA") == 2);
    assert_packed_at(&bench, there_us);
    assert_int_equal(bench.n_done, 0);
    reply_with_window(&bench, there_us + 1000);
    turn_until(bench.loop, bench.n_done == 1);
    assert_int_equal(bench.call.outcome, STORE_OK);
    assert_true(bench.call.verdict.allowed);
    assert_int_equal(bench.call.verdict.remaining_utok, 3000000);
    assert_int_equal(bench.call.record.at_us, bench.call.done_at_us);
    assert_int_equal(bench.call.record.at_us + bench.call.record.calendar_us, there_us + 1000);
    check_by_window(&bench);
    turn_until(bench.loop, fake_redis_count(bench.redis, "EVALSHA") == 3);
    assert_packed_at(&bench, there_us + 1000);
    teardown(&bench);
}

static void test_redis_tells_the_time_but_once(void **state) {
    (void)state;
    const int64_t there_us = INT64_C(2500000000000000);
    struct bench bench;
    setup(&bench);
    check_by_window(&bench);
    turn_until(bench.loop, fake_redis_count(bench.redis, "EVALSHA") == 1);
    reply_with_time(&bench, there_us);
    turn_until(bench.loop, fake_redis_count(bench.redis, "EVALSHA") == 2);
    reply_with_time(&bench, there_us);
    turn_until(bench.loop, bench.n_done == 1);
    assert_int_equal(bench.call.outcome, STORE_BAD_REPLY);
    assert_int_equal(fake_redis_count(bench.redis, "EVALSHA"), 2);
    teardown(&bench);
}

static void test_destroyed_with_a_call_under_way_it_is_done_as_down(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    assert_int_equal(check(&bench, of("k")), STORE_PENDING);
    turn_until(bench.loop, fake_redis_count(bench.redis, "EVALSHA") == 1);
    teardown(&bench);
    assert_int_equal(bench.n_done, 1);
    assert_int_equal(bench.call.outcome, STORE_DOWN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ready_once_redis_is_known_and_connected),
        cmocka_unit_test(test_a_check_becomes_a_script_call_on_the_escaped_key),
        cmocka_unit_test(test_a_reply_of_another_length_or_kind_is_not_understood),
        cmocka_unit_test(test_errors_and_loss_reach_the_call),
        cmocka_unit_test(test_what_no_quota_allows_is_refused_at_once),
        cmocka_unit_test(test_a_bad_list_of_nodes_is_refused_by_name),
        cmocka_unit_test(test_whoever_has_the_wrong_time_is_told_and_asks_again),
        cmocka_unit_test(test_redis_tells_the_time_but_once),
        cmocka_unit_test(test_destroyed_with_a_call_under_way_it_is_done_as_down),
    };
    log_configure(LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
