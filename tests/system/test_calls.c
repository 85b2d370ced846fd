/* test_calls.c — refunds, reservations, partial grants, all or nothing and idempotency keys, by two frontends and a
 * real Redis Cluster. */
#include "tests/system/two_frontends.h"

#include <ev.h>
#include <signal.h>

#include "client/sluice.h"
#include "tests/support/fake_frontend.h"

static const char quotas[] = "tenants:\n"
                             "  t:\n"
                             "    ten: { limits: [ { name: per_key, rate: 1/h, burst: 10 } ] }\n"
                             "    free: { unlimited: true }\n";

enum { SHORT_TTL_MS = 200, AFTER_TTL_MS = 700 };

/* ---- asking ---- */

static struct wire_bytes text(const char *string) {
    return (struct wire_bytes){(const uint8_t *)string, strlen(string)};
}

/* So many tokens of a key of t/ten, with an idempotency key unless that is NULL. */
static struct wire_check some_of(const char *key, uint64_t tokens, const char *idempotency_key) {
    struct wire_check check = raw_check_of("t", "ten", key);
    check.cost = tokens;
    check.idempotency_key = text(idempotency_key != NULL ? idempotency_key : "");
    return check;
}

static const struct wire_response *ask(struct raw_client *raw, struct wire_request request) {
    request.id = 99;
    raw->request = request;
    raw_send(raw, &raw->request);
    const struct wire_response *response = raw_receive(raw);
    assert_int_equal(response->id, 99);
    return response;
}

static const struct wire_response *call(struct raw_client *raw, enum wire_call kind, struct wire_check check) {
    return ask(raw, (struct wire_request){.call = kind, .n_checks = 1, .checks[0] = check});
}

static uint64_t left_of(struct raw_client *raw, const char *key) {
    const struct wire_response *response = call(raw, WIRE_CALL_PEEK, some_of(key, 1, NULL));
    assert_int_equal(response->status, WIRE_OK);
    return response->items[0].decision.remaining;
}

static const struct wire_decision *take(struct raw_client *raw, struct wire_check check) {
    const struct wire_response *response = call(raw, WIRE_CALL_CHECK, check);
    assert_int_equal(response->status, WIRE_OK);
    return &response->items[0].decision;
}

static const struct wire_booked *refund(struct raw_client *raw, struct wire_check check) {
    const struct wire_response *response = call(raw, WIRE_CALL_REFUND, check);
    assert_int_equal(response->status, WIRE_OK);
    assert_int_equal(response->call, WIRE_CALL_REFUND);
    return &response->booked;
}

struct held {
    uint8_t id[WIRE_RESERVATION_ID_BYTES];
};

static struct held reserve(struct raw_client *raw, struct wire_check check, uint32_t ttl_ms,
                           enum wire_on_timeout on_timeout) {
    struct held held;
    const struct wire_response *response = ask(raw, (struct wire_request){.call = WIRE_CALL_RESERVE,
                                                                          .ttl_ms = ttl_ms,
                                                                          .on_timeout = on_timeout,
                                                                          .n_checks = 1,
                                                                          .checks[0] = check});
    assert_int_equal(response->status, WIRE_OK);
    assert_int_equal(response->items[0].decision.verdict, WIRE_ALLOW);
    assert_int_equal(response->items[0].decision.granted, check.cost);
    assert_int_equal(response->reservation_id.len, sizeof held.id);
    memcpy(held.id, response->reservation_id.data, sizeof held.id);
    return held;
}

static const struct wire_response *settle(struct raw_client *raw, struct wire_check check,
                                          const struct held *held) {
    return ask(raw, (struct wire_request){.call = WIRE_CALL_SETTLE,
                                          .reservation_id = {held->id, sizeof held->id},
                                          .n_checks = 1,
                                          .checks[0] = check});
}

static void expect_error(const struct wire_response *response, enum wire_status status, const char *message) {
    char told[WIRE_MESSAGE_MAX_BYTES + 1];
    snprintf(told, sizeof told, "%.*s", (int)response->message.len, (const char *)response->message.data);
    assert_string_equal(told, message);
    assert_int_equal(response->status, status);
}

static const char not_found[] = "reservation_id: unknown, settled already, or timed out";
static const char key_reused[] = "idempotency_key: was used with another request";

/* ---- what is granted ---- */

