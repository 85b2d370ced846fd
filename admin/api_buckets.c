/* api_buckets.c — the buckets of a check as they stand in Redis, and filling them. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "admin/call.h"
#include "admin/handlers.h"
#include "admin/json_bytes.h"
#include "admin/quota_value.h"
#include "server/core/bucket.h"
#include "server/quota/quota_form.h"

static struct control_bucket bucket_of(const struct call *call) {
    return (struct control_bucket){.tenant = call->parts[ROUTE_TENANT],
                                   .resource = call->parts[ROUTE_RESOURCE],
                                   .key = call->parts[ROUTE_KEY]};
}

static const struct quota_part *part_of(const struct quota *quota, uint32_t limit) {
    const struct quota_part *part = quota->parts;
    while (limit >= part->first_limit + part->n_limits) {
        part++;
    }
    return part;
}

static json_t *create_limit(const struct quota *quota, uint32_t i, const struct control_bucket_result *result) {
    const struct bucket_limit *limit = &quota->limits[i];
    return json_pack("{s:s, s:s, s:f, s:I, s:s, s:I}", "name", quota->limit_names[i], "scope",
                     quota_form_scope_word(part_of(quota, i)->scope), "level",
                     (double)result->levels_utok[i] / (double)BUCKET_UTOK_PER_TOKEN, "burst",
                     (json_int_t)(limit->burst_utok / BUCKET_UTOK_PER_TOKEN), "rate",
                     quota_form_show_rate(limit).text, "full_after_us", (json_int_t)result->full_after_us[i]);
}

/* `quota` as it stands: unlimited and banned ones keep no buckets, and have no `result`. */
static json_t *create_bucket(const struct call *call, const struct quota *quota,
                             const struct control_bucket_result *result) {
    json_t *limits = json_array();
    for (uint32_t i = 0; result != NULL && limits != NULL && i < quota->n_limits; i++) {
        if (json_array_append_new(limits, create_limit(quota, i, result)) != 0) {
            json_decref(limits);
            return NULL;
        }
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:s}", "tenant", json_of_bytes(call->parts[ROUTE_TENANT]),
                     "resource", json_of_bytes(call->parts[ROUTE_RESOURCE]), "key",
                     json_of_bytes(call->parts[ROUTE_KEY]), "pattern", json_of_bytes(quota_resource(quota)),
                     "limits", limits, "source", "store");
}

static void look_done(void *arg, const struct control_bucket_result *result) {
    struct call *call = call_of(arg);
    if (result->outcome == CONTROL_OK) {
        call_answer_json(call, 200, create_bucket(call, result->quota, result));
    } else {
        call_refuse_unavailable(call, result->reason);
    }
}

/* The quota by which checks of these names are decided; NULL: the call is refused. */
static const struct quota *find_quota(struct call *call) {
    struct backend *backend = call_backend(call);
    if (!quota_value_judge_names(call)) {
        return NULL;
    }
    const struct quota *quota =
        quota_set_find(backend->ops->quotas(backend), call->parts[ROUTE_TENANT], call->parts[ROUTE_RESOURCE]);
    if (quota == NULL) {
        call_refuse(call, 404, NULL, "no quota matches this tenant and resource");
    }
    return quota;
}

void api_bucket_look(struct call *call) {
    struct backend *backend = call_backend(call);
    struct control_bucket bucket = bucket_of(call);
    struct status status;
    const struct quota *quota = find_quota(call);
    if (quota == NULL) {
        return;
    }
    if (quota->is_unlimited || quota->is_banned) {
        call_answer_json(call, 200, create_bucket(call, quota, NULL));
        return;
    }
    struct control_call *pending = backend->ops->bucket_look(backend, &bucket, quota, look_done, call, &status);
    call_wait(call, pending, &status);
}

static void reset_done(void *arg, const struct control_bucket_result *result) {
    struct call *call = call_of(arg);
    if (result->outcome == CONTROL_OK) {
        call_answer_json(call, 200, json_pack("{s:b}", "reset", 1));
    } else {
        call_refuse_unavailable(call, result->reason);
    }
}

/* The limit that is asked for; false: the call is refused. */
static bool find_limit(struct call *call, const struct quota *quota, struct bytes name, uint32_t *limit) {
    char names[BUCKET_MAX_LIMITS * (QUOTA_LIMIT_NAME_MAX_BYTES + 3)] = "";
    size_t used = 0;
    for (*limit = 0; *limit < quota->n_limits; ++*limit) {
        const char *other = quota->limit_names[*limit];
        if (name.len == strlen(other) && memcmp(name.data, other, name.len) == 0) {
            return true;
        }
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", *limit > 0 ? ", " : "", other);
    }
    call_refuse(call, 400, query_field_name(QUERY_LIMIT_NAME), "the quota has no limit '%s'; it has %s",
                units_show_text(name).text, used > 0 ? names : "none");
    return false;
}

/* Which bucket is to be filled: all that is the key's own, or that of a wider limit, by its name. */
static bool choose_bucket(struct call *call, const struct quota *quota, struct bucket_name *name) {
    struct control_bucket bucket = bucket_of(call);
    struct bytes wanted = call->query.values[QUERY_LIMIT_NAME];
    const char *field = query_field_name(QUERY_LIMIT_NAME);
    uint32_t limit;
    *name = bucket_name_of(BUCKET_PER_KEY, bucket.tenant, bucket.resource, bucket.key);
    if (wanted.data == NULL) {
        if (quota->n_parts > 0 && quota->parts[0].scope != BUCKET_PER_KEY) {
            call_refuse(call, 400, field, "is missing: the quota has no limit of scope key");
            return false;
        }
        return true;
    }
    if (!find_limit(call, quota, wanted, &limit)) {
        return false;
    }
    const struct quota_part *part = part_of(quota, limit);
    *name = quota_part_bucket(quota, part, bucket.tenant, bucket.resource, bucket.key);
    if (part->scope == BUCKET_PER_KEY) {
        call_refuse(call, 400, field,
                    "'%s' has scope key; leave the name out, and all that the key has is filled",
                    quota->limit_names[limit]);
    }
    return part->scope != BUCKET_PER_KEY;
}

void api_bucket_reset(struct call *call) {
    struct backend *backend = call_backend(call);
    struct bucket_name name;
    struct status status;
    const struct quota *quota = find_quota(call);
    if (quota == NULL || !choose_bucket(call, quota, &name)) {
        return;
    }
    struct control_call *pending =
        backend->ops->bucket_reset(backend, &name, call_asker(call), reset_done, call, &status);
    call_wait(call, pending, &status);
}
