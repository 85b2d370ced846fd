/* ctl_quota.c — `sluicectl quota get|list|delete`: the quotas one by one, as they are. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "admin/ctl/columns.h"
#include "admin/ctl/commands.h"
#include "admin/ctl/field.h"
#include "admin/ctl/quota_line.h"
#include "admin/ctl/session.h"
#include "admin/ctl/url.h"

enum { HEADER_BYTES = 64 };

/* ---- quota get ---- */

struct get_options {
    struct session_options session;
};
static const struct get_options get_defaults = {.session = SESSION_DEFAULTS};
static const struct option_spec get_table[] = {SESSION_OPTIONS(get_options)};

static void print_quota(const json_t *reply) {
    const json_t *quota = json_object_get(reply, "quota");
    struct quota_line line = quota_line_show(quota);
    char tenant[256], resource[512];
    printf("%s %s: %s (revision %" PRId64 ")\n",
           columns_tame(field_text(reply, "tenant"), tenant, sizeof tenant),
           columns_tame(field_text(reply, "resource"), resource, sizeof resource), line.text,
           field_integer(reply, "revision"));
}

static int call_quota(struct session *session, const char *method, const char *header, char *const *arguments,
                      struct api_reply *reply) {
    struct buf path = {0};
    struct status status = {""};
    int code;
    *reply = (struct api_reply){.status = 0};
    if (!url_append(&path, "/v1/tenants/%/quotas/%", arguments[0], arguments[1])) {
        code = session_complain(session->command, "out of memory");
    } else {
        struct api_call call = {.method = method, .path = (const char *)buf_front(&path), .header = header};
        enum api_outcome outcome = api_call(&session->api, &call, reply, &status);
        code = outcome == API_DONE ? CTL_DONE : session_fail(session, outcome, reply, &status);
    }
    buf_deinit(&path);
    return code;
}

static int run_get(const void *options_read, char *const *arguments) {
    const struct get_options *options = options_read;
    struct session session;
    struct api_reply reply;
    if (!session_open(&session, &options->session, "quota get")) {
        return CTL_TROUBLE;
    }
    int code = call_quota(&session, "GET", NULL, arguments, &reply);
    if (code == CTL_DONE && session.is_json) {
        code = session_print_json(session.command, reply.json) ? CTL_DONE : CTL_TROUBLE;
    } else if (code == CTL_DONE) {
        print_quota(reply.json);
    }
    api_reply_deinit(&reply);
    session_close(&session);
    return code;
}

const struct command ctl_quota_get = {
    .program = "sluicectl",
    .name = "quota get",
    .summary = "Show the quota that is set for RESOURCE of TENANT",
    .arguments = "TENANT RESOURCE",
    .min_arguments = 2,
    .max_arguments = 2,
    .options = get_table,
    .n_options = sizeof get_table / sizeof get_table[0],
    .defaults = &get_defaults,
    .options_bytes = sizeof get_defaults,
    .notes =
        "The very pattern is looked up: 'api.*' shows what is set for api.*, not what api.read would get.\n"
        "Exit code: 0 shown, 1 there is none or it was refused, 2 trouble.\n\n"
        "  sluicectl quota get acme api.read\n",
    .run = run_get,
};

/* ---- quota delete ---- */

struct delete_options {
    struct session_options session;
    int64_t if_revision, wait_us;
};
static const struct delete_options delete_defaults = {.session = SESSION_DEFAULTS, .if_revision = -1};
static const struct option_spec delete_table[] = {
    {"if-revision", "N", OPTION_COUNT, offsetof(struct delete_options, if_revision), 1, INT64_MAX,
     "only if that is the quota's revision"},
    SESSION_WAIT_OPTION(delete_options),
    SESSION_OPTIONS(delete_options),
};

static int run_delete(const void *options_read, char *const *arguments) {
    const struct delete_options *options = options_read;
    struct session session;
    struct api_reply reply;
    char header[HEADER_BYTES];
    if (!session_open(&session, &options->session, "quota delete")) {
        return CTL_TROUBLE;
    }
    snprintf(header, sizeof header, "If-Match: \"%" PRId64 "\"", options->if_revision);
    int code = call_quota(&session, "DELETE", options->if_revision > 0 ? header : NULL, arguments, &reply);
    if (code == CTL_DONE && session.is_json) {
        code = session_print_json(session.command, reply.json) ? CTL_DONE : CTL_TROUBLE;
    } else if (code == CTL_DONE) {
        printf("%s %s: deleted (revision %" PRId64 ")\n", arguments[0], arguments[1],
               field_integer(reply.json, "revision"));
    }
    if (code == CTL_DONE) {
        code = session_wait(&session, field_integer(reply.json, "revision"), options->wait_us);
    }
    api_reply_deinit(&reply);
    session_close(&session);
    return code;
}

