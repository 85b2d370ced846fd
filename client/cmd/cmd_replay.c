/* cmd_replay.c — `sluice replay`: sends the requests of a log as checks to running frontends.
 *
 *   probe      one ping; nobody there: stop with the reason
 *   pump       while the window has room: next entry -> due? -> sluice_check_async
 *                not due        -> timer `due`      calls pump
 *                input starved  -> watcher `input`  fills, calls pump
 *                window full    -> on_checked       calls pump
 *   end        input at its end (or Ctrl-C) and nothing in flight: leave the loop, report */
#include <ev.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cmd/commands.h"
#include "client/cmd/histogram.h"
#include "client/cmd/log_source.h"
#include "client/cmd/pacer.h"
#include "client/cmd/progress.h"
#include "client/cmd/report.h"
#include "client/cmd/show.h"
#include "client/cmd/tally.h"
#include "client/cmd/target.h"
#include "client/cmd/terminal.h"
#include "client/sluice.h"
#include "proto/wire.h"
#include "server/base/clock.h"
#include "server/base/ensure.h"

enum { REPLAY_MAGIC = 0x5245504c, WINDOW_DEFAULT = 256, WINDOW_MAX = 65536 };

#define N_SOURCES ((size_t)SLUICE_SOURCE_EMBEDDED + 1)

#define PROGRESS_EVERY_S 0.1

struct replay_options {
    struct options_list servers;
    const char *tenant, *resource;
    double speed;
    int64_t timeout_us, cost, max_lines, window, top;
    bool is_json;
};

static const struct replay_options defaults = {.speed = 1,
                                               .timeout_us = TARGET_TIMEOUT_DEFAULT_US,
                                               .cost = 1,
                                               .window = WINDOW_DEFAULT,
                                               .top = REPORT_TOP_DEFAULT};

#define OPTION(member) offsetof(struct replay_options, member)
static const struct option_spec options_table[] = {
    {"tenant", "T", OPTION_TEXT, OPTION(tenant), 0, 0, "tenant to ask for; required"},
    {"resource", "R", OPTION_TEXT, OPTION(resource), 0, 0, "resource to ask for; required"},
    {"speed", "X", OPTION_FACTOR, OPTION(speed), 0, 0, "times the log's own pace; 0: as fast as possible"},
    {"cost", "N", OPTION_COUNT, OPTION(cost), 1, WIRE_COST_MAX, "tokens each check takes"},
    {"limit-lines", "N", OPTION_COUNT, OPTION(max_lines), 1, INT64_MAX, "read so many lines of LOG at most"},
    {"window", "N", OPTION_COUNT, OPTION(window), 1, WINDOW_MAX, "checks in flight at most"},
    {"server", "HOST:PORT", OPTION_LIST, OPTION(servers), 0, 0, TARGET_SERVER_HELP},
    {"timeout", "DURATION", OPTION_DURATION_US, OPTION(timeout_us), 1000, TARGET_TIMEOUT_MAX_US,
     "for each check, such as 250ms"},
    {"top", "N", OPTION_COUNT, OPTION(top), 0, REPORT_TOP_MAX, "how many of the most denied addresses to show"},
    {"json", NULL, OPTION_FLAG, OPTION(is_json), 0, 0, "print one JSON object"},
};

struct replay;

/* A check in flight. */
struct replay_check {
    struct replay *replay;
    struct replay_check *next_free;
    uint32_t tally_index;
    int64_t sent_at_us;
};

struct replay {
    uint32_t magic;
    const struct replay_options *options;
    struct ev_loop *loop;
    struct sluice_client *client;
    struct log_source *source;
    ev_timer due, tick;
    ev_io input;
    ev_signal on_int, on_term;
    struct pacer pacer;
    struct access_log_entry entry; /* the next to send, when has_entry; valid until the source is asked again */
    bool is_answered;              /* the ping was */
    bool has_entry, is_input_over, is_interrupted, has_failed;
    struct replay_check *checks, *free_checks;
    size_t n_in_flight;
    struct progress progress;
    struct tally *tally;
    struct histogram latency_us; /* of answers */
    uint64_t n_by_source[N_SOURCES];
    int64_t began_at_us, ended_at_us, max_late_us; /* began: sent the first; 0: not yet */
    char first_error[SLUICE_MESSAGE_BYTES + 64];
    struct status failure; /* why it ended, when has_failed */
};

