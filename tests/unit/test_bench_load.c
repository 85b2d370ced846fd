/* test_bench_load.c — a load against a fake frontend in the same loop: counts add up, whatever it does.
 *
 * Phases are short; nothing is asserted of how much goes through in them but what must. */
#include "tests/support/test_prelude.h"

#include <ev.h>
#include <unistd.h>

#include "client/cmd/bench_load.h"
#include "tests/support/fake_frontend.h"

enum { PHASE_US = 100000, TIMEOUT_US = 300000, LONG_US = 60000000 };

struct world {
    struct ev_loop *loop;
    struct fake_frontend *fake;
    struct bench_checks checks;
    struct bench_load *load;
    struct bench_load_options options;
    const char *server;
    uint64_t n_requests, n_checks;
    uint64_t n_unanswered;      /* what is asked after so many requests is not answered; 0: all is */
    uint64_t n_until_drop;      /* after so many requests all connections are closed, once; 0: never */
    uint64_t n_until_interrupt; /* the same with an interrupt */
    unsigned ends_at_accepted;  /* an interrupt at the first request after so many connections; 0: never */
    bool is_denying;
    bool is_holding; /* the first answer for HOLD_S; the second request brings an interrupt */
    ev_timer hold;
    struct fake_peer *held_peer;
    struct wire_request held;
    struct bench_stats stats;
};

#define HOLD_S 0.04

static void on_held_long_enough(struct ev_loop *loop, ev_timer *timer, int events) {
    struct world *world = timer->data;
    (void)loop;
    (void)events;
    fake_peer_allow(world->held_peer, &world->held, 1);
}

static void hold(struct world *world, struct fake_peer *peer, const struct wire_request *request) {
    world->held_peer = peer;
    world->held =
        (struct wire_request){.id = request->id, .call = request->call, .n_checks = request->n_checks};
    ev_timer_init(&world->hold, on_held_long_enough, HOLD_S, 0.);
    world->hold.data = world;
    ev_now_update(world->loop);
    ev_timer_start(world->loop, &world->hold);
}

static void on_request(void *arg, struct fake_peer *peer, const struct wire_request *request) {
    struct world *world = arg;
    static struct wire_response denial = {.call = WIRE_CALL_CHECK, .n_items = 1};
    world->n_requests++;
    world->n_checks += request->n_checks;
    if (world->n_requests == world->n_until_interrupt ||
        (fake_frontend_accepted(world->fake) == world->ends_at_accepted &&
         !bench_load_is_interrupted(world->load))) {
        bench_load_interrupt(world->load);
    }
    if (world->is_holding && world->n_requests == 1) {
        hold(world, peer, request);
        return;
    }
    if (world->is_holding && world->n_requests == 2) {
        bench_load_interrupt(world->load);
    }
    if (world->n_requests == world->n_until_drop) {
        fake_peer_close(peer);
    } else if (world->is_denying) {
        denial.id = request->id;
        denial.items[0].decision = (struct wire_decision){.verdict = WIRE_DENY, .source = WIRE_SOURCE_STORE};
        fake_peer_answer(peer, &denial);
    } else if (world->n_unanswered == 0 || world->n_requests <= world->n_unanswered) {
        fake_peer_allow(peer, request, 1);
    }
}

static void init_checks(struct world *world, size_t batch) {
    struct bench_checks_options options = {
        .tenants = "t", .resource = "r", .keys = "uniform:100", .cost = 1, .batch = batch, .seed = 1};
    struct status status;
    assert_true(bench_checks_init(&world->checks, &options, &status));
}

static int set_up(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->loop = ev_loop_new(EVFLAG_AUTO);
    assert_non_null(world->loop);
    world->fake = fake_frontend_start(world->loop, 0, on_request, world);
    world->server = fake_frontend_address(world->fake);
    world->options = (struct bench_load_options){.servers = &world->server,
                                                 .n_servers = 1,
                                                 .n_connections = 3,
                                                 .pipeline = 2,
                                                 .timeout_us = TIMEOUT_US,
                                                 .checks = &world->checks};
    *state = world;
    return 0;
}

static int tear_down(void **state) {
    struct world *world = *state;
    bench_load_destroy(&world->load);
    bench_load_destroy(&world->load);
    bench_checks_deinit(&world->checks);
    fake_frontend_stop(&world->fake);
    ev_loop_destroy(world->loop);
    free(world);
    return 0;
}

static void create(struct world *world) {
    struct status status = {""};
    world->load = bench_load_create(world->loop, &world->options, &status);
    if (world->load == NULL) {
        fail_msg("%s", status.text);
    }
}

static void connect_all(struct world *world) {
    struct status status;
    create(world);
    if (!bench_load_connect(world->load, &status)) {
        fail_msg("%s", status.text);
    }
}

static void assert_adds_up(const struct bench_stats *stats) {
    assert_true(stats->n_sent > 0);
    assert_int_equal(stats->n_sent, bench_stats_decided(stats) + bench_stats_failed(stats));
}

