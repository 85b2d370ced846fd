/* test_client_failover.c — what one frontend cannot have charged another decides; all else is sent once. */
#include "tests/support/test_prelude.h"

#include "server/base/clock.h"
#include "tests/support/client_fixture.h"

enum { MAX_SEEN = 16 };

static const char busy[] = "the frontend is short of memory";

/* Two frontends beside the fixture's own, and what they do. */
struct pair {
    struct client_fixture *fixture;
    struct actor {
        struct pair *pair;
        struct fake_frontend *fake;
        struct fake_peer *peer; /* the last that asked */
        unsigned n_requests;
        bool is_silent, is_busy; /* refuses whatever it is asked */
        uint64_t refused[MAX_SEEN];
        unsigned n_refused;
    } actors[2];
    enum wire_status refusal;           /* what the first n_to_refuse requests are answered */
    unsigned n_to_refuse;               /* by both together */
    unsigned n_to_drop;                 /* so many requests end their connection */
    bool stops_other;                   /* the one that refuses stops the other */
    const struct actor *seen[MAX_SEEN]; /* who got the first requests */
    unsigned n_seen;
};

static struct actor *other_than(struct actor *actor) {
    return &actor->pair->actors[actor == &actor->pair->actors[0]];
}

static void refuse(struct fake_peer *peer, uint64_t id, enum wire_status status) {
    struct wire_response *response = calloc(1, sizeof *response);
    assert_non_null(response);
    response->id = id;
    response->status = status;
    response->message = (struct wire_bytes){(const uint8_t *)busy, strlen(busy)};
    fake_peer_answer(peer, response);
    free(response);
}

static void on_request(void *arg, struct fake_peer *peer, const struct wire_request *request) {
    struct actor *actor = arg;
    struct pair *pair = actor->pair;
    actor->peer = peer;
    actor->n_requests++;
    if (pair->n_seen < MAX_SEEN) {
        pair->seen[pair->n_seen] = actor;
    }
    pair->n_seen++;
    if (actor->is_silent) {
        return;
    }
    if (actor->is_busy) {
        for (unsigned i = 0; i < actor->n_refused; i++) {
            assert_int_not_equal(request->id, actor->refused[i]);
        }
        assert_true(actor->n_refused < MAX_SEEN);
        actor->refused[actor->n_refused++] = request->id;
        refuse(peer, request->id, WIRE_RESOURCE_EXHAUSTED);
        return;
    }
    if (pair->n_to_drop > 0) {
        pair->n_to_drop--;
        fake_peer_close(peer);
    } else if (pair->n_to_refuse > 0) {
        pair->n_to_refuse--;
        refuse(peer, request->id, pair->refusal);
        if (pair->stops_other) {
            fake_frontend_stop(&other_than(actor)->fake);
        }
    } else {
        fake_peer_allow(peer, request, request->n_checks);
    }
}

/* Both are connected when this returns. */
static void open_pair(struct pair *pair, struct client_fixture *fixture, struct sluice_options options) {
    *pair = (struct pair){.fixture = fixture, .refusal = WIRE_RESOURCE_EXHAUSTED};
    const char *servers[2];
    struct ask warm_up = {.fixture = fixture};
    for (size_t i = 0; i < 2; i++) {
        struct actor *actor = &pair->actors[i];
        actor->pair = pair;
        actor->fake = fake_frontend_start(fixture->loop, 0, on_request, actor);
        servers[i] = fake_frontend_address(actor->fake);
    }
    options.servers = servers;
    options.n_servers = 2;
    client_fixture_attach_with(fixture, &options);
    ask_about(&warm_up, "warm up");
    turn_until(fixture->loop, warm_up.n_done > 0 && fake_frontend_accepted(pair->actors[0].fake) == 1 &&
                                  fake_frontend_accepted(pair->actors[1].fake) == 1);
    ev_run(fixture->loop, EVRUN_NOWAIT);
    ask_assert_done(&warm_up, SLUICE_OK, "");
    pair->n_seen = 0;
}

