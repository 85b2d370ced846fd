/* ctl_changes.c — `sluicectl changes`: who changed what, and what was refused. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/ctl/columns.h"
#include "admin/ctl/commands.h"
#include "admin/ctl/field.h"
#include "admin/ctl/quota_line.h"
#include "admin/ctl/session.h"
#include "admin/ctl/url.h"
#include "client/cmd/show.h"

enum { LAST_MAX = 100000 };

struct changes_options {
    struct session_options session;
    const char *tenant;
    int64_t after, last, interval_us;
    bool is_following;
};
static const struct changes_options defaults = {
    .session = SESSION_DEFAULTS, .after = -1, .last = 50, .interval_us = 1000 * 1000};

#define OPTION(member) offsetof(struct changes_options, member)
static const struct option_spec options_table[] = {
    {"last", "N", OPTION_COUNT, OPTION(last), 0, LAST_MAX, "those of the last N revisions"},
    {"after", "N", OPTION_COUNT, OPTION(after), 0, INT64_MAX, "those after this revision instead"},
    {"tenant", "TENANT", OPTION_TEXT, OPTION(tenant), 0, 0, "only this tenant's"},
    {"follow", NULL, OPTION_FLAG, OPTION(is_following), 0, 0, "go on, until Ctrl-C"},
    {"interval", "DURATION", OPTION_DURATION_US, OPTION(interval_us), 10 * 1000, 3600 * INT64_C(1000000),
     "how often --follow asks"},
    SESSION_OPTIONS(changes_options),
};

enum { ID_BYTES = 48 };

struct feed {
    struct session *session;
    struct columns columns;
    char after[ID_BYTES]; /* a revision, or the id of the last entry shown */
};

/* Its time, which may be a text or milliseconds since 1970. */
static struct show_text show_at(const json_t *at) {
    struct show_text shown;
    if (json_is_integer(at)) {
        return show_time(json_integer_value(at) * 1000);
    }
    snprintf(shown.text, sizeof shown.text, "%s", json_is_string(at) ? json_string_value(at) : "-");
    return shown;
}

/* A side of a change: a quota, or its text, or "allow" of the default. */
static struct quota_line show_side(const json_t *side) {
    return json_is_string(side) ? quota_line_show_text(json_string_value(side)) : quota_line_show(side);
}

/* What has happened: a change, what was asked for and why not, or whose bucket was filled. */
static void add_event(struct columns *columns, const json_t *change) {
    const char *what = field_text(change, "what"), *detail = field_text(change, "detail");
    const char *scope = field_text(change, "scope");
    if (strcmp(what, "reset") == 0 && scope[0] != '\0') {
        columns_add(columns, "limit %s (%s)", field_text(change, "limit"), scope);
    } else if (strcmp(what, "reset") == 0) {
        columns_add(columns, "key %s", field_text(change, "key"));
    } else if (strcmp(what, "refused") == 0) {
        columns_add(columns, "%s: %s", show_side(json_object_get(change, "new")).text, detail);
    } else {
        columns_add(columns, "%s -> %s", show_side(json_object_get(change, "old")).text,
                    show_side(json_object_get(change, "new")).text);
    }
}

static void add_change(struct columns *columns, const json_t *change) {
    columns_add(columns, "%" PRId64, field_integer(change, "revision"));
    columns_add(columns, "%s", show_at(json_object_get(change, "at")).text);
    columns_add(columns, "%s", field_text(change, "who"));
    columns_add(columns, "%s", field_text(change, "from"));
    columns_add(columns, "%s", field_text(change, "what"));
    columns_add(columns, "%s", field_text(change, "tenant"));
    columns_add(columns, "%s", field_text(change, "resource"));
    add_event(columns, change);
}

