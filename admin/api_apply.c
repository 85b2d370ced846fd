/* api_apply.c — many changes at once, all of them or none. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/call.h"
#include "admin/handlers.h"
#include "admin/json_bytes.h"
#include "admin/quota_value.h"
#include "server/base/units.h"
#include "server/quota/quota_json.h"

enum { PATH_BYTES = 48 };

/* What is asked for, kept until Redis has answered. */
struct item {
    struct quota_rules rules;
    uint8_t names[QUOTA_TENANT_MAX_BYTES + QUOTA_RESOURCE_MAX_BYTES];
};
struct apply_state {
    uint32_t n_changes;
    struct control_change changes[CONTROL_MAX_CHANGES];
    struct item items[]; /* of those changes that are no default */
};

static bool refuse_field(struct call *call, const char *path, const char *field, const char *reason) {
    struct status status;
    status_fail(&status, "%s%s%s: %.300s", path, path[0] != '\0' && field[0] != '\0' ? "." : "", field, reason);
    call_refuse_field(call, &status);
    return false;
}

/* Does the object have all of the fields, and none but these and the optional ones? Both lists end with NULL. */
static bool judge_fields(struct call *call, const char *path, json_t *object, const char *const *needed,
                         const char *const *optional) {
    if (!json_is_object(object)) {
        return refuse_field(call, path[0] != '\0' ? path : "body", "", "must be an object");
    }
    for (size_t i = 0; needed[i] != NULL; i++) {
        if (json_object_get(object, needed[i]) == NULL) {
            return refuse_field(call, path, needed[i], "is missing");
        }
    }
    for (void *iter = json_object_iter(object); iter != NULL; iter = json_object_iter_next(object, iter)) {
        const char *key = json_object_iter_key(iter);
        bool is_known = false;
        for (size_t i = 0; !is_known && needed[i] != NULL; i++) {
            is_known = strcmp(key, needed[i]) == 0;
        }
        for (size_t i = 0; !is_known && optional[i] != NULL; i++) {
            is_known = strcmp(key, optional[i]) == 0;
        }
        if (!is_known) {
            struct bytes shown = {.data = (const uint8_t *)key, .len = strlen(key)};
            return refuse_field(call, path, units_show_text(shown).text, "there is no such field here");
        }
    }
    return true;
}

/* ---- reading one change ---- */

static bool read_name(struct call *call, const char *path, const char *field, json_t *object, size_t max_bytes,
                      uint8_t *room, struct bytes *name) {
    const json_t *value = json_object_get(object, field);
    if (!json_is_string(value)) {
        return refuse_field(call, path, field, "must be a string");
    }
    *name = (struct bytes){.data = room, .len = json_string_length(value)};
    if (name->len > max_bytes) {
        return refuse_field(call, path, field, "is too long");
    }
    memcpy(room, json_string_value(value), name->len);
    return true;
}

static bool read_revision(struct call *call, const char *path, const json_t *value, int64_t *if_revision) {
    *if_revision = CONTROL_ANY_REVISION;
    if (value == NULL) {
        return true;
    }
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return refuse_field(call, path, "if_revision", "must be a whole number, 0 or more");
    }
    *if_revision = json_integer_value(value);
    return true;
}

static bool read_rules(struct call *call, const char *path, json_t *value, struct item *item,
                       struct control_change *change) {
    char quota_path[PATH_BYTES + 8], dotted[sizeof quota_path + 1];
    struct status status;
    if (json_is_null(value)) {
        change->kind = CONTROL_DELETE;
        return true;
    }
    snprintf(quota_path, sizeof quota_path, "%s.quota", path);
    snprintf(dotted, sizeof dotted, "%s.", quota_path);
    change->kind = CONTROL_PUT;
    change->rules = &item->rules;
    if (!quota_json_read_value(value, quota_path, &item->rules, &status)) {
        call_refuse_field(call, &status);
        return false;
    }
    return quota_value_judge_scopes(call, dotted, change->tenant, &item->rules);
}

static bool read_change(struct call *call, size_t index, json_t *object, struct item *item,
                        struct control_change *change) {
    static const char *const needed[] = {"tenant", "resource", "quota", NULL};
    static const char *const optional[] = {"if_revision", NULL};
    char path[PATH_BYTES], dotted[PATH_BYTES + 1];
    snprintf(path, sizeof path, "changes[%zu]", index);
    snprintf(dotted, sizeof dotted, "%s.", path);
    return judge_fields(call, path, object, needed, optional) &&
           read_name(call, path, "tenant", object, QUOTA_TENANT_MAX_BYTES, item->names, &change->tenant) &&
           read_name(call, path, "resource", object, QUOTA_RESOURCE_MAX_BYTES,
                     item->names + QUOTA_TENANT_MAX_BYTES, &change->resource) &&
           quota_value_judge_pattern(call, dotted, change->tenant, change->resource) &&
           read_revision(call, path, json_object_get(object, "if_revision"), &change->if_revision) &&
           read_rules(call, path, json_object_get(object, "quota"), item, change);
}