static void close_pair(struct pair *pair) {
    sluice_close(&pair->fixture->client);
    fake_frontend_stop(&pair->actors[0].fake);
    fake_frontend_stop(&pair->actors[1].fake);
}

#define OPTIONS(...) ((struct sluice_options){.timeout_ms = LONG_MS, __VA_ARGS__})

/* ---- answered that nothing was taken ---- */

static void test_refused_check_is_decided_by_the_other(void **state) {
    struct pair pair;
    struct ask one = {.fixture = *state};
    open_pair(&pair, *state, OPTIONS(.max_retries = 0));
    pair.n_to_refuse = 1;
    ask_about(&one, "alice");
    turn_until(pair.fixture->loop, one.n_done > 0);
    ask_assert_done(&one, SLUICE_OK, "");
    assert_true(one.decisions[0].allowed);
    assert_int_equal(pair.n_seen, 2);
    assert_ptr_not_equal(pair.seen[0], pair.seen[1]);
    close_pair(&pair);
}

static void test_who_refused_is_not_asked_again_even_if_it_has_the_turn(void **state) {
    struct pair pair;
    open_pair(&pair, *state, OPTIONS(.max_retries = 1));
    pair.actors[0].is_busy = true;
    for (unsigned n = 1; n <= 5; n++) { /* odd and even numbers, so that every turn is met */
        struct ask asks[5];
        for (unsigned i = 0; i < n; i++) {
            asks[i] = (struct ask){.fixture = pair.fixture};
            ask_about(&asks[i], "alice");
        }
        for (unsigned i = 0; i < n; i++) {
            turn_until(pair.fixture->loop, asks[i].n_done > 0);
            ask_assert_done(&asks[i], SLUICE_OK, "");
        }
    }
    assert_true(pair.actors[0].n_refused > 0);
    close_pair(&pair);
}

static void test_refused_batch_is_decided_by_the_other(void **state) {
    struct pair pair;
    struct ask batch = {.fixture = *state};
    struct sluice_check checks[2] = {sluice_check_of("demo", "hello", "a"),
                                     sluice_check_of("demo", "hello", "b")};
    open_pair(&pair, *state, OPTIONS(.max_retries = 1));
    pair.n_to_refuse = 1;
    assert_true(sluice_check_batch_async(pair.fixture->client, checks, 2, ask_on_done, &batch));
    turn_until(pair.fixture->loop, batch.n_done > 0);
    ask_assert_done(&batch, SLUICE_OK, "");
    assert_int_equal(batch.n_decisions, 2);
    assert_int_equal(pair.n_seen, 2);
    close_pair(&pair);
}

static void assert_refused_after(struct client_fixture *fixture, int32_t max_retries, enum wire_status refusal,
                                 unsigned n_tries) {
    struct pair pair;
    struct ask one = {.fixture = fixture};
    open_pair(&pair, fixture, OPTIONS(.max_retries = max_retries));
    pair.refusal = refusal;
    pair.n_to_refuse = 100;
    ask_about(&one, "alice");
    turn_until(pair.fixture->loop, one.n_done > 0);
    ask_assert_done(&one, (enum sluice_status)refusal, busy);
    assert_int_equal(pair.n_seen, n_tries);
    close_pair(&pair);
}

static void test_refusals_are_told_when_the_tries_are_used_up(void **state) {
    assert_refused_after(*state, 0, WIRE_RESOURCE_EXHAUSTED, 3);
    assert_refused_after(*state, 1, WIRE_RESOURCE_EXHAUSTED, 2);
    assert_refused_after(*state, SLUICE_NO_RETRIES, WIRE_RESOURCE_EXHAUSTED, 1);
}

static void test_ambiguous_answers_are_told_at_once(void **state) {
    assert_refused_after(*state, 0, WIRE_UNAVAILABLE, 1);
    assert_refused_after(*state, 0, WIRE_DEADLINE_EXCEEDED, 1);
    assert_refused_after(*state, 0, WIRE_INTERNAL, 1);
}