/* From the first send to the end, or to now; 0 before it. */
static uint64_t took_us(const struct replay *replay) {
    int64_t until_us = replay->ended_at_us > 0 ? replay->ended_at_us : clock_mono_us();
    return replay->began_at_us > 0 ? (uint64_t)(until_us - replay->began_at_us) : 0;
}

/* --- sending --------------------------------------------------------------------------------------------- */

static void end_if_done(struct replay *replay) {
    if (replay->is_input_over && replay->n_in_flight == 0) {
        ev_break(replay->loop, EVBREAK_ALL);
    }
}

static void stop_input(struct replay *replay) {
    replay->is_input_over = true;
    replay->has_entry = false;
    ev_timer_stop(replay->loop, &replay->due);
    ev_io_stop(replay->loop, &replay->input);
    end_if_done(replay);
}

static void fail(struct replay *replay) {
    replay->has_failed = true;
    stop_input(replay);
}

static void note_error(struct replay *replay, enum sluice_status status, const char *message) {
    if (replay->first_error[0] == '\0') {
        snprintf(replay->first_error, sizeof replay->first_error, "%s: %s", sluice_status_text(status),
                 message);
    }
}

static void pump(struct replay *replay);

static void on_checked(void *arg, enum sluice_status status, const char *message,
                       const struct sluice_decision *decisions, size_t n_decisions) {
    struct replay_check *check = arg;
    struct replay *replay = check->replay;
    ensure(replay->magic, ==, REPLAY_MAGIC);
    if (status == SLUICE_OK && n_decisions == 1) {
        tally_count(replay->tally, check->tally_index, decisions->allowed ? TALLY_ALLOWED : TALLY_DENIED);
        histogram_add(&replay->latency_us, (uint64_t)(clock_mono_us() - check->sent_at_us));
        replay->n_by_source[(size_t)decisions->source < N_SOURCES ? decisions->source : SLUICE_SOURCE_NONE]++;
    } else {
        tally_count(replay->tally, check->tally_index, TALLY_FAILED);
        note_error(replay, status, message);
    }
    check->next_free = replay->free_checks;
    replay->free_checks = check;
    replay->n_in_flight--;
    pump(replay);
}

static void send_entry(struct replay *replay, int64_t now_us) {
    const struct replay_options *options = replay->options;
    struct replay_check *slot = replay->free_checks;
    struct sluice_check check = {
        .tenant = options->tenant,
        .tenant_len = strlen(options->tenant),
        .resource = options->resource,
        .resource_len = strlen(options->resource),
        .key = replay->entry.host.data,
        .key_len = replay->entry.host.len,
        .cost = (uint64_t)options->cost,
    };
    replay->has_entry = false;
    slot->tally_index = tally_index(replay->tally, replay->entry.host);
    slot->sent_at_us = now_us;
    if (!sluice_check_async(replay->client, &check, on_checked, slot)) {
        tally_count(replay->tally, slot->tally_index, TALLY_FAILED);
        note_error(replay, SLUICE_RESOURCE_EXHAUSTED,
                   "the client cannot take more checks; try a smaller --window");
        return;
    }
    replay->free_checks = slot->next_free;
    replay->n_in_flight++;
}

/* Makes replay->entry the next one of the log. False when there is none yet, or none any more. */
static bool take_entry(struct replay *replay) {
    switch (log_source_next(replay->source, &replay->entry)) {
    case LOG_SOURCE_ENTRY:
        replay->has_entry = true;
        return true;
    case LOG_SOURCE_STARVED:
        ev_io_start(replay->loop, &replay->input);
        return false;
    case LOG_SOURCE_END:
        stop_input(replay);
        return false;
    }
    return false;
}

