/* target.c — picks the list of frontends. */
#include "client/cmd/target.h"

#include <stdlib.h>
#include <string.h>

#include "proto/wire.h"
#include "server/base/units.h"

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

struct sluice_client *target_open(const struct options_list *given, const char *environment, int64_t timeout_us,
                                  struct status *status) {
    struct target target;
    if (!target_init(&target, given, environment, timeout_us, status)) {
        return NULL;
    }
    struct sluice_client *client = sluice_open(&target.options, status->text, sizeof status->text);
    target_deinit(&target);
    return client;
}

struct sluice_check target_check_of(char *const *arguments, const char *idempotency_key) {
    struct sluice_check check = sluice_check_of(arguments[0], arguments[1], arguments[2]);
    check.idempotency_key = idempotency_key;
    check.idempotency_key_len = idempotency_key != NULL ? strlen(idempotency_key) : 0;
    return check;
}

bool target_read_tokens(const char *name, const char *text, int64_t min, uint64_t *tokens,
                        struct status *status) {
    struct bytes bytes = {(const uint8_t *)text, strlen(text)};
    struct status reason = {""};
    int64_t value;
    if (!units_read_integer(bytes, min, WIRE_COST_MAX, &value, &reason)) {
        return status_fail(status, "%s: %s", name, reason.text);
    }
    *tokens = (uint64_t)value;
    return true;
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
