/* options.c — reads a command line by its command's table, and prints the table as help. */
#include "client/cmd/options.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/units.h"

static const struct option_spec *find_option(const struct command *command, const char *name, size_t n_name) {
    for (size_t i = 0; i < command->n_options; i++) {
        const struct option_spec *spec = &command->options[i];
        if (strlen(spec->name) == n_name && memcmp(spec->name, name, n_name) == 0) {
            return spec;
        }
    }
    return NULL;
}

static struct bytes bytes_of(const char *text) {
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

/* "10" or "0.25": up to 9 digits on either side of the point. */
static bool read_factor(const char *text, double *value) {
    enum { MAX_DIGITS = 9 };
    static const char digits[] = "0123456789";
    size_t n_whole = strspn(text, digits), n_fraction = 0, n = n_whole;
    if (text[n] == '.') {
        n_fraction = strspn(text + n + 1, digits);
        n += 1 + n_fraction;
        if (n_fraction == 0) {
            return false;
        }
    }
    if (n_whole == 0 || n_whole > MAX_DIGITS || n_fraction > MAX_DIGITS || text[n] != '\0') {
        return false;
    }
    *value = strtod(text, NULL); /* the numeric locale stays "C" */
    return true;
}

/* `text` is NULL for a flag, and for a value that may be left out and was. */
static bool set_member(const struct option_spec *spec, const char *text, void *options, struct status *status) {
    void *member = (char *)options + spec->offset;
    struct options_list *list;
    struct status reason = {""};
    switch (spec->kind) {
    case OPTION_FLAG:
        *(bool *)member = true;
        return true;
    case OPTION_COUNT:
        return units_read_integer(bytes_of(text), spec->min, spec->max, member, &reason) ||
               status_fail(status, "--%s: %s", spec->name, reason.text);
    case OPTION_WAIT_US:
    case OPTION_DURATION_US:
        if (text == NULL) {
            *(int64_t *)member = OPTIONS_BARE;
            return true;
        }
        return units_read_duration(bytes_of(text), spec->min, spec->max, member, &reason) ||
               status_fail(status, "--%s: %s", spec->name, reason.text);
    case OPTION_FACTOR:
        return read_factor(text, member) ||
               status_fail(status, "--%s: '%s' is not a number such as 10 or 0.5", spec->name, text);
    case OPTION_TEXT:
        *(const char **)member = text;
        return true;
    case OPTION_LIST:
        list = member;
        if (list->n == OPTIONS_LIST_MAX) {
            return status_fail(status, "--%s: given more than %d times", spec->name, OPTIONS_LIST_MAX);
        }
        list->items[list->n++] = text;
        return true;
    }
    return false;
}

/* Reads the option at argv[*at], with its value, and leaves *at on the last word read. */
static bool read_option(const struct command *command, int argc, char *const *argv, int *at, void *options,
                        struct status *status) {
    const char *name = argv[*at] + 2;
    const char *equals = strchr(name, '=');
    const struct option_spec *spec =
        find_option(command, name, equals != NULL ? (size_t)(equals - name) : strlen(name));
    if (spec == NULL) {
        return status_fail(status, "unknown option %s; '%s %s --help' lists them", argv[*at], command->program,
                           command->name);
    }
    if (spec->kind == OPTION_FLAG) {
        if (equals != NULL) {
            return status_fail(status, "--%s takes no value", spec->name);
        }
        return set_member(spec, NULL, options, status);
    }
    if (equals != NULL || spec->kind == OPTION_WAIT_US) {
        return set_member(spec, equals != NULL ? equals + 1 : NULL, options, status);
    }
    if (*at + 1 == argc) {
        return status_fail(status, "--%s needs a value: %s", spec->name, spec->value);
    }
    return set_member(spec, argv[++*at], options, status);
}

/* "sluice ping [OPTION ...]" */
static struct units_shown show_usage(const struct command *command) {
    struct units_shown usage;
    snprintf(usage.text, sizeof usage.text, "%s %s%s%s [OPTION ...]", command->program, command->name,
             command->arguments[0] != '\0' ? " " : "", command->arguments);
    return usage;
}

static bool asks_for_help(int argc, char *const *argv) {
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return true;
        }
    }
    return false;
}

