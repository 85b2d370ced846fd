/* test_redis_call.c — a script call is concluded once: by a reply, or when the store ends. */
#include "tests/support/test_prelude.h"

#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/store/redis_call.h"
#include "tests/support/fake_redis.h"

static const struct script *const scripts[] = {&script_check, &script_take};

struct bench {
    struct ev_loop *loop;
    struct fake_redis *redis;
    struct redis_metrics metrics;
    struct redis_calls calls;
};

struct operation {
    int n_concluded;
    enum store_outcome outcome;
    int64_t integer, done_at_us;
};

static struct bytes of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static void on_concluded(void *arg, enum store_outcome outcome, const struct redis_reply *reply,
                         int64_t done_at_us) {
    struct operation *operation = arg;
    assert_true((outcome == STORE_OK) == (reply != NULL));
    *operation =
        (struct operation){operation->n_concluded + 1, outcome, reply != NULL ? reply->integer : 0, done_at_us};
}

static void setup(struct bench *bench) {
    *bench = (struct bench){.loop = ev_loop_new(EVFLAG_AUTO)};
    bench->redis = fake_redis_start(bench->loop, 0);
    char nodes[32];
    snprintf(nodes, sizeof nodes, "127.0.0.1:%u", (unsigned)fake_redis_port(bench->redis));
    struct cluster_options options = {.nodes = nodes,
                                      .connect_timeout_us = 500000,
                                      .refresh_every_us = 1000000,
                                      .max_inflight_per_node = 2,
                                      .scripts = scripts,
                                      .n_scripts = 2};
    struct status status;
    list_init(&bench->calls.under_way);
    bench->calls.cluster = cluster_create(bench->loop, &options, &bench->metrics, &status);
    assert_non_null(bench->calls.cluster);
    turn_until(bench->loop, cluster_is_ready(bench->calls.cluster));
}

static void teardown(struct bench *bench) {
    redis_calls_end(&bench->calls);
    cluster_destroy(&bench->calls.cluster);
    fake_redis_stop(&bench->redis);
    ev_loop_destroy(bench->loop);
}

static enum store_outcome start(struct bench *bench, struct operation *operation) {
    struct redis_call_words words = {
        .keys = {of("{k}1"), of("{k}2"), of("{k}3")}, .n_keys = 3, .argument = of("argument")};
    int64_t now_us = clock_mono_us();
    *operation = (struct operation){0};
    return redis_call_start(&bench->calls, REDIS_SCRIPT_TAKE, &words, now_us + 1000000, now_us, on_concluded,
                            operation);
}

static void test_words_go_out_and_a_reply_comes_back(void **state) {
    (void)state;
    struct bench bench;
    struct operation operation;
    setup(&bench);
    fake_redis_reply(bench.redis, ":41\r\n");
    int64_t before_us = clock_mono_us();
    assert_int_equal(start(&bench, &operation), STORE_OK);
    assert_int_equal(operation.n_concluded, 0);
    turn_until(bench.loop, operation.n_concluded == 1);
    char expected[128];
    snprintf(expected, sizeof expected, "EVALSHA|%s|3|{k}1|{k}2|{k}3|argument", script_take.sha1);
    assert_string_equal(fake_redis_last(bench.redis), expected);
    assert_int_equal(operation.outcome, STORE_OK);
    assert_int_equal(operation.integer, 41);
    assert_in_range(operation.done_at_us, before_us, clock_mono_us());
    teardown(&bench);
    assert_int_equal(operation.n_concluded, 1);
}

static void test_the_end_concludes_what_is_under_way(void **state) {
    (void)state;
    struct bench bench;
    struct operation first, second;
    setup(&bench);
    assert_int_equal(start(&bench, &first), STORE_OK);
    assert_int_equal(start(&bench, &second), STORE_OK);
    teardown(&bench);
    assert_int_equal(first.n_concluded, 1);
    assert_int_equal(first.outcome, STORE_DOWN);
    assert_int_equal(second.n_concluded, 1);
    assert_int_equal(second.outcome, STORE_DOWN);
}

static void test_what_is_not_sent_is_not_concluded(void **state) {
    (void)state;
    struct bench bench;
    struct operation operations[3];
    setup(&bench);
    assert_int_equal(start(&bench, &operations[0]), STORE_OK);
    assert_int_equal(start(&bench, &operations[1]), STORE_OK);
    assert_int_equal(start(&bench, &operations[2]), STORE_OVERLOADED);
    teardown(&bench);
    assert_int_equal(operations[2].n_concluded, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_go_out_and_a_reply_comes_back),
        cmocka_unit_test(test_the_end_concludes_what_is_under_way),
        cmocka_unit_test(test_what_is_not_sent_is_not_concluded),
    };
    log_configure(LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
