/* main.c — `sluicectl`: finds the command in a table, has its options read, runs it. */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/ctl/commands.h"
#include "admin/ctl/session.h"

enum { ARGUMENTS_MAX = 8 };

static const struct command *const commands[] = {
    &ctl_quota_set, &ctl_quota_get, &ctl_quota_list, &ctl_quota_delete, &ctl_quota_shadow_report,
    &ctl_apply,     &ctl_diff,      &ctl_export,     &ctl_bucket_show,  &ctl_bucket_reset,
    &ctl_frontends, &ctl_changes,   &ctl_hot,        &ctl_status,       &ctl_token,
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

/* Whether the words begin with this name, of one word or two; `*n_words` is how many of them it took. */
static bool is_named(const char *name, int argc, char *const *argv, int *n_words) {
    const char *space = strchr(name, ' ');
    size_t n_first = space == NULL ? strlen(name) : (size_t)(space - name);
    *n_words = space == NULL ? 1 : 2;
    return argc >= *n_words && strlen(argv[0]) == n_first && strncmp(argv[0], name, n_first) == 0 &&
           (space == NULL || strcmp(argv[1], space + 1) == 0);
}

static const struct command *find_command(int argc, char *const *argv, int *n_words) {
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (is_named(commands[i]->name, argc, argv, n_words)) {
            return commands[i];
        }
    }
    return NULL;
}

/* Prints the commands whose first word is this, or all of them; how many there were. */
static int print_commands(const char *first_word, FILE *out) {
    int n = 0;
    for (size_t i = 0; i < N_COMMANDS; i++) {
        size_t n_first = strcspn(commands[i]->name, " ");
        if (first_word == NULL ||
            (strlen(first_word) == n_first && strncmp(commands[i]->name, first_word, n_first) == 0)) {
            fprintf(out, "  %-20s %s\n", commands[i]->name, commands[i]->summary);
            n++;
        }
    }
    return n;
}

static void print_overview(FILE *out) {
    fputs("sluicectl - steers Sluice, the distributed rate limiter: its quotas, and what its frontends make of "
          "them\n\n"
          "Usage: sluicectl COMMAND ...\n\n",
          out);
    print_commands(NULL, out);
    fputs("\n'sluicectl COMMAND --help' tells more of a command; 'sluicectl --version' prints the version.\n"
          "The admin address and the token come from --admin and --token-file, else from SLUICE_ADMIN and\n"
          "SLUICE_TOKEN, else from the fields admin and token of ~/" SETTINGS_FILE ".\n"
          "Exit codes: 0 done, 1 refused, 2 trouble.\n",
          out);
}

static int run_command(const struct command *command, int argc, char *const *argv) {
    struct status status = {""};
    char *arguments[ARGUMENTS_MAX + 1];
    bool wants_help;
    int code;
    void *options = malloc(command->options_bytes);
    if (options == NULL) {
        return session_complain(command->name, "out of memory");
    }
    if (!options_parse(command, argc, argv, options, arguments, &wants_help, &status)) {
        code = session_complain(command->name, "%s", status.text);
    } else if (wants_help) {
        options_print_help(command, stdout);
        code = CTL_DONE;
    } else {
        code = command->run(options, arguments);
    }
    free(options);
    return code;
}

/* A word that begins several commands, such as "quota", alone or with something that is none of them. */
static int complain_unknown(char *const *argv) {
    const char *word = argv[0];
    if (print_commands(word, stderr) == 0) {
        fprintf(stderr, "sluicectl: unknown %s '%s'; 'sluicectl --help' lists the commands\n",
                word[0] == '-' ? "option" : "command", word);
    } else {
        fprintf(stderr, "sluicectl: '%s' needs one of these second words\n", word);
    }
    return CTL_TROUBLE;
}

static int dispatch(int argc, char *const *argv) {
    int n_words;
    if (argc == 0) {
        print_overview(stderr);
        return CTL_TROUBLE;
    }
    bool is_help = strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0 || strcmp(argv[0], "help") == 0;
    if (is_help && argc == 1) {
        print_overview(stdout);
        return CTL_DONE;
    }
    if (strcmp(argv[0], "--version") == 0 || strcmp(argv[0], "version") == 0) {
        puts("sluicectl " SLUICE_VERSION);
        return CTL_DONE;
    }
    const struct command *command = find_command(argc - is_help, argv + is_help, &n_words);
    if (command == NULL) {
        if (argc == 2 && strcmp(argv[1], "--help") == 0 && print_commands(argv[0], stdout) > 0) {
            return CTL_DONE;
        }
        return complain_unknown(argv + is_help);
    }
    if (is_help) {
        options_print_help(command, stdout);
        return CTL_DONE;
    }
    return run_command(command, argc - n_words, argv + n_words);
}

int main(int argc, char **argv) {
    setlocale(LC_CTYPE, ""); /* only to learn whether it is UTF-8; numbers stay as in C */
    signal(SIGPIPE, SIG_IGN);
    int code = dispatch(argc - 1, argv + 1);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "sluicectl: cannot write the output: %s\n", strerror(errno));
        return CTL_TROUBLE;
    }
    return code;
}
