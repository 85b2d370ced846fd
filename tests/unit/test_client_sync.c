/* test_client_sync.c — blocking calls come back with the answer, or with the reason why there is none. */
#include "tests/support/test_prelude.h"

#include <ev.h>
#include <pthread.h>
#include <unistd.h>

#include "client/sluice.h"
#include "server/base/clock.h"
#include "tests/support/fake_frontend.h"

/* A frontend in a thread of its own, as the test's thread blocks. */
struct world {
    struct ev_loop *loop;
    struct fake_frontend *fake;
    pthread_t thread;
    ev_async stop, drop;
    struct sluice_client *client;
};

/* Allows with 7 left; never answers the resource "silence"; closes on the resource "hang up". */
static void on_request(void *arg, struct fake_peer *peer, const struct wire_request *request) {
    const struct wire_bytes *resource = &request->checks[0].resource;
    (void)arg;
    if (request->n_checks == 1 && resource->len == 7 && memcmp(resource->data, "hang up", 7) == 0) {
        fake_peer_close(peer);
    } else if (request->n_checks != 1 || resource->len != 7) {
        fake_peer_allow(peer, request, 7);
    }
}

static void on_stop(struct ev_loop *loop, ev_async *watcher, int revents) {
    (void)watcher;
    (void)revents;
    ev_break(loop, EVBREAK_ALL);
}

static void on_drop(struct ev_loop *loop, ev_async *watcher, int revents) {
    (void)loop;
    (void)revents;
    fake_frontend_drop_peers(watcher->data);
}

static void *run(void *arg) {
    struct world *world = arg;
    ev_run(world->loop, 0);
    return NULL;
}

static struct sluice_client *open_client(const char *server, uint32_t timeout_ms) {
    struct sluice_options options = {.servers = &server, .n_servers = 1, .timeout_ms = timeout_ms};
    char message[SLUICE_MESSAGE_BYTES];
    struct sluice_client *client = sluice_open(&options, message, sizeof message);
    assert_non_null(client);
    return client;
}

static int set_up(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->loop = ev_loop_new(EVFLAG_AUTO);
    assert_non_null(world->loop);
    world->fake = fake_frontend_start(world->loop, 0, on_request, NULL);
    ev_async_init(&world->stop, on_stop);
    ev_async_init(&world->drop, on_drop);
    world->drop.data = world->fake;
    ev_async_start(world->loop, &world->stop);
    ev_async_start(world->loop, &world->drop);
    assert_int_equal(pthread_create(&world->thread, NULL, run, world), 0);
    world->client = open_client(fake_frontend_address(world->fake), 5000);
    *state = world;
    return 0;
}

static int tear_down(void **state) {
    struct world *world = *state;
    sluice_close(&world->client);
    ev_async_send(world->loop, &world->stop);
    assert_int_equal(pthread_join(world->thread, NULL), 0);
    fake_frontend_stop(&world->fake);
    ev_loop_destroy(world->loop);
    free(world);
    return 0;
}

static void assert_allowed(struct sluice_client *client) {
    struct sluice_check check = sluice_check_of("demo", "hello", "alice");
    struct sluice_decision decision;
    assert_int_equal(sluice_check(client, &check, &decision), SLUICE_OK);
    assert_int_equal(decision.status, SLUICE_OK);
    assert_true(decision.allowed);
    assert_int_equal(decision.remaining, 7);
}

static void test_check_and_peek_return_the_decision(void **state) {
    struct world *world = *state;
    struct sluice_check check = sluice_check_of("demo", "hello", "alice");
    struct sluice_decision decision;
    for (int i = 0; i < 100; i++) {
        assert_allowed(world->client);
    }
    assert_int_equal(sluice_peek(world->client, &check, &decision), SLUICE_OK);
    assert_true(decision.allowed);
}