static bool on_page(void *arg, const json_t *page, struct status *status) {
    struct feed *feed = arg;
    const json_t *changes = field_list(page, "changes");
    for (size_t i = 0; i < json_array_size(changes); i++) {
        const json_t *change = json_array_get(changes, i);
        snprintf(feed->after, sizeof feed->after, "%s", field_text(change, "id"));
        if (!feed->session->is_json) {
            add_change(&feed->columns, change);
        } else if (!session_print_json(feed->session->command, change)) {
            return status_fail(status, "out of memory");
        }
    }
    if (!columns_print(&feed->columns, stdout)) {
        return status_fail(status, "out of memory");
    }
    return fflush(stdout) == 0 || status_fail(status, "cannot write the output");
}

static enum api_outcome show_news(struct feed *feed, const char *tenant, struct status *status) {
    char after[ID_BYTES];
    struct buf path = {0};
    enum api_outcome outcome = API_TROUBLE;
    snprintf(after, sizeof after, "%s", feed->after);
    if (url_append(&path, "/v1/changes?limit=1000") &&
        (tenant == NULL || url_append(&path, "&tenant=%", tenant))) {
        outcome =
            api_get_pages(&feed->session->api, (const char *)buf_front(&path), after, on_page, feed, status);
    } else {
        status_fail(status, "out of memory");
    }
    buf_deinit(&path);
    return outcome;
}

/* The revision behind which the last ones lie. */
static enum api_outcome find_start(struct feed *feed, const struct changes_options *options,
                                   struct status *status) {
    static const struct api_call call = {.method = "GET", .path = "/v1/quotas?limit=1"};
    struct api_reply reply = {.status = 0};
    enum api_outcome outcome = API_DONE;
    int64_t after = options->after;
    if (after < 0) {
        outcome = api_call(&feed->session->api, &call, &reply, status);
        int64_t revision = field_integer(reply.json, "revision");
        after = revision > options->last ? revision - options->last : 0;
    }
    snprintf(feed->after, sizeof feed->after, "%" PRId64, after);
    api_reply_deinit(&reply);
    return outcome;
}

static int run_feed(struct feed *feed, const struct changes_options *options) {
    struct status status = {""};
    enum api_outcome outcome = find_start(feed, options, &status);
    while (outcome == API_DONE) {
        outcome = show_news(feed, options->tenant, &status);
        if (!options->is_following && outcome == API_DONE) {
            return CTL_DONE;
        }
        if (options->is_following && outcome == API_TROUBLE && !ferror(stdout)) {
            session_complain(feed->session->command, "%s; asking again", status.text);
            outcome = API_DONE;
        }
        if (outcome == API_DONE) {
            usleep((useconds_t)options->interval_us);
        }
    }
    return session_fail(feed->session, outcome, NULL, &status);
}

static int run(const void *options_read, char *const *arguments) {
    static const char *const heads[] = {"REVISION", "AT",       "WHO",    "FROM", "WHAT",
                                        "TENANT",   "RESOURCE", "CHANGE", NULL};
    const struct changes_options *options = options_read;
    struct session session;
    (void)arguments;
    if (!session_open(&session, &options->session, "changes")) {
        return CTL_TROUBLE;
    }
    struct feed feed = {.session = &session};
    static const char *const no_heads[] = {"", "", "", "", "", "", "", "", NULL};
    columns_init(&feed.columns, session.is_json ? no_heads : heads);
    int code = run_feed(&feed, options);
    columns_deinit(&feed.columns);
    session_close(&session);
    return code;
}

const struct command ctl_changes = {
    .program = "sluicectl",
    .name = "changes",
    .summary = "List who changed which quota, from what to what, and what was refused; the newest last",
    .arguments = "",
    .options = options_table,
    .n_options = sizeof options_table / sizeof options_table[0],
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes = "JSON is one object a line for each change. While following, an admin endpoint that does not "
             "answer is\n"
             "asked again. Exit code: 0 listed, 1 refused, 2 trouble.\n\n"
             "  sluicectl changes --follow\n"
             "  sluicectl changes --tenant acme --after 0 --json\n",
    .run = run,
};
