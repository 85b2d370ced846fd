/* test_client_policy.c — without a frontend's decision the caller's own policy decides, where it has a say. */
#include "tests/support/test_prelude.h"

#include <unistd.h>

#include "client/client_decision.h"
#include "client/client_policy.h"
#include "tests/support/client_fixture.h"

/* ---- the policy by itself ---- */

static struct sluice_decision decide_failed(enum sluice_status status, enum sluice_on_failure policy,
                                            bool is_answer) {
    struct sluice_decision decision;
    struct client_local_ask ask = {.cost_tokens = 7};
    client_decision_fail(&decision, status, "why");
    client_policy_apply(&(struct client_policy){.on_failure = policy}, &ask, false, is_answer, 0, &decision);
    assert_string_equal(decision.message, "why");
    return decision;
}

static void assert_made_by_caller(const struct sluice_decision *decision, bool allowed) {
    assert_int_equal(decision->status, SLUICE_OK);
    assert_int_equal(decision->source, SLUICE_SOURCE_CALLER);
    assert_int_equal(decision->allowed, allowed);
    assert_int_equal(decision->granted, allowed ? 7 : 0);
    assert_false(decision->matched);
    assert_true(decision->degraded);
    assert_int_equal(decision->retry_after_us, 0);
}

static void test_policy_stands_in_for_a_missing_decision(void **state) {
    static const enum sluice_status missing[] = {SLUICE_UNAVAILABLE, SLUICE_DEADLINE_EXCEEDED,
                                                 SLUICE_RESOURCE_EXHAUSTED, SLUICE_INTERNAL};
    (void)state;
    for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++) {
        struct sluice_decision decision = decide_failed(missing[i], SLUICE_ON_FAILURE_ALLOW, false);
        assert_made_by_caller(&decision, true);
        decision = decide_failed(missing[i], SLUICE_ON_FAILURE_DENY, false);
        assert_made_by_caller(&decision, false);
        decision = decide_failed(missing[i], SLUICE_ON_FAILURE_REPORT, false);
        assert_int_equal(decision.status, missing[i]);
        assert_int_equal(decision.source, SLUICE_SOURCE_NONE);
    }
    struct sluice_decision decision = decide_failed(SLUICE_UNAVAILABLE, SLUICE_ON_FAILURE_ALLOW, true);
    assert_made_by_caller(&decision, true);
}

static void test_policy_hides_no_fault(void **state) {
    static const enum sluice_status faults[] = {SLUICE_CANCELLED, SLUICE_UNKNOWN, SLUICE_INVALID_ARGUMENT,
                                                SLUICE_UNIMPLEMENTED, SLUICE_INTERNAL};
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct sluice_decision decision = decide_failed(faults[i], SLUICE_ON_FAILURE_ALLOW, true);
        assert_int_equal(decision.status, faults[i]);
        assert_false(decision.allowed);
        assert_int_equal(decision.source, SLUICE_SOURCE_NONE);
    }
}

static void test_policy_leaves_decisions_alone(void **state) {
    struct sluice_decision decision = {.status = SLUICE_OK, .source = SLUICE_SOURCE_STORE};
    (void)state;
    client_policy_apply(&(struct client_policy){.on_failure = SLUICE_ON_FAILURE_ALLOW}, NULL, false, true, 0,
                        &decision);
    assert_false(decision.allowed);
    assert_int_equal(decision.source, SLUICE_SOURCE_STORE);
}

static void test_policy_grants_what_was_asked_for(void **state) {
    struct client_policy allow = {.on_failure = SLUICE_ON_FAILURE_ALLOW}, deny = {SLUICE_ON_FAILURE_DENY, NULL};
    struct sluice_check check = sluice_check_of("demo", "hello", "alice");
    struct sluice_decision decision;
    (void)state;
    assert_false(client_policy_reads_asks(&deny));
    assert_true(client_policy_reads_asks(&allow));
    check.cost = 0;
    assert_int_equal(client_policy_ask_of(&allow, &check).cost_tokens, 1);
    check.cost = 30;
    struct client_local_ask ask = client_policy_ask_of(&allow, &check);
    client_decision_fail(&decision, SLUICE_UNAVAILABLE, "why");
    client_policy_apply(&allow, &ask, false, false, 0, &decision);
    assert_int_equal(decision.granted, 30);
    client_decision_fail(&decision, SLUICE_UNAVAILABLE, "why");
    client_policy_apply(&allow, &ask, true, false, 0, &decision); /* a peek */
    assert_true(decision.allowed);
    assert_int_equal(decision.granted, 0);
}

/* ---- where a client asks it ---- */

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

/* ---- a bucket of the caller's own ---- */

static void attach_local(struct client_fixture *fixture, const char *server) {
    struct sluice_options options = {.servers = &server,
                                     .n_servers = 1,
                                     .timeout_ms = LONG_MS,
                                     .on_failure = SLUICE_ON_FAILURE_LOCAL,
                                     .local_rate_tokens = 1,
                                     .local_period_s = 3600,
                                     .local_burst_tokens = 3};
    client_fixture_attach_with(fixture, &options);
}

static void assert_local(const struct sluice_decision *decision, bool allowed, uint64_t remaining) {
    assert_int_equal(decision->status, SLUICE_OK);
    assert_int_equal(decision->source, SLUICE_SOURCE_CALLER);
    assert_true(decision->degraded);
    assert_int_equal(decision->allowed, allowed);
    assert_string_equal(decision->limit_name, "local");
    assert_int_equal(decision->limit, 3);
    assert_int_equal(decision->remaining, remaining);
    assert_true(decision->reset_after_us > 0);
    assert_int_equal(decision->retry_after_us > 0, !allowed);
    assert_string_not_equal(decision->message, "");
}

