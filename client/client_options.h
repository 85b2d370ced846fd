/* client_options.h — a caller's options, judged, with the defaults in place of what was not said. Pure. */
#ifndef SLUICE_CLIENT_CLIENT_OPTIONS_H
#define SLUICE_CLIENT_CLIENT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/sluice.h"
#include "server/core/bucket.h"

enum { CLIENT_SERVERS_MAX = 64, CLIENT_RETRIES_MAX = 10, CLIENT_LOCAL_KEYS_MAX = 1 << 24 };

struct client_options {
    const char *const *servers; /* borrowed from the caller */
    size_t n_servers;           /* 1 ... CLIENT_SERVERS_MAX */
    uint32_t timeout_ms;        /* 1 ... WIRE_TIMEOUT_MAX_MS */
    uint32_t max_retries;       /* 0: never */
    enum sluice_hedge hedge;
    uint32_t hedge_after_ms; /* at least 1 */
    enum sluice_on_failure on_failure;
    struct bucket_limit local_limit; /* with SLUICE_ON_FAILURE_LOCAL, else all zero; as is the next */
    uint32_t local_max_keys;         /* 1 ... CLIENT_LOCAL_KEYS_MAX */
};

/* `given` may be NULL: all defaults. False with a sentence that names the option. */
bool client_options_read(struct client_options *options, const struct sluice_options *given, char *message,
                         size_t cap) __attribute__((warn_unused_result));

#endif
