/* bench_answer.c — walks over the fields of a response; see bench_answer.h and proto/sluice.proto. */
#include "client/cmd/bench_answer.h"

#include "proto/wire_fields.h"

struct rest {
    const uint8_t *at, *end;
};

static bool take_varint(struct rest *rest, uint64_t *value) {
    *value = 0;
    for (unsigned shift = 0; rest->at < rest->end && shift < 63; shift += 7) {
        uint8_t byte = *rest->at++;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return true;
        }
    }
    return false;
}

static bool take_bytes(struct rest *rest, struct rest *bytes) {
    uint64_t n_bytes;
    if (!take_varint(rest, &n_bytes) || n_bytes > (size_t)(rest->end - rest->at)) {
        return false;
    }
    *bytes = (struct rest){rest->at, rest->at + n_bytes};
    rest->at = bytes->end;
    return true;
}

static bool is_type_bytes(uint8_t tag) {
    return (tag & 7) == 2;
}

/* Fields that no load counts. */
static bool is_uncounted(uint8_t tag) {
    switch (tag) {
    case WIRE_FIELD_DECISION_MATCHED:
    case WIRE_FIELD_DECISION_LIMIT_NAME:
    case WIRE_FIELD_DECISION_LIMIT:
    case WIRE_FIELD_DECISION_REMAINING:
    case WIRE_FIELD_DECISION_RETRY_AFTER_US:
    case WIRE_FIELD_DECISION_RESET_AFTER_US:
    case WIRE_FIELD_DECISION_WAIT_US:
    case WIRE_FIELD_DECISION_GRANTED:
    case WIRE_FIELD_DECISION_REPEATED:
    case WIRE_FIELD_DECISION_RETURNED:
        return true;
    }
    return false;
}

static bool read_decision(struct rest rest, struct wire_decision *decision) {
    decision->verdict = WIRE_VERDICT_UNSPECIFIED;
    decision->source = WIRE_SOURCE_NONE;
    decision->degraded = decision->would_deny = false;
    while (rest.at < rest.end) {
        uint8_t tag = *rest.at++;
        struct rest bytes;
        uint64_t value = 0;
        if (is_type_bytes(tag) ? !take_bytes(&rest, &bytes) : !take_varint(&rest, &value)) {
            return false;
        }
        if (tag == WIRE_FIELD_DECISION_VERDICT && value <= WIRE_DENY) {
            decision->verdict = (enum wire_verdict)value;
        } else if (tag == WIRE_FIELD_DECISION_SOURCE && value <= WIRE_SOURCE_EMBEDDED) {
            decision->source = (enum wire_source)value;
        } else if (tag == WIRE_FIELD_DECISION_DEGRADED && value <= 1) {
            decision->degraded = value == 1;
        } else if (tag == WIRE_FIELD_DECISION_WOULD_DENY && value <= 1) {
            decision->would_deny = value == 1;
        } else if (!is_uncounted(tag)) {
            return false;
        }
    }
    return true;
}

static bool read_item(struct rest rest, struct wire_item *item) {
    struct rest bytes = {rest.end, rest.end};
    item->status = WIRE_OK;
    while (rest.at < rest.end) {
        uint8_t tag = *rest.at++;
        uint64_t status;
        if (tag == WIRE_FIELD_ITEM_DECISION && bytes.at == bytes.end) {
            if (!take_bytes(&rest, &bytes)) {
                return false;
            }
        } else if (tag != WIRE_FIELD_ITEM_STATUS || !take_varint(&rest, &status) || status != WIRE_OK) {
            return false;
        }
    }
    return read_decision(bytes, &item->decision);
}

static bool read_batch(struct rest rest, struct wire_response *response) {
    while (rest.at < rest.end) {
        struct rest bytes;
        if (*rest.at++ != WIRE_FIELD_BATCH_ITEM || response->n_items == WIRE_BATCH_MAX ||
            !take_bytes(&rest, &bytes) || !read_item(bytes, &response->items[response->n_items])) {
            return false;
        }
        response->n_items++;
    }
    return true;
}

static bool read_single(struct rest rest, struct wire_response *response) {
    response->n_items = 1;
    response->items[0].status = WIRE_OK;
    return read_decision(rest, &response->items[0].decision);
}

bool bench_answer_read(const uint8_t *body, size_t n_bytes, struct wire_response *response) {
    struct rest rest = {body, body + n_bytes}, bytes;
    response->id = 0;
    response->status = WIRE_OK;
    response->n_items = 0;
    while (rest.at < rest.end) {
        uint8_t tag = *rest.at++;
        uint64_t status;
        bool is_read = false;
        if (tag == WIRE_FIELD_RESPONSE_ID) {
            is_read = take_varint(&rest, &response->id);
        } else if (tag == WIRE_FIELD_RESPONSE_STATUS) {
            is_read = take_varint(&rest, &status) && status == WIRE_OK;
        } else if ((tag == WIRE_FIELD_RESPONSE_DECISION || tag == WIRE_FIELD_RESPONSE_BATCH) &&
                   response->n_items == 0) {
            is_read =
                take_bytes(&rest, &bytes) &&
                (tag == WIRE_FIELD_RESPONSE_BATCH ? read_batch(bytes, response) : read_single(bytes, response));
        }
        if (!is_read) {
            return false;
        }
    }
    return response->n_items > 0;
}
