/* fuzz_wire.c — any bytes as a request and as a response; what decodes can be judged, and encoded again. */
#include <stdlib.h>

#include "proto/frame.h"
#include "proto/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    static struct wire_request request;
    static struct wire_response response;
    static uint8_t frame[FRAME_MAX_BYTES];
    struct wire_codec *codec = wire_codec_create();
    char message[WIRE_MESSAGE_MAX_BYTES];
    if (codec != NULL && wire_decode_request(codec, bytes, n_bytes, &request) == WIRE_DECODED) {
        (void)wire_request_problem(&request, message, sizeof message);
        for (size_t i = 0; i < request.n_checks; i++) {
            (void)wire_check_problem(request.call, &request.checks[i], message, sizeof message);
        }
        (void)wire_encode_request(&request, frame, sizeof frame);
    }
    if (codec != NULL && wire_decode_response(codec, bytes, n_bytes, &response) == WIRE_DECODED) {
        (void)wire_encode_response(&response, frame, sizeof frame);
    }
    wire_codec_destroy(&codec);
    return 0;
}
