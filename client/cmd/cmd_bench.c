/* cmd_bench.c — `sluice bench`: loads running frontends and says what they do under it.
 *
 *   connect -> warm-up -> (its answers) -> counters -> the measured time -> (its answers) -> counters -> report
 *
 * Counters come from /metrics while nothing is under way, so that they hold the measured checks and no others. */
#include <ev.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client/cmd/bench_checks.h"
#include "client/cmd/bench_compare.h"
#include "client/cmd/bench_conn.h"
#include "client/cmd/bench_load.h"
#include "client/cmd/bench_report.h"
#include "client/cmd/bench_scrape.h"
#include "client/cmd/commands.h"
#include "client/cmd/progress.h"
#include "client/cmd/report.h"
#include "client/cmd/show.h"
#include "client/cmd/target.h"
#include "client/cmd/terminal.h"

enum {
    CONNECTIONS_DEFAULT = 8,
    PIPELINE_CLOSED = 32,
    PIPELINE_OPEN = 1000,
    OTHER_DESCRIPTORS = 32, /* that the process needs beside those of its connections */
};
#define DURATION_MIN_US INT64_C(1000)
#define DURATION_MAX_US INT64_C(86400000000)
#define RATE_MAX_PER_S INT64_C(20000000)

struct bench_options {
    struct options_list servers, admins;
    const char *tenants, *resource, *keys, *compare;
    int64_t cost, n_connections, pipeline, batch, rate_per_s, duration_us, warm_up_us, timeout_us, seed;
    bool is_poisson, is_spinning, is_json;
};

static const struct bench_options defaults = {
    .tenants = "demo",
    .resource = "hello",
    .keys = "uniform:10000",
    .cost = 1,
    .n_connections = CONNECTIONS_DEFAULT,
    .batch = 1,
    .duration_us = 10 * 1000 * 1000,
    .warm_up_us = 1000 * 1000,
    .timeout_us = TARGET_TIMEOUT_DEFAULT_US,
    .seed = 1,
};

#define OPTION(member) offsetof(struct bench_options, member)
static const struct option_spec options_table[] = {
    {"server", "HOST:PORT", OPTION_LIST, OPTION(servers), 0, 0, TARGET_SERVER_HELP},
    {"connections", "N", OPTION_COUNT, OPTION(n_connections), 1, BENCH_LOAD_CONNECTIONS_MAX,
     "over all frontends"},
    {"pipeline", "N", OPTION_COUNT, OPTION(pipeline), 1, BENCH_CONN_SLOTS_MAX,
     "frames in flight of each connection at most (default 32, with --rate 1000)"},
    {"batch", "N", OPTION_COUNT, OPTION(batch), 1, WIRE_BATCH_MAX, "checks in each frame"},
    {"rate", "N", OPTION_COUNT, OPTION(rate_per_s), 1, RATE_MAX_PER_S,
     "open loop: so many checks per second, answered or not"},
    {"poisson", NULL, OPTION_FLAG, OPTION(is_poisson), 0, 0, "with --rate: at random, not evenly"},
    {"spin", NULL, OPTION_FLAG, OPTION(is_spinning), 0, 0,
     "never sleep, so that no frontend has to wake this; takes a CPU"},
    {"keys", "CHOICE", OPTION_TEXT, OPTION(keys), 0, 0, "one, uniform:N, zipf:N[:S] or file:PATH"},
    {"tenants", "T,...", OPTION_TEXT, OPTION(tenants), 0, 0, "tenants to ask for, each as often"},
    {"resource", "R", OPTION_TEXT, OPTION(resource), 0, 0, "resource to ask for"},
    {"cost", "N", OPTION_COUNT, OPTION(cost), 1, WIRE_COST_MAX, "tokens each check takes"},
    {"duration", "DURATION", OPTION_DURATION_US, OPTION(duration_us), DURATION_MIN_US, DURATION_MAX_US,
     "of the measured time"},
    {"warm-up", "DURATION", OPTION_DURATION_US, OPTION(warm_up_us), 0, DURATION_MAX_US,
     "of the same load before it, not counted"},
    {"timeout", "DURATION", OPTION_DURATION_US, OPTION(timeout_us), 1000, TARGET_TIMEOUT_MAX_US,
     "a frame without an answer has failed after it"},
    {"seed", "N", OPTION_COUNT, OPTION(seed), 0, INT64_MAX, "of all that is random: keys, tenants, --poisson"},
    {"admin", "HOST:PORT", OPTION_LIST, OPTION(admins), 0, 0,
     "a frontend's admin address, for its costs; repeatable"},
    {"compare", "FILE", OPTION_TEXT, OPTION(compare), 0, 0, "print the ratios to a run that --json wrote"},
    {"json", NULL, OPTION_FLAG, OPTION(is_json), 0, 0, "print one JSON object"},
};

