/* wire.c — the codec's arena, what can be told of a broken message, and names; see wire.h.
 *
 *   decode: body ─ unpack into the arena ─ plain struct          encode: plain struct ─ generated struct on the
 *                └ failed: skim for the id and the batch's size          stack ─ size ─ header and pack
 *
 * wire_request.c and wire_response.c have the messages, wire_problem.c judges them. What is asked and answered nearly
 * always does not come this way: wire_read_checks.c and wire_write_decisions.c. Nothing is freed one by one:
 * the arena is reset by the next decode. */
#include "proto/wire.h"

#include <stdlib.h>

#include "proto/frame.h"
#include "proto/wire_codec.h"

enum { ARENA_ALIGN = _Alignof(max_align_t) };
_Static_assert(WIRE_ARENA_BYTES % ARENA_ALIGN == 0, "what is left of the arena is a multiple of its alignment");

static void *arena_alloc(void *data, size_t n_bytes) {
    struct wire_codec *codec = data;
    if (n_bytes > WIRE_ARENA_BYTES - codec->used_bytes) {
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
WIRE_SAME(BATCH_FIELD, SLUICE__V1__RESPONSE__RESULT_DECISION_BATCH);

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

enum wire_outcome wire_skim(const uint8_t *body, size_t n_bytes, uint64_t *id) {
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
/* ---- encoding ---- */

size_t wire_put_frame(const ProtobufCMessage *message, uint8_t *out, size_t cap) {
    size_t body_bytes = protobuf_c_message_get_packed_size(message);
    if (body_bytes > FRAME_BODY_MAX_BYTES || FRAME_HEADER_BYTES + body_bytes > cap) {
        return 0;
    }
    frame_put_header(out, (uint32_t)body_bytes);
    protobuf_c_message_pack(message, out + FRAME_HEADER_BYTES);
    return FRAME_HEADER_BYTES + body_bytes;
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