static void test_at_most_takes_what_is_there(void **state) {
    struct two_frontends *world = *state;
    struct wire_check check = some_of("part", 7, NULL);
    check.at_most = true;
    assert_int_equal(take(world->raw[0], check)->granted, 7);
    const struct wire_decision *decision = take(world->raw[1], check);
    assert_int_equal(decision->verdict, WIRE_ALLOW);
    assert_int_equal(decision->granted, 3);
    assert_int_equal(decision->remaining, 0);
    decision = take(world->raw[0], check);
    assert_int_equal(decision->verdict, WIRE_DENY);
    assert_int_equal(decision->granted, 0);
    assert_in_range(decision->retry_after_us, UINT64_C(3000000000),
                    UINT64_C(3600000000)); /* until there is one */
}

static void test_idempotency_key_counts_once_across_frontends(void **state) {
    struct two_frontends *world = *state;
    for (size_t i = 0; i < 4; i++) {
        const struct wire_decision *decision = take(world->raw[i % 2], some_of("once", 4, "request 1"));
        assert_int_equal(decision->verdict, WIRE_ALLOW);
        assert_int_equal(decision->granted, 4);
        assert_int_equal(decision->remaining, 6);
        assert_int_equal(decision->repeated, i > 0);
    }
    assert_int_equal(left_of(world->raw[1], "once"), 6);
    assert_false(take(world->raw[1], some_of("other", 4, "request 1"))->repeated); /* another bucket's */
    assert_false(take(world->raw[1], some_of("once", 4, "request 2"))->repeated);
    assert_int_equal(left_of(world->raw[0], "once"), 2);
}

static void test_denial_is_repeated_as_well(void **state) {
    struct two_frontends *world = *state;
    (void)take(world->raw[0], some_of("denied", 8, NULL));
    assert_int_equal(take(world->raw[0], some_of("denied", 5, "d"))->verdict, WIRE_DENY);
    (void)refund(world->raw[1], some_of("denied", 8, NULL));
    const struct wire_decision *decision = take(world->raw[1], some_of("denied", 5, "d"));
    assert_int_equal(decision->verdict, WIRE_DENY);
    assert_true(decision->repeated);
    assert_int_equal(take(world->raw[1], some_of("denied", 5, "e"))->verdict, WIRE_ALLOW);
}

static void test_idempotency_key_of_another_request_is_refused(void **state) {
    struct two_frontends *world = *state;
    struct wire_check at_most = some_of("reused", 4, "k");
    at_most.at_most = true;
    (void)take(world->raw[0], some_of("reused", 4, "k"));
    expect_error(call(world->raw[1], WIRE_CALL_CHECK, some_of("reused", 3, "k")), WIRE_INVALID_ARGUMENT,
                 key_reused);
    expect_error(call(world->raw[1], WIRE_CALL_CHECK, at_most), WIRE_INVALID_ARGUMENT, key_reused);
    expect_error(call(world->raw[0], WIRE_CALL_REFUND, some_of("reused", 4, "k")), WIRE_INVALID_ARGUMENT,
                 key_reused);
    struct held unknown = {"0123456789abcde"};
    expect_error(settle(world->raw[1], some_of("reused", 4, "k"), &unknown), WIRE_INVALID_ARGUMENT, key_reused);
    assert_int_equal(left_of(world->raw[0], "reused"), 6);
}

static void ask_all(struct raw_client *raw, const char *a, const char *b, uint64_t tokens_of_b) {
    (void)ask(raw, (struct wire_request){.call = WIRE_CALL_CHECK_BATCH,
                                         .all_or_nothing = true,
                                         .n_checks = 2,
                                         .checks = {some_of(a, 4, NULL), some_of(b, tokens_of_b, NULL)}});
    assert_int_equal(raw->response.status, WIRE_OK);
    assert_int_equal(raw->response.n_items, 2);
}

static void test_all_or_nothing_across_shards(void **state) {
    struct two_frontends *world = *state;
    struct raw_client *raw = world->raw[0];
    ask_all(raw, "{a}", "b", 11);
    assert_false(raw->response.granted);
    assert_int_equal(raw->response.items[0].decision.verdict, WIRE_DENY);
    assert_true(raw->response.items[0].decision.returned);
    assert_int_equal(raw->response.items[0].decision.granted, 0);
    assert_int_equal(raw->response.items[1].decision.verdict, WIRE_DENY);
    assert_false(raw->response.items[1].decision.returned);
    assert_int_equal(left_of(world->raw[1], "{a}"), 10);
    assert_int_equal(left_of(world->raw[1], "b"), 10);
    ask_all(raw, "{a}", "b", 10);
    assert_true(raw->response.granted);
    assert_int_equal(left_of(world->raw[1], "{a}"), 6);
    assert_int_equal(left_of(world->raw[1], "b"), 0);
    ask_all(raw, "b", "{a}", 1); /* the first one denies */
    assert_false(raw->response.granted);
    assert_int_equal(left_of(world->raw[1], "{a}"), 6);
    assert_int_equal(frontend_metric(&world->frontends[0], "sluice_returned_checks_total"), 2);
}

