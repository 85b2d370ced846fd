/* test_window_edge.c — callers load windows of the calendar across the edge of a minute, which is a month's as well.
 *
 * Redis' clock alone says which period it is. So that nobody waits for an edge, the clock of all nodes is put ahead, to
 * a few seconds before the first midnight of a month; the frontends' own clock stays, and is wrong by a month or two.
 *
 * A check is decided between its sending and its answer, so of one that was under way at the edge these two times do
 * not say in which period it was. But an admission tells after how long its window is full again, which is at the edge
 * of a period: that dates it to the microsecond, by the clock that decides. Each such date is first held against the
 * sending and the answer, and all else is then judged by it. A denial tells no date; it must have been right at some
 * moment between the two. A frontend and a master stand still across the edge, so that many checks are under way. */
#include "tests/chaos/load.h"
#include "tests/system/cluster.h"
#include "tests/system/shifted_clock.h"

#include <signal.h>
#include <time.h>

#define SECOND_US INT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)

enum {
    BEFORE_S = 5, /* of load before the edge, up to a second more: enough to spend what is to be spent */
    AFTER_US = 3 * 1000 * 1000,
    AFTER_LIMIT_US = 30 * 1000 * 1000,
    UNTIL_LOAD_S = 600,    /* on the nodes' clock, from their start to the edge; what is left then is skipped */
    STALL_US = 150 * 1000, /* to either side of the edge */
    STALLED_FRONTEND = 1,
    STALLED_MASTER = 2,
    N_CALLERS = 24,
    MAX_GRANTS = 16384,
};

/* The number of a window is in `burst`. Each key of the first three is asked for far more than that on either side of
 * the edge, one of the others never has nothing left. A second limit, which has always more left, keeps a record from
 * expiring with its minute. */
enum class_index { FIXED, SLIDING, MONTH, ROOMY, ROOMY_SLIDING, N_CLASSES, N_SPENT = ROOMY };
static const struct load_class classes[] = {
    [FIXED] = {.resource = "fixed", .n_keys = 3, .is_one_per_shard = true, .checks_per_s = 1500, .burst = 200},
    [SLIDING] =
        {.resource = "sliding", .n_keys = 3, .is_one_per_shard = true, .checks_per_s = 1500, .burst = 600},
    [MONTH] = {.resource = "month", .n_keys = 1, .checks_per_s = 300, .burst = 200},
    [ROOMY] =
        {.resource = "roomy", .n_keys = 3, .is_one_per_shard = true, .checks_per_s = 900, .burst = 100000},
    [ROOMY_SLIDING] =
        {.resource = "gliding", .n_keys = 3, .is_one_per_shard = true, .checks_per_s = 900, .burst = 100000},
    {0},
};

static const char quotas[] =
    "tenants:\n"
    "  " LOAD_TENANT ":\n"
    "    fixed: { limits: [ { algorithm: fixed_window, rate: 200/min } ] }\n"
    "    sliding: { limits: [ { algorithm: sliding_window, rate: 600/min } ] }\n"
    "    month: { limits: [ { algorithm: fixed_window, rate: 200/month } ] }\n"
    "    roomy: { limits: [ { algorithm: fixed_window, rate: 100000/min }, { rate: 1/h, burst: 1000000 } ] }\n"
    "    gliding: { limits: [ { algorithm: sliding_window, rate: 100000/min } ] }\n";

enum period { OLD, NEW, N_PERIODS };
static const char *const period_names[N_PERIODS] = {"before", "after"};

struct world {
    struct harness *harness;
    struct shifted_clock clock;
    struct cluster cluster;
    struct frontend frontends[LOAD_FRONTENDS];
    struct load load;
    int64_t edge_s;                        /* since 1970, by the nodes' clock */
    int64_t full_us[N_CLASSES][N_PERIODS]; /* after the edge: when what is taken in this period is back */
    int64_t edge_from_us, edge_to_us;      /* by our monotonic clock the edge was in between */
    const struct record *records;
    size_t n_records;
};

static bool slides(enum class_index class) {
    return class == SLIDING || class == ROOMY_SLIDING;
}

/* ---- the clock ---- */

static int64_t start_of_month(time_t now_s, int n) {
    struct tm date;
    assert_non_null(gmtime_r(&now_s, &date));
    struct tm start = {.tm_year = date.tm_year, .tm_mon = date.tm_mon + n, .tm_mday = 1};
    return timegm(&start);
}

static void choose_edge(struct world *world) {
    time_t now_s = time(NULL);
    world->edge_s = start_of_month(now_s, 2);
    for (size_t i = 0; i < N_CLASSES; i++) {
        world->full_us[i][OLD] = slides(i) ? MINUTE_US : 0; /* it still counts for one more */
        world->full_us[i][NEW] = world->full_us[i][OLD] + MINUTE_US;
    }
    world->full_us[MONTH][NEW] = (start_of_month(now_s, 3) - world->edge_s) * SECOND_US;
}

