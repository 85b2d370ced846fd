/* test_client_end.c — calls end once: answered, out of time, or closed. */
#include "tests/support/test_prelude.h"

#include "server/base/clock.h"
#include "tests/support/client_fixture.h"

static void test_silence_ends_with_the_timeout(void **state) {
    struct client_fixture *fixture = *state;
    struct ask late = {.fixture = fixture};
    char message[128];
    snprintf(message, sizeof message, "no answer from %s within 50 ms; the check may have been counted",
             fake_frontend_address(fixture->fake));
    fixture->is_silent = true;
    client_fixture_attach(fixture, SHORT_MS);
    int64_t start_us = clock_mono_us();
    ask_about(&late, "alice");
    turn_until(fixture->loop, late.n_done > 0);
    ask_assert_done(&late, SLUICE_DEADLINE_EXCEEDED, message);
    assert_true(late.done_at_us - start_us >= SHORT_MS * 1000 - 1);
}

static void test_answer_that_has_arrived_wins_over_the_timeout(void **state) {
    struct client_fixture *fixture = *state;
    struct ask one = {.fixture = fixture};
    fixture->is_silent = true;
    client_fixture_attach(fixture, SHORT_MS);
    ask_about(&one, "alice");
    turn_until(fixture->loop, fixture->n_requests == 1);
    fake_peer_allow(fixture->peer, &fixture->requests[0], 1);
    ev_run(fixture->loop, EVRUN_NOWAIT); /* the answer is on its way */
    int64_t start_us = clock_mono_us();
    while (clock_mono_us() - start_us < (SHORT_MS + 10) * 1000) {
        /* the program is busy with something else */
    }
    turn_until(fixture->loop, one.n_done > 0);
    ask_assert_done(&one, SLUICE_OK, "");
}

static void test_late_answer_does_not_end_a_later_call(void **state) {
    struct client_fixture *fixture = *state;
    struct ask late = {.fixture = fixture}, next = {.fixture = fixture};
    fixture->is_silent = true;
    client_fixture_attach(fixture, SHORT_MS);
    ask_about(&late, "alice");
    turn_until(fixture->loop, late.n_done > 0);
    ask_about(&next, "bob"); /* takes the same place in the table */
    turn_until(fixture->loop, fixture->n_requests == 2);
    fake_peer_allow(fixture->peer, &fixture->requests[0], 1);
    turn_until(fixture->loop, next.n_done > 0);
    assert_int_equal(next.status, SLUICE_DEADLINE_EXCEEDED);
    assert_int_equal(late.n_done, 1);
    assert_int_equal(next.n_done, 1);
}

static void test_callback_may_ask_again(void **state) {
    struct client_fixture *fixture = *state;
    struct ask third = {.fixture = fixture}, second = {.fixture = fixture, .then = &third},
               first = {.fixture = fixture, .then = &second};
    client_fixture_attach(fixture, LONG_MS);
    ask_about(&first, "alice");
    turn_until(fixture->loop, third.n_done > 0);
    ask_assert_done(&first, SLUICE_OK, "");
    ask_assert_done(&second, SLUICE_OK, "");
    ask_assert_done(&third, SLUICE_OK, "");
}

static void test_close_cancels_every_call_once(void **state) {
    struct client_fixture *fixture = *state;
    struct ask sent = {.fixture = fixture}, waiting = {.fixture = fixture}, refused = {.fixture = fixture};
    struct sluice_check bad = sluice_check_of("demo", "", "alice");
    fixture->is_silent = true;
    client_fixture_attach(fixture, LONG_MS);
    ask_about(&sent, "alice");
    turn_until(fixture->loop, fixture->n_requests == 1);
    assert_true(sluice_check_async(fixture->client, &bad, ask_on_done, &refused));
    sluice_close(&fixture->client);
    ask_assert_done(&sent, SLUICE_CANCELLED, "the client was closed; the call may have been counted");
    ask_assert_done(&refused, SLUICE_CANCELLED, "the client was closed; nothing was sent");
    client_fixture_attach(fixture, LONG_MS);
    ask_about(&waiting, "alice");
    sluice_close(&fixture->client);
    ask_assert_done(&waiting, SLUICE_CANCELLED, "the client was closed; nothing was sent");
}

#define test(name) cmocka_unit_test_setup_teardown(name, client_fixture_set_up, client_fixture_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(test_silence_ends_with_the_timeout),
        test(test_answer_that_has_arrived_wins_over_the_timeout),
        test(test_late_answer_does_not_end_a_later_call),
        test(test_callback_may_ask_again),
        test(test_close_cancels_every_call_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
