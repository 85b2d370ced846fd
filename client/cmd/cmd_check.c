/* cmd_check.c — `sluice check`: one check, or several and their sum. */
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd/commands.h"
#include "client/cmd/outcome.h"
#include "client/cmd/report.h"
#include "client/cmd/show.h"
#include "client/cmd/target.h"
#include "client/sluice.h"
#include "proto/wire.h"
#include "server/base/clock.h"

enum { COUNT_MAX = 1000000000 };

struct check_options {
    struct options_list servers;
    int64_t timeout_us, cost, count;
    const char *on_failure, *idempotency_key;
    bool is_peek, is_at_most, is_json;
};

static const struct check_options defaults = {
    .timeout_us = TARGET_TIMEOUT_DEFAULT_US, .cost = 1, .count = 1, .on_failure = "report"};

#define OPTION(member) offsetof(struct check_options, member)
static const struct option_spec options_table[] = {
    {"cost", "N", OPTION_COUNT, OPTION(cost), 1, WIRE_COST_MAX, "tokens the check takes"},
    {"count", "N", OPTION_COUNT, OPTION(count), 1, COUNT_MAX,
     "ask so many times, one after another, and sum up"},
    {"at-most", NULL, OPTION_FLAG, OPTION(is_at_most), 0, 0,
     "be content with what is there of the cost, at least 1"},
    {"idempotency-key", "KEY", OPTION_TEXT, OPTION(idempotency_key), 0, 0,
     "count once, however often it is made with this key in 5 minutes"},
    {"peek", NULL, OPTION_FLAG, OPTION(is_peek), 0, 0, "look without taking"},
    {"server", "HOST:PORT", OPTION_LIST, OPTION(servers), 0, 0, TARGET_SERVER_HELP},
    {"timeout", "DURATION", OPTION_DURATION_US, OPTION(timeout_us), 1000, TARGET_TIMEOUT_MAX_US,
     "for each check, such as 250ms"},
    {"on-failure", "POLICY", OPTION_TEXT, OPTION(on_failure), 0, 0, "without an answer: report, allow or deny"},
    {"json", NULL, OPTION_FLAG, OPTION(is_json), 0, 0, "print one JSON object"},
};

struct check_counts {
    int64_t n_allowed, n_denied, n_failed;
    int64_t n_by_policy; /* of those allowed and denied */
};

static bool print_sum(const struct check_options *options, const struct check_counts *sum, int64_t took_us) {
    if (options->is_json) {
        return report_print_json(
            stdout, json_pack("{s:I, s:I, s:I, s:I, s:I}", "allowed", (json_int_t)sum->n_allowed, "denied",
                              (json_int_t)sum->n_denied, "errors", (json_int_t)sum->n_failed, "by_policy",
                              (json_int_t)sum->n_by_policy, "took_us", (json_int_t)took_us));
    }
    printf("allowed %" PRId64 "  denied %" PRId64 "  errors %" PRId64, sum->n_allowed, sum->n_denied,
           sum->n_failed);
    if (sum->n_by_policy > 0) {
        printf("  by --on-failure %" PRId64, sum->n_by_policy);
    }
    printf("  took %s\n", show_duration((uint64_t)took_us).text);
    return true;
}

static void ask(struct sluice_client *client, bool is_peek, const struct sluice_check *check,
                struct sluice_decision *decision) {
    if (is_peek) {
        sluice_peek(client, check, decision);
    } else {
        sluice_check(client, check, decision);
    }
}

/* Returns the exit code, as check_many does. */
static int check_one(struct sluice_client *client, const struct check_options *options,
                     const struct sluice_check *check) {
    struct sluice_decision decision;
    ask(client, options->is_peek, check, &decision);
    if (decision.status != SLUICE_OK) {
        outcome_print_failure(stderr, "check", decision.status, decision.message);
        return EXIT_ERROR;
    }
    if (!options->is_json) {
        outcome_print_decision(stdout, &decision, options->is_at_most);
    } else if (!report_print_json(stdout, outcome_make_decision(&decision))) {
        fputs("sluice check: out of memory\n", stderr);
        return EXIT_ERROR;
    }
    return decision.allowed ? EXIT_ALLOWED : EXIT_DENIED;
}

