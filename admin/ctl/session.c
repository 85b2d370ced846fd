/* session.c — opens, waits, and says what went wrong. */
#include "admin/ctl/session.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/ctl/columns.h"
#include "admin/ctl/field.h"
#include "admin/ctl/quota_line.h"
#include "admin/ctl/wait.h"
#include "client/cmd/show.h"

enum { NAME_BYTES = 512 };

int session_complain(const char *command, const char *format, ...) {
    va_list arguments;
    fprintf(stderr, "sluicectl %s: ", command);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return CTL_TROUBLE;
}

bool session_open(struct session *session, const struct session_options *options, const char *command) {
    struct status status = {""};
    struct settings_sources sources = {
        .admin_flag = options->admin,
        .token_file_flag = options->token_file,
        .admin_variable = getenv("SLUICE_ADMIN"),
        .token_variable = getenv("SLUICE_TOKEN"),
        .home = getenv("HOME"),
    };
    *session = (struct session){.command = command, .is_json = options->is_json};
    if (!settings_load(&session->settings, &sources, &status)) {
        session_complain(command, "%s", status.text);
        return false;
    }
    if (session->settings.warning.text[0] != '\0') {
        session_complain(command, "%s", session->settings.warning.text);
    }
    session->api = (struct api){
        .http = http_client_create(),
        .admin = session->settings.admin,
        .token = session->settings.token,
        .timeout_us = options->timeout_us,
    };
    if (session->api.http == NULL) {
        session_close(session);
        session_complain(command, "out of memory");
        return false;
    }
    return true;
}

void session_close(struct session *session) {
    http_client_destroy(&session->api.http);
    settings_deinit(&session->settings);
}

bool session_print_json(const char *command, const json_t *json) {
    char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    if (text == NULL) {
        session_complain(command, "out of memory");
        return false;
    }
    puts(text);
    free(text);
    return true;
}

static void print_conflict(const struct session *session, const json_t *problem) {
    const json_t *current = json_object_get(problem, "current");
    /* of several changes, the problem says which one conflicts */
    const json_t *named = json_is_object(current) ? current : problem;
    char tenant[NAME_BYTES], resource[NAME_BYTES];
    columns_tame(field_text(named, "tenant"), tenant, sizeof tenant);
    columns_tame(field_text(named, "resource"), resource, sizeof resource);
    if (json_is_object(current)) {
        fprintf(stderr, "  there now  %s (revision %" PRId64 ")\n",
                quota_line_show(json_object_get(current, "quota")).text, field_integer(current, "revision"));
    } else {
        fputs("  there now  none\n", stderr);
    }
    fprintf(stderr, "  yours      %s\n", quota_line_show(json_object_get(problem, "yours")).text);
    session_complain(session->command, "nothing was changed; look at %s%s%s, then ask again",
                     tenant[0] != '\0' ? tenant : "it", resource[0] != '\0' ? " " : "", resource);
}

int session_fail(const struct session *session, enum api_outcome outcome, const struct api_reply *reply,
                 const struct status *status) {
    const json_t *json = reply != NULL ? reply->json : NULL;
    session_complain(session->command, "%s", status->text);
    if (outcome == API_CONFLICT && json != NULL) {
        print_conflict(session, json);
    }
    if (session->is_json && json != NULL && !session_print_json(session->command, json)) {
        return CTL_TROUBLE;
    }
    return outcome == API_TROUBLE ? CTL_TROUBLE : CTL_REFUSED;
}

int session_wait(struct session *session, int64_t revision, int64_t wait_us) {
    struct wait_result result;
    if (wait_us == 0) {
        return CTL_DONE;
    }
    wait_for_revision(&session->api, revision, wait_us == OPTIONS_BARE ? WAIT_DEFAULT_US : wait_us, &result);
    const char *plural = result.n_frontends == 1 ? "" : "s";
    if (!result.is_everywhere) {
        return session_complain(session->command,
                                "revision %" PRId64 " is accepted, but after %s not in force everywhere: %s",
                                revision, show_duration((uint64_t)result.took_us).text, result.laggards.text);
    }
    if (!session->is_json) {
        printf("in force on %zu frontend%s after %s\n", result.n_frontends, plural,
               show_duration((uint64_t)result.took_us).text);
    }
    return CTL_DONE;
}