static void test_bucket_decides_each_key_when_no_frontend_is_reached(void **state) {
    struct client_fixture *fixture = *state;
    char address[32];
    int fd;
    snprintf(address, sizeof address, "127.0.0.1:%u", fake_refusing_port(&fd));
    attach_local(fixture, address);
    for (unsigned i = 0; i < 8; i++) {
        struct ask one = {.fixture = fixture};
        ask_about(&one, i % 2 == 0 ? "alice" : "bob");
        turn_until(fixture->loop, one.n_done > 0);
        ask_assert_done(&one, SLUICE_OK, one.decisions[0].message);
        assert_non_null(strstr(one.message, "Connection refused"));
        assert_local(&one.decisions[0], i < 6, i < 6 ? 2 - i / 2 : 0);
    }
    close(fd);
}

static void test_bucket_decides_a_batch_item_by_item_with_its_costs(void **state) {
    struct client_fixture *fixture = *state;
    struct ask batch = {.fixture = fixture}, peek = {.fixture = fixture};
    struct sluice_check checks[4] = {
        sluice_check_of("demo", "hello", "a"), sluice_check_of("demo", "hello", "a"),
        sluice_check_of("demo", "hello", "b"), sluice_check_of("demo", "hello", "c")};
    checks[0].cost = 2;
    checks[1].cost = 2;
    checks[3].cost = UINT64_MAX;
    fixture->is_silent = true;
    attach_local(fixture, fake_frontend_address(fixture->fake));
    assert_true(sluice_check_batch_async(fixture->client, checks, 4, ask_on_done, &batch));
    turn_until(fixture->loop, fixture->n_requests == 1);
    fake_peer_close(fixture->peer);
    turn_until(fixture->loop, batch.n_done > 0);
    assert_local(&batch.decisions[0], true, 1);
    assert_local(&batch.decisions[1], false, 1);
    assert_local(&batch.decisions[2], true, 2);
    assert_false(batch.decisions[3].allowed);
    assert_int_equal(batch.decisions[3].retry_after_us, BUCKET_MAX_EXACT);
    fake_frontend_stop(&fixture->fake);
    assert_true(sluice_peek_async(fixture->client, &checks[2], ask_on_done, &peek));
    turn_until(fixture->loop, peek.n_done > 0);
    assert_local(&peek.decisions[0], true, 2);
}

static void test_bucket_does_not_hide_a_bad_check(void **state) {
    struct client_fixture *fixture = *state;
    struct ask one = {.fixture = fixture};
    struct sluice_check bad = {
        .tenant = "demo", .tenant_len = 4, .resource = "r", .resource_len = 1, .key_len = 300};
    attach_local(fixture, fake_frontend_address(fixture->fake));
    assert_true(sluice_check_async(fixture->client, &bad, ask_on_done, &one));
    turn_until(fixture->loop, one.n_done > 0);
    ask_assert_done(&one, SLUICE_INVALID_ARGUMENT, one.message);
    assert_non_null(strstr(one.message, "key"));
}

static void test_bucket_decides_what_the_frontend_could_not(void **state) {
    struct client_fixture *fixture = *state;
    struct ask batch = {.fixture = fixture};
    struct sluice_check checks[2] = {sluice_check_of("demo", "hello", "a"),
                                     sluice_check_of("demo", "hello", "b")};
    fixture->is_silent = true;
    attach_local(fixture, fake_frontend_address(fixture->fake));
    assert_true(sluice_check_batch_async(fixture->client, checks, 2, ask_on_done, &batch));
    turn_until(fixture->loop, fixture->n_requests == 1);
    struct wire_response response = {
        .id = fixture->requests[0].id, .call = WIRE_CALL_CHECK_BATCH, .n_items = 2};
    response.items[0].decision.verdict = WIRE_DENY;
    response.items[1].status = WIRE_UNAVAILABLE;
    response.items[1].message = (struct wire_bytes){(const uint8_t *)"store: down", 11};
    fake_peer_answer(fixture->peer, &response);
    turn_until(fixture->loop, batch.n_done > 0);
    assert_false(batch.decisions[0].allowed);
    assert_false(batch.decisions[0].degraded);
    assert_local(&batch.decisions[1], true, 2);
    assert_string_equal(batch.decisions[1].message, "store: down");
}

#define test(name) cmocka_unit_test_setup_teardown(name, client_fixture_set_up, client_fixture_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy_stands_in_for_a_missing_decision),
        cmocka_unit_test(test_policy_hides_no_fault),
        cmocka_unit_test(test_policy_leaves_decisions_alone),
        cmocka_unit_test(test_policy_grants_what_was_asked_for),
        test(test_policy_decides_when_no_frontend_is_reached_but_not_for_a_ping),
        test(test_policy_decides_after_the_timeout),
        test(test_policy_decides_when_the_connection_ends),
        test(test_policy_decides_the_undecided_items_of_a_batch),
        test(test_lost_batch_is_decided_whole),
        test(test_faults_and_closing_are_reported),
        test(test_bucket_decides_each_key_when_no_frontend_is_reached),
        test(test_bucket_decides_a_batch_item_by_item_with_its_costs),
        test(test_bucket_does_not_hide_a_bad_check),
        test(test_bucket_decides_what_the_frontend_could_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
