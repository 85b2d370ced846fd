/* test_redis_take.c — takes and gives become script calls on three keys of one slot, and their replies results. */
#include "tests/support/test_prelude.h"

#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/store/packed.h"
#include "server/store/redis_store.h"
#include "server/store/script_lease.h"
#include "tests/support/fake_redis.h"

#define NOW_US INT64_C(1790000000000000)

struct bench {
    struct ev_loop *loop;
    struct fake_redis *redis;
    struct redis_metrics metrics;
    struct store *store;
    struct store_wish wish;
    struct store_take take;
    struct store_give give;
    int n_done;
};

static const struct quota_part part = {
    .n_limits = 1,
    .limits = (const struct bucket_limit[]){{.id = 7, .count = 5, .period_s = 1, .burst_utok = 10000000}},
};
static const struct store_reservation reservation = {.id = {0xab, 0xcd}, .ttl_us = 1000000};

static struct bench *bench_of_call;

static struct bytes of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static void on_taken(struct store_take *take) {
    assert_ptr_equal(take, &bench_of_call->take);
    bench_of_call->n_done++;
}

static void on_given(struct store_give *give) {
    assert_ptr_equal(give, &bench_of_call->give);
    bench_of_call->n_done++;
}

static void setup(struct bench *bench) {
    *bench = (struct bench){.loop = ev_loop_new(EVFLAG_AUTO), .wish.cost_tokens = 4};
    bench_of_call = bench;
    bench->redis = fake_redis_start(bench->loop, 0);
    char nodes[32];
    snprintf(nodes, sizeof nodes, "127.0.0.1:%u", (unsigned)fake_redis_port(bench->redis));
    struct redis_store_options options = {.nodes = nodes};
    struct status status;
    bench->store = redis_store_create(bench->loop, &options, &bench->metrics, &status);
    assert_non_null(bench->store);
    turn_until(bench->loop, store_is_ready(bench->store));
}

static void teardown(struct bench *bench) {
    store_destroy(&bench->store);
    fake_redis_stop(&bench->redis);
    ev_loop_destroy(bench->loop);
}

static struct bucket_name name_of(const char *key) {
    return (struct bucket_name){.tenant = of("acme"), .resource = of("api"), .key = of(key)};
}

static enum store_progress take(struct bench *bench, const struct store_memo *memo,
                                const struct store_reservation *reserves) {
    int64_t now_us = clock_mono_us();
    bench->take = (struct store_take){.part = &part,
                                      .name = name_of("{k}"),
                                      .wishes = &bench->wish,
                                      .n_wishes = 1,
                                      .memo = memo,
                                      .reservation = reserves,
                                      .deadline_us = now_us + 1000000,
                                      .done = on_taken};
    return store_take(bench->store, &bench->take, now_us);
}

static enum store_progress give(struct bench *bench, int64_t tokens, const uint8_t *reservation_id,
                                const struct store_memo *memo) {
    int64_t now_us = clock_mono_us();
    bench->give = (struct store_give){.part = &part,
                                      .name = name_of("{k}"),
                                      .tokens = tokens,
                                      .reservation_id = reservation_id,
                                      .memo = memo,
                                      .deadline_us = now_us + 1000000,
                                      .done = on_given};
    return store_give(bench->store, &bench->give, now_us);
}

static void reply_with(struct bench *bench, const uint8_t *bytes, size_t n_bytes) {
    char resp[16];
    int n = snprintf(resp, sizeof resp, "$%zu\r\n", n_bytes);
    fake_redis_send_bytes(bench->redis, resp, (size_t)n);
    fake_redis_send_bytes(bench->redis, bytes, n_bytes);
    fake_redis_send_bytes(bench->redis, "\r\n", 2);
}

/* Tag 1, NOW_US, then two numbers if `second` is not negative, else one; then a record of 6 tokens. */
static void reply_done(struct bench *bench, int64_t first, int64_t second) {
    struct bucket_record record = {.at_us = NOW_US, .n_levels = 1, .levels = {{.id = 7, .utok = 6000000}}};
    uint8_t reply[256];
    uint8_t *end = packed_put(reply, 1, 1);
    end = packed_put(end, NOW_US, 8);
    end = packed_put(end, (uint64_t)first, 8);
    end = second < 0 ? end : packed_put(end, (uint64_t)second, 8);
    end += script_record_pack(&record, end);
    reply_with(bench, reply, (size_t)(end - reply));
}

static void expect_heard(struct bench *bench, const char *sha1, const char *memo, const char *reserved) {
    char beginning[512];
    int n =
        snprintf(beginning, sizeof beginning, "EVALSHA|%s|3|s:acme/api/%%7bk%%7d|%s|%s|", sha1, memo, reserved);
    assert_memory_equal(fake_redis_last(bench->redis), beginning, n);
}

