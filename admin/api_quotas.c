/* api_quotas.c — one quota: get, set, delete.
 *
 *   put, delete ── change in Redis ──> made, with its revision | conflict: 412 with both values | 503 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "admin/call.h"
#include "admin/handlers.h"
#include "admin/json_bytes.h"
#include "admin/quota_value.h"
#include "server/base/units.h"
#include "server/quota/quota_json.h"

/* What is to be set, kept until Redis has answered. */
struct put_state {
    struct quota_rules rules;
    bool is_new;
};

static const struct quota *find_quota(const struct call *call) {
    struct backend *backend = call_backend(call);
    return quota_set_get(backend->ops->quotas(backend), call->parts[ROUTE_TENANT], call->parts[ROUTE_RESOURCE]);
}

static void refuse_absent(struct call *call) {
    call_refuse(call, 404, NULL, "there is no quota of this tenant and resource");
}

void api_quota_get(struct call *call) {
    if (!quota_value_judge_pattern(call, "", call->parts[ROUTE_TENANT], call->parts[ROUTE_RESOURCE])) {
        return;
    }
    const struct quota *quota = find_quota(call);
    if (quota == NULL) {
        refuse_absent(call);
        return;
    }
    call_set_etag(call, quota->revision);
    call_answer_json(call, 200, quota_value_of_quota(quota));
}

/* ---- what must be there before ---- */

/* An entity tag as we write them: a revision in quotes. */
static bool read_etag(struct call *call, int64_t *revision) {
    struct bytes text = {.data = (const uint8_t *)call->if_match + 1, .len = strlen(call->if_match)};
    struct status reason;
    if (text.len < 3 || call->if_match[0] != '"' || call->if_match[text.len - 1] != '"') {
        call_refuse(call, 400, "If-Match", "is not one entity tag, such as \"12\"");
        return false;
    }
    text.len -= 2;
    if (!units_read_integer(text, 0, INT64_MAX, revision, &reason)) {
        call_refuse(call, 400, "If-Match", "%s", reason.text);
        return false;
    }
    return true;
}

static bool read_precondition(struct call *call, int64_t *if_revision) {
    *if_revision = CONTROL_ANY_REVISION;
    if (call->has_if_match && call->has_if_none_match) {
        call_refuse(call, 400, "If-None-Match", "cannot stand beside If-Match");
        return false;
    }
    if (call->has_if_none_match) {
        *if_revision = 0;
        if (strcmp(call->if_none_match, "*") != 0) {
            call_refuse(call, 400, "If-None-Match", "must be *");
            return false;
        }
    }
    return !call->has_if_match || read_etag(call, if_revision);
}

/* ---- asking Redis ---- */

/* Both values side by side; the one that is there may be none. */
static void refuse_conflict(struct call *call, const struct control_change_result *result,
                            const struct quota_rules *yours) {
    json_t *current = json_null();
    if (result->current.len > 0) {
        current = quota_value_create(call->parts[ROUTE_TENANT], call->parts[ROUTE_RESOURCE], result->revision,
                                     json_of_text(result->current));
    }
    json_t *more = json_pack("{s:o, s:o}", "current", current, "yours",
                             yours != NULL ? quota_value_of_rules(yours) : json_null());
    struct status reason;
    if (result->current.len > 0) {
        status_fail(&reason, "the quota has revision %llu", (unsigned long long)result->revision);
    } else {
        status_fail(&reason, "there is no quota of this tenant and resource");
    }
    call_refuse_with(call, 412, call->has_if_none_match ? "If-None-Match" : "If-Match", more, reason.text);
}

static void put_done(void *arg, const struct control_change_result *result) {
    struct call *call = call_of(arg);
    const struct put_state *state = call->state;
    switch (result->outcome) {
    case CONTROL_OK:
        call_set_etag(call, result->revision);
        call_answer_json(call, state->is_new ? 201 : 200,
                         quota_value_create(call->parts[ROUTE_TENANT], call->parts[ROUTE_RESOURCE],
                                            result->revision, quota_value_of_rules(&state->rules)));
        break;
    case CONTROL_CONFLICT:
        refuse_conflict(call, result, &state->rules);
        break;
    case CONTROL_UNAVAILABLE:
        call_refuse_change(call, result);
        break;
    }
}

/* The rules in the body; false: the call is refused. */
static bool read_rules(struct call *call, struct quota_rules *rules) {
    static const char path[] = "quota";
    struct status status;
    json_t *value = call_read_json(call);
    if (value == NULL) {
        return false;
    }
    bool is_good = quota_json_read_value(value, path, rules, &status);
    json_decref(value);
    if (!is_good) {
        struct status whole;
        bool has_field = status.text[sizeof path - 1] == '.';
        status_fail(&whole, "%s%s", has_field ? "" : "body", status.text + sizeof path - (has_field ? 0 : 1));
        call_refuse_field(call, &whole);
    }
    return is_good;
}

static void send_change(struct call *call, const struct control_change *change, control_change_fn done) {
    struct backend *backend = call_backend(call);
    struct status status;
    struct control_call *pending =
        backend->ops->change(backend, change, 1, call_asker(call), done, call, &status);
    call_wait(call, pending, &status);
}

void api_quota_put(struct call *call) {
    struct control_change change = {
        .kind = CONTROL_PUT, .tenant = call->parts[ROUTE_TENANT], .resource = call->parts[ROUTE_RESOURCE]};
    struct put_state *state = calloc(1, sizeof *state);
    call->state = state;
    if (state == NULL) {
        call_refuse(call, 500, NULL, "out of memory");
        return;
    }
    if (!quota_value_judge_pattern(call, "", change.tenant, change.resource) ||
        !read_precondition(call, &change.if_revision) || !read_rules(call, &state->rules) ||
        !quota_value_judge_scopes(call, "", change.tenant, &state->rules)) {
        return;
    }
    change.rules = &state->rules;
    /* What was expected tells; else this frontend's own view, which may be a moment old. */
    state->is_new =
        change.if_revision == 0 || (change.if_revision == CONTROL_ANY_REVISION && find_quota(call) == NULL);
    send_change(call, &change, put_done);
}

static void delete_done(void *arg, const struct control_change_result *result) {
    struct call *call = call_of(arg);
    switch (result->outcome) {
    case CONTROL_OK:
        call_answer_json(call, 200, json_pack("{s:I}", "revision", (json_int_t)result->revision));
        break;
    case CONTROL_CONFLICT:
        if (result->current.len == 0) {
            refuse_absent(call);
        } else {
            refuse_conflict(call, result, NULL);
        }
        break;
    case CONTROL_UNAVAILABLE:
        call_refuse_change(call, result);
        break;
    }
}

void api_quota_delete(struct call *call) {
    struct control_change change = {
        .kind = CONTROL_DELETE, .tenant = call->parts[ROUTE_TENANT], .resource = call->parts[ROUTE_RESOURCE]};
    if (!quota_value_judge_pattern(call, "", change.tenant, change.resource)) {
        return;
    }
    if (call->has_if_none_match) {
        call_refuse(call, 400, "If-None-Match", "means nothing for a deletion");
        return;
    }
    if (read_precondition(call, &change.if_revision)) {
        send_change(call, &change, delete_done);
    }
}