struct bench {
    const struct bench_options *options;
    struct ev_loop *loop;
    ev_signal on_int, on_term;
    struct bench_checks checks;
    struct bench_load *load;
    struct progress progress;
    bool is_warming_up;
    json_t *base; /* NULL: nothing to compare with */
    struct bench_stats stats;
    struct bench_result result;
};

/* --- events ---------------------------------------------------------------------------------------------- */

static void on_signal(struct ev_loop *loop, ev_signal *signal, int events) {
    struct bench *bench = signal->data;
    (void)loop;
    (void)events;
    bench_load_interrupt(bench->load);
}

static void on_tick(void *arg, const struct bench_stats *stats, uint64_t elapsed_us) {
    struct bench *bench = arg;
    int64_t total_us = bench->is_warming_up ? bench->options->warm_up_us : bench->options->duration_us;
    char text[192];
    snprintf(text, sizeof text, "%s%s, p50 %s, p99 %s, %" PRIu64 " denied, %" PRIu64 " errors",
             bench->is_warming_up ? "warming up, " : "", show_rate(bench_stats_decided(stats), elapsed_us).text,
             show_duration(histogram_percentile(&stats->latency_us, 0.5)).text,
             show_duration(histogram_percentile(&stats->latency_us, 0.99)).text, bench_stats_denied(stats),
             bench_stats_failed(stats));
    progress_show(&bench->progress, elapsed_us, (uint64_t)total_us, text);
}

/* --- before ---------------------------------------------------------------------------------------------- */

static int64_t pipeline_of(const struct bench_options *options) {
    if (options->pipeline > 0) {
        return options->pipeline;
    }
    return options->rate_per_s > 0 ? PIPELINE_OPEN : PIPELINE_CLOSED;
}

static bool judge_options(const struct bench_options *options, struct status *status) {
    if (options->n_connections * pipeline_of(options) > BENCH_LOAD_IN_FLIGHT_MAX) {
        return status_fail(status, "--connections times --pipeline is above %d", BENCH_LOAD_IN_FLIGHT_MAX);
    }
    if (options->is_poisson && options->rate_per_s == 0) {
        return status_fail(status, "--poisson needs --rate");
    }
    return true;
}

/* Raises the process's own limit as far as it may. */
static bool allow_descriptors(int64_t n_connections, struct status *status) {
    struct rlimit limit;
    rlim_t n_needed = (rlim_t)n_connections + OTHER_DESCRIPTORS;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= n_needed) {
        return true;
    }
    limit.rlim_cur = n_needed < limit.rlim_max ? n_needed : limit.rlim_max;
    if (limit.rlim_cur < n_needed || setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return status_fail(status, "--connections: only %llu files may be open here; see ulimit -n",
                           (unsigned long long)limit.rlim_max);
    }
    return true;
}

