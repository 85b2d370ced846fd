/* test_client_calls.c — refunds, reservations, settlements and all-or-nothing batches, from the caller to the wire
 * and back. */
#include "tests/support/test_prelude.h"

#include "tests/support/client_fixture.h"

static const struct sluice_reservation half_a_minute = {.ttl_ms = 30000, .on_timeout = SLUICE_ON_TIMEOUT_STAND};
static const struct sluice_settlement three_used = {.reservation_id = FAKE_RESERVATION, .tokens = 3};

/* What came of a refund or a settlement. */
struct booked {
    unsigned n_done;
    struct sluice_booking booking;
};

static void on_booked(void *arg, const struct sluice_booking *booking) {
    struct booked *booked = arg;
    booked->n_done++;
    booked->booking = *booking;
}

static struct sluice_check five_of_alice(void) {
    struct sluice_check check = sluice_check_of("demo", "hello", "alice");
    check.cost = 5;
    return check;
}

static void wait_for(struct client_fixture *fixture, const struct booked *booked, enum sluice_status status,
                     const char *message) {
    turn_until(fixture->loop, booked->n_done > 0);
    assert_int_equal(booked->n_done, 1);
    assert_string_equal(booked->booking.message, message);
    assert_int_equal(booked->booking.status, status);
}

static void refuse(struct client_fixture *fixture, enum wire_status status, const char *message) {
    struct wire_response *response = calloc(1, sizeof *response);
    assert_non_null(response);
    response->id = fixture->requests[fixture->n_requests - 1].id;
    response->status = status;
    response->message = (struct wire_bytes){(const uint8_t *)message, strlen(message)};
    fake_peer_answer(fixture->peer, response);
    free(response);
}

static void test_refund_reaches_the_frontend_and_comes_back(void **state) {
    struct client_fixture *fixture = *state;
    struct booked booked = {0};
    struct sluice_check refund = five_of_alice();
    refund.idempotency_key = "a\0b";
    refund.idempotency_key_len = 3;
    client_fixture_attach(fixture, LONG_MS);
    assert_true(sluice_refund_async(fixture->client, &refund, on_booked, &booked));
    assert_int_equal(booked.n_done, 0);
    wait_for(fixture, &booked, SLUICE_OK, "");
    assert_true(booked.booking.matched);
    assert_int_equal(booked.booking.returned, 3);
    assert_int_equal(booked.booking.remaining, 1);
    const struct wire_request *asked = &fixture->requests[0];
    assert_int_equal(asked->call, WIRE_CALL_REFUND);
    assert_int_equal(asked->checks[0].cost, 5);
    assert_int_equal(asked->checks[0].idempotency_key.len, 3);
    assert_int_equal(fixture->key_len, 5);
}

static void test_reservation_is_named_and_settled(void **state) {
    struct client_fixture *fixture = *state;
    struct ask one = {.fixture = fixture};
    struct booked booked = {0};
    struct sluice_check check = five_of_alice();
    client_fixture_attach(fixture, LONG_MS);
    assert_true(sluice_reserve_async(fixture->client, &check, &half_a_minute, ask_on_done, &one));
    turn_until(fixture->loop, one.n_done > 0);
    ask_assert_done(&one, SLUICE_OK, "");
    assert_true(one.decisions[0].allowed);
    assert_int_equal(one.decisions[0].granted, 5);
    assert_memory_equal(one.decisions[0].reservation_id, FAKE_RESERVATION, SLUICE_RESERVATION_BYTES);
    assert_int_equal(fixture->requests[0].call, WIRE_CALL_RESERVE);
    assert_int_equal(fixture->requests[0].ttl_ms, 30000);
    assert_int_equal(fixture->requests[0].on_timeout, WIRE_ON_TIMEOUT_STAND);
    assert_int_equal(fixture->requests[0].checks[0].cost, 5);
    assert_true(sluice_settle_async(fixture->client, &check, &three_used, on_booked, &booked));
    wait_for(fixture, &booked, SLUICE_OK, "");
    assert_int_equal(fixture->requests[1].call, WIRE_CALL_SETTLE);
    assert_int_equal(fixture->requests[1].reservation_id.len, SLUICE_RESERVATION_BYTES);
    assert_int_equal(fixture->requests[1].checks[0].cost, 3);
}

