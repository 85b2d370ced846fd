/* ctl_quota_set.c — `sluicectl quota set`: adds or replaces one quota. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/ctl/columns.h"
#include "admin/ctl/commands.h"
#include "admin/ctl/field.h"
#include "admin/ctl/quota_line.h"
#include "admin/ctl/quota_request.h"
#include "admin/ctl/session.h"
#include "admin/ctl/url.h"
#include "server/core/quota.h"

enum { HTTP_NOT_FOUND = 404, HEADER_BYTES = 64, SCOPE_BYTES = 16, BURST_MAX = 1000 * 1000 * 1000 };

struct set_options {
    struct session_options session;
    const char *rate, *algorithm, *name, *scope, *mode, *on_store_failure, *file;
    int64_t burst, if_revision, wait_us;
    bool is_unlimited;
};

static const struct set_options defaults = {.session = SESSION_DEFAULTS, .if_revision = -1};

#define OPTION(member) offsetof(struct set_options, member)
static const struct option_spec options_table[] = {
    {"rate", "RATE", OPTION_TEXT, OPTION(rate), 0, 0,
     "such as 100/s, 5000/min, 20/h or 1000000/day; of a window a number per min, h, day, week or month; 0/s "
     "denies "
     "everything"},
    {"burst", "N", OPTION_COUNT, OPTION(burst), 1, BURST_MAX, "tokens of a full bucket, else a second's worth"},
    {"algorithm", "NAME", OPTION_TEXT, OPTION(algorithm), 0, 0,
     "token_bucket, leaky_bucket, fixed_window or sliding_window, else token_bucket"},
    {"name", "NAME", OPTION_TEXT, OPTION(name), 0, 0,
     "of the limit, else the present one's, else its algorithm's"},
    {"scope", "SCOPE", OPTION_TEXT, OPTION(scope), 0, 0,
     "key, resource, tenant or global, else key; without --name the present one's"},
    {"mode", "MODE", OPTION_TEXT, OPTION(mode), 0, 0, "enforce or shadow, else enforce"},
    {"on-store-failure", "POLICY", OPTION_TEXT, OPTION(on_store_failure), 0, 0,
     "local, allow or deny, else local"},
    {"unlimited", NULL, OPTION_FLAG, OPTION(is_unlimited), 0, 0, "allow everything, without asking"},
    {"file", "FILE", OPTION_TEXT, OPTION(file), 0, 0, "the whole quota as JSON; - is standard input"},
    {"if-revision", "N", OPTION_COUNT, OPTION(if_revision), 0, INT64_MAX,
     "only if that is the quota's revision; 0: only if there is none"},
    SESSION_WAIT_OPTION(set_options),
    SESSION_OPTIONS(set_options),
};

static const char *make_header(const struct set_options *options, char header[HEADER_BYTES]) {
    if (options->if_revision < 0) {
        return NULL;
    }
    if (options->if_revision == 0) {
        return "If-None-Match: *";
    }
    snprintf(header, HEADER_BYTES, "If-Match: \"%" PRId64 "\"", options->if_revision);
    return header;
}

static int report(struct session *session, const struct api_reply *reply, int64_t wait_us) {
    char tenant[256], resource[512];
    int64_t revision = field_integer(reply->json, "revision");
    if (session->is_json) {
        if (!session_print_json(session->command, reply->json)) {
            return CTL_TROUBLE;
        }
    } else {
        printf("%s %s: %s (%srevision %" PRId64 ")\n",
               columns_tame(field_text(reply->json, "tenant"), tenant, sizeof tenant),
               columns_tame(field_text(reply->json, "resource"), resource, sizeof resource),
               quota_line_show(json_object_get(reply->json, "quota")).text, reply->status == 201 ? "new, " : "",
               revision);
    }
    return session_wait(session, revision, wait_us);
}

static int put(struct session *session, const struct set_options *options, const char *path, const char *body) {
    char header[HEADER_BYTES];
    struct status status = {""};
    struct api_reply reply = {.status = 0};
    struct api_call call = {
        .method = "PUT", .path = path, .body = body, .header = make_header(options, header)};
    enum api_outcome outcome = api_call(&session->api, &call, &reply, &status);
    int code = outcome == API_DONE ? report(session, &reply, options->wait_us)
                                   : session_fail(session, outcome, &reply, &status);
    api_reply_deinit(&reply);
    return code;
}

/* What a changed rate must not change: a limit's level is kept under its name, and its scope says who shares it. */
struct present {
    char name[QUOTA_LIMIT_NAME_MAX_BYTES + 1], scope[SCOPE_BYTES];
};

