/* test_client_hedge.c — a late call is asked of a second frontend; whatever the two do, it ends once. */
#include "tests/support/test_prelude.h"

#include "client/client_state.h"
#include "server/base/clock.h"
#include "tests/support/client_fixture.h"

/* Two frontends beside the fixture's own. */
struct pair {
    struct client_fixture *fixture;
    struct actor {
        struct pair *pair;
        struct fake_frontend *fake;
        struct fake_peer *peer;      /* the last that asked */
        struct wire_request request; /* the last one, without what it borrowed */
        unsigned n_requests;
    } actors[2];
    bool are_silent;
    struct actor *first, *second; /* in the order in which they were asked since the pair is silent */
};

static void on_request(void *arg, struct fake_peer *peer, const struct wire_request *request) {
    struct actor *actor = arg;
    struct pair *pair = actor->pair;
    actor->peer = peer;
    actor->n_requests++;
    memcpy(&actor->request, request, sizeof *request);
    if (!pair->are_silent) {
        fake_peer_allow(peer, request, 1);
    } else if (pair->first == NULL) {
        pair->first = actor;
    } else if (pair->second == NULL) {
        pair->second = actor;
    }
}

static struct sluice_stats stats_of(const struct pair *pair) {
    struct sluice_stats stats;
    sluice_stats(pair->fixture->client, &stats);
    return stats;
}

static void peek(struct ask *ask) {
    struct sluice_check check = sluice_check_of("demo", "hello", "alice");
    assert_true(sluice_peek_async(ask->fixture->client, &check, ask_on_done, ask));
}

/* Both are connected, `n_samples` latencies are known, and both fall silent. */
static void open_pair(struct pair *pair, struct client_fixture *fixture, struct sluice_options options,
                      unsigned n_samples) {
    *pair = (struct pair){.fixture = fixture};
    const char *servers[2];
    for (size_t i = 0; i < 2; i++) {
        struct actor *actor = &pair->actors[i];
        actor->pair = pair;
        actor->fake = fake_frontend_start(fixture->loop, 0, on_request, actor);
        servers[i] = fake_frontend_address(actor->fake);
    }
    options.servers = servers;
    options.n_servers = 2;
    client_fixture_attach_with(fixture, &options);
    for (unsigned i = 0; i < n_samples || pair->actors[0].n_requests == 0 || pair->actors[1].n_requests == 0;
         i++) {
        struct ask one = {.fixture = fixture};
        peek(&one);
        turn_until(fixture->loop, one.n_done > 0);
    }
    pair->actors[0].n_requests = pair->actors[1].n_requests = 0;
    pair->are_silent = true;
}

static void close_pair(struct pair *pair) {
    sluice_close(&pair->fixture->client);
    fake_frontend_stop(&pair->actors[0].fake);
    fake_frontend_stop(&pair->actors[1].fake);
}

#define OPTIONS(...) ((struct sluice_options){.timeout_ms = LONG_MS, __VA_ARGS__})
#define PEEKS OPTIONS(.hedge = SLUICE_HEDGE_PEEKS)
#define CHECKS OPTIONS(.hedge = SLUICE_HEDGE_CHECKS)

/* Asks, and returns when both frontends have been asked. */
static void ask_both(struct pair *pair, struct ask *ask, bool is_check) {
    *ask = (struct ask){.fixture = pair->fixture};
    if (is_check) {
        ask_about(ask, "alice");
    } else {
        peek(ask);
    }
    turn_until(pair->fixture->loop, pair->second != NULL);
    assert_ptr_not_equal(pair->first, pair->second);
    assert_int_equal(ask->n_done, 0);
    assert_int_equal(stats_of(pair).hedged, 1);
}

static void allow(const struct actor *actor, uint64_t remaining) {
    fake_peer_allow(actor->peer, &actor->request, remaining);
}

