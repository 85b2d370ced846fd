/* service.h — turns frames into calls of the limiter and answers into frames: the calls of proto/PROTOCOL.md.
 *
 *   on_frame ─ decode ─ judge fields ─ limiter_decide for each plain check ─ all decided: answer now
 *                 └ bad: error answer    └ of those that are left: borrow a request ─ limiter_check for each item
 *                                            └ all done: answer now, else when the last item is done
 *                                                └ all or nothing, one was denied: first give back what the others took
 *
 * One worker's thread. */
#ifndef SLUICE_NET_SERVICE_H
#define SLUICE_NET_SERVICE_H

#include <stdint.h>

#include "server/base/metric.h"
#include "server/limit/limiter.h"
#include "server/net/conn.h"

#define SERVICE_METRICS(X)                                                                                     \
    X(check_requests, METRIC_COUNTER, "sluice_requests_total", "call=\"check\"", "Requests received, by call") \
    X(batch_requests, METRIC_COUNTER, "sluice_requests_total", "call=\"check_batch\"", "")                     \
    X(peek_requests, METRIC_COUNTER, "sluice_requests_total", "call=\"peek\"", "")                             \
    X(ping_requests, METRIC_COUNTER, "sluice_requests_total", "call=\"ping\"", "")                             \
    X(refund_requests, METRIC_COUNTER, "sluice_requests_total", "call=\"refund\"", "")                         \
    X(reserve_requests, METRIC_COUNTER, "sluice_requests_total", "call=\"reserve\"", "")                       \
    X(settle_requests, METRIC_COUNTER, "sluice_requests_total", "call=\"settle\"", "")                         \
    X(unknown_requests, METRIC_COUNTER, "sluice_requests_total", "call=\"unknown\"", "")                       \
    X(malformed, METRIC_COUNTER, "sluice_malformed_requests_total", "",                                        \
      "Frames that were no protobuf request, answered with an error")                                          \
    X(invalid, METRIC_COUNTER, "sluice_invalid_checks_total", "",                                              \
      "Checks refused because a field is out of its limits")                                                   \
    X(returned, METRIC_COUNTER, "sluice_returned_checks_total", "",                                            \
      "Checks whose tokens went back, since another check of their all-or-nothing batch was denied")           \
    X(orphaned, METRIC_COUNTER, "sluice_orphaned_requests_total", "",                                          \
      "Requests whose connection closed before the answer, which was dropped")                                 \
    X(pending, METRIC_GAUGE, "sluice_requests_pending", "", "Requests waiting for the store now")

struct service_metrics {
    SERVICE_METRICS(METRIC_FIELD)
};

struct service_options {
    int64_t request_timeout_us; /* for requests that name none */
    const char *version;        /* in answers to ping; borrowed */
};

struct service;

/* Borrows all it is given. NULL when memory is short. */
struct service *service_create(const struct service_options *options, struct limiter *limiter,
                               struct service_metrics *metrics);
/* No request may be pending. */
void service_destroy(struct service **service);

/* For conn_host: `arg` is the service. */
void service_on_frame(void *arg, struct conn *conn, const uint8_t *body, size_t n_bytes, int64_t now_us);
void service_on_closed(void *arg, struct conn *conn);

#endif
