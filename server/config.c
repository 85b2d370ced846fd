/* config.c — the options of sluiced, from three sources; see config.h. */
#include "server/config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/log.h"
#include "server/base/units.h"
#include "server/base/yaml_file.h"

enum { CONFIG_NAME_BYTES = 64, CONFIG_HELP_COLUMNS = 80 };

#define CONFIG_VARIABLE_PREFIX "SLUICE_"

#define CONFIG_SPEC(...) OPTION_SPEC(struct config, __VA_ARGS__)
static const struct option_spec config_specs[] = {CONFIG_OPTIONS(CONFIG_SPEC)};
enum { CONFIG_N_SPECS = sizeof config_specs / sizeof config_specs[0] };

static_assert(LOG_ERROR == 0 && LOG_WARN == 1 && LOG_INFO == 2 && LOG_DEBUG == 3, "as in log_level's form");

/* Flags that are not options: name, what stands for the value, sentence. */
#define CONFIG_COMMANDS(X)                                                                                     \
    X(config, "FILE", "Read options from this YAML file (variable SLUICE_CONFIG).")                            \
    X(check, "", "Validate the options and the quota file, and exit.")                                         \
    X(describe, "options|metrics", "List them for scripts, one per line, and exit.")                           \
    X(help, "", "Show this text and exit.")                                                                    \
    X(version, "", "Show the version and exit.")

enum config_command {
#define CONFIG_COMMAND_ENUM(name, form, help) CONFIG_COMMAND_##name,
    CONFIG_COMMANDS(CONFIG_COMMAND_ENUM) CONFIG_N_COMMANDS
#undef CONFIG_COMMAND_ENUM
};

static const struct {
    const char *name, *form, *help;
} config_commands[CONFIG_N_COMMANDS] = {
#define CONFIG_COMMAND_ROW(name, form, help) {#name, form, help},
    CONFIG_COMMANDS(CONFIG_COMMAND_ROW)
#undef CONFIG_COMMAND_ROW
};

static struct bytes config_bytes_of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

/* ---- flags ---- */

struct config_flag {
    const struct option_spec *spec; /* NULL: one of the commands */
    enum config_command command;
    const char *value; /* "" for a command that takes none */
};

/* '-' for '_' and the reverse, so that "--request-timeout" finds request_timeout and "--request_timeout" does
 * not. False when the name is too long to be one of ours. */
static bool config_swap_dashes(struct bytes from, char to[CONFIG_NAME_BYTES]) {
    if (from.len >= CONFIG_NAME_BYTES) {
        return false;
    }
    for (size_t i = 0; i < from.len; i++) {
        char c = (char)from.data[i];
        to[i] = c == '-' ? '_' : c == '_' ? '-' : c;
    }
    to[from.len] = '\0';
    return true;
}

static bool config_fail_unknown_flag(struct bytes flag_name, const char *name, struct status *status) {
    struct option_guess guess = {.wanted = config_bytes_of(name)};
    for (size_t i = 0; i < CONFIG_N_SPECS; i++) {
        option_guess_offer(&guess, config_specs[i].name);
    }
    for (size_t i = 0; i < CONFIG_N_COMMANDS; i++) {
        option_guess_offer(&guess, config_commands[i].name);
    }
    struct units_shown shown = units_show_text(flag_name);
    char best[CONFIG_NAME_BYTES];
    if (guess.best == NULL || !config_swap_dashes(config_bytes_of(guess.best), best)) {
        return status_fail(status, "--%s: there is no such option; see --help", shown.text);
    }
    return status_fail(status, "--%s: there is no such option; did you mean --%s?", shown.text, best);
}

/* Finds what "--name" means. False, with the reason, when nothing. */
static bool config_find_flag(struct bytes flag_name, struct config_flag *flag, struct status *status) {
    char name[CONFIG_NAME_BYTES] = "";
    if (config_swap_dashes(flag_name, name)) {
        flag->spec = options_find(config_specs, CONFIG_N_SPECS, config_bytes_of(name));
    }
    if (flag->spec != NULL) {
        return true;
    }
    for (unsigned i = 0; i < CONFIG_N_COMMANDS; i++) {
        if (strcmp(config_commands[i].name, name) == 0) {
            flag->command = (enum config_command)i;
            return true;
        }
    }
    return config_fail_unknown_flag(flag_name, name, status);
}