static void test_pauses_stay_inside_the_timeout(void **state) {
    struct pair pair;
    struct ask one = {.fixture = *state};
    open_pair(&pair, *state, (struct sluice_options){.timeout_ms = 2000, .max_retries = 10});
    pair.n_to_refuse = 100;
    int64_t start_us = clock_mono_us();
    ask_about(&one, "alice");
    turn_until(pair.fixture->loop, one.n_done > 0);
    ask_assert_done(&one, SLUICE_RESOURCE_EXHAUSTED, busy);
    assert_in_range(one.done_at_us - start_us, 0, 2000000);
    assert_int_equal(pair.n_seen, 11);
    close_pair(&pair);
}

static void test_refusal_is_told_when_there_is_no_other(void **state) {
    struct pair pair;
    struct ask one = {.fixture = *state};
    open_pair(&pair, *state, OPTIONS(.max_retries = 0));
    pair.n_to_refuse = 1;
    pair.stops_other = true;
    ask_about(&one, "alice");
    turn_until(pair.fixture->loop, one.n_done > 0);
    ask_assert_done(&one, SLUICE_RESOURCE_EXHAUSTED, busy);
    assert_int_equal(pair.n_seen, 1);
    close_pair(&pair);
}

static void test_paused_call_is_cancelled_by_closing(void **state) {
    for (int i = 0; i < 10; i++) { /* in some of them the pause is over already */
        struct pair pair;
        struct ask one = {.fixture = *state};
        open_pair(&pair, *state, OPTIONS(.max_retries = 10));
        pair.n_to_refuse = 100;
        ask_about(&one, "alice");
        turn_until(pair.fixture->loop, pair.n_seen > 0);
        ev_run(pair.fixture->loop, EVRUN_NOWAIT);
        ev_run(pair.fixture->loop, EVRUN_NOWAIT);
        sluice_close(&pair.fixture->client);
        assert_int_equal(one.status, SLUICE_CANCELLED);
        ask_assert_done(&one, SLUICE_CANCELLED, one.message);
        close_pair(&pair);
    }
}

/* ---- lost connections ---- */

static void test_written_check_is_not_sent_again(void **state) {
    struct pair pair;
    struct ask one = {.fixture = *state}, next = {.fixture = *state};
    open_pair(&pair, *state, OPTIONS(.max_retries = 10));
    pair.n_to_drop = 1;
    ask_about(&one, "alice");
    turn_until(pair.fixture->loop, one.n_done > 0);
    assert_int_equal(one.status, SLUICE_UNAVAILABLE);
    assert_non_null(strstr(one.message, "lost; the check may have been counted"));
    assert_int_equal(pair.n_seen, 1);
    ask_about(&next, "bob");
    turn_until(pair.fixture->loop, next.n_done > 0);
    ask_assert_done(&next, SLUICE_OK, "");
    assert_ptr_not_equal(pair.seen[0], pair.seen[1]);
    close_pair(&pair);
}

static struct sluice_check with_key(const char *idempotency_key) {
    struct sluice_check check = sluice_check_of("demo", "hello", "alice");
    check.idempotency_key = idempotency_key;
    check.idempotency_key_len = strlen(idempotency_key);
    return check;
}

static void on_booked(void *arg, const struct sluice_booking *booking) {
    ask_on_done(arg, booking->status, booking->message, NULL, 0);
}

