/* target.c — picks the list of frontends. */
#include "client/cmd/target.h"

#include <stdlib.h>
#include <string.h>

/* Cuts `text` at its commas. */
static bool split_servers(char *text, struct options_list *servers, struct status *status) {
    char *rest = NULL;
    for (char *item = strtok_r(text, ",", &rest); item != NULL; item = strtok_r(NULL, ",", &rest)) {
        if (servers->n == OPTIONS_LIST_MAX) {
            return status_fail(status, "SLUICE_SERVER: more than %d servers", OPTIONS_LIST_MAX);
        }
        servers->items[servers->n++] = item;
    }
    return servers->n > 0 || status_fail(status, "SLUICE_SERVER: only commas, no server");
}

bool target_init(struct target *target, const struct options_list *given, const char *environment,
                 int64_t timeout_us, struct status *status) {
    *target = (struct target){.servers = *given};
    if (given->n == 0 && environment != NULL) {
        target->environment = strdup(environment);
        if (target->environment == NULL) {
            return status_fail(status, "out of memory");
        }
        if (environment[0] != '\0' && !split_servers(target->environment, &target->servers, status)) {
            target_deinit(target);
            return false;
        }
    }
    if (target->servers.n == 0) {
        target->servers.items[target->servers.n++] = SLUICE_DEFAULT_SERVER;
    }
    target->options = (struct sluice_options){
        .servers = target->servers.items,
        .n_servers = target->servers.n,
        .timeout_ms = (uint32_t)((timeout_us + 999) / 1000),
    };
    return true;
}

void target_deinit(struct target *target) {
    free(target->environment);
    *target = (struct target){.environment = NULL};
}

const char *target_advice(enum sluice_status status, const char *message) {
    switch (status) {
    case SLUICE_UNAVAILABLE:
        return strncmp(message, "store:", strlen("store:")) == 0 ? "" : "; is sluiced running? (--server)";
    case SLUICE_DEADLINE_EXCEEDED:
        return "; allow more time with --timeout";
    case SLUICE_RESOURCE_EXHAUSTED:
        return "; send fewer at once";
    case SLUICE_OK:
    case SLUICE_CANCELLED:
    case SLUICE_UNKNOWN:
    case SLUICE_INVALID_ARGUMENT:
    case SLUICE_NOT_FOUND:
    case SLUICE_UNIMPLEMENTED:
    case SLUICE_INTERNAL:
        break;
    }
    return "";
}