/* ---- what is given back ---- */

static void test_refund_fills_to_the_burst_and_no_further(void **state) {
    struct two_frontends *world = *state;
    (void)take(world->raw[0], some_of("back", 6, NULL));
    const struct wire_booked *booked = refund(world->raw[1], some_of("back", 4, NULL));
    assert_true(booked->matched);
    assert_int_equal(booked->returned, 4);
    assert_int_equal(booked->remaining, 8);
    assert_int_equal(booked->limit, 10);
    assert_memory_equal(booked->limit_name.data, "per_key", 7);
    booked = refund(world->raw[0], some_of("back", 1000, NULL)); /* more than was taken */
    assert_in_range(booked->returned, 1, 2);                     /* in whole tokens; the rest has grown since */
    assert_int_equal(booked->remaining, 10);
    assert_int_equal(refund(world->raw[0], some_of("back", 1000, NULL))->returned, 0);
    assert_int_equal(left_of(world->raw[1], "back"), 10);
}

static void test_refund_with_a_key_is_booked_once(void **state) {
    struct two_frontends *world = *state;
    (void)take(world->raw[0], some_of("twice", 10, NULL));
    for (size_t i = 0; i < 4; i++) {
        const struct wire_booked *booked = refund(world->raw[i % 2], some_of("twice", 3, "r"));
        assert_int_equal(booked->returned, 3);
        assert_int_equal(booked->repeated, i > 0);
    }
    assert_int_equal(left_of(world->raw[0], "twice"), 3);
}

static void test_refund_where_no_bucket_is(void **state) {
    struct two_frontends *world = *state;
    struct wire_check check = raw_check_of("t", "nothing", "k");
    assert_false(refund(world->raw[0], check)->matched);
    check = raw_check_of("t", "free", "k");
    assert_true(refund(world->raw[0], check)->matched);
    assert_int_equal(world->raw[0]->response.booked.returned, 0);
}

static void test_refund_ends_a_denial_at_once(void **state) {
    struct two_frontends *world = *state;
    (void)take(world->raw[0], some_of("soon", 10, NULL));
    assert_int_equal(take(world->raw[0], some_of("soon", 1, NULL))->verdict, WIRE_DENY);
    (void)refund(world->raw[0], some_of("soon", 2, NULL));
    assert_int_equal(take(world->raw[0], some_of("soon", 1, NULL))->verdict, WIRE_ALLOW);
}

/* ---- reservations ---- */

static void test_reservation_is_settled_at_another_frontend(void **state) {
    struct two_frontends *world = *state;
    struct held held = reserve(world->raw[0], some_of("held", 8, NULL), 30000, WIRE_ON_TIMEOUT_RETURN);
    assert_int_equal(left_of(world->raw[1], "held"), 2);
    const struct wire_response *response = settle(world->raw[1], some_of("held", 3, NULL), &held);
    assert_int_equal(response->status, WIRE_OK);
    assert_int_equal(response->booked.returned, 5);
    assert_int_equal(response->booked.taken, 0);
    assert_int_equal(response->booked.remaining, 7);
    for (size_t i = 0; i < 2; i++) {
        expect_error(settle(world->raw[i], some_of("held", 3, NULL), &held), WIRE_NOT_FOUND, not_found);
    }
    assert_int_equal(left_of(world->raw[0], "held"), 7);
}

static void test_more_than_the_estimate_is_taken(void **state) {
    struct two_frontends *world = *state;
    struct held held = reserve(world->raw[1], some_of("more", 8, NULL), 30000, WIRE_ON_TIMEOUT_STAND);
    const struct wire_response *response = settle(world->raw[0], some_of("more", 12, NULL), &held);
    assert_int_equal(response->status, WIRE_OK);
    assert_int_equal(response->booked.returned, 0);
    assert_int_equal(response->booked.taken, 4);
    assert_int_equal(response->booked.remaining, 0);
    (void)refund(world->raw[0], some_of("more", 3, NULL));
    assert_int_equal(left_of(world->raw[0], "more"), 1); /* it was two below zero */
}

