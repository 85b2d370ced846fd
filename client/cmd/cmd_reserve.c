/* cmd_reserve.c — `sluice reserve`: takes an estimate, to be settled later. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd/commands.h"
#include "client/cmd/outcome.h"
#include "client/cmd/report.h"
#include "client/cmd/target.h"
#include "client/sluice.h"
#include "proto/wire.h"

struct reserve_options {
    struct options_list servers;
    int64_t timeout_us, ttl_us;
    const char *idempotency_key, *on_timeout;
    bool is_json;
};

enum { MS = 1000 };

static const struct reserve_options defaults = {
    .timeout_us = TARGET_TIMEOUT_DEFAULT_US, .ttl_us = 60000 * MS, .on_timeout = "return"};

#define OPTION(member) offsetof(struct reserve_options, member)
static const struct option_spec options_table[] = {
    {"ttl", "DURATION", OPTION_DURATION_US, OPTION(ttl_us), MS, (int64_t)WIRE_TTL_MAX_MS *MS,
     "it can be settled for so long"},
    {"on-timeout", "WHAT", OPTION_TEXT, OPTION(on_timeout), 0, 0,
     "if it is not settled by then: return what was taken, or let it stand"},
    {"idempotency-key", "KEY", OPTION_TEXT, OPTION(idempotency_key), 0, 0,
     "count once, however often it is made with this key in 5 minutes"},
    {"server", "HOST:PORT", OPTION_LIST, OPTION(servers), 0, 0, TARGET_SERVER_HELP},
    {"timeout", "DURATION", OPTION_DURATION_US, OPTION(timeout_us), 1000, TARGET_TIMEOUT_MAX_US,
     "for the call, such as 250ms"},
    {"json", NULL, OPTION_FLAG, OPTION(is_json), 0, 0, "print one JSON object"},
};

static bool read_terms(const struct reserve_options *options, struct sluice_reservation *terms,
                       struct status *status) {
    bool stands = strcmp(options->on_timeout, "stand") == 0;
    if (!stands && strcmp(options->on_timeout, "return") != 0) {
        return status_fail(status, "--on-timeout: \"%s\" is neither return nor stand", options->on_timeout);
    }
    terms->ttl_ms = (uint32_t)((options->ttl_us + MS - 1) / MS);
    terms->on_timeout = stands ? SLUICE_ON_TIMEOUT_STAND : SLUICE_ON_TIMEOUT_RETURN;
    return true;
}

/* Returns the exit code. */
static int tell(const struct sluice_decision *decision, bool is_json) {
    struct outcome_id id = outcome_show_id(decision->reservation_id);
    if (decision->status != SLUICE_OK) {
        outcome_print_failure(stderr, "reserve", decision->status, decision->message);
        return EXIT_ERROR;
    }
    if (!is_json) {
        outcome_print_decision(stdout, decision, true);
        if (decision->allowed) {
            printf("%s\n", id.text);
        }
    } else if (!report_print_json_pair(
                   stdout, outcome_make_decision(decision),
                   json_pack("{s:s}", "reservation_id", decision->allowed ? id.text : ""))) {
        fputs("sluice reserve: out of memory\n", stderr);
        return EXIT_ERROR;
    }
    return decision->allowed ? EXIT_ALLOWED : EXIT_DENIED;
}

static int run(const void *options_read, char *const *arguments) {
    const struct reserve_options *options = options_read;
    struct status status = {""};
    struct sluice_check check = target_check_of(arguments, options->idempotency_key);
    struct sluice_reservation terms;
    struct sluice_decision decision;
    struct sluice_client *client = NULL;
    if (target_read_tokens("ESTIMATE", arguments[3], 1, &check.cost, &status) &&
        read_terms(options, &terms, &status)) {
        client = target_open(&options->servers, getenv("SLUICE_SERVER"), options->timeout_us, &status);
    }
    if (client == NULL) {
        fprintf(stderr, "sluice reserve: %s\n", status.text);
        return EXIT_ERROR;
    }
    sluice_reserve(client, &check, &terms, &decision);
    sluice_close(&client);
    return tell(&decision, options->is_json);
}

const struct command cmd_reserve = {
    .program = "sluice",
    .name = "reserve",
    .summary = "Take an estimate, to be settled once the true cost is known",
    .arguments = "TENANT RESOURCE KEY ESTIMATE",
    .min_arguments = 4,
    .max_arguments = 4,
    .options = options_table,
    .n_options = sizeof options_table / sizeof options_table[0],
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes =
        "Exit code: 0 allowed, 1 denied, 2 error. If it is allowed, the second line is the reservation, for\n"
        "'sluice settle'; all zeros when nothing is held, as in a degraded decision.\n\n"
        "  sluice reserve demo hello alice 8 --ttl 30s --on-timeout return\n",
    .run = run,
};
