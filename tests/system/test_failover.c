/* test_failover.c — frontends die or hang under load, and the client library loses only calls to those. */
#include "tests/system/frontend.h"

#include <ev.h>
#include <signal.h>

#include "client/sluice.h"

enum {
    N_FRONTENDS = 3,
    TIMEOUT_MS = 2000,
    SLACK_US = 500 * 1000, /* of a busy machine */
    CALLS_PER_TICK = 4,
    TICK_MS = 1,
    BEFORE_MS = 300,
    AFTER_MS = 700,
    HANG_TIMEOUT_MS = 1000,
    HANG_MS = 2500,
    ASKED_IN_HANG_TIMEOUT = CALLS_PER_TICK * HANG_TIMEOUT_MS / TICK_MS,
};

struct world {
    struct harness *harness;
    struct frontend frontends[N_FRONTENDS];
    const char *servers[N_FRONTENDS];
};

struct call;

/* Steady calls, whether they are answered or not, and what became of them. */
struct load {
    struct world *world;
    uint32_t timeout_ms;
    struct ev_loop *loop;
    struct sluice_client *client;
    ev_timer tick, kill, end;
    bool is_ending;
    bool has_killed;
    unsigned kill_turn; /* of the loop */
    unsigned n_in_flight, n_in_flight_at_kill;
    unsigned n_asked, n_ok, n_lost, n_ok_after;
    int64_t slowest_us;
    void (*on_lost)(const struct call *call, enum sluice_status status, const char *message);
};

struct call {
    struct load *load;
    int64_t asked_at_us;
    bool is_after_kill;
};

static void stop_when_done(struct load *load) {
    if (load->is_ending && load->n_in_flight == 0) {
        ev_break(load->loop, EVBREAK_ALL);
    }
}

static void on_done(void *arg, enum sluice_status status, const char *message,
                    const struct sluice_decision *decisions, size_t n_decisions) {
    struct call *call = arg;
    struct load *load = call->load;
    int64_t took_us = harness_now_us() - call->asked_at_us;
    assert_int_equal(n_decisions, 1);
    load->n_in_flight--;
    load->slowest_us = took_us > load->slowest_us ? took_us : load->slowest_us;
    if (status == SLUICE_OK) {
        assert_true(decisions[0].allowed);
        load->n_ok++;
        load->n_ok_after += call->is_after_kill;
    } else {
        load->on_lost(call, status, message);
        load->n_lost++;
    }
    free(call);
    stop_when_done(load);
}

static void on_tick(struct ev_loop *loop, ev_timer *watcher, int revents) {
    struct load *load = watcher->data;
    (void)revents;
    /* The client sees the last answers in the turn after the kill, the end in the one after that; until then it
     * may write to the dead. */
    bool is_unaware = load->has_killed && ev_iteration(loop) <= load->kill_turn + 1;
    for (int i = 0; i < CALLS_PER_TICK; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%u", load->n_asked++);
        struct sluice_check check = sluice_check_of("demo", "hello", key);
        struct call *call = malloc(sizeof *call);
        assert_non_null(call);
        *call = (struct call){load, harness_now_us(), load->has_killed && !is_unaware};
        assert_true(sluice_check_async(load->client, &check, on_done, call));
        load->n_in_flight++;
        load->n_in_flight_at_kill += is_unaware;
    }
}

static void on_kill(struct ev_loop *loop, ev_timer *watcher, int revents) {
    struct load *load = watcher->data;
    struct frontend *victim = &load->world->frontends[0];
    (void)revents;
    load->n_in_flight_at_kill = load->n_in_flight;
    harness_kill(load->world->harness, victim->pid);
    victim->pid = 0;
    load->has_killed = true;
    load->kill_turn = ev_iteration(loop);
}

static void on_end(struct ev_loop *loop, ev_timer *watcher, int revents) {
    struct load *load = watcher->data;
    (void)revents;
    ev_timer_stop(loop, &load->tick);
    load->is_ending = true;
    stop_when_done(load);
}

static void start_timer(struct load *load, ev_timer *timer, void (*on_timer)(struct ev_loop *, ev_timer *, int),
                        int after_ms, int repeat_ms) {
    ev_timer_init(timer, on_timer, after_ms / 1e3, repeat_ms / 1e3);
    timer->data = load;
    ev_timer_start(load->loop, timer);
}

static void open_load(struct load *load, struct world *world, uint32_t timeout_ms) {
    struct sluice_options options = {
        .servers = world->servers, .n_servers = N_FRONTENDS, .timeout_ms = timeout_ms};
    char message[SLUICE_MESSAGE_BYTES] = "";
    *load = (struct load){.world = world, .timeout_ms = timeout_ms, .loop = ev_loop_new(EVFLAG_AUTO)};
    assert_non_null(load->loop);
    load->client = sluice_attach(load->loop, &options, message, sizeof message);
    assert_string_equal(message, "");
}

static void run_load(struct load *load, int for_ms) {
    ev_now_update(load->loop);
    load->is_ending = false;
    start_timer(load, &load->tick, on_tick, TICK_MS, TICK_MS);
    start_timer(load, &load->end, on_end, for_ms, 0);
    ev_run(load->loop, 0);
    assert_int_equal(load->n_in_flight, 0);
    assert_int_equal(load->n_ok + load->n_lost, load->n_asked);
    assert_in_range(load->slowest_us, 0, load->timeout_ms * 1000 + SLACK_US);
}

