/* quota_line.c — a quota as one line. */
#include "admin/ctl/quota_line.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "admin/ctl/columns.h"
#include "admin/ctl/field.h"

static void append(struct quota_line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void append(struct quota_line *line, const char *format, ...) {
    size_t used = strlen(line->text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line->text + used, sizeof line->text - used, format, arguments);
    va_end(arguments);
}

/* What differs from the usual: names and algorithms other than token_bucket, scopes other than key. */
static void append_limit(struct quota_line *line, const json_t *limit) {
    const char *name = field_text(limit, "name"), *algorithm = field_text(limit, "algorithm");
    const char *rate = field_text(limit, "rate"), *scope = field_text(limit, "scope");
    bool is_usual = strcmp(algorithm, "token_bucket") == 0 || algorithm[0] == '\0';
    if (name[0] != '\0' && strcmp(name, "token_bucket") != 0 && strcmp(name, algorithm) != 0) {
        append(line, "%s ", name);
    }
    if (!is_usual) {
        append(line, "%s ", algorithm);
    }
    append(line, "%s", rate);
    if (json_object_get(limit, "burst") != NULL) {
        append(line, " burst %" PRId64, field_integer(limit, "burst"));
    }
    if (strcmp(rate, "0") == 0 || strncmp(rate, "0/", 2) == 0) {
        append(line, " (ban)");
    }
    if (scope[0] != '\0' && strcmp(scope, "key") != 0) {
        append(line, " scope %s", scope);
    }
}

struct quota_line quota_line_show(const json_t *quota) {
    struct quota_line line = {""}, tamed;
    const json_t *limits = field_list(quota, "limits");
    const char *mode = field_text(quota, "mode"), *policy = field_text(quota, "on_store_failure");
    if (!json_is_object(quota)) {
        return (struct quota_line){"none"};
    }
    if (json_is_true(json_object_get(quota, "unlimited"))) {
        return (struct quota_line){"unlimited"};
    }
    for (size_t i = 0; i < json_array_size(limits); i++) {
        append(&line, "%s", i > 0 ? ", " : "");
        append_limit(&line, json_array_get(limits, i));
    }
    if (mode[0] != '\0' && strcmp(mode, "enforce") != 0) {
        append(&line, "; %s", mode);
    }
    if (policy[0] != '\0' && strcmp(policy, "local") != 0) {
        append(&line, "; on store failure %s", policy);
    }
    columns_tame(line.text, tamed.text, sizeof tamed.text);
    return tamed;
}

struct quota_line quota_line_show_text(const char *text) {
    struct quota_line line = {""};
    json_t *quota = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    if (quota == NULL && text[0] != '\0') {
        columns_tame(text, line.text, sizeof line.text); /* such as what was refused */
        return line;
    }
    line = quota_line_show(quota);
    json_decref(quota);
    return line;
}
