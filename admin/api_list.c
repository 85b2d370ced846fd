/* api_list.c — the quotas in force by the page, and what those in shadow mode would have denied. */
#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "admin/call.h"
#include "admin/handlers.h"
#include "admin/json_bytes.h"
#include "admin/percent.h"
#include "admin/quota_value.h"
#include "server/core/quota_list.h"

/* A cursor is the pattern behind which the next page begins, TENANT "\n" RESOURCE, each byte as two hexadecimal
 * digits. */
enum { CURSOR_BYTES = QUOTA_TENANT_MAX_BYTES + 1 + QUOTA_RESOURCE_MAX_BYTES };

static size_t append_hex(struct bytes bytes, char *out) {
    for (size_t i = 0; i < bytes.len; i++) {
        snprintf(out + 2 * i, 3, "%02x", bytes.data[i]);
    }
    return 2 * bytes.len;
}

static json_t *create_cursor(const struct quota *last) {
    char text[2 * CURSOR_BYTES + 1];
    size_t n = append_hex(quota_tenant(last), text);
    n += append_hex((struct bytes){.data = (const uint8_t *)"\n", .len = 1}, text + n);
    append_hex(quota_resource(last), text + n);
    return json_string(text);
}

/* Decodes "61620a63", which is "%61%62%0a%63" without its marks. */
static bool read_cursor(struct bytes text, uint8_t room[CURSOR_BYTES], struct quota_list *list) {
    size_t len = text.len / 2;
    if (text.len % 2 != 0 || len > CURSOR_BYTES) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        const uint8_t marked[] = {'%', text.data[2 * i], text.data[2 * i + 1]};
        size_t n;
        if (!percent_decode((struct bytes){.data = marked, .len = sizeof marked}, &room[i], 1, &n, NULL)) {
            return false;
        }
    }
    const uint8_t *end = memchr(room, '\n', len);
    if (end == NULL) {
        return false;
    }
    list->after_tenant = (struct bytes){.data = room, .len = (size_t)(end - room)};
    list->after_resource = (struct bytes){.data = end + 1, .len = len - list->after_tenant.len - 1};
    return true;
}

static json_t *create_page(const struct quota_set *set, const struct quota *const *quotas, uint32_t n,
                           bool has_more) {
    json_t *list = json_array();
    for (uint32_t i = 0; list != NULL && i < n; i++) {
        if (json_array_append_new(list, quota_value_of_quota(quotas[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return json_pack("{s:I, s:s, s:o, s:o}", "revision", (json_int_t)quota_set_revision(set), "default",
                     quota_set_unknown(set) == QUOTA_UNKNOWN_DENY ? "deny" : "allow", "quotas", list, "next",
                     has_more ? create_cursor(quotas[n - 1]) : json_null());
}

void api_quotas_list(struct call *call) {
    struct backend *backend = call_backend(call);
    const struct quota_set *set = backend->ops->quotas(backend);
    const struct query *query = &call->query;
    const struct quota *quotas[QUERY_MAX_LIMIT + 1];
    uint8_t cursor[CURSOR_BYTES];
    struct quota_list list = {.tenant = query->values[QUERY_TENANT],
                              .resource_prefix = query->values[QUERY_PREFIX]};
    if (query->values[QUERY_AFTER].data != NULL && !read_cursor(query->values[QUERY_AFTER], cursor, &list)) {
        call_refuse(call, 400, "after", "is not what \"next\" of a page was");
        return;
    }
    uint32_t n = quota_list_read(&list, set, quotas, query->limit + 1);
    bool has_more = n > query->limit;
    call_answer_json(call, 200, create_page(set, quotas, has_more ? query->limit : n, has_more));
}

static int append_shadow(json_t *list, const struct quota *quota) {
    uint64_t n_allowed = atomic_load_explicit(&quota->shadow->n_allowed, memory_order_relaxed);
    uint64_t n_would_deny = atomic_load_explicit(&quota->shadow->n_would_deny, memory_order_relaxed);
    return json_array_append_new(list,
                                 json_pack("{s:o, s:o, s:I, s:I}", "tenant", json_of_bytes(quota_tenant(quota)),
                                           "resource", json_of_bytes(quota_resource(quota)), "allowed",
                                           (json_int_t)n_allowed, "would_deny", (json_int_t)n_would_deny));
}

void api_shadow_list(struct call *call) {
    struct backend *backend = call_backend(call);
    const struct quota_set *set = backend->ops->quotas(backend);
    json_t *list = json_array();
    for (uint32_t i = 0; list != NULL && i < quota_set_n_places(set); i++) {
        const struct quota *quota = quota_set_at(set, i);
        if (quota != NULL && quota->shadow != NULL && append_shadow(list, quota) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    call_answer_json(call, 200, json_pack("{s:o}", "shadow", list));
}
