/* cmd_simulate.c — `sluice simulate`: what a quota would have done to the requests of a log.
 *
 * Asks no server to decide: the frontends' own decision path runs here over the embedded store, in the log's time:
 *
 *   log_source -> judge          -> tally by address, timeline by time
 *              -> changed judge  -> difference from the first one, by address
 *
 * The quota is a file's, or a frontend's, which is then asked once, for that. */
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd/commands.h"
#include "client/cmd/difference.h"
#include "client/cmd/judge.h"
#include "client/cmd/log_source.h"
#include "client/cmd/plot.h"
#include "client/cmd/quota_change.h"
#include "client/cmd/quota_fetch.h"
#include "client/cmd/report.h"
#include "client/cmd/show.h"
#include "client/cmd/tally.h"
#include "client/cmd/timeline.h"
#include "proto/wire.h"
#include "server/base/units.h"
#include "server/quota/quota_form.h"
#include "server/quota/registry.h"

enum { TIMEOUT_DEFAULT_US = 5 * 1000 * 1000, TIMEOUT_MAX_US = 600 * 1000 * 1000 };

struct simulate_options {
    const char *quota_file, *server, *token_file, *tenant, *resource;
    struct quota_change change;
    int64_t cost, top, timeout_us;
    bool is_json;
};

static const struct simulate_options defaults = {.tenant = "demo",
                                                 .resource = "access",
                                                 .cost = 1,
                                                 .top = REPORT_TOP_DEFAULT,
                                                 .timeout_us = TIMEOUT_DEFAULT_US};

#define OPTION(member) offsetof(struct simulate_options, member)
static const struct option_spec options_table[] = {
    {"quota", "FILE", OPTION_TEXT, OPTION(quota_file), 0, 0, "quota file (YAML), as sluiced takes it"},
    {"from-server", "URL", OPTION_TEXT_OR_NOT, OPTION(server), 0, 0,
     "or the quota in force: admin address, else SLUICE_ADMIN, else " SETTINGS_DEFAULT_ADMIN},
    {"token-file", "FILE", OPTION_TEXT, OPTION(token_file), 0, 0,
     "has the token for --from-server, else SLUICE_TOKEN"},
    {"timeout", "DURATION", OPTION_DURATION_US, OPTION(timeout_us), 1000, TIMEOUT_MAX_US,
     "for the answer of --from-server"},
    {"rate", "R", OPTION_TEXT, OPTION(change.rate), 0, 0, "compare with this rate in its place, such as 100/s"},
    {"burst", "N", OPTION_COUNT, OPTION(change.burst_tokens), 1, BUCKET_MAX_TOKENS,
     "compare with this burst in its place"},
    {"limit", "NAME", OPTION_TEXT, OPTION(change.limit), 0, 0,
     "the limit that --rate and --burst change; needed when there are several"},
    {"tenant", "T", OPTION_TEXT, OPTION(tenant), 0, 0, "tenant whose quota counts"},
    {"resource", "R", OPTION_TEXT, OPTION(resource), 0, 0, "resource every request is counted for"},
    {"cost", "N", OPTION_COUNT, OPTION(cost), 1, WIRE_COST_MAX, "tokens a request takes"},
    {"top", "N", OPTION_COUNT, OPTION(top), 0, REPORT_TOP_MAX, "how many of the most denied addresses to show"},
    {"json", NULL, OPTION_FLAG, OPTION(is_json), 0, 0, "print one JSON object"},
};

struct simulation {
    const struct simulate_options *options;
    struct log_source *source;
    struct quota_set *quotas,
        *changed_quotas; /* the changed ones and their judge: NULL when none were asked for */
    struct judge *judge, *changed_judge;
    struct difference difference;
    struct tally *tally;
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
    if ((options->quota_file != NULL) == (options->server != NULL)) {
        return status_fail(status, "%s",
                           options->server != NULL
                               ? "--quota and --from-server do not go together: which one has the quota?"
                               : "--quota FILE or --from-server is missing: which quota shall be tried?");
    }
    if (options->token_file != NULL && options->server == NULL) {
        return status_fail(status, "--token-file means nothing without --from-server");
    }
    if (options->change.limit != NULL && !quota_change_is_given(&options->change)) {
        return status_fail(status, "--limit says what --rate or --burst change, and neither is there");
    }
    return wire_check_problem(WIRE_CALL_CHECK, &check, status->text, sizeof status->text) == WIRE_OK;
}