/* By one reading of both clocks, the best of some; a microsecond may be cut off by each. */
static void time_edge(struct world *world, int64_t offset_s) {
    int64_t from_us = 0, to_us = INT64_MAX;
    for (int i = 0; i < 10; i++) {
        struct timespec wall;
        int64_t before_us = harness_now_us();
        clock_gettime(CLOCK_REALTIME, &wall);
        int64_t after_us = harness_now_us();
        int64_t left_us = (world->edge_s - offset_s - wall.tv_sec) * SECOND_US - wall.tv_nsec / 1000;
        if (after_us - before_us < to_us - from_us) {
            from_us = before_us + left_us - 2;
            to_us = after_us + left_us + 2;
        }
    }
    world->edge_from_us = from_us < world->edge_from_us ? from_us : world->edge_from_us;
    world->edge_to_us = to_us > world->edge_to_us ? to_us : world->edge_to_us;
}

/* ---- the run ---- */

static bool is_denial(const struct record *record) {
    return record->answered_at_us != 0 && record->status == WIRE_OK && record->verdict == WIRE_DENY;
}

/* Since `from_us`, of each key that is to be spent. */
static bool is_each_denied_since(const struct world *world, int64_t from_us) {
    bool is_denied[LOAD_MAX_KEYS] = {false};
    size_t n, n_denied = 0, n_spent = 0;
    const struct record *records = load_records(&world->load, &n);
    for (; n > 0 && records[n - 1].sent_at_us >= from_us; n--) {
        const struct record *record = &records[n - 1];
        n_denied += is_denial(record) && !is_denied[record->key];
        is_denied[record->key] |= is_denial(record);
    }
    for (size_t i = 0; i < N_SPENT; i++) {
        n_spent += classes[i].n_keys;
    }
    return n_denied == n_spent;
}

static void sleep_until(int64_t at_us) {
    int64_t now_us = harness_now_us();
    harness_sleep_ms(at_us > now_us ? (at_us - now_us) / 1000 : 0);
}

static void stall_across_edge(const struct world *world) {
    pid_t frontend = world->frontends[STALLED_FRONTEND].pid;
    uint16_t master = world->cluster.ports[STALLED_MASTER];
    sleep_until(world->edge_from_us - STALL_US);
    kill(frontend, SIGSTOP);
    cluster_signal(&world->cluster, master, SIGSTOP);
    sleep_until(world->edge_to_us + STALL_US);
    cluster_signal(&world->cluster, master, SIGCONT);
    kill(frontend, SIGCONT);
}

static void run_load(struct world *world) {
    int64_t offset_s = world->edge_s - BEFORE_S - 1 - time(NULL);
    shifted_clock_set(&world->clock, offset_s);
    world->edge_from_us = INT64_MAX;
    time_edge(world, offset_s);
    load_start(world->harness, &world->load, classes, world->frontends,
               (struct load_senders){.n_conns = N_CALLERS});
    stall_across_edge(world);
    int64_t after_us = world->edge_to_us + AFTER_US;
    do {
        harness_sleep_ms(50);
        assert_true(harness_now_us() < after_us + AFTER_LIMIT_US);
    } while (!is_each_denied_since(world, after_us));
    load_stop(&world->load);
    time_edge(world, offset_s); /* again: the wall clock may have been set meanwhile */
    world->records = load_records(&world->load, &world->n_records);
}

static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    char path[HARNESS_PATH_BYTES];
    assert_non_null(world);
    *state = world;
    world->harness = harness_open();
    choose_edge(world);
    shifted_clock_open(world->harness, &world->clock, world->edge_s - UNTIL_LOAD_S - time(NULL));
    cluster_start_wrapped(world->harness, &world->cluster, world->clock.wrapper);
    /* A node that has not been heard of for ten minutes, by a clock that was set, is not dead. */
    CLUSTER_COMMAND_ALL(&world->cluster, "config", "set", "cluster-node-timeout", "3600000", "repl-timeout",
                        "3600");
    harness_write(world->harness, "quotas.yaml", quotas, path);
    for (size_t i = 0; i < LOAD_FRONTENDS; i++) {
        FRONTEND_START(world->harness, &world->frontends[i], "--quotas", path, "--redis-nodes",
                       world->cluster.nodes, "--workers", "2");
    }
    for (size_t i = 0; i < LOAD_FRONTENDS; i++) {
        frontend_await_status(&world->frontends[i], "/readyz", 200);
    }
    run_load(world);
    return 0;
}

static int close_world(void **state) {
    struct world *world = *state;
    load_close(&world->load);
    frontend_stop_all(world->frontends, LOAD_FRONTENDS);
    harness_close(&world->harness);
    free(world);
    return 0;
}

