/* wire.h — turns requests and responses into bytes and back; the only user of generated protobuf code.
 *
 * Server and client see plain structs. Decoding copies into the codec's own arena, which has a cap, so a
 * hostile message costs bounded memory; what a decode returns stays valid until the next decode or destroy, and no
 * longer than the bytes that were decoded: the usual requests and responses are read and written without protobuf-c.
 * Encoding writes into the caller's bytes and allocates nothing; a batch takes up to 64 KiB of stack. A codec
 * belongs to one thread. */
#ifndef SLUICE_PROTO_WIRE_H
#define SLUICE_PROTO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WIRE_TENANT_MAX_BYTES = 64,
    WIRE_RESOURCE_MAX_BYTES = 128,
    WIRE_KEY_MAX_BYTES = 256,
    WIRE_TRACEPARENT_MAX_BYTES = 128,
    WIRE_PAYLOAD_MAX_BYTES = 256,
    WIRE_LIMIT_NAME_MAX_BYTES = 32,
    WIRE_MESSAGE_MAX_BYTES = 160, /* a longer message or version is cut when encoded */
    WIRE_BATCH_MAX = 256,
    WIRE_TIMEOUT_MAX_MS = 60000,
    WIRE_IDEMPOTENCY_KEY_MAX_BYTES = 64,
    WIRE_RESERVATION_ID_BYTES = 16,
    WIRE_TTL_MAX_MS = 86400000,
};
#define WIRE_COST_MAX UINT64_C(1000000000)

/* gRPC's code numbers, those that Sluice uses. */
#define WIRE_STATUSES(X)                                                                                       \
    X(OK, 0)                                                                                                   \
    X(CANCELLED, 1)                                                                                            \
    X(UNKNOWN, 2)                                                                                              \
    X(INVALID_ARGUMENT, 3)                                                                                     \
    X(DEADLINE_EXCEEDED, 4)                                                                                    \
    X(NOT_FOUND, 5)                                                                                            \
    X(RESOURCE_EXHAUSTED, 8)                                                                                   \
    X(UNIMPLEMENTED, 12)                                                                                       \
    X(INTERNAL, 13)                                                                                            \
    X(UNAVAILABLE, 14)

enum wire_status {
#define WIRE_STATUS_ENUM(name, number) WIRE_##name = number,
    WIRE_STATUSES(WIRE_STATUS_ENUM)
#undef WIRE_STATUS_ENUM
};

enum wire_call {
    WIRE_CALL_UNKNOWN,
    WIRE_CALL_CHECK,
    WIRE_CALL_CHECK_BATCH,
    WIRE_CALL_PEEK,
    WIRE_CALL_PING,
    WIRE_CALL_REFUND,
    WIRE_CALL_RESERVE,
    WIRE_CALL_SETTLE,
};

/* Numbered as in sluice.proto. */
enum wire_on_timeout { WIRE_ON_TIMEOUT_RETURN, WIRE_ON_TIMEOUT_STAND };

enum wire_verdict { WIRE_VERDICT_UNSPECIFIED, WIRE_ALLOW, WIRE_DENY };

/* Numbered as in sluice.proto. */
#define WIRE_SOURCES(X)                                                                                        \
    X(NONE, "none")                                                                                            \
    X(STORE, "store")                                                                                          \
    X(LEASE, "lease")                                                                                          \
    X(DENIED_CACHE, "denied_cache")                                                                            \
    X(LOCAL, "local")                                                                                          \
    X(EMBEDDED, "embedded")

enum wire_source {
#define WIRE_SOURCE_ENUM(name, text) WIRE_SOURCE_##name,
    WIRE_SOURCES(WIRE_SOURCE_ENUM)
#undef WIRE_SOURCE_ENUM
};

struct wire_bytes {
    const uint8_t *data; /* borrowed; may be NULL when len is 0 */
    size_t len;
};

/* A check; or whose bucket another call is about, and how many tokens. */
struct wire_check {
    struct wire_bytes tenant, resource, key;
    uint64_t cost; /* tokens; a decoded 0 has become 1, but for refund and settle, where it is their `tokens` */
    bool at_most;  /* of checks and peeks alone */
    struct wire_bytes idempotency_key; /* empty: none */
};

struct wire_request {
    uint64_t id;
    uint32_t timeout_ms; /* 0: the frontend's default */
    struct wire_bytes traceparent;
    enum wire_call call;
    struct wire_bytes payload;        /* of ping */
    bool all_or_nothing;              /* of check_batch */
    uint32_t ttl_ms, on_timeout;      /* of reserve; the latter as it came, see wire_request_problem */
    struct wire_bytes reservation_id; /* of settle */
    size_t n_checks;                  /* 1 but for check_batch, and ping, which has none */
    struct wire_check checks[WIRE_BATCH_MAX];
};