/* Sends all that is due, as far as the window has room, and sees to it that it is called again. */
static void pump(struct replay *replay) {
    while (!replay->is_input_over && replay->free_checks != NULL) {
        if (!replay->has_entry && !take_entry(replay)) {
            break;
        }
        int64_t now_us = clock_mono_us();
        int64_t late_us = now_us - pacer_due_us(&replay->pacer, replay->entry.at_us, now_us);
        if (late_us < 0) {
            ev_timer_stop(replay->loop, &replay->due);
            ev_timer_set(&replay->due, (double)-late_us * 1e-6, 0.);
            ev_timer_start(replay->loop, &replay->due);
            break;
        }
        if (replay->began_at_us == 0) {
            replay->began_at_us = now_us;
            report_warn_unsorted(stderr, "replay", log_source_stats(replay->source));
        }
        if (replay->options->speed > 0 && late_us > replay->max_late_us) {
            replay->max_late_us = late_us;
        }
        send_entry(replay, now_us);
    }
    end_if_done(replay);
}

/* --- events ---------------------------------------------------------------------------------------------- */

static void on_due(struct ev_loop *loop, ev_timer *timer, int events) {
    struct replay *replay = timer->data;
    (void)loop;
    (void)events;
    pump(replay);
}

static void on_input(struct ev_loop *loop, ev_io *input, int events) {
    struct replay *replay = input->data;
    (void)events;
    ev_io_stop(loop, input);
    if (log_source_fill(replay->source, &replay->failure)) {
        pump(replay);
    } else {
        fail(replay);
    }
}

/* The first signal ends the sending; the second does not wait for answers either. */
static void on_signal(struct ev_loop *loop, ev_signal *signal, int events) {
    struct replay *replay = signal->data;
    (void)events;
    if (replay->is_interrupted) {
        ev_break(loop, EVBREAK_ALL);
    }
    replay->is_interrupted = true;
    if (!replay->is_answered) {
        status_fail(&replay->failure, "interrupted before a frontend had answered");
        replay->has_failed = true;
    }
    stop_input(replay);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events) {
    struct replay *replay = timer->data;
    const struct log_source_stats *stats = log_source_stats(replay->source);
    char text[128];
    (void)loop;
    (void)events;
    snprintf(text, sizeof text, "%" PRIu64 " sent, %" PRIu64 " denied, %" PRIu64 " errors, %s", stats->n_given,
             tally_total(replay->tally, TALLY_DENIED), tally_total(replay->tally, TALLY_FAILED),
             show_rate(replay->latency_us.n, took_us(replay)).text);
    if (stats->is_sorted) {
        progress_show(&replay->progress, stats->n_given, stats->n_lines - stats->n_bad, text);
    } else {
        progress_show(&replay->progress, stats->n_bytes, stats->total_bytes, text);
    }
}

static void on_probed(void *arg, enum sluice_status status, const char *message,
                      const struct sluice_decision *decisions, size_t n_decisions) {
    struct replay *replay = arg;
    ensure(replay->magic, ==, REPLAY_MAGIC);
    (void)decisions;
    (void)n_decisions;
    if (status == SLUICE_OK) {
        replay->is_answered = true;
        pump(replay);
    } else if (!replay->is_interrupted) {
        status_fail(&replay->failure, "%s: %s%s", sluice_status_text(status), message,
                    target_advice(status, message));
        fail(replay);
    }
}

/* --- life ------------------------------------------------------------------------------------------------ */

static bool judge_options(const struct replay_options *options, struct status *status) {
    if (options->tenant == NULL || options->resource == NULL) {
        return status_fail(status, "--tenant and --resource are missing: whose limit shall be asked?");
    }
    struct wire_check check = {
        .tenant = {(const uint8_t *)options->tenant, strlen(options->tenant)},
        .resource = {(const uint8_t *)options->resource, strlen(options->resource)},
        .cost = 1,
    };
    return wire_check_problem(WIRE_CALL_CHECK, &check, status->text, sizeof status->text) == WIRE_OK;
}

static bool make_checks(struct replay *replay) {
    size_t n = (size_t)replay->options->window;
    replay->checks = calloc(n, sizeof *replay->checks);
    for (size_t i = 0; replay->checks != NULL && i < n; i++) {
        replay->checks[i] = (struct replay_check){.replay = replay, .next_free = replay->free_checks};
        replay->free_checks = &replay->checks[i];
    }
    return replay->checks != NULL;
}

static bool attach(struct replay *replay, struct status *status) {
    struct target target;
    if (!target_init(&target, &replay->options->servers, getenv("SLUICE_SERVER"), replay->options->timeout_us,
                     status)) {
        return false;
    }
    replay->client = sluice_attach(replay->loop, &target.options, status->text, sizeof status->text);
    target_deinit(&target);
    return replay->client != NULL;
}

