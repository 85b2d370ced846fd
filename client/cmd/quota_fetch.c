/* quota_fetch.c — one GET of the admin API, and its answer as a set. */
#include "client/cmd/quota_fetch.h"

#include <inttypes.h>
#include <string.h>

#include "admin/ctl/api.h"
#include "admin/ctl/field.h"
#include "admin/ctl/url.h"
#include "server/base/buf.h"
#include "server/quota/quota_json.h"

static struct bytes bytes_of(const char *text) {
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static struct quota_set *make_set(const json_t *answer, const char *tenant, const char *resource,
                                  struct status *status) {
    struct quota_rules rules;
    struct status reason = {""};
    int64_t revision = field_integer(answer, "revision");
    json_t *quota = json_object_get(answer, "quota");
    if (quota == NULL || revision < 0) {
        status_fail(status, "the answer holds no quota with its revision");
        return NULL;
    }
    if (!quota_json_read_value(quota, "quota", &rules, &reason)) {
        status_fail(status, "the answer: %s", reason.text);
        return NULL;
    }
    struct quota_set *set = quota_set_create();
    if (set == NULL) {
        status_fail(status, "out of memory");
    } else if (!quota_set_put(set, bytes_of(tenant), bytes_of(resource), &rules, (uint64_t)revision, status)) {
        quota_set_release(&set);
    }
    return set;
}

static struct quota_set *ask(struct api *api, const char *tenant, const char *resource, struct status *status) {
    struct buf path = {0};
    struct api_reply reply = {0};
    struct quota_set *set = NULL;
    if (!url_append(&path, "/v1/tenants/%/quotas/%", tenant, resource)) {
        status_fail(status, "out of memory");
        buf_deinit(&path);
        return NULL;
    }
    struct api_call call = {.method = "GET", .path = (const char *)buf_front(&path)};
    if (api_call(api, &call, &reply, status) == API_DONE) {
        set = make_set(reply.json, tenant, resource, status);
    } else if (reply.status == 404) {
        status_fail(status,
                    "%s has no quota %s %s; --tenant and --resource name one as it is stored, such as 'api.*'",
                    api->admin, tenant, resource);
    }
    api_reply_deinit(&reply);
    buf_deinit(&path);
    return set;
}

struct quota_set *quota_fetch(const struct settings_sources *sources, const char *tenant, const char *resource,
                              int64_t timeout_us, struct status *warning, struct status *status) {
    struct settings settings;
    struct quota_set *set = NULL;
    warning->text[0] = '\0';
    if (!settings_load(&settings, sources, status)) {
        return NULL;
    }
    *warning = settings.warning;
    struct api api = {
        .http = http_client_create(),
        .admin = settings.admin,
        .token = settings.token,
        .timeout_us = timeout_us,
    };
    if (api.http == NULL) {
        status_fail(status, "out of memory");
    } else {
        set = ask(&api, tenant, resource, status);
    }
    http_client_destroy(&api.http);
    settings_deinit(&settings);
    return set;
}