static void test_settlement_with_a_key_is_booked_once(void **state) {
    struct two_frontends *world = *state;
    struct held held = reserve(world->raw[0], some_of("settled", 8, "q"), 30000, WIRE_ON_TIMEOUT_RETURN);
    struct held again = reserve(world->raw[1], some_of("settled", 8, "q"), 30000, WIRE_ON_TIMEOUT_RETURN);
    assert_memory_equal(held.id, again.id, sizeof held.id);
    assert_int_equal(left_of(world->raw[1], "settled"), 2);
    for (size_t i = 0; i < 4; i++) {
        const struct wire_response *response = settle(world->raw[i % 2], some_of("settled", 0, "s"), &held);
        assert_int_equal(response->status, WIRE_OK);
        assert_int_equal(response->booked.returned, 8);
        assert_int_equal(response->booked.repeated, i > 0);
    }
    assert_int_equal(left_of(world->raw[1], "settled"), 10);
}

static void test_time_over_returns_or_stands(void **state) {
    struct two_frontends *world = *state;
    struct held back =
        reserve(world->raw[0], some_of("returns", 8, NULL), SHORT_TTL_MS, WIRE_ON_TIMEOUT_RETURN);
    struct held stays = reserve(world->raw[1], some_of("stands", 8, NULL), SHORT_TTL_MS, WIRE_ON_TIMEOUT_STAND);
    harness_sleep_ms(AFTER_TTL_MS);
    assert_int_equal(left_of(world->raw[1], "returns"), 10);
    assert_int_equal(left_of(world->raw[0], "stands"), 2);
    expect_error(settle(world->raw[0], some_of("returns", 8, NULL), &back), WIRE_NOT_FOUND, not_found);
    expect_error(settle(world->raw[0], some_of("stands", 8, NULL), &stays), WIRE_NOT_FOUND, not_found);
    assert_int_equal(left_of(world->raw[1], "returns"), 10);
}

static void test_reservation_without_a_bucket_is_good_to_settle(void **state) {
    struct two_frontends *world = *state;
    static const struct held nothing;
    struct held held =
        reserve(world->raw[0], raw_check_of("t", "free", "k"), SHORT_TTL_MS, WIRE_ON_TIMEOUT_RETURN);
    assert_memory_equal(held.id, nothing.id, sizeof held.id);
    const struct wire_response *response = settle(world->raw[1], raw_check_of("t", "free", "k"), &held);
    assert_int_equal(response->status, WIRE_OK);
    assert_true(response->booked.degraded);
}

static void test_unknown_reservations_are_not_found(void **state) {
    struct two_frontends *world = *state;
    struct held unknown = {"0123456789abcde"};
    struct held held = reserve(world->raw[0], some_of("mine", 2, NULL), 30000, WIRE_ON_TIMEOUT_RETURN);
    expect_error(settle(world->raw[1], some_of("mine", 1, NULL), &unknown), WIRE_NOT_FOUND, not_found);
    expect_error(settle(world->raw[1], some_of("yours", 1, NULL), &held), WIRE_NOT_FOUND, not_found);
    assert_int_equal(left_of(world->raw[1], "mine"), 8);
}

/* ---- bad input ---- */

