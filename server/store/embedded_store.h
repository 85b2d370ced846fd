/* embedded_store.h — a store inside the process: buckets in a table of fixed size, decided at once.
 *
 * For a frontend without Redis, and for `sluice simulate`. One thread; never pending. Its clock is the now_us
 * it is given, which must not go back by design but may. When the table has no room for a new key, the key
 * shares one overflow bucket of its quota, so that filling the table refills nobody's bucket. Idempotency keys and
 * reservations have a table of as many places, made when first needed; when a new one finds none, the call is
 * STORE_FULL and nothing is taken. */
#ifndef SLUICE_STORE_EMBEDDED_STORE_H
#define SLUICE_STORE_EMBEDDED_STORE_H

#include <stdint.h>

#include "server/base/metric.h"
#include "server/base/status.h"
#include "server/store/store.h"

#define EMBEDDED_METRICS(X)                                                                                    \
    X(overflowed, METRIC_COUNTER, "sluice_embedded_overflow_total", "",                                        \
      "Checks that shared the overflow bucket of their quota because the embedded table was full")

struct embedded_metrics {
    EMBEDDED_METRICS(METRIC_FIELD)
};

/* Remembers up to about `max_keys` keys whose quotas have at most `max_limits` limits; the first check by a quota with
 * more has the table copied to a wider one, or is STORE_NO_MEMORY. `metrics` is borrowed
 * and must outlive the store. NULL, with a reason in `status`, when memory is short. */
struct store *embedded_store_create(uint64_t max_keys, uint32_t max_limits, struct embedded_metrics *metrics,
                                    struct status *status);

/* What is to be added to the store's time for Unix time, which windows go by; 0 at first. Two clocks are never read at
 * once: what differs from the last by no more than the slack changes nothing. */
#define EMBEDDED_CALENDAR_SLACK_US INT64_C(1000)
void embedded_store_set_calendar(struct store *store, int64_t calendar_us);

#endif
