/* test_repeats.c — idempotency keys where a limit is shared by many keys, by two frontends and a real Redis Cluster: a
 * repeat is told the first answer, whatever the shared limit says by then, and takes nothing. */
#include "server/core/lease.h"
#include "tests/system/two_frontends.h"

static const char quotas[] = "tenants:\n"
                             "  t:\n"
                             "    r: { limits: [ { name: per_key, rate: 1/month, burst: 10 },\n"
                             "      { name: treaty, rate: 1/month, burst: 30, scope: tenant } ] }\n";

enum {
    TREATY_BURST = 30,
    TTL_MS = 30000,
    LEASES_END_MS = 2 * LEASE_EPOCH_US / 1000 + 100, /* what is out is told or forgotten by then */
};

static int open_world(void **state) {
    return two_frontends_open(state, quotas);
}

/* ---- asking ---- */

static struct wire_bytes text(const char *string) {
    return (struct wire_bytes){(const uint8_t *)string, strlen(string)};
}

/* So many tokens of a key, with an idempotency key unless that is NULL. */
static struct wire_check some_of(const char *key, uint64_t tokens, const char *idempotency_key) {
    struct wire_check check = raw_check_of("t", "r", key);
    check.cost = tokens;
    check.idempotency_key = text(idempotency_key != NULL ? idempotency_key : "");
    return check;
}

static const struct wire_response *call(struct raw_client *raw, enum wire_call kind, struct wire_check check) {
    raw->request =
        (struct wire_request){.id = 9, .call = kind, .ttl_ms = TTL_MS, .n_checks = 1, .checks[0] = check};
    raw_send(raw, &raw->request);
    const struct wire_response *response = raw_receive(raw);
    assert_int_equal(response->id, 9);
    return response;
}

static void refund(struct raw_client *raw, const char *key, uint64_t tokens) {
    assert_int_equal(call(raw, WIRE_CALL_REFUND, some_of(key, tokens, NULL))->status, WIRE_OK);
}

static void expect_key_reused(struct raw_client *raw, struct wire_check check) {
    const struct wire_response *response = call(raw, WIRE_CALL_CHECK, check);
    assert_int_equal(response->status, WIRE_INVALID_ARGUMENT);
    assert_memory_equal(response->message.data, "idempotency_key: was used", 25);
}

static void await_level(const struct two_frontends *world, const char *key, const char *limit, double level) {
    char bucket[64];
    snprintf(bucket, sizeof bucket, "t/buckets/r/%s", key);
    frontend_await_level(&world->frontends[0], bucket, limit, level);
}

/* ---- the shared limit ---- */

/* By other keys, so many tokens, all of which are there. */
static void use_up(struct two_frontends *world, uint64_t tokens) {
    await_level(world, "other", "treaty", (double)tokens);
    while (tokens > 0) {
        char key[32];
        snprintf(key, sizeof key, "other %lld", (long long)harness_now_us()); /* a new one */
        struct wire_check check = some_of(key, tokens < 10 ? tokens : 10, NULL);
        assert_int_equal(raw_decide(world->raw[0], check)->verdict, WIRE_ALLOW);
        tokens -= check.cost;
    }
    await_level(world, "other", "treaty", 0);
}

/* At a frontend, which then knows that its denials are over. A refund of what somebody holds on lease, and has not spent,
 * would be too much: so nobody holds anything any more. */
static void refill(const struct two_frontends *world, size_t frontend, uint64_t tokens) {
    harness_sleep_ms(LEASES_END_MS);
    double lacking = (double)tokens - frontend_level(&world->frontends[0], "t/buckets/r/nobody", "treaty");
    if (lacking > 0.5) {
        refund(world->raw[frontend], "nobody", (uint64_t)(lacking + 0.5));
    }
    await_level(world, "nobody", "treaty", (double)tokens);
}

static int begin(void **state) {
    two_frontends_connect(state);
    refill(*state, 0, TREATY_BURST);
    return 0;
}

/* ---- the answers ---- */

struct answer {
    enum wire_verdict verdict;
    uint64_t granted, limit, remaining, retry_after_us, reset_after_us;
    char limit_name[WIRE_LIMIT_NAME_MAX_BYTES + 1];
};

static struct answer answer_of(const struct wire_decision *decision) {
    struct answer answer = {.verdict = decision->verdict,
                            .granted = decision->granted,
                            .limit = decision->limit,
                            .remaining = decision->remaining,
                            .retry_after_us = decision->retry_after_us,
                            .reset_after_us = decision->reset_after_us};
    assert_false(decision->degraded);
    assert_in_range(decision->limit_name.len, 0, WIRE_LIMIT_NAME_MAX_BYTES);
    memcpy(answer.limit_name, decision->limit_name.data, decision->limit_name.len);
    return answer;
}

static struct answer ask_first(struct raw_client *raw, struct wire_check check) {
    const struct wire_decision *decision = raw_decide(raw, check);
    assert_false(decision->repeated);
    return answer_of(decision);
}

