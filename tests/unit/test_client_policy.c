/* test_client_policy.c — without a frontend's decision the caller's own policy decides, where it has a say. */
#include "tests/support/test_prelude.h"

#include <unistd.h>

#include "tests/support/client_fixture.h"

static void attach(struct client_fixture *fixture, const char *server, enum sluice_on_failure policy,
                   uint32_t timeout_ms) {
    struct sluice_options options = {
        .servers = &server, .n_servers = 1, .timeout_ms = timeout_ms, .on_failure = policy};
    client_fixture_attach_with(fixture, &options);
}

static void assert_by_caller(const struct ask *ask, bool allowed, const char *why) {
    assert_true(ask->n_decisions > 0);
    assert_non_null(strstr(ask->message, why));
    ask_assert_done(ask, SLUICE_OK, ask->message);
    for (size_t i = 0; i < ask->n_decisions; i++) {
        assert_int_equal(ask->decisions[i].status, SLUICE_OK);
        assert_int_equal(ask->decisions[i].allowed, allowed);
        assert_int_equal(ask->decisions[i].source, SLUICE_SOURCE_CALLER);
        assert_string_equal(ask->decisions[i].message, ask->message);
    }
}

static void test_policy_decides_when_no_frontend_is_reached_but_not_for_a_ping(void **state) {
    struct client_fixture *fixture = *state;
    struct ask one = {.fixture = fixture}, ping = {.fixture = fixture};
    char address[32];
    int fd;
    snprintf(address, sizeof address, "127.0.0.1:%u", fake_refusing_port(&fd));
    attach(fixture, address, SLUICE_ON_FAILURE_DENY, LONG_MS);
    ask_about(&one, "alice");
    turn_until(fixture->loop, one.n_done > 0);
    assert_by_caller(&one, false, "Connection refused");
    assert_true(sluice_ping_async(fixture->client, ask_on_done, &ping));
    turn_until(fixture->loop, ping.n_done > 0);
    assert_int_equal(ping.status, SLUICE_UNAVAILABLE); /* a ping asks for the truth */
    close(fd);
}

static void test_policy_decides_after_the_timeout(void **state) {
    struct client_fixture *fixture = *state;
    struct ask peek = {.fixture = fixture};
    struct sluice_check check = sluice_check_of("demo", "hello", "alice");
    fixture->is_silent = true;
    attach(fixture, fake_frontend_address(fixture->fake), SLUICE_ON_FAILURE_ALLOW, SHORT_MS);
    assert_true(sluice_peek_async(fixture->client, &check, ask_on_done, &peek));
    turn_until(fixture->loop, peek.n_done > 0);
    assert_by_caller(&peek, true, "no answer from ");
}

static void test_policy_decides_when_the_connection_ends(void **state) {
    struct client_fixture *fixture = *state;
    struct ask lost = {.fixture = fixture}, broken = {.fixture = fixture};
    fixture->is_silent = true;
    attach(fixture, fake_frontend_address(fixture->fake), SLUICE_ON_FAILURE_ALLOW, LONG_MS);
    ask_about(&lost, "alice");
    turn_until(fixture->loop, fixture->n_requests == 1);
    fake_peer_close(fixture->peer);
    turn_until(fixture->loop, lost.n_done > 0);
    assert_by_caller(&lost, true, "may have been counted");
    ask_about(&broken, "alice");
    turn_until(fixture->loop, fixture->n_requests == 2);
    fake_peer_send(fixture->peer, "HTTP/1.1 400", 12);
    turn_until(fixture->loop, broken.n_done > 0);
    assert_by_caller(&broken, true, "a frame whose flag byte is not 0");
}