/* Of the failures only the first is told; they tend to be alike. */
static int check_many(struct sluice_client *client, const struct check_options *options,
                      const struct sluice_check *check) {
    struct check_counts sum = {.n_allowed = 0};
    struct sluice_decision decision;
    int64_t began_at_us = clock_mono_us();
    for (int64_t i = 0; i < options->count; i++) {
        ask(client, options->is_peek, check, &decision);
        if (decision.status == SLUICE_OK) {
            *(decision.allowed ? &sum.n_allowed : &sum.n_denied) += 1;
            sum.n_by_policy += decision.source == SLUICE_SOURCE_CALLER;
        } else if (sum.n_failed++ == 0) {
            outcome_print_failure(stderr, "check", decision.status, decision.message);
        }
    }
    if (!print_sum(options, &sum, clock_mono_us() - began_at_us)) {
        fputs("sluice check: out of memory\n", stderr);
        return EXIT_ERROR;
    }
    return sum.n_failed > 0 ? EXIT_ERROR : sum.n_denied > 0 ? EXIT_DENIED : EXIT_ALLOWED;
}

static bool read_policy(const char *text, enum sluice_on_failure *policy, struct status *status) {
    static const char *const names[] = {[SLUICE_ON_FAILURE_REPORT] = "report",
                                        [SLUICE_ON_FAILURE_ALLOW] = "allow",
                                        [SLUICE_ON_FAILURE_DENY] = "deny"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            *policy = (enum sluice_on_failure)i;
            return true;
        }
    }
    return status_fail(status, "--on-failure: \"%s\" is none of report, allow, deny", text);
}

static int run(const void *options_read, char *const *arguments) {
    const struct check_options *options = options_read;
    struct status status = {""};
    struct target target;
    struct sluice_client *client = NULL;
    enum sluice_on_failure policy = SLUICE_ON_FAILURE_REPORT;
    int code = EXIT_ERROR;
    if (read_policy(options->on_failure, &policy, &status) &&
        target_init(&target, &options->servers, getenv("SLUICE_SERVER"), options->timeout_us, &status)) {
        target.options.on_failure = policy;
        client = sluice_open(&target.options, status.text, sizeof status.text);
        target_deinit(&target);
    }
    if (client == NULL) {
        fprintf(stderr, "sluice check: %s\n", status.text);
        return code;
    }
    struct sluice_check check = target_check_of(arguments, options->idempotency_key);
    check.cost = (uint64_t)options->cost;
    check.at_most = options->is_at_most;
    code = (options->count > 1 ? check_many : check_one)(client, options, &check);
    sluice_close(&client);
    return code;
}

const struct command cmd_check = {
    .program = "sluice",
    .name = "check",
    .summary = "Ask whether KEY may use RESOURCE of TENANT now",
    .arguments = "TENANT RESOURCE KEY",
    .min_arguments = 3,
    .max_arguments = 3,
    .options = options_table,
    .n_options = sizeof options_table / sizeof options_table[0],
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes = "Exit code: 0 allowed, 1 denied, 2 error; with --count 0 when all were allowed, 1 when any was "
             "denied,\n"
             "2 when any failed. With --on-failure allow or deny a check that no frontend decided counts as "
             "that; its\n"
             "source is \"caller\". Waits are rounded up; in JSON a retry_after_us of 2^53 means never.\n"
             "\"degraded\": the store was not asked; the frontend decided by itself, or --on-failure did.\n"
             "\"would_deny\": allowed because the quota is in shadow mode. \"granted\": the tokens granted.\n\n"
             "  sluice check demo hello alice\n"
             "  sluice check demo hello alice --count 20 --json\n",
    .run = run,
};