static void refuse(const struct actor *actor, enum wire_status status) {
    struct wire_response *response = calloc(1, sizeof *response);
    assert_non_null(response);
    response->id = actor->request.id;
    response->status = status;
    response->message = (struct wire_bytes){(const uint8_t *)"no", 2};
    fake_peer_answer(actor->peer, response);
    free(response);
}

static void assert_allowed(struct pair *pair, const struct ask *ask, uint64_t remaining) {
    turn_until(pair->fixture->loop, ask->n_done > 0);
    ask_assert_done(ask, SLUICE_OK, "");
    assert_true(ask->decisions[0].allowed);
    assert_int_equal(ask->decisions[0].remaining, remaining);
}

/* ---- who answers ---- */

static void test_the_second_frontend_answers_and_the_late_answer_is_dropped(void **state) {
    struct pair pair;
    struct ask one;
    open_pair(&pair, *state, PEEKS, CLIENT_LATENCY_MIN_SAMPLES);
    uint64_t n_sent = stats_of(&pair).sent;
    assert_true(stats_of(&pair).latency_p95_us > 0);
    ask_both(&pair, &one, false);
    assert_int_equal(pair.second->request.call, WIRE_CALL_PEEK);
    allow(pair.second, 22);
    assert_allowed(&pair, &one, 22);
    assert_int_equal(stats_of(&pair).hedges_won, 1);
    assert_int_equal(stats_of(&pair).sent, n_sent + 1);
    assert_int_equal(stats_of(&pair).late_answers, 0);
    allow(pair.first, 11);
    turn_until(pair.fixture->loop, stats_of(&pair).late_answers == 1);
    assert_int_equal(one.n_done, 1);
    close_pair(&pair);
}

static void test_the_first_frontend_may_still_answer_first(void **state) {
    struct pair pair;
    struct ask one;
    open_pair(&pair, *state, CHECKS, CLIENT_LATENCY_MIN_SAMPLES);
    ask_both(&pair, &one, true);
    assert_int_equal(pair.second->request.call, WIRE_CALL_CHECK);
    allow(pair.first, 11);
    assert_allowed(&pair, &one, 11);
    assert_int_equal(stats_of(&pair).hedges_won, 0);
    allow(pair.second, 22);
    turn_until(pair.fixture->loop, stats_of(&pair).late_answers == 1);
    close_pair(&pair);
}

static void test_while_the_first_is_late_the_second_gets_the_calls(void **state) {
    enum { N_MORE = 6 };
    struct pair pair;
    struct ask one, more[N_MORE];
    open_pair(&pair, *state, PEEKS, CLIENT_LATENCY_MIN_SAMPLES);
    ask_both(&pair, &one, false);
    pair.are_silent = false;
    for (size_t i = 0; i < N_MORE; i++) {
        more[i] = (struct ask){.fixture = pair.fixture};
        peek(&more[i]);
    }
    for (size_t i = 0; i < N_MORE; i++) {
        assert_allowed(&pair, &more[i], 1);
    }
    assert_int_equal(pair.first->n_requests, 1);
    assert_int_equal(pair.second->n_requests, 1 + N_MORE);
    fake_peer_allow(pair.first->peer, &pair.first->request, 11);
    assert_allowed(&pair, &one, 11);
    close_pair(&pair);
}

static void test_an_error_leaves_the_other_one_to_decide(void **state) {
    for (int is_first = 0; is_first < 2; is_first++) {
        struct pair pair;
        struct ask one;
        open_pair(&pair, *state, CHECKS, CLIENT_LATENCY_MIN_SAMPLES);
        ask_both(&pair, &one, true);
        refuse(is_first ? pair.first : pair.second, WIRE_UNAVAILABLE);
        ev_run(pair.fixture->loop, EVRUN_NOWAIT);
        allow(is_first ? pair.second : pair.first, 5);
        assert_allowed(&pair, &one, 5);
        close_pair(&pair);
    }
}

