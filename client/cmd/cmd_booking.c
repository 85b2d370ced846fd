/* cmd_refund.c — `sluice refund`: gives tokens back. */
#include <stddef.h>
#include <stdlib.h>

#include "client/cmd/commands.h"
#include "client/cmd/outcome.h"
#include "client/cmd/target.h"
#include "client/sluice.h"

struct refund_options {
    struct options_list servers;
    int64_t timeout_us;
    const char *idempotency_key;
    bool is_json;
};

static const struct refund_options defaults = {.timeout_us = TARGET_TIMEOUT_DEFAULT_US};

#define OPTION(member) offsetof(struct refund_options, member)
static const struct option_spec options_table[] = {
    {"idempotency-key", "KEY", OPTION_TEXT, OPTION(idempotency_key), 0, 0,
     "count once, however often it is made with this key in 5 minutes"},
    {"server", "HOST:PORT", OPTION_LIST, OPTION(servers), 0, 0, TARGET_SERVER_HELP},
    {"timeout", "DURATION", OPTION_DURATION_US, OPTION(timeout_us), 1000, TARGET_TIMEOUT_MAX_US,
     "for the call, such as 250ms"},
    {"json", NULL, OPTION_FLAG, OPTION(is_json), 0, 0, "print one JSON object"},
};

static int run(const void *options_read, char *const *arguments) {
    const struct refund_options *options = options_read;
    struct status status = {""};
    struct sluice_check refund = target_check_of(arguments, options->idempotency_key);
    struct sluice_booking booking;
    if (!target_read_tokens("TOKENS", arguments[3], 1, &refund.cost, &status)) {
        fprintf(stderr, "sluice refund: %s\n", status.text);
        return EXIT_ERROR;
    }
    struct sluice_client *client =
        target_open(&options->servers, getenv("SLUICE_SERVER"), options->timeout_us, &status);
    if (client == NULL) {
        fprintf(stderr, "sluice refund: %s\n", status.text);
        return EXIT_ERROR;
    }
    sluice_refund(client, &refund, &booking);
    sluice_close(&client);
    return outcome_tell_booking("refund", &booking, options->is_json) ? EXIT_ALLOWED : EXIT_ERROR;
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
    .run = run,
};