static void test_a_take_becomes_a_script_call(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    assert_int_equal(take(&bench, NULL, NULL), STORE_PENDING);
    turn_until(bench.loop, fake_redis_count(bench.redis, "EVALSHA") == 1);
    expect_heard(&bench, script_take.sha1, "s:acme/api/%7bk%7d", "s:acme/api/%7bk%7d");
    reply_done(&bench, 4000000, -1);
    turn_until(bench.loop, bench.n_done == 1);
    assert_int_equal(bench.take.outcome, STORE_OK);
    assert_int_equal(bench.take.answer, STORE_FRESH);
    assert_int_equal(bench.take.granted_tokens, 4);
    assert_true(bench.wish.verdict.allowed);
    assert_int_equal(bench.wish.verdict.remaining_utok, 2000000);
    assert_int_equal(bench.take.record.at_us, bench.take.done_at_us);
    assert_int_equal(bench.take.record.levels[0].utok, 2000000);
    teardown(&bench);
}

static void test_a_denial_elsewhere_brings_no_record(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    const struct store_memo memo = {.key = of("k"), .ttl_us = 1000};
    int64_t now_us = clock_mono_us();
    bench.take = (struct store_take){.part = &part,
                                     .name = name_of("{k}"),
                                     .wishes = &bench.wish,
                                     .n_wishes = 1,
                                     .memo = &memo,
                                     .is_denied_elsewhere = true,
                                     .deadline_us = now_us + 1000000,
                                     .done = on_taken};
    assert_int_equal(store_take(bench.store, &bench.take, now_us), STORE_PENDING);
    turn_until(bench.loop, fake_redis_count(bench.redis, "EVALSHA") == 1);
    reply_with(&bench, (const uint8_t *)"\5", 1);
    turn_until(bench.loop, bench.n_done == 1);
    assert_int_equal(bench.take.outcome, STORE_OK);
    assert_int_equal(bench.take.answer, STORE_FRESH);
    assert_int_equal(bench.take.granted_tokens, 0);
    assert_false(bench.wish.verdict.allowed);
    assert_int_equal(bench.take.record.n_levels, 0);
    teardown(&bench);
}

static void test_memo_and_reservation_stand_beside_the_record(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    const struct store_memo memo = {.key = of("a/{b}"), .ttl_us = 1000};
    assert_int_equal(take(&bench, &memo, &reservation), STORE_PENDING);
    turn_until(bench.loop, fake_redis_count(bench.redis, "EVALSHA") == 1);
    expect_heard(&bench, script_take.sha1, "{s:acme/api/%7bk%7d}i:a%2f%7bb%7d",
                 "{s:acme/api/%7bk%7d}v:abcd0000000000000000000000000000");
    uint8_t reply[17] = {2, 1}; /* kept with another fingerprint */
    reply_with(&bench, reply, sizeof reply);
    turn_until(bench.loop, bench.n_done == 1);
    assert_int_equal(bench.take.outcome, STORE_OK);
    assert_int_equal(bench.take.answer, STORE_KEY_REUSED);
    assert_int_equal(give(&bench, 1, reservation.id, &memo), STORE_PENDING);
    turn_until(bench.loop, fake_redis_count(bench.redis, "EVALSHA") == 2);
    expect_heard(&bench, script_give.sha1, "{s:acme/api/%7bk%7d}i:a%2f%7bb%7d",
                 "{s:acme/api/%7bk%7d}v:abcd0000000000000000000000000000");
    teardown(&bench);
    assert_int_equal(bench.n_done, 2);
}

static void test_a_give_becomes_a_script_call(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    assert_int_equal(give(&bench, 2, NULL, NULL), STORE_PENDING);
    turn_until(bench.loop, fake_redis_count(bench.redis, "EVALSHA") == 1);
    expect_heard(&bench, script_give.sha1, "s:acme/api/%7bk%7d", "s:acme/api/%7bk%7d");
    reply_done(&bench, 0, 1500000);
    turn_until(bench.loop, bench.n_done == 1);
    assert_int_equal(bench.give.outcome, STORE_OK);
    assert_int_equal(bench.give.booked_utok, 1500000);
    assert_int_equal(bench.give.verdict.remaining_utok, 6000000);
    assert_int_equal(bench.give.record.at_us, bench.give.done_at_us);
    teardown(&bench);
}

static void on_leased(struct store_lease *lease) {
    assert_int_equal(lease->outcome, STORE_OK);
    bench_of_call->n_done++;
}

