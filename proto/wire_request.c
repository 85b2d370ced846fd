/* wire_request.c — requests: from bytes to plain structs and back; see wire.h. */
#include "proto/wire_codec.h"
#include "proto/wire_read_checks.h"

WIRE_SAME(WIRE_ON_TIMEOUT_RETURN, SLUICE__V1__RESERVE__ON_TIMEOUT__RETURN);
WIRE_SAME(WIRE_ON_TIMEOUT_STAND, SLUICE__V1__RESERVE__ON_TIMEOUT__STAND);

/* ---- decoding ---- */

static void read_check(const Sluice__V1__Check *from, struct wire_check *to) {
    *to = (struct wire_check){
        .tenant = wire_bytes_of(from->tenant),
        .resource = wire_bytes_of(from->resource),
        .key = wire_bytes_of(from->key),
        .cost = from->cost > 0 ? from->cost : 1,
        .at_most = from->at_most != 0,
        .idempotency_key = wire_bytes_of(from->idempotency_key),
    };
}

static void read_single(enum wire_call call, const Sluice__V1__Check *from, struct wire_request *to) {
    to->call = call;
    to->n_checks = 1;
    read_check(from, &to->checks[0]);
}

static void read_refund(const Sluice__V1__Refund *from, struct wire_request *to) {
    to->call = WIRE_CALL_REFUND;
    to->n_checks = 1;
    to->checks[0] = (struct wire_check){
        .tenant = wire_bytes_of(from->tenant),
        .resource = wire_bytes_of(from->resource),
        .key = wire_bytes_of(from->key),
        .cost = from->tokens,
        .idempotency_key = wire_bytes_of(from->idempotency_key),
    };
}

static void read_reserve(const Sluice__V1__Reserve *from, struct wire_request *to) {
    to->call = WIRE_CALL_RESERVE;
    to->ttl_ms = from->ttl_ms;
    to->on_timeout = (uint32_t)from->on_timeout;
    to->n_checks = 1;
    to->checks[0] = (struct wire_check){
        .tenant = wire_bytes_of(from->tenant),
        .resource = wire_bytes_of(from->resource),
        .key = wire_bytes_of(from->key),
        .cost = from->estimate > 0 ? from->estimate : 1,
        .idempotency_key = wire_bytes_of(from->idempotency_key),
    };
}

static void read_settle(const Sluice__V1__Settle *from, struct wire_request *to) {
    to->call = WIRE_CALL_SETTLE;
    to->reservation_id = wire_bytes_of(from->reservation_id);
    to->n_checks = 1;
    to->checks[0] = (struct wire_check){
        .tenant = wire_bytes_of(from->tenant),
        .resource = wire_bytes_of(from->resource),
        .key = wire_bytes_of(from->key),
        .cost = from->tokens,
        .idempotency_key = wire_bytes_of(from->idempotency_key),
    };
}

/* False when there are too many. */
static bool read_batch(const Sluice__V1__CheckBatch *from, struct wire_request *to) {
    if (from->n_checks > WIRE_BATCH_MAX) {
        return false;
    }
    to->call = WIRE_CALL_CHECK_BATCH;
    to->all_or_nothing = from->all_or_nothing != 0;
    to->n_checks = from->n_checks;
    for (size_t i = 0; i < to->n_checks; i++) {
        read_check(from->checks[i], &to->checks[i]);
    }
    return true;
}

/* All but the call. */
static void read_envelope(const Sluice__V1__Request *from, struct wire_request *to) {
    to->id = from->id;
    to->timeout_ms = from->timeout_ms;
    to->traceparent = wire_bytes_of(from->traceparent);
    to->call = WIRE_CALL_UNKNOWN;
    to->payload = to->reservation_id = (struct wire_bytes){0};
    to->all_or_nothing = false;
    to->ttl_ms = to->on_timeout = 0;
    to->n_checks = 0;
}

enum wire_outcome wire_unpack_request(struct wire_codec *codec, const uint8_t *body, size_t n_bytes,
                                      struct wire_request *request) {
    codec->used_bytes = 0;
    const Sluice__V1__Request *from = sluice__v1__request__unpack(&codec->allocator, n_bytes, body);
    if (from == NULL) {
        return wire_skim(body, n_bytes, &request->id);
    }
    read_envelope(from, request);
    switch ((int)from->call_case) {
    case SLUICE__V1__REQUEST__CALL_CHECK:
        read_single(WIRE_CALL_CHECK, from->check, request);
        break;
    case SLUICE__V1__REQUEST__CALL_PEEK:
        read_single(WIRE_CALL_PEEK, from->peek, request);
        break;
    case SLUICE__V1__REQUEST__CALL_CHECK_BATCH:
        return read_batch(from->check_batch, request) ? WIRE_DECODED : WIRE_BATCH_TOO_LARGE;
    case SLUICE__V1__REQUEST__CALL_PING:
        request->call = WIRE_CALL_PING;
        request->payload = wire_bytes_of(from->ping->payload);
        break;
    case SLUICE__V1__REQUEST__CALL_REFUND:
        read_refund(from->refund, request);
        break;
    case SLUICE__V1__REQUEST__CALL_RESERVE:
        read_reserve(from->reserve, request);
        break;
    case SLUICE__V1__REQUEST__CALL_SETTLE:
        read_settle(from->settle, request);
        break;
    }
    return WIRE_DECODED;
}

