/* client_options.c — judges a caller's options; see client_options.h. */
#include "client/client_options.h"

#include <inttypes.h>
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
    if ((int)given->hedge < SLUICE_HEDGE_NOTHING || given->hedge > SLUICE_HEDGE_CHECKS) {
        snprintf(message, cap, "hedge: %d is none of enum sluice_hedge", (int)given->hedge);
        return false;
    }
    if (given->hedge_after_ms > WIRE_TIMEOUT_MAX_MS) {
        snprintf(message, cap, "hedge_after_ms: %u, at most %d", given->hedge_after_ms, WIRE_TIMEOUT_MAX_MS);
        return false;
    }
    if ((int)given->on_failure < SLUICE_ON_FAILURE_REPORT || given->on_failure > SLUICE_ON_FAILURE_LOCAL) {
        snprintf(message, cap, "on_failure: %d is none of enum sluice_on_failure", (int)given->on_failure);
        return false;
    }
    return true;
}

/* Without a burst: one second's worth of the rate, at least 1. */
static bool read_local(struct client_options *options, const struct sluice_options *given, char *message,
                       size_t cap) {
    struct bucket_limit *limit = &options->local_limit;
    struct status reason;
    uint32_t max_keys = given->local_max_keys > 0 ? given->local_max_keys : SLUICE_DEFAULT_LOCAL_KEYS;
    if (given->local_rate_tokens == 0) {
        snprintf(message, cap, "local_rate_tokens: 0, SLUICE_ON_FAILURE_LOCAL needs a rate");
        return false;
    }
    uint64_t rate = given->local_rate_tokens <= INT64_MAX ? given->local_rate_tokens : INT64_MAX;
    if (!bucket_set_rate(limit, (int64_t)rate, given->local_period_s > 0 ? given->local_period_s : 1,
                         &reason)) {
        snprintf(message, cap, "local_rate_tokens, local_period_s: %s", reason.text);
        return false;
    }
    if (given->local_burst_tokens > BUCKET_MAX_TOKENS) {
        snprintf(message, cap, "local_burst_tokens: %" PRIu64 ", at most %" PRId64, given->local_burst_tokens,
                 BUCKET_MAX_TOKENS);
        return false;
    }
    if (max_keys > CLIENT_LOCAL_KEYS_MAX) {
        snprintf(message, cap, "local_max_keys: %" PRIu32 ", at most %d", max_keys, CLIENT_LOCAL_KEYS_MAX);
        return false;
    }
    int64_t burst = (int64_t)given->local_burst_tokens;
    if (burst == 0) {
        burst = limit->count >= limit->period_s ? limit->count / limit->period_s : 1;
    }
    limit->burst_utok = burst * BUCKET_UTOK_PER_TOKEN;
    options->local_max_keys = max_keys;
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
        .hedge_after_ms = 1,
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
    options->hedge = given->hedge;
    options->hedge_after_ms = given->hedge_after_ms > 0 ? given->hedge_after_ms : 1;
    options->on_failure = given->on_failure;
    return given->on_failure != SLUICE_ON_FAILURE_LOCAL || read_local(options, given, message, cap);
}
