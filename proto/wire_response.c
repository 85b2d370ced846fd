/* wire_response.c — responses: from bytes to plain structs and back; see wire.h. */
#include "proto/wire_codec.h"
#include "proto/wire_write_decisions.h"

enum { TEXT_BYTES = WIRE_MESSAGE_MAX_BYTES + 1 };

WIRE_SAME(WIRE_VERDICT_UNSPECIFIED, SLUICE__V1__DECISION__VERDICT__VERDICT_UNSPECIFIED);
WIRE_SAME(WIRE_ALLOW, SLUICE__V1__DECISION__VERDICT__ALLOW);
WIRE_SAME(WIRE_DENY, SLUICE__V1__DECISION__VERDICT__DENY);
WIRE_SAME(WIRE_SOURCE_NONE, SLUICE__V1__DECISION__SOURCE__SOURCE_UNSPECIFIED);
WIRE_SAME(WIRE_SOURCE_STORE, SLUICE__V1__DECISION__SOURCE__STORE);
WIRE_SAME(WIRE_SOURCE_LEASE, SLUICE__V1__DECISION__SOURCE__LEASE);
WIRE_SAME(WIRE_SOURCE_DENIED_CACHE, SLUICE__V1__DECISION__SOURCE__DENIED_CACHE);
WIRE_SAME(WIRE_SOURCE_LOCAL, SLUICE__V1__DECISION__SOURCE__LOCAL);
WIRE_SAME(WIRE_SOURCE_EMBEDDED, SLUICE__V1__DECISION__SOURCE__EMBEDDED);

/* ---- decoding ---- */

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
        .limit_name = wire_bytes_of(from->limit_name),
        .limit = from->limit,
        .remaining = from->remaining,
        .retry_after_us = from->retry_after_us,
        .reset_after_us = from->reset_after_us,
        .wait_us = from->wait_us,
        .degraded = from->degraded != 0,
        .would_deny = from->would_deny != 0,
        .granted = from->granted,
        .repeated = from->repeated != 0,
        .returned = from->returned != 0,
    };
}

static void read_item(const Sluice__V1__DecisionBatch__Item *from, struct wire_item *to) {
    *to = (struct wire_item){.status = status_of(from->status), .message = wire_text_of(from->message)};
    if (from->decision != NULL) {
        read_decision(from->decision, &to->decision);
    }
}

/* The one decision of a response; all zero when the sender left it out. */
static void read_single(enum wire_call call, const Sluice__V1__Decision *from, struct wire_response *to) {
    to->call = call;
    to->n_items = 1;
    to->items[0] = (struct wire_item){.status = to->status, .message = to->message};
    if (from != NULL) {
        read_decision(from, &to->items[0].decision);
    }
}

/* False when there are too many. */
static bool read_batch(const Sluice__V1__DecisionBatch *from, struct wire_response *to) {
    if (from->n_items > WIRE_BATCH_MAX) {
        return false;
    }
    to->call = WIRE_CALL_CHECK_BATCH;
    to->granted = from->granted != 0;
    to->n_items = from->n_items;
    for (size_t i = 0; i < to->n_items; i++) {
        read_item(from->items[i], &to->items[i]);
    }
    return true;
}

static void read_booked(const Sluice__V1__Booked *from, struct wire_response *to) {
    to->call = WIRE_CALL_REFUND;
    to->booked = (struct wire_booked){
        .matched = from->matched != 0,
        .returned = from->returned,
        .taken = from->taken,
        .limit_name = wire_bytes_of(from->limit_name),
        .limit = from->limit,
        .remaining = from->remaining,
        .repeated = from->repeated != 0,
        .degraded = from->degraded != 0,
    };
}

/* All but the result. */
static void read_envelope(const Sluice__V1__Response *from, struct wire_response *to) {
    to->id = from->id;
    to->call = WIRE_CALL_UNKNOWN;
    to->status = status_of(from->status);
    to->message = wire_text_of(from->message);
    to->payload = to->version = to->reservation_id = (struct wire_bytes){0};
    to->booked = (struct wire_booked){0};
    to->granted = false;
    to->n_items = 0;
}