static void test_written_check_with_an_idempotency_key_is_asked_elsewhere(void **state) {
    struct pair pair;
    struct ask one = {.fixture = *state}, batch = {.fixture = *state}, half = {.fixture = *state};
    struct sluice_check checks[2] = {with_key("once"), with_key("twice")};
    open_pair(&pair, *state, OPTIONS(.max_retries = 1));
    pair.n_to_drop = 1;
    assert_true(sluice_check_async(pair.fixture->client, checks, ask_on_done, &one));
    turn_until(pair.fixture->loop, one.n_done > 0);
    ask_assert_done(&one, SLUICE_OK, "");
    assert_int_equal(pair.n_seen, 2);
    assert_ptr_not_equal(pair.seen[0], pair.seen[1]);
    pair.n_to_drop = 1;
    assert_true(sluice_check_batch_async(pair.fixture->client, checks, 2, ask_on_done, &batch));
    turn_until(pair.fixture->loop, batch.n_done > 0);
    ask_assert_done(&batch, SLUICE_OK, "");
    pair.n_to_drop = 1;
    checks[1].idempotency_key_len = 0; /* this one might be counted twice */
    assert_true(sluice_check_batch_async(pair.fixture->client, checks, 2, ask_on_done, &half));
    turn_until(pair.fixture->loop, half.n_done > 0);
    assert_int_equal(half.status, SLUICE_UNAVAILABLE);
    close_pair(&pair);
}

static void test_lost_refund_is_sent_again_only_with_an_idempotency_key(void **state) {
    struct pair pair;
    struct ask one = {.fixture = *state}, other = {.fixture = *state};
    struct sluice_check refund = with_key("once");
    open_pair(&pair, *state, OPTIONS(.max_retries = 10));
    pair.n_to_drop = 1;
    assert_true(sluice_refund_async(pair.fixture->client, &refund, on_booked, &one));
    turn_until(pair.fixture->loop, one.n_done > 0);
    ask_assert_done(&one, SLUICE_OK, "");
    assert_int_equal(pair.n_seen, 2);
    pair.n_to_drop = 1;
    refund.idempotency_key_len = 0;
    assert_true(sluice_refund_async(pair.fixture->client, &refund, on_booked, &other));
    turn_until(pair.fixture->loop, other.n_done > 0);
    assert_int_equal(other.status, SLUICE_UNAVAILABLE);
    assert_non_null(strstr(other.message, "lost; it may have been booked"));
    assert_int_equal(pair.n_seen, 3);
    close_pair(&pair);
}

static void test_settlement_nobody_can_tell_of_is_asked_elsewhere_with_its_key(void **state) {
    struct pair pair;
    struct ask one = {.fixture = *state}, other = {.fixture = *state};
    struct sluice_check check = with_key("once");
    struct sluice_settlement settlement = {.reservation_id = FAKE_RESERVATION, .tokens = 3};
    open_pair(&pair, *state, OPTIONS(.max_retries = 10));
    pair.refusal = WIRE_UNAVAILABLE;
    pair.n_to_refuse = 1;
    assert_true(sluice_settle_async(pair.fixture->client, &check, &settlement, on_booked, &one));
    turn_until(pair.fixture->loop, one.n_done > 0);
    ask_assert_done(&one, SLUICE_OK, "");
    assert_int_equal(pair.n_seen, 2);
    assert_ptr_not_equal(pair.seen[0], pair.seen[1]);
    pair.n_to_refuse = 1;
    check.idempotency_key_len = 0;
    assert_true(sluice_settle_async(pair.fixture->client, &check, &settlement, on_booked, &other));
    turn_until(pair.fixture->loop, other.n_done > 0);
    ask_assert_done(&other, SLUICE_UNAVAILABLE, busy);
    assert_int_equal(pair.n_seen, 3);
    close_pair(&pair);
}

static void test_lost_peek_and_ping_are_asked_elsewhere(void **state) {
    struct pair pair;
    struct ask peek = {.fixture = *state}, ping = {.fixture = *state};
    struct sluice_check check = sluice_check_of("demo", "hello", "alice");
    open_pair(&pair, *state, OPTIONS(.max_retries = 0));
    pair.n_to_drop = 1;
    assert_true(sluice_peek_async(pair.fixture->client, &check, ask_on_done, &peek));
    turn_until(pair.fixture->loop, peek.n_done > 0);
    ask_assert_done(&peek, SLUICE_OK, "");
    assert_int_equal(pair.n_seen, 2);
    assert_ptr_not_equal(pair.seen[0], pair.seen[1]);
    pair.n_to_drop = 1;
    assert_true(sluice_ping_async(pair.fixture->client, ask_on_done, &ping));
    turn_until(pair.fixture->loop, ping.n_done > 0);
    ask_assert_done(&ping, SLUICE_OK, "");
    assert_int_equal(pair.n_seen, 4);
    close_pair(&pair);
}