static void test_a_closed_loop_is_answered_whole(void **state) {
    struct world *world = *state;
    init_checks(world, 1);
    connect_all(world);
    bench_load_run(world->load, PHASE_US, &world->stats);
    assert_adds_up(&world->stats);
    assert_int_equal(world->stats.n_sent, world->n_requests);
    assert_int_equal(world->stats.n_allowed[WIRE_SOURCE_EMBEDDED], world->n_requests);
    assert_int_equal(world->stats.latency_us.n, world->n_requests);
    assert_int_equal(world->stats.lag_us.n, 0);
    assert_int_equal(world->stats.n_not_sent, 0);
    assert_true(world->stats.took_us >= PHASE_US);
    assert_int_equal(fake_frontend_accepted(world->fake), 3);
}

static void test_who_never_sleeps_is_answered_whole_and_ends(void **state) {
    struct world *world = *state;
    world->options.is_spinning = true;
    init_checks(world, 1);
    connect_all(world);
    for (int i = 0; i < 2; i++) {
        bench_load_run(world->load, PHASE_US, &world->stats);
        assert_adds_up(&world->stats);
        assert_int_equal(world->stats.n_sent, world->stats.n_allowed[WIRE_SOURCE_EMBEDDED]);
    }
}

static void test_every_phase_counts_for_itself(void **state) {
    struct world *world = *state;
    init_checks(world, 1);
    connect_all(world);
    bench_load_run(world->load, PHASE_US, &world->stats);
    uint64_t n_first = world->stats.n_sent;
    world->is_denying = true;
    bench_load_run(world->load, PHASE_US, &world->stats);
    assert_int_equal(world->stats.n_sent, world->n_requests - n_first);
    assert_int_equal(world->stats.n_denied[WIRE_SOURCE_STORE], world->stats.n_sent);
    assert_int_equal(bench_stats_allowed(&world->stats), 0);
}

static void test_batches_count_their_checks(void **state) {
    struct world *world = *state;
    init_checks(world, 10);
    connect_all(world);
    bench_load_run(world->load, PHASE_US, &world->stats);
    assert_adds_up(&world->stats);
    assert_int_equal(world->stats.n_sent, 10 * world->n_requests);
    assert_int_equal(world->n_checks, 10 * world->n_requests);
    assert_int_equal(world->stats.latency_us.n, world->n_requests);
}

/* What a slow machine could not send counts as such. */
static void assert_sends_at_its_rate(struct world *world) {
    init_checks(world, 2);
    world->options.frames_per_s = 2000;
    connect_all(world);
    bench_load_run(world->load, PHASE_US, &world->stats);
    assert_adds_up(&world->stats);
    assert_int_equal(world->stats.lag_us.n, world->n_requests);
    assert_int_equal(world->stats.n_sent, 2 * world->n_requests);
}

static void test_an_open_loop_sends_at_its_rate(void **state) {
    struct world *world = *state;
    assert_sends_at_its_rate(world);
    assert_int_equal(world->stats.n_sent + world->stats.n_not_sent, 2 * 200);
}

static void test_a_poisson_load_sends_about_its_rate(void **state) {
    struct world *world = *state;
    world->options.is_poisson = true;
    world->options.seed = 3;
    assert_sends_at_its_rate(world);
    assert_in_range(world->stats.n_sent + world->stats.n_not_sent, 2 * 130, 2 * 270);
}

/* The places are soon full of frames that nobody answers: all that was due later is told, and what waits is late. */
static void test_an_open_loop_tells_what_it_could_not_send(void **state) {
    struct world *world = *state;
    init_checks(world, 1);
    world->n_unanswered = 5;
    world->options.frames_per_s = 10000;
    connect_all(world);
    bench_load_run(world->load, PHASE_US, &world->stats);
    assert_adds_up(&world->stats);
    assert_int_equal(world->stats.n_sent + world->stats.n_not_sent, 1000);
    assert_true(world->stats.n_sent <= 5 + 3 * 2);
    assert_int_equal(bench_stats_allowed(&world->stats), 5);
    assert_int_equal(world->stats.n_errors[WIRE_DEADLINE_EXCEEDED], world->stats.n_sent - 5);
    assert_string_equal(world->stats.first_error, "DEADLINE_EXCEEDED: no answer in time");
}

/* The second frame is due long before the first is answered, and there is room for one. */
static void test_waiting_for_room_counts_as_latency(void **state) {
    struct world *world = *state;
    init_checks(world, 1);
    world->is_holding = true;
    world->options.frames_per_s = 1000;
    world->options.n_connections = world->options.pipeline = 1;
    world->options.timeout_us = LONG_US;
    connect_all(world);
    bench_load_run(world->load, LONG_US, &world->stats);
    assert_adds_up(&world->stats);
    assert_int_equal(world->stats.n_sent, 2);
    assert_true(world->stats.lag_us.max >= (uint64_t)(HOLD_S * 1e6 / 2));
    assert_true(world->stats.latency_us.max >= world->stats.lag_us.max);
    assert_true(world->stats.n_not_sent > 0);
}