enum wire_outcome wire_decode_response(struct wire_codec *codec, const uint8_t *body, size_t n_bytes,
                                       struct wire_response *response) {
    codec->used_bytes = 0;
    const Sluice__V1__Response *from = sluice__v1__response__unpack(&codec->allocator, n_bytes, body);
    if (from == NULL) {
        return wire_skim(body, n_bytes, &response->id);
    }
    read_envelope(from, response);
    switch ((int)from->result_case) {
    case SLUICE__V1__RESPONSE__RESULT_DECISION:
        read_single(WIRE_CALL_CHECK, from->decision, response);
        break;
    case SLUICE__V1__RESPONSE__RESULT_DECISION_BATCH:
        return read_batch(from->decision_batch, response) ? WIRE_DECODED : WIRE_BATCH_TOO_LARGE;
    case SLUICE__V1__RESPONSE__RESULT_PONG:
        response->call = WIRE_CALL_PING;
        response->payload = wire_bytes_of(from->pong->payload);
        response->version = wire_text_of(from->pong->version);
        break;
    case SLUICE__V1__RESPONSE__RESULT_BOOKED:
        read_booked(from->booked, response);
        break;
    case SLUICE__V1__RESPONSE__RESULT_RESERVED:
        read_single(WIRE_CALL_RESERVE, from->reserved->decision, response);
        response->reservation_id = wire_bytes_of(from->reserved->reservation_id);
        break;
    }
    return WIRE_DECODED;
}

/* ---- encoding ---- */

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

static void put_decision(const struct wire_decision *from, Sluice__V1__Decision *to) {
    sluice__v1__decision__init(to);
    to->verdict = (Sluice__V1__Decision__Verdict)from->verdict;
    to->source = (Sluice__V1__Decision__Source)from->source;
    to->matched = from->matched;
    to->limit_name = wire_lend(from->limit_name);
    to->limit = from->limit;
    to->remaining = from->remaining;
    to->retry_after_us = from->retry_after_us;
    to->reset_after_us = from->reset_after_us;
    to->wait_us = from->wait_us;
    to->degraded = from->degraded;
    to->would_deny = from->would_deny;
    to->granted = from->granted;
    to->repeated = from->repeated;
    to->returned = from->returned;
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
    batch.granted = response->granted;
    message.result_case = SLUICE__V1__RESPONSE__RESULT_DECISION_BATCH;
    message.decision_batch = &batch;
    return wire_put_frame(&message.base, out, cap);
}

static size_t put_reserved(const struct wire_response *response, Sluice__V1__Response message, uint8_t *out,
                           size_t cap) {
    Sluice__V1__Decision decision;
    Sluice__V1__Reserved reserved = SLUICE__V1__RESERVED__INIT;
    put_decision(&response->items[0].decision, &decision);
    reserved.decision = &decision;
    reserved.reservation_id = wire_lend(response->reservation_id);
    message.result_case = SLUICE__V1__RESPONSE__RESULT_RESERVED;
    message.reserved = &reserved;
    return wire_put_frame(&message.base, out, cap);
}

static size_t put_booked(const struct wire_booked *from, Sluice__V1__Response message, uint8_t *out,
                         size_t cap) {
    Sluice__V1__Booked booked = SLUICE__V1__BOOKED__INIT;
    booked.matched = from->matched;
    booked.returned = from->returned;
    booked.taken = from->taken;
    booked.limit_name = wire_lend(from->limit_name);
    booked.limit = from->limit;
    booked.remaining = from->remaining;
    booked.repeated = from->repeated;
    booked.degraded = from->degraded;
    message.result_case = SLUICE__V1__RESPONSE__RESULT_BOOKED;
    message.booked = &booked;
    return wire_put_frame(&message.base, out, cap);
}

size_t wire_pack_response(const struct wire_response *response, uint8_t *out, size_t cap) {
    Sluice__V1__Response message;
    Sluice__V1__Decision decision;
    Sluice__V1__Pong pong;
    char text[TEXT_BYTES];
    sluice__v1__response__init(&message);
    message.id = response->id;
    message.status = (uint32_t)response->status;
    if (response->status != WIRE_OK) {
        message.message = put_text(response->message, text);
        return wire_put_frame(&message.base, out, cap);
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
        pong.payload = wire_lend(response->payload);
        pong.version = put_text(response->version, text);
        message.result_case = SLUICE__V1__RESPONSE__RESULT_PONG;
        message.pong = &pong;
        break;
    case WIRE_CALL_RESERVE:
        return put_reserved(response, message, out, cap);
    case WIRE_CALL_REFUND:
    case WIRE_CALL_SETTLE:
        return put_booked(&response->booked, message, out, cap);
    }
    return wire_put_frame(&message.base, out, cap);
}

size_t wire_encode_response(const struct wire_response *response, uint8_t *out, size_t cap) {
    size_t n_bytes = wire_write_decisions(response, out, cap);
    return n_bytes > 0 ? n_bytes : wire_pack_response(response, out, cap);
}
