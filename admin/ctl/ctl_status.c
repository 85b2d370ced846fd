/* ctl_status.c — `sluicectl frontends|status`: the fleet as it is now. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "admin/ctl/columns.h"
#include "admin/ctl/commands.h"
#include "admin/ctl/field.h"
#include "admin/ctl/session.h"
#include "admin/ctl/wait.h"
#include "client/cmd/show.h"
#include "server/base/clock.h"

struct view_options {
    struct session_options session;
};
static const struct view_options defaults = {.session = SESSION_DEFAULTS};
static const struct option_spec options_table[] = {SESSION_OPTIONS(view_options)};
enum { N_OPTIONS = sizeof options_table / sizeof options_table[0] };

/* GETs one answer and has it printed, as JSON or by `print`. */
static int view(const void *options_read, const char *command, const char *path,
                int (*print)(struct session *session, const json_t *json)) {
    const struct view_options *options = options_read;
    struct session session;
    struct api_reply reply;
    struct status status = {""};
    if (!session_open(&session, &options->session, command)) {
        return CTL_TROUBLE;
    }
    int code;
    enum api_outcome outcome =
        api_call(&session.api, &(struct api_call){.method = "GET", .path = path}, &reply, &status);
    if (outcome != API_DONE) {
        code = session_fail(&session, outcome, &reply, &status);
    } else if (session.is_json) {
        code = session_print_json(command, reply.json) ? CTL_DONE : CTL_TROUBLE;
    } else {
        code = print(&session, reply.json);
    }
    api_reply_deinit(&reply);
    session_close(&session);
    return code;
}

/* ---- frontends ---- */

static void add_frontend(struct columns *columns, const json_t *frontend, const char *self, int64_t revision) {
    int64_t own = field_integer(frontend, "revision");
    int64_t started_at_s = field_integer(frontend, "started_at");
    int64_t up_us = clock_wall_us() - started_at_s * 1000000;
    columns_add(columns, "%s%s", field_text(frontend, "id"),
                strcmp(field_text(frontend, "id"), self) == 0 ? "*" : "");
    columns_add(columns, "%s", field_text(frontend, "address"));
    columns_add(columns, "%s", field_text(frontend, "admin"));
    columns_add(columns, "%s", field_text(frontend, "version"));
    columns_add(columns, "%" PRId64 "%s", own, own < revision ? " (behind)" : "");
    columns_add(columns, "%" PRId64, field_integer(frontend, "degraded_shards"));
    columns_add(columns, "%s", started_at_s > 0 ? show_duration(up_us > 0 ? (uint64_t)up_us : 0).text : "-");
    columns_add(columns, "%s ago", show_duration((uint64_t)field_integer(frontend, "silent_ms") * 1000).text);
}

static int print_frontends(struct session *session, const json_t *json) {
    static const char *const heads[] = {"ID", "ADDRESS",  "ADMIN", "VERSION", "REVISION", "DEGRADED SHARDS",
                                        "UP", "HEARD OF", NULL};
    const json_t *list = field_list(json, "frontends");
    struct columns columns;
    columns_init(&columns, heads);
    for (size_t i = 0; i < json_array_size(list); i++) {
        add_frontend(&columns, json_array_get(list, i), field_text(json, "self"),
                     field_integer(json, "revision"));
    }
    bool is_printed = columns_print(&columns, stdout);
    columns_deinit(&columns);
    return is_printed ? CTL_DONE : session_complain(session->command, "out of memory");
}

static int run_frontends(const void *options, char *const *arguments) {
    (void)arguments;
    return view(options, "frontends", "/v1/frontends", print_frontends);
}

const struct command ctl_frontends = {
    .program = "sluicectl",
    .name = "frontends",
    .summary = "List the live frontends: what each has in force, and how it is",
    .arguments = "",
    .options = options_table,
    .n_options = N_OPTIONS,
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes =
        "The one that answered is marked by *. A frontend whose revision is behind has not applied the latest\n"
        "change yet. Exit code: 0 listed, 1 refused, 2 trouble.\n",
    .run = run_frontends,
};

/* ---- status ---- */

static int64_t sum_degraded(const json_t *list) {
    int64_t sum = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        sum += field_integer(json_array_get(list, i), "degraded_shards") > 0;
    }
    return sum;
}

static int print_status(struct session *session, const json_t *json) {
    int64_t revision = field_integer(json, "revision");
    const json_t *list = field_list(json, "frontends");
    int64_t n_degraded = sum_degraded(list);
    struct wait_result result = {.is_everywhere = false};
    char self[64];
    wait_judge(json, revision, &result);
    printf("asked      %s, frontend %s\n", session->api.admin,
           columns_tame(field_text(json, "self"), self, sizeof self));
    printf("revision   %" PRId64 "\n", revision);
    printf("frontends  %zu\n", result.n_frontends);
    printf("in force   %s%s\n", result.is_everywhere ? "everywhere" : "not everywhere: ", result.laggards.text);
    if (n_degraded == 0) {
        puts("degraded   no frontend");
    } else {
        printf("degraded   %" PRId64 " of them; 'sluicectl frontends' tells which\n", n_degraded);
    }
    return CTL_DONE;
}

static int run_status(const void *options, char *const *arguments) {
    (void)arguments;
    return view(options, "status", "/v1/frontends", print_status);
}

const struct command ctl_status = {
    .program = "sluicectl",
    .name = "status",
    .summary = "Sum the fleet up: how many frontends, is the latest change in force, is one degraded",
    .arguments = "",
    .options = options_table,
    .n_options = N_OPTIONS,
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes = "Exit code: 0 whenever there was an answer, 1 refused, 2 trouble.\n",
    .run = run_status,
};
