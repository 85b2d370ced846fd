/* wire_problem.c — judges the limits of a request's fields: names the field and the reason; see wire.h. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/wire.h"

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

static bool is_control(uint8_t byte) {
    return byte < 0x20 || byte == 0x7f;
}

/* Not 0 when one of its eight bytes is 0. */
static inline uint64_t find_zero(uint64_t word) {
    return (word - UINT64_C(0x0101010101010101)) & ~word & UINT64_C(0x8080808080808080);
}

static inline bool word_has_control(uint64_t word) {
    return (find_zero(word & UINT64_C(0xe0e0e0e0e0e0e0e0)) | find_zero(word ^ UINT64_C(0x7f7f7f7f7f7f7f7f))) !=
           0;
}

/* Of 4 to 7 bytes a word, some of them twice. */
static inline uint64_t make_word(struct wire_bytes name) {
    uint32_t first, last;
    memcpy(&first, name.data, sizeof first);
    memcpy(&last, name.data + name.len - sizeof last, sizeof last);
    return (uint64_t)first << 32 | last;
}

/* Eight bytes at a time; the last ones overlap those before. */
static inline bool has_control(struct wire_bytes name) {
    uint64_t word;
    if (name.len < sizeof(uint32_t)) {
        return name.len > 0 && (is_control(name.data[0]) || is_control(name.data[name.len / 2]) ||
                                is_control(name.data[name.len - 1]));
    }
    if (name.len < sizeof word) {
        return word_has_control(make_word(name));
    }
    for (size_t i = 0; i + sizeof word < name.len; i += sizeof word) {
        memcpy(&word, name.data + i, sizeof word);
        if (word_has_control(word)) {
            return true;
        }
    }
    memcpy(&word, name.data + name.len - sizeof word, sizeof word);
    return word_has_control(word);
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
        if (is_control(name.data[i])) {
            return refuse(message, cap, "%s: control character 0x%02x at byte %zu", field, name.data[i], i);
        }
    }
    return WIRE_OK;
}

/* What the call's number of tokens is called in sluice.proto. */
static const char *tokens_field(enum wire_call call) {
    switch (call) {
    case WIRE_CALL_REFUND:
    case WIRE_CALL_SETTLE:
        return "tokens";
    case WIRE_CALL_RESERVE:
        return "estimate";
    case WIRE_CALL_UNKNOWN:
    case WIRE_CALL_CHECK:
    case WIRE_CALL_CHECK_BATCH:
    case WIRE_CALL_PEEK:
    case WIRE_CALL_PING:
        break;
    }
    return "cost";
}

/* Names the first thing that is wrong. */
__attribute__((noinline)) static enum wire_status
find_problem(enum wire_call call, const struct wire_check *check, char *message, size_t cap) {
    if (name_problem("tenant", check->tenant, WIRE_TENANT_MAX_BYTES, message, cap) != WIRE_OK ||
        name_problem("resource", check->resource, WIRE_RESOURCE_MAX_BYTES, message, cap) != WIRE_OK ||
        length_problem("key", check->key, WIRE_KEY_MAX_BYTES, message, cap) != WIRE_OK) {
        return WIRE_INVALID_ARGUMENT;
    }
    if (check->cost > WIRE_COST_MAX) {
        return refuse(message, cap, "%s: %" PRIu64 ", at most %" PRIu64, tokens_field(call), check->cost,
                      WIRE_COST_MAX);
    }
    if (check->cost == 0 && call == WIRE_CALL_REFUND) {
        return refuse(message, cap, "tokens: 0, at least 1");
    }
    if (check->idempotency_key.len > 0 && call == WIRE_CALL_PEEK) {
        return refuse(message, cap, "idempotency_key: a peek takes nothing and has none");
    }
    return length_problem("idempotency_key", check->idempotency_key, WIRE_IDEMPOTENCY_KEY_MAX_BYTES, message,
                          cap);
}

static inline bool is_good_name(struct wire_bytes name, size_t max_bytes) {
    return name.len > 0 && name.len <= max_bytes && !has_control(name);
}

enum wire_status wire_check_problem(enum wire_call call, const struct wire_check *check, char *message,
                                    size_t cap) {
    bool is_good = is_good_name(check->tenant, WIRE_TENANT_MAX_BYTES) &&
                   is_good_name(check->resource, WIRE_RESOURCE_MAX_BYTES) &&
                   wire_check_is_good_but_for_names(check);
    return is_good ? WIRE_OK : find_problem(call, check, message, cap);
}

/* In a batch that stands or falls as a whole, a bad check spoils them all. */
static enum wire_status batch_problem(const struct wire_request *request, char *message, size_t cap) {
    char reason[WIRE_MESSAGE_MAX_BYTES];
    if (request->n_checks == 0) {
        return refuse(message, cap, "check_batch: empty");
    }
    for (size_t i = 0; request->all_or_nothing && i < request->n_checks; i++) {
        const struct wire_check *check = &request->checks[i];
        if (wire_check_problem(request->call, check, reason, sizeof reason) != WIRE_OK) {
            return refuse(message, cap, "checks[%zu].%s", i, reason);
        }
        if (check->idempotency_key.len > 0) {
            return refuse(message, cap, "checks[%zu].idempotency_key: not in a batch that is all_or_nothing",
                          i);
        }
    }
    return WIRE_OK;
}

static enum wire_status reserve_problem(const struct wire_request *request, char *message, size_t cap) {
    if (request->ttl_ms == 0) {
        return refuse(message, cap, "ttl_ms: 0, at least 1");
    }
    if (request->ttl_ms > WIRE_TTL_MAX_MS) {
        return refuse(message, cap, "ttl_ms: %" PRIu32 ", at most %d", request->ttl_ms, WIRE_TTL_MAX_MS);
    }
    if (request->on_timeout > WIRE_ON_TIMEOUT_STAND) {
        return refuse(message, cap, "on_timeout: %" PRIu32 ", neither RETURN (0) nor STAND (1)",
                      request->on_timeout);
    }
    return wire_check_problem(request->call, &request->checks[0], message, cap);
}

static enum wire_status settle_problem(const struct wire_request *request, char *message, size_t cap) {
    if (request->reservation_id.len != WIRE_RESERVATION_ID_BYTES) {
        return refuse(message, cap, "reservation_id: %zu bytes, it has %d", request->reservation_id.len,
                      WIRE_RESERVATION_ID_BYTES);
    }
    return wire_check_problem(request->call, &request->checks[0], message, cap);
}

static enum wire_status call_problem(const struct wire_request *request, char *message, size_t cap) {
    switch (request->call) {
    case WIRE_CALL_UNKNOWN:
        snprintf(message, cap, "call: unknown or missing");
        return WIRE_UNIMPLEMENTED;
    case WIRE_CALL_CHECK:
    case WIRE_CALL_PEEK:
        return WIRE_OK;
    case WIRE_CALL_CHECK_BATCH:
        return batch_problem(request, message, cap);
    case WIRE_CALL_PING:
        return length_problem("payload", request->payload, WIRE_PAYLOAD_MAX_BYTES, message, cap);
    case WIRE_CALL_REFUND:
        return wire_check_problem(request->call, &request->checks[0], message, cap);
    case WIRE_CALL_RESERVE:
        return reserve_problem(request, message, cap);
    case WIRE_CALL_SETTLE:
        return settle_problem(request, message, cap);
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
    return call_problem(request, message, cap);
}
