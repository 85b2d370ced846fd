/* test_client.c — calls are answered, refused or cancelled exactly once, by the loop. */
#include "tests/support/test_prelude.h"

#include "server/base/clock.h"
#include "tests/support/client_fixture.h"

/* ---- answers ---- */

static void test_check_is_answered(void **state) {
    struct client_fixture *fixture = *state;
    struct ask one = {.fixture = fixture};
    client_fixture_attach(fixture, LONG_MS);
    ask_about(&one, "alice");
    turn_until(fixture->loop, one.n_done > 0);
    ask_assert_done(&one, SLUICE_OK, "");
    assert_int_equal(one.n_decisions, 1);
    assert_true(one.decisions[0].allowed);
    assert_int_equal(one.decisions[0].remaining, 1);
    assert_int_equal(fixture->requests[0].call, WIRE_CALL_CHECK);
    assert_int_equal(fixture->requests[0].timeout_ms, LONG_MS);
    assert_int_equal(fixture->requests[0].checks[0].cost, 1);
}

/* A request must not wait for something else to wake the loop. */
static void stop_loop(void *arg, enum sluice_status status, const char *message,
                      const struct sluice_decision *decisions, size_t n_decisions) {
    struct client_fixture *fixture = arg;
    (void)message;
    (void)decisions;
    (void)n_decisions;
    assert_int_equal(status, SLUICE_OK);
    ev_break(fixture->loop, EVBREAK_ONE);
}

static void test_request_is_sent_before_the_loop_sleeps(void **state) {
    struct client_fixture *fixture = *state;
    client_fixture_attach(fixture, 2000);
    for (int i = 0; i < 3; i++) {
        int64_t start_us = clock_mono_us();
        assert_true(sluice_ping_async(fixture->client, stop_loop, fixture));
        ev_run(fixture->loop, 0);
        assert_true(clock_mono_us() - start_us < 2000000);
    }
    assert_int_equal(fixture->n_requests, 3);
    assert_int_equal(fake_frontend_accepted(fixture->fake), 1);
}

static void test_answers_in_reverse_order_find_their_calls(void **state) {
    struct client_fixture *fixture = *state;
    struct ask asks[3] = {{.fixture = fixture}, {.fixture = fixture}, {.fixture = fixture}};
    fixture->is_silent = true;
    client_fixture_attach(fixture, LONG_MS);
    for (size_t i = 0; i < 3; i++) {
        ask_about(&asks[i], "alice");
    }
    turn_until(fixture->loop, fixture->n_requests == 3);
    for (size_t i = 3; i-- > 0;) { /* all in one segment */
        fake_peer_allow(fixture->peer, &fixture->requests[i], 10 + i);
    }
    turn_until(fixture->loop, asks[0].n_done + asks[1].n_done + asks[2].n_done == 3);
    for (size_t i = 0; i < 3; i++) {
        ask_assert_done(&asks[i], SLUICE_OK, "");
        assert_int_equal(asks[i].decisions[0].remaining, 10 + i);
    }
}

static void test_answers_may_come_byte_by_byte(void **state) {
    struct client_fixture *fixture = *state;
    struct ask asks[2] = {{.fixture = fixture}, {.fixture = fixture}};
    fake_frontend_set_slice(fixture->fake, 1);
    client_fixture_attach(fixture, LONG_MS);
    ask_about(&asks[0], "alice");
    ask_about(&asks[1], "bob");
    turn_until(fixture->loop, asks[0].n_done + asks[1].n_done == 2);
    ask_assert_done(&asks[0], SLUICE_OK, "");
    ask_assert_done(&asks[1], SLUICE_OK, "");
}

static void test_error_of_the_frontend_reaches_the_caller(void **state) {
    struct client_fixture *fixture = *state;
    struct ask one = {.fixture = fixture};
    struct wire_response response = {.status = WIRE_UNAVAILABLE,
                                     .message = {(const uint8_t *)"store: no answer", 16}};
    fixture->is_silent = true;
    client_fixture_attach(fixture, LONG_MS);
    ask_about(&one, "alice");
    turn_until(fixture->loop, fixture->n_requests == 1);
    response.id = fixture->requests[0].id;
    fake_peer_answer(fixture->peer, &response);
    turn_until(fixture->loop, one.n_done > 0);
    ask_assert_done(&one, SLUICE_UNAVAILABLE, "store: no answer");
}

