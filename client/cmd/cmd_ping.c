/* cmd_ping.c — `sluice ping`: asks every frontend for a sign of life. */
#include <stddef.h>
#include <stdlib.h>

#include "client/cmd/commands.h"
#include "client/cmd/report.h"
#include "client/cmd/show.h"
#include "client/cmd/target.h"
#include "client/sluice.h"
#include "server/base/clock.h"

struct ping_options {
    struct options_list servers;
    int64_t timeout_us;
    bool is_json;
};

static const struct ping_options defaults = {.timeout_us = TARGET_TIMEOUT_DEFAULT_US};

#define OPTION(member) offsetof(struct ping_options, member)
static const struct option_spec options_table[] = {
    {"server", "HOST:PORT", OPTION_LIST, OPTION(servers), 0, 0, TARGET_SERVER_HELP},
    {"timeout", "DURATION", OPTION_DURATION_US, OPTION(timeout_us), 1000, TARGET_TIMEOUT_MAX_US,
     "for each frontend, such as 250ms"},
    {"json", NULL, OPTION_FLAG, OPTION(is_json), 0, 0, "print one JSON object"},
};

struct ping_result {
    enum sluice_status status;
    char message[SLUICE_MESSAGE_BYTES];
    int64_t took_us;
};

/* Asks one server through a client of its own. */
static void ping(const struct sluice_options *all, const char *server, struct ping_result *result) {
    struct sluice_options options = {.servers = &server, .n_servers = 1, .timeout_ms = all->timeout_ms};
    *result = (struct ping_result){.status = SLUICE_INVALID_ARGUMENT};
    struct sluice_client *client = sluice_open(&options, result->message, sizeof result->message);
    if (client == NULL) {
        return;
    }
    int64_t began_at_us = clock_mono_us();
    result->status = sluice_ping(client, result->message, sizeof result->message);
    result->took_us = clock_mono_us() - began_at_us;
    sluice_close(&client);
}

static void print_result(const char *server, const struct ping_result *result) {
    if (result->status == SLUICE_OK) {
        printf("%-24s ok  %s\n", server, show_duration((uint64_t)result->took_us).text);
    } else {
        printf("%-24s %s\n", server, sluice_status_text(result->status));
        fprintf(stderr, "sluice ping: %s%s\n", result->message, target_advice(result->status, result->message));
    }
}

static json_t *make_json(const char *server, const struct ping_result *result) {
    return json_pack("{s:o, s:s, s:o, s:I}", "server", report_make_json_text(server), "status",
                     sluice_status_text(result->status), "message", report_make_json_text(result->message),
                     "took_us", (json_int_t)result->took_us);
}

static int run(const void *options_read, char *const *arguments) {
    const struct ping_options *options = options_read;
    struct status status = {""};
    struct target target;
    (void)arguments;
    if (!target_init(&target, &options->servers, getenv("SLUICE_SERVER"), options->timeout_us, &status)) {
        fprintf(stderr, "sluice ping: %s\n", status.text);
        return EXIT_ERROR;
    }
    int code = 0;
    json_t *results = json_array();
    for (size_t i = 0; i < target.servers.n; i++) {
        struct ping_result result;
        ping(&target.options, target.servers.items[i], &result);
        code = result.status == SLUICE_OK ? code : EXIT_ERROR;
        if (options->is_json) {
            json_array_append_new(results, make_json(target.servers.items[i], &result));
        } else {
            print_result(target.servers.items[i], &result);
        }
    }
    if (options->is_json && !report_print_json(stdout, json_pack("{s:O}", "servers", results))) {
        fputs("sluice ping: out of memory\n", stderr);
        code = EXIT_ERROR;
    }
    json_decref(results);
    target_deinit(&target);
    return code;
}

const struct command cmd_ping = {
    .program = "sluice",
    .name = "ping",
    .summary = "Ask each frontend for a sign of life",
    .arguments = "",
    .options = options_table,
    .n_options = sizeof options_table / sizeof options_table[0],
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes = "The time shown includes connecting. Exit code: 0 when all answered, 2 when any did not.\n",
    .run = run,
};
