/* quota_json.c — one quota as JSON; see quota_json.h. */
#include "server/quota/quota_json.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "server/base/units.h"
#include "server/quota/quota_form.h"

enum { PATH_BYTES = 160, NUMBER_BYTES = 24, WRITTEN_MAX_BYTES = 2048 };

/* ---- reading ---- */

static struct bytes text_of(const char *text, size_t len) {
    return (struct bytes){.data = (const uint8_t *)text, .len = len};
}

/* Writes "path.field: reason"; an empty path or field is left out. */
static int fail_at(const char *path, const char *field, struct status *status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static int fail_at(const char *path, const char *field, struct status *status, const char *format, ...) {
    struct status reason;
    va_list args;
    va_start(args, format);
    vsnprintf(reason.text, sizeof reason.text, format, args);
    va_end(args);
    bool has_both = path[0] != '\0' && field[0] != '\0', has_any = path[0] != '\0' || field[0] != '\0';
    return status_fail(status, "%s%s%s%s%.300s", path, has_both ? "." : "", field, has_any ? ": " : "",
                       reason.text);
}

static const char *kind_of(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "a number";
    case JSON_REAL:
        return "a number with a fraction or an exponent";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a truth value";
    case JSON_NULL:
        return "null";
    }
    return "";
}

static int fail_unknown(const char *path, const char *key, const struct yaml_field *fields, size_t n_fields,
                        struct status *status) {
    char names[PATH_BYTES] = "";
    for (size_t i = 0, used = 0; i < n_fields && used < sizeof names; i++) {
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "", fields[i].name);
    }
    struct units_shown shown = units_show_text(text_of(key, strlen(key)));
    return fail_at(path, shown.text, status, "there is no such field here; the fields are: %s", names);
}

/* The values of an object that has no fields but these; NULL for one that is absent. */
static bool read_fields(json_t *object, const char *path, const struct yaml_field *fields, size_t n_fields,
                        json_t **values, struct status *status) {
    if (!json_is_object(object)) {
        return fail_at(path, "", status, "is %s; an object is needed", kind_of(object));
    }
    size_t n_known = 0;
    for (size_t i = 0; i < n_fields; i++) {
        values[i] = json_object_get(object, fields[i].name);
        n_known += values[i] != NULL;
        if (values[i] == NULL && fields[i].is_required) {
            return fail_at(path, "", status, "'%s' is missing", fields[i].name);
        }
    }
    void *iter = json_object_iter(object);
    for (; n_known < json_object_size(object) && iter != NULL; iter = json_object_iter_next(object, iter)) {
        const char *key = json_object_iter_key(iter);
        size_t i = 0;
        while (i < n_fields && strcmp(fields[i].name, key) != 0) {
            i++;
        }
        if (i == n_fields) {
            return fail_unknown(path, key, fields, n_fields, status);
        }
    }
    return true;
}

static bool read_string(json_t *value, const char *path, const char *field, struct bytes *text,
                        struct status *status) {
    if (value == NULL) {
        return true;
    }
    if (!json_is_string(value)) {
        return fail_at(path, field, status, "is %s; a string is needed", kind_of(value));
    }
    *text = text_of(json_string_value(value), json_string_length(value));
    return true;
}

static bool read_integer(json_t *value, const char *path, const char *field, char digits[NUMBER_BYTES],
                         struct bytes *text, struct status *status) {
    if (value == NULL) {
        return true;
    }
    if (!json_is_integer(value)) {
        return fail_at(path, field, status, "is %s; a whole number, such as 10, is needed", kind_of(value));
    }
    int n = snprintf(digits, NUMBER_BYTES, "%" PRId64, (int64_t)json_integer_value(value));
    *text = text_of(digits, (size_t)n);
    return true;
}

static bool read_limit(json_t *value, const char *path, struct quota_rules *rules, struct status *status) {
    json_t *values[QUOTA_N_LIMIT_FIELDS] = {NULL};
    struct bytes texts[QUOTA_N_LIMIT_FIELDS] = {{0}};
    char digits[NUMBER_BYTES];
    if (!read_fields(value, path, quota_limit_fields, QUOTA_N_LIMIT_FIELDS, values, status)) {
        return false;
    }
    for (size_t i = 0; i < QUOTA_N_LIMIT_FIELDS; i++) {
        const char *name = quota_limit_fields[i].name;
        bool is_good = i == QUOTA_LIMIT_BURST ? read_integer(values[i], path, name, digits, &texts[i], status)
                                              : read_string(values[i], path, name, &texts[i], status);
        if (!is_good) {
            return false;
        }
    }
    enum quota_limit_field field;
    struct status reason;
    return quota_form_add_limit(rules, texts, &field, &reason) ||
           fail_at(path, field < QUOTA_N_LIMIT_FIELDS ? quota_limit_fields[field].name : "", status, "%s",
                   reason.text);
}