struct wire_decision {
    enum wire_verdict verdict; /* decoded numbers outside the enums become WIRE_VERDICT_UNSPECIFIED */
    enum wire_source source;   /* and WIRE_SOURCE_NONE */
    bool matched;
    struct wire_bytes limit_name;
    uint64_t limit, remaining;                        /* tokens */
    uint64_t retry_after_us, reset_after_us, wait_us; /* microseconds */
    bool degraded;
    bool would_deny;
    uint64_t granted; /* tokens */
    bool repeated, returned;
};

struct wire_booked {
    bool matched;
    uint64_t returned, taken; /* tokens */
    struct wire_bytes limit_name;
    uint64_t limit, remaining; /* tokens */
    bool repeated, degraded;
};

struct wire_item {
    enum wire_status status; /* decoded numbers outside the table become WIRE_UNKNOWN */
    struct wire_bytes message;
    struct wire_decision decision; /* meaningful when status is WIRE_OK; all zero when the sender left it out */
};

struct wire_response {
    uint64_t id;
    enum wire_call
        call; /* which result this is: CHECK (also for peek), CHECK_BATCH, PING, RESERVE, REFUND (also
                            for settle); UNKNOWN: none */
    enum wire_status status;
    struct wire_bytes message;
    struct wire_bytes payload, version; /* of pong */
    struct wire_booked booked;          /* of refund and settle */
    struct wire_bytes reservation_id;   /* of reserve */
    bool granted;                       /* of an all-or-nothing batch */
    size_t n_items;                     /* 1 for check, peek and reserve; its status is the response's */
    struct wire_item items[WIRE_BATCH_MAX];
};

enum wire_outcome {
    WIRE_DECODED,
    WIRE_MALFORMED,       /* not a protobuf message of this type, or more than the arena's cap; id is set if the
                           * readable part has one, else 0 */
    WIRE_BATCH_TOO_LARGE, /* more than WIRE_BATCH_MAX checks or items; id is set */
};

struct wire_codec;

/* Returns NULL when memory is short. Destroy takes the pointer's address and nulls it; NULL inside is fine. */
struct wire_codec *wire_codec_create(void);
void wire_codec_destroy(struct wire_codec **codec);

/* Decodes a frame's body. Only on WIRE_DECODED is all of `request` set; limits of fields are not judged here. */
enum wire_outcome wire_decode_request(struct wire_codec *codec, const uint8_t *body, size_t n_bytes,
                                      struct wire_request *request);
enum wire_outcome wire_decode_response(struct wire_codec *codec, const uint8_t *body, size_t n_bytes,
                                       struct wire_response *response);

/* Encode a whole frame, header included, into `out`. Return its length; 0 when it would exceed `cap` or
 * FRAME_MAX_BYTES, or holds more than WIRE_BATCH_MAX checks or items. With FRAME_MAX_BYTES of room a response
 * within the limits above always fits; a batch of checks with the longest names may not.
 * A response, or an item, carries its result when its status is WIRE_OK and its message when it is not. Messages
 * are cut between characters; what is not UTF-8 in them, and control characters, becomes '?'. */
size_t wire_encode_request(const struct wire_request *request, uint8_t *out, size_t cap);
size_t wire_encode_response(const struct wire_response *response, uint8_t *out, size_t cap);

/* Judge limits. Return WIRE_OK (`message` is left alone), or WIRE_INVALID_ARGUMENT / WIRE_UNIMPLEMENTED with a
 * sentence in `message` that names the field and the reason, such as "tenant: 65 bytes, at most 64".
 * `wire_request_problem` judges the request's own fields, and those of all its checks when one that is wrong spoils
 * them all: in refund, reserve, settle and an all-or-nothing batch. `wire_check_problem` judges one check of
 * a request of that call. */
enum wire_status wire_request_problem(const struct wire_request *request, char *message, size_t cap);
enum wire_status wire_check_problem(enum wire_call call, const struct wire_check *check, char *message,
                                    size_t cap);
/* Is there surely no problem with a check (of no more than its names, key and cost) whose tenant and resource have none? */
static inline bool wire_check_is_good_but_for_names(const struct wire_check *check) {
    return check->key.len <= WIRE_KEY_MAX_BYTES && check->cost > 0 && check->cost <= WIRE_COST_MAX &&
           check->idempotency_key.len == 0;
}

const char *wire_status_text(enum wire_status status); /* "UNAVAILABLE"; never NULL */
const char *wire_source_text(enum wire_source source); /* "denied_cache"; never NULL */

#endif
