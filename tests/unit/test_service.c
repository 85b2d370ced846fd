/* test_service.c — every call of the protocol, its errors, and requests that outlive their connection. */
#include "tests/support/test_prelude.h"

#include <sys/socket.h>
#include <unistd.h>

#include "server/quota/registry.h"
#include "tests/support/fake_store.h"
#include "tests/support/service_bench.h"

struct bench {
    struct fake_store store;
    struct limiter_metrics limiter_metrics;
    struct fallback *fallback; /* NULL unless the test needs it */
    struct limiter *limiter;
    struct service_bench line;
};

static int setup_with(void **state, struct fallback *fallback) {
    struct bench *bench = calloc(1, sizeof *bench);
    struct status status;
    struct quota_set *quotas = registry_load_demo(&status);
    struct limiter_options limiter_options = {.store_timeout_us = 8000, .fallback = fallback};
    bench->fallback = fallback;
    fake_store_init(&bench->store);
    bench->limiter = limiter_create(&limiter_options, quotas, &bench->store.store, &bench->limiter_metrics);
    service_bench_open(&bench->line, bench->limiter);
    quota_set_release(&quotas);
    *state = bench;
    return 0;
}

static int setup(void **state) {
    return setup_with(state, NULL);
}

static int setup_with_fallback(void **state) {
    return setup_with(state, fallback_create(FALLBACK_MIN_KEYS, 1));
}

static int teardown(void **state) {
    struct bench *bench = *state;
    service_bench_close(&bench->line);
    limiter_destroy(&bench->limiter);
    fallback_destroy(&bench->fallback);
    free(bench);
    return 0;
}

static struct wire_bytes text(const char *string) {
    return (struct wire_bytes){.data = (const uint8_t *)string, .len = strlen(string)};
}

static struct wire_check check_of(const char *tenant, const char *key) {
    return (struct wire_check){.tenant = text(tenant), .resource = text("hello"), .key = text(key), .cost = 1};
}

static void expect_text(struct wire_bytes bytes, const char *expected) {
    assert_int_equal(bytes.len, strlen(expected));
    assert_memory_equal(bytes.data, expected, bytes.len);
}

static void ask_one(struct bench *bench, uint64_t id, enum wire_call call) {
    char key[16];
    snprintf(key, sizeof key, "key%d", (int)id);
    bench->line.request = (struct wire_request){.id = id, .call = call, .n_checks = 1};
    bench->line.request.checks[0] = check_of("demo", key);
    service_bench_send(&bench->line);
}

static void test_check_is_answered_with_its_decision(void **state) {
    struct bench *bench = *state;
    ask_one(bench, 7, WIRE_CALL_CHECK);
    const struct wire_response *response = service_bench_receive(&bench->line);
    assert_int_equal(response->id, 7);
    assert_int_equal(response->status, WIRE_OK);
    assert_int_equal(response->call, WIRE_CALL_CHECK);
    const struct wire_decision *decision = &response->items[0].decision;
    assert_int_equal(decision->verdict, WIRE_ALLOW);
    assert_int_equal(decision->source, WIRE_SOURCE_STORE);
    assert_true(decision->matched);
    assert_int_equal(decision->limit, 10);
    assert_int_equal(decision->remaining, 4);
    assert_int_equal(decision->reset_after_us, 7);
    assert_false(bench->store.last.peek);
}

static void test_deny_is_status_ok(void **state) {
    struct bench *bench = *state;
    bench->store.verdict = (struct bucket_verdict){.retry_after_us = 183000};
    ask_one(bench, 8, WIRE_CALL_CHECK);
    const struct wire_response *response = service_bench_receive(&bench->line);
    assert_int_equal(response->status, WIRE_OK);
    assert_int_equal(response->items[0].decision.verdict, WIRE_DENY);
    assert_int_equal(response->items[0].decision.retry_after_us, 183000);
}

static void test_peek_asks_without_taking(void **state) {
    struct bench *bench = *state;
    ask_one(bench, 9, WIRE_CALL_PEEK);
    assert_int_equal(service_bench_receive(&bench->line)->items[0].decision.verdict, WIRE_ALLOW);
    assert_true(bench->store.last.peek);
}