static void test_two_errors_are_the_last_one(void **state) {
    struct pair pair;
    struct ask one;
    open_pair(&pair, *state, CHECKS, CLIENT_LATENCY_MIN_SAMPLES);
    ask_both(&pair, &one, true);
    refuse(pair.first, WIRE_RESOURCE_EXHAUSTED);
    ev_run(pair.fixture->loop, EVRUN_NOWAIT);
    refuse(pair.second, WIRE_UNAVAILABLE);
    turn_until(pair.fixture->loop, one.n_done > 0);
    ask_assert_done(&one, SLUICE_UNAVAILABLE, "no");
    close_pair(&pair);
}

static void test_a_hedge_leaves_nothing_to_the_next_call(void **state) {
    struct pair pair;
    struct ask one, next = {.fixture = *state};
    open_pair(&pair, *state, PEEKS, CLIENT_LATENCY_MIN_SAMPLES);
    ask_both(&pair, &one, false);
    allow(pair.first, 11);
    assert_allowed(&pair, &one, 11);
    pair.first = pair.second = NULL;
    ask_about(&next, "alice"); /* in the same place, and not hedged, as it is a check */
    turn_until(pair.fixture->loop, pair.first != NULL);
    refuse(pair.first, WIRE_UNAVAILABLE);
    turn_until(pair.fixture->loop, next.n_done > 0);
    ask_assert_done(&next, SLUICE_UNAVAILABLE, "no");
    close_pair(&pair);
}

static void test_what_is_answered_is_not_hedged_later(void **state) {
    struct pair pair;
    struct ask last = {.fixture = *state};
    open_pair(&pair, *state, PEEKS, CLIENT_LATENCY_MIN_SAMPLES);
    pair.are_silent = false;
    peek(&last);
    turn_until(pair.fixture->loop, last.n_done > 0);
    struct sluice_stats stats = stats_of(&pair);
    int64_t until_us = clock_mono_us() + 5000 + 2 * (int64_t)stats.latency_p95_us;
    turn_until(pair.fixture->loop, clock_mono_us() > until_us);
    assert_int_equal(stats_of(&pair).hedged, stats.hedged);
    close_pair(&pair);
}

/* ---- connections that end ---- */

static void test_either_may_die(void **state) {
    for (int is_first = 0; is_first < 2; is_first++) {
        struct pair pair;
        struct ask one;
        open_pair(&pair, *state, CHECKS, CLIENT_LATENCY_MIN_SAMPLES);
        ask_both(&pair, &one, true);
        struct actor *dying = is_first ? pair.first : pair.second;
        struct actor *living = is_first ? pair.second : pair.first;
        fake_frontend_stop(&dying->fake);
        for (int i = 0; i < 5; i++) {
            ev_run(pair.fixture->loop, EVRUN_NOWAIT);
        }
        assert_int_equal(one.n_done, 0);
        allow(living, 5);
        assert_allowed(&pair, &one, 5);
        close_pair(&pair);
    }
}

static void test_a_check_that_both_lost_is_told_once(void **state) {
    for (int is_first = 0; is_first < 2; is_first++) {
        struct pair pair;
        struct ask one;
        open_pair(&pair, *state, CHECKS, CLIENT_LATENCY_MIN_SAMPLES);
        ask_both(&pair, &one, true);
        fake_peer_close(is_first ? pair.first->peer : pair.second->peer);
        ev_run(pair.fixture->loop, EVRUN_NOWAIT);
        fake_peer_close(is_first ? pair.second->peer : pair.first->peer);
        turn_until(pair.fixture->loop, one.n_done > 0);
        ask_assert_done(&one, SLUICE_UNAVAILABLE, one.message);
        assert_non_null(strstr(one.message, "lost; the check may have been counted"));
        assert_int_equal(pair.actors[0].n_requests + pair.actors[1].n_requests, 2);
        close_pair(&pair);
    }
}