static bool read_limits(json_t *list, const char *path, struct quota_rules *rules, struct status *status) {
    if (json_array_size(list) == 0) {
        return fail_at(path, "limits", status, "is empty; at least one limit is needed");
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        char limit_path[PATH_BYTES];
        snprintf(limit_path, sizeof limit_path, "%.120s%slimits[%zu]", path, path[0] != '\0' ? "." : "", i);
        if (!read_limit(json_array_get(list, i), limit_path, rules, status)) {
            return false;
        }
    }
    return true;
}

/* The texts of all fields but the limits. */
static bool read_texts(json_t *const values[QUOTA_N_FIELDS], const char *path,
                       struct bytes texts[QUOTA_N_FIELDS], struct status *status) {
    const json_t *limits = values[QUOTA_FIELD_LIMITS], *unlimited = values[QUOTA_FIELD_UNLIMITED];
    if (limits != NULL) {
        if (!json_is_array(limits)) {
            return fail_at(path, "limits", status, "is %s; a list is needed", kind_of(limits));
        }
        texts[QUOTA_FIELD_LIMITS] = text_of("", 0);
    }
    if (unlimited != NULL) {
        if (!json_is_boolean(unlimited)) {
            return fail_at(path, "unlimited", status, "is %s; true or false is needed", kind_of(unlimited));
        }
        texts[QUOTA_FIELD_UNLIMITED] = json_is_true(unlimited) ? text_of("true", 4) : text_of("false", 5);
    }
    return read_string(values[QUOTA_FIELD_ON_STORE_FAILURE], path, "on_store_failure",
                       &texts[QUOTA_FIELD_ON_STORE_FAILURE], status) &&
           read_string(values[QUOTA_FIELD_MODE], path, "mode", &texts[QUOTA_FIELD_MODE], status);
}

bool quota_json_read_value(struct json_t *value, const char *path, struct quota_rules *rules,
                           struct status *status) {
    json_t *values[QUOTA_N_FIELDS] = {NULL};
    struct bytes texts[QUOTA_N_FIELDS] = {{0}};
    if (!read_fields(value, path, quota_fields, QUOTA_N_FIELDS, values, status) ||
        !read_texts(values, path, texts, status)) {
        return false;
    }
    enum quota_field field;
    struct status reason;
    if (!quota_form_begin(rules, texts, &field, &reason)) {
        return fail_at(path, field < QUOTA_N_FIELDS ? quota_fields[field].name : "", status, "%s", reason.text);
    }
    return rules->is_unlimited ||
           (read_limits(values[QUOTA_FIELD_LIMITS], path, rules, status) && quota_rules_check(rules, status));
}

bool quota_json_read(struct bytes text, struct quota_rules *rules, struct status *status) {
    if (text.len > QUOTA_JSON_MAX_BYTES) {
        return status_fail(status, "is larger than %s", units_show_bytes(QUOTA_JSON_MAX_BYTES).text);
    }
    json_error_t error;
    json_t *value = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &error);
    if (value == NULL) {
        struct units_shown why = units_show_text(text_of(error.text, strlen(error.text)));
        return status_fail(status, "is not good JSON: line %d, column %d: %s", error.line, error.column,
                           why.text);
    }
    bool is_good = quota_json_read_value(value, "", rules, status);
    json_decref(value);
    return is_good;
}

/* ---- writing: names and words need no escapes ---- */

static size_t write_limit(const struct quota_rules *rules, uint32_t i, char *out, size_t max_bytes) {
    const struct bucket_limit *limit = &rules->limits[i];
    size_t n = (size_t)snprintf(out, max_bytes, "%s{\"name\":\"%s\",\"algorithm\":\"%s\",\"rate\":\"%s\"",
                                i > 0 ? "," : "", rules->limit_names[i],
                                quota_form_algorithm_word(limit->algorithm), quota_form_show_rate(limit).text);
    if (!bucket_is_window(limit)) {
        n += (size_t)snprintf(out + n, max_bytes - n, ",\"burst\":%" PRId64,
                              limit->burst_utok / BUCKET_UTOK_PER_TOKEN);
    }
    return n + (size_t)snprintf(out + n, max_bytes - n, ",\"scope\":\"%s\"}",
                                quota_form_scope_word(rules->scopes[i]));
}

bool quota_json_write(const struct quota_rules *rules, struct buf *out) {
    char text[WRITTEN_MAX_BYTES]; /* a limit takes less than 200 bytes */
    if (rules->is_unlimited) {
        return buf_append(out, "{\"unlimited\":true}", strlen("{\"unlimited\":true}"));
    }
    size_t n = (size_t)snprintf(text, sizeof text, "{\"limits\":[");
    for (uint32_t i = 0; i < rules->n_limits; i++) {
        n += write_limit(rules, i, text + n, sizeof text - n);
    }
    n += (size_t)snprintf(text + n, sizeof text - n, "],\"on_store_failure\":\"%s\",\"mode\":\"%s\"}",
                          quota_form_failure_word(rules->on_store_failure), quota_form_mode_word(rules->mode));
    return buf_append(out, text, n);
}
