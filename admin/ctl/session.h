/* session.h — what every command that talks to an admin endpoint does alike: its common options, opening, and ending
 * badly. */
#ifndef SLUICE_CTL_SESSION_H
#define SLUICE_CTL_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/ctl/api.h"
#include "admin/ctl/settings.h"
#include "client/cmd/options.h"

/* Exit codes; scripts rely on them. */
enum { CTL_DONE = 0, CTL_REFUSED = 1, CTL_TROUBLE = 2 };

enum { SESSION_TIMEOUT_DEFAULT_US = 5 * 1000 * 1000, SESSION_TIMEOUT_MAX_US = 600 * 1000 * 1000 };

struct session_options {
    const char *admin, *token_file;
    int64_t timeout_us;
    bool is_json;
};

#define SESSION_DEFAULTS                                                                                       \
    { .timeout_us = SESSION_TIMEOUT_DEFAULT_US }

/* The rows of a command whose struct `owner` has a member `session`. */
/* clang-format off */
#define SESSION_OPTIONS(owner)                                                                                 \
    {"admin", "URL", OPTION_TEXT, offsetof(struct owner, session.admin), 0, 0,                                 \
     "admin address, else SLUICE_ADMIN, else the file's, else " SETTINGS_DEFAULT_ADMIN},                       \
    {"token-file", "FILE", OPTION_TEXT, offsetof(struct owner, session.token_file), 0, 0,                      \
     "has the token, else SLUICE_TOKEN, else the file's"},                                                     \
    {"timeout", "DURATION", OPTION_DURATION_US, offsetof(struct owner, session.timeout_us), 1000,              \
     SESSION_TIMEOUT_MAX_US, "for each answer"},                                                               \
    {"json", NULL, OPTION_FLAG, offsetof(struct owner, session.is_json), 0, 0, "print JSON"}

#define SESSION_WAIT_OPTION(owner)                                                                             \
    {"wait", "DURATION", OPTION_WAIT_US, offsetof(struct owner, wait_us), 1000, SESSION_TIMEOUT_MAX_US,        \
     "until every live frontend has it, at most 5s unless told"}
/* clang-format on */

struct session {
    const char *command; /* "quota set" */
    struct settings settings;
    struct api api;
    bool is_json;
};

/* Reads the settings. False after a complaint: exit CTL_TROUBLE then. The session must not be moved. */
bool session_open(struct session *session, const struct session_options *options, const char *command)
    __attribute__((warn_unused_result));
void session_close(struct session *session);

/* Complains on stderr as "sluicectl COMMAND: ..." and returns CTL_TROUBLE. */
int session_complain(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Reports a call that is not done: the sentence on stderr, both values of a conflict, the server's JSON on stdout
 * where JSON was asked for. Returns the exit code. `reply` may be NULL. */
int session_fail(const struct session *session, enum api_outcome outcome, const struct api_reply *reply,
                 const struct status *status);

/* One line of JSON on stdout; false with a complaint when memory is short. */
bool session_print_json(const char *command, const json_t *json) __attribute__((warn_unused_result));

/* Does what --wait asks for: `wait_us` is 0 (nothing), OPTIONS_BARE or the time. Returns the exit code. */
int session_wait(struct session *session, int64_t revision, int64_t wait_us);

#endif