/* Takes the flag at argv[*i], "--name", "--name value" or "--name=value", and moves *i behind it. */
static bool config_take_flag(int argc, char *const *argv, int *i, struct config_flag *flag,
                             struct status *status) {
    const char *text = argv[(*i)++];
    *flag = (struct config_flag){.value = ""};
    if (strncmp(text, "--", 2) != 0 || text[2] == '\0') {
        return status_fail(status, "'%s' is not an option; see --help",
                           units_show_text(config_bytes_of(text)).text);
    }
    const char *equals = strchr(text, '=');
    struct bytes name = {.data = (const uint8_t *)text + 2,
                         .len = equals != NULL ? (size_t)(equals - text) - 2 : strlen(text) - 2};
    if (!config_find_flag(name, flag, status)) {
        return false;
    }
    bool takes_value = flag->spec != NULL || config_commands[flag->command].form[0] != '\0';
    if (!takes_value) {
        return equals == NULL ||
               status_fail(status, "--%s: takes no value", config_commands[flag->command].name);
    }
    if (equals != NULL) {
        flag->value = equals + 1;
    } else if (*i < argc && strncmp(argv[*i], "--", 2) != 0) {
        flag->value = argv[(*i)++];
    } else {
        return status_fail(status, "%s: needs a value", text);
    }
    return true;
}

/* First look at the flags: what to do, and which file to read. --help and --version win at once. */
static bool config_scan_flags(int argc, char *const *argv, enum config_action *action, const char **path,
                              struct status *status) {
    *action = CONFIG_RUN;
    for (int i = 1; i < argc;) {
        struct config_flag flag;
        if (!config_take_flag(argc, argv, &i, &flag, status)) {
            return false;
        }
        if (flag.spec != NULL) {
            continue;
        }
        switch (flag.command) {
        case CONFIG_COMMAND_config:
            *path = flag.value;
            break;
        case CONFIG_COMMAND_check:
            *action = CONFIG_CHECK;
            break;
        case CONFIG_COMMAND_describe:
            *action = strcmp(flag.value, "options") == 0 ? CONFIG_DESCRIBE_OPTIONS : CONFIG_DESCRIBE_METRICS;
            return strcmp(flag.value, "options") == 0 || strcmp(flag.value, "metrics") == 0 ||
                   status_fail(status, "--describe: '%s' is neither options nor metrics",
                               units_show_text(config_bytes_of(flag.value)).text);
        case CONFIG_COMMAND_help:
            *action = CONFIG_HELP;
            return true;
        case CONFIG_COMMAND_version:
            *action = CONFIG_VERSION;
            return true;
        case CONFIG_N_COMMANDS:
            break;
        }
    }
    return true;
}

static bool config_read_flags(int argc, char *const *argv, struct config *config, struct status *status) {
    for (int i = 1; i < argc;) {
        struct config_flag flag;
        struct status reason;
        if (!config_take_flag(argc, argv, &i, &flag, status)) {
            return false;
        }
        if (flag.spec != NULL && !option_set(flag.spec, config, config_bytes_of(flag.value), &reason)) {
            char name[CONFIG_NAME_BYTES];
            config_swap_dashes(config_bytes_of(flag.spec->name), name);
            return status_fail(status, "--%s: %s", name, reason.text);
        }
    }
    return true;
}

/* ---- variables ---- */