static void test_peek_that_is_lost_again_and_again_is_given_up(void **state) {
    struct pair pair;
    struct ask peek = {.fixture = *state};
    struct sluice_check check = sluice_check_of("demo", "hello", "alice");
    open_pair(&pair, *state, OPTIONS(.max_retries = 0));
    pair.n_to_drop = 100;
    assert_true(sluice_peek_async(pair.fixture->client, &check, ask_on_done, &peek));
    turn_until(pair.fixture->loop, peek.n_done > 0);
    assert_int_equal(peek.status, SLUICE_UNAVAILABLE);
    assert_int_equal(pair.n_seen, 3);
    close_pair(&pair);
}

/* Asks both frontends, one of which is gone before a byte was written. */
static void ask_with_one_gone(struct pair *pair, struct ask asks[2]) {
    struct ask first[2] = {{.fixture = pair->fixture}, {.fixture = pair->fixture}};
    ask_about(&first[0], "to know");
    ask_about(&first[1], "the peers");
    turn_until(pair->fixture->loop, first[0].n_done + first[1].n_done == 2);
    pair->n_seen = 0;
    ask_about(&asks[0], "alice");
    ask_about(&asks[1], "bob");
    fake_peer_reset(pair->actors[0].peer);
    turn_until(pair->fixture->loop, asks[0].n_done + asks[1].n_done == 2);
}

static void test_unwritten_check_moves_to_the_other(void **state) {
    struct pair pair;
    struct ask asks[2] = {{.fixture = *state}, {.fixture = *state}};
    open_pair(&pair, *state, OPTIONS(.max_retries = 0));
    ask_with_one_gone(&pair, asks);
    ask_assert_done(&asks[0], SLUICE_OK, "");
    ask_assert_done(&asks[1], SLUICE_OK, "");
    assert_int_equal(pair.n_seen, 2);
    assert_ptr_equal(pair.seen[0], &pair.actors[1]);
    assert_ptr_equal(pair.seen[1], &pair.actors[1]);
    close_pair(&pair);
}

static void test_unwritten_check_is_told_apart_without_retries(void **state) {
    struct pair pair;
    struct ask asks[2] = {{.fixture = *state}, {.fixture = *state}};
    char message[128];
    open_pair(&pair, *state, OPTIONS(.max_retries = SLUICE_NO_RETRIES));
    ask_with_one_gone(&pair, asks);
    const struct ask *lost = &asks[asks[0].status == SLUICE_OK];
    snprintf(message, sizeof message, "connection to %s lost; nothing was sent",
             fake_frontend_address(pair.actors[0].fake));
    ask_assert_done(lost, SLUICE_UNAVAILABLE, message);
    assert_int_equal(pair.n_seen, 1);
    close_pair(&pair);
}

static void test_unwritten_check_waits_for_the_only_frontend(void **state) {
    struct client_fixture *fixture = *state;
    struct ask first = {.fixture = fixture}, one = {.fixture = fixture};
    client_fixture_attach(fixture, LONG_MS);
    ask_about(&first, "alice");
    turn_until(fixture->loop, first.n_done > 0);
    ask_about(&one, "bob");
    fake_peer_reset(fixture->peer);
    turn_until(fixture->loop, one.n_done > 0);
    ask_assert_done(&one, SLUICE_OK, "");
    assert_int_equal(fixture->n_requests, 2);
    assert_int_equal(fake_frontend_accepted(fixture->fake), 2);
}

