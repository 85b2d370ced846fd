/* options.h — one table per command: what it accepts, what it means, its help text.
 *
 * The table drives both parsing and help, and defaults shown are the defaults used. Every option is "--name",
 * "--name VALUE" or "--name=VALUE"; where the value may be left out, it is "--name" or "--name=VALUE". Options and
 * arguments may be mixed; "--" ends options; "-" is an argument. Texts point into argv. */
#ifndef SLUICE_CLIENT_CMD_OPTIONS_H
#define SLUICE_CLIENT_CMD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "server/base/status.h"

enum { OPTIONS_LIST_MAX = 16, OPTIONS_BARE = -1 };

struct options_list {
    const char *items[OPTIONS_LIST_MAX];
    size_t n;
};

/* What the member at `offset` is. */
enum option_kind {
    OPTION_FLAG,        /* bool; takes no value */
    OPTION_COUNT,       /* int64_t, min ... max */
    OPTION_DURATION_US, /* int64_t, min ... max microseconds */
    OPTION_WAIT_US,     /* the same, but "--name" alone is good too and means OPTIONS_BARE */
    OPTION_FACTOR,      /* double, 0 or more */
    OPTION_TEXT,        /* const char * */
    OPTION_LIST,        /* struct options_list; may be repeated */
};

struct option_spec {
    const char *name;  /* without dashes */
    const char *value; /* the value's name in help; NULL for a flag */
    enum option_kind kind;
    size_t offset;    /* of the member in the command's struct of options */
    int64_t min, max; /* of OPTION_COUNT, OPTION_DURATION_US and OPTION_WAIT_US */
    const char *help;
};

/* A command of a program. */
struct command {
    const char *program;   /* "sluice" */
    const char *name;      /* one word, or "quota set" */
    const char *summary;   /* one line for the list of commands */
    const char *arguments; /* "TENANT RESOURCE KEY" */
    int min_arguments, max_arguments;
    const struct option_spec *options;
    size_t n_options;
    const void *defaults; /* the struct of options before the command line is read */
    size_t options_bytes;
    const char *notes;                                       /* the rest of the help */
    int (*run)(const void *options, char *const *arguments); /* returns the exit code */
};

/* Reads argv[0 ... argc) - the program's and the command's name are not in it - into `options`
 * (options_bytes large) and `arguments` (max_arguments + 1 long, ended by NULL). `*wants_help` is set when
 * --help or -h is there; the rest is not judged then. False with a sentence when something is wrong. */
bool options_parse(const struct command *command, int argc, char *const *argv, void *options, char **arguments,
                   bool *wants_help, struct status *status) __attribute__((warn_unused_result));

void options_print_help(const struct command *command, FILE *out);

#endif