static void test_batch_fills_every_decision(void **state) {
    struct world *world = *state;
    struct sluice_check checks[SLUICE_BATCH_MAX];
    static struct sluice_decision decisions[SLUICE_BATCH_MAX + 1];
    for (size_t i = 0; i < SLUICE_BATCH_MAX; i++) {
        checks[i] = sluice_check_of("demo", "hello", "alice");
    }
    assert_int_equal(sluice_check_batch(world->client, checks, SLUICE_BATCH_MAX, decisions), SLUICE_OK);
    for (size_t i = 0; i < SLUICE_BATCH_MAX; i++) {
        assert_int_equal(decisions[i].remaining, 7);
    }
    assert_int_equal(sluice_check_batch(world->client, checks, 0, decisions), SLUICE_INVALID_ARGUMENT);
    assert_int_equal(sluice_check_batch(world->client, checks, SLUICE_BATCH_MAX + 1, decisions),
                     SLUICE_INVALID_ARGUMENT);
    assert_string_equal(decisions[SLUICE_BATCH_MAX].message, "checks: 257 given, a batch has 1 to 256");
}

static void test_ping_has_no_message_when_all_is_well(void **state) {
    struct world *world = *state;
    char message[SLUICE_MESSAGE_BYTES] = "untouched";
    assert_int_equal(sluice_ping(world->client, message, sizeof message), SLUICE_OK);
    assert_string_equal(message, "");
    assert_int_equal(sluice_ping(world->client, NULL, 0), SLUICE_OK);
}

static void test_invalid_check_names_the_field(void **state) {
    struct world *world = *state;
    struct sluice_check check = sluice_check_of("demo", "", "alice");
    struct sluice_decision decision;
    assert_int_equal(sluice_check(world->client, &check, &decision), SLUICE_INVALID_ARGUMENT);
    assert_int_equal(decision.status, SLUICE_INVALID_ARGUMENT);
    assert_non_null(strstr(decision.message, "resource"));
}

static void test_silence_ends_with_the_timeout(void **state) {
    struct world *world = *state;
    struct sluice_check check = sluice_check_of("demo", "silence", "alice");
    struct sluice_client *client = open_client(fake_frontend_address(world->fake), 50);
    struct sluice_decision decision;
    int64_t start_us = clock_mono_us();
    assert_int_equal(sluice_check(client, &check, &decision), SLUICE_DEADLINE_EXCEEDED);
    assert_true(clock_mono_us() - start_us >= 50000 - 1);
    assert_false(decision.allowed);
    sluice_close(&client);
}

static void test_lost_connection_fails_one_call_and_not_the_next(void **state) {
    struct world *world = *state;
    struct sluice_check check = sluice_check_of("demo", "hang up", "alice");
    struct sluice_decision decision;
    assert_allowed(world->client);
    assert_int_equal(sluice_check(world->client, &check, &decision), SLUICE_UNAVAILABLE);
    assert_non_null(strstr(decision.message, " lost; the check may have been counted"));
    assert_allowed(world->client);
}

static void test_connection_that_ended_between_calls_fails_none(void **state) {
    struct world *world = *state;
    struct sluice_client *witness = open_client(fake_frontend_address(world->fake), 5000);
    assert_allowed(world->client);
    ev_async_send(world->loop, &world->drop);
    assert_allowed(witness); /* after its answer the drop is over */
    assert_allowed(world->client);
    sluice_close(&witness);
}

static void test_unreachable_frontend_is_reported_long_before_the_timeout(void **state) {
    struct sluice_check check = sluice_check_of("demo", "hello", "alice");
    struct sluice_decision decision;
    char address[32], message[128];
    int fd;
    (void)state;
    snprintf(address, sizeof address, "127.0.0.1:%u", fake_refusing_port(&fd));
    snprintf(message, sizeof message, "cannot connect to %s: Connection refused", address);
    struct sluice_client *client = open_client(address, 60000);
    assert_int_equal(sluice_check(client, &check, &decision), SLUICE_UNAVAILABLE);
    assert_string_equal(decision.message, message);
    char said[SLUICE_MESSAGE_BYTES];
    assert_int_equal(sluice_ping(client, said, sizeof said), SLUICE_UNAVAILABLE);
    assert_string_equal(said, message);
    sluice_close(&client);
    close(fd);
}

