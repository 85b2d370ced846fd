/* test_frame.c — frames split anywhere, joined, too large, with a bad flag. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/frame.h"

/* A copy of exactly `n` bytes, so that the sanitizer sees a read beyond them. */
static enum frame_outcome parse_exactly(const uint8_t *bytes, size_t n, struct frame *frame) {
    uint8_t *copy = malloc(n > 0 ? n : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    enum frame_outcome outcome = frame_parse(copy, n, frame);
    if (outcome == FRAME_READY) {
        assert_ptr_equal(frame->body, copy + FRAME_HEADER_BYTES);
    }
    free(copy);
    return outcome;
}

static void test_no_bytes_are_a_partial_frame(void **state) {
    (void)state;
    struct frame frame;
    assert_int_equal(frame_parse(NULL, 0, &frame), FRAME_PARTIAL);
}

static void test_header_is_flag_and_big_endian_length(void **state) {
    (void)state;
    uint8_t header[FRAME_HEADER_BYTES];
    frame_put_header(header, 0x0000fe07);
    assert_memory_equal(header, "\x00\x00\x00\xfe\x07", FRAME_HEADER_BYTES);
    frame_put_header(header, FRAME_BODY_MAX_BYTES);
    assert_memory_equal(header, "\x00\x00\x01\x00\x00", FRAME_HEADER_BYTES);
}

static void test_frame_cut_at_any_byte_is_partial_and_untouched(void **state) {
    (void)state;
    static const uint32_t lengths[] = {0, 1, 127, 255, 256, 257, 1000};
    uint8_t bytes[FRAME_HEADER_BYTES + 1000];
    memset(bytes, 0xab, sizeof bytes);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        frame_put_header(bytes, lengths[i]);
        size_t whole = FRAME_HEADER_BYTES + lengths[i];
        for (size_t n = 0; n < whole; n++) {
            struct frame frame = {.body_bytes = 77};
            assert_int_equal(parse_exactly(bytes, n, &frame), FRAME_PARTIAL);
            assert_int_equal(frame.body_bytes, 77);
        }
        struct frame frame;
        assert_int_equal(parse_exactly(bytes, whole, &frame), FRAME_READY);
        assert_int_equal(frame.body_bytes, lengths[i]);
        assert_int_equal(frame.total_bytes, whole);
    }
}

static void test_two_frames_in_a_run(void **state) {
    (void)state;
    static const uint8_t run[] = "\0\0\0\0\3one\0\0\0\0\0\0\0\0\0\3two";
    struct frame frame;
    size_t at = 0, n = sizeof run - 1;
    assert_int_equal(frame_parse(run + at, n - at, &frame), FRAME_READY);
    assert_int_equal(frame.body_bytes, 3);
    assert_memory_equal(frame.body, "one", 3);
    at += frame.total_bytes;
    assert_int_equal(frame_parse(run + at, n - at, &frame), FRAME_READY);
    assert_int_equal(frame.body_bytes, 0);
    at += frame.total_bytes;
    assert_int_equal(frame_parse(run + at, n - at, &frame), FRAME_READY);
    assert_memory_equal(frame.body, "two", 3);
    at += frame.total_bytes;
    assert_int_equal(at, n);
    assert_int_equal(frame_parse(run + at, n - at, &frame), FRAME_PARTIAL);
}

static void test_exactly_64_kib_is_taken(void **state) {
    (void)state;
    uint8_t *bytes = calloc(1, FRAME_MAX_BYTES);
    assert_non_null(bytes);
    struct frame frame;
    frame_put_header(bytes, FRAME_BODY_MAX_BYTES);
    assert_int_equal(frame_parse(bytes, FRAME_MAX_BYTES - 1, &frame), FRAME_PARTIAL);
    assert_int_equal(frame_parse(bytes, FRAME_MAX_BYTES, &frame), FRAME_READY);
    assert_int_equal(frame.body_bytes, 65536);
    assert_int_equal(frame.total_bytes, 65541);
    free(bytes);
}

static void test_too_large_is_told_by_the_byte_that_shows_it(void **state) {
    (void)state;
    static const struct {
        uint8_t header[FRAME_HEADER_BYTES];
        size_t shown_by; /* bytes needed */
    } cases[] = {
        {{0, 0x01, 0, 0, 0}, 2},    {{0, 0xff, 0xff, 0xff, 0xff}, 2}, {{0, 0, 0x02, 0, 0}, 3},
        {{0, 0, 0x01, 0x01, 0}, 4}, {{0, 0, 0x01, 0, 0x01}, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t n = 0; n <= FRAME_HEADER_BYTES; n++) {
            struct frame frame;
            enum frame_outcome expected = n < cases[i].shown_by ? FRAME_PARTIAL : FRAME_TOO_LARGE;
            assert_int_equal(parse_exactly(cases[i].header, n, &frame), expected);
        }
    }
}

static void test_any_flag_but_0_is_told_by_the_first_byte(void **state) {
    (void)state;
    for (unsigned flag = 1; flag < 256; flag++) {
        uint8_t bytes[FRAME_HEADER_BYTES] = {(uint8_t)flag, 0xff, 0xff, 0xff, 0xff};
        struct frame frame;
        assert_int_equal(parse_exactly(bytes, 1, &frame), FRAME_BAD_FLAG);
        assert_int_equal(parse_exactly(bytes, sizeof bytes, &frame), FRAME_BAD_FLAG);
    }
}

static void test_every_outcome_has_a_text(void **state) {
    (void)state;
    assert_string_equal(frame_outcome_text(FRAME_READY), "a whole frame");
    assert_string_equal(frame_outcome_text(FRAME_PARTIAL), "an incomplete frame");
    assert_string_equal(frame_outcome_text(FRAME_TOO_LARGE), "a frame longer than 65536 bytes");
    assert_string_equal(frame_outcome_text(FRAME_BAD_FLAG), "a frame whose flag byte is not 0");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_bytes_are_a_partial_frame),
        cmocka_unit_test(test_header_is_flag_and_big_endian_length),
        cmocka_unit_test(test_frame_cut_at_any_byte_is_partial_and_untouched),
        cmocka_unit_test(test_two_frames_in_a_run),
        cmocka_unit_test(test_exactly_64_kib_is_taken),
        cmocka_unit_test(test_too_large_is_told_by_the_byte_that_shows_it),
        cmocka_unit_test(test_any_flag_but_0_is_told_by_the_first_byte),
        cmocka_unit_test(test_every_outcome_has_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