static void test_batch_items_keep_their_own_status(void **state) {
    struct client_fixture *fixture = *state;
    struct ask batch = {.fixture = fixture};
    struct sluice_check checks[3] = {sluice_check_of("demo", "hello", "a"), sluice_check_of("", "hello", "b"),
                                     sluice_check_of("demo", "hello", "c")};
    fixture->is_silent = true;
    client_fixture_attach(fixture, LONG_MS);
    assert_true(sluice_check_batch_async(fixture->client, checks, 3, ask_on_done, &batch));
    turn_until(fixture->loop, fixture->n_requests == 1);
    assert_int_equal(fixture->requests[0].call, WIRE_CALL_CHECK_BATCH);
    assert_int_equal(fixture->requests[0].n_checks, 3);
    struct wire_response response = {
        .id = fixture->requests[0].id, .call = WIRE_CALL_CHECK_BATCH, .n_items = 3};
    response.items[0].decision.verdict = WIRE_ALLOW;
    response.items[1].status = WIRE_INVALID_ARGUMENT;
    response.items[1].message = (struct wire_bytes){(const uint8_t *)"tenant: empty", 13};
    response.items[2].decision.verdict = WIRE_DENY;
    response.items[2].decision.retry_after_us = 77;
    fake_peer_answer(fixture->peer, &response);
    turn_until(fixture->loop, batch.n_done > 0);
    ask_assert_done(&batch, SLUICE_OK, "");
    assert_int_equal(batch.n_decisions, 3);
    assert_true(batch.decisions[0].allowed);
    assert_int_equal(batch.decisions[1].status, SLUICE_INVALID_ARGUMENT);
    assert_string_equal(batch.decisions[1].message, "tenant: empty");
    assert_int_equal(batch.decisions[2].status, SLUICE_OK);
    assert_false(batch.decisions[2].allowed);
    assert_int_equal(batch.decisions[2].retry_after_us, 77);
}

/* ---- opening and closing ---- */

static void assert_not_attached(struct client_fixture *fixture, const struct sluice_options *options,
                                const char *why) {
    char message[SLUICE_MESSAGE_BYTES] = "";
    assert_null(sluice_attach(fixture->loop, options, message, sizeof message));
    assert_non_null(strstr(message, why));
    assert_null(sluice_attach(fixture->loop, options, NULL, 0));
}

static void test_bad_options_are_refused_with_a_reason(void **state) {
    struct client_fixture *fixture = *state;
    static const char *const servers[2] = {"127.0.0.1:7380", "127.0.0.1:x"};
    assert_not_attached(fixture, &(struct sluice_options){.servers = servers, .n_servers = 2},
                        "\"127.0.0.1:x\": the port");
    assert_not_attached(fixture, &(struct sluice_options){.servers = servers}, "servers: 0 given");
    assert_not_attached(fixture, &(struct sluice_options){.servers = servers, .n_servers = 65},
                        "servers: 65 given");
    assert_not_attached(fixture, &(struct sluice_options){.timeout_ms = 60001},
                        "timeout_ms: 60001, at most 60000");
    assert_not_attached(fixture, &(struct sluice_options){.max_retries = 11},
                        "max_retries: 11, -1 to 10 are possible");
    assert_not_attached(fixture, &(struct sluice_options){.max_retries = -2}, "max_retries: -2");
}

static void test_blocking_call_on_an_attached_client_is_refused(void **state) {
    struct client_fixture *fixture = *state;
    struct sluice_check check = sluice_check_of("demo", "hello", "alice");
    struct sluice_decision decision;
    client_fixture_attach(fixture, LONG_MS);
    assert_int_equal(sluice_check(fixture->client, &check, &decision), SLUICE_INVALID_ARGUMENT);
    assert_non_null(strstr(decision.message, "attached to a loop"));
    assert_int_equal(fixture->n_requests, 0);
}

static void test_words_are_never_null(void **state) {
    (void)state;
    assert_string_equal(sluice_status_text(SLUICE_UNAVAILABLE), "UNAVAILABLE");
    assert_string_equal(sluice_source_text(SLUICE_SOURCE_DENIED_CACHE), "denied_cache");
    assert_string_equal(sluice_source_text(SLUICE_SOURCE_CALLER), "caller");
    assert_non_null(sluice_status_text((enum sluice_status)99));
    assert_non_null(sluice_source_text((enum sluice_source)99));
    assert_true(strlen(sluice_version()) > 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, client_fixture_set_up, client_fixture_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(test_check_is_answered),
        test(test_request_is_sent_before_the_loop_sleeps),
        test(test_answers_in_reverse_order_find_their_calls),
        test(test_answers_may_come_byte_by_byte),
        test(test_error_of_the_frontend_reaches_the_caller),
        test(test_batch_items_keep_their_own_status),
        test(test_bad_options_are_refused_with_a_reason),
        test(test_blocking_call_on_an_attached_client_is_refused),
        test(test_words_are_never_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