static void test_ping_brings_payload_and_version_back(void **state) {
    struct bench *bench = *state;
    bench->line.request =
        (struct wire_request){.id = 1, .call = WIRE_CALL_PING, .payload = text("are you there")};
    service_bench_send(&bench->line);
    const struct wire_response *response = service_bench_receive(&bench->line);
    assert_int_equal(response->call, WIRE_CALL_PING);
    expect_text(response->payload, "are you there");
    expect_text(response->version, "1.2.3");
}

static void test_batch_keeps_order_and_judges_each(void **state) {
    struct bench *bench = *state;
    bench->line.request = (struct wire_request){.id = 5, .call = WIRE_CALL_CHECK_BATCH, .n_checks = 3};
    bench->line.request.checks[0] = check_of("demo", "a");
    bench->line.request.checks[1] = check_of("", "b");
    bench->line.request.checks[2] = check_of("nobody", "c");
    service_bench_send(&bench->line);
    const struct wire_response *response = service_bench_receive(&bench->line);
    assert_int_equal(response->call, WIRE_CALL_CHECK_BATCH);
    assert_int_equal(response->status, WIRE_OK);
    assert_int_equal(response->n_items, 3);
    assert_true(response->items[0].decision.matched);
    assert_int_equal(response->items[1].status, WIRE_INVALID_ARGUMENT);
    expect_text(response->items[1].message, "tenant: empty");
    assert_int_equal(response->items[2].status, WIRE_OK);
    assert_false(response->items[2].decision.matched);
    assert_int_equal(metric_get(&bench->line.metrics.invalid), 1);
}

static void test_batch_waits_for_its_last_item(void **state) {
    struct bench *bench = *state;
    bench->store.is_pending = true;
    bench->line.request = (struct wire_request){.id = 5, .call = WIRE_CALL_CHECK_BATCH, .n_checks = 3};
    static const char *const keys[] = {"a", "b", "c"}; /* those of one key would wait for each other */
    for (int i = 0; i < 3; i++) {
        bench->line.request.checks[i] = check_of("demo", keys[i]);
    }
    service_bench_send(&bench->line);
    assert_int_equal(metric_get(&bench->line.metrics.pending), 1);
    fake_store_conclude(&bench->store, 2);
    fake_store_conclude(&bench->store, 0);
    service_bench_turn(&bench->line);
    service_bench_expect_nothing(&bench->line);
    bench->store.verdict.allowed = false;
    fake_store_conclude(&bench->store, 1);
    service_bench_turn(&bench->line);
    const struct wire_response *response = service_bench_receive(&bench->line);
    assert_int_equal(response->items[0].decision.verdict, WIRE_ALLOW);
    assert_int_equal(response->items[1].decision.verdict, WIRE_DENY);
    assert_int_equal(response->items[2].decision.verdict, WIRE_ALLOW);
    assert_int_equal(metric_get(&bench->line.metrics.pending), 0);
}

static void test_answers_come_in_any_order(void **state) {
    struct bench *bench = *state;
    bench->store.is_pending = true;
    ask_one(bench, 1, WIRE_CALL_CHECK);
    ask_one(bench, 2, WIRE_CALL_CHECK);
    fake_store_conclude(&bench->store, 1);
    service_bench_turn(&bench->line);
    assert_int_equal(service_bench_receive(&bench->line)->id, 2);
    fake_store_conclude(&bench->store, 0);
    service_bench_turn(&bench->line);
    assert_int_equal(service_bench_receive(&bench->line)->id, 1);
}

