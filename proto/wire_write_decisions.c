/* wire_write_decisions.c — front to back, lengths of one byte filled in afterwards; see wire_write_decisions.h. */
#include "proto/wire_write_decisions.h"

#include <string.h>

#include "proto/frame.h"
#include "proto/wire_fields.h"

enum {
    VARINT_MAX_BYTES = 10,
    FIELD_MAX_BYTES = 1 + VARINT_MAX_BYTES,
    /* Two numbers of one byte, five truths, a name, six numbers of any size. */
    DECISION_MAX_BYTES = 2 * 2 + 6 * 2 + 2 + WIRE_LIMIT_NAME_MAX_BYTES + 6 * FIELD_MAX_BYTES,
    ITEM_MAX_BYTES = 2 + DECISION_MAX_BYTES,
    ENTRY_MAX_BYTES = 2 + ITEM_MAX_BYTES,
    HEAD_MAX_BYTES = FRAME_HEADER_BYTES + FIELD_MAX_BYTES, /* the id */
    BATCH_LENGTH_MAX_BYTES = 3,
    BATCH_LENGTH_BYTES = 2, /* of nearly every batch */
};
_Static_assert(ITEM_MAX_BYTES < 0x80, "lengths of decisions and items have one byte");

static inline uint8_t *put_varint(uint8_t *to, uint64_t value) {
    for (; value >= 0x80; value >>= 7) {
        *to++ = (uint8_t)(value | 0x80);
    }
    *to++ = (uint8_t)value;
    return to;
}

static inline uint8_t *put_number(uint8_t *to, uint8_t field, uint64_t value) {
    if (value == 0) {
        return to;
    }
    *to++ = field;
    return put_varint(to, value);
}

/* Field and length of a message that ends at `end`, with one byte for its length left before its start. */
static inline uint8_t *close_message(uint8_t *start, uint8_t *end) {
    start[-1] = (uint8_t)(end - start);
    return end;
}

/* Small numbers, of which nearly every decision has all three. */
static inline uint8_t *put_head(uint8_t *to, const struct wire_decision *decision) {
    if (decision->verdict == WIRE_VERDICT_UNSPECIFIED || decision->source == WIRE_SOURCE_NONE) {
        to = put_number(to, WIRE_FIELD_DECISION_VERDICT, (uint64_t)decision->verdict);
        to = put_number(to, WIRE_FIELD_DECISION_SOURCE, (uint64_t)decision->source);
        return put_number(to, WIRE_FIELD_DECISION_MATCHED, decision->matched);
    }
    to[0] = WIRE_FIELD_DECISION_VERDICT;
    to[1] = (uint8_t)decision->verdict;
    to[2] = WIRE_FIELD_DECISION_SOURCE;
    to[3] = (uint8_t)decision->source;
    return put_number(to + 4, WIRE_FIELD_DECISION_MATCHED, decision->matched);
}

/* The fields; room for DECISION_MAX_BYTES. */
static uint8_t *put_decision(uint8_t *to, const struct wire_decision *decision) {
    size_t name_bytes = decision->limit_name.len;
    to = put_head(to, decision);
    if (name_bytes > 0) {
        *to++ = WIRE_FIELD_DECISION_LIMIT_NAME;
        *to++ = (uint8_t)name_bytes;
        memcpy(to, decision->limit_name.data, name_bytes);
        to += name_bytes;
    }
    to = put_number(to, WIRE_FIELD_DECISION_LIMIT, decision->limit);
    to = put_number(to, WIRE_FIELD_DECISION_REMAINING, decision->remaining);
    to = put_number(to, WIRE_FIELD_DECISION_RETRY_AFTER_US, decision->retry_after_us);
    to = put_number(to, WIRE_FIELD_DECISION_RESET_AFTER_US, decision->reset_after_us);
    to = put_number(to, WIRE_FIELD_DECISION_WAIT_US, decision->wait_us);
    if (!(decision->degraded | decision->would_deny | decision->repeated | decision->returned)) {
        return put_number(to, WIRE_FIELD_DECISION_GRANTED, decision->granted);
    }
    to = put_number(to, WIRE_FIELD_DECISION_DEGRADED, decision->degraded);
    to = put_number(to, WIRE_FIELD_DECISION_WOULD_DENY, decision->would_deny);
    to = put_number(to, WIRE_FIELD_DECISION_GRANTED, decision->granted);
    to = put_number(to, WIRE_FIELD_DECISION_REPEATED, decision->repeated);
    return put_number(to, WIRE_FIELD_DECISION_RETURNED, decision->returned);
}

static uint8_t *put_decision_message(uint8_t *to, uint8_t field, const struct wire_decision *decision) {
    *to = field;
    return close_message(to + 2, put_decision(to + 2, decision));
}

static uint8_t *put_batch(uint8_t *to, const struct wire_response *response) {
    uint8_t length[VARINT_MAX_BYTES], *start = to + 1 + BATCH_LENGTH_BYTES, *end = start;
    for (size_t i = 0; i < response->n_items; i++) {
        *end = WIRE_FIELD_BATCH_ITEM;
        end = close_message(
            end + 2, put_decision_message(end + 2, WIRE_FIELD_ITEM_DECISION, &response->items[i].decision));
    }
    end = put_number(end, WIRE_FIELD_BATCH_GRANTED, response->granted);
    size_t n_bytes = (size_t)(end - start), length_bytes = (size_t)(put_varint(length, n_bytes) - length);
    *to++ = WIRE_FIELD_RESPONSE_BATCH;
    if (length_bytes != BATCH_LENGTH_BYTES) {
        memmove(to + length_bytes, start, n_bytes);
    }
    memcpy(to, length, length_bytes);
    return to + length_bytes + n_bytes;
}

static bool is_plain(const struct wire_response *response) {
    bool is_plain = response->status == WIRE_OK && response->n_items > 0 && response->n_items <= WIRE_BATCH_MAX;
    for (size_t i = 0; is_plain && i < response->n_items; i++) {
        is_plain = response->items[i].status == WIRE_OK &&
                   response->items[i].decision.limit_name.len <= WIRE_LIMIT_NAME_MAX_BYTES;
    }
    return is_plain;
}

size_t wire_write_decisions(const struct wire_response *response, uint8_t *out, size_t cap) {
    bool is_batch = response->call == WIRE_CALL_CHECK_BATCH;
    bool is_single = response->call == WIRE_CALL_CHECK || response->call == WIRE_CALL_PEEK;
    if ((!is_batch && !is_single) || !is_plain(response)) {
        return 0;
    }
    size_t bound_bytes = HEAD_MAX_BYTES + 1 + BATCH_LENGTH_MAX_BYTES + response->n_items * ENTRY_MAX_BYTES + 2;
    if (bound_bytes > cap || bound_bytes > FRAME_MAX_BYTES) {
        return 0;
    }
    uint8_t *body = out + FRAME_HEADER_BYTES;
    uint8_t *end = put_number(body, WIRE_FIELD_RESPONSE_ID, response->id);
    end = is_batch ? put_batch(end, response)
                   : put_decision_message(end, WIRE_FIELD_RESPONSE_DECISION, &response->items[0].decision);
    frame_put_header(out, (uint32_t)(end - body));
    return (size_t)(end - out);
}
