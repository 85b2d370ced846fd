/* wire.c — turns requests and responses into bytes and back with protobuf-c; see wire.h.
 *
 *   decode: body ─ unpack into the arena ─ plain struct          encode: plain struct ─ generated struct on the
 *                └ failed: skim for the id and the batch's size          stack ─ size ─ header and pack
 *
 * Nothing is freed one by one: the arena is reset by the next decode. */
#include "proto/wire.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"
#include "proto/sluice.pb-c.h"

enum {
    ARENA_ALIGN = _Alignof(max_align_t),
    /* The largest valid message, a full batch in a full frame, takes less than half; the rest is room for fields
     * that later versions add. Only what a message needs is ever touched. */
    ARENA_BYTES = 256 * 1024,
    TEXT_BYTES = WIRE_MESSAGE_MAX_BYTES + 1,
};
_Static_assert(ARENA_BYTES % ARENA_ALIGN == 0, "what is left of the arena is a multiple of its alignment");

#define SAME(ours, generated) _Static_assert((int)(ours) == (int)(generated), #ours " as in sluice.proto")
SAME(WIRE_VERDICT_UNSPECIFIED, SLUICE__V1__DECISION__VERDICT__VERDICT_UNSPECIFIED);
SAME(WIRE_ALLOW, SLUICE__V1__DECISION__VERDICT__ALLOW);
SAME(WIRE_DENY, SLUICE__V1__DECISION__VERDICT__DENY);
SAME(WIRE_SOURCE_NONE, SLUICE__V1__DECISION__SOURCE__SOURCE_UNSPECIFIED);
SAME(WIRE_SOURCE_STORE, SLUICE__V1__DECISION__SOURCE__STORE);
SAME(WIRE_SOURCE_LEASE, SLUICE__V1__DECISION__SOURCE__LEASE);
SAME(WIRE_SOURCE_DENIED_CACHE, SLUICE__V1__DECISION__SOURCE__DENIED_CACHE);
SAME(WIRE_SOURCE_LOCAL, SLUICE__V1__DECISION__SOURCE__LOCAL);
SAME(WIRE_SOURCE_EMBEDDED, SLUICE__V1__DECISION__SOURCE__EMBEDDED);

struct wire_codec {
    ProtobufCAllocator allocator;
    size_t used_bytes; /* always a multiple of ARENA_ALIGN */
    _Alignas(max_align_t) uint8_t arena[ARENA_BYTES];
};

static void *arena_alloc(void *data, size_t n_bytes) {
    struct wire_codec *codec = data;
    if (n_bytes > ARENA_BYTES - codec->used_bytes) {
        return NULL;
    }
    void *start = codec->arena + codec->used_bytes;
    codec->used_bytes += (n_bytes + ARENA_ALIGN - 1) & ~((size_t)ARENA_ALIGN - 1);
    return start;
}

static void arena_free(void *data, void *pointer) {
    (void)data;
    (void)pointer;
}

struct wire_codec *wire_codec_create(void) {
    struct wire_codec *codec = malloc(sizeof *codec);
    if (codec == NULL) {
        return NULL;
    }
    codec->allocator = (ProtobufCAllocator){.alloc = arena_alloc, .free = arena_free, .allocator_data = codec};
    codec->used_bytes = 0;
    return codec;
}

void wire_codec_destroy(struct wire_codec **codec) {
    free(*codec);
    *codec = NULL;
}

/* ---- skimming: what can be told of a message that does not unpack ---- */

/* Both messages have their id and their batch in the same places. */
enum { ID_FIELD = 1, BATCH_FIELD = SLUICE__V1__REQUEST__CALL_CHECK_BATCH, BATCH_ENTRY_FIELD = 1 };
SAME(BATCH_FIELD, SLUICE__V1__RESPONSE__RESULT_DECISION_BATCH);

enum { TYPE_VARINT = 0, TYPE_FIXED64 = 1, TYPE_BYTES = 2, TYPE_FIXED32 = 5 };

struct field {
    uint64_t number;
    unsigned type;
    uint64_t value;          /* of TYPE_VARINT */
    struct wire_bytes bytes; /* of TYPE_BYTES */
};

static bool take_varint(struct wire_bytes *rest, uint64_t *value) {
    *value = 0;
    for (unsigned shift = 0; rest->len > 0 && shift < 64; shift += 7) {
        uint8_t byte = *rest->data++;
        rest->len--;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return true;
        }
    }
    return false;
}

