/* cmd_simulate.c — `sluice simulate`: what a quota would have done to the requests of a log.
 *
 * Asks no server: the frontends' own decision path runs here over the embedded store, in the log's time:
 *
 *   log_source -> limiter -> embedded store -> tally by address, timeline by time */
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd/commands.h"
#include "client/cmd/log_source.h"
#include "client/cmd/plot.h"
#include "client/cmd/report.h"
#include "client/cmd/show.h"
#include "client/cmd/tally.h"
#include "client/cmd/timeline.h"
#include "proto/wire.h"
#include "server/base/units.h"
#include "server/limit/limiter.h"
#include "server/quota/registry.h"
#include "server/store/embedded_store.h"

struct simulate_options {
    const char *quota_file, *tenant, *resource;
    int64_t cost, top;
    bool is_json;
};

static const struct simulate_options defaults = {
    .tenant = "demo", .resource = "access", .cost = 1, .top = REPORT_TOP_DEFAULT};

#define OPTION(member) offsetof(struct simulate_options, member)
static const struct option_spec options_table[] = {
    {"quota", "FILE", OPTION_TEXT, OPTION(quota_file), 0, 0,
     "quota file (YAML), as sluiced takes it; required"},
    {"tenant", "T", OPTION_TEXT, OPTION(tenant), 0, 0, "tenant whose quota counts"},
    {"resource", "R", OPTION_TEXT, OPTION(resource), 0, 0, "resource every request is counted for"},
    {"cost", "N", OPTION_COUNT, OPTION(cost), 1, WIRE_COST_MAX, "tokens a request takes"},
    {"top", "N", OPTION_COUNT, OPTION(top), 0, REPORT_TOP_MAX, "how many of the most denied addresses to show"},
    {"json", NULL, OPTION_FLAG, OPTION(is_json), 0, 0, "print one JSON object"},
};

struct simulation {
    const struct simulate_options *options;
    struct log_source *source;
    struct quota_set *quotas;
    struct store *store;
    struct limiter *limiter;
    struct tally *tally;
    struct limiter_metrics limiter_metrics;
    struct embedded_metrics store_metrics;
    struct timeline timeline;
    int64_t first_at_us, now_us; /* virtual time: the latest seen */
    uint64_t n_matched;
    uint64_t n_waited; /* admitted, but told to wait */
    int64_t max_wait_us;
};

