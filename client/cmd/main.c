/* main.c — `sluice`: finds the command in a table, has its options read, runs it. */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd/commands.h"
#include "client/sluice.h"

enum { ARGUMENTS_MAX = 8 };

static const struct command *const commands[] = {&cmd_check,    &cmd_batch,  &cmd_refund,
                                                 &cmd_reserve,  &cmd_settle, &cmd_replay,
                                                 &cmd_simulate, &cmd_bench,  &cmd_ping};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static const struct command *find_command(const char *name) {
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

static void print_overview(FILE *out) {
    fputs("sluice - asks Sluice, the distributed rate limiter: may this caller do this now?\n\n"
          "Usage: sluice COMMAND ...\n\n",
          out);
    for (size_t i = 0; i < N_COMMANDS; i++) {
        fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    }
    fputs("\n'sluice COMMAND --help' tells more of a command; 'sluice --version' prints the version.\n"
          "Exit codes: 0 allowed or done, 1 denied, 2 error.\n",
          out);
}

static int complain(const char *where, const char *what) {
    fprintf(stderr, "sluice%s%s: %s\n", where[0] != '\0' ? " " : "", where, what);
    return EXIT_ERROR;
}

static int run_command(const struct command *command, int argc, char *const *argv) {
    struct status status = {""};
    char *arguments[ARGUMENTS_MAX + 1];
    bool wants_help;
    int code;
    void *options = malloc(command->options_bytes);
    if (options == NULL) {
        return complain(command->name, "out of memory");
    }
    if (!options_parse(command, argc, argv, options, arguments, &wants_help, &status)) {
        code = complain(command->name, status.text);
    } else if (wants_help) {
        options_print_help(command, stdout);
        code = 0;
    } else {
        code = command->run(options, arguments);
    }
    free(options);
    return code;
}

static int print_help(int argc, char *const *argv) {
    if (argc == 0) {
        print_overview(stdout);
        return 0;
    }
    const struct command *command = argc == 1 ? find_command(argv[0]) : NULL;
    if (command == NULL) {
        return complain("help", "no such command; 'sluice --help' lists them");
    }
    options_print_help(command, stdout);
    return 0;
}

static int dispatch(int argc, char *const *argv) {
    if (argc < 2) {
        print_overview(stderr);
        return EXIT_ERROR;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        return print_help(argc - 2, argv + 2);
    }
    if (strcmp(word, "--version") == 0 || strcmp(word, "version") == 0) {
        printf("sluice %s\n", sluice_version());
        return 0;
    }
    const struct command *command = find_command(word);
    if (command == NULL) {
        fprintf(stderr, "sluice: unknown %s '%s'; 'sluice --help' lists the commands\n",
                word[0] == '-' ? "option" : "command", word);
        return EXIT_ERROR;
    }
    return run_command(command, argc - 2, argv + 2);
}

int main(int argc, char **argv) {
    setlocale(LC_CTYPE, ""); /* only to learn whether it is UTF-8; numbers stay as in C */
    signal(SIGPIPE, SIG_IGN);
    int code = dispatch(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "sluice: cannot write the output: %s\n", strerror(errno));
        return EXIT_ERROR;
    }
    return code;
}