/* ---- what became of a key ---- */

struct grant {
    int64_t at_us; /* from the edge, by the nodes' clock */
    uint64_t remaining;
};

struct history {
    size_t n_checks, n_straddling;
    size_t n_grants[N_PERIODS];
    struct grant grants[N_PERIODS][MAX_GRANTS]; /* in their order */
};

static bool may_be_at(const struct world *world, const struct record *record, int64_t at_us) {
    return record->sent_at_us <= world->edge_to_us + at_us &&
           record->answered_at_us >= world->edge_from_us + at_us;
}

static void add_grant(const struct world *world, struct history *history, enum class_index class,
                      const struct record *record) {
    int64_t at_us[N_PERIODS];
    for (int period = OLD; period <= NEW; period++) {
        at_us[period] = world->full_us[class][period] - (int64_t)record->reset_after_us;
    }
    bool is_old = at_us[OLD] < 0 && may_be_at(world, record, at_us[OLD]);
    bool is_new = at_us[NEW] >= 0 && may_be_at(world, record, at_us[NEW]);
    if (is_old == is_new) {
        fail_msg("%s: sent %lld us from the edge, answered %lld, full again %llu us later: no period ends so",
                 classes[class].resource, (long long)(record->sent_at_us - world->edge_from_us),
                 (long long)(record->answered_at_us - world->edge_from_us),
                 (unsigned long long)record->reset_after_us);
    }
    enum period period = is_old ? OLD : NEW;
    assert_true(history->n_grants[period] < MAX_GRANTS);
    history->grants[period][history->n_grants[period]++] =
        (struct grant){.at_us = at_us[period], .remaining = record->remaining};
}

/* Several may be decided by one call, at one time. */
static int compare_grants(const void *a, const void *b) {
    const struct grant *left = a, *right = b;
    return left->at_us != right->at_us
               ? (left->at_us > right->at_us) - (left->at_us < right->at_us)
               : (left->remaining < right->remaining) - (left->remaining > right->remaining);
}

/* Heap. */
static struct history *history_of(const struct world *world, size_t key) {
    struct history *history = calloc(1, sizeof *history);
    assert_non_null(history);
    enum class_index class = (enum class_index)(world->load.keys[key].class - classes);
    for (size_t i = 0; i < world->n_records; i++) {
        const struct record *record = &world->records[i];
        if (record->key != key) {
            continue;
        }
        history->n_checks++;
        history->n_straddling += may_be_at(world, record, 0);
        if (record_is_admitted(record)) {
            add_grant(world, history, class, record);
        }
    }
    for (int period = OLD; period <= NEW; period++) {
        qsort(history->grants[period], history->n_grants[period], sizeof(struct grant), compare_grants);
    }
    print_message(
        "%-7s %-4s %5zu checks, %3zu of them under way at the edge; %4zu admitted before, %4zu after\n",
        classes[class].resource, world->load.keys[key].name, history->n_checks, history->n_straddling,
        history->n_grants[OLD], history->n_grants[NEW]);
    return history;
}

/* ---- what must be true of it ---- */

/* Of the period before, so much still counts at a time from the edge: by the part of it that is still within a minute,
 * rounded up. Nothing was taken in the period before the old one. */
static int64_t counted_of_before(const struct history *history, enum class_index class, enum period period,
                                 int64_t at_us) {
    int64_t before = (int64_t)history->n_grants[OLD];
    return slides(class) && period == NEW ? (before * (MINUTE_US - at_us) + MINUTE_US - 1) / MINUTE_US : 0;
}

/* Each admission has left what is left when it and all before it in its period were taken, and nothing else: none was
 * taken from the other period, none twice, none was lost, and there never was one too many. */
static void assert_each_takes_one_of_its_period(const struct history *history, enum class_index class,
                                                enum period period) {
    for (size_t i = 0; i < history->n_grants[period]; i++) {
        const struct grant *grant = &history->grants[period][i];
        int64_t left =
            classes[class].burst - (int64_t)(i + 1) - counted_of_before(history, class, period, grant->at_us);
        if (left < 0 || grant->remaining != (uint64_t)left) {
            fail_msg("%s: of the admissions %s the edge number %zu, %lld us from it, left %llu, not %lld",
                     classes[class].resource, period_names[period], i + 1, (long long)grant->at_us,
                     (unsigned long long)grant->remaining, (long long)left);
        }
    }
}

/* At some moment of its way all must have been taken that there was then. */
static bool may_be_denied(const struct world *world, const struct history *history, enum class_index class,
                          enum period period, const struct record *record) {
    int64_t sent_at_us = record->sent_at_us - world->edge_to_us;
    int64_t counted = counted_of_before(history, class, period, sent_at_us > 0 ? sent_at_us : 0);
    bool is_in =
        period == OLD ? record->sent_at_us <= world->edge_to_us : record->answered_at_us >= world->edge_from_us;
    size_t n = history->n_grants[period];
    while (n > 0 && world->edge_from_us + history->grants[period][n - 1].at_us > record->answered_at_us) {
        n--;
    }
    return is_in && (int64_t)n + counted >= classes[class].burst;
}