/* Takes the next field off `rest`; false at the end or where the bytes make no sense. */
static bool take_field(struct wire_bytes *rest, struct field *field) {
    uint64_t tag, n_bytes;
    if (!take_varint(rest, &tag)) {
        return false;
    }
    *field = (struct field){.number = tag >> 3, .type = tag & 7};
    if (field->type == TYPE_VARINT) {
        return take_varint(rest, &field->value);
    }
    if (field->type == TYPE_BYTES) {
        if (!take_varint(rest, &n_bytes)) {
            return false;
        }
    } else if (field->type == TYPE_FIXED64 || field->type == TYPE_FIXED32) {
        n_bytes = field->type == TYPE_FIXED64 ? 8 : 4;
    } else {
        return false;
    }
    if (n_bytes > rest->len) {
        return false;
    }
    field->bytes = (struct wire_bytes){rest->data, (size_t)n_bytes};
    rest->data += n_bytes;
    rest->len -= (size_t)n_bytes;
    return true;
}

static enum wire_outcome skim(const uint8_t *body, size_t n_bytes, uint64_t *id) {
    struct wire_bytes rest = {body, n_bytes}, batch = {0};
    struct field field;
    size_t n_entries = 0;
    *id = 0;
    while (take_field(&rest, &field)) {
        if (field.number == ID_FIELD && field.type == TYPE_VARINT) {
            *id = field.value;
        } else if (field.number == BATCH_FIELD && field.type == TYPE_BYTES) {
            batch = field.bytes;
        }
    }
    while (take_field(&batch, &field)) {
        n_entries += field.number == BATCH_ENTRY_FIELD && field.type == TYPE_BYTES;
    }
    return n_entries > WIRE_BATCH_MAX ? WIRE_BATCH_TOO_LARGE : WIRE_MALFORMED;
}

/* ---- decoding ---- */

static struct wire_bytes bytes_of(ProtobufCBinaryData from) {
    return (struct wire_bytes){from.data, from.len};
}

static struct wire_bytes text_of(const char *from) {
    return (struct wire_bytes){(const uint8_t *)from, strlen(from)};
}

static void read_check(const Sluice__V1__Check *from, struct wire_check *to) {
    *to = (struct wire_check){
        .tenant = bytes_of(from->tenant),
        .resource = bytes_of(from->resource),
        .key = bytes_of(from->key),
        .cost = from->cost > 0 ? from->cost : 1,
    };
}

static void read_single(enum wire_call call, const Sluice__V1__Check *from, struct wire_request *to) {
    to->call = call;
    to->n_checks = 1;
    read_check(from, &to->checks[0]);
}

enum wire_outcome wire_decode_request(struct wire_codec *codec, const uint8_t *body, size_t n_bytes,
                                      struct wire_request *request) {
    codec->used_bytes = 0;
    const Sluice__V1__Request *from = sluice__v1__request__unpack(&codec->allocator, n_bytes, body);
    if (from == NULL) {
        return skim(body, n_bytes, &request->id);
    }
    request->id = from->id;
    request->timeout_ms = from->timeout_ms;
    request->traceparent = bytes_of(from->traceparent);
    request->call = WIRE_CALL_UNKNOWN;
    request->payload = (struct wire_bytes){0};
    request->n_checks = 0;
    switch ((int)from->call_case) {
    case SLUICE__V1__REQUEST__CALL_CHECK:
        read_single(WIRE_CALL_CHECK, from->check, request);
        break;
    case SLUICE__V1__REQUEST__CALL_PEEK:
        read_single(WIRE_CALL_PEEK, from->peek, request);
        break;
    case SLUICE__V1__REQUEST__CALL_CHECK_BATCH:
        if (from->check_batch->n_checks > WIRE_BATCH_MAX) {
            return WIRE_BATCH_TOO_LARGE;
        }
        request->call = WIRE_CALL_CHECK_BATCH;
        request->n_checks = from->check_batch->n_checks;
        for (size_t i = 0; i < request->n_checks; i++) {
            read_check(from->check_batch->checks[i], &request->checks[i]);
        }
        break;
    case SLUICE__V1__REQUEST__CALL_PING:
        request->call = WIRE_CALL_PING;
        request->payload = bytes_of(from->ping->payload);
        break;
    }
    return WIRE_DECODED;
}

static enum wire_status status_of(uint32_t number) {
    switch (number) {
#define STATUS_CASE(name, code)                                                                                \
    case code:                                                                                                 \
        return WIRE_##name;
        WIRE_STATUSES(STATUS_CASE)
#undef STATUS_CASE
    }
    return WIRE_UNKNOWN;
}