static void test_policy_decides_the_undecided_items_of_a_batch(void **state) {
    struct client_fixture *fixture = *state;
    struct ask batch = {.fixture = fixture};
    struct sluice_check checks[3] = {sluice_check_of("demo", "hello", "a"), sluice_check_of("", "hello", "b"),
                                     sluice_check_of("demo", "hello", "c")};
    fixture->is_silent = true;
    attach(fixture, fake_frontend_address(fixture->fake), SLUICE_ON_FAILURE_ALLOW, LONG_MS);
    assert_true(sluice_check_batch_async(fixture->client, checks, 3, ask_on_done, &batch));
    turn_until(fixture->loop, fixture->n_requests == 1);
    struct wire_response response = {
        .id = fixture->requests[0].id, .call = WIRE_CALL_CHECK_BATCH, .n_items = 3};
    response.items[0].status = WIRE_UNAVAILABLE;
    response.items[0].message = (struct wire_bytes){(const uint8_t *)"store: down", 11};
    response.items[1].status = WIRE_INVALID_ARGUMENT;
    response.items[2].decision.verdict = WIRE_DENY;
    fake_peer_answer(fixture->peer, &response);
    turn_until(fixture->loop, batch.n_done > 0);
    ask_assert_done(&batch, SLUICE_OK, "");
    assert_int_equal(batch.decisions[0].status, SLUICE_OK);
    assert_true(batch.decisions[0].allowed);
    assert_int_equal(batch.decisions[0].source, SLUICE_SOURCE_CALLER);
    assert_string_equal(batch.decisions[0].message, "store: down");
    assert_int_equal(batch.decisions[1].status, SLUICE_INVALID_ARGUMENT);
    assert_int_equal(batch.decisions[2].status, SLUICE_OK);
    assert_false(batch.decisions[2].allowed);
    assert_int_equal(batch.decisions[2].source, SLUICE_SOURCE_NONE);
}

static void test_lost_batch_is_decided_whole(void **state) {
    struct client_fixture *fixture = *state;
    struct ask batch = {.fixture = fixture};
    struct sluice_check checks[2] = {sluice_check_of("demo", "hello", "a"),
                                     sluice_check_of("demo", "hello", "b")};
    fixture->is_silent = true;
    attach(fixture, fake_frontend_address(fixture->fake), SLUICE_ON_FAILURE_DENY, LONG_MS);
    assert_true(sluice_check_batch_async(fixture->client, checks, 2, ask_on_done, &batch));
    turn_until(fixture->loop, fixture->n_requests == 1);
    fake_peer_close(fixture->peer);
    turn_until(fixture->loop, batch.n_done > 0);
    assert_int_equal(batch.n_decisions, 2);
    assert_by_caller(&batch, false, "lost");
}

static void test_faults_and_closing_are_reported(void **state) {
    struct client_fixture *fixture = *state;
    struct ask invalid = {.fixture = fixture}, fault = {.fixture = fixture}, closed = {.fixture = fixture};
    struct sluice_check bad = sluice_check_of("demo", "", "alice");
    fixture->is_silent = true;
    attach(fixture, fake_frontend_address(fixture->fake), SLUICE_ON_FAILURE_ALLOW, LONG_MS);
    assert_true(sluice_check_async(fixture->client, &bad, ask_on_done, &invalid));
    turn_until(fixture->loop, invalid.n_done > 0);
    ask_assert_done(&invalid, SLUICE_INVALID_ARGUMENT, invalid.message);
    ask_about(&fault, "alice");
    turn_until(fixture->loop, fixture->n_requests == 1);
    struct wire_response response = {.id = fixture->requests[0].id, .status = WIRE_INTERNAL};
    fake_peer_answer(fixture->peer, &response);
    turn_until(fixture->loop, fault.n_done > 0);
    ask_assert_done(&fault, SLUICE_INTERNAL, "");
    ask_about(&closed, "alice");
    sluice_close(&fixture->client);
    ask_assert_done(&closed, SLUICE_CANCELLED, closed.message);
}

#define test(name) cmocka_unit_test_setup_teardown(name, client_fixture_set_up, client_fixture_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(test_policy_decides_when_no_frontend_is_reached_but_not_for_a_ping),
        test(test_policy_decides_after_the_timeout),
        test(test_policy_decides_when_the_connection_ends),
        test(test_policy_decides_the_undecided_items_of_a_batch),
        test(test_lost_batch_is_decided_whole),
        test(test_faults_and_closing_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