enum wire_outcome wire_decode_request(struct wire_codec *codec, const uint8_t *body, size_t n_bytes,
                                      struct wire_request *request) {
    if (wire_read_checks(body, n_bytes, request)) {
        return WIRE_DECODED;
    }
    return wire_unpack_request(codec, body, n_bytes, request);
}

/* ---- encoding ---- */

static void put_check(const struct wire_check *from, Sluice__V1__Check *to) {
    sluice__v1__check__init(to);
    to->tenant = wire_lend(from->tenant);
    to->resource = wire_lend(from->resource);
    to->key = wire_lend(from->key);
    to->cost = from->cost;
    to->at_most = from->at_most;
    to->idempotency_key = wire_lend(from->idempotency_key);
}

/* Kept out of its caller, whose stack stays small for all other calls. */
__attribute__((noinline)) static size_t put_check_batch(const struct wire_request *request,
                                                        Sluice__V1__Request message, uint8_t *out, size_t cap) {
    Sluice__V1__Check checks[WIRE_BATCH_MAX];
    Sluice__V1__Check *pointers[WIRE_BATCH_MAX];
    Sluice__V1__CheckBatch batch;
    if (request->n_checks > WIRE_BATCH_MAX) {
        return 0;
    }
    for (size_t i = 0; i < request->n_checks; i++) {
        put_check(&request->checks[i], &checks[i]);
        pointers[i] = &checks[i];
    }
    sluice__v1__check_batch__init(&batch);
    batch.n_checks = request->n_checks;
    batch.checks = pointers;
    batch.all_or_nothing = request->all_or_nothing;
    message.call_case = SLUICE__V1__REQUEST__CALL_CHECK_BATCH;
    message.check_batch = &batch;
    return wire_put_frame(&message.base, out, cap);
}

static size_t put_refund(const struct wire_check *from, Sluice__V1__Request message, uint8_t *out, size_t cap) {
    Sluice__V1__Refund refund = SLUICE__V1__REFUND__INIT;
    refund.tenant = wire_lend(from->tenant);
    refund.resource = wire_lend(from->resource);
    refund.key = wire_lend(from->key);
    refund.tokens = from->cost;
    refund.idempotency_key = wire_lend(from->idempotency_key);
    message.call_case = SLUICE__V1__REQUEST__CALL_REFUND;
    message.refund = &refund;
    return wire_put_frame(&message.base, out, cap);
}

static size_t put_reserve(const struct wire_request *request, Sluice__V1__Request message, uint8_t *out,
                          size_t cap) {
    const struct wire_check *from = &request->checks[0];
    Sluice__V1__Reserve reserve = SLUICE__V1__RESERVE__INIT;
    reserve.tenant = wire_lend(from->tenant);
    reserve.resource = wire_lend(from->resource);
    reserve.key = wire_lend(from->key);
    reserve.estimate = from->cost;
    reserve.ttl_ms = request->ttl_ms;
    reserve.on_timeout = (Sluice__V1__Reserve__OnTimeout)request->on_timeout;
    reserve.idempotency_key = wire_lend(from->idempotency_key);
    message.call_case = SLUICE__V1__REQUEST__CALL_RESERVE;
    message.reserve = &reserve;
    return wire_put_frame(&message.base, out, cap);
}

static size_t put_settle(const struct wire_request *request, Sluice__V1__Request message, uint8_t *out,
                         size_t cap) {
    const struct wire_check *from = &request->checks[0];
    Sluice__V1__Settle settle = SLUICE__V1__SETTLE__INIT;
    settle.tenant = wire_lend(from->tenant);
    settle.resource = wire_lend(from->resource);
    settle.key = wire_lend(from->key);
    settle.reservation_id = wire_lend(request->reservation_id);
    settle.tokens = from->cost;
    settle.idempotency_key = wire_lend(from->idempotency_key);
    message.call_case = SLUICE__V1__REQUEST__CALL_SETTLE;
    message.settle = &settle;
    return wire_put_frame(&message.base, out, cap);
}

size_t wire_encode_request(const struct wire_request *request, uint8_t *out, size_t cap) {
    Sluice__V1__Request message;
    Sluice__V1__Check check;
    Sluice__V1__Ping ping;
    sluice__v1__request__init(&message);
    message.id = request->id;
    message.timeout_ms = request->timeout_ms;
    message.traceparent = wire_lend(request->traceparent);
    switch (request->call) {
    case WIRE_CALL_UNKNOWN:
        break;
    case WIRE_CALL_CHECK:
    case WIRE_CALL_PEEK:
        put_check(&request->checks[0], &check);
        message.call_case =
            request->call == WIRE_CALL_PEEK ? SLUICE__V1__REQUEST__CALL_PEEK : SLUICE__V1__REQUEST__CALL_CHECK;
        message.check = &check; /* the same member of the union as `peek` */
        break;
    case WIRE_CALL_CHECK_BATCH:
        return put_check_batch(request, message, out, cap);
    case WIRE_CALL_PING:
        sluice__v1__ping__init(&ping);
        ping.payload = wire_lend(request->payload);
        message.call_case = SLUICE__V1__REQUEST__CALL_PING;
        message.ping = &ping;
        break;
    case WIRE_CALL_REFUND:
        return put_refund(&request->checks[0], message, out, cap);
    case WIRE_CALL_RESERVE:
        return put_reserve(request, message, out, cap);
    case WIRE_CALL_SETTLE:
        return put_settle(request, message, out, cap);
    }
    return wire_put_frame(&message.base, out, cap);
}