static enum wire_source source_of(int number) {
    switch (number) {
#define SOURCE_CASE(name, text)                                                                                \
    case WIRE_SOURCE_##name:                                                                                   \
        return WIRE_SOURCE_##name;
        WIRE_SOURCES(SOURCE_CASE)
#undef SOURCE_CASE
    }
    return WIRE_SOURCE_NONE;
}

static enum wire_verdict verdict_of(int number) {
    return number == WIRE_ALLOW || number == WIRE_DENY ? (enum wire_verdict)number : WIRE_VERDICT_UNSPECIFIED;
}

static void read_decision(const Sluice__V1__Decision *from, struct wire_decision *to) {
    *to = (struct wire_decision){
        .verdict = verdict_of((int)from->verdict),
        .source = source_of((int)from->source),
        .matched = from->matched != 0,
        .limit_name = bytes_of(from->limit_name),
        .limit = from->limit,
        .remaining = from->remaining,
        .retry_after_us = from->retry_after_us,
        .reset_after_us = from->reset_after_us,
        .wait_us = from->wait_us,
        .degraded = from->degraded != 0,
        .would_deny = from->would_deny != 0,
    };
}

static void read_item(const Sluice__V1__DecisionBatch__Item *from, struct wire_item *to) {
    *to = (struct wire_item){.status = status_of(from->status), .message = text_of(from->message)};
    if (from->decision != NULL) {
        read_decision(from->decision, &to->decision);
    }
}

enum wire_outcome wire_decode_response(struct wire_codec *codec, const uint8_t *body, size_t n_bytes,
                                       struct wire_response *response) {
    codec->used_bytes = 0;
    const Sluice__V1__Response *from = sluice__v1__response__unpack(&codec->allocator, n_bytes, body);
    if (from == NULL) {
        return skim(body, n_bytes, &response->id);
    }
    response->id = from->id;
    response->call = WIRE_CALL_UNKNOWN;
    response->status = status_of(from->status);
    response->message = text_of(from->message);
    response->payload = response->version = (struct wire_bytes){0};
    response->n_items = 0;
    switch ((int)from->result_case) {
    case SLUICE__V1__RESPONSE__RESULT_DECISION:
        response->call = WIRE_CALL_CHECK;
        response->n_items = 1;
        response->items[0] = (struct wire_item){.status = response->status, .message = response->message};
        read_decision(from->decision, &response->items[0].decision);
        break;
    case SLUICE__V1__RESPONSE__RESULT_DECISION_BATCH:
        if (from->decision_batch->n_items > WIRE_BATCH_MAX) {
            return WIRE_BATCH_TOO_LARGE;
        }
        response->call = WIRE_CALL_CHECK_BATCH;
        response->n_items = from->decision_batch->n_items;
        for (size_t i = 0; i < response->n_items; i++) {
            read_item(from->decision_batch->items[i], &response->items[i]);
        }
        break;
    case SLUICE__V1__RESPONSE__RESULT_PONG:
        response->call = WIRE_CALL_PING;
        response->payload = bytes_of(from->pong->payload);
        response->version = text_of(from->pong->version);
        break;
    }
    return WIRE_DECODED;
}

/* ---- encoding ---- */

static size_t put_frame(const ProtobufCMessage *message, uint8_t *out, size_t cap) {
    size_t body_bytes = protobuf_c_message_get_packed_size(message);
    if (body_bytes > FRAME_BODY_MAX_BYTES || FRAME_HEADER_BYTES + body_bytes > cap) {
        return 0;
    }
    frame_put_header(out, (uint32_t)body_bytes);
    protobuf_c_message_pack(message, out + FRAME_HEADER_BYTES);
    return FRAME_HEADER_BYTES + body_bytes;
}

/* Packing only reads; protobuf-c's type lacks the const. */
static ProtobufCBinaryData lend(struct wire_bytes bytes) {
    return (ProtobufCBinaryData){.len = bytes.len, .data = (uint8_t *)(uintptr_t)bytes.data};
}

/* Length of the UTF-8 character that starts at `at`; 0 when there is none, or only a control character. */
static size_t utf8_char_bytes(const uint8_t *at, size_t n_bytes) {
    static const uint32_t smallest[] = {0, 0x20, 0xa0, 0x800, 0x10000}; /* by length: no C0, C1, overlong */
    size_t len = 1u + (at[0] >= 0xc0) + (at[0] >= 0xe0) + (at[0] >= 0xf0);
    if (len > n_bytes) {
        return 0;
    }
    uint32_t code = len == 1 ? at[0] : at[0] & (0xffu >> len);
    for (size_t i = 1; i < len; i++) {
        if (at[i] >> 6 != 0x2) {
            return 0;
        }
        code = code << 6 | (at[i] & 0x3f);
    }
    bool is_stray = len == 1 && code >= 0x7f; /* DEL, or a byte from inside a character */
    bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < smallest[len] || code > 0x10ffff || is_stray || is_surrogate ? 0 : len;
}