static void assert_denied_only_when_spent(const struct world *world, const struct history *history, size_t key,
                                          enum class_index class) {
    for (size_t i = 0; i < world->n_records; i++) {
        const struct record *record = &world->records[i];
        if (record->key == key && is_denial(record) && !may_be_denied(world, history, class, OLD, record) &&
            !may_be_denied(world, history, class, NEW, record)) {
            fail_msg("%s: denied though there was something left; sent %lld us from the edge, answered %lld",
                     classes[class].resource, (long long)(record->sent_at_us - world->edge_from_us),
                     (long long)(record->answered_at_us - world->edge_from_us));
        }
    }
}

/* Calls `judge` for the history of each key of a class. */
static void for_each_key(const struct world *world, enum class_index class,
                         void (*judge)(const struct history *history, enum class_index class)) {
    for (size_t key = 0; key < world->load.n_keys; key++) {
        if (world->load.keys[key].class != &classes[class]) {
            continue;
        }
        struct history *history = history_of(world, key);
        assert_each_takes_one_of_its_period(history, class, OLD);
        assert_each_takes_one_of_its_period(history, class, NEW);
        assert_denied_only_when_spent(world, history, key, class);
        judge(history, class);
        free(history);
    }
}

/* ---- tests ---- */

static void test_redis_decided_every_check(void **state) {
    const struct world *world = *state;
    for (size_t i = 0; i < world->n_records; i++) {
        assert_true(record_is_healthy(&world->records[i]));
        assert_int_not_equal(world->records[i].source, WIRE_SOURCE_LEASE);
    }
}

static void expect_count_in_each_period(const struct history *history, enum class_index class) {
    assert_int_equal(history->n_grants[OLD], classes[class].burst);
    assert_int_equal(history->n_grants[NEW], classes[class].burst);
}

static void test_fixed_window_admits_its_count_in_each_minute(void **state) {
    for_each_key(*state, FIXED, expect_count_in_each_period);
}

static void test_fixed_window_admits_its_count_in_each_month(void **state) {
    for_each_key(*state, MONTH, expect_count_in_each_period);
}

static void expect_all_admitted(const struct history *history, enum class_index class) {
    (void)class;
    assert_true(history->n_grants[OLD] > 0);
    assert_true(history->n_grants[NEW] > 0);
    assert_int_equal(history->n_grants[OLD] + history->n_grants[NEW], history->n_checks);
}

static void test_a_window_with_something_left_begins_anew(void **state) {
    for_each_key(*state, ROOMY, expect_all_admitted);
}

static void test_a_sliding_window_with_something_left_counts_on(void **state) {
    for_each_key(*state, ROOMY_SLIDING, expect_all_admitted);
}

/* At most count * (1 + T / length) in any time T. */
static void assert_no_window_has_more(const struct grant *grants, size_t n, int64_t count) {
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i; j < n; j++) {
            int64_t window_us = grants[j].at_us - grants[i].at_us;
            if ((int64_t)(j - i + 1) * MINUTE_US > count * (MINUTE_US + window_us)) {
                fail_msg("%zu admitted in %lld us", j - i + 1, (long long)window_us);
            }
        }
    }
}

static void expect_bound_across_the_edge(const struct history *history, enum class_index class) {
    static struct grant all[N_PERIODS * MAX_GRANTS];
    size_t n = 0;
    for (int period = OLD; period <= NEW; period++) {
        memcpy(&all[n], history->grants[period], history->n_grants[period] * sizeof all[0]);
        n += history->n_grants[period];
    }
    assert_no_window_has_more(all, n, classes[class].burst);
    assert_int_equal(history->n_grants[OLD], classes[class].burst);
    /* After this time it was denied, for which so much must have been served: see assert_denied_only_when_spent. */
    assert_true((int64_t)history->n_grants[NEW] >= classes[class].burst * (int64_t)AFTER_US / MINUTE_US);
}

static void test_sliding_window_serves_what_comes_back_and_no_more(void **state) {
    for_each_key(*state, SLIDING, expect_bound_across_the_edge);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis_decided_every_check),
        cmocka_unit_test(test_fixed_window_admits_its_count_in_each_minute),
        cmocka_unit_test(test_fixed_window_admits_its_count_in_each_month),
        cmocka_unit_test(test_a_window_with_something_left_begins_anew),
        cmocka_unit_test(test_a_sliding_window_with_something_left_counts_on),
        cmocka_unit_test(test_sliding_window_serves_what_comes_back_and_no_more),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