/* CTL_DONE: `present` is of the one limit there is, or "" when there is no quota yet. */
static int read_present(struct session *session, const char *path, struct present *present) {
    struct status status = {""};
    struct api_reply reply = {.status = 0};
    struct api_call call = {.method = "GET", .path = path};
    enum api_outcome outcome = api_call(&session->api, &call, &reply, &status);
    int code = CTL_DONE;
    if (outcome == API_DONE) {
        const json_t *limits = field_list(json_object_get(reply.json, "quota"), "limits");
        if (json_array_size(limits) > 1) {
            session_complain(session->command,
                             "the quota has %zu limits, of which --rate would leave one: give the "
                             "whole quota by --file",
                             json_array_size(limits));
            code = CTL_REFUSED;
        } else {
            const json_t *limit = json_array_get(limits, 0);
            snprintf(present->name, sizeof present->name, "%s", field_text(limit, "name"));
            snprintf(present->scope, sizeof present->scope, "%s", field_text(limit, "scope"));
        }
    } else if (reply.status != HTTP_NOT_FOUND) {
        code = session_fail(session, outcome, &reply, &status);
    }
    api_reply_deinit(&reply);
    return code;
}

static int set_quota(struct session *session, const struct set_options *options, const char *path) {
    struct status status = {""};
    struct present present = {.name = ""};
    struct quota_request request = {
        .rate = options->rate,
        .algorithm = options->algorithm,
        .name = options->name,
        .scope = options->scope,
        .burst = options->burst,
        .mode = options->mode,
        .on_store_failure = options->on_store_failure,
        .is_unlimited = options->is_unlimited,
        .file = options->file,
    };
    if (!quota_request_check(&request, &status)) {
        return session_complain(session->command, "%s", status.text);
    }
    if (options->rate != NULL && options->name == NULL && options->if_revision != 0) {
        int code = read_present(session, path, &present);
        if (code != CTL_DONE) {
            return code;
        }
        request.name = present.name[0] != '\0' ? present.name : NULL;
        request.scope = request.scope == NULL && present.scope[0] != '\0' ? present.scope : request.scope;
    }
    char *body = quota_request_make(&request, &status);
    if (body == NULL) {
        return session_complain(session->command, "%s", status.text);
    }
    int code = put(session, options, path, body);
    free(body);
    return code;
}

static int run(const void *options_read, char *const *arguments) {
    const struct set_options *options = options_read;
    struct session session;
    struct buf path = {0};
    if (!session_open(&session, &options->session, "quota set")) {
        return CTL_TROUBLE;
    }
    int code = url_append(&path, "/v1/tenants/%/quotas/%", arguments[0], arguments[1])
                   ? set_quota(&session, options, (const char *)buf_front(&path))
                   : session_complain(session.command, "out of memory");
    buf_deinit(&path);
    session_close(&session);
    return code;
}

const struct command ctl_quota_set = {
    .program = "sluicectl",
    .name = "quota set",
    .summary = "Set the quota for RESOURCE of TENANT",
    .arguments = "TENANT RESOURCE",
    .min_arguments = 2,
    .max_arguments = 2,
    .options = options_table,
    .n_options = sizeof options_table / sizeof options_table[0],
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes = "RESOURCE may be a prefix such as 'api.*', TENANT may be '*'. A quota of one limit is made from "
             "the options,\n"
             "one of several is given by --file. What was set before is replaced, but what is left in the "
             "buckets\n"
             "stays: a change never refills one, as long as its limit keeps its name.\n"
             "Exit code: 0 set, 1 refused or a conflict, 2 trouble, or not in force everywhere in time; then "
             "the frontends\n"
             "that have not applied it are named.\n\n"
             "  sluicectl quota set acme api.read --rate 100/s --burst 200 --wait\n"
             "  sluicectl quota set acme api.read --file quota.json --if-revision 12\n",
    .run = run,
};