static void test_nothing_used_is_settled_as_nothing(void **state) {
    struct client_fixture *fixture = *state;
    struct booked booked = {0};
    struct sluice_check check = five_of_alice();
    struct sluice_settlement unused = {.reservation_id = FAKE_RESERVATION};
    client_fixture_attach(fixture, LONG_MS);
    assert_true(sluice_settle_async(fixture->client, &check, &unused, on_booked, &booked));
    wait_for(fixture, &booked, SLUICE_OK, "");
    assert_int_equal(fixture->requests[0].checks[0].cost, 0);
}

static void test_reservation_of_an_earlier_call_is_not_told_again(void **state) {
    struct client_fixture *fixture = *state;
    struct ask one = {.fixture = fixture}, two = {.fixture = fixture};
    static const uint8_t none[SLUICE_RESERVATION_BYTES];
    struct sluice_check check = five_of_alice();
    client_fixture_attach(fixture, LONG_MS);
    assert_true(sluice_reserve_async(fixture->client, &check, &half_a_minute, ask_on_done, &one));
    turn_until(fixture->loop, one.n_done > 0);
    ask_about(&two, "bob");
    turn_until(fixture->loop, two.n_done > 0);
    assert_memory_equal(two.decisions[0].reservation_id, none, sizeof none);
}

static void test_unknown_reservation_is_not_found(void **state) {
    struct client_fixture *fixture = *state;
    struct booked booked = {0};
    struct sluice_check check = five_of_alice();
    fixture->is_silent = true;
    client_fixture_attach(fixture, LONG_MS);
    assert_true(sluice_settle_async(fixture->client, &check, &three_used, on_booked, &booked));
    turn_until(fixture->loop, fixture->n_requests > 0);
    refuse(fixture, WIRE_NOT_FOUND, "reservation_id: unknown, settled already, or timed out");
    wait_for(fixture, &booked, SLUICE_NOT_FOUND, "reservation_id: unknown, settled already, or timed out");
    assert_string_equal(sluice_status_text(booked.booking.status), "NOT_FOUND");
}

static void test_bad_calls_are_refused_without_being_sent(void **state) {
    struct client_fixture *fixture = *state;
    struct booked refunded = {0}, settled = {0}, nameless = {0};
    struct ask reserved = {.fixture = fixture}, peeked = {.fixture = fixture}, all = {.fixture = fixture};
    struct sluice_check check = five_of_alice(), long_key = check, checks[2] = {check, check};
    struct sluice_reservation no_time = {.ttl_ms = 0};
    struct sluice_settlement too_many = {.tokens = 1000000001};
    char text[65] = "";
    client_fixture_attach(fixture, LONG_MS);
    long_key.idempotency_key = text;
    long_key.idempotency_key_len = sizeof text;
    assert_true(sluice_refund_async(fixture->client, &long_key, on_booked, &refunded));
    assert_true(sluice_settle_async(fixture->client, &check, &too_many, on_booked, &settled));
    assert_true(sluice_reserve_async(fixture->client, &check, &no_time, ask_on_done, &reserved));
    check.tenant_len = 0;
    assert_true(sluice_settle_async(fixture->client, &check, &three_used, on_booked, &nameless));
    long_key.idempotency_key_len = 1;
    assert_true(sluice_peek_async(fixture->client, &long_key, ask_on_done, &peeked));
    checks[1].resource_len = 0;
    assert_true(sluice_check_all_async(fixture->client, checks, 2, ask_on_done, &all));
    turn_until(fixture->loop, all.n_done > 0);
    wait_for(fixture, &refunded, SLUICE_INVALID_ARGUMENT, "idempotency_key: 65 bytes, at most 64");
    wait_for(fixture, &settled, SLUICE_INVALID_ARGUMENT, "tokens: 1000000001, at most 1000000000");
    wait_for(fixture, &nameless, SLUICE_INVALID_ARGUMENT, "tenant: empty");
    ask_assert_done(&reserved, SLUICE_INVALID_ARGUMENT, "ttl_ms: 0, at least 1");
    ask_assert_done(&peeked, SLUICE_INVALID_ARGUMENT, "idempotency_key: a peek takes nothing and has none");
    ask_assert_done(&all, SLUICE_INVALID_ARGUMENT, "checks[1].resource: empty");
    assert_int_equal(all.n_decisions, 2);
    assert_int_equal(fixture->n_requests, 0);
}