static void test_bad_address_gives_no_client(void **state) {
    static const char *const servers[] = {"nowhere:port"};
    struct sluice_options options = {.servers = servers, .n_servers = 1};
    char message[SLUICE_MESSAGE_BYTES];
    (void)state;
    assert_null(sluice_open(&options, message, sizeof message));
    assert_string_equal(message, "address \"nowhere:port\": the port is not a number from 1 to 65535");
}

static void test_options_may_be_absent(void **state) {
    (void)state;
    struct sluice_client *client = sluice_open(NULL, NULL, 0);
    assert_non_null(client);
    sluice_close(&client);
    assert_null(client);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void test_bookings_come_back(void **state) {
    struct world *world = *state;
    struct sluice_check check = sluice_check_of("demo", "hello", "alice");
    struct sluice_reservation reservation = {.ttl_ms = 1000};
    struct sluice_decision decisions[2];
    struct sluice_booking booking;
    struct sluice_settlement settlement = {.tokens = 0};
    assert_int_equal(sluice_reserve(world->client, &check, &reservation, decisions), SLUICE_OK);
    assert_true(decisions[0].allowed);
    memcpy(settlement.reservation_id, decisions[0].reservation_id, sizeof settlement.reservation_id);
    assert_int_equal(sluice_settle(world->client, &check, &settlement, &booking), SLUICE_OK);
    assert_int_equal(booking.returned, 3);
    assert_int_equal(sluice_refund(world->client, &check, &booking), SLUICE_OK);
    assert_int_equal(booking.remaining, 7);
    assert_int_equal(sluice_check_all(world->client, (struct sluice_check[]){check, check}, 2, decisions),
                     SLUICE_OK);
    assert_true(decisions[0].allowed && decisions[1].allowed);
    assert_int_equal(sluice_check_all(world->client, &check, 0, decisions), SLUICE_INVALID_ARGUMENT);
    check.key_len = 257;
    check.key = decisions;
    assert_int_equal(sluice_refund(world->client, &check, &booking), SLUICE_INVALID_ARGUMENT);
    assert_string_equal(booking.message, "key: 257 bytes, at most 256");
}

static void test_attached_client_books_nothing_blocking(void **state) {
    struct sluice_check check = sluice_check_of("demo", "hello", "alice");
    struct sluice_settlement settlement = {.tokens = 1};
    struct sluice_booking booking;
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct sluice_client *attached = sluice_attach(loop, NULL, NULL, 0);
    (void)state;
    assert_non_null(attached);
    assert_int_equal(sluice_refund(attached, &check, &booking), SLUICE_INVALID_ARGUMENT);
    assert_int_equal(sluice_settle(attached, &check, &settlement, &booking), SLUICE_INVALID_ARGUMENT);
    assert_non_null(strstr(booking.message, "only the async calls"));
    sluice_close(&attached);
    ev_loop_destroy(loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        test(test_check_and_peek_return_the_decision),
        test(test_batch_fills_every_decision),
        test(test_ping_has_no_message_when_all_is_well),
        test(test_bookings_come_back),
        cmocka_unit_test(test_attached_client_books_nothing_blocking),
        test(test_invalid_check_names_the_field),
        test(test_silence_ends_with_the_timeout),
        test(test_lost_connection_fails_one_call_and_not_the_next),
        test(test_connection_that_ended_between_calls_fails_none),
        cmocka_unit_test(test_unreachable_frontend_is_reported_long_before_the_timeout),
        cmocka_unit_test(test_bad_address_gives_no_client),
        cmocka_unit_test(test_options_may_be_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
