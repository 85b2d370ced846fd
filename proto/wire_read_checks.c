/* wire_read_checks.c — walks over the fields of a request; see wire_read_checks.h. */
#include "proto/wire_read_checks.h"

#include "proto/wire_fields.h"

/* Of a length: three bytes hold that of any part of a frame. */
enum { LENGTH_MAX_BITS = 21, NUMBER_MAX_BITS = 63 };

struct rest {
    const uint8_t *at, *end;
};

static bool take_long_varint(struct rest *rest, unsigned max_bits, uint64_t *value) {
    *value = 0;
    for (unsigned shift = 0; rest->at < rest->end && shift < max_bits; shift += 7) {
        uint8_t byte = *rest->at++;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return true;
        }
    }
    return false;
}

static inline bool take_varint(struct rest *rest, unsigned max_bits, uint64_t *value) {
    if (rest->at < rest->end && *rest->at < 0x80) {
        *value = *rest->at++;
        return true;
    }
    return take_long_varint(rest, max_bits, value);
}

static inline bool take_bytes(struct rest *rest, struct wire_bytes *bytes) {
    uint64_t n_bytes;
    if (!take_varint(rest, LENGTH_MAX_BITS, &n_bytes) || n_bytes > (size_t)(rest->end - rest->at)) {
        return false;
    }
    *bytes = (struct wire_bytes){rest->at, (size_t)n_bytes};
    rest->at += n_bytes;
    return true;
}

static inline bool take_message(struct rest *rest, struct rest *message) {
    struct wire_bytes bytes;
    if (!take_bytes(rest, &bytes)) {
        return false;
    }
    *message = (struct rest){bytes.data, bytes.data + bytes.len};
    return true;
}

/* A field of up to 127 bytes, if that is what comes next. */
static inline void take_name(struct rest *rest, uint8_t field, struct wire_bytes *name) {
    const uint8_t *at = rest->at;
    size_t left = (size_t)(rest->end - at);
    if (left >= 2 && at[0] == field && at[1] < 0x80 && at[1] <= left - 2) {
        name->data = at + 2;
        name->len = at[1];
        rest->at = at + 2 + at[1];
    } else {
        name->data = NULL;
        name->len = 0;
    }
}

/* Nearly always the names come first, and in their order; what is left then may be anything. */
static bool read_check(struct rest *from, struct wire_check *check) {
    struct rest rest;
    if (!take_message(from, &rest)) {
        return false;
    }
    take_name(&rest, WIRE_FIELD_CHECK_TENANT, &check->tenant);
    take_name(&rest, WIRE_FIELD_CHECK_RESOURCE, &check->resource);
    take_name(&rest, WIRE_FIELD_CHECK_KEY, &check->key);
    check->cost = 0;
    check->at_most = false;
    check->idempotency_key = (struct wire_bytes){0};
    while (rest.at < rest.end) {
        bool is_read = false;
        switch (*rest.at++) {
        case WIRE_FIELD_CHECK_TENANT:
            is_read = take_bytes(&rest, &check->tenant);
            break;
        case WIRE_FIELD_CHECK_RESOURCE:
            is_read = take_bytes(&rest, &check->resource);
            break;
        case WIRE_FIELD_CHECK_KEY:
            is_read = take_bytes(&rest, &check->key);
            break;
        case WIRE_FIELD_CHECK_COST:
            is_read = take_varint(&rest, NUMBER_MAX_BITS, &check->cost);
            break;
        }
        if (!is_read) {
            return false;
        }
    }
    check->cost = check->cost > 0 ? check->cost : 1;
    return true;
}

static bool read_single(struct rest *from, enum wire_call call, struct wire_request *request) {
    request->call = call;
    request->n_checks = 1;
    return read_check(from, &request->checks[0]);
}

static bool read_batch(struct rest *from, struct wire_request *request) {
    struct rest rest;
    request->call = WIRE_CALL_CHECK_BATCH;
    if (!take_message(from, &rest)) {
        return false;
    }
    for (; rest.at < rest.end; request->n_checks++) {
        if (*rest.at++ != WIRE_FIELD_BATCH_CHECK || request->n_checks == WIRE_BATCH_MAX ||
            !read_check(&rest, &request->checks[request->n_checks])) {
            return false;
        }
    }
    return true;
}

/* A second call would count instead of the first, or with it. */
static bool read_call(struct rest *rest, uint8_t field, struct wire_request *request) {
    if (request->call != WIRE_CALL_UNKNOWN) {
        return false;
    }
    switch (field) {
    case WIRE_FIELD_REQUEST_CHECK:
        return read_single(rest, WIRE_CALL_CHECK, request);
    case WIRE_FIELD_REQUEST_PEEK:
        return read_single(rest, WIRE_CALL_PEEK, request);
    case WIRE_FIELD_REQUEST_CHECK_BATCH:
        return read_batch(rest, request);
    }
    return false;
}

/* All but the checks. */
static void clear(struct wire_request *request) {
    request->id = 0;
    request->timeout_ms = 0;
    request->call = WIRE_CALL_UNKNOWN;
    request->traceparent = request->payload = request->reservation_id = (struct wire_bytes){0};
    request->all_or_nothing = false;
    request->ttl_ms = request->on_timeout = 0;
    request->n_checks = 0;
}

bool wire_read_checks(const uint8_t *body, size_t n_bytes, struct wire_request *request) {
    struct rest rest = {body, body + n_bytes};
    clear(request);
    while (rest.at < rest.end) {
        uint8_t field = *rest.at++;
        uint64_t timeout_ms;
        bool is_read;
        if (field == WIRE_FIELD_REQUEST_ID) {
            is_read = take_varint(&rest, NUMBER_MAX_BITS, &request->id);
        } else if (field == WIRE_FIELD_REQUEST_TIMEOUT_MS) {
            is_read = take_varint(&rest, NUMBER_MAX_BITS, &timeout_ms) && timeout_ms <= UINT32_MAX;
            request->timeout_ms = is_read ? (uint32_t)timeout_ms : 0;
        } else if (field == WIRE_FIELD_REQUEST_TRACEPARENT) {
            is_read = take_bytes(&rest, &request->traceparent);
        } else {
            is_read = read_call(&rest, field, request);
        }
        if (!is_read) {
            return false;
        }
    }
    return request->call != WIRE_CALL_UNKNOWN;
}