static void test_batch_that_is_all_or_nothing_says_so(void **state) {
    struct client_fixture *fixture = *state;
    struct ask one = {.fixture = fixture}, two = {.fixture = fixture};
    struct sluice_check checks[2] = {five_of_alice(), five_of_alice()};
    checks[1].at_most = true;
    client_fixture_attach(fixture, LONG_MS);
    assert_false(sluice_check_all_async(fixture->client, checks, 0, ask_on_done, &one));
    assert_false(sluice_check_all_async(fixture->client, checks, SLUICE_BATCH_MAX + 1, ask_on_done, &one));
    assert_true(sluice_check_all_async(fixture->client, checks, 2, ask_on_done, &one));
    turn_until(fixture->loop, one.n_done > 0);
    ask_assert_done(&one, SLUICE_OK, "");
    assert_int_equal(one.n_decisions, 2);
    assert_true(fixture->requests[0].all_or_nothing);
    assert_false(fixture->requests[0].checks[0].at_most);
    assert_true(fixture->requests[0].checks[1].at_most);
    assert_true(sluice_check_batch_async(fixture->client, checks, 2, ask_on_done, &two));
    turn_until(fixture->loop, two.n_done > 0);
    assert_false(fixture->requests[1].all_or_nothing);
}

/* ---- without an answer ---- */

static void attach_allowing(struct client_fixture *fixture) {
    const char *server = fake_frontend_address(fixture->fake);
    struct sluice_options options = {
        .servers = &server, .n_servers = 1, .timeout_ms = SHORT_MS, .on_failure = SLUICE_ON_FAILURE_ALLOW};
    fixture->is_silent = true;
    client_fixture_attach_with(fixture, &options);
}

static void test_policy_stands_in_for_a_reserve(void **state) {
    struct client_fixture *fixture = *state;
    struct ask one = {.fixture = fixture};
    static const uint8_t none[SLUICE_RESERVATION_BYTES];
    struct sluice_check check = five_of_alice();
    attach_allowing(fixture);
    assert_true(sluice_reserve_async(fixture->client, &check, &half_a_minute, ask_on_done, &one));
    turn_until(fixture->loop, one.n_done > 0);
    assert_int_equal(one.status, SLUICE_OK);
    assert_true(one.decisions[0].allowed && one.decisions[0].degraded);
    assert_int_equal(one.decisions[0].granted, 5);
    assert_memory_equal(one.decisions[0].reservation_id, none, sizeof none);
}

static void test_policy_has_no_say_in_bookings_and_all_or_nothing(void **state) {
    struct client_fixture *fixture = *state;
    struct booked booked = {0};
    struct ask all = {.fixture = fixture};
    struct sluice_check check = five_of_alice();
    char text[128];
    attach_allowing(fixture);
    assert_true(sluice_refund_async(fixture->client, &check, on_booked, &booked));
    assert_true(sluice_check_all_async(fixture->client, &check, 1, ask_on_done, &all));
    snprintf(text, sizeof text, "no answer from %s within 50 ms; it may have been booked",
             fake_frontend_address(fixture->fake));
    wait_for(fixture, &booked, SLUICE_DEADLINE_EXCEEDED, text);
    assert_false(booked.booking.matched);
    turn_until(fixture->loop, all.n_done > 0);
    assert_int_equal(all.status, SLUICE_DEADLINE_EXCEEDED);
    assert_false(all.decisions[0].allowed);
}

static void test_closing_tells_of_a_booking_once(void **state) {
    struct client_fixture *fixture = *state;
    struct booked booked = {0};
    struct sluice_check check = five_of_alice();
    fixture->is_silent = true;
    client_fixture_attach(fixture, LONG_MS);
    assert_true(sluice_refund_async(fixture->client, &check, on_booked, &booked));
    turn_until(fixture->loop, fixture->n_requests > 0);
    sluice_close(&fixture->client);
    wait_for(fixture, &booked, SLUICE_CANCELLED, "the client was closed; the call may have been counted");
}

#define test(name) cmocka_unit_test_setup_teardown(name, client_fixture_set_up, client_fixture_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(test_refund_reaches_the_frontend_and_comes_back),
        test(test_reservation_is_named_and_settled),
        test(test_nothing_used_is_settled_as_nothing),
        test(test_reservation_of_an_earlier_call_is_not_told_again),
        test(test_unknown_reservation_is_not_found),
        test(test_bad_calls_are_refused_without_being_sent),
        test(test_batch_that_is_all_or_nothing_says_so),
        test(test_policy_stands_in_for_a_reserve),
        test(test_policy_has_no_say_in_bookings_and_all_or_nothing),
        test(test_closing_tells_of_a_booking_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