/* The part behind "SLUICE_" in lower case and the value; false for other variables and overlong names. */
static bool config_split_variable(const char *entry, char name[CONFIG_NAME_BYTES], const char **value) {
    size_t prefix = strlen(CONFIG_VARIABLE_PREFIX);
    const char *equals = strchr(entry, '=');
    if (equals == NULL || strncmp(entry, CONFIG_VARIABLE_PREFIX, prefix) != 0 ||
        (size_t)(equals - entry) - prefix >= CONFIG_NAME_BYTES) {
        return false;
    }
    size_t len = 0;
    for (const char *from = entry + prefix; from < equals; from++) {
        char c = *from;
        if (c >= 'a' && c <= 'z') {
            return false;
        }
        name[len++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    name[len] = '\0';
    *value = equals + 1;
    return true;
}

/* Warns about a name that is close to an option's. Others may be anybody's: Kubernetes sets SLUICE_PORT and
 * more for a service called sluice. */
static void config_warn_variable(struct config *config, const char *entry, const char *name) {
    struct option_guess guess = {.wanted = config_bytes_of(name)};
    static const char *const others[] = {"config", "server", "seed"}; /* ours, but no options of sluiced */
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (strcmp(name, others[i]) == 0) {
            return;
        }
    }
    for (size_t i = 0; i < CONFIG_N_SPECS; i++) {
        option_guess_offer(&guess, config_specs[i].name);
    }
    if (guess.best != NULL && config->n_warnings < CONFIG_MAX_WARNINGS) {
        snprintf(config->warnings[config->n_warnings++], CONFIG_WARNING_BYTES,
                 "%.*s is ignored: there is no option %s; did you mean %s?", (int)strcspn(entry, "="), entry,
                 name, guess.best);
    }
}

static bool config_read_variables(char *const *env, struct config *config, struct status *status) {
    for (; *env != NULL; env++) {
        char name[CONFIG_NAME_BYTES];
        const char *value;
        struct status reason;
        if (!config_split_variable(*env, name, &value)) {
            continue;
        }
        const struct option_spec *spec = options_find(config_specs, CONFIG_N_SPECS, config_bytes_of(name));
        if (spec == NULL) {
            config_warn_variable(config, *env, name);
        } else if (!option_set(spec, config, config_bytes_of(value), &reason)) {
            return status_fail(status, "%.*s: %s", (int)strcspn(*env, "="), *env, reason.text);
        }
    }
    return true;
}

static const char *config_find_variable(char *const *env, const char *wanted) {
    for (; *env != NULL; env++) {
        char name[CONFIG_NAME_BYTES];
        const char *value;
        if (config_split_variable(*env, name, &value) && strcmp(name, wanted) == 0) {
            return value;
        }
    }
    return NULL;
}

/* ---- the file ---- */

/* Sets a path that stands in a file: a relative one begins at the file's folder. */
static bool config_set_path(const struct option_spec *spec, struct config *config, const char *file_path,
                            struct bytes path, struct status *status) {
    const char *slash = strrchr(file_path, '/');
    size_t folder_len = slash != NULL ? (size_t)(slash - file_path) + 1 : 0;
    if (path.len == 0 || path.data[0] == '/' || folder_len == 0) {
        return option_set(spec, config, path, status);
    }
    char *joined = malloc(folder_len + path.len);
    if (joined == NULL) {
        return status_fail(status, "out of memory");
    }
    memcpy(joined, file_path, folder_len);
    memcpy(joined + folder_len, path.data, path.len);
    struct bytes whole = {.data = (const uint8_t *)joined, .len = folder_len + path.len};
    bool is_set = option_set(spec, config, whole, status);
    free(joined);
    return is_set;
}

static bool config_read_node(struct yaml_node node, const char *path, struct config *config,
                             struct status *status) {
    struct bytes key = yaml_node_key(node);
    const struct option_spec *spec = options_find(config_specs, CONFIG_N_SPECS, key);
    if (spec == NULL) {
        struct option_guess guess = {.wanted = key};
        for (size_t i = 0; i < CONFIG_N_SPECS; i++) {
            option_guess_offer(&guess, config_specs[i].name);
        }
        return guess.best == NULL
                   ? yaml_node_fail(node, status, "there is no such option; sluiced --help lists them")
                   : yaml_node_fail(node, status, "there is no such option; did you mean %s?", guess.best);
    }
    if (!yaml_node_expect(node, YAML_TEXT, status)) {
        return false;
    }
    struct status reason;
    bool is_set = spec->type == OPTION_PATH ? config_set_path(spec, config, path, yaml_node_text(node), &reason)
                                            : option_set(spec, config, yaml_node_text(node), &reason);
    return is_set || yaml_node_fail(node, status, "%s", reason.text);
}

static bool config_read_file(const char *path, struct config *config, struct status *status) {
    struct yaml_file *file = yaml_file_load(path, status);
    if (file == NULL) {
        return false;
    }
    struct yaml_node root = yaml_file_root(file);
    bool is_good = true;
    if (yaml_node_exists(root)) {
        is_good = yaml_node_expect(root, YAML_MAP, status);
        struct yaml_node node = yaml_node_first(root);
        for (; is_good && yaml_node_exists(node); node = yaml_node_next(node)) {
            is_good = config_read_node(node, path, config, status);
        }
    }
    yaml_file_destroy(&file);
    return is_good;
}

/* ---- all together ---- */

/* What no option can know alone. */
static bool config_judge(const struct config *config, struct status *status) {
    if (config->workers > 1 && config->redis_nodes[0] == '\0') {
        return status_fail(status,
                           "workers: the embedded store serves one worker; set redis_nodes or workers: 1");
    }
    if (config->redis_user[0] != '\0' && config->redis_password_file[0] == '\0') {
        return status_fail(status, "redis_user: a user needs redis_password_file");
    }
    if (config->hot_rate_least > config->hot_rate) {
        return status_fail(status, "hot_rate_least: %lld is above hot_rate, %lld",
                           (long long)config->hot_rate_least, (long long)config->hot_rate);
    }
    if (config->store_timeout_us > config->request_timeout_us) {
        return status_fail(status, "store_timeout: %s is above request_timeout, %s",
                           units_show_duration(config->store_timeout_us).text,
                           units_show_duration(config->request_timeout_us).text);
    }
    return true;
}

bool config_load(int argc, char *const *argv, char *const *env, struct config *config,
                 enum config_action *action, struct status *status) {
    *config = (struct config){0};
    const char *path = config_find_variable(env, "config");
    if (!config_scan_flags(argc, argv, action, &path, status)) {
        return false;
    }
    if (*action != CONFIG_RUN && *action != CONFIG_CHECK) {
        return true;
    }
    bool is_good = options_set_defaults(config_specs, CONFIG_N_SPECS, config, status) &&
                   (path == NULL || path[0] == '\0' || config_read_file(path, config, status)) &&
                   config_read_variables(env, config, status) &&
                   config_read_flags(argc, argv, config, status) && config_judge(config, status);
    if (!is_good) {
        config_deinit(config);
    }
    return is_good;
}

void config_deinit(struct config *config) {
    options_deinit(config_specs, CONFIG_N_SPECS, config);
}

/* ---- help ---- */

/* Writes words in lines of at most CONFIG_HELP_COLUMNS, each behind `indent` spaces. */
static void config_print_wrapped(FILE *out, int indent, const char *text) {
    int column = 0;
    for (const char *word = text; *word != '\0';) {
        int len = (int)strcspn(word, " ");
        if (column > 0 && column + 1 + len > CONFIG_HELP_COLUMNS) {
            fputc('\n', out);
            column = 0;
        }
        int gap = column == 0 ? indent : 1;
        fprintf(out, "%*s%.*s", gap, "", len, word);
        column += gap + len;
        word += len + (word[len] == ' ');
    }
    fputc('\n', out);
}

void config_print_help(FILE *out) {
    fputs("sluiced — answers rate-limit checks\n\nUsage: sluiced [OPTION]...\n\n", out);
    config_print_wrapped(
        out, 0,
        "Every option is a flag (--request-timeout 20ms), a variable "
        "(SLUICE_REQUEST_TIMEOUT=20ms) and a line of the configuration file "
        "(request_timeout: 20ms). Flags win over variables, those over the file, that over the "
        "defaults. Without any, sluiced keeps its buckets in its own memory and serves the demo "
        "quotas.");
    fputc('\n', out);
    for (size_t i = 0; i < CONFIG_N_COMMANDS; i++) {
        const char *form = config_commands[i].form;
        fprintf(out, "  --%s%s%s\n", config_commands[i].name, form[0] != '\0' ? " " : "", form);
        config_print_wrapped(out, 8, config_commands[i].help);
    }
    for (size_t i = 0; i < CONFIG_N_SPECS; i++) {
        const struct option_spec *spec = &config_specs[i];
        char name[CONFIG_NAME_BYTES], type[OPTION_SHOWN_BYTES], text[2 * OPTION_SHOWN_BYTES];
        config_swap_dashes(config_bytes_of(spec->name), name);
        option_show_type(spec, type, sizeof type);
        snprintf(text, sizeof text, "%s (%s; default %s)", spec->help, type,
                 spec->default_text[0] != '\0' ? spec->default_text : "empty");
        fprintf(out, "  --%s %s\n", name, spec->form);
        config_print_wrapped(out, 8, text);
    }
}

void config_describe_options(FILE *out) {
    for (size_t i = 0; i < CONFIG_N_SPECS; i++) {
        const struct option_spec *spec = &config_specs[i];
        char type[OPTION_SHOWN_BYTES];
        option_show_type(spec, type, sizeof type);
        fprintf(out, "%s\t%s\t%s\t%s\t%s\n", spec->name, type, spec->default_text,
                spec->is_reloadable ? "yes" : "no", spec->help);
    }
}
