/* api_frontends.c — the frontends that live, and what each says of itself. */
#include <jansson.h>
#include <string.h>

#include "admin/call.h"
#include "admin/handlers.h"
#include "admin/json_bytes.h"

/* What it says is not checked by anybody before: anything but an object tells nothing. */
static json_t *create_frontend(struct bytes id, struct bytes about, int64_t silent_ms) {
    json_t *frontend = json_pack("{s:o}", "id", json_of_bytes(id));
    json_t *told = json_loadb((const char *)about.data, about.len, 0, NULL);
    if (frontend != NULL && json_is_object(told)) {
        (void)json_object_update_missing(frontend, told);
    }
    json_decref(told);
    if (frontend != NULL && json_object_set_new(frontend, "silent_ms", json_integer(silent_ms)) != 0) {
        json_decref(frontend);
        return NULL;
    }
    return frontend;
}

static void answer_list(struct call *call, json_t *list) {
    struct backend *backend = call_backend(call);
    json_int_t revision = (json_int_t)quota_set_revision(backend->ops->quotas(backend));
    call_answer_json(call, 200,
                     json_pack("{s:s, s:I, s:o}", "self", backend->ops->id(backend), "revision", revision,
                               "frontends", list));
}

static void frontends_done(void *arg, const struct control_frontends_result *result) {
    struct call *call = call_of(arg);
    if (result->outcome != CONTROL_OK) {
        call_refuse_unavailable(call, result->reason);
        return;
    }
    json_t *list = json_array();
    for (uint32_t i = 0; list != NULL && i < result->n_frontends; i++) {
        const struct control_frontend *frontend = &result->frontends[i];
        if (json_array_append_new(list, create_frontend(frontend->id, frontend->about, frontend->silent_ms)) !=
            0) {
            json_decref(list);
            list = NULL;
        }
    }
    answer_list(call, list);
}

/* Without Redis there is no fleet but this frontend. */
static void answer_alone(struct call *call) {
    struct backend *backend = call_backend(call);
    const char *id = backend->ops->id(backend);
    struct buf about = {0};
    backend->ops->describe(backend, &about);
    struct bytes text = {.data = buf_len(&about) > 0 ? buf_front(&about) : NULL, .len = buf_len(&about)};
    json_t *frontend = create_frontend((struct bytes){.data = (const uint8_t *)id, .len = strlen(id)}, text, 0);
    buf_deinit(&about);
    answer_list(call, json_pack("[o]", frontend));
}

void api_frontends_list(struct call *call) {
    struct backend *backend = call_backend(call);
    struct status status;
    if (!backend->ops->is_shared(backend)) {
        answer_alone(call);
        return;
    }
    struct control_call *pending = backend->ops->frontends(backend, frontends_done, call, &status);
    call_wait(call, pending, &status);
}
