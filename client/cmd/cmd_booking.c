/* cmd_booking.c — `sluice refund`: gives tokens back; `sluice settle`: says what a reservation came to. */
#include <stddef.h>
#include <stdlib.h>

#include "client/cmd/commands.h"
#include "client/cmd/outcome.h"
#include "client/cmd/target.h"
#include "client/sluice.h"

struct booking_options {
    struct options_list servers;
    int64_t timeout_us;
    const char *idempotency_key;
    bool is_json;
};

static const struct booking_options defaults = {.timeout_us = TARGET_TIMEOUT_DEFAULT_US};

#define OPTION(member) offsetof(struct booking_options, member)
static const struct option_spec options_table[] = {
    {"idempotency-key", "KEY", OPTION_TEXT, OPTION(idempotency_key), 0, 0,
     "count once, however often it is made with this key in 5 minutes"},
    {"server", "HOST:PORT", OPTION_LIST, OPTION(servers), 0, 0, TARGET_SERVER_HELP},
    {"timeout", "DURATION", OPTION_DURATION_US, OPTION(timeout_us), 1000, TARGET_TIMEOUT_MAX_US,
     "for the call, such as 250ms"},
    {"json", NULL, OPTION_FLAG, OPTION(is_json), 0, 0, "print one JSON object"},
};

/* NULL with a sentence. */
static struct sluice_client *open_client(const struct booking_options *options, struct status *status) {
    return target_open(&options->servers, getenv("SLUICE_SERVER"), options->timeout_us, status);
}

/* Returns the exit code. */
static int fail(const char *command, const struct status *status) {
    fprintf(stderr, "sluice %s: %s\n", command, status->text);
    return EXIT_ERROR;
}

static int tell(const char *command, const struct sluice_booking *booking, bool is_json) {
    return outcome_tell_booking(command, booking, is_json) ? EXIT_ALLOWED : EXIT_ERROR;
}

/* ---- refund ---- */

static int run_refund(const void *options_read, char *const *arguments) {
    const struct booking_options *options = options_read;
    struct status status = {""};
    struct sluice_check refund = target_check_of(arguments, options->idempotency_key);
    struct sluice_booking booking;
    struct sluice_client *client = NULL;
    if (target_read_tokens("TOKENS", arguments[3], 1, &refund.cost, &status)) {
        client = open_client(options, &status);
    }
    if (client == NULL) {
        return fail("refund", &status);
    }
    sluice_refund(client, &refund, &booking);
    sluice_close(&client);
    return tell("refund", &booking, options->is_json);
}

const struct command cmd_refund = {
    .program = "sluice",
    .name = "refund",
    .summary = "Give tokens back",
    .arguments = "TENANT RESOURCE KEY TOKENS",
    .min_arguments = 4,
    .max_arguments = 4,
    .options = options_table,
    .n_options = sizeof options_table / sizeof options_table[0],
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes = "Exit code: 0 booked, 2 error. Every limit of the quota gets them, never above its burst; "
             "\"returned\" is what\n"
             "the fullest one took up. With an idempotency key it is safe to run again after an error.\n\n"
             "  sluice refund demo hello alice 3 --idempotency-key order-77\n",
    .run = run_refund,
};

/* ---- settle ---- */

static bool read_settlement(struct sluice_settlement *settlement, char *const *arguments,
                            struct status *status) {
    if (!outcome_read_id(arguments[3], settlement->reservation_id)) {
        return status_fail(status, "RESERVATION: '%s' is not %d hexadecimal digits", arguments[3],
                           OUTCOME_ID_DIGITS);
    }
    return target_read_tokens("TOKENS", arguments[4], 0, &settlement->tokens, status);
}

static int run_settle(const void *options_read, char *const *arguments) {
    const struct booking_options *options = options_read;
    struct status status = {""};
    struct sluice_check check = target_check_of(arguments, options->idempotency_key);
    struct sluice_settlement settlement;
    struct sluice_booking booking;
    struct sluice_client *client = NULL;
    if (read_settlement(&settlement, arguments, &status)) {
        client = open_client(options, &status);
    }
    if (client == NULL) {
        return fail("settle", &status);
    }
    sluice_settle(client, &check, &settlement, &booking);
    sluice_close(&client);
    return tell("settle", &booking, options->is_json);
}

const struct command cmd_settle = {
    .program = "sluice",
    .name = "settle",
    .summary = "Say what a reservation came to, and book the difference",
    .arguments = "TENANT RESOURCE KEY RESERVATION TOKENS",
    .min_arguments = 5,
    .max_arguments = 5,
    .options = options_table,
    .n_options = sizeof options_table / sizeof options_table[0],
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes =
        "TOKENS is what was used in all, not a difference. Exit code: 0 booked, 2 error; NOT_FOUND when the\n"
        "reservation is unknown, was settled, or is over. With an idempotency key it is safe to run again.\n\n"
        "  sluice settle demo hello alice 5e0c1f2a9b3d47e8a6c4b2d0f1e3a597 3\n",
    .run = run_settle,
};