static void test_unwritten_check_is_told_when_nobody_is_left(void **state) {
    struct client_fixture *fixture = *state;
    struct ask first = {.fixture = fixture}, one = {.fixture = fixture};
    client_fixture_attach(fixture, LONG_MS);
    ask_about(&first, "alice");
    turn_until(fixture->loop, first.n_done > 0);
    ask_about(&one, "bob");
    fake_peer_reset(fixture->peer);
    fake_frontend_stop(&fixture->fake);
    turn_until(fixture->loop, one.n_done > 0);
    assert_int_equal(one.status, SLUICE_UNAVAILABLE);
    assert_non_null(strstr(one.message, "cannot connect to "));
}

/* ---- frontends that are connected and say nothing ---- */

static void test_silent_frontend_gets_a_call_at_a_time_until_it_speaks(void **state) {
    struct pair pair;
    struct ask first[2] = {{.fixture = *state}, {.fixture = *state}}, asks[10], probe = {.fixture = *state};
    unsigned n_ok = 0;
    open_pair(&pair, *state, (struct sluice_options){.timeout_ms = 250});
    struct ev_loop *loop = pair.fixture->loop;
    pair.actors[0].is_silent = true;
    ask_about(&first[0], "alice");
    ask_about(&first[1], "bob");
    turn_until(loop, first[0].n_done + first[1].n_done == 2);
    assert_int_equal((first[0].status == SLUICE_OK) + (first[1].status == SLUICE_OK), 1);
    pair.actors[0].n_requests = 0;
    for (size_t i = 0; i < 10; i++) {
        asks[i] = (struct ask){.fixture = pair.fixture};
        ask_about(&asks[i], "carol");
    }
    for (size_t i = 0; i < 10; i++) {
        turn_until(loop, asks[i].n_done > 0);
        n_ok += asks[i].status == SLUICE_OK;
    }
    assert_int_equal(n_ok, 9);
    assert_int_equal(pair.actors[0].n_requests, 1);
    pair.actors[0].is_silent = false;
    while (pair.actors[0].n_requests == 1) { /* round robin: at the latest the second one */
        probe = (struct ask){.fixture = pair.fixture};
        ask_about(&probe, "dave");
        turn_until(loop, probe.n_done > 0);
    }
    pair.n_seen = pair.actors[0].n_requests = 0;
    for (size_t i = 0; i < 10; i++) {
        asks[i] = (struct ask){.fixture = pair.fixture};
        ask_about(&asks[i], "erin");
    }
    turn_until(loop, pair.n_seen == 10);
    assert_int_equal(pair.actors[0].n_requests, 5);
    close_pair(&pair);
}

#define test(name) cmocka_unit_test_setup_teardown(name, client_fixture_set_up, client_fixture_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(test_refused_check_is_decided_by_the_other),
        test(test_who_refused_is_not_asked_again_even_if_it_has_the_turn),
        test(test_refused_batch_is_decided_by_the_other),
        test(test_refusals_are_told_when_the_tries_are_used_up),
        test(test_ambiguous_answers_are_told_at_once),
        test(test_pauses_stay_inside_the_timeout),
        test(test_refusal_is_told_when_there_is_no_other),
        test(test_paused_call_is_cancelled_by_closing),
        test(test_written_check_is_not_sent_again),
        test(test_written_check_with_an_idempotency_key_is_asked_elsewhere),
        test(test_lost_refund_is_sent_again_only_with_an_idempotency_key),
        test(test_settlement_nobody_can_tell_of_is_asked_elsewhere_with_its_key),
        test(test_lost_peek_and_ping_are_asked_elsewhere),
        test(test_peek_that_is_lost_again_and_again_is_given_up),
        test(test_unwritten_check_moves_to_the_other),
        test(test_unwritten_check_is_told_apart_without_retries),
        test(test_unwritten_check_waits_for_the_only_frontend),
        test(test_unwritten_check_is_told_when_nobody_is_left),
        test(test_silent_frontend_gets_a_call_at_a_time_until_it_speaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
