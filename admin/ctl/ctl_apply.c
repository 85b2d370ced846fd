/* ctl_apply.c — `sluicectl apply|diff|export`: all quotas at once, as a file. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/ctl/commands.h"
#include "admin/ctl/field.h"
#include "admin/ctl/plan.h"
#include "admin/ctl/quota_bag.h"
#include "admin/ctl/session.h"
#include "client/cmd/terminal.h"

static const char quotas_path[] = "/v1/quotas?limit=1000";

struct apply_options {
    struct session_options session;
    int64_t wait_us;
    bool is_replacing, is_agreed;
};
static const struct apply_options defaults = {.session = SESSION_DEFAULTS};

#define REPLACE_OPTION                                                                                         \
    {                                                                                                          \
        "replace", NULL, OPTION_FLAG, offsetof(struct apply_options, is_replacing), 0, 0,                      \
            "remove the quotas that the file lacks"                                                            \
    }

/* What there is, what shall be, and the way from one to the other. */
struct work {
    struct session session;
    struct quota_bag have, want;
    struct plan plan;
};

static void work_close(struct work *work) {
    plan_deinit(&work->plan);
    quota_bag_deinit(&work->have);
    quota_bag_deinit(&work->want);
    session_close(&work->session);
}

/* CTL_DONE with all quotas of the server in work->have, else after a complaint. */
static int fetch(struct work *work) {
    struct status status = {""};
    enum api_outcome outcome =
        api_get_pages(&work->session.api, quotas_path, NULL, quota_bag_add_page, &work->have, &status);
    quota_bag_sort(&work->have);
    return outcome == API_DONE ? CTL_DONE : session_fail(&work->session, outcome, NULL, &status);
}

/* Opens everything; work_close is needed after CTL_DONE alone. */
static int work_open(struct work *work, const struct apply_options *options, const char *command,
                     const char *path) {
    struct status status = {""};
    *work = (struct work){.plan = {.changes = NULL}};
    if (path != NULL && !quota_bag_read_file(&work->want, path, &status)) {
        return session_complain(command, "%s", status.text);
    }
    if (!session_open(&work->session, &options->session, command)) {
        quota_bag_deinit(&work->want);
        return CTL_TROUBLE;
    }
    int code = fetch(work);
    if (code == CTL_DONE && !plan_make(&work->plan, &work->have, &work->want, options->is_replacing)) {
        code = session_complain(command, "out of memory");
    }
    if (code != CTL_DONE) {
        work_close(work);
    }
    return code;
}

static json_t *make_summary(const struct plan *plan, int64_t revision) {
    return json_pack("{s:I, s:I, s:I, s:I, s:b, s:I}", "added", (json_int_t)plan->n_added, "changed",
                     (json_int_t)plan->n_changed, "removed", (json_int_t)plan->n_removed, "kept",
                     (json_int_t)plan->n_kept, "default_changed", plan->changes_default, "revision",
                     (json_int_t)revision);
}

static int print_summary(const struct work *work, int64_t revision) {
    if (!work->session.is_json) {
        printf("applied: revision %" PRId64 "\n", revision);
        return CTL_DONE;
    }
    json_t *summary = make_summary(&work->plan, revision);
    bool is_printed = session_print_json(work->session.command, summary);
    json_decref(summary);
    return is_printed ? CTL_DONE : CTL_TROUBLE;
}

/* ---- apply ---- */

/* Asks the person at the terminal; without one nobody can be asked. */
static int agree(const struct work *work, const char *path) {
    char answer[16] = "";
    if (strcmp(path, "-") == 0 || !terminal_detect(STDIN_FILENO).is_terminal) {
        return session_complain(work->session.command,
                                "nobody can be asked here; nothing was changed (--yes applies)");
    }
    fputs("Apply this? [y/N] ", stderr);
    if (fgets(answer, sizeof answer, stdin) == NULL || (answer[0] != 'y' && answer[0] != 'Y')) {
        session_complain(work->session.command, "nothing was changed");
        return CTL_REFUSED;
    }
    return CTL_DONE;
}

/* Sends one request; on CTL_DONE `*revision` and `*n_done` are brought up to date. */
static int send_chunk(struct work *work, size_t *n_done, int64_t *revision) {
    struct buf body = {0};
    struct api_reply reply = {.status = 0};
    struct status status = {""};
    size_t n;
    int code;
    if (!plan_write_chunk(&work->plan, *n_done, &n, &body)) {
        code = session_complain(work->session.command, "out of memory");
    } else {
        enum api_outcome outcome =
            api_call(&work->session.api,
                     &(struct api_call){
                         .method = "POST", .path = "/v1/quotas:apply", .body = (const char *)buf_front(&body)},
                     &reply, &status);
        code = outcome == API_DONE ? CTL_DONE : session_fail(&work->session, outcome, &reply, &status);
    }
    if (code == CTL_DONE) {
        *revision = field_integer(reply.json, "revision");
        *n_done += n;
    }
    api_reply_deinit(&reply);
    buf_deinit(&body);
    return code;
}

