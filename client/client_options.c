/* client_options.c — judges a caller's options; see client_options.h. */
#include "client/client_options.h"

#include <stdio.h>

#include "proto/wire.h"

static bool are_valid(const struct sluice_options *given, char *message, size_t cap) {
    if (given->timeout_ms > WIRE_TIMEOUT_MAX_MS) {
        snprintf(message, cap, "timeout_ms: %u, at most %d", given->timeout_ms, WIRE_TIMEOUT_MAX_MS);
        return false;
    }
    if (given->servers != NULL && (given->n_servers < 1 || given->n_servers > CLIENT_SERVERS_MAX)) {
        snprintf(message, cap, "servers: %zu given, 1 to %d are needed", given->n_servers, CLIENT_SERVERS_MAX);
        return false;
    }
    if (given->max_retries < SLUICE_NO_RETRIES || given->max_retries > CLIENT_RETRIES_MAX) {
        snprintf(message, cap, "max_retries: %d, %d to %d are possible", (int)given->max_retries,
                 SLUICE_NO_RETRIES, CLIENT_RETRIES_MAX);
        return false;
    }
    if ((int)given->on_failure < SLUICE_ON_FAILURE_REPORT || given->on_failure > SLUICE_ON_FAILURE_DENY) {
        snprintf(message, cap, "on_failure: %d is none of enum sluice_on_failure", (int)given->on_failure);
        return false;
    }
    return true;
}

bool client_options_read(struct client_options *options, const struct sluice_options *given, char *message,
                         size_t cap) {
    static const char *const default_servers[] = {SLUICE_DEFAULT_SERVER};
    *options = (struct client_options){
        .servers = default_servers,
        .n_servers = 1,
        .timeout_ms = SLUICE_DEFAULT_TIMEOUT_MS,
        .max_retries = SLUICE_DEFAULT_RETRIES,
    };
    if (given == NULL) {
        return true;
    }
    if (!are_valid(given, message, cap)) {
        return false;
    }
    if (given->servers != NULL) {
        options->servers = given->servers;
        options->n_servers = given->n_servers;
    }
    if (given->timeout_ms > 0) {
        options->timeout_ms = given->timeout_ms;
    }
    if (given->max_retries != 0) {
        options->max_retries = given->max_retries > 0 ? (uint32_t)given->max_retries : 0;
    }
    options->on_failure = given->on_failure;
    return true;
}