/* By each frontend, twice. */
static void expect_repeats(const struct two_frontends *world, struct wire_check check,
                           const struct answer *first) {
    for (size_t i = 0; i < 2 * N_FRONTENDS; i++) {
        const struct wire_decision *decision = raw_decide(world->raw[i % N_FRONTENDS], check);
        assert_true(decision->repeated);
        struct answer answer = answer_of(decision);
        assert_int_equal(answer.verdict, first->verdict);
        assert_int_equal(answer.granted, first->granted);
        assert_string_equal(answer.limit_name, first->limit_name);
        assert_int_equal(answer.limit, first->limit);
        assert_int_equal(answer.remaining, first->remaining);
        assert_int_equal(answer.retry_after_us, first->retry_after_us);
        assert_int_equal(answer.reset_after_us, first->reset_after_us);
    }
}

static void test_what_was_allowed_stays_so_when_the_shared_limit_denies(void **state) {
    struct two_frontends *world = *state;
    struct answer first = ask_first(world->raw[0], some_of("ann", 4, "k"));
    assert_int_equal(first.verdict, WIRE_ALLOW);
    assert_string_equal(first.limit_name, "per_key");
    use_up(world, TREATY_BURST - 4);
    assert_int_equal(raw_decide(world->raw[1], some_of("ann", 4, NULL))->verdict, WIRE_DENY);
    expect_repeats(world, some_of("ann", 4, "k"), &first);
    await_level(world, "ann", "per_key", 6);
    await_level(world, "ann", "treaty", 0);
}

static void test_what_the_shared_limit_decided_is_named_again(void **state) {
    struct two_frontends *world = *state;
    use_up(world, TREATY_BURST);
    refill(world, 1, 9);
    struct answer first = ask_first(world->raw[1], some_of("bea", 4, "k"));
    assert_int_equal(first.verdict, WIRE_ALLOW);
    assert_string_equal(first.limit_name, "treaty");
    assert_int_equal(first.remaining, 5);
    expect_repeats(world, some_of("bea", 4, "k"), &first);
    await_level(world, "bea", "treaty", 5);
    await_level(world, "bea", "per_key", 6);
}

static void test_what_the_shared_limit_denied_stays_denied(void **state) {
    struct two_frontends *world = *state;
    use_up(world, TREATY_BURST);
    struct answer first = ask_first(world->raw[1], some_of("cal", 4, "k"));
    assert_int_equal(first.verdict, WIRE_DENY);
    assert_string_equal(first.limit_name, "treaty");
    assert_int_equal(first.limit, TREATY_BURST);
    assert_int_equal(first.granted, 0);
    assert_true(first.retry_after_us > 0);
    expect_repeats(world, some_of("cal", 4, "k"), &first);
    expect_key_reused(world->raw[0], some_of("cal", 3, "k"));
    refill(world, 0, TREATY_BURST);
    expect_repeats(world, some_of("cal", 4, "k"), &first);
    expect_key_reused(world->raw[0], some_of("cal", 3, "k"));
    await_level(world, "cal", "treaty", TREATY_BURST);
    await_level(world, "cal", "per_key", 10);
    assert_int_equal(ask_first(world->raw[0], some_of("cal", 4, "another")).verdict, WIRE_ALLOW);
}

static void test_a_repeated_reserve_has_its_reservation(void **state) {
    struct two_frontends *world = *state;
    uint8_t id[WIRE_RESERVATION_ID_BYTES];
    const struct wire_response *response = call(world->raw[0], WIRE_CALL_RESERVE, some_of("dan", 4, "k"));
    assert_int_equal(response->reservation_id.len, sizeof id);
    memcpy(id, response->reservation_id.data, sizeof id);
    use_up(world, TREATY_BURST - 4);
    for (size_t i = 0; i < N_FRONTENDS; i++) {
        response = call(world->raw[i], WIRE_CALL_RESERVE, some_of("dan", 4, "k"));
        assert_int_equal(response->items[0].decision.verdict, WIRE_ALLOW);
        assert_true(response->items[0].decision.repeated);
        assert_int_equal(response->reservation_id.len, sizeof id);
        assert_memory_equal(response->reservation_id.data, id, sizeof id);
        response = call(world->raw[i], WIRE_CALL_RESERVE, some_of("eva", 4, "k"));
        assert_int_equal(response->items[0].decision.verdict, WIRE_DENY);
        assert_int_equal(response->items[0].decision.repeated, i > 0);
        assert_int_equal(response->reservation_id.len, 0);
    }
}

#define test(name) cmocka_unit_test_setup_teardown(name, begin, two_frontends_disconnect)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(test_what_was_allowed_stays_so_when_the_shared_limit_denies),
        test(test_what_the_shared_limit_decided_is_named_again),
        test(test_what_the_shared_limit_denied_stays_denied),
        test(test_a_repeated_reserve_has_its_reservation),
    };
    return cmocka_run_group_tests(tests, open_world, two_frontends_close);
}