/* ---- reading the body ---- */

static bool read_default(struct call *call, const json_t *value, struct apply_state *state) {
    const char *word = json_string_value(value);
    bool is_deny = word != NULL && strcmp(word, "deny") == 0;
    if (value == NULL) {
        return true;
    }
    if (!is_deny && (word == NULL || strcmp(word, "allow") != 0)) {
        return refuse_field(call, "", "default", "is neither \"allow\" nor \"deny\"");
    }
    state->changes[state->n_changes++] =
        (struct control_change){.kind = CONTROL_DEFAULT,
                                .unknown = is_deny ? QUOTA_UNKNOWN_DENY : QUOTA_UNKNOWN_ALLOW,
                                .if_revision = CONTROL_ANY_REVISION};
    return true;
}

static bool read_changes(struct call *call, json_t *document) {
    json_t *list = json_object_get(document, "changes"), *unknown = json_object_get(document, "default");
    size_t n = json_array_size(list);
    if (!json_is_array(list)) {
        return refuse_field(call, "", "changes", "must be a list");
    }
    if (n + (unknown != NULL) < 1 || n + (unknown != NULL) > CONTROL_MAX_CHANGES) {
        return refuse_field(call, "", "changes", "has not 1 to 1000 changes, with the default");
    }
    struct apply_state *state = calloc(1, sizeof *state + n * sizeof state->items[0]);
    call->state = state;
    if (state == NULL) {
        call_refuse(call, 500, NULL, "out of memory");
        return false;
    }
    for (; state->n_changes < n; state->n_changes++) {
        uint32_t i = state->n_changes;
        if (!read_change(call, i, json_array_get(list, i), &state->items[i], &state->changes[i])) {
            return false;
        }
    }
    return read_default(call, unknown, state);
}

static bool read_body(struct call *call) {
    static const char *const needed[] = {"changes", NULL}, *const optional[] = {"default", NULL};
    json_t *document = call_read_json(call);
    if (document == NULL) {
        return false;
    }
    bool is_good = judge_fields(call, "", document, needed, optional) && read_changes(call, document);
    json_decref(document);
    return is_good;
}

/* ---- asking Redis ---- */

static void refuse_conflict(struct call *call, const struct control_change_result *result) {
    const struct apply_state *state = call->state;
    const struct control_change *change = &state->changes[result->index];
    bool is_there = result->current.len > 0;
    char field[PATH_BYTES];
    struct status reason;
    snprintf(field, sizeof field, "changes[%u].if_revision", (unsigned)result->index);
    if (is_there) {
        status_fail(&reason, "the quota has revision %llu", (unsigned long long)result->revision);
    } else {
        status_fail(&reason, "there is no quota of this tenant and resource");
    }
    json_t *current = json_null();
    if (is_there) {
        current = quota_value_create(change->tenant, change->resource, result->revision,
                                     json_of_text(result->current));
    }
    json_t *more = json_pack("{s:I, s:o, s:o, s:o, s:o}", "index", (json_int_t)result->index, "tenant",
                             json_of_bytes(change->tenant), "resource", json_of_bytes(change->resource),
                             "current", current, "yours",
                             change->kind == CONTROL_PUT ? quota_value_of_rules(change->rules) : json_null());
    call_refuse_with(call, 412, field, more, reason.text);
}

static void apply_done(void *arg, const struct control_change_result *result) {
    struct call *call = call_of(arg);
    const struct apply_state *state = call->state;
    switch (result->outcome) {
    case CONTROL_OK:
        call_answer_json(call, 200,
                         json_pack("{s:I, s:i}", "revision", (json_int_t)result->revision, "changed",
                                   (int)state->n_changes));
        break;
    case CONTROL_CONFLICT:
        refuse_conflict(call, result);
        break;
    case CONTROL_UNAVAILABLE:
        call_refuse_change(call, result);
        break;
    }
}

void api_quotas_apply(struct call *call) {
    if (!read_body(call)) {
        return;
    }
    const struct apply_state *state = call->state;
    struct backend *backend = call_backend(call);
    struct status status;
    struct control_call *pending = backend->ops->change(backend, state->changes, state->n_changes,
                                                        call_asker(call), apply_done, call, &status);
    call_wait(call, pending, &status);
}
