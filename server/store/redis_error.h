/* redis_error.h — what the error replies of Redis mean, one row for each; what to do about them hangs here.
 *
 * Pure. A reply's code is its text up to the first space. */
#ifndef SLUICE_STORE_REDIS_ERROR_H
#define SLUICE_STORE_REDIS_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/base/log.h"

enum redis_error_action {
    REDIS_ACT_MOVED,     /* patch the slot, send to the node named, refresh the map */
    REDIS_ACT_ASK,       /* send to the node named, this once */
    REDIS_ACT_BODY,      /* send again with the script's body */
    REDIS_ACT_ONCE_MORE, /* nothing was executed: refresh the map, send to the slot's owner once more */
    REDIS_ACT_LATER,     /* nothing was executed: send to the slot's owner in a few ms */
    REDIS_ACT_REFRESH,   /* nothing was executed: refuse; the map may be out of date */
    REDIS_ACT_REFUSE,    /* nothing was executed: refuse */
};

/* ROW(X, name, field, code, action, is_fault, level): X is handed through, so that a metric can be made of each
 * row. A fault is a reply of a node that cannot work: it counts for the breaker. The level is that of the log's
 * line about a call refused: an error where an operator must act. */
#define REDIS_ERRORS(ROW, X)                                                                                   \
    ROW(X, MOVED, moved, "MOVED", REDIS_ACT_MOVED, false, LOG_WARN)                                            \
    ROW(X, ASK, ask, "ASK", REDIS_ACT_ASK, false, LOG_WARN)                                                    \
    ROW(X, NOSCRIPT, noscript, "NOSCRIPT", REDIS_ACT_BODY, false, LOG_WARN)                                    \
    ROW(X, CLUSTERDOWN, clusterdown, "CLUSTERDOWN", REDIS_ACT_REFRESH, true, LOG_WARN)                         \
    ROW(X, MASTERDOWN, masterdown, "MASTERDOWN", REDIS_ACT_REFRESH, true, LOG_WARN)                            \
    ROW(X, LOADING, loading, "LOADING", REDIS_ACT_REFRESH, true, LOG_WARN)                                     \
    ROW(X, READONLY, readonly, "READONLY", REDIS_ACT_ONCE_MORE, false, LOG_WARN)                               \
    ROW(X, TRYAGAIN, tryagain, "TRYAGAIN", REDIS_ACT_LATER, false, LOG_WARN)                                   \
    ROW(X, OOM, oom, "OOM", REDIS_ACT_REFUSE, true, LOG_WARN)                                                  \
    ROW(X, MISCONF, misconf, "MISCONF", REDIS_ACT_REFUSE, true, LOG_WARN)                                      \
    ROW(X, NOREPLICAS, noreplicas, "NOREPLICAS", REDIS_ACT_REFUSE, true, LOG_WARN)                             \
    ROW(X, BUSY, busy, "BUSY", REDIS_ACT_REFUSE, true, LOG_ERROR)                                              \
    ROW(X, NOAUTH, noauth, "NOAUTH", REDIS_ACT_REFUSE, true, LOG_ERROR)                                        \
    ROW(X, NOPERM, noperm, "NOPERM", REDIS_ACT_REFUSE, true, LOG_ERROR)                                        \
    ROW(X, WRONGPASS, wrongpass, "WRONGPASS", REDIS_ACT_REFUSE, true, LOG_ERROR)                               \
    ROW(X, OTHER, other, "other", REDIS_ACT_REFUSE, false, LOG_WARN)

enum redis_error {
#define REDIS_ERROR_ENUM(X, name, field, code, action, is_fault, level) REDIS_ERROR_##name,
    REDIS_ERRORS(REDIS_ERROR_ENUM, )
#undef REDIS_ERROR_ENUM
        REDIS_ERROR_COUNT
};

/* The row of an error reply's text; REDIS_ERROR_OTHER when no code fits. */
enum redis_error redis_error_of(struct bytes text);
enum redis_error_action redis_error_action(enum redis_error error);
bool redis_error_is_fault(enum redis_error error);
enum log_level redis_error_level(enum redis_error error);

/* The address at the end of "MOVED SLOT HOST:PORT" and "ASK SLOT HOST:PORT"; false when the text has not this
 * form. Its host may be empty. Borrowed from `text`. */
bool redis_error_redirect(struct bytes text, struct bytes *address) __attribute__((warn_unused_result));

/* The server was started without cluster mode and owns every key. */
bool redis_error_is_no_cluster(struct bytes text);

#endif
