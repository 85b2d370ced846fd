/* ctl_hot.c — `sluicectl hot`: the keys that are checked most, over all frontends. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "admin/ctl/columns.h"
#include "admin/ctl/commands.h"
#include "admin/ctl/field.h"
#include "admin/ctl/fleet_get.h"
#include "admin/ctl/hot_sum.h"
#include "admin/ctl/session.h"

enum { LIMIT_MAX = 1000, KEY_BYTES = 512, SOURCES_BYTES = 160 };

struct hot_options {
    struct session_options session;
    int64_t limit;
};
static const struct hot_options defaults = {.session = SESSION_DEFAULTS, .limit = 20};
static const struct option_spec options_table[] = {
    {"limit", "N", OPTION_COUNT, offsetof(struct hot_options, limit), 1, LIMIT_MAX, "how many keys to list"},
    SESSION_OPTIONS(hot_options)};

static bool add_answer(void *arg, const json_t *answer) {
    return hot_sum_add(arg, answer);
}

/* A key may hold any byte: NULs become '?' here, other control characters in the table. */
static const char *show_key(const json_t *row, char out[KEY_BYTES]) {
    const json_t *key = json_object_get(row, "key");
    size_t len = json_string_length(key);
    len = len < KEY_BYTES ? len : KEY_BYTES - 1;
    for (size_t i = 0; i < len; i++) {
        out[i] = json_string_value(key)[i] != '\0' ? json_string_value(key)[i] : '?';
    }
    out[len] = '\0';
    return out;
}

/* "store 5200, local 10". */
static const char *show_sources(const json_t *row, char out[SOURCES_BYTES]) {
    json_t *sources = json_object_get(row, "sources"), *value;
    const char *name;
    size_t used = 0;
    out[0] = '\0';
    json_object_foreach(sources, name, value) {
        int n = snprintf(out + used, SOURCES_BYTES - used, "%s%s %" PRId64, used > 0 ? ", " : "", name,
                         (int64_t)json_integer_value(value));
        if ((size_t)n >= SOURCES_BYTES - used) {
            break;
        }
        used += (size_t)n;
    }
    return used > 0 ? out : "-";
}

static bool print_table(const json_t *list) {
    static const char *const heads[] = {"TENANT",   "RESOURCE", "KEY",        "HOT",
                                        "CHECKS/S", "DENIED/S", "DECIDED BY", NULL};
    struct columns columns;
    columns_init(&columns, heads);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *row = json_array_get(list, i);
        char key[KEY_BYTES], sources[SOURCES_BYTES];
        columns_add(&columns, "%s", field_text(row, "tenant"));
        columns_add(&columns, "%s", field_text(row, "resource"));
        columns_add(&columns, "%s", show_key(row, key));
        columns_add(&columns, "%s", json_is_true(json_object_get(row, "hot")) ? "hot" : "-");
        columns_add(&columns, "%" PRId64, field_integer(row, "checks_per_s"));
        columns_add(&columns, "%" PRId64, field_integer(row, "denied_per_s"));
        columns_add(&columns, "%s", show_sources(row, sources));
    }
    bool is_printed = json_array_size(list) == 0 ? puts("no key is checked often enough to be measured") >= 0
                                                 : columns_print(&columns, stdout);
    columns_deinit(&columns);
    return is_printed;
}

static bool print_list(const struct session *session, json_t *list, size_t n_answered) {
    if (list == NULL) {
        return false;
    }
    if (!session->is_json) {
        return print_table(list);
    }
    json_t *json = json_pack("{s:I, s:O}", "frontends", (json_int_t)n_answered, "hotkeys", list);
    bool is_printed = session_print_json(session->command, json);
    json_decref(json);
    return is_printed;
}

static int report(const struct session *session, const struct hot_sum *sum, const struct fleet_get *get,
                  int64_t limit) {
    json_t *list = hot_sum_list(sum, (size_t)limit);
    bool is_printed = print_list(session, list, get->n_answered);
    json_decref(list);
    if (!is_printed) {
        return session_complain(session->command, "out of memory");
    }
    if (sum->n_silent_workers > 0) {
        return session_complain(
            session->command, "checks of workers that did not answer in time are missing: %" PRId64 " of them",
            sum->n_silent_workers);
    }
    return get->n_answered == get->n_frontends ? CTL_DONE : CTL_TROUBLE;
}

static int run(const void *options_read, char *const *arguments) {
    const struct hot_options *options = options_read;
    struct session session;
    struct hot_sum sum;
    struct fleet_get get = {.path = "/v1/hotkeys?limit=1000", .add = add_answer, .arg = &sum};
    (void)arguments;
    if (!session_open(&session, &options->session, "hot")) {
        return CTL_TROUBLE;
    }
    hot_sum_init(&sum);
    int code = fleet_get(&session, &get);
    if (code == CTL_DONE) {
        code = report(&session, &sum, &get, options->limit);
    }
    hot_sum_deinit(&sum);
    session_close(&session);
    return code;
}

const struct command ctl_hot = {
    .program = "sluicectl",
    .name = "hot",
    .summary = "List the keys that are checked most, over all frontends, and who decides on them",
    .arguments = "",
    .options = options_table,
    .n_options = sizeof options_table / sizeof options_table[0],
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes =
        "Numbers are per second. Each frontend is asked at the admin address that it tells the others, with "
        "the\n"
        "same token; a key is hot when a worker of any of them finds it so.\n"
        "Exit code: 0 listed, 1 refused, 2 trouble; then checks of frontends or workers that did not answer "
        "are\n"
        "missing.\n",
    .run = run,
};
