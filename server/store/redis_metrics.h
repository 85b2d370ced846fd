/* redis_metrics.h — what the Redis client counts; one struct for each store. */
#ifndef SLUICE_STORE_REDIS_METRICS_H
#define SLUICE_STORE_REDIS_METRICS_H

#include "server/base/metric.h"
#include "server/store/redis_error.h"

#define REDIS_ERROR_METRIC(X, name, field, code, action, is_fault, level)                                      \
    X(errors_##field, METRIC_COUNTER, "sluice_redis_error_replies_total", "code=\"" code "\"",                 \
      "Error replies of Redis, by code; redirects, NOSCRIPT, READONLY and TRYAGAIN are sent again")

#define REDIS_METRICS(X)                                                                                       \
    X(commands, METRIC_COUNTER, "sluice_redis_commands_total", "",                                             \
      "Commands sent to Redis, without greetings")                                                             \
    X(writes, METRIC_COUNTER, "sluice_redis_writes_total", "",                                                 \
      "Writes to Redis; commands for each write are the depth of the pipeline")                                \
    X(replies, METRIC_COUNTER, "sluice_redis_replies_total", "", "Replies to commands")                        \
    REDIS_ERRORS(REDIS_ERROR_METRIC, X)                                                                        \
    X(timeouts, METRIC_COUNTER, "sluice_redis_timeouts_total", "",                                             \
      "Calls given up at their deadline: they may have been executed")                                         \
    X(late_replies, METRIC_COUNTER, "sluice_redis_late_replies_total", "",                                     \
      "Replies dropped because their call had been given up")                                                  \
    X(ambiguous, METRIC_COUNTER, "sluice_redis_ambiguous_total", "",                                           \
      "Calls lost with their connection after they were written: they may have been executed")                 \
    X(over_inflight, METRIC_COUNTER, "sluice_redis_over_inflight_total", "",                                   \
      "Calls refused because a node had redis_max_inflight commands under way")                                \
    X(breaker_opens, METRIC_COUNTER, "sluice_redis_breaker_opens_total", "",                                   \
      "Times a node's breaker opened: too many calls had failed, or it was silent")                            \
    X(breakers_open, METRIC_GAUGE, "sluice_redis_breakers_open", "", "Breakers of nodes that are open now")    \
    X(breaker_refusals, METRIC_COUNTER, "sluice_redis_breaker_refusals_total", "",                             \
      "Calls refused at once because their node's breaker was open")                                           \
    X(connects, METRIC_COUNTER, "sluice_redis_connects_total", "result=\"ok\"",                                \
      "Attempts to connect to a node, by result")                                                              \
    X(connects_failed, METRIC_COUNTER, "sluice_redis_connects_total", "result=\"failed\"", "")                 \
    X(disconnects, METRIC_COUNTER, "sluice_redis_disconnects_total", "",                                       \
      "Connections to nodes that were lost")                                                                   \
    X(nodes_connected, METRIC_GAUGE, "sluice_redis_nodes_connected", "", "Nodes connected now")                \
    X(refreshes, METRIC_COUNTER, "sluice_redis_slotmap_refreshes_total", "result=\"ok\"",                      \
      "Refreshes of the slot map, by result; adopted ones were read by another worker")                        \
    X(refreshes_adopted, METRIC_COUNTER, "sluice_redis_slotmap_refreshes_total", "result=\"adopted\"", "")     \
    X(refreshes_failed, METRIC_COUNTER, "sluice_redis_slotmap_refreshes_total", "result=\"failed\"", "")       \
    X(slots_covered, METRIC_GAUGE, "sluice_redis_slots_covered", "", "Slots of 16384 with a known owner")

struct redis_metrics {
    REDIS_METRICS(METRIC_FIELD)
};

/* The counter of an error reply. */
static inline _Atomic uint64_t *redis_metrics_error(struct redis_metrics *metrics, enum redis_error error) {
    switch (error) {
#define REDIS_ERROR_CASE(X, name, field, code, action, is_fault, level)                                        \
    case REDIS_ERROR_##name:                                                                                   \
        return &metrics->errors_##field;
        REDIS_ERRORS(REDIS_ERROR_CASE, )
#undef REDIS_ERROR_CASE
    case REDIS_ERROR_COUNT:
        break;
    }
    return &metrics->errors_other;
}

#endif
