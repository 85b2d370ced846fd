/* bench_frame.c — lengths first, then the bytes; see bench_frame.h and proto/sluice.proto. */
#include "client/cmd/bench_frame.h"

#include <string.h>

#include "proto/frame.h"
#include "proto/wire_fields.h"

enum { TAG_BYTES = 1, VARINT_MAX_BYTES = 10 };

static size_t varint_bytes(uint64_t value) {
    size_t n = 1;
    for (; value >= 0x80; value >>= 7) {
        n++;
    }
    return n;
}

static uint8_t *put_varint(uint8_t *to, uint64_t value) {
    for (; value >= 0x80; value >>= 7) {
        *to++ = (uint8_t)(value | 0x80);
    }
    *to++ = (uint8_t)value;
    return to;
}

static uint8_t *put_number(uint8_t *to, uint8_t tag, uint64_t value) {
    if (value == 0) {
        return to;
    }
    *to++ = tag;
    return put_varint(to, value);
}

static uint8_t *put_bytes(uint8_t *to, uint8_t tag, struct wire_bytes bytes) {
    if (bytes.len == 0) {
        return to;
    }
    *to++ = tag;
    to = put_varint(to, bytes.len);
    memcpy(to, bytes.data, bytes.len);
    return to + bytes.len;
}

static size_t bytes_bytes(struct wire_bytes bytes) {
    return bytes.len > 0 ? TAG_BYTES + varint_bytes(bytes.len) + bytes.len : 0;
}

static size_t check_bytes(const struct wire_check *check) {
    return bytes_bytes(check->tenant) + bytes_bytes(check->resource) + bytes_bytes(check->key) +
           (check->cost > 0 ? TAG_BYTES + varint_bytes(check->cost) : 0);
}

static uint8_t *put_check(uint8_t *to, uint8_t tag, const struct wire_check *check) {
    *to++ = tag;
    to = put_varint(to, check_bytes(check));
    to = put_bytes(to, WIRE_FIELD_CHECK_TENANT, check->tenant);
    to = put_bytes(to, WIRE_FIELD_CHECK_RESOURCE, check->resource);
    to = put_bytes(to, WIRE_FIELD_CHECK_KEY, check->key);
    return put_number(to, WIRE_FIELD_CHECK_COST, check->cost);
}

static size_t batch_bytes(const struct wire_request *request) {
    size_t n = 0;
    for (size_t i = 0; i < request->n_checks; i++) {
        size_t n_check = check_bytes(&request->checks[i]);
        n += TAG_BYTES + varint_bytes(n_check) + n_check;
    }
    return n;
}

size_t bench_frame_bound_bytes(const struct wire_request *request) {
    return FRAME_HEADER_BYTES + 2 * (TAG_BYTES + VARINT_MAX_BYTES) + batch_bytes(request);
}

size_t bench_frame_write(const struct wire_request *request, uint8_t *out) {
    uint8_t *body = out + FRAME_HEADER_BYTES, *to = put_number(body, WIRE_FIELD_REQUEST_ID, request->id);
    if (request->call == WIRE_CALL_CHECK) {
        to = put_check(to, WIRE_FIELD_REQUEST_CHECK, &request->checks[0]);
    } else {
        *to++ = WIRE_FIELD_REQUEST_CHECK_BATCH;
        to = put_varint(to, batch_bytes(request));
        for (size_t i = 0; i < request->n_checks; i++) {
            to = put_check(to, WIRE_FIELD_BATCH_CHECK, &request->checks[i]);
        }
    }
    frame_put_header(out, (uint32_t)(to - body));
    return (size_t)(to - out);
}