static void init_watchers(struct replay *replay) {
    ev_timer_init(&replay->due, on_due, 0., 0.);
    ev_timer_init(&replay->tick, on_tick, PROGRESS_EVERY_S, PROGRESS_EVERY_S);
    ev_io_init(&replay->input, on_input, log_source_fd(replay->source), EV_READ);
    ev_signal_init(&replay->on_int, on_signal, SIGINT);
    ev_signal_init(&replay->on_term, on_signal, SIGTERM);
    replay->due.data = replay->tick.data = replay->input.data = replay->on_int.data = replay->on_term.data =
        replay;
}

/* Deinit is safe after a failed init. */
static bool replay_init(struct replay *replay, const struct replay_options *options, const char *path,
                        struct status *status) {
    struct terminal terminal = terminal_detect(STDERR_FILENO);
    replay->magic = REPLAY_MAGIC;
    replay->options = options;
    pacer_init(&replay->pacer, options->speed);
    progress_init(&replay->progress, stderr, &terminal);
    struct log_source_options log_options = {.max_lines = (uint64_t)options->max_lines,
                                             .max_sorted = options->speed > 0 ? LOG_SOURCE_SORT_MAX : 0};
    replay->source = log_source_open(path, &log_options, status);
    if (replay->source == NULL) {
        return false;
    }
    replay->loop = ev_loop_new(EVFLAG_AUTO);
    replay->tally = tally_create(TALLY_MAX_KEYS);
    if (replay->loop == NULL || replay->tally == NULL || !make_checks(replay)) {
        return status_fail(status, "out of memory");
    }
    init_watchers(replay);
    return attach(replay, status);
}

static void replay_deinit(struct replay *replay) {
    if (replay->client != NULL) {
        sluice_close(&replay->client);
    }
    if (replay->loop != NULL) {
        ev_loop_destroy(replay->loop);
    }
    tally_destroy(&replay->tally);
    log_source_close(&replay->source);
    free(replay->checks);
}

/* From the probe to the last answer. */
static bool replay_run(struct replay *replay, struct status *status) {
    if (!sluice_ping_async(replay->client, on_probed, replay)) {
        return status_fail(status, "out of memory");
    }
    ev_signal_start(replay->loop, &replay->on_int);
    ev_signal_start(replay->loop, &replay->on_term);
    if (replay->progress.out != NULL) {
        ev_timer_start(replay->loop, &replay->tick);
    }
    ev_run(replay->loop, 0);
    replay->ended_at_us = clock_mono_us();
    progress_clear(&replay->progress);
    ev_timer_stop(replay->loop, &replay->tick);
    ev_timer_stop(replay->loop, &replay->due);
    ev_io_stop(replay->loop, &replay->input);
    ev_signal_stop(replay->loop, &replay->on_int);
    ev_signal_stop(replay->loop, &replay->on_term);
    replay->is_input_over = true;
    sluice_close(&replay->client); /* what is still in flight counts as failed */
    if (!replay->has_failed && !replay->is_interrupted) {
        replay->has_failed = !log_source_had_entries(replay->source, &replay->failure);
    }
    *status = replay->failure;
    return !replay->has_failed;
}

/* --- report ---------------------------------------------------------------------------------------------- */

static void print_sources(const struct replay *replay) {
    const char *separator = "";
    printf("%-14s ", "decided by");
    for (size_t i = 0; i < N_SOURCES; i++) {
        if (replay->n_by_source[i] > 0) {
            printf("%s%s %" PRIu64, separator,
                   i == SLUICE_SOURCE_NONE ? "no quota" : sluice_source_text((enum sluice_source)i),
                   replay->n_by_source[i]);
            separator = ", ";
        }
    }
    putchar('\n');
}