bool options_parse(const struct command *command, int argc, char *const *argv, void *options, char **arguments,
                   bool *wants_help, struct status *status) {
    int n_arguments = 0;
    bool options_ended = false;
    memcpy(options, command->defaults, command->options_bytes);
    arguments[0] = NULL;
    *wants_help = asks_for_help(argc, argv);
    if (*wants_help) {
        return true;
    }
    for (int at = 0; at < argc; at++) {
        const char *word = argv[at];
        if (!options_ended && strcmp(word, "--") == 0) {
            options_ended = true;
        } else if (!options_ended && strncmp(word, "--", 2) == 0) {
            if (!read_option(command, argc, argv, &at, options, status)) {
                return false;
            }
        } else if (!options_ended && word[0] == '-' && word[1] != '\0') {
            return status_fail(status, "unknown option %s; '%s %s --help' lists them", word, command->program,
                               command->name);
        } else if (n_arguments == command->max_arguments) {
            return status_fail(status, "'%s' is one argument too many; usage: %s", word,
                               show_usage(command).text);
        } else {
            arguments[n_arguments++] = argv[at];
        }
    }
    arguments[n_arguments] = NULL;
    if (n_arguments < command->min_arguments) {
        return status_fail(status, "too few arguments; usage: %s", show_usage(command).text);
    }
    return true;
}

/* " (default 256)"; nothing where a default says nothing. */
static void print_default(const struct option_spec *spec, const void *defaults, FILE *out) {
    const void *member = (const char *)defaults + spec->offset;
    const char *text;
    int64_t number;
    switch (spec->kind) {
    case OPTION_FLAG:
    case OPTION_WAIT_US:
    case OPTION_LIST:
        break;
    case OPTION_COUNT:
        number = *(const int64_t *)member;
        if (spec->min <= number && number <= spec->max) {
            fprintf(out, " (default %" PRId64 ")", number);
        }
        break;
    case OPTION_DURATION_US:
        fprintf(out, " (default %s)", units_show_duration(*(const int64_t *)member).text);
        break;
    case OPTION_FACTOR:
        fprintf(out, " (default %g)", *(const double *)member);
        break;
    case OPTION_TEXT:
        text = *(const char *const *)member;
        if (text != NULL) {
            fprintf(out, " (default %s)", text);
        }
        break;
    }
}

/* "--name", "--name VALUE" or "--name[=VALUE]" */
static struct units_shown show_form(const struct option_spec *spec) {
    struct units_shown form;
    bool may_be_bare = spec->kind == OPTION_WAIT_US;
    if (spec->value == NULL) {
        snprintf(form.text, sizeof form.text, "--%s", spec->name);
    } else {
        snprintf(form.text, sizeof form.text, "--%s%s%s%s", spec->name, may_be_bare ? "[=" : " ", spec->value,
                 may_be_bare ? "]" : "");
    }
    return form;
}

void options_print_help(const struct command *command, FILE *out) {
    int width = 20;
    for (size_t i = 0; i < command->n_options; i++) {
        int n = (int)strlen(show_form(&command->options[i]).text);
        width = n > width ? n : width;
    }
    fprintf(out, "Usage: %s\n\n%s.\n\n", show_usage(command).text, command->summary);
    for (size_t i = 0; i < command->n_options; i++) {
        const struct option_spec *spec = &command->options[i];
        fprintf(out, "  %-*s %s", width, show_form(spec).text, spec->help);
        print_default(spec, command->defaults, out);
        fputc('\n', out);
    }
    fprintf(out, "  %-*s %s\n\n%s", width, "--help", "print this text", command->notes);
}
