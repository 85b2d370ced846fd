/* test_hot_exact.c — 64 callers ask for one key by three frontends, for less than it may have and for 30 times that:
 * no window has too much, and next to nothing is left over.
 *
 * The key counts as hot from 40 checks a second at a worker on. Each run has a bucket of its own, full at first. With
 * --long there are more bursts, and each run lasts longer. Windows are those of tests/chaos/record.h: what lies between
 * two checks was decided between the sending of the first and the last answer. */
#include "tests/chaos/load.h"
#include "tests/system/cluster.h"

enum {
    N_CALLERS = 64,
    RATE_PER_S = 200,
    SHORT_RUN_MS = 900,
    LONG_RUN_MS = 5000,
    LEASE_MS = 50, /* the longest; or as long as a quarter of the burst takes */
    SERVED_PERCENT = 98,
    SERVED_FROM_PERCENT = 120, /* of the rate, so much must be asked for */
};

/* Of the rate, in percent; how many seconds' worth the burst is, in percent; of the callers, how many on one frontend
 * (0: even). */
static const unsigned demands[] = {90, 100, 300, 3000};
static const unsigned short_bursts[] = {2, 20, 200}, long_bursts[] = {2, 10, 50, 100, 200};
static const unsigned shares[] = {0, 90};

enum { N_DEMANDS = 4, N_SHARES = 2, MAX_BURSTS = 5, MAX_RUNS = N_DEMANDS * N_SHARES * MAX_BURSTS };

struct run_plan {
    char resource[8];
    struct load_class classes[2]; /* one, and the end of the list */
    struct load_senders senders;
    unsigned demand_percent;
};

struct world {
    bool is_long;
    struct harness *harness;
    struct cluster cluster;
    struct frontend frontends[LOAD_FRONTENDS];
    size_t n_runs;
    struct run_plan runs[MAX_RUNS];
};

/* ---- the runs ---- */

static void plan_run(struct world *world, unsigned burst_percent, unsigned demand_percent, unsigned share) {
    struct run_plan *run = &world->runs[world->n_runs];
    snprintf(run->resource, sizeof run->resource, "r%zu", world->n_runs++);
    run->classes[0] = (struct load_class){.resource = run->resource,
                                          .n_keys = 1,
                                          .checks_per_s = RATE_PER_S * demand_percent / 100,
                                          .rate_per_s = RATE_PER_S,
                                          .burst = RATE_PER_S * burst_percent / 100};
    run->senders = (struct load_senders){.n_conns = N_CALLERS, .percent_on_first = share};
    run->demand_percent = demand_percent;
}

static void plan_runs(struct world *world) {
    const unsigned *bursts = world->is_long ? long_bursts : short_bursts;
    size_t n_bursts =
        world->is_long ? sizeof long_bursts / sizeof *bursts : sizeof short_bursts / sizeof *bursts;
    for (size_t burst = 0; burst < n_bursts; burst++) {
        for (size_t demand = 0; demand < N_DEMANDS; demand++) {
            for (size_t share = 0; share < N_SHARES; share++) {
                plan_run(world, bursts[burst], demands[demand], shares[share]);
            }
        }
    }
}

static int open_world(void **state, bool is_long) {
    struct world *world = calloc(1, sizeof *world);
    struct load_class classes[MAX_RUNS + 1] = {{0}};
    char quotas[64 * MAX_RUNS], path[HARNESS_PATH_BYTES];
    assert_non_null(world);
    *state = world;
    world->is_long = is_long;
    plan_runs(world);
    for (size_t i = 0; i < world->n_runs; i++) {
        classes[i] = world->runs[i].classes[0];
    }
    load_write_quotas(classes, quotas, sizeof quotas);
    world->harness = harness_open();
    cluster_start(world->harness, &world->cluster);
    harness_write(world->harness, "quotas.yaml", quotas, path);
    for (size_t i = 0; i < LOAD_FRONTENDS; i++) {
        FRONTEND_START(world->harness, &world->frontends[i], "--quotas", path, "--redis-nodes",
                       world->cluster.nodes, "--workers", "2", "--hot-rate", "40", "--hot-rate-least", "20");
    }
    for (size_t i = 0; i < LOAD_FRONTENDS; i++) {
        frontend_await_status(&world->frontends[i], "/readyz", 200);
        frontend_await_metric(&world->frontends[i], "sluice_fleet_size", LOAD_FRONTENDS);
    }
    return 0;
}

static int open_short_world(void **state) {
    return open_world(state, false);
}

static int open_long_world(void **state) {
    return open_world(state, true);
}

static int close_world(void **state) {
    struct world *world = *state;
    frontend_stop_all(world->frontends, LOAD_FRONTENDS);
    harness_close(&world->harness);
    free(world);
    return 0;
}

/* ---- one run ---- */

