/* decision.h — the answer to a check, and from which purse it came. */
#ifndef SLUICE_CORE_DECISION_H
#define SLUICE_CORE_DECISION_H

#include <stdbool.h>
#include <stdint.h>

/* Numbered as in proto/sluice.proto. */
enum decision_source {
    DECISION_NONE,  /* no quota matched, no bucket was asked */
    DECISION_STORE, /* Redis decided */
    DECISION_LEASE,
    DECISION_DENIED_CACHE,
    DECISION_LOCAL,
    DECISION_EMBEDDED, /* the frontend's own store decided */
};

struct decision {
    bool allowed;
    bool matched;  /* a quota matched */
    bool degraded; /* the store could not be asked, the frontend decided by itself; source is DECISION_LOCAL */
    enum decision_source source;
    const char *limit_name; /* borrowed from the quota; "" when nothing matched */
    int64_t limit_tokens;   /* its burst */
    int64_t remaining_tokens;
    int64_t retry_after_us, reset_after_us, wait_us;
};

#endif