static bool make_load(struct bench *bench, struct status *status) {
    const struct bench_options *options = bench->options;
    struct bench_checks_options checks = {.tenants = options->tenants,
                                          .resource = options->resource,
                                          .keys = options->keys,
                                          .cost = (uint64_t)options->cost,
                                          .batch = (size_t)options->batch,
                                          .seed = (uint64_t)options->seed};
    struct target target;
    if (!bench_checks_init(&bench->checks, &checks, status) ||
        !target_init(&target, &options->servers, getenv("SLUICE_SERVER"), options->timeout_us, status)) {
        return false;
    }
    struct bench_load_options load = {.servers = target.servers.items,
                                      .n_servers = target.servers.n,
                                      .n_connections = (uint32_t)options->n_connections,
                                      .pipeline = (uint32_t)pipeline_of(options),
                                      .frames_per_s = (double)options->rate_per_s / (double)options->batch,
                                      .is_poisson = options->is_poisson,
                                      .is_spinning = options->is_spinning,
                                      .timeout_us = options->timeout_us,
                                      .seed = ~(uint64_t)options->seed, /* not that of the keys */
                                      .checks = &bench->checks,
                                      .on_tick = on_tick,
                                      .tick_arg = bench};
    bool is_made = (size_t)options->n_connections >= target.servers.n ||
                   status_fail(status, "--connections: fewer than servers");
    if (is_made) {
        bench->load = bench_load_create(bench->loop, &load, status);
    }
    target_deinit(&target);
    return bench->load != NULL;
}

/* Deinit is safe after a failed init. */
static bool bench_init(struct bench *bench, const struct bench_options *options, struct status *status) {
    struct terminal terminal = terminal_detect(STDERR_FILENO);
    bench->options = options;
    progress_init(&bench->progress, stderr, &terminal);
    if (!judge_options(options, status) || !allow_descriptors(options->n_connections, status)) {
        return false;
    }
    if (options->compare != NULL && (bench->base = bench_compare_load(options->compare, status)) == NULL) {
        return false;
    }
    bench->loop = ev_loop_new(EVFLAG_AUTO);
    if (bench->loop == NULL) {
        return status_fail(status, "out of memory");
    }
    if (!make_load(bench, status)) {
        return false;
    }
    ev_signal_init(&bench->on_int, on_signal, SIGINT);
    ev_signal_init(&bench->on_term, on_signal, SIGTERM);
    bench->on_int.data = bench->on_term.data = bench;
    ev_signal_start(bench->loop, &bench->on_int);
    ev_signal_start(bench->loop, &bench->on_term);
    return true;
}

static void bench_deinit(struct bench *bench) {
    bench_load_destroy(&bench->load);
    bench_checks_deinit(&bench->checks);
    json_decref(bench->base);
    if (bench->loop != NULL) {
        ev_signal_stop(bench->loop, &bench->on_int);
        ev_signal_stop(bench->loop, &bench->on_term);
        ev_loop_destroy(bench->loop);
    }
}

/* --- the run --------------------------------------------------------------------------------------------- */

static bool read_counters(const struct bench *bench, struct bench_counters *counters, struct status *status) {
    const struct options_list *admins = &bench->options->admins;
    *counters = (struct bench_counters){0};
    for (size_t i = 0; i < admins->n; i++) {
        if (!bench_scrape_add(admins->items[i], counters, status)) {
            return false;
        }
    }
    return true;
}

/* Runs one phase, the line of progress included. */
static void run_phase(struct bench *bench, int64_t duration_us) {
    bench_load_run(bench->load, duration_us, &bench->stats);
    progress_clear(&bench->progress);
}

