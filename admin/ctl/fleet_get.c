/* fleet_get.c — one GET of every frontend that lives; see fleet_get.h. */
#include "admin/ctl/fleet_get.h"

#include <stdio.h>
#include <string.h>

#include "admin/ctl/columns.h"
#include "admin/ctl/field.h"

enum { URL_BYTES = 320, ID_BYTES = 64 };

/* Where a frontend is asked: the one that was asked already as before, another at the admin address that it tells,
 * by http or https as the first one. False when it tells none. */
static bool find_admin(const struct api *api, const json_t *frontend, const char *self, char url[URL_BYTES]) {
    const char *address = field_text(frontend, "admin");
    if (strcmp(field_text(frontend, "id"), self) == 0) {
        snprintf(url, URL_BYTES, "%s", api->admin);
        return true;
    }
    snprintf(url, URL_BYTES, "%.*s%s", (int)(strstr(api->admin, "://") + 3 - api->admin), api->admin, address);
    return address[0] != '\0' && strcmp(address, "off") != 0;
}

static bool ask_frontend(struct session *session, const struct fleet_get *get, const json_t *frontend,
                         const char *self) {
    struct api_call call = {.method = "GET", .path = get->path};
    char url[URL_BYTES], id[ID_BYTES];
    struct api api = session->api;
    struct api_reply reply = {.status = 0};
    struct status status = {"it tells no admin address"};
    bool is_added = false;
    if (find_admin(&session->api, frontend, self, url)) {
        api.admin = url;
        is_added = api_call(&api, &call, &reply, &status) == API_DONE &&
                   (get->add(get->arg, reply.json) || status_fail(&status, "out of memory"));
    }
    if (!is_added) {
        session_complain(session->command, "frontend %s is missing in the sum: %s",
                         columns_tame(field_text(frontend, "id"), id, sizeof id), status.text);
    }
    api_reply_deinit(&reply);
    return is_added;
}

int fleet_get(struct session *session, struct fleet_get *get) {
    struct api_call call = {.method = "GET", .path = "/v1/frontends"};
    struct api_reply reply;
    struct status status = {""};
    int code = CTL_DONE;
    get->n_frontends = get->n_answered = 0;
    enum api_outcome outcome = api_call(&session->api, &call, &reply, &status);
    if (outcome != API_DONE) {
        code = session_fail(session, outcome, &reply, &status);
    } else {
        const json_t *list = field_list(reply.json, "frontends");
        for (; get->n_frontends < json_array_size(list); get->n_frontends++) {
            get->n_answered += ask_frontend(session, get, json_array_get(list, get->n_frontends),
                                            field_text(reply.json, "self"));
        }
    }
    api_reply_deinit(&reply);
    return code;
}