static struct quota_set *load_quotas(const struct simulate_options *options, struct status *status) {
    struct settings_sources sources = {
        .admin_flag = options->server,
        .token_file_flag = options->token_file,
        .admin_variable = getenv("SLUICE_ADMIN"),
        .token_variable = getenv("SLUICE_TOKEN"),
        .home = getenv("HOME"),
    };
    struct status warning;
    if (options->quota_file != NULL) {
        return registry_load_file(options->quota_file, status);
    }
    struct quota_set *set =
        quota_fetch(&sources, options->tenant, options->resource, options->timeout_us, &warning, status);
    if (warning.text[0] != '\0') {
        fprintf(stderr, "sluice simulate: %s\n", warning.text);
    }
    return set;
}

static bool prepare_change(struct simulation *simulation, struct status *status) {
    const struct simulate_options *options = simulation->options;
    if (!quota_change_is_given(&options->change)) {
        return true;
    }
    simulation->changed_quotas = quota_change_apply(
        &options->change, simulation->quotas, bytes_of(options->tenant), bytes_of(options->resource), status);
    if (simulation->changed_quotas != NULL) {
        simulation->changed_judge = judge_create(simulation->changed_quotas, TALLY_MAX_KEYS, status);
    }
    return simulation->changed_judge != NULL;
}

static bool simulation_init(struct simulation *simulation, const struct simulate_options *options,
                            const char *path, struct status *status) {
    static const struct log_source_options log_options = {.max_sorted = LOG_SOURCE_SORT_MAX};
    *simulation = (struct simulation){.options = options};
    timeline_init(&simulation->timeline);
    simulation->quotas = load_quotas(options, status);
    if (simulation->quotas == NULL || !prepare_change(simulation, status)) {
        return false;
    }
    simulation->source = log_source_open(path, &log_options, status);
    if (simulation->source == NULL) {
        return false;
    }
    simulation->judge = judge_create(simulation->quotas, TALLY_MAX_KEYS, status);
    if (simulation->judge == NULL) {
        return false;
    }
    simulation->tally = tally_create(TALLY_MAX_KEYS);
    return simulation->tally != NULL || status_fail(status, "out of memory");
}