static void test_each_call_names_what_is_wrong_and_goes_on(void **state) {
    struct two_frontends *world = *state;
    struct raw_client *raw = world->raw[0];
    struct wire_check good = some_of("bad", 1, NULL), check = good;
    char long_key[66];
    memset(long_key, 'k', 65);
    long_key[65] = '\0';
    check.cost = 0;
    expect_error(call(raw, WIRE_CALL_REFUND, check), WIRE_INVALID_ARGUMENT, "tokens: 0, at least 1");
    check.cost = WIRE_COST_MAX + 1;
    expect_error(call(raw, WIRE_CALL_REFUND, check), WIRE_INVALID_ARGUMENT,
                 "tokens: 1000000001, at most 1000000000");
    expect_error(call(raw, WIRE_CALL_SETTLE, good), WIRE_INVALID_ARGUMENT,
                 "reservation_id: 0 bytes, it has 16");
    expect_error(call(raw, WIRE_CALL_RESERVE, good), WIRE_INVALID_ARGUMENT, "ttl_ms: 0, at least 1");
    expect_error(call(raw, WIRE_CALL_CHECK, some_of("bad", 1, long_key)), WIRE_INVALID_ARGUMENT,
                 "idempotency_key: 65 bytes, at most 64");
    expect_error(call(raw, WIRE_CALL_PEEK, some_of("bad", 1, "k")), WIRE_INVALID_ARGUMENT,
                 "idempotency_key: a peek takes nothing and has none");
    expect_error(ask(raw, (struct wire_request){.call = WIRE_CALL_CHECK_BATCH}), WIRE_INVALID_ARGUMENT,
                 "check_batch: empty");
    expect_error(ask(raw, (struct wire_request){.call = WIRE_CALL_CHECK_BATCH,
                                                .all_or_nothing = true,
                                                .n_checks = 2,
                                                .checks = {good, some_of("bad", 1, "k")}}),
                 WIRE_INVALID_ARGUMENT, "checks[1].idempotency_key: not in a batch that is all_or_nothing");
    raw_ping(raw, 5);
    assert_int_equal(left_of(raw, "bad"), 10);
}

static void test_batch_of_1001_is_refused_with_its_id(void **state) {
    struct two_frontends *world = *state;
    uint8_t frame[10 + 2 * 1001] = "\0\0\0\x07\xd7\x08\x05\x2a\xd2\x0f"; /* id 5, a batch of 2002 bytes */
    for (size_t at = 10; at < sizeof frame; at += 2) {
        frame[at] = 0x0a; /* an empty check */
    }
    raw_send_bytes(world->raw[0], frame, sizeof frame);
    const struct wire_response *response = raw_receive(world->raw[0]);
    assert_int_equal(response->id, 5);
    expect_error(response, WIRE_INVALID_ARGUMENT, "check_batch: more than 256 checks");
    raw_ping(world->raw[0], 6);
}

/* ---- the library sends again what counts once ---- */

/* Between the client and a frontend: passes each call on, and hangs up instead of answering. */
struct thief {
    struct raw_client *raw;
    struct fake_frontend *fake;
    unsigned n_stolen;
};

static void on_request(void *arg, struct fake_peer *peer, const struct wire_request *request) {
    struct thief *thief = arg;
    raw_send(thief->raw, request);
    assert_int_equal(raw_receive(thief->raw)->status, WIRE_OK);
    thief->n_stolen++;
    fake_peer_close(peer);
}

struct tally {
    struct ev_loop *loop;
    unsigned n_done, n_repeated;
};

static void on_done(void *arg, enum sluice_status status, const char *message,
                    const struct sluice_decision *decisions, size_t n_decisions) {
    struct tally *tally = arg;
    assert_string_equal(message, "");
    assert_int_equal(status, SLUICE_OK);
    assert_int_equal(n_decisions, 1);
    assert_true(decisions[0].allowed);
    tally->n_repeated += decisions[0].repeated;
    tally->n_done++;
    ev_break(tally->loop, EVBREAK_ONE);
}

static void on_booked(void *arg, const struct sluice_booking *booking) {
    struct tally *tally = arg;
    assert_string_equal(booking->message, "");
    assert_int_equal(booking->status, SLUICE_OK);
    tally->n_repeated += booking->repeated;
    tally->n_done++;
    ev_break(tally->loop, EVBREAK_ONE);
}

/* One after another, until some answers were stolen: each check is charged once, each refund booked once. */
static void test_library_repeats_what_was_lost_and_it_counts_once(void **state) {
    enum { N_CALLS = 8 };
    struct two_frontends *world = *state;
    struct tally tally = {.loop = ev_loop_new(EVFLAG_AUTO)};
    struct thief thief = {.raw = world->raw[0]};
    char key[16], message[SLUICE_MESSAGE_BYTES] = "";
    thief.fake = fake_frontend_start(tally.loop, 0, on_request, &thief);
    const char *servers[] = {fake_frontend_address(thief.fake), world->frontends[1].address};
    struct sluice_options options = {
        .servers = servers, .n_servers = 2, .timeout_ms = 20000, .max_retries = 10};
    struct sluice_client *client = sluice_attach(tally.loop, &options, message, sizeof message);
    assert_string_equal(message, "");
    struct sluice_check check = sluice_check_of("t", "ten", "stolen");
    check.idempotency_key = key;
    for (unsigned i = 0; i < 2 * N_CALLS; i++) {
        check.idempotency_key_len = (size_t)snprintf(key, sizeof key, "call %u", i);
        assert_true(i < N_CALLS ? sluice_check_async(client, &check, on_done, &tally)
                                : sluice_refund_async(client, &check, on_booked, &tally));
        while (tally.n_done == i) {
            ev_run(tally.loop, EVRUN_ONCE);
        }
        if (i == N_CALLS - 1) {
            assert_int_equal(left_of(world->raw[1], "stolen"), 10 - N_CALLS);
            assert_in_range(thief.n_stolen, 1, N_CALLS);
        }
    }
    assert_int_equal(tally.n_repeated, thief.n_stolen);
    assert_int_equal(left_of(world->raw[1], "stolen"), 10);
    sluice_close(&client);
    fake_frontend_stop(&thief.fake);
    ev_loop_destroy(tally.loop);
}