struct figures {
    struct tally tally;
    size_t n_asked;    /* of the store; the others were decided by a lease or by a denial that stood */
    double due;        /* what one bucket in one place would have admitted */
    double on_its_way; /* what came in the last lease time, which a worker may still have */
    double worst;      /* beyond the rate, in any window */
};

static int compare_times(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

/* Of checks that came at these times. */
static size_t admit_in_one_place(const struct load_class *class, int64_t times_us[], size_t n) {
    double level = class->burst;
    size_t n_admitted = 0;
    qsort(times_us, n, sizeof *times_us, compare_times);
    for (size_t i = 0; i < n; i++) {
        level += i > 0 ? class->rate_per_s * (double)(times_us[i] - times_us[i - 1]) / 1e6 : 0;
        level = level < class->burst ? level : class->burst;
        if (level >= 1) {
            level -= 1;
            n_admitted++;
        }
    }
    return n_admitted;
}

/* A check came some time between its sending and its answer. Where all stood still for a while, and then came at once,
 * not even one bucket has tokens for all: so what counts is the worse of the two. */
static double find_due(const struct load_class *class, const struct record *records, size_t n) {
    int64_t *times_us = calloc(n, sizeof *times_us);
    assert_non_null(times_us);
    for (size_t i = 0; i < n; i++) {
        times_us[i] = records[i].sent_at_us;
    }
    size_t by_sending = admit_in_one_place(class, times_us, n);
    for (size_t i = 0; i < n; i++) {
        times_us[i] = records[i].answered_at_us;
    }
    size_t by_answer = admit_in_one_place(class, times_us, n);
    free(times_us);
    return (double)(by_sending < by_answer ? by_sending : by_answer);
}

static struct figures judge(const struct load *load, const struct load_class *class) {
    size_t n;
    const struct record *records = load_records(load, &n);
    struct pace pace = {.rate_per_s = class->rate_per_s};
    double quarter = class->burst / 4., most = class->rate_per_s * LEASE_MS / 1e3;
    assert_true(n > 0);
    struct figures figures = {.due = find_due(class, records, n),
                              .on_its_way = quarter < most ? quarter : most,
                              .worst = worst_burst(records, n, 0, &pace)};
    assert_true(tally_part(records, n, (struct part){0, INT64_MAX, NULL}, &figures.tally));
    for (size_t i = 0; i < n; i++) {
        figures.n_asked += records[i].source == WIRE_SOURCE_STORE;
    }
    return figures;
}

static void print_figures(const struct run_plan *run, const struct figures *figures) {
    const struct tally *tally = &figures->tally;
    const struct load_class *class = &run->classes[0];
    print_message(
        "burst %3u  demand %4u%%  %s  %5zu checks, %5.1f%% by the store  %4zu admitted of %4.0f (%5.1f%%)  "
        "worst window %5.1f of %3u  p99 %4.1f ms\n",
        class->burst, run->demand_percent, run->senders.percent_on_first > 0 ? "90% on one" : "even      ",
        tally->n_checks, 100. * (double)figures->n_asked / (double)tally->n_checks, tally->n_allowed,
        figures->due, 100. * (double)tally->n_allowed / figures->due, figures->worst, class->burst,
        (double)tally->p99_us / 1e3);
}

static void expect(const struct run_plan *run, const struct figures *figures) {
    const struct tally *tally = &figures->tally;
    unsigned burst = run->classes[0].burst;
    assert_int_equal(tally->n_unanswered, 0);
    assert_int_equal(tally->n_undecided, 0);
    assert_int_equal(tally->n_local, 0);
    if (figures->worst > burst + 1e-6) {
        fail_msg("%.2f tokens beyond the rate in some window, at most %u may be", figures->worst, burst);
    }
    bool is_all_wanted = run->demand_percent >= SERVED_FROM_PERCENT;
    double served = (double)tally->n_allowed + figures->on_its_way;
    if (is_all_wanted && served < figures->due * SERVED_PERCENT / 100.) {
        fail_msg("%zu admitted, one bucket would have admitted %.0f", tally->n_allowed, figures->due);
    }
}

static void test_no_window_has_more_and_nothing_is_left_over(void **state) {
    struct world *world = *state;
    for (size_t i = 0; i < world->n_runs; i++) {
        const struct run_plan *run = &world->runs[i];
        struct load load;
        load_start(world->harness, &load, run->classes, world->frontends, run->senders);
        harness_sleep_ms(world->is_long ? LONG_RUN_MS : SHORT_RUN_MS);
        load_stop(&load);
        struct figures figures = judge(&load, &run->classes[0]);
        load_close(&load);
        print_figures(run, &figures);
        expect(run, &figures);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_window_has_more_and_nothing_is_left_over)};
    bool is_long = argc > 1 && strcmp(argv[1], "--long") == 0;
    return cmocka_run_group_tests(tests, is_long ? open_long_world : open_short_world, close_world);
}