static void test_a_lease_becomes_a_script_call(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    int64_t now_us = clock_mono_us();
    struct store_lease lease = {.part = &part,
                                .name = name_of("{k}"),
                                .wish = {.need_tokens = 1, .extra_tokens = 4, .lease_us = 50000},
                                .deadline_us = now_us + 1000000,
                                .done = on_leased};
    assert_int_equal(store_lease(bench.store, &lease, now_us), STORE_PENDING);
    turn_until(bench.loop, fake_redis_count(bench.redis, "EVALSHA") == 1);
    char beginning[128];
    int n = snprintf(beginning, sizeof beginning, "EVALSHA|%s|1|s:acme/api/%%7bk%%7d|", script_lease.sha1);
    assert_memory_equal(fake_redis_last(bench.redis), beginning, n);
    struct bucket_record record = {.at_us = NOW_US, .n_levels = 1, .levels = {{.id = 7, .utok = 6000000}}};
    uint8_t reply[256];
    uint8_t *end = packed_put(reply, 4, 1);
    const int64_t numbers[] = {NOW_US, 4, 0, 100, 0};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        end = packed_put(end, (uint64_t)numbers[i], 8);
    }
    end += script_record_pack(&record, end);
    reply_with(&bench, reply, (size_t)(end - reply));
    turn_until(bench.loop, bench.n_done == 1);
    assert_int_equal(lease.grant.n_there, 4);
    assert_int_equal(lease.grant.epoch, NOW_US / LEASE_EPOCH_US);
    assert_int_equal(lease.record.at_us, lease.done_at_us);
    teardown(&bench);
}

static void test_a_reply_of_another_kind_is_not_understood(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    static const char *const replies[] = {"+OK\r\n", ":1\r\n", "$-1\r\n", "*0\r\n", "$3\r\nabc\r\n"};
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        bench.n_done = 0;
        fake_redis_reply(bench.redis, "%s", replies[i]);
        fake_redis_reply(bench.redis, "%s", replies[i]);
        assert_int_equal(take(&bench, NULL, NULL), STORE_PENDING);
        assert_int_equal(give(&bench, 1, NULL, NULL), STORE_PENDING);
        turn_until(bench.loop, bench.n_done == 2);
        assert_int_equal(bench.take.outcome, STORE_BAD_REPLY);
        assert_int_equal(bench.give.outcome, STORE_BAD_REPLY);
    }
    teardown(&bench);
}

static void test_loss_and_destruction_reach_the_call(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    assert_int_equal(take(&bench, NULL, NULL), STORE_PENDING);
    turn_until(bench.loop, fake_redis_count(bench.redis, "EVALSHA") == 1);
    fake_redis_drop_clients(bench.redis);
    turn_until(bench.loop, bench.n_done == 1);
    assert_int_equal(bench.take.outcome, STORE_LOST);
    assert_int_equal(take(&bench, NULL, NULL), STORE_DONE);
    assert_int_equal(bench.take.outcome, STORE_DOWN);
    turn_until(bench.loop, store_is_ready(bench.store));
    assert_int_equal(give(&bench, 1, NULL, NULL), STORE_PENDING);
    turn_until(bench.loop, fake_redis_count(bench.redis, "EVALSHA") == 2);
    teardown(&bench);
    assert_int_equal(bench.n_done, 2);
    assert_int_equal(bench.give.outcome, STORE_DOWN);
}

static void test_what_is_beyond_the_limits_is_refused_at_once(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    static const uint8_t long_key[STORE_MEMO_KEY_MAX_BYTES + 1] = {1};
    struct store_memo memo = {.key = {long_key, sizeof long_key}, .ttl_us = 1000};
    assert_int_equal(take(&bench, &memo, NULL), STORE_DONE);
    assert_int_equal(bench.take.outcome, STORE_REFUSED);
    assert_int_equal(give(&bench, 1, NULL, &memo), STORE_DONE);
    assert_int_equal(bench.give.outcome, STORE_REFUSED);
    memo.key.len = 0;
    assert_int_equal(give(&bench, 1, NULL, &memo), STORE_DONE);
    memo.key.len = STORE_MEMO_KEY_MAX_BYTES;
    assert_int_equal(give(&bench, 1, NULL, &memo), STORE_PENDING);
    bench.wish.cost_tokens = 0;
    assert_int_equal(take(&bench, NULL, NULL), STORE_DONE);
    assert_int_equal(bench.take.outcome, STORE_REFUSED);
    teardown(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_take_becomes_a_script_call),
        cmocka_unit_test(test_a_denial_elsewhere_brings_no_record),
        cmocka_unit_test(test_memo_and_reservation_stand_beside_the_record),
        cmocka_unit_test(test_a_give_becomes_a_script_call),
        cmocka_unit_test(test_a_lease_becomes_a_script_call),
        cmocka_unit_test(test_a_reply_of_another_kind_is_not_understood),
        cmocka_unit_test(test_loss_and_destruction_reach_the_call),
        cmocka_unit_test(test_what_is_beyond_the_limits_is_refused_at_once),
    };
    log_configure(LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
