/* wire_codec.h — what the wire_*.c share and nobody else sees: the arena, and small steps to and from protobuf-c. */
#ifndef SLUICE_PROTO_WIRE_CODEC_H
#define SLUICE_PROTO_WIRE_CODEC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proto/sluice.pb-c.h"
#include "proto/wire.h"

/* Numbers of ours that are sluice.proto's. */
#define WIRE_SAME(ours, generated) _Static_assert((int)(ours) == (int)(generated), #ours " as in sluice.proto")

enum {
    /* The largest valid message, a full batch in a full frame, takes less than half; the rest is room for fields
     * that later versions add. Only what a message needs is ever touched. */
    WIRE_ARENA_BYTES = 256 * 1024,
};

struct wire_codec {
    ProtobufCAllocator allocator;
    size_t used_bytes; /* a multiple of the largest alignment; 0 before each decode */
    _Alignas(max_align_t) uint8_t arena[WIRE_ARENA_BYTES];
};

/* Of a message that does not unpack: whether its batch is too large, and its id, 0 when none can be read. */
enum wire_outcome wire_skim(const uint8_t *body, size_t n_bytes, uint64_t *id);

/* What wire_decode_request and wire_encode_response do with all that is not read and written without protobuf-c. */
enum wire_outcome wire_unpack_request(struct wire_codec *codec, const uint8_t *body, size_t n_bytes,
                                      struct wire_request *request);
size_t wire_pack_response(const struct wire_response *response, uint8_t *out, size_t cap);

/* Header and packed message into `out`. Its length; 0 when it would exceed `cap` or FRAME_MAX_BYTES. */
size_t wire_put_frame(const ProtobufCMessage *message, uint8_t *out, size_t cap);

static inline struct wire_bytes wire_bytes_of(ProtobufCBinaryData from) {
    return (struct wire_bytes){from.data, from.len};
}

static inline struct wire_bytes wire_text_of(const char *from) {
    return (struct wire_bytes){(const uint8_t *)from, strlen(from)};
}

/* Packing only reads; protobuf-c's type lacks the const. */
static inline ProtobufCBinaryData wire_lend(struct wire_bytes bytes) {
    return (ProtobufCBinaryData){.len = bytes.len, .data = (uint8_t *)(uintptr_t)bytes.data};
}

#endif
