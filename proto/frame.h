/* frame.h — splits a byte stream into gRPC length-prefixed messages.
 *
 * A frame is one flag byte (0), four bytes of big-endian length, then that many bytes.
 * Pure functions on the caller's bytes: nothing is copied, kept or allocated. */
#ifndef SLUICE_PROTO_FRAME_H
#define SLUICE_PROTO_FRAME_H

#include <stddef.h>
#include <stdint.h>

enum {
    FRAME_HEADER_BYTES = 5,
    FRAME_BODY_MAX_BYTES = 64 * 1024,
    FRAME_MAX_BYTES = FRAME_HEADER_BYTES + FRAME_BODY_MAX_BYTES,
};

enum frame_outcome {
    FRAME_READY,     /* body and total_bytes are set */
    FRAME_PARTIAL,   /* more bytes are needed; nothing was consumed */
    FRAME_TOO_LARGE, /* the header announces more than FRAME_BODY_MAX_BYTES: framing is lost */
    FRAME_BAD_FLAG,  /* the flag byte is not 0 (compression is not spoken): framing is lost */
};

struct frame {
    const uint8_t *body; /* borrowed from the bytes given */
    uint32_t body_bytes;
    uint32_t total_bytes; /* header and body: what to consume */
};

/* Looks at the first frame of `bytes`. A bad header is reported as soon as the byte that shows it is there. */
enum frame_outcome frame_parse(const uint8_t *bytes, size_t n_bytes, struct frame *frame);

/* Writes the header of a frame of `body_bytes` (at most FRAME_BODY_MAX_BYTES) into `header`. */
void frame_put_header(uint8_t header[FRAME_HEADER_BYTES], uint32_t body_bytes);

/* What is wrong with the stream, as half a sentence; never NULL. */
const char *frame_outcome_text(enum frame_outcome outcome);

#endif
