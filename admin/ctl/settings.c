/* settings.c — flags over variables over the file over defaults. */
#include "admin/ctl/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/secret.h"
#include "server/base/yaml_file.h"

enum { PATH_BYTES = 4096 };

static bool is_given(const char *text) {
    return text != NULL && text[0] != '\0';
}

static char *copy_node(struct yaml_node node) {
    struct bytes text = yaml_node_text(node);
    return strndup(text.len > 0 ? (const char *)text.data : "", text.len);
}

/* Copies a text of the file unless it was given already, or is not there. */
static bool take_field(struct yaml_node node, char **value, struct status *status) {
    if (!yaml_node_exists(node)) {
        return true;
    }
    if (!yaml_node_expect(node, YAML_TEXT, status)) {
        return false;
    }
    if (*value == NULL) {
        *value = copy_node(node);
        return *value != NULL || status_fail(status, "out of memory");
    }
    return true;
}

static bool read_fields(const struct yaml_file *file, struct settings *settings, struct status *status) {
    enum { FILE_ADMIN, FILE_TOKEN, FILE_N_FIELDS };
    static const struct yaml_field fields[FILE_N_FIELDS] = {{"admin", false}, {"token", false}};
    struct yaml_node values[FILE_N_FIELDS];
    struct yaml_node root = yaml_file_root(file);
    return !yaml_node_exists(root) || (yaml_node_fields(root, fields, FILE_N_FIELDS, values, status) &&
                                       take_field(values[FILE_ADMIN], &settings->admin, status) &&
                                       take_field(values[FILE_TOKEN], &settings->token, status));
}

/* A file that is not there is none; one that others may read draws a warning when its token is used. */
static bool take_file(const char *home, struct settings *settings, struct status *status) {
    char path[PATH_BYTES];
    struct stat file_stat;
    int n = snprintf(path, sizeof path, "%s/%s", home, SETTINGS_FILE);
    if (n < 0 || (size_t)n >= sizeof path || stat(path, &file_stat) != 0) {
        return true;
    }
    bool had_token = settings->token != NULL;
    struct yaml_file *file = yaml_file_load(path, status);
    bool is_good = file != NULL && read_fields(file, settings, status);
    yaml_file_destroy(&file);
    if (is_good && !had_token && settings->token != NULL && (file_stat.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        status_fail(&settings->warning, "others may read the token in %s; chmod 600 it", path);
    }
    return is_good;
}

/* Turns "host:port" and "https://host:port/" into a URL to which a path can be added. */
static bool make_url(struct settings *settings, struct status *status) {
    const char *given = settings->admin != NULL ? settings->admin : SETTINGS_DEFAULT_ADMIN;
    bool has_scheme = strncmp(given, "http://", 7) == 0 || strncmp(given, "https://", 8) == 0;
    const char *host = has_scheme ? strstr(given, "://") + 3 : given;
    size_t n = strlen(host);
    n -= n > 0 && host[n - 1] == '/';
    if (n == 0 || strcspn(host, "/?#@ \t\r\n") < n) {
        return status_fail(status, "'%s' is no admin address, such as 127.0.0.1:7381 or https://host:7381",
                           given);
    }
    char *url = NULL;
    if (asprintf(&url, "%.*s%.*s", has_scheme ? (int)(host - given) : 7, has_scheme ? given : "http://", (int)n,
                 host) < 0) {
        return status_fail(status, "out of memory");
    }
    free(settings->admin);
    settings->admin = url;
    return true;
}

/* What goes into a header must be such that it stays one header. */
static bool check_token(const struct settings *settings, struct status *status) {
    const char *at = settings->token != NULL ? settings->token : "-";
    if (*at == '\0') {
        return status_fail(status, "the token is empty");
    }
    while (*at > ' ' && *at < 0x7f) {
        at++;
    }
    return *at == '\0' ||
           status_fail(status, "the token holds a blank or another character that no token may have");
}

static bool take(const char *text, char **value, struct status *status) {
    if (*value == NULL && is_given(text)) {
        *value = strdup(text);
        return *value != NULL || status_fail(status, "out of memory");
    }
    return true;
}

static bool take_token_file(const char *path, char **token, struct status *status) {
    *token = path != NULL ? secret_read(path, status) : NULL;
    return path == NULL || *token != NULL;
}

bool settings_load(struct settings *settings, const struct settings_sources *sources, struct status *status) {
    *settings = (struct settings){.admin = NULL};
    bool is_good = take_token_file(sources->token_file_flag, &settings->token, status) &&
                   take(sources->token_variable, &settings->token, status) &&
                   take(sources->admin_flag, &settings->admin, status) &&
                   take(sources->admin_variable, &settings->admin, status) &&
                   (!is_given(sources->home) || take_file(sources->home, settings, status)) &&
                   make_url(settings, status) && check_token(settings, status);
    if (!is_good) {
        settings_deinit(settings);
    }
    return is_good;
}

void settings_deinit(struct settings *settings) {
    free(settings->admin);
    secret_destroy(&settings->token);
    *settings = (struct settings){.admin = NULL};
}
