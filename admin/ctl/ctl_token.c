/* ctl_token.c — `sluicectl token`: makes a token, and the line that lets frontends know it. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "admin/ctl/commands.h"
#include "admin/ctl/session.h"
#include "admin/ctl/token_maker.h"

struct token_options {
    const char *role;
    bool is_json;
};
static const struct token_options defaults = {.role = NULL};

#define OPTION(member) offsetof(struct token_options, member)
static const struct option_spec options_table[] = {
    {"role", "ROLE", OPTION_TEXT, OPTION(role), 0, 0, "viewer (looks) or operator (changes, too)"},
    {"json", NULL, OPTION_FLAG, OPTION(is_json), 0, 0, "print JSON"},
};

static int run(const void *options_read, char *const *arguments) {
    const struct token_options *options = options_read;
    struct status status = {""};
    struct token_made made;
    if (!token_maker_check(arguments[0], options->role, &status) || !token_maker_make(&made, &status)) {
        return session_complain("token", "%s", status.text);
    }
    int code = CTL_DONE;
    if (options->is_json) {
        json_t *json = json_pack("{s:s, s:s, s:s, s:s}", "name", arguments[0], "role", options->role, "token",
                                 made.token, "sha256", made.sha256);
        code = session_print_json("token", json) ? CTL_DONE : CTL_TROUBLE;
        json_decref(json);
    } else {
        printf("token of %s, shown only now:\n\n%s\n\nline for the file that admin_tokens names:\n\n"
               "- { name: \"%s\", role: %s, sha256: %s }\n",
               arguments[0], made.token, arguments[0], options->role, made.sha256);
    }
    explicit_bzero(&made, sizeof made);
    return code;
}

const struct command ctl_token = {
    .program = "sluicectl",
    .name = "token",
    .summary = "Make a token for NAME, and the line of the tokens file that lets frontends know it",
    .arguments = "NAME",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options_table,
    .n_options = sizeof options_table / sizeof options_table[0],
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes =
        "NAME stands in the list of changes for whoever uses the token. The file holds only its SHA-256. No\n"
        "frontend is asked. Exit code: 0 made, 2 trouble.\n\n"
        "  sluicectl token alice --role operator\n",
    .run = run,
};
