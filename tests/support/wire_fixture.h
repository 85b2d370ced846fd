/* wire_fixture.h — messages there and back: what the tests of wire*.c share. */
#ifndef SLUICE_TESTS_SUPPORT_WIRE_FIXTURE_H
#define SLUICE_TESTS_SUPPORT_WIRE_FIXTURE_H

#include "proto/frame.h"
#include "proto/wire.h"

#define LITERAL(text)                                                                                          \
    { (const uint8_t *)(text), sizeof(text) - 1 }
#define BYTES(text) ((struct wire_bytes)LITERAL(text))
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct wire_fixture {
    struct wire_codec *codec;
    struct wire_request asked, request;      /* encoded, decoded */
    struct wire_response answered, response; /* encoded, decoded */
    uint8_t frame[FRAME_MAX_BYTES];
    uint8_t body[FRAME_BODY_MAX_BYTES];
    uint8_t filler[WIRE_KEY_MAX_BYTES + 1]; /* 'x' everywhere */
};

/* Of cmocka. */
int wire_fixture_set_up(void **state);
int wire_fixture_tear_down(void **state);

/* Encodes f->asked, decodes it into f->request and returns the frame's length; the same with the response. */
size_t wire_fixture_send_request(struct wire_fixture *f);
size_t wire_fixture_send_response(struct wire_fixture *f);

struct wire_bytes wire_fixture_filled(const struct wire_fixture *f, size_t len);
struct wire_check wire_fixture_check(struct wire_bytes tenant, struct wire_bytes resource,
                                     struct wire_bytes key, uint64_t cost);

/* A decision, every field of which is the largest or the longest. */
struct wire_decision wire_fixture_largest_decision(void);

void assert_bytes(struct wire_bytes actual, struct wire_bytes expected);
void assert_check(const struct wire_check *actual, const struct wire_check *expected);
void assert_decision(const struct wire_decision *actual, const struct wire_decision *expected);

#endif