/* A protobuf string must be UTF-8, and ours end up on terminals: any other byte becomes '?'. */
static char *put_text(struct wire_bytes from, char to[TEXT_BYTES]) {
    size_t n = 0;
    for (size_t i = 0; i < from.len;) {
        size_t len = utf8_char_bytes(from.data + i, from.len - i);
        size_t taken = len > 0 ? len : 1;
        if (n + taken > WIRE_MESSAGE_MAX_BYTES) {
            break;
        }
        if (len > 0) {
            memcpy(to + n, from.data + i, len);
        } else {
            to[n] = '?';
        }
        i += taken;
        n += taken;
    }
    to[n] = '\0';
    return to;
}

static void put_check(const struct wire_check *from, Sluice__V1__Check *to) {
    sluice__v1__check__init(to);
    to->tenant = lend(from->tenant);
    to->resource = lend(from->resource);
    to->key = lend(from->key);
    to->cost = from->cost;
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
    message.call_case = SLUICE__V1__REQUEST__CALL_CHECK_BATCH;
    message.check_batch = &batch;
    return put_frame(&message.base, out, cap);
}

size_t wire_encode_request(const struct wire_request *request, uint8_t *out, size_t cap) {
    Sluice__V1__Request message;
    Sluice__V1__Check check;
    Sluice__V1__Ping ping;
    sluice__v1__request__init(&message);
    message.id = request->id;
    message.timeout_ms = request->timeout_ms;
    message.traceparent = lend(request->traceparent);
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
        ping.payload = lend(request->payload);
        message.call_case = SLUICE__V1__REQUEST__CALL_PING;
        message.ping = &ping;
        break;
    }
    return put_frame(&message.base, out, cap);
}

static void put_decision(const struct wire_decision *from, Sluice__V1__Decision *to) {
    sluice__v1__decision__init(to);
    to->verdict = (Sluice__V1__Decision__Verdict)from->verdict;
    to->source = (Sluice__V1__Decision__Source)from->source;
    to->matched = from->matched;
    to->limit_name = lend(from->limit_name);
    to->limit = from->limit;
    to->remaining = from->remaining;
    to->retry_after_us = from->retry_after_us;
    to->reset_after_us = from->reset_after_us;
    to->wait_us = from->wait_us;
    to->degraded = from->degraded;
    to->would_deny = from->would_deny;
}

/* An item has a decision or a message, never both. */
struct outgoing_item {
    Sluice__V1__DecisionBatch__Item item;
    union {
        Sluice__V1__Decision decision;
        char text[TEXT_BYTES];
    };
};

static void put_item(const struct wire_item *from, struct outgoing_item *to) {
    sluice__v1__decision_batch__item__init(&to->item);
    to->item.status = (uint32_t)from->status;
    if (from->status == WIRE_OK) {
        put_decision(&from->decision, &to->decision);
        to->item.decision = &to->decision;
    } else {
        to->item.message = put_text(from->message, to->text);
    }
}

__attribute__((noinline)) static size_t put_decision_batch(const struct wire_response *response,
                                                           Sluice__V1__Response message, uint8_t *out,
                                                           size_t cap) {
    struct outgoing_item items[WIRE_BATCH_MAX];
    Sluice__V1__DecisionBatch__Item *pointers[WIRE_BATCH_MAX];
    Sluice__V1__DecisionBatch batch;
    if (response->n_items > WIRE_BATCH_MAX) {
        return 0;
    }
    for (size_t i = 0; i < response->n_items; i++) {
        put_item(&response->items[i], &items[i]);
        pointers[i] = &items[i].item;
    }
    sluice__v1__decision_batch__init(&batch);
    batch.n_items = response->n_items;
    batch.items = pointers;
    message.result_case = SLUICE__V1__RESPONSE__RESULT_DECISION_BATCH;
    message.decision_batch = &batch;
    return put_frame(&message.base, out, cap);
}