const struct command ctl_quota_delete = {
    .program = "sluicectl",
    .name = "quota delete",
    .summary = "Delete the quota that is set for RESOURCE of TENANT",
    .arguments = "TENANT RESOURCE",
    .min_arguments = 2,
    .max_arguments = 2,
    .options = delete_table,
    .n_options = sizeof delete_table / sizeof delete_table[0],
    .defaults = &delete_defaults,
    .options_bytes = sizeof delete_defaults,
    .notes = "Checks then get the next quota that matches, such as that of api.* or of tenant \"*\".\n"
             "Exit code: 0 deleted, 1 refused, 2 trouble, or not in force everywhere in time.\n\n"
             "  sluicectl quota delete acme api.read --if-revision 12 --wait\n",
    .run = run_delete,
};

/* ---- quota list ---- */

struct list_options {
    struct session_options session;
    const char *tenant, *prefix;
};
static const struct list_options list_defaults = {.session = SESSION_DEFAULTS};
static const struct option_spec list_table[] = {
    {"tenant", "TENANT", OPTION_TEXT, offsetof(struct list_options, tenant), 0, 0, "only this tenant's"},
    {"prefix", "TEXT", OPTION_TEXT, offsetof(struct list_options, prefix), 0, 0,
     "only of resources that begin with it"},
    SESSION_OPTIONS(list_options),
};

struct list {
    struct columns columns;
    json_t *quotas; /* all of them; NULL when they go into the columns */
    int64_t revision;
    size_t n;
    char fallback[32]; /* what unknown resources get */
};

static bool on_list_page(void *arg, const json_t *page, struct status *status) {
    struct list *list = arg;
    const json_t *quotas = field_list(page, "quotas");
    list->revision = field_integer(page, "revision");
    columns_tame(field_text(page, "default"), list->fallback, sizeof list->fallback);
    for (size_t i = 0; i < json_array_size(quotas); i++) {
        json_t *quota = json_array_get(quotas, i);
        list->n++;
        if (list->quotas != NULL) {
            if (json_array_append(list->quotas, quota) != 0) {
                return status_fail(status, "out of memory");
            }
            continue;
        }
        columns_add(&list->columns, "%s", field_text(quota, "tenant"));
        columns_add(&list->columns, "%s", field_text(quota, "resource"));
        columns_add(&list->columns, "%" PRId64, field_integer(quota, "revision"));
        columns_add(&list->columns, "%s", quota_line_show(json_object_get(quota, "quota")).text);
    }
    return true;
}

static bool print_list(const struct session *session, struct list *list) {
    if (session->is_json) {
        json_t *json = json_pack("{s:I, s:s, s:O, s:n}", "revision", (json_int_t)list->revision, "default",
                                 list->fallback, "quotas", list->quotas, "next");
        bool is_printed = session_print_json(session->command, json);
        json_decref(json);
        return is_printed;
    }
    if (!columns_print(&list->columns, stdout)) {
        session_complain(session->command, "out of memory");
        return false;
    }
    printf("\n%zu quota%s, revision %" PRId64 "; what no quota matches: %s\n", list->n, list->n == 1 ? "" : "s",
           list->revision, list->fallback);
    return true;
}

static bool make_list_path(const struct list_options *options, struct buf *path) {
    return url_append(path, "/v1/quotas?limit=1000") &&
           (options->tenant == NULL || url_append(path, "&tenant=%", options->tenant)) &&
           (options->prefix == NULL || url_append(path, "&prefix=%", options->prefix));
}

static int run_list(const void *options_read, char *const *arguments) {
    static const char *const heads[] = {"TENANT", "RESOURCE", "REVISION", "QUOTA", NULL};
    const struct list_options *options = options_read;
    struct session session;
    struct status status = {""};
    struct buf path = {0};
    (void)arguments;
    if (!session_open(&session, &options->session, "quota list")) {
        return CTL_TROUBLE;
    }
    struct list list = {.quotas = session.is_json ? json_array() : NULL};
    columns_init(&list.columns, heads);
    int code = CTL_TROUBLE;
    if (!make_list_path(options, &path) || (session.is_json && list.quotas == NULL)) {
        session_complain(session.command, "out of memory");
    } else {
        enum api_outcome outcome =
            api_get_pages(&session.api, (const char *)buf_front(&path), NULL, on_list_page, &list, &status);
        code = outcome != API_DONE           ? session_fail(&session, outcome, NULL, &status)
               : print_list(&session, &list) ? CTL_DONE
                                             : CTL_TROUBLE;
    }
    json_decref(list.quotas);
    columns_deinit(&list.columns);
    buf_deinit(&path);
    session_close(&session);
    return code;
}

const struct command ctl_quota_list = {
    .program = "sluicectl",
    .name = "quota list",
    .summary = "List the quotas, by tenant and resource",
    .arguments = "",
    .options = list_table,
    .n_options = sizeof list_table / sizeof list_table[0],
    .defaults = &list_defaults,
    .options_bytes = sizeof list_defaults,
    .notes = "Exit code: 0 listed, 1 refused, 2 trouble. JSON is one object with all quotas in it, which\n"
             "'sluicectl apply' takes as well.\n\n"
             "  sluicectl quota list --tenant acme --prefix api.\n",
    .run = run_list,
};
