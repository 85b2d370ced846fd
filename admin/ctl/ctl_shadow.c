/* ctl_shadow.c — `sluicectl quota shadow-report`: what quotas in shadow mode would deny, over all frontends. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "admin/ctl/columns.h"
#include "admin/ctl/commands.h"
#include "admin/ctl/field.h"
#include "admin/ctl/fleet_get.h"
#include "admin/ctl/session.h"
#include "admin/ctl/shadow_sum.h"
#include "client/cmd/show.h"

struct shadow_options {
    struct session_options session;
};
static const struct shadow_options defaults = {.session = SESSION_DEFAULTS};
static const struct option_spec options_table[] = {SESSION_OPTIONS(shadow_options)};

static bool add_answer(void *arg, const json_t *answer) {
    return shadow_sum_add(arg, answer);
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

static int run(const void *options_read, char *const *arguments) {
    const struct shadow_options *options = options_read;
    struct session session;
    struct shadow_sum sum;
    struct fleet_get get = {.path = "/v1/shadow", .add = add_answer, .arg = &sum};
    (void)arguments;
    if (!session_open(&session, &options->session, "quota shadow-report")) {
        return CTL_TROUBLE;
    }
    shadow_sum_init(&sum);
    int code = fleet_get(&session, &get);
    if (code == CTL_DONE && !print_sum(&session, &sum, get.n_answered)) {
        code = session_complain(session.command, "out of memory");
    } else if (code == CTL_DONE && get.n_answered < get.n_frontends) {
        code = CTL_TROUBLE;
    }
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