static void test_a_check_that_one_may_have_counted_is_not_sent_a_third_time(void **state) {
    struct pair pair;
    struct ask one;
    open_pair(&pair, *state, CHECKS, CLIENT_LATENCY_MIN_SAMPLES);
    ask_both(&pair, &one, true);
    refuse(pair.first, WIRE_UNAVAILABLE);
    ev_run(pair.fixture->loop, EVRUN_NOWAIT);
    refuse(pair.second, WIRE_RESOURCE_EXHAUSTED); /* this alone would be tried again */
    turn_until(pair.fixture->loop, one.n_done > 0);
    ask_assert_done(&one, SLUICE_RESOURCE_EXHAUSTED, "no");
    assert_int_equal(pair.actors[0].n_requests + pair.actors[1].n_requests, 2);
    close_pair(&pair);
}

static void test_a_peek_that_both_lost_is_asked_again(void **state) {
    struct pair pair;
    struct ask one;
    open_pair(&pair, *state, PEEKS, CLIENT_LATENCY_MIN_SAMPLES);
    ask_both(&pair, &one, false);
    pair.are_silent = false;
    fake_frontend_drop_peers(pair.actors[0].fake);
    fake_frontend_drop_peers(pair.actors[1].fake);
    assert_allowed(&pair, &one, 1);
    close_pair(&pair);
}

/* ---- ends that nobody answered ---- */

static void test_closing_while_hedged_cancels_once(void **state) {
    struct pair pair;
    struct ask one;
    open_pair(&pair, *state, CHECKS, CLIENT_LATENCY_MIN_SAMPLES);
    ask_both(&pair, &one, true);
    sluice_close(&pair.fixture->client);
    ask_assert_done(&one, SLUICE_CANCELLED, "the client was closed; the call may have been counted");
    close_pair(&pair);
}

static void test_the_timeout_stays(void **state) {
    struct pair pair;
    struct ask one;
    open_pair(&pair, *state, (struct sluice_options){.timeout_ms = 500, .hedge = SLUICE_HEDGE_PEEKS},
              CLIENT_LATENCY_MIN_SAMPLES);
    int64_t start_us = clock_mono_us();
    ask_both(&pair, &one, false);
    turn_until(pair.fixture->loop, one.n_done > 0);
    ask_assert_done(&one, SLUICE_DEADLINE_EXCEEDED, one.message);
    assert_in_range(one.done_at_us - start_us, 500000 - 1, 900000);
    close_pair(&pair);
}

/* ---- what is not hedged ---- */

/* One call, to its timeout, of which only one frontend hears. */
static void assert_not_hedged(struct client_fixture *fixture, struct sluice_options options, unsigned n_samples,
                              bool is_check) {
    struct pair pair;
    struct ask one = {.fixture = fixture};
    options.timeout_ms = SHORT_MS;
    open_pair(&pair, fixture, options, n_samples);
    uint64_t n_before = stats_of(&pair).hedged;
    if (is_check) {
        ask_about(&one, "alice");
    } else {
        peek(&one);
    }
    turn_until(fixture->loop, one.n_done > 0);
    assert_int_equal(one.status, SLUICE_DEADLINE_EXCEEDED);
    assert_int_equal(pair.actors[0].n_requests + pair.actors[1].n_requests, 1);
    assert_int_equal(stats_of(&pair).hedged, n_before);
    close_pair(&pair);
}

static void test_hedging_is_a_wish(void **state) {
    assert_not_hedged(*state, OPTIONS(.hedge = SLUICE_HEDGE_NOTHING), CLIENT_LATENCY_MIN_SAMPLES, false);
}

static void test_checks_are_not_hedged_with_the_peeks(void **state) {
    assert_not_hedged(*state, PEEKS, CLIENT_LATENCY_MIN_SAMPLES, true);
}

