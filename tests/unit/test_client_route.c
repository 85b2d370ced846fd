/* test_client_route.c — calls go round, wait for a connection, or are told why they cannot. */
#include "tests/support/test_prelude.h"

#include <unistd.h>

#include "tests/support/client_fixture.h"

static unsigned n_done_in(const struct ask *asks, size_t n) {
    unsigned n_done = 0;
    for (size_t i = 0; i < n; i++) {
        n_done += asks[i].n_done;
    }
    return n_done;
}

static void count_request(void *arg, struct fake_peer *peer, const struct wire_request *request) {
    unsigned *n_requests = arg;
    ++*n_requests;
    fake_peer_allow(peer, request, 1);
}

static void test_calls_go_round_robin_and_a_second_frontend_takes_over(void **state) {
    struct client_fixture *fixture = *state;
    struct ask warm_up = {.fixture = fixture}, asks[10], rest[3];
    unsigned n_other = 0;
    struct fake_frontend *other = fake_frontend_start(fixture->loop, 0, count_request, &n_other);
    const char *servers[2] = {fake_frontend_address(fixture->fake), fake_frontend_address(other)};
    client_fixture_attach_to(fixture, servers, 2, LONG_MS);
    ask_about(&warm_up, "alice");
    turn_until(fixture->loop, warm_up.n_done > 0 && fake_frontend_accepted(fixture->fake) == 1 &&
                                  fake_frontend_accepted(other) == 1);
    ev_run(fixture->loop, EVRUN_NOWAIT);
    fixture->n_requests = n_other = 0;
    for (size_t i = 0; i < 10; i++) {
        asks[i] = (struct ask){.fixture = fixture};
        ask_about(&asks[i], "alice");
    }
    turn_until(fixture->loop, n_done_in(asks, 10) == 10);
    assert_int_equal(fixture->n_requests, 5);
    assert_int_equal(n_other, 5);

    fake_frontend_stop(&fixture->fake);
    ev_run(fixture->loop, EVRUN_NOWAIT);
    for (size_t i = 0; i < 3; i++) {
        rest[i] = (struct ask){.fixture = fixture};
        ask_about(&rest[i], "alice");
    }
    turn_until(fixture->loop, n_done_in(rest, 3) == 3);
    for (size_t i = 0; i < 3; i++) {
        ask_assert_done(&rest[i], SLUICE_OK, "");
    }
    assert_int_equal(n_other, 8);
    fake_frontend_stop(&other);
}

static void test_no_frontend_of_several_names_the_first(void **state) {
    struct client_fixture *fixture = *state;
    struct ask one = {.fixture = fixture};
    char first[32], second[32], message[160];
    const char *servers[2] = {first, second};
    int fds[2];
    snprintf(first, sizeof first, "127.0.0.1:%u", fake_refusing_port(&fds[0]));
    snprintf(second, sizeof second, "127.0.0.1:%u", fake_refusing_port(&fds[1]));
    snprintf(message, sizeof message,
             "none of 2 frontends can be reached; cannot connect to %s: Connection refused", first);
    client_fixture_attach_to(fixture, servers, 2, LONG_MS);
    ask_about(&one, "alice");
    turn_until(fixture->loop, one.n_done > 0);
    ask_assert_done(&one, SLUICE_UNAVAILABLE, message);
    close(fds[0]);
    close(fds[1]);
}

static void test_unreachable_frontend_is_reported_at_once(void **state) {
    struct client_fixture *fixture = *state;
    struct ask first = {.fixture = fixture}, second = {.fixture = fixture};
    char address[32], message[128];
    const char *server = address;
    int fd;
    snprintf(address, sizeof address, "127.0.0.1:%u", fake_refusing_port(&fd));
    snprintf(message, sizeof message, "cannot connect to %s: Connection refused", address);
    client_fixture_attach_to(fixture, &server, 1, LONG_MS);
    ask_about(&first, "alice");
    turn_until(fixture->loop, first.n_done > 0);
    ask_assert_done(&first, SLUICE_UNAVAILABLE, message);
    ask_about(&second, "alice"); /* in the pause before the next attempt, or during it */
    turn_until(fixture->loop, second.n_done > 0);
    ask_assert_done(&second, SLUICE_UNAVAILABLE, message);
    close(fd);
}

static void test_too_many_unsent_bytes_are_refused(void **state) {
    struct client_fixture *fixture = *state;
    struct ask many = {.fixture = fixture}, rest = {.fixture = fixture}, refused = {.fixture = fixture};
    struct sluice_check checks[100];
    char key[257];
    memset(key, 'k', 256);
    key[256] = '\0';
    for (size_t i = 0; i < 100; i++) {
        checks[i] = sluice_check_of("demo", "hello", key);
    }
    fixture->is_silent = true;
    client_fixture_attach(fixture, LONG_MS);
    /* A batch is between 27 kB and 28 kB: 140 are below 4 MiB, 160 are above. */
    for (int i = 0; i < 160; i++) {
        assert_true(
            sluice_check_batch_async(fixture->client, checks, 100, ask_on_done, i < 140 ? &many : &rest));
    }
    ask_about(&refused, "alice");
    turn_until(fixture->loop, refused.n_done > 0);
    ask_assert_done(&refused, SLUICE_RESOURCE_EXHAUSTED, "more than 4194304 bytes are waiting to be sent");
    assert_int_equal(rest.status, SLUICE_RESOURCE_EXHAUSTED);
    assert_int_equal(many.n_done, 0);
    sluice_close(&fixture->client);
    assert_int_equal(many.n_done, 140);
    assert_int_equal(rest.n_done, 20);
}

#define test(name) cmocka_unit_test_setup_teardown(name, client_fixture_set_up, client_fixture_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(test_calls_go_round_robin_and_a_second_frontend_takes_over),
        test(test_no_frontend_of_several_names_the_first),
        test(test_unreachable_frontend_is_reported_at_once),
        test(test_too_many_unsent_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