static struct bytes bytes_of(const char *text) {
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static struct wire_bytes wire_bytes_of(const char *text) {
    return (struct wire_bytes){(const uint8_t *)text, strlen(text)};
}

static bool judge_options(const struct simulate_options *options, struct status *status) {
    struct wire_check check = {
        .tenant = wire_bytes_of(options->tenant), .resource = wire_bytes_of(options->resource), .cost = 1};
    if (options->quota_file == NULL) {
        return status_fail(status, "--quota FILE is missing: which quotas shall be tried?");
    }
    return wire_check_problem(&check, status->text, sizeof status->text) == WIRE_OK;
}

static bool simulation_init(struct simulation *simulation, const struct simulate_options *options,
                            const char *path, struct status *status) {
    static const struct limiter_options limiter_options = {.store_timeout_us = 0};
    static const struct log_source_options log_options = {.max_sorted = LOG_SOURCE_SORT_MAX};
    *simulation = (struct simulation){.options = options};
    timeline_init(&simulation->timeline);
    simulation->quotas = registry_load_file(options->quota_file, status);
    if (simulation->quotas == NULL) {
        return false;
    }
    simulation->source = log_source_open(path, &log_options, status);
    if (simulation->source == NULL) {
        return false;
    }
    simulation->store = embedded_store_create(TALLY_MAX_KEYS, quota_set_max_limits(simulation->quotas),
                                              &simulation->store_metrics, status);
    if (simulation->store == NULL) {
        return false;
    }
    simulation->limiter =
        limiter_create(&limiter_options, simulation->quotas, simulation->store, &simulation->limiter_metrics);
    simulation->tally = tally_create(TALLY_MAX_KEYS);
    if (simulation->limiter == NULL || simulation->tally == NULL) {
        return status_fail(status, "out of memory");
    }
    return true;
}

static void simulation_deinit(struct simulation *simulation) {
    tally_destroy(&simulation->tally);
    limiter_destroy(&simulation->limiter);
    store_destroy(&simulation->store);
    log_source_close(&simulation->source);
    quota_set_release(&simulation->quotas);
}

/* Time never goes back, though an unsorted log does. */
static void advance_time(struct simulation *simulation, int64_t at_us) {
    const struct log_source_stats *stats = log_source_stats(simulation->source);
    if (stats->n_given == 1) {
        simulation->first_at_us = at_us;
        report_warn_unsorted(stderr, "simulate", stats);
    }
    simulation->now_us = at_us > simulation->now_us ? at_us : simulation->now_us;
}

/* The embedded store decides at once, so a call is never pending. */
static void decide(struct simulation *simulation, const struct access_log_entry *entry) {
    struct limiter_call call = {
        .tenant = bytes_of(simulation->options->tenant),
        .resource = bytes_of(simulation->options->resource),
        .key = entry->host,
        .cost_tokens = simulation->options->cost,
        .deadline_us = INT64_MAX,
    };
    uint32_t index = tally_index(simulation->tally, entry->host);
    advance_time(simulation, entry->at_us);
    limiter_check(simulation->limiter, &call, simulation->now_us);
    if (call.outcome != STORE_OK) {
        tally_count(simulation->tally, index, TALLY_FAILED);
        return;
    }
    bool is_allowed = call.decision.allowed && !call.decision.would_deny;
    tally_count(simulation->tally, index, is_allowed ? TALLY_ALLOWED : TALLY_DENIED);
    timeline_add(&simulation->timeline, simulation->now_us, is_allowed);
    simulation->n_matched += call.decision.matched;
    simulation->n_waited += call.decision.wait_us > 0;
    if (call.decision.wait_us > simulation->max_wait_us) {
        simulation->max_wait_us = call.decision.wait_us;
    }
}

static bool run_log(struct simulation *simulation, struct status *status) {
    struct access_log_entry entry;
    for (;;) {
        switch (log_source_next(simulation->source, &entry)) {
        case LOG_SOURCE_ENTRY:
            decide(simulation, &entry);
            break;
        case LOG_SOURCE_STARVED:
            if (!log_source_fill(simulation->source, status)) {
                return false;
            }
            break;
        case LOG_SOURCE_END:
            return log_source_had_entries(simulation->source, status);
        }
    }
}

/* The quota that decided, NULL when none matched. */
static const struct quota *find_quota(const struct simulation *simulation) {
    return quota_set_find(simulation->quotas, bytes_of(simulation->options->tenant),
                          bytes_of(simulation->options->resource));
}

/* "demo hello: per_key (5 per 1s, burst 10), ..." */
static void print_judge(const struct simulation *simulation) {
    const struct quota *quota = find_quota(simulation);
    fprintf(stdout, "%-14s %s %s: ", "judged as", simulation->options->tenant, simulation->options->resource);
    if (quota == NULL) {
        bool is_allowed = quota_set_unknown(simulation->quotas) == QUOTA_UNKNOWN_ALLOW;
        printf("no quota matches, the default %s\n", is_allowed ? "allows" : "denies");
        return;
    }
    printf("%s", quota->is_unlimited ? "unlimited" : "");
    for (uint32_t i = 0; i < quota->n_limits; i++) {
        const struct bucket_limit *limit = &quota->limits[i];
        printf("%s%s (%" PRId64 " per %s, burst %" PRId64 ")", i > 0 ? ", " : "", quota->limit_names[i],
               limit->count, units_show_duration(limit->period_s * 1000000).text,
               limit->burst_utok / BUCKET_UTOK_PER_TOKEN);
    }
    putchar('\n');
}

static void print_table(struct simulation *simulation) {
    struct terminal terminal = terminal_detect(fileno(stdout));
    uint64_t n_shared = metric_get(&simulation->store_metrics.overflowed);
    report_print_counts(stdout, log_source_stats(simulation->source), simulation->tally);
    print_judge(simulation);
    report_print_row(stdout, "time", "%s to %s, in steps of 1s as in the log",
                     show_time(simulation->first_at_us).text, show_time(simulation->now_us).text);
    if (simulation->n_waited > 0) {
        report_print_row(stdout, "told to wait", "%" PRIu64 ", at most %s", simulation->n_waited,
                         show_duration((uint64_t)simulation->max_wait_us).text);
    }
    if (n_shared > 0) {
        report_print_row(stdout, "shared bucket",
                         "%" PRIu64 " checks, as there are more addresses than room for "
                         "buckets; the counts are approximate",
                         n_shared);
    }
    report_print_most_denied(stdout, simulation->tally, (size_t)simulation->options->top);
    if (simulation->timeline.n_slots > 0) {
        fputc('\n', stdout);
        plot_print(&simulation->timeline, &terminal, stdout);
    }
}

static json_t *make_slots(const struct timeline *timeline) {
    json_t *slots = json_array();
    for (size_t i = 0; i < timeline->n_slots; i++) {
        json_array_append_new(slots, json_pack("{s:s, s:I, s:I}", "from",
                                               show_time(timeline_slot_at_s(timeline, i) * 1000000).text,
                                               "allowed", (json_int_t)timeline->slots[i].n_allowed, "denied",
                                               (json_int_t)timeline->slots[i].n_denied));
    }
    return slots;
}

/* The names of the quota's limits; empty when none matched. */
static json_t *make_limits(const struct simulation *simulation) {
    const struct quota *quota = find_quota(simulation);
    json_t *limits = json_array();
    for (uint32_t i = 0; quota != NULL && i < quota->n_limits; i++) {
        json_array_append_new(limits, json_string(quota->limit_names[i]));
    }
    return limits;
}

static bool print_json(const struct simulation *simulation) {
    json_t *json = report_make_json(log_source_stats(simulation->source), simulation->tally,
                                    (size_t)simulation->options->top);
    json_t *own = json_pack(
        "{s:s, s:s, s:o, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "tenant", simulation->options->tenant,
        "resource", simulation->options->resource, "limits", make_limits(simulation), "first",
        show_time(simulation->first_at_us).text, "last", show_time(simulation->now_us).text, "unmatched",
        (json_int_t)(tally_total(simulation->tally, TALLY_ALLOWED) +
                     tally_total(simulation->tally, TALLY_DENIED) - simulation->n_matched),
        "waited", (json_int_t)simulation->n_waited, "wait_max_us", (json_int_t)simulation->max_wait_us,
        "shared_bucket_checks", (json_int_t)metric_get(&simulation->store_metrics.overflowed), "slot_s",
        (json_int_t)timeline_width_s(&simulation->timeline), "slots", make_slots(&simulation->timeline));
    return report_print_json_pair(stdout, json, own);
}

/* Else a mistyped name would look like a free pass. */
static void warn_if_unmatched(const struct simulation *simulation) {
    if (simulation->n_matched == 0) {
        fprintf(stderr,
                "sluice simulate: no quota matches %s %s in %s; its default decided (--tenant, --resource)\n",
                simulation->options->tenant, simulation->options->resource, simulation->options->quota_file);
    }
}

static int run(const void *options_read, char *const *arguments) {
    const struct simulate_options *options = options_read;
    struct simulation *simulation = calloc(1, sizeof *simulation);
    struct status status = {"out of memory"};
    bool is_done = false;
    if (simulation != NULL && judge_options(options, &status) &&
        simulation_init(simulation, options, arguments[0], &status) && run_log(simulation, &status)) {
        timeline_fold(&simulation->timeline, PLOT_MAX_ROWS);
        warn_if_unmatched(simulation);
        if (!options->is_json) {
            print_table(simulation);
        }
        is_done = !options->is_json || print_json(simulation) || status_fail(&status, "out of memory");
    }
    if (!is_done) {
        fprintf(stderr, "sluice simulate: %s\n", status.text);
    }
    if (simulation != NULL) {
        simulation_deinit(simulation);
    }
    free(simulation);
    return is_done ? 0 : EXIT_ERROR;
}

const struct command cmd_simulate = {
    .program = "sluice",
    .name = "simulate",
    .summary = "Tell what a quota would have done to the requests of a log, without any server",
    .arguments = "LOG --quota FILE",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options_table,
    .n_options = sizeof options_table / sizeof options_table[0],
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes =
        "LOG is in common or combined format; - reads standard input. The client address is the key.\n"
        "The decisions are those of a frontend, in virtual time: the log's, which has a resolution of 1s, so\n"
        "requests of one second count as simultaneous. Lines are sorted by time first. A log of more than\n"
        "2000000 lines is not, which is said: there, a line dated before one above it counts at that one's\n"
        "time, and verdicts on a log that is far out of order are worthless. Exit code: 0, or 2 on an error,\n"
        "as when no line of LOG is valid.\n\n"
        "  sluice simulate --quota quotas.yaml /var/log/apache2/access.log\n",
    .run = run,
};