static void test_a_lost_connection_costs_its_frames_and_is_made_again(void **state) {
    struct world *world = *state;
    init_checks(world, 1);
    world->n_until_drop = 20;
    world->ends_at_accepted = 4;
    connect_all(world);
    bench_load_run(world->load, LONG_US, &world->stats);
    assert_adds_up(&world->stats);
    assert_int_equal(world->stats.n_conns_lost, 1);
    assert_in_range(world->stats.n_errors[WIRE_UNAVAILABLE], 1, 2);
    assert_int_equal(bench_stats_failed(&world->stats), world->stats.n_errors[WIRE_UNAVAILABLE]);
    assert_int_equal(fake_frontend_accepted(world->fake), 4);
    assert_non_null(strstr(world->stats.first_error, "closed by the frontend"));
}

static void test_an_interrupt_ends_the_sending(void **state) {
    struct world *world = *state;
    init_checks(world, 1);
    world->n_until_interrupt = 50;
    connect_all(world);
    bench_load_run(world->load, LONG_US, &world->stats);
    assert_adds_up(&world->stats);
    assert_true(bench_load_is_interrupted(world->load));
    assert_int_equal(bench_stats_failed(&world->stats), 0);
    assert_true(world->stats.took_us < LONG_US);
    bench_load_run(world->load, LONG_US, &world->stats);
    assert_int_equal(world->stats.n_sent, 0);
}

static void on_tick(void *arg, const struct bench_stats *stats, uint64_t elapsed_us) {
    struct world *world = arg;
    assert_ptr_equal(stats, &world->stats);
    assert_true(elapsed_us > 0);
    bench_load_interrupt(world->load);
}

static void test_a_second_interrupt_does_not_wait_for_answers(void **state) {
    struct world *world = *state;
    init_checks(world, 1);
    world->n_unanswered = 10;
    world->options.timeout_us = LONG_US;
    world->options.on_tick = on_tick;
    world->options.tick_arg = world;
    connect_all(world);
    bench_load_run(world->load, LONG_US, &world->stats);
    assert_adds_up(&world->stats);
    assert_int_equal(world->stats.n_errors[WIRE_CANCELLED], 6);
}

static void test_nobody_there_is_said_before_anything_is_sent(void **state) {
    struct world *world = *state;
    struct status status;
    char address[32];
    int fd;
    snprintf(address, sizeof address, "127.0.0.1:%u", fake_refusing_port(&fd));
    world->server = address;
    init_checks(world, 1);
    create(world);
    assert_false(bench_load_connect(world->load, &status));
    assert_non_null(strstr(status.text, address));
    assert_non_null(strstr(status.text, "Connection refused"));
    close(fd);
}

static void test_connections_go_round_the_servers(void **state) {
    struct world *world = *state;
    struct fake_frontend *second = fake_frontend_start(world->loop, 0, on_request, world);
    const char *servers[] = {world->server, fake_frontend_address(second)};
    world->options.servers = servers;
    world->options.n_servers = 2;
    init_checks(world, 1);
    connect_all(world);
    bench_load_run(world->load, PHASE_US, &world->stats);
    assert_adds_up(&world->stats);
    assert_int_equal(fake_frontend_accepted(world->fake), 2);
    assert_int_equal(fake_frontend_accepted(second), 1);
    bench_load_destroy(&world->load);
    fake_frontend_stop(&second);
}

static void test_a_name_that_is_none_is_refused(void **state) {
    struct world *world = *state;
    struct status status = {""};
    world->server = "host:port";
    init_checks(world, 1);
    assert_null(bench_load_create(world->loop, &world->options, &status));
    assert_non_null(strstr(status.text, "host:port"));
}

int main(void) {
#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_a_closed_loop_is_answered_whole),
        WITH_WORLD(test_who_never_sleeps_is_answered_whole_and_ends),
        WITH_WORLD(test_every_phase_counts_for_itself),
        WITH_WORLD(test_batches_count_their_checks),
        WITH_WORLD(test_an_open_loop_sends_at_its_rate),
        WITH_WORLD(test_a_poisson_load_sends_about_its_rate),
        WITH_WORLD(test_an_open_loop_tells_what_it_could_not_send),
        WITH_WORLD(test_waiting_for_room_counts_as_latency),
        WITH_WORLD(test_a_lost_connection_costs_its_frames_and_is_made_again),
        WITH_WORLD(test_an_interrupt_ends_the_sending),
        WITH_WORLD(test_a_second_interrupt_does_not_wait_for_answers),
        WITH_WORLD(test_nobody_there_is_said_before_anything_is_sent),
        WITH_WORLD(test_connections_go_round_the_servers),
        WITH_WORLD(test_a_name_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
