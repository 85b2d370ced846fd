/* ctl_bucket.c — `sluicectl bucket show|reset`: what a key has left, and filling its buckets. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "admin/ctl/columns.h"
#include "admin/ctl/commands.h"
#include "admin/ctl/field.h"
#include "admin/ctl/session.h"
#include "admin/ctl/url.h"
#include "client/cmd/show.h"

struct bucket_options {
    struct session_options session;
    const char *limit;
};
static const struct bucket_options defaults = {.session = SESSION_DEFAULTS};
static const struct option_spec show_table[] = {SESSION_OPTIONS(bucket_options)};
static const struct option_spec reset_table[] = {
    {"limit", "NAME", OPTION_TEXT, offsetof(struct bucket_options, limit), 0, 0,
     "fill the bucket of this limit instead, whose scope is wider than key"},
    SESSION_OPTIONS(bucket_options),
};

/* A level is a decimal number, which may come as a text. */
static void add_level(struct columns *columns, const json_t *level) {
    if (json_is_string(level)) {
        columns_add(columns, "%s", json_string_value(level));
    } else {
        columns_add(columns, "%.6g", json_number_value(level));
    }
}

static int print_bucket(const json_t *json) {
    static const char *const heads[] = {"LIMIT", "SCOPE", "LEVEL", "BURST", "RATE", "FULL AFTER", NULL};
    const json_t *list = field_list(json, "limits");
    struct columns columns;
    char pattern[512], source[32];
    printf("quota %s, as the %s has it\n\n", columns_tame(field_text(json, "pattern"), pattern, sizeof pattern),
           columns_tame(field_text(json, "source"), source, sizeof source));
    columns_init(&columns, heads);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *limit = json_array_get(list, i);
        columns_add(&columns, "%s", field_text(limit, "name"));
        columns_add(&columns, "%s", field_text(limit, "scope"));
        add_level(&columns, json_object_get(limit, "level"));
        columns_add(&columns, "%" PRId64, field_integer(limit, "burst"));
        columns_add(&columns, "%s", field_text(limit, "rate"));
        int64_t full_after_us = field_integer(limit, "full_after_us");
        columns_add(&columns, "%s", show_duration(full_after_us > 0 ? (uint64_t)full_after_us : 0).text);
    }
    bool is_printed = columns_print(&columns, stdout);
    columns_deinit(&columns);
    return is_printed ? CTL_DONE : session_complain("bucket show", "out of memory");
}

static int print_reset(const json_t *json) {
    (void)json;
    puts("reset: the next check finds full buckets");
    return CTL_DONE;
}

static bool append_path(struct buf *path, char *const *arguments, bool is_reset, const char *limit) {
    return url_append(path, "/v1/tenants/%/buckets/%/%", arguments[0], arguments[1], arguments[2]) &&
           (!is_reset || url_append(path, ":reset")) &&
           (limit == NULL || url_append(path, "?limit_name=%", limit));
}

/* Calls on (tenant, resource, key) and has the answer printed. */
static int call(const struct bucket_options *options, char *const *arguments, const char *command,
                bool is_reset, int (*print)(const json_t *json)) {
    struct session session;
    struct api_reply reply = {.status = 0};
    struct status status = {""};
    struct buf path = {0};
    int code;
    if (!session_open(&session, &options->session, command)) {
        return CTL_TROUBLE;
    }
    if (!append_path(&path, arguments, is_reset, options->limit)) {
        code = session_complain(command, "out of memory");
    } else {
        enum api_outcome outcome = api_call(
            &session.api,
            &(struct api_call){.method = is_reset ? "POST" : "GET", .path = (const char *)buf_front(&path)},
            &reply, &status);
        code = outcome != API_DONE                       ? session_fail(&session, outcome, &reply, &status)
               : !session.is_json                        ? print(reply.json)
               : session_print_json(command, reply.json) ? CTL_DONE
                                                         : CTL_TROUBLE;
    }
    api_reply_deinit(&reply);
    buf_deinit(&path);
    session_close(&session);
    return code;
}

static int run_show(const void *options, char *const *arguments) {
    return call(options, arguments, "bucket show", false, print_bucket);
}

static int run_reset(const void *options, char *const *arguments) {
    return call(options, arguments, "bucket reset", true, print_reset);
}

const struct command ctl_bucket_show = {
    .program = "sluicectl",
    .name = "bucket show",
    .summary = "Show what KEY has left of each limit, taking nothing",
    .arguments = "TENANT RESOURCE KEY",
    .min_arguments = 3,
    .max_arguments = 3,
    .options = show_table,
    .n_options = sizeof show_table / sizeof show_table[0],
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes = "RESOURCE is a name as callers send it, not a pattern. Levels are tokens.\n"
             "Exit code: 0 shown, 1 refused or no quota, 2 trouble.\n\n"
             "  sluicectl bucket show acme api.read alice\n",
    .run = run_show,
};

const struct command ctl_bucket_reset = {
    .program = "sluicectl",
    .name = "bucket reset",
    .summary = "Fill the buckets of KEY, as if it had never asked, or one that it shares",
    .arguments = "TENANT RESOURCE KEY",
    .min_arguments = 3,
    .max_arguments = 3,
    .options = reset_table,
    .n_options = sizeof reset_table / sizeof reset_table[0],
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes =
        "Without --limit all buckets of scope key are filled, and no other. It is written into the changes.\n"
        "Exit code: 0 reset, 1 refused, 2 trouble.\n\n"
        "  sluicectl bucket reset acme api.read alice\n"
        "  sluicectl bucket reset acme api.read alice --limit contract\n",
    .run = run_reset,
};
