/* client_decision.c — turns a frontend's answer into the decisions that callers see; see client_decision.h. */
#include "client/client_decision.h"

#include <stdio.h>
#include <string.h>

#define SAME_STATUS(name, number) _Static_assert((int)SLUICE_##name == (int)WIRE_##name, #name);
WIRE_STATUSES(SAME_STATUS)
#define SAME_SOURCE(name, text) _Static_assert((int)SLUICE_SOURCE_##name == (int)WIRE_SOURCE_##name, #name);
WIRE_SOURCES(SAME_SOURCE)
_Static_assert((int)SLUICE_BATCH_MAX == (int)WIRE_BATCH_MAX, "the same largest batch");
_Static_assert((int)SLUICE_RESERVATION_BYTES == (int)WIRE_RESERVATION_ID_BYTES, "the same ids");
_Static_assert((int)SLUICE_IDEMPOTENCY_KEY_BYTES == (int)WIRE_IDEMPOTENCY_KEY_MAX_BYTES,
               "the same longest key");
_Static_assert((int)SLUICE_ON_TIMEOUT_STAND == (int)WIRE_ON_TIMEOUT_STAND, "the same numbers");

void client_decision_copy_text(char *to, size_t cap, struct wire_bytes text) {
    size_t n = text.len < cap - 1 ? text.len : cap - 1;
    if (n > 0) {
        memcpy(to, text.data, n);
    }
    to[n] = '\0';
}

/* Which result answers a call. */
static enum wire_call result_of(enum wire_call kind) {
    switch (kind) {
    case WIRE_CALL_PEEK:
        return WIRE_CALL_CHECK;
    case WIRE_CALL_SETTLE:
        return WIRE_CALL_REFUND;
    case WIRE_CALL_UNKNOWN:
    case WIRE_CALL_CHECK:
    case WIRE_CALL_CHECK_BATCH:
    case WIRE_CALL_PING:
    case WIRE_CALL_REFUND:
    case WIRE_CALL_RESERVE:
        break;
    }
    return kind;
}

bool client_decision_fits(const struct wire_response *response, enum wire_call kind, size_t n_decisions) {
    if (response->status != WIRE_OK) {
        return true;
    }
    bool is_nameless = kind == WIRE_CALL_RESERVE && response->n_items == 1 &&
                       response->items[0].decision.verdict == WIRE_ALLOW &&
                       response->reservation_id.len != WIRE_RESERVATION_ID_BYTES;
    return response->call == result_of(kind) && response->n_items == n_decisions && !is_nameless;
}

void client_decision_fail(struct sluice_decision *decision, enum sluice_status status, const char *message) {
    *decision = (struct sluice_decision){.status = status};
    snprintf(decision->message, sizeof decision->message, "%s", message);
}

void client_decision_fail_booking(struct sluice_booking *booking, enum sluice_status status,
                                  const char *message) {
    *booking = (struct sluice_booking){.status = status};
    snprintf(booking->message, sizeof booking->message, "%s", message);
}

void client_decision_read_booking(struct sluice_booking *booking, const struct wire_response *response) {
    const struct wire_booked *from = &response->booked;
    *booking = (struct sluice_booking){
        .matched = from->matched,
        .repeated = from->repeated,
        .degraded = from->degraded,
        .returned = from->returned,
        .taken = from->taken,
        .limit = from->limit,
        .remaining = from->remaining,
    };
    client_decision_copy_text(booking->limit_name, sizeof booking->limit_name, from->limit_name);
}

void client_decision_read(struct sluice_decision *decision, const struct wire_item *item) {
    const struct wire_decision *from = &item->decision;
    if (item->status == WIRE_OK && from->verdict == WIRE_VERDICT_UNSPECIFIED) {
        client_decision_fail(decision, SLUICE_INTERNAL, "the frontend answered without a verdict");
        return;
    }
    *decision = (struct sluice_decision){.status = (enum sluice_status)item->status};
    if (item->status != WIRE_OK) {
        client_decision_copy_text(decision->message, sizeof decision->message, item->message);
        return;
    }
    decision->allowed = from->verdict == WIRE_ALLOW;
    decision->matched = from->matched;
    decision->degraded = from->degraded;
    decision->would_deny = from->would_deny;
    decision->source = (enum sluice_source)from->source;
    client_decision_copy_text(decision->limit_name, sizeof decision->limit_name, from->limit_name);
    decision->limit = from->limit;
    decision->remaining = from->remaining;
    decision->retry_after_us = from->retry_after_us;
    decision->reset_after_us = from->reset_after_us;
    decision->wait_us = from->wait_us;
    decision->granted = from->granted;
    decision->repeated = from->repeated;
    decision->returned = from->returned;
}

const char *sluice_status_text(enum sluice_status status) {
    return wire_status_text((enum wire_status)status);
}

const char *sluice_source_text(enum sluice_source source) {
    return source == SLUICE_SOURCE_CALLER ? "caller" : wire_source_text((enum wire_source)source);
}