static void simulation_deinit(struct simulation *simulation) {
    difference_deinit(&simulation->difference);
    tally_destroy(&simulation->tally);
    judge_destroy(&simulation->changed_judge);
    judge_destroy(&simulation->judge);
    log_source_close(&simulation->source);
    quota_set_release(&simulation->changed_quotas);
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

static void note_decision(struct simulation *simulation, const struct decision *decision) {
    timeline_add(&simulation->timeline, simulation->now_us, !judge_denies(decision));
    simulation->n_matched += decision->matched;
    simulation->n_waited += decision->wait_us > 0;
    if (decision->wait_us > simulation->max_wait_us) {
        simulation->max_wait_us = decision->wait_us;
    }
}

/* False when there is no memory to compare. What the changed quota cannot decide is not compared. */
static bool compare(struct simulation *simulation, const struct judge_request *request, uint32_t index,
                    bool is_denied) {
    struct decision changed;
    return simulation->changed_judge == NULL ||
           !judge_decide(simulation->changed_judge, request, simulation->now_us, &changed) ||
           difference_count(&simulation->difference, index, is_denied, judge_denies(&changed));
}

static bool decide(struct simulation *simulation, const struct access_log_entry *entry, struct status *status) {
    struct judge_request request = {
        .tenant = bytes_of(simulation->options->tenant),
        .resource = bytes_of(simulation->options->resource),
        .key = entry->host,
        .cost_tokens = simulation->options->cost,
    };
    struct decision decision;
    uint32_t index = tally_index(simulation->tally, entry->host);
    advance_time(simulation, entry->at_us);
    if (!judge_decide(simulation->judge, &request, simulation->now_us, &decision)) {
        tally_count(simulation->tally, index, TALLY_FAILED);
        return true;
    }
    bool is_denied = judge_denies(&decision);
    tally_count(simulation->tally, index, is_denied ? TALLY_DENIED : TALLY_ALLOWED);
    note_decision(simulation, &decision);
    return compare(simulation, &request, index, is_denied) || status_fail(status, "out of memory");
}

static bool run_log(struct simulation *simulation, struct status *status) {
    struct access_log_entry entry;
    for (;;) {
        switch (log_source_next(simulation->source, &entry)) {
        case LOG_SOURCE_ENTRY:
            if (!decide(simulation, &entry, status)) {
                return false;
            }
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
static const struct quota *find_quota(const struct simulation *simulation, const struct quota_set *quotas) {
    return quota_set_find(quotas, bytes_of(simulation->options->tenant),
                          bytes_of(simulation->options->resource));
}

/* ", scope tenant" of limits that addresses share. */
static void print_scope(const struct quota *quota, uint32_t limit) {
    const struct quota_part *part = quota->parts;
    while (limit >= part->first_limit + part->n_limits) {
        part++;
    }
    if (part->scope != BUCKET_PER_KEY) {
        printf(", scope %s", quota_form_scope_word(part->scope));
    }
}

/* "demo hello: per_key (5 per 1s, burst 10), ..." */
static void print_judge(const struct simulation *simulation, const char *title,
                        const struct quota_set *quotas) {
    const struct quota *quota = find_quota(simulation, quotas);
    fprintf(stdout, "%-14s %s %s: ", title, simulation->options->tenant, simulation->options->resource);
    if (quota == NULL) {
        bool is_allowed = quota_set_unknown(quotas) == QUOTA_UNKNOWN_ALLOW;
        printf("no quota matches, the default %s\n", is_allowed ? "allows" : "denies");
        return;
    }
    printf("%s", quota->is_unlimited ? "unlimited" : "");
    for (uint32_t i = 0; i < quota->n_limits; i++) {
        const struct bucket_limit *limit = &quota->limits[i];
        printf("%s%s (", i > 0 ? ", " : "", quota->limit_names[i]);
        if (bucket_is_window(limit)) {
            printf("%s %s", quota_form_algorithm_word(limit->algorithm), quota_form_show_rate(limit).text);
        } else {
            printf("%" PRId64 " per %s, burst %" PRId64, limit->count,
                   units_show_duration(limit->period_s * 1000000).text,
                   limit->burst_utok / BUCKET_UTOK_PER_TOKEN);
        }
        print_scope(quota, i);
        putchar(')');
    }
    putchar('\n');
}

static void print_table(struct simulation *simulation) {
    struct terminal terminal = terminal_detect(fileno(stdout));
    uint64_t n_shared = judge_n_shared(simulation->judge);
    report_print_counts(stdout, log_source_stats(simulation->source), simulation->tally);
    print_judge(simulation, "judged as", simulation->quotas);
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
    if (simulation->changed_judge != NULL) {
        fputc('\n', stdout);
        print_judge(simulation, "changed to", simulation->changed_quotas);
        difference_print(&simulation->difference, simulation->tally, (size_t)simulation->options->top, stdout);
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
    const struct quota *quota = find_quota(simulation, simulation->quotas);
    json_t *limits = json_array();
    for (uint32_t i = 0; quota != NULL && i < quota->n_limits; i++) {
        json_array_append_new(limits, json_string(quota->limit_names[i]));
    }
    return limits;
}

/* NULL when nothing was compared. */
static json_t *make_changed(const struct simulation *simulation) {
    return simulation->changed_judge == NULL ? NULL
                                             : difference_make_json(&simulation->difference, simulation->tally,
                                                                    (size_t)simulation->options->top);
}

static bool print_json(const struct simulation *simulation) {
    json_t *json = report_make_json(log_source_stats(simulation->source), simulation->tally,
                                    (size_t)simulation->options->top);
    json_t *own = json_pack(
        "{s:s, s:s, s:o, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o*}", "tenant", simulation->options->tenant,
        "resource", simulation->options->resource, "limits", make_limits(simulation), "first",
        show_time(simulation->first_at_us).text, "last", show_time(simulation->now_us).text, "unmatched",
        (json_int_t)(tally_total(simulation->tally, TALLY_ALLOWED) +
                     tally_total(simulation->tally, TALLY_DENIED) - simulation->n_matched),
        "waited", (json_int_t)simulation->n_waited, "wait_max_us", (json_int_t)simulation->max_wait_us,
        "shared_bucket_checks", (json_int_t)judge_n_shared(simulation->judge), "slot_s",
        (json_int_t)timeline_width_s(&simulation->timeline), "slots", make_slots(&simulation->timeline),
        "changed", make_changed(simulation));
    return report_print_json_pair(stdout, json, own);
}

/* Else a mistyped name would look like a free pass. */
static void warn_if_unmatched(const struct simulation *simulation) {
    if (simulation->n_matched == 0) {
        fprintf(stderr,
                "sluice simulate: no quota matches %s %s in %s; its default decided (--tenant, --resource)\n",
                simulation->options->tenant, simulation->options->resource,
                simulation->options->quota_file != NULL ? simulation->options->quota_file : "the answer");
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
    .summary = "Tell what a quota would have done to the requests of a log, and what a changed one would",
    .arguments = "LOG --quota FILE|--from-server",
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
        "With --rate or --burst the log is judged twice, by the quota as it is and with this change, and the\n"
        "difference is printed: how many more are denied, and which addresses newly. --from-server asks a "
        "frontend\n"
        "for the quota stored under --tenant and --resource; its settings are those of sluicectl.\n\n"
        "  sluice simulate --quota quotas.yaml /var/log/apache2/access.log\n"
        "  sluice simulate --from-server --tenant demo --resource hello --rate 50/s access.log\n",
    .run = run,
};
