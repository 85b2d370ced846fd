/* test_client_faults.c — calls end exactly once whatever the frontends and the network do. */
#include "tests/support/test_prelude.h"

#include <unistd.h>

#include "tests/support/client_fixture.h"

/* ---- what goes wrong on the way ---- */

static void test_lost_connection_ends_its_calls(void **state) {
    struct client_fixture *fixture = *state;
    struct ask again = {.fixture = fixture}, one = {.fixture = fixture, .then = &again};
    char message[128];
    snprintf(message, sizeof message, "connection to %s lost; the check may have been counted",
             fake_frontend_address(fixture->fake));
    fixture->is_silent = true;
    client_fixture_attach(fixture, LONG_MS);
    ask_about(&one, "alice");
    turn_until(fixture->loop, fixture->n_requests == 1);
    fixture->is_silent = false;
    fake_peer_close(fixture->peer);
    turn_until(fixture->loop, one.n_done > 0);
    ask_assert_done(&one, SLUICE_UNAVAILABLE, message);
    turn_until(fixture->loop, again.n_done > 0); /* it waited for the next connection */
    ask_assert_done(&again, SLUICE_OK, "");
    assert_int_equal(fake_frontend_accepted(fixture->fake), 2);
    assert_int_equal(fixture->n_requests, 2); /* the lost one was not sent again */
}

static void test_answers_before_the_end_still_count(void **state) {
    struct client_fixture *fixture = *state;
    struct ask answered = {.fixture = fixture}, lost = {.fixture = fixture};
    fixture->is_silent = true;
    client_fixture_attach(fixture, LONG_MS);
    ask_about(&answered, "alice");
    ask_about(&lost, "bob");
    turn_until(fixture->loop, fixture->n_requests == 2);
    fake_peer_allow(fixture->peer, &fixture->requests[0], 1);
    ev_run(fixture->loop, EVRUN_NOWAIT);
    fake_peer_close(fixture->peer);
    turn_until(fixture->loop, answered.n_done + lost.n_done == 2);
    ask_assert_done(&answered, SLUICE_OK, "");
    assert_int_equal(lost.status, SLUICE_UNAVAILABLE);
}

static void assert_internal_after(struct client_fixture *fixture, const void *bytes, size_t n,
                                  const char *why) {
    struct ask one = {.fixture = fixture}, two = {.fixture = fixture};
    char message[SLUICE_MESSAGE_BYTES];
    snprintf(message, sizeof message, "connection to %s closed: it sent %s; the check may have been counted",
             fake_frontend_address(fixture->fake), why);
    fixture->is_silent = true;
    client_fixture_attach(fixture, LONG_MS);
    ask_about(&one, "alice");
    ask_about(&two, "bob");
    turn_until(fixture->loop, fixture->n_requests == 2);
    fake_peer_send(fixture->peer, bytes, n);
    turn_until(fixture->loop, one.n_done + two.n_done == 2);
    ask_assert_done(&one, SLUICE_INTERNAL, message);
    ask_assert_done(&two, SLUICE_INTERNAL, message);
}

static void test_garbage_ends_the_connection(void **state) {
    assert_internal_after(*state, "HTTP/1.1 400 Bad Request\r\n", 26, "a frame whose flag byte is not 0");
}

static void test_too_large_frame_ends_the_connection(void **state) {
    assert_internal_after(*state, "\0\xff\xff\xff\xff", 5, "a frame longer than 65536 bytes");
}

static void test_undecodable_answer_ends_the_connection(void **state) {
    assert_internal_after(*state, "\0\0\0\0\3\xff\xff\xff", 8, "an answer that cannot be decoded");
}

static void test_answer_of_another_kind_ends_the_connection(void **state) {
    struct client_fixture *fixture = *state;
    struct ask one = {.fixture = fixture};
    fixture->is_silent = true;
    client_fixture_attach(fixture, LONG_MS);
    ask_about(&one, "alice");
    turn_until(fixture->loop, fixture->n_requests == 1);
    fixture->requests[0].call = WIRE_CALL_PING;
    fake_peer_allow(fixture->peer, &fixture->requests[0], 1);
    turn_until(fixture->loop, one.n_done > 0);
    assert_int_equal(one.status, SLUICE_INTERNAL);
    assert_non_null(strstr(one.message, "an answer that does not fit its request"));
}

