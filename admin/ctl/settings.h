/* settings.h — which admin endpoint is asked, and with which token.
 *
 * Each of the two comes from the first place that has it: the flag, the variable, the file
 * ~/.config/sluice/config.yaml (fields admin and token), the default (http://127.0.0.1:7381 and no token). */
#ifndef SLUICE_CTL_SETTINGS_H
#define SLUICE_CTL_SETTINGS_H

#include <stdbool.h>

#include "server/base/status.h"

#define SETTINGS_DEFAULT_ADMIN "127.0.0.1:7381"
#define SETTINGS_FILE ".config/sluice/config.yaml"

/* Where to look; each may be NULL. An empty variable is as good as none. */
struct settings_sources {
    const char *admin_flag;
    const char *token_file_flag; /* a path */
    const char *admin_variable;  /* the value of SLUICE_ADMIN */
    const char *token_variable;  /* of SLUICE_TOKEN */
    const char *home;            /* of HOME */
};

struct settings {
    char *admin;           /* "http://host:port", without a slash at its end; owned */
    char *token;           /* owned; NULL: none */
    struct status warning; /* "" or what should be put right */
};

/* False with a sentence when a place that counts holds nonsense; all is zero then. */
bool settings_load(struct settings *settings, const struct settings_sources *sources, struct status *status)
    __attribute__((warn_unused_result));
/* Wipes and frees; an all-zero one is fine. */
void settings_deinit(struct settings *settings);

#endif