static int send_all(struct work *work, int64_t *revision) {
    size_t n_done = 0;
    do {
        int code = send_chunk(work, &n_done, revision);
        if (code != CTL_DONE) {
            if (n_done > 0) {
                session_complain(
                    work->session.command,
                    "%zu of %zu changes were made before that, the last of them in revision %" PRId64
                    "; apply the file again to go on",
                    n_done, work->plan.n, *revision);
            }
            return code;
        }
    } while (n_done < work->plan.n);
    return CTL_DONE;
}

static int apply(struct work *work, const struct apply_options *options, const char *path) {
    int64_t revision = 0;
    if (plan_is_empty(&work->plan)) {
        if (!work->session.is_json) {
            puts("nothing to change");
            return CTL_DONE;
        }
        return print_summary(work, 0);
    }
    FILE *out = work->session.is_json ? stderr : stdout;
    plan_print(&work->plan, terminal_detect(fileno(out)).has_colors, out);
    fflush(out);
    int code = options->is_agreed ? CTL_DONE : agree(work, path);
    code = code == CTL_DONE ? send_all(work, &revision) : code;
    code = code == CTL_DONE ? print_summary(work, revision) : code;
    return code == CTL_DONE ? session_wait(&work->session, revision, options->wait_us) : code;
}

static int run_apply(const void *options, char *const *arguments) {
    struct work work;
    int code = work_open(&work, options, "apply", arguments[0]);
    if (code == CTL_DONE) {
        code = apply(&work, options, arguments[0]);
        work_close(&work);
    }
    return code;
}

static const struct option_spec apply_table[] = {
    REPLACE_OPTION,
    {"yes", NULL, OPTION_FLAG, offsetof(struct apply_options, is_agreed), 0, 0, "do not ask"},
    SESSION_WAIT_OPTION(apply_options),
    SESSION_OPTIONS(apply_options),
};

const struct command ctl_apply = {
    .program = "sluicectl",
    .name = "apply",
    .summary = "Make the quotas those of FILE, after showing what would change and asking",
    .arguments = "FILE",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = apply_table,
    .n_options = sizeof apply_table / sizeof apply_table[0],
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes = "FILE is a quota file as 'sluiced --quotas' reads it, or what 'quota list --json' printed; - is "
             "standard\n"
             "input. Quotas that it does not name stay as they are, unless --replace is given. A quota that "
             "somebody\n"
             "changes meanwhile is a conflict. 1000 changes are made at a time, all of them or none.\n"
             "Exit code: 0 applied or nothing to do, 1 refused, a conflict or not agreed to, 2 trouble, or not "
             "in force\n"
             "everywhere in time.\n\n"
             "  sluicectl apply quotas.yaml --replace --wait\n",
    .run = run_apply,
};

/* ---- diff ---- */

static int run_diff(const void *options, char *const *arguments) {
    struct work work;
    int code = work_open(&work, options, "diff", arguments[0]);
    if (code != CTL_DONE) {
        return code == CTL_REFUSED ? CTL_TROUBLE : code;
    }
    if (work.session.is_json) {
        code = print_summary(&work, 0);
    } else {
        plan_print(&work.plan, terminal_detect(STDOUT_FILENO).has_colors, stdout);
    }
    code = code == CTL_DONE && !plan_is_empty(&work.plan) ? CTL_REFUSED : code;
    work_close(&work);
    return code;
}

static const struct option_spec diff_table[] = {
    REPLACE_OPTION,
    SESSION_OPTIONS(apply_options),
};

const struct command ctl_diff = {
    .program = "sluicectl",
    .name = "diff",
    .summary = "Show what 'apply FILE' would change, and change nothing",
    .arguments = "FILE",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = diff_table,
    .n_options = sizeof diff_table / sizeof diff_table[0],
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes = "Exit code: 0 nothing would change, 1 something would, 2 trouble.\n\n"
             "  sluicectl diff quotas.yaml --replace\n",
    .run = run_diff,
};

/* ---- export ---- */

static int run_export(const void *options, char *const *arguments) {
    struct work work;
    (void)arguments;
    int code = work_open(&work, options, "export", NULL);
    if (code != CTL_DONE) {
        return code;
    }
    if (!quota_bag_write_yaml(&work.have, stdout)) {
        code = session_complain("export", "out of memory, or the output cannot be written");
    }
    work_close(&work);
    return code;
}

static const struct option_spec export_table[] = {SESSION_OPTIONS(apply_options)};

const struct command ctl_export = {
    .program = "sluicectl",
    .name = "export",
    .summary = "Print all quotas as a quota file, which 'apply' and 'sluiced --quotas' take",
    .arguments = "",
    .options = export_table,
    .n_options = sizeof export_table / sizeof export_table[0] - 1, /* no --json: this is YAML */
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes = "For JSON there is 'quota list --json'. Exit code: 0 printed, 1 refused, 2 trouble.\n\n"
             "  sluicectl export > quotas.yaml\n",
    .run = run_export,
};
