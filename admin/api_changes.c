/* api_changes.c — the audit by the page: who changed what, and what was refused. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "admin/call.h"
#include "admin/handlers.h"
#include "admin/json_bytes.h"
#include "server/base/units.h"

enum { ID_BYTES = 48, TIME_BYTES = 40 };

static json_t *create_id(const struct ledger_entry *entry) {
    char id[ID_BYTES];
    snprintf(id, sizeof id, "%" PRIu64 "-%" PRIu64, entry->revision, entry->part);
    return json_string(id);
}

/* "2026-11-21T01:25:29.123Z" */
static json_t *create_time(int64_t at_ms) {
    char text[TIME_BYTES] = "";
    time_t at_s = (time_t)(at_ms / 1000);
    struct tm utc;
    if (gmtime_r(&at_s, &utc) != NULL) {
        size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
        snprintf(text + n, sizeof text - n, ".%03dZ", (int)(at_ms % 1000));
    }
    return json_string(text);
}

/* In Redis the default stands under a name of its own. */
static struct bytes resource_of(const struct ledger_entry *entry) {
    return entry->tenant.len > 0 ? entry->resource : (struct bytes){.data = NULL};
}

static json_t *create_entry(const struct ledger_entry *entry) {
    json_t *value = json_pack("{s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id", create_id(entry),
                              "revision", (json_int_t)entry->revision, "what", json_of_bytes(entry->what), "at",
                              create_time(entry->at_ms), "who", json_of_bytes(entry->who), "from",
                              json_of_bytes(entry->from), "tenant", json_of_bytes(entry->tenant), "resource",
                              json_of_bytes(resource_of(entry)), "old", json_of_text(entry->old), "new",
                              json_of_text(entry->new));
    bool is_whole = value != NULL;
    if (is_whole && entry->key.len > 0) {
        is_whole = json_object_set_new(value, "key", json_of_bytes(entry->key)) == 0;
    }
    if (is_whole && entry->scope.len > 0) {
        is_whole = json_object_set_new(value, "scope", json_of_bytes(entry->scope)) == 0 &&
                   json_object_set_new(value, "limit", json_of_bytes(entry->limit)) == 0;
    }
    if (is_whole && entry->detail.len > 0) {
        is_whole = json_object_set_new(value, "detail", json_of_bytes(entry->detail)) == 0;
    }
    if (!is_whole) {
        json_decref(value);
        return NULL;
    }
    return value;
}

static bool is_wanted(const struct call *call, const struct ledger_entry *entry) {
    struct bytes tenant = call->query.values[QUERY_TENANT];
    return tenant.data == NULL ||
           (tenant.len == entry->tenant.len && memcmp(tenant.data, entry->tenant.data, tenant.len) == 0);
}

/* A tenant's entries are picked from the page that Redis gave, so a page may hold fewer than asked for, and yet not be
 * the last. */
static void changes_done(void *arg, const struct control_changes_result *result) {
    struct call *call = call_of(arg);
    if (result->outcome != CONTROL_OK) {
        call_refuse_unavailable(call, result->reason);
        return;
    }
    json_t *list = json_array();
    for (uint32_t i = 0; list != NULL && i < result->n_entries; i++) {
        const struct ledger_entry *entry = &result->entries[i];
        if (is_wanted(call, entry) && json_array_append_new(list, create_entry(entry)) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    bool has_more = result->n_entries >= call->query.limit;
    call_answer_json(call, 200,
                     json_pack("{s:o, s:o}", "changes", list, "next",
                               has_more ? create_id(&result->entries[result->n_entries - 1]) : json_null()));
}

/* "12", all that came after revision 12, what was refused then included; or an entry's id, "12-3". */
static bool read_after(struct bytes text, struct control_range *range) {
    const uint8_t *dash = text.len > 0 ? memchr(text.data, '-', text.len) : NULL;
    struct bytes revision = {.data = text.data, .len = dash != NULL ? (size_t)(dash - text.data) : text.len};
    int64_t number, part = 0;
    if (!units_read_integer(revision, 0, INT64_MAX, &number, NULL)) {
        return false;
    }
    if (dash != NULL) {
        struct bytes rest = {.data = dash + 1, .len = text.len - revision.len - 1};
        if (!units_read_integer(rest, 0, INT64_MAX, &part, NULL)) {
            return false;
        }
    }
    range->after_revision = (uint64_t)number;
    range->after_part = (uint64_t)part;
    return true;
}

void api_changes_list(struct call *call) {
    struct backend *backend = call_backend(call);
    struct bytes after = call->query.values[QUERY_AFTER];
    struct status status;
    if (call->query.limit > CONTROL_MAX_ENTRIES) {
        call->query.limit = CONTROL_MAX_ENTRIES;
    }
    if (!backend->ops->is_shared(backend)) {
        call_answer_json(call, 200, json_pack("{s:[], s:n}", "changes", "next"));
        return;
    }
    struct control_range range = {.limit = call->query.limit};
    if (after.data != NULL && !read_after(after, &range)) {
        call_refuse(call, 400, "after", "is neither a revision nor the id of an entry, such as 12 or 12-3");
        return;
    }
    struct control_call *pending = backend->ops->changes(backend, &range, changes_done, call, &status);
    call_wait(call, pending, &status);
}