static void print_table(const struct replay *replay) {
    const struct histogram *latency = &replay->latency_us;
    report_print_counts(stdout, log_source_stats(replay->source), replay->tally);
    if (replay->first_error[0] != '\0') {
        report_print_row(stdout, "first error", "%s", replay->first_error);
    }
    if (latency->n > 0) {
        print_sources(replay);
        report_print_row(stdout, "rate", "%s over %s", show_rate(latency->n, took_us(replay)).text,
                         show_duration(took_us(replay)).text);
        report_print_row(stdout, "latency", "p50 %s  p99 %s  max %s",
                         show_duration(histogram_percentile(latency, 0.50)).text,
                         show_duration(histogram_percentile(latency, 0.99)).text,
                         show_duration(latency->max).text);
    }
    if (replay->options->speed > 0) {
        report_print_row(stdout, "behind pace", "at most %s",
                         show_duration((uint64_t)replay->max_late_us).text);
    }
    if (replay->is_interrupted) {
        report_print_row(stdout, "interrupted", "this is what was seen so far");
    }
    report_print_most_denied(stdout, replay->tally, (size_t)replay->options->top);
}

static json_t *make_sources(const struct replay *replay) {
    json_t *sources = json_object();
    for (size_t i = 0; i < N_SOURCES; i++) {
        json_object_set_new(sources, sluice_source_text((enum sluice_source)i),
                            json_integer((json_int_t)replay->n_by_source[i]));
    }
    return sources;
}

static bool print_json(const struct replay *replay) {
    const struct histogram *latency = &replay->latency_us;
    json_t *json =
        report_make_json(log_source_stats(replay->source), replay->tally, (size_t)replay->options->top);
    json_t *own =
        json_pack("{s:o, s:o, s:I, s:I, s:{s:I, s:I, s:I}, s:I, s:b}", "first_error",
                  report_make_json_text(replay->first_error), "sources", make_sources(replay), "answered",
                  (json_int_t)latency->n, "took_us", (json_int_t)took_us(replay), "latency_us", "p50",
                  (json_int_t)histogram_percentile(latency, 0.50), "p99",
                  (json_int_t)histogram_percentile(latency, 0.99), "max", (json_int_t)latency->max,
                  "behind_pace_max_us", (json_int_t)replay->max_late_us, "interrupted", replay->is_interrupted);
    return report_print_json_pair(stdout, json, own);
}

/* Nothing to report when it ended, by an error, before the first check. */
static bool has_result(const struct replay *replay) {
    return replay->is_answered && (!replay->has_failed || replay->began_at_us > 0);
}

static bool report(const struct replay *replay) {
    if (replay->options->is_json) {
        return print_json(replay);
    }
    print_table(replay);
    return true;
}

static int run(const void *options_read, char *const *arguments) {
    const struct replay_options *options = options_read;
    struct replay *replay = calloc(1, sizeof *replay);
    struct status status = {"out of memory"};
    bool is_done = replay != NULL && judge_options(options, &status) &&
                   replay_init(replay, options, arguments[0], &status) && replay_run(replay, &status);
    if (!is_done) {
        fprintf(stderr, "sluice replay: %s\n", status.text);
    }
    if (replay != NULL && has_result(replay) && !report(replay)) {
        fputs("sluice replay: out of memory\n", stderr);
        is_done = false;
    }
    int code = is_done && tally_total(replay->tally, TALLY_FAILED) == 0 ? 0 : EXIT_ERROR;
    if (replay != NULL) {
        replay_deinit(replay);
    }
    free(replay);
    return code;
}

const struct command cmd_replay = {
    .program = "sluice",
    .name = "replay",
    .summary = "Send the requests of a log as checks to running frontends",
    .arguments = "LOG --tenant T --resource R",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options_table,
    .n_options = sizeof options_table / sizeof options_table[0],
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes =
        "LOG is in common or combined format; - reads standard input. The client address is the key.\n"
        "All of LOG is read and sorted by time first; a line is sent when its time has come, counted from the\n"
        "earliest. A log of more than 2000000 lines is not sorted, which is said: there, a line dated before\n"
        "one above it is sent with that one. With --speed 0 lines are sent as they are read, in their order.\n"
        "Latency is from sending to answer, its percentiles at most 1 % too high; 'behind pace' is how late a\n"
        "check was sent. Ctrl-C ends early, with the table so far.\n"
        "Exit code: 0 when all checks were answered, 2 when any failed or no line of LOG is valid.\n\n"
        "  sluice replay access.log --tenant demo --resource hello --speed 60\n",
    .run = run,
};