size_t wire_encode_response(const struct wire_response *response, uint8_t *out, size_t cap) {
    Sluice__V1__Response message;
    Sluice__V1__Decision decision;
    Sluice__V1__Pong pong;
    char text[TEXT_BYTES];
    sluice__v1__response__init(&message);
    message.id = response->id;
    message.status = (uint32_t)response->status;
    if (response->status != WIRE_OK) {
        message.message = put_text(response->message, text);
        return put_frame(&message.base, out, cap);
    }
    switch (response->call) {
    case WIRE_CALL_UNKNOWN:
        break;
    case WIRE_CALL_CHECK:
    case WIRE_CALL_PEEK:
        put_decision(&response->items[0].decision, &decision);
        message.result_case = SLUICE__V1__RESPONSE__RESULT_DECISION;
        message.decision = &decision;
        break;
    case WIRE_CALL_CHECK_BATCH:
        return put_decision_batch(response, message, out, cap);
    case WIRE_CALL_PING:
        sluice__v1__pong__init(&pong);
        pong.payload = lend(response->payload);
        pong.version = put_text(response->version, text);
        message.result_case = SLUICE__V1__RESPONSE__RESULT_PONG;
        message.pong = &pong;
        break;
    }
    return put_frame(&message.base, out, cap);
}

/* ---- judging ---- */

__attribute__((format(printf, 3, 4))) static enum wire_status refuse(char *message, size_t cap,
                                                                     const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, cap, format, arguments);
    va_end(arguments);
    return WIRE_INVALID_ARGUMENT;
}

static enum wire_status length_problem(const char *field, struct wire_bytes value, size_t max_bytes,
                                       char *message, size_t cap) {
    if (value.len > max_bytes) {
        return refuse(message, cap, "%s: %zu bytes, at most %zu", field, value.len, max_bytes);
    }
    return WIRE_OK;
}

static enum wire_status name_problem(const char *field, struct wire_bytes name, size_t max_bytes, char *message,
                                     size_t cap) {
    if (name.len == 0) {
        return refuse(message, cap, "%s: empty", field);
    }
    if (length_problem(field, name, max_bytes, message, cap) != WIRE_OK) {
        return WIRE_INVALID_ARGUMENT;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] < 0x20 || name.data[i] == 0x7f) {
            return refuse(message, cap, "%s: control character 0x%02x at byte %zu", field, name.data[i], i);
        }
    }
    return WIRE_OK;
}

enum wire_status wire_check_problem(const struct wire_check *check, char *message, size_t cap) {
    if (name_problem("tenant", check->tenant, WIRE_TENANT_MAX_BYTES, message, cap) != WIRE_OK ||
        name_problem("resource", check->resource, WIRE_RESOURCE_MAX_BYTES, message, cap) != WIRE_OK ||
        length_problem("key", check->key, WIRE_KEY_MAX_BYTES, message, cap) != WIRE_OK) {
        return WIRE_INVALID_ARGUMENT;
    }
    if (check->cost > WIRE_COST_MAX) {
        return refuse(message, cap, "cost: %" PRIu64 ", at most %" PRIu64, check->cost, WIRE_COST_MAX);
    }
    return WIRE_OK;
}

enum wire_status wire_request_problem(const struct wire_request *request, char *message, size_t cap) {
    if (request->timeout_ms > WIRE_TIMEOUT_MAX_MS) {
        return refuse(message, cap, "timeout_ms: %" PRIu32 ", at most %d", request->timeout_ms,
                      WIRE_TIMEOUT_MAX_MS);
    }
    if (length_problem("traceparent", request->traceparent, WIRE_TRACEPARENT_MAX_BYTES, message, cap) !=
        WIRE_OK) {
        return WIRE_INVALID_ARGUMENT;
    }
    switch (request->call) {
    case WIRE_CALL_UNKNOWN:
        snprintf(message, cap, "call: unknown or missing");
        return WIRE_UNIMPLEMENTED;
    case WIRE_CALL_CHECK:
    case WIRE_CALL_PEEK:
        return WIRE_OK;
    case WIRE_CALL_CHECK_BATCH:
        return request->n_checks > 0 ? WIRE_OK : refuse(message, cap, "check_batch: empty");
    case WIRE_CALL_PING:
        return length_problem("payload", request->payload, WIRE_PAYLOAD_MAX_BYTES, message, cap);
    }
    return WIRE_OK;
}

/* ---- names ---- */

const char *wire_status_text(enum wire_status status) {
    switch (status) {
#define STATUS_TEXT(name, code)                                                                                \
    case WIRE_##name:                                                                                          \
        return #name;
        WIRE_STATUSES(STATUS_TEXT)
#undef STATUS_TEXT
    }
    return "UNKNOWN";
}

const char *wire_source_text(enum wire_source source) {
    switch (source) {
#define SOURCE_TEXT(name, text)                                                                                \
    case WIRE_SOURCE_##name:                                                                                   \
        return text;
        WIRE_SOURCES(SOURCE_TEXT)
#undef SOURCE_TEXT
    }
    return "none";
}
