/* test_client_accept.c — a call is sent as it was asked, or refused at the next turn of the loop. */
#include "tests/support/test_prelude.h"

#include "tests/support/client_fixture.h"

static void test_invalid_check_is_refused_without_being_sent(void **state) {
    struct client_fixture *fixture = *state;
    struct ask again = {.fixture = fixture}, one = {.fixture = fixture, .then = &again};
    struct sluice_check check = sluice_check_of("", "hello", "alice");
    client_fixture_attach(fixture, LONG_MS);
    one.is_accepting = true;
    assert_true(sluice_check_async(fixture->client, &check, ask_on_done, &one));
    one.is_accepting = false;
    assert_int_equal(one.n_done, 0);
    turn_until(fixture->loop, one.n_done > 0);
    assert_int_equal(one.status, SLUICE_INVALID_ARGUMENT);
    assert_non_null(strstr(one.message, "tenant"));
    ask_assert_done(&one, SLUICE_INVALID_ARGUMENT, one.decisions[0].message);
    turn_until(fixture->loop, again.n_done > 0);
    assert_int_equal(fixture->n_requests, 1);
}

static void test_batch_size_is_limited(void **state) {
    struct client_fixture *fixture = *state;
    struct ask one = {.fixture = fixture};
    struct sluice_check checks[SLUICE_BATCH_MAX + 1];
    char key[257];
    memset(key, 'k', 256);
    key[256] = '\0';
    for (size_t i = 0; i <= SLUICE_BATCH_MAX; i++) {
        checks[i] = sluice_check_of("demo", "hello", key);
    }
    client_fixture_attach(fixture, LONG_MS);
    assert_false(sluice_check_batch_async(fixture->client, checks, 0, ask_on_done, &one));
    assert_false(sluice_check_batch_async(fixture->client, checks, SLUICE_BATCH_MAX + 1, ask_on_done, &one));
    assert_true(sluice_check_batch_async(fixture->client, checks, SLUICE_BATCH_MAX, ask_on_done, &one));
    turn_until(fixture->loop, one.n_done > 0);
    ask_assert_done(&one, SLUICE_INVALID_ARGUMENT, "checks: together more than 65536 bytes");
    assert_int_equal(one.n_decisions, SLUICE_BATCH_MAX);
}

static void test_too_many_calls_are_refused(void **state) {
    struct client_fixture *fixture = *state;
    enum { MAX_CALLS = 65536 };
    struct ask many = {.fixture = fixture}, refused = {.fixture = fixture};
    fixture->is_silent = true;
    client_fixture_attach(fixture, LONG_MS);
    for (size_t i = 0; i < MAX_CALLS; i++) {
        assert_true(sluice_ping_async(fixture->client, ask_on_done, &many));
    }
    ask_about(&refused, "alice");
    turn_until(fixture->loop, refused.n_done > 0);
    ask_assert_done(&refused, SLUICE_RESOURCE_EXHAUSTED, "more than 65536 calls are in flight");
    assert_int_equal(many.n_done, 0);
    sluice_close(&fixture->client);
    assert_int_equal(many.n_done, MAX_CALLS);
    assert_int_equal(many.status, SLUICE_CANCELLED);
}

static void ask_in_vain(void *arg, enum sluice_status status, const char *message,
                        const struct sluice_decision *decisions, size_t n_decisions) {
    struct ask *asked = arg;
    struct sluice_check check = sluice_check_of("demo", "hello", "alice");
    asked->n_done++;
    asked->status = status;
    (void)message;
    (void)decisions;
    (void)n_decisions;
    assert_false(sluice_check_async(asked->fixture->client, &check, ask_on_done, asked));
}

static void test_no_call_is_accepted_while_closing(void **state) {
    struct client_fixture *fixture = *state;
    struct ask one = {.fixture = fixture};
    client_fixture_attach(fixture, LONG_MS);
    assert_true(sluice_ping_async(fixture->client, ask_in_vain, &one));
    sluice_close(&fixture->client);
    assert_int_equal(one.n_done, 1);
    assert_int_equal(one.status, SLUICE_CANCELLED);
}

static void test_key_with_nul_travels_whole(void **state) {
    struct client_fixture *fixture = *state;
    struct ask one = {.fixture = fixture};
    struct sluice_check check = sluice_check_of("demo", "hello", "");
    check.key = "a\0x";
    check.key_len = 3;
    client_fixture_attach(fixture, LONG_MS);
    assert_true(sluice_check_async(fixture->client, &check, ask_on_done, &one));
    turn_until(fixture->loop, one.n_done > 0);
    ask_assert_done(&one, SLUICE_OK, "");
    assert_int_equal(fixture->key_len, 3);
    assert_memory_equal(fixture->key, "a\0x", 3);
}

static void test_peek_and_ping_go_as_themselves(void **state) {
    struct client_fixture *fixture = *state;
    struct sluice_check check = sluice_check_of("demo", "hello", "alice");
    struct ask peek = {.fixture = fixture}, ping = {.fixture = fixture, .n_decisions = 9};
    client_fixture_attach(fixture, LONG_MS);
    assert_true(sluice_peek_async(fixture->client, &check, ask_on_done, &peek));
    assert_true(sluice_ping_async(fixture->client, ask_on_done, &ping));
    turn_until(fixture->loop, peek.n_done > 0 && ping.n_done > 0);
    ask_assert_done(&peek, SLUICE_OK, "");
    ask_assert_done(&ping, SLUICE_OK, "");
    assert_int_equal(ping.n_decisions, 0);
    assert_int_equal(fixture->requests[0].call, WIRE_CALL_PEEK);
    assert_int_equal(fixture->requests[1].call, WIRE_CALL_PING);
}

#define test(name) cmocka_unit_test_setup_teardown(name, client_fixture_set_up, client_fixture_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(test_invalid_check_is_refused_without_being_sent),
        test(test_batch_size_is_limited),
        test(test_too_many_calls_are_refused),
        test(test_no_call_is_accepted_while_closing),
        test(test_key_with_nul_travels_whole),
        test(test_peek_and_ping_go_as_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
