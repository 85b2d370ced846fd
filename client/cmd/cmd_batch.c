/* cmd_batch.c — `sluice batch`: several checks in one round trip, each for itself, or all of them or none. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd/commands.h"
#include "client/cmd/outcome.h"
#include "client/cmd/report.h"
#include "client/cmd/target.h"
#include "client/sluice.h"

enum { MAX_WORDS = 4 };

struct batch_options {
    struct options_list servers;
    int64_t timeout_us;
    bool all_or_nothing, is_at_most, is_json;
};

static const struct batch_options defaults = {.timeout_us = TARGET_TIMEOUT_DEFAULT_US};

#define OPTION(member) offsetof(struct batch_options, member)
static const struct option_spec options_table[] = {
    {"all-or-nothing", NULL, OPTION_FLAG, OPTION(all_or_nothing), 0, 0,
     "if one is denied, give back what the others took"},
    {"at-most", NULL, OPTION_FLAG, OPTION(is_at_most), 0, 0,
     "be content with what is there of each cost, at least 1"},
    {"server", "HOST:PORT", OPTION_LIST, OPTION(servers), 0, 0, TARGET_SERVER_HELP},
    {"timeout", "DURATION", OPTION_DURATION_US, OPTION(timeout_us), 1000, TARGET_TIMEOUT_MAX_US,
     "for the batch, such as 250ms"},
    {"json", NULL, OPTION_FLAG, OPTION(is_json), 0, 0, "print one JSON object"},
};

struct batch {
    size_t n;
    char *lines[SLUICE_BATCH_MAX]; /* owned; the checks point into them */
    struct sluice_check checks[SLUICE_BATCH_MAX];
    struct sluice_decision decisions[SLUICE_BATCH_MAX];
};

static void batch_destroy(struct batch **batch) {
    for (size_t i = 0; i < (*batch)->n; i++) {
        free((*batch)->lines[i]);
    }
    free(*batch);
    *batch = NULL;
}

/* "TENANT RESOURCE KEY [COST]"; cuts the line up. */
static bool read_check(char *line, size_t number, struct sluice_check *check, struct status *status) {
    char *words[MAX_WORDS + 1] = {NULL}, *rest = NULL;
    size_t n_words = 0;
    struct status reason = {""};
    for (char *word = strtok_r(line, " \t\r\n", &rest); word != NULL && n_words <= MAX_WORDS;
         word = strtok_r(NULL, " \t\r\n", &rest)) {
        words[n_words++] = word;
    }
    if (n_words < MAX_WORDS - 1 || n_words > MAX_WORDS) {
        return status_fail(status, "line %zu: not TENANT RESOURCE KEY [COST]", number);
    }
    *check = target_check_of(words, NULL);
    if (n_words == MAX_WORDS && !target_read_tokens("COST", words[3], 1, &check->cost, &reason)) {
        return status_fail(status, "line %zu: %s", number, reason.text);
    }
    return true;
}

static bool read_batch(struct batch *batch, FILE *in, bool is_at_most, struct status *status) {
    char *line = NULL;
    size_t cap = 0;
    bool is_good = true;
    while (is_good && getline(&line, &cap, in) >= 0) {
        if (batch->n == SLUICE_BATCH_MAX) {
            is_good = status_fail(status, "more than %d checks", SLUICE_BATCH_MAX);
            break;
        }
        struct sluice_check *check = &batch->checks[batch->n];
        batch->lines[batch->n++] = line;
        is_good = read_check(line, batch->n, check, status);
        check->at_most = is_at_most;
        line = NULL;
        cap = 0;
    }
    free(line);
    return is_good &&
           (batch->n > 0 || status_fail(status, "no checks: each line is TENANT RESOURCE KEY [COST]"));
}

static bool print_json(const struct batch *batch, bool is_granted) {
    json_t *items = json_array();
    for (size_t i = 0; i < batch->n; i++) {
        const struct sluice_decision *decision = &batch->decisions[i];
        json_t *item = decision->status == SLUICE_OK
                           ? outcome_make_decision(decision)
                           : json_pack("{s:s, s:o}", "status", sluice_status_text(decision->status), "message",
                                       report_make_json_text(decision->message));
        if (json_array_append_new(items, item) != 0) {
            json_decref(items);
            return false;
        }
    }
    return report_print_json(stdout, json_pack("{s:b, s:o}", "granted", is_granted, "checks", items));
}

/* Returns the exit code. */
static int tell(const struct batch *batch, const struct batch_options *options) {
    size_t n_failed = 0, n_denied = 0;
    for (size_t i = 0; i < batch->n; i++) {
        const struct sluice_decision *decision = &batch->decisions[i];
        n_failed += decision->status != SLUICE_OK;
        n_denied += decision->status == SLUICE_OK && !decision->allowed;
        if (decision->status != SLUICE_OK) {
            outcome_print_failure(stderr, "batch", decision->status, decision->message);
        }
        if (!options->is_json && decision->status == SLUICE_OK) {
            outcome_print_decision(stdout, decision, options->is_at_most);
        } else if (!options->is_json) {
            puts("ERROR"); /* so that the n-th line answers the n-th check */
        }
    }
    if (options->is_json && !print_json(batch, n_failed + n_denied == 0)) {
        fputs("sluice batch: out of memory\n", stderr);
        return EXIT_ERROR;
    }
    return n_failed > 0 ? EXIT_ERROR : n_denied > 0 ? EXIT_DENIED : EXIT_ALLOWED;
}

static int ask(struct batch *batch, const struct batch_options *options, struct status *status) {
    struct sluice_client *client =
        target_open(&options->servers, getenv("SLUICE_SERVER"), options->timeout_us, status);
    if (client == NULL) {
        fprintf(stderr, "sluice batch: %s\n", status->text);
        return EXIT_ERROR;
    }
    (options->all_or_nothing ? sluice_check_all : sluice_check_batch)(client, batch->checks, batch->n,
                                                                      batch->decisions);
    sluice_close(&client);
    return tell(batch, options);
}

static int run(const void *options_read, char *const *arguments) {
    const struct batch_options *options = options_read;
    struct status status = {""};
    struct batch *batch = calloc(1, sizeof *batch);
    bool is_file = arguments[0] != NULL && strcmp(arguments[0], "-") != 0;
    FILE *in = is_file ? fopen(arguments[0], "re") : stdin;
    int code = EXIT_ERROR;
    if (batch == NULL || in == NULL) {
        fprintf(stderr, "sluice batch: %s: %s\n", is_file ? arguments[0] : "-", strerror(errno));
    } else if (!read_batch(batch, in, options->is_at_most, &status)) {
        fprintf(stderr, "sluice batch: %s\n", status.text);
    } else {
        code = ask(batch, options, &status);
    }
    if (in != NULL && is_file) {
        fclose(in);
    }
    if (batch != NULL) {
        batch_destroy(&batch);
    }
    return code;
}

const struct command cmd_batch = {
    .program = "sluice",
    .name = "batch",
    .summary = "Check several buckets in one round trip, or all of them or none",
    .arguments = "[FILE]",
    .max_arguments = 1,
    .options = options_table,
    .n_options = sizeof options_table / sizeof options_table[0],
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes = "Each line of FILE, or of the standard input, is TENANT RESOURCE KEY [COST]; at most 256 lines. "
             "The n-th\n"
             "line told answers the n-th check. Exit code: 0 all allowed, 1 any denied, 2 any failed.\n\n"
             "  printf 'demo hello alice\\ndemo hello bob 2\\n' | sluice batch --all-or-nothing\n",
    .run = run,
};