static bool measure(struct bench *bench, struct status *status) {
    struct bench_counters before;
    struct bench_counters *grown = &bench->result.counters;
    if (!bench_load_connect(bench->load, status)) {
        return false;
    }
    if (bench->options->warm_up_us > 0) {
        bench->is_warming_up = true;
        run_phase(bench, bench->options->warm_up_us);
        bench->is_warming_up = false;
    }
    if (bench_load_is_interrupted(bench->load)) {
        return status_fail(status, "interrupted before the measured time had begun");
    }
    if (!read_counters(bench, &before, status)) {
        return false;
    }
    run_phase(bench, bench->options->duration_us);
    if (!read_counters(bench, grown, status)) {
        return false;
    }
    grown->cpu_us -= before.cpu_us;
    grown->n_decisions -= before.n_decisions;
    grown->n_store_calls -= before.n_store_calls;
    return true;
}

static void fill_result(struct bench *bench) {
    const struct bench_options *options = bench->options;
    bench->result.settings = (struct bench_settings){.n_connections = options->n_connections,
                                                     .pipeline = pipeline_of(options),
                                                     .batch = options->batch,
                                                     .cost = options->cost,
                                                     .rate_per_s = options->rate_per_s,
                                                     .is_poisson = options->is_poisson,
                                                     .is_spinning = options->is_spinning,
                                                     .duration_us = options->duration_us,
                                                     .warm_up_us = options->warm_up_us,
                                                     .seed = options->seed,
                                                     .tenants = options->tenants,
                                                     .resource = options->resource,
                                                     .keys = options->keys};
    bench->result.stats = &bench->stats;
    bench->result.has_counters = options->admins.n > 0;
    bench->result.is_interrupted = bench_load_is_interrupted(bench->load);
}

static bool report(const struct bench *bench) {
    json_t *json = bench_report_make_json(&bench->result);
    if (json == NULL) {
        return false;
    }
    if (bench->options->is_json) {
        if (bench->base != NULL &&
            json_object_set_new(json, "compared", bench_compare_make_json(json, bench->base)) != 0) {
            json_decref(json);
            return false;
        }
        return report_print_json(stdout, json);
    }
    struct terminal terminal = terminal_detect(STDOUT_FILENO);
    bench_report_print(&bench->result, &terminal, stdout);
    if (bench->base != NULL) {
        fputc('\n', stdout);
        bench_compare_print(json, bench->base, stdout);
    }
    json_decref(json);
    return true;
}

static int run(const void *options_read, char *const *arguments) {
    struct bench *bench = calloc(1, sizeof *bench);
    struct status status = {"out of memory"};
    bool is_done = false;
    int code = EXIT_ERROR;
    (void)arguments;
    if (bench != NULL && bench_init(bench, options_read, &status) && measure(bench, &status)) {
        fill_result(bench);
        is_done = report(bench) || status_fail(&status, "out of memory");
        code = is_done && bench_stats_failed(&bench->stats) == 0 ? 0 : EXIT_ERROR;
    }
    if (!is_done) {
        fprintf(stderr, "sluice bench: %s\n", status.text);
    }
    if (bench != NULL) {
        bench_deinit(bench);
    }
    free(bench);
    return code;
}

const struct command cmd_bench = {
    .program = "sluice",
    .name = "bench",
    .summary = "Load running frontends, and tell rate, latency and cost",
    .arguments = "",
    .options = options_table,
    .n_options = sizeof options_table / sizeof options_table[0],
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes = "Closed loop, the default: every connection has its frames in flight, and the next is sent when "
             "one is\n"
             "answered. Open loop, --rate: frames are sent at their times, and latency counts from when a "
             "frame was\n"
             "due, also while it waits for room; a server that stalls cannot hide it. Latency is that of "
             "frames, its\n"
             "percentiles at most 1 % too high. Ctrl-C ends early, with what was seen so far.\n"
             "Exit code: 0 when all checks were answered, 2 when any failed.\n\n"
             "  sluice bench --keys zipf:1000000:1.1 --connections 16\n"
             "  sluice bench --rate 50000 --poisson --admin 127.0.0.1:7381 --json >base.json\n"
             "  sluice bench --rate 50000 --poisson --admin 127.0.0.1:7381 --compare base.json\n",
    .run = run,
};