static void test_what_may_be_made_twice_may_be_hedged(void **state) {
    struct sluice_client *client = calloc(1, sizeof *client);
    struct client_call call = {.client = client};
    static const enum wire_call harmless[] = {WIRE_CALL_PEEK, WIRE_CALL_PING};
    static const enum wire_call charging[] = {WIRE_CALL_CHECK, WIRE_CALL_CHECK_BATCH};
    static const enum wire_call others[] = {WIRE_CALL_REFUND, WIRE_CALL_RESERVE, WIRE_CALL_SETTLE};
    (void)state;
    assert_non_null(client);
    client->servers.n = 2;
    for (client->hedging.what = SLUICE_HEDGE_PEEKS; client->hedging.what <= SLUICE_HEDGE_CHECKS;
         client->hedging.what++) {
        bool are_checks = client->hedging.what == SLUICE_HEDGE_CHECKS;
        for (size_t i = 0; i < 2; i++) {
            call.is_repeatable = false;
            call.kind = harmless[i];
            assert_true(client_hedge_may(&call));
            call.kind = charging[i];
            assert_int_equal(client_hedge_may(&call), are_checks);
            call.is_repeatable = true;
            assert_true(client_hedge_may(&call));
        }
        for (size_t i = 0; i < 3; i++) {
            call.kind = others[i];
            call.is_repeatable = false;
            assert_false(client_hedge_may(&call));
            call.is_repeatable = true;
            assert_true(client_hedge_may(&call));
        }
    }
    free(client);
}

static void test_few_samples_hedge_nothing(void **state) {
    assert_not_hedged(*state, PEEKS, CLIENT_LATENCY_MIN_SAMPLES / 2, false);
}

static void test_nothing_is_hedged_before_the_time_that_was_set(void **state) {
    assert_not_hedged(*state, OPTIONS(.hedge = SLUICE_HEDGE_PEEKS, .hedge_after_ms = SHORT_MS),
                      CLIENT_LATENCY_MIN_SAMPLES, false);
}

static void test_the_budget_holds_when_all_are_slow(void **state) {
    enum { N_ASKS = 300 };
    static struct ask asks[N_ASKS];
    struct pair pair;
    open_pair(&pair, *state, (struct sluice_options){.timeout_ms = 500, .hedge = SLUICE_HEDGE_PEEKS},
              CLIENT_LATENCY_MIN_SAMPLES);
    for (size_t i = 0; i < N_ASKS; i++) {
        asks[i] = (struct ask){.fixture = pair.fixture};
        peek(&asks[i]);
    }
    for (size_t i = 0; i < N_ASKS; i++) {
        turn_until(pair.fixture->loop, asks[i].n_done > 0);
        assert_int_equal(asks[i].status, SLUICE_DEADLINE_EXCEEDED);
    }
    struct sluice_stats stats = stats_of(&pair);
    assert_int_equal(stats.hedged, CLIENT_HEDGE_SAVED_MAX);
    assert_true(stats.hedged * CLIENT_HEDGE_ONE_IN <= stats.sent);
    assert_int_equal(pair.actors[0].n_requests + pair.actors[1].n_requests, N_ASKS + stats.hedged);
    close_pair(&pair);
}

#define test(name) cmocka_unit_test_setup_teardown(name, client_fixture_set_up, client_fixture_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(test_the_second_frontend_answers_and_the_late_answer_is_dropped),
        test(test_the_first_frontend_may_still_answer_first),
        test(test_while_the_first_is_late_the_second_gets_the_calls),
        test(test_an_error_leaves_the_other_one_to_decide),
        test(test_two_errors_are_the_last_one),
        test(test_a_hedge_leaves_nothing_to_the_next_call),
        test(test_what_is_answered_is_not_hedged_later),
        test(test_either_may_die),
        test(test_a_check_that_both_lost_is_told_once),
        test(test_a_check_that_one_may_have_counted_is_not_sent_a_third_time),
        test(test_a_peek_that_both_lost_is_asked_again),
        test(test_closing_while_hedged_cancels_once),
        test(test_the_timeout_stays),
        test(test_hedging_is_a_wish),
        test(test_checks_are_not_hedged_with_the_peeks),
        cmocka_unit_test(test_what_may_be_made_twice_may_be_hedged),
        test(test_few_samples_hedge_nothing),
        test(test_nothing_is_hedged_before_the_time_that_was_set),
        test(test_the_budget_holds_when_all_are_slow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