static void close_load(struct load *load) {
    sluice_close(&load->client);
    ev_loop_destroy(load->loop);
}

static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    *state = world;
    world->harness = harness_open();
    for (size_t i = 0; i < N_FRONTENDS; i++) {
        FRONTEND_START(world->harness, &world->frontends[i], "--workers", "1");
        world->servers[i] = world->frontends[i].address;
    }
    return 0;
}

static int close_world(void **state) {
    struct world *world = *state;
    harness_close(&world->harness);
    free(world);
    return 0;
}

static void expect_timeout(const struct call *call, enum sluice_status status, const char *message) {
    (void)call;
    assert_int_equal(status, SLUICE_DEADLINE_EXCEEDED);
    assert_contains(message, "no answer from ");
}

static void on_hang(struct ev_loop *loop, ev_timer *watcher, int revents) {
    struct load *load = watcher->data;
    (void)loop;
    (void)revents;
    assert_int_equal(kill(load->world->frontends[0].pid, SIGSTOP), 0);
}

static void test_hanging_frontend_is_left_alone_after_the_first_timeout(void **state) {
    struct world *world = *state;
    struct load load;
    open_load(&load, world, HANG_TIMEOUT_MS);
    load.on_lost = expect_timeout;
    start_timer(&load, &load.kill, on_hang, BEFORE_MS, 0);
    run_load(&load, BEFORE_MS + HANG_MS);
    assert_int_equal(kill(world->frontends[0].pid, SIGCONT), 0);
    print_message("%u calls, %u timed out, slowest %lld us\n", load.n_asked, load.n_lost,
                  (long long)load.slowest_us);
    /* Its third of what was asked before the first one timed out, then one a timeout; twice that is plenty. */
    assert_in_range(load.n_lost, 1, 2 * (ASKED_IN_HANG_TIMEOUT / N_FRONTENDS + HANG_MS / HANG_TIMEOUT_MS + 1));
    close_load(&load);
}

static void expect_lost(const struct call *call, enum sluice_status status, const char *message) {
    char lost[96];
    snprintf(lost, sizeof lost, "connection to %s lost", call->load->world->servers[0]);
    assert_int_equal(status, SLUICE_UNAVAILABLE);
    assert_contains(message, lost);
    assert_false(call->is_after_kill);
}

static void test_killed_frontend_costs_only_the_calls_under_way_there(void **state) {
    struct world *world = *state;
    struct load load;
    open_load(&load, world, TIMEOUT_MS);
    load.on_lost = expect_lost;
    start_timer(&load, &load.kill, on_kill, BEFORE_MS, 0);
    run_load(&load, BEFORE_MS + AFTER_MS);
    print_message("%u calls, %u under way at the kill, %u lost, %u decided after it, slowest %lld us\n",
                  load.n_asked, load.n_in_flight_at_kill, load.n_lost, load.n_ok_after,
                  (long long)load.slowest_us);
    assert_true(load.has_killed);
    assert_in_range(load.n_lost, 0, load.n_in_flight_at_kill);
    assert_true(load.n_ok_after > 0);

    /* It comes back at the same address, and gets its share again. */
    char address[sizeof world->frontends[0].address];
    snprintf(address, sizeof address, "%s", world->frontends[0].address);
    FRONTEND_START(world->harness, &world->frontends[0], "--workers", "1", "--listen", address);
    int64_t deadline_us = harness_now_us() + 10 * INT64_C(1000000);
    while (frontend_metric(&world->frontends[0], "sluice_requests_total{call=\"check\"}") < 100) {
        assert_true(harness_now_us() < deadline_us);
        run_load(&load, 200);
    }
    close_load(&load);
}

static void test_without_any_frontend_the_callers_policy_decides(void **state) {
    struct world *world = *state;
    struct sluice_options options = {.servers = world->servers,
                                     .n_servers = N_FRONTENDS,
                                     .timeout_ms = TIMEOUT_MS,
                                     .on_failure = SLUICE_ON_FAILURE_DENY};
    struct sluice_check check = sluice_check_of("demo", "hello", "alice");
    struct sluice_decision decision;
    struct sluice_client *client = sluice_open(&options, NULL, 0);
    assert_non_null(client);
    assert_int_equal(sluice_check(client, &check, &decision), SLUICE_OK);
    assert_int_equal(decision.source, SLUICE_SOURCE_EMBEDDED);
    assert_true(decision.allowed);
    for (size_t i = 0; i < N_FRONTENDS; i++) {
        harness_kill(world->harness, world->frontends[i].pid);
    }
    for (int i = 0; i < 100; i++) {
        int64_t asked_at_us = harness_now_us();
        assert_int_equal(sluice_check(client, &check, &decision), SLUICE_OK);
        assert_int_equal(decision.source, SLUICE_SOURCE_CALLER);
        assert_false(decision.allowed);
        assert_in_range(harness_now_us() - asked_at_us, 0, TIMEOUT_MS * 1000 + SLACK_US);
    }
    assert_contains(decision.message, "none of 3 frontends can be reached; cannot connect to ");
    sluice_close(&client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hanging_frontend_is_left_alone_after_the_first_timeout),
        cmocka_unit_test(test_killed_frontend_costs_only_the_calls_under_way_there),
        cmocka_unit_test(test_without_any_frontend_the_callers_policy_decides), /* none is left after it */
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
