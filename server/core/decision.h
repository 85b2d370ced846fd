/* decision.h — the answer to a check, and from which purse it came. */
#ifndef SLUICE_CORE_DECISION_H
#define SLUICE_CORE_DECISION_H

#include <stdbool.h>
#include <stdint.h>

/* Numbered as in proto/sluice.proto. */
enum decision_source {
    DECISION_NONE,  /* no bucket was asked: no quota matched, or one that is unlimited or banned */
    DECISION_STORE, /* Redis decided */
    DECISION_LEASE,
    DECISION_DENIED_CACHE,
    DECISION_LOCAL,
    DECISION_EMBEDDED, /* the frontend's own store decided */
};
enum { DECISION_N_SOURCES = DECISION_EMBEDDED + 1 };

struct decision {
    bool allowed;
    bool matched;  /* a quota matched */
    bool degraded; /* the store could not be asked, the frontend decided by itself; source is DECISION_LOCAL */
    bool would_deny; /* allowed by shadow mode alone */
    enum decision_source source;
    const char *limit_name; /* borrowed from the quota; "" when no limit decided */
    int64_t limit_tokens;   /* its burst */
    int64_t remaining_tokens;
    int64_t
        granted_tokens; /* the cost when allowed, or part of it when the check was content with less; else 0 */
    bool repeated;      /* the answer to an earlier call with this idempotency key */
    bool is_from_purse; /* the quota's first record gave out of a lease, whoever the source is */
    int64_t retry_after_us, reset_after_us, wait_us;
};

#endif
