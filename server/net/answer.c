/* answer.c — what came of a limiter's call, as the wire says it; see answer.h. */
#include "server/net/answer.h"

#include <stdio.h>
#include <string.h>

_Static_assert((int)WIRE_SOURCE_EMBEDDED == (int)DECISION_EMBEDDED, "sources are numbered alike");
_Static_assert((int)WIRE_LIMIT_NAME_MAX_BYTES == (int)QUOTA_LIMIT_NAME_MAX_BYTES, "the same longest name");
_Static_assert((int)WIRE_RESERVATION_ID_BYTES == (int)STORE_RESERVATION_ID_BYTES, "the same ids");

static bool is_booking(const struct limiter_call *call) {
    return call->kind == LIMITER_REFUND || call->kind == LIMITER_SETTLE;
}

static struct wire_bytes name_of(const char *limit_name) {
    return (struct wire_bytes){.data = (const uint8_t *)limit_name,
                               .len = strnlen(limit_name, QUOTA_LIMIT_NAME_MAX_BYTES)};
}

/* Keeps a copy, and says where it is. */
static struct wire_bytes keep_name(struct answer *answer, struct wire_bytes name) {
    memcpy(answer->limit_name, name.data, name.len);
    return (struct wire_bytes){.data = (const uint8_t *)answer->limit_name, .len = name.len};
}

/* Field by field, all of them: to clear the whole first would cost as much again. */
void answer_write(const struct decision *decision, struct wire_decision *out) {
    out->verdict = decision->allowed ? WIRE_ALLOW : WIRE_DENY;
    out->source = (enum wire_source)decision->source;
    out->matched = decision->matched;
    out->limit_name = name_of(decision->limit_name);
    out->limit = (uint64_t)decision->limit_tokens;
    out->remaining = (uint64_t)decision->remaining_tokens;
    out->retry_after_us = (uint64_t)decision->retry_after_us;
    out->reset_after_us = (uint64_t)decision->reset_after_us;
    out->wait_us = (uint64_t)decision->wait_us;
    out->degraded = decision->degraded;
    out->would_deny = decision->would_deny;
    out->granted = (uint64_t)decision->granted_tokens;
    out->repeated = decision->repeated;
    out->returned = false;
}

void answer_set_written(struct answer *answer, const struct wire_decision *decision) {
    answer->status = WIRE_OK;
    answer->decision = *decision;
    answer->decision.limit_name = keep_name(answer, decision->limit_name);
}

static void set_decision(struct answer *answer, const struct decision *decision) {
    struct wire_decision written;
    answer_write(decision, &written);
    answer_set_written(answer, &written);
}

static void set_booked(struct answer *answer, const struct limiter_booking *booking) {
    answer->booked = (struct wire_booked){.matched = booking->matched, .repeated = booking->repeated};
    if (booking->matched) {
        answer->booked.returned = (uint64_t)booking->returned_tokens;
        answer->booked.taken = (uint64_t)booking->taken_tokens;
        answer->booked.limit_name = keep_name(answer, name_of(booking->limit_name));
        answer->booked.limit = (uint64_t)booking->limit_tokens;
        answer->booked.remaining = (uint64_t)booking->remaining_tokens;
    }
}

/* Nobody decided, or nobody can say whether it was booked. */
static void set_undecided(struct answer *answer, const struct limiter_call *call) {
    bool may_be = store_outcome_may_have_charged(call->store_outcome);
    bool is_full = call->store_outcome == STORE_NO_MEMORY || call->store_outcome == STORE_FULL;
    const char *doubt = may_be ? "; it may have been booked" : "; nothing was booked";
    answer->status = is_full ? WIRE_RESOURCE_EXHAUSTED : WIRE_UNAVAILABLE;
    snprintf(answer->message, sizeof answer->message, "%s%s", store_outcome_text(call->store_outcome),
             is_booking(call) ? doubt : "");
}

void answer_set(struct answer *answer, const struct limiter_call *call) {
    answer->status = WIRE_OK;
    switch (call->outcome) {
    case LIMITER_DECIDED:
        if (is_booking(call)) {
            set_booked(answer, &call->booking);
            return;
        }
        set_decision(answer, &call->decision);
        memset(answer->reservation_id, 0, sizeof answer->reservation_id);
        if (call->kind == LIMITER_RESERVE && answer_has_taken(answer) && !call->decision.degraded) {
            memcpy(answer->reservation_id, call->reservation, sizeof answer->reservation_id);
        }
        return;
    case LIMITER_UNDECIDED:
        set_undecided(answer, call);
        return;
    case LIMITER_NOT_FOUND:
        answer->status = WIRE_NOT_FOUND;
        break;
    case LIMITER_KEY_REUSED:
        answer->status = WIRE_INVALID_ARGUMENT;
        break;
    }
    snprintf(answer->message, sizeof answer->message, "%s", limiter_outcome_text(call->outcome));
}

void answer_set_nothing_held(struct answer *answer) {
    answer->status = WIRE_OK;
    answer->booked = (struct wire_booked){.degraded = true};
}

bool answer_allows(const struct answer *answer) {
    return answer->status == WIRE_OK && answer->decision.verdict == WIRE_ALLOW;
}

bool answer_has_taken(const struct answer *answer) {
    return answer->status == WIRE_OK && answer->decision.granted > 0 && !answer->decision.would_deny &&
           answer->decision.source != WIRE_SOURCE_NONE;
}

void answer_take_back(struct answer *answer) {
    struct wire_decision *decision = &answer->decision;
    decision->verdict = WIRE_DENY;
    decision->returned = true;
    decision->granted = answer_has_taken(answer) ? decision->granted : 0;
    decision->wait_us = 0;
}
