/* api_hotkeys.c — the keys that this frontend's workers are asked about most. */
#include <jansson.h>

#include "admin/call.h"
#include "admin/handlers.h"
#include "admin/json_bytes.h"

/* NULL when memory is short, as the next two. */
static json_t *create_sources(const struct hotkey *row) {
    static const char *const names[DECISION_N_SOURCES] = {
        [DECISION_NONE] = "none",   [DECISION_STORE] = "store",
        [DECISION_LEASE] = "lease", [DECISION_DENIED_CACHE] = "denied_cache",
        [DECISION_LOCAL] = "local", [DECISION_EMBEDDED] = "embedded",
    };
    json_t *sources = json_object();
    for (size_t i = 0; sources != NULL && i < DECISION_N_SOURCES; i++) {
        if (row->decided_per_s[i] > 0 &&
            json_object_set_new(sources, names[i], json_integer(row->decided_per_s[i])) != 0) {
            json_decref(sources);
            return NULL;
        }
    }
    return sources;
}

static json_t *create_row(const struct hotkey *row) {
    return json_pack("{s:o, s:o, s:o, s:b, s:I, s:I, s:o}", "tenant",
                     json_of_bytes(hotkey_name_tenant(&row->name)), "resource",
                     json_of_bytes(hotkey_name_resource(&row->name)), "key",
                     json_of_bytes(hotkey_name_key(&row->name)), "hot", row->is_hot, "checks_per_s",
                     (json_int_t)row->checks_per_s, "denied_per_s", (json_int_t)row->denied_per_s, "sources",
                     create_sources(row));
}

static json_t *create_list(const struct hot_report *report, size_t limit) {
    json_t *list = json_array();
    for (size_t i = 0; list != NULL && i < report->n_rows && i < limit; i++) {
        if (json_array_append_new(list, create_row(&report->rows[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static void hotkeys_done(void *arg, const struct hot_report *report) {
    struct call *call = call_of(arg);
    call_answer_json(call, 200,
                     json_pack("{s:o, s:I}", "hotkeys", create_list(report, call->query.limit),
                               "silent_workers", (json_int_t)report->n_silent));
}

void api_hotkeys_list(struct call *call) {
    struct backend *backend = call_backend(call);
    call_wait_survey(call, backend->ops->hotkeys(backend, hotkeys_done, call));
}