static void test_bad_requests_are_named_and_the_connection_lives(void **state) {
    struct bench *bench = *state;
    service_bench_send_bytes(&bench->line, "\0\0\0\0\2\xff\xff", 7);
    const struct wire_response *response = service_bench_receive(&bench->line);
    assert_int_equal(response->id, 0);
    assert_int_equal(response->status, WIRE_INVALID_ARGUMENT);
    bench->line.request = (struct wire_request){.id = 2, .call = WIRE_CALL_UNKNOWN};
    service_bench_send(&bench->line);
    response = service_bench_receive(&bench->line);
    assert_int_equal(response->id, 2);
    assert_int_equal(response->status, WIRE_UNIMPLEMENTED);
    bench->line.request =
        (struct wire_request){.id = 3, .call = WIRE_CALL_CHECK, .n_checks = 1, .timeout_ms = 60001};
    bench->line.request.checks[0] = check_of("demo", "a");
    service_bench_send(&bench->line);
    response = service_bench_receive(&bench->line);
    assert_int_equal(response->status, WIRE_INVALID_ARGUMENT);
    assert_memory_equal(response->message.data, "timeout_ms", 10);
    ask_one(bench, 4, WIRE_CALL_CHECK);
    assert_int_equal(service_bench_receive(&bench->line)->status, WIRE_OK);
    assert_int_equal(metric_get(&bench->line.metrics.malformed), 1);
    assert_int_equal(metric_get(&bench->line.metrics.unknown_requests), 1);
}

static void test_batch_beyond_the_limit_is_named(void **state) {
    struct bench *bench = *state;
    uint8_t frame[10 + 2 * (WIRE_BATCH_MAX + 1)] = "\0\0\0\2\x07\x08\x05\x2a\x82\x04";
    for (size_t at = 10; at < sizeof frame; at += 2) {
        frame[at] = 0x0a; /* an empty check */
    }
    service_bench_send_bytes(&bench->line, frame, sizeof frame);
    const struct wire_response *response = service_bench_receive(&bench->line);
    assert_int_equal(response->id, 5);
    assert_int_equal(response->status, WIRE_INVALID_ARGUMENT);
    expect_text(response->message, "check_batch: more than 256 checks");
}

static void test_what_nobody_can_decide_has_a_status(void **state) {
    struct bench *bench = *state;
    bench->store.outcome = STORE_NO_MEMORY;
    ask_one(bench, 1, WIRE_CALL_CHECK);
    const struct wire_response *response = service_bench_receive(&bench->line);
    assert_int_equal(response->status, WIRE_RESOURCE_EXHAUSTED);
    expect_text(response->message, store_outcome_text(STORE_NO_MEMORY));
    assert_int_equal(metric_get(&bench->limiter_metrics.undecided), 1);
}

static void test_degraded_decision_says_so(void **state) {
    struct bench *bench = *state;
    bench->store.outcome = STORE_DOWN;
    ask_one(bench, 1, WIRE_CALL_CHECK);
    const struct wire_response *response = service_bench_receive(&bench->line);
    assert_int_equal(response->status, WIRE_OK);
    assert_int_equal(response->items[0].decision.source, WIRE_SOURCE_LOCAL);
    assert_true(response->items[0].decision.degraded);
}

static void test_request_outlives_its_connection(void **state) {
    struct bench *bench = *state;
    bench->store.is_pending = true;
    ask_one(bench, 1, WIRE_CALL_CHECK);
    service_bench_send_bytes(&bench->line, "\1", 1); /* breaks the framing */
    assert_int_equal(metric_get(&bench->line.conn_metrics.bad_flag), 1);
    service_bench_turn(&bench->line);
    fake_store_conclude(&bench->store, 0);
    assert_int_equal(metric_get(&bench->line.metrics.orphaned), 1);
    assert_int_equal(metric_get(&bench->line.metrics.pending), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_check_is_answered_with_its_decision, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deny_is_status_ok, setup, teardown),
        cmocka_unit_test_setup_teardown(test_peek_asks_without_taking, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ping_brings_payload_and_version_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_batch_keeps_order_and_judges_each, setup, teardown),
        cmocka_unit_test_setup_teardown(test_batch_waits_for_its_last_item, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answers_come_in_any_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_requests_are_named_and_the_connection_lives, setup, teardown),
        cmocka_unit_test_setup_teardown(test_batch_beyond_the_limit_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_nobody_can_decide_has_a_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_degraded_decision_says_so, setup_with_fallback, teardown),
        cmocka_unit_test_setup_teardown(test_request_outlives_its_connection, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
