/* ctl_shadow.c — `sluicectl quota shadow-report`: what quotas in shadow mode would deny, over all frontends. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/ctl/columns.h"
#include "admin/ctl/commands.h"
#include "admin/ctl/field.h"
#include "admin/ctl/session.h"
#include "admin/ctl/shadow_sum.h"
#include "client/cmd/show.h"

enum { URL_BYTES = 320, ID_BYTES = 64 };

struct shadow_options {
    struct session_options session;
};
static const struct shadow_options defaults = {.session = SESSION_DEFAULTS};
static const struct option_spec options_table[] = {SESSION_OPTIONS(shadow_options)};

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

static bool add_frontend(struct session *session, const json_t *frontend, const char *self,
                         struct shadow_sum *sum) {
    static const struct api_call call = {.method = "GET", .path = "/v1/shadow"};
    char url[URL_BYTES], id[ID_BYTES];
    struct api api = session->api;
    struct api_reply reply = {.status = 0};
    struct status status = {"it tells no admin address"};
    bool is_added = false;
    if (find_admin(&session->api, frontend, self, url)) {
        api.admin = url;
        is_added = api_call(&api, &call, &reply, &status) == API_DONE &&
                   (shadow_sum_add(sum, reply.json) || status_fail(&status, "out of memory"));
    }
    if (!is_added) {
        session_complain(session->command, "frontend %s is missing in the sum: %s",
                         columns_tame(field_text(frontend, "id"), id, sizeof id), status.text);
    }
    api_reply_deinit(&reply);
    return is_added;
}

static bool print_sum(const struct session *session, const struct shadow_sum *sum, size_t n_asked) {
    static const char *const heads[] = {"TENANT", "RESOURCE", "ALLOWED", "WOULD DENY", "SHARE", NULL};
    if (session->is_json) {
        json_t *json = json_pack("{s:I, s:O}", "frontends", (json_int_t)n_asked, "shadow", sum->rows);
        bool is_printed = session_print_json(session->command, json);
        json_decref(json);
        return is_printed;
    }
    struct columns columns;
    columns_init(&columns, heads);
    for (size_t i = 0; i < json_array_size(sum->rows); i++) {
        const json_t *row = json_array_get(sum->rows, i);
        uint64_t n_allowed = (uint64_t)field_integer(row, "allowed");
        uint64_t n_denied = (uint64_t)field_integer(row, "would_deny");
        columns_add(&columns, "%s", field_text(row, "tenant"));
        columns_add(&columns, "%s", field_text(row, "resource"));
        columns_add(&columns, "%" PRIu64, n_allowed);
        columns_add(&columns, "%" PRIu64, n_denied);
        columns_add(&columns, "%s", show_share(n_denied, n_allowed + n_denied).text);
    }
    bool is_printed = json_array_size(sum->rows) == 0 ? puts("no quota is in shadow mode") >= 0
                                                      : columns_print(&columns, stdout);
    columns_deinit(&columns);
    return is_printed;
}

static int report(struct session *session, const json_t *frontends, struct shadow_sum *sum) {
    const json_t *list = field_list(frontends, "frontends");
    size_t n_asked = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        n_asked += add_frontend(session, json_array_get(list, i), field_text(frontends, "self"), sum);
    }
    if (!print_sum(session, sum, n_asked)) {
        return session_complain(session->command, "out of memory");
    }
    return n_asked == json_array_size(list) ? CTL_DONE : CTL_TROUBLE;
}

static int run(const void *options_read, char *const *arguments) {
    const struct shadow_options *options = options_read;
    struct session session;
    struct api_reply reply;
    struct shadow_sum sum;
    struct status status = {""};
    (void)arguments;
    if (!session_open(&session, &options->session, "quota shadow-report")) {
        return CTL_TROUBLE;
    }
    shadow_sum_init(&sum);
    enum api_outcome outcome =
        api_call(&session.api, &(struct api_call){.method = "GET", .path = "/v1/frontends"}, &reply, &status);
    int code = outcome == API_DONE ? report(&session, reply.json, &sum)
                                   : session_fail(&session, outcome, &reply, &status);
    api_reply_deinit(&reply);
    shadow_sum_deinit(&sum);
    session_close(&session);
    return code;
}

const struct command ctl_quota_shadow_report = {
    .program = "sluicectl",
    .name = "quota shadow-report",
    .summary = "Sum up over all frontends what the quotas in shadow mode let pass and would have denied",
    .arguments = "",
    .options = options_table,
    .n_options = sizeof options_table / sizeof options_table[0],
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes = "Each frontend is asked at the admin address that it tells the others, with the same token. It "
             "has counted\n"
             "since it started, or since the quota was last changed.\n"
             "Exit code: 0 shown, 1 refused, 2 trouble; then frontends that did not answer are missing in the "
             "sum.\n",
    .run = run,
};
