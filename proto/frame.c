/* frame.c — splits a byte stream into gRPC length-prefixed messages; see frame.h. */
#include "proto/frame.h"

/* Length bytes that have not arrived count as 0, so this is the least that the frame can announce. */
static inline uint32_t read_length(const uint8_t *bytes, size_t n_bytes) {
    if (n_bytes >= FRAME_HEADER_BYTES) {
        return (uint32_t)bytes[1] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 8 | bytes[4];
    }
    uint32_t length = 0;
    for (size_t i = 1; i < FRAME_HEADER_BYTES; i++) {
        length = length << 8 | (i < n_bytes ? bytes[i] : 0);
    }
    return length;
}

enum frame_outcome frame_parse(const uint8_t *bytes, size_t n_bytes, struct frame *frame) {
    if (n_bytes == 0) {
        return FRAME_PARTIAL;
    }
    if (bytes[0] != 0) {
        return FRAME_BAD_FLAG;
    }
    uint32_t body_bytes = read_length(bytes, n_bytes);
    if (body_bytes > FRAME_BODY_MAX_BYTES) {
        return FRAME_TOO_LARGE;
    }
    if (n_bytes < FRAME_HEADER_BYTES + (size_t)body_bytes) {
        return FRAME_PARTIAL;
    }
    *frame = (struct frame){
        .body = bytes + FRAME_HEADER_BYTES,
        .body_bytes = body_bytes,
        .total_bytes = FRAME_HEADER_BYTES + body_bytes,
    };
    return FRAME_READY;
}

void frame_put_header(uint8_t header[FRAME_HEADER_BYTES], uint32_t body_bytes) {
    header[0] = 0;
    header[1] = (uint8_t)(body_bytes >> 24);
    header[2] = (uint8_t)(body_bytes >> 16);
    header[3] = (uint8_t)(body_bytes >> 8);
    header[4] = (uint8_t)body_bytes;
}

const char *frame_outcome_text(enum frame_outcome outcome) {
    switch (outcome) {
    case FRAME_READY:
        return "a whole frame";
    case FRAME_PARTIAL:
        return "an incomplete frame";
    case FRAME_TOO_LARGE:
        return "a frame longer than 65536 bytes";
    case FRAME_BAD_FLAG:
        return "a frame whose flag byte is not 0";
    }
    return "an unknown outcome";
}