static void test_answer_without_verdict_fails_its_call_only(void **state) {
    struct client_fixture *fixture = *state;
    struct ask vague = {.fixture = fixture}, next = {.fixture = fixture};
    fixture->is_silent = true;
    client_fixture_attach(fixture, LONG_MS);
    ask_about(&vague, "alice");
    turn_until(fixture->loop, fixture->n_requests == 1);
    struct wire_response response = {.id = fixture->requests[0].id, .call = WIRE_CALL_CHECK, .n_items = 1};
    fake_peer_answer(fixture->peer, &response);
    turn_until(fixture->loop, vague.n_done > 0);
    ask_assert_done(&vague, SLUICE_INTERNAL, "the frontend answered without a verdict");
    fixture->is_silent = false;
    ask_about(&next, "bob");
    turn_until(fixture->loop, next.n_done > 0);
    ask_assert_done(&next, SLUICE_OK, "");
    assert_int_equal(fake_frontend_accepted(fixture->fake), 1);
}

/* ---- several frontends ---- */

/* Answers what it is asked, and what it was not: one call of somebody else. */
struct meddler {
    struct client_fixture *fixture;
    unsigned n_requests;
};

static void meddle(void *arg, struct fake_peer *peer, const struct wire_request *request) {
    struct meddler *meddler = arg;
    if (++meddler->n_requests == 1) {
        fake_peer_allow(peer, &meddler->fixture->requests[0], 1);
    }
    fake_peer_allow(peer, request, 1);
}

static void test_only_the_frontend_that_was_asked_may_answer(void **state) {
    struct client_fixture *fixture = *state;
    struct ask first = {.fixture = fixture}, second = {.fixture = fixture};
    struct meddler meddler = {.fixture = fixture};
    int fd;
    uint16_t port = fake_refusing_port(&fd);
    char late[32];
    snprintf(late, sizeof late, "127.0.0.1:%u", port);
    const char *servers[2] = {fake_frontend_address(fixture->fake), late};
    fixture->is_silent = true;
    client_fixture_attach_to(fixture, servers, 2, LONG_MS);
    ask_about(&first, "alice");
    turn_until(fixture->loop, fixture->n_requests == 1);
    close(fd);
    struct fake_frontend *other = fake_frontend_start(fixture->loop, port, meddle, &meddler);
    turn_until(fixture->loop, fake_frontend_accepted(other) == 1);
    ev_run(fixture->loop, EVRUN_NOWAIT);
    while (meddler.n_requests == 0) { /* round robin: at the latest the second one */
        second = (struct ask){.fixture = fixture};
        fixture->is_silent = false;
        ask_about(&second, "bob");
        turn_until(fixture->loop, second.n_done > 0);
    }
    ask_assert_done(&second, SLUICE_OK, "");
    assert_int_equal(first.n_done, 0);
    fake_peer_allow(fixture->peer, &fixture->requests[0], 2);
    turn_until(fixture->loop, first.n_done > 0);
    ask_assert_done(&first, SLUICE_OK, "");
    assert_int_equal(first.decisions[0].remaining, 2);
    fake_frontend_stop(&other);
}

#define test(name) cmocka_unit_test_setup_teardown(name, client_fixture_set_up, client_fixture_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(test_lost_connection_ends_its_calls),
        test(test_answers_before_the_end_still_count),
        test(test_garbage_ends_the_connection),
        test(test_too_large_frame_ends_the_connection),
        test(test_undecodable_answer_ends_the_connection),
        test(test_answer_of_another_kind_ends_the_connection),
        test(test_answer_without_verdict_fails_its_call_only),
        test(test_only_the_frontend_that_was_asked_may_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
