/* quota_value.c — quotas and patterns as members of JSON answers; see quota_value.h. */
#include "admin/quota_value.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "admin/call.h"
#include "admin/json_bytes.h"
#include "server/base/buf.h"
#include "server/quota/quota_json.h"

enum { FIRST_PRINTABLE = 0x20, DELETE_CHARACTER = 0x7f };

struct json_t *quota_value_create(struct bytes tenant, struct bytes resource, uint64_t revision,
                                  struct json_t *quota) {
    if (quota == NULL) {
        return NULL;
    }
    return json_pack("{s:o, s:o, s:I, s:o}", "tenant", json_of_bytes(tenant), "resource",
                     json_of_bytes(resource), "revision", (json_int_t)revision, "quota", quota);
}

struct json_t *quota_value_of_rules(const struct quota_rules *rules) {
    struct buf text = {0};
    json_t *value = NULL;
    if (quota_json_write(rules, &text)) {
        value = json_loadb((const char *)buf_front(&text), buf_len(&text), 0, NULL);
    }
    buf_deinit(&text);
    return value;
}

struct json_t *quota_value_of_quota(const struct quota *quota) {
    struct quota_rules rules;
    quota_get_rules(quota, &rules);
    return quota_value_create(quota_tenant(quota), quota_resource(quota), quota->revision,
                              quota_value_of_rules(&rules));
}

bool quota_value_judge_pattern(struct call *call, const char *path, struct bytes tenant,
                               struct bytes resource) {
    static const struct bytes any = {.data = (const uint8_t *)"*", .len = 1};
    struct status reason, whole;
    bool is_tenant_good = quota_check_pattern(tenant, any, &reason);
    bool is_good = is_tenant_good && quota_check_pattern(tenant, resource, &reason);
    if (is_good && (!json_can_carry(tenant) || !json_can_carry(resource))) {
        is_tenant_good = json_can_carry(tenant);
        is_good = status_fail(&reason, "is not UTF-8 text");
    }
    if (!is_good) {
        status_fail(&whole, "%s%s: %.300s", path, is_tenant_good ? "resource" : "tenant", reason.text);
        call_refuse_field(call, &whole);
    }
    return is_good;
}

bool quota_value_judge_scopes(struct call *call, const char *path, struct bytes tenant,
                              const struct quota_rules *rules) {
    struct status reason, whole;
    bool is_good = quota_check_scopes(rules, tenant, &reason);
    if (!is_good) {
        status_fail(&whole, "%slimits: %.300s", path, reason.text);
        call_refuse_field(call, &whole);
    }
    return is_good;
}

static bool judge_name(struct call *call, enum route_part part) {
    struct bytes name = call->parts[part];
    if (name.len == 0) {
        call_refuse(call, 400, route_part_name(part), "is empty");
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] < FIRST_PRINTABLE || name.data[i] == DELETE_CHARACTER) {
            call_refuse(call, 400, route_part_name(part), "has a control character");
            return false;
        }
    }
    return true;
}

bool quota_value_judge_names(struct call *call) {
    return judge_name(call, ROUTE_TENANT) && judge_name(call, ROUTE_RESOURCE);
}