/* ---- without Redis; the last test, as it ends the cluster ---- */

static void test_without_redis_nothing_is_booked_and_nothing_is_held(void **state) {
    struct two_frontends *world = *state;
    struct raw_client *raw = world->raw[0];
    static const struct held nothing;
    struct held held = reserve(raw, some_of("lost", 2, NULL), 30000, WIRE_ON_TIMEOUT_STAND);
    cluster_signal_all(&world->cluster, SIGKILL);
    const struct wire_response *response;
    for (int tries = 0; tries < 200; tries++) { /* the first ones may be on their way when Redis dies */
        response = settle(raw, some_of("lost", 1, NULL), &held);
        assert_int_equal(response->status, WIRE_UNAVAILABLE);
        if (memmem(response->message.data, response->message.len, "nothing was booked", 18) != NULL) {
            break;
        }
    }
    assert_non_null(memmem(response->message.data, response->message.len, "; nothing was booked", 20));
    assert_int_equal(call(raw, WIRE_CALL_REFUND, some_of("lost", 1, "k"))->status, WIRE_UNAVAILABLE);
    struct held local = reserve(raw, some_of("local", 2, NULL), 30000, WIRE_ON_TIMEOUT_STAND);
    assert_true(raw->response.items[0].decision.degraded);
    assert_memory_equal(local.id, nothing.id, sizeof nothing.id);
    response = settle(raw, some_of("local", 1, NULL), &local);
    assert_int_equal(response->status, WIRE_OK);
    assert_true(response->booked.degraded);
}

static int open_world(void **state) {
    return two_frontends_open(state, quotas);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TWO_FRONTENDS_TEST(test_at_most_takes_what_is_there),
        TWO_FRONTENDS_TEST(test_idempotency_key_counts_once_across_frontends),
        TWO_FRONTENDS_TEST(test_denial_is_repeated_as_well),
        TWO_FRONTENDS_TEST(test_idempotency_key_of_another_request_is_refused),
        TWO_FRONTENDS_TEST(test_all_or_nothing_across_shards),
        TWO_FRONTENDS_TEST(test_refund_fills_to_the_burst_and_no_further),
        TWO_FRONTENDS_TEST(test_refund_with_a_key_is_booked_once),
        TWO_FRONTENDS_TEST(test_refund_where_no_bucket_is),
        TWO_FRONTENDS_TEST(test_refund_ends_a_denial_at_once),
        TWO_FRONTENDS_TEST(test_reservation_is_settled_at_another_frontend),
        TWO_FRONTENDS_TEST(test_more_than_the_estimate_is_taken),
        TWO_FRONTENDS_TEST(test_settlement_with_a_key_is_booked_once),
        TWO_FRONTENDS_TEST(test_time_over_returns_or_stands),
        TWO_FRONTENDS_TEST(test_reservation_without_a_bucket_is_good_to_settle),
        TWO_FRONTENDS_TEST(test_unknown_reservations_are_not_found),
        TWO_FRONTENDS_TEST(test_each_call_names_what_is_wrong_and_goes_on),
        TWO_FRONTENDS_TEST(test_batch_of_1001_is_refused_with_its_id),
        TWO_FRONTENDS_TEST(test_library_repeats_what_was_lost_and_it_counts_once),
        TWO_FRONTENDS_TEST(test_without_redis_nothing_is_booked_and_nothing_is_held),
    };
    return cmocka_run_group_tests(tests, open_world, two_frontends_close);
}
