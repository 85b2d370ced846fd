/* raw_client.c — a plain blocking connection to sluiced. */
#include "tests/system/raw_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

struct raw_client *raw_open(const struct frontend *frontend) {
    struct raw_client *raw = calloc(1, sizeof *raw);
    assert_non_null(raw);
    raw->codec = wire_codec_create();
    assert_non_null(raw->codec);
    raw->fd = connect_to(frontend->port);
    assert_true(raw->fd >= 0);
    return raw;
}

void raw_close(struct raw_client **raw) {
    if (*raw != NULL) {
        close((*raw)->fd);
        wire_codec_destroy(&(*raw)->codec);
        free(*raw);
    }
    *raw = NULL;
}

void raw_send_bytes(struct raw_client *raw, const void *bytes, size_t n) {
    const uint8_t *at = bytes;
    while (n > 0) {
        ssize_t sent = send(raw->fd, at, n, MSG_NOSIGNAL);
        assert_true(sent > 0);
        at += sent;
        n -= (size_t)sent;
    }
}

size_t raw_encode(const struct wire_request *request, uint8_t out[FRAME_MAX_BYTES]) {
    size_t n = wire_encode_request(request, out, FRAME_MAX_BYTES);
    assert_true(n > 0);
    return n;
}

void raw_send(struct raw_client *raw, const struct wire_request *request) {
    uint8_t out[FRAME_MAX_BYTES];
    raw_send_bytes(raw, out, raw_encode(request, out));
}

/* Reads what is there. Returns 0 at the end of the stream. */
static size_t read_some(struct raw_client *raw) {
    raw->n_in -= raw->n_taken;
    memmove(raw->in, raw->in + raw->n_taken, raw->n_in);
    raw->n_taken = 0;
    struct pollfd one = {.fd = raw->fd, .events = POLLIN};
    if (poll(&one, 1, RAW_LIMIT_MS) != 1) {
        fail_msg("sluiced neither answers nor closes");
    }
    ssize_t n = recv(raw->fd, raw->in + raw->n_in, sizeof raw->in - raw->n_in, 0);
    if (n <= 0) {
        return 0; /* a reset ends the stream as well */
    }
    raw->n_in += (size_t)n;
    return (size_t)n;
}

/* Takes one whole frame out of what was read and decodes it; false when there is none. */
static bool take_frame(struct raw_client *raw) {
    struct frame frame;
    enum frame_outcome outcome = frame_parse(raw->in + raw->n_taken, raw->n_in - raw->n_taken, &frame);
    if (outcome == FRAME_PARTIAL) {
        return false;
    }
    assert_int_equal(outcome, FRAME_READY);
    assert_int_equal(wire_decode_response(raw->codec, frame.body, frame.body_bytes, &raw->response),
                     WIRE_DECODED);
    raw->n_taken += frame.total_bytes;
    return true;
}

const struct wire_response *raw_receive(struct raw_client *raw) {
    while (!take_frame(raw)) {
        if (read_some(raw) == 0) {
            fail_msg("sluiced closed the connection instead of answering");
        }
    }
    return &raw->response;
}

size_t raw_drain(struct raw_client *raw) {
    size_t n_frames = 0;
    do {
        while (take_frame(raw)) {
            n_frames++;
        }
    } while (read_some(raw) > 0);
    assert_int_equal(raw->n_in, raw->n_taken);
    return n_frames;
}

void raw_expect_closed(struct raw_client *raw) {
    assert_int_equal(raw_drain(raw), 0);
}

void raw_exchange(struct raw_client *raw, const uint8_t *bytes, size_t n_bytes, size_t n_answers,
                  raw_answer_fn on_answer, void *arg) {
    while (n_answers > 0) {
        struct pollfd one = {.fd = raw->fd, .events = (short)(n_bytes > 0 ? POLLIN | POLLOUT : POLLIN)};
        if (poll(&one, 1, RAW_LIMIT_MS) != 1) {
            fail_msg("sluiced is stuck with %zu bytes unsent and %zu answers due", n_bytes, n_answers);
        }
        if ((one.revents & POLLOUT) != 0) {
            ssize_t sent = send(raw->fd, bytes, n_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
            assert_true(sent > 0);
            bytes += sent;
            n_bytes -= (size_t)sent;
        }
        if ((one.revents & ~POLLOUT) == 0) {
            continue;
        }
        assert_true(read_some(raw) > 0);
        for (; n_answers > 0 && take_frame(raw); n_answers--) {
            if (on_answer != NULL) {
                on_answer(arg, &raw->response);
            }
        }
    }
}

struct wire_check raw_check_of(const char *tenant, const char *resource, const char *key) {
    return (struct wire_check){
        .tenant = {.data = (const uint8_t *)tenant, .len = strlen(tenant)},
        .resource = {.data = (const uint8_t *)resource, .len = strlen(resource)},
        .key = {.data = (const uint8_t *)key, .len = strlen(key)},
        .cost = 1,
    };
}

const struct wire_request *raw_check_request(struct raw_client *raw, uint64_t id, struct wire_check check) {
    raw->request = (struct wire_request){.id = id, .call = WIRE_CALL_CHECK, .n_checks = 1};
    raw->request.checks[0] = check;
    return &raw->request;
}

const struct wire_response *raw_check(struct raw_client *raw, uint64_t id, struct wire_check check) {
    raw_send(raw, raw_check_request(raw, id, check));
    const struct wire_response *response = raw_receive(raw);
    assert_int_equal(response->id, id);
    return response;
}

const struct wire_decision *raw_decide(struct raw_client *raw, struct wire_check check) {
    const struct wire_response *response = raw_check(raw, 77, check);
    if (response->status != WIRE_OK) {
        fail_msg("%s: %.*s", wire_status_text(response->status), (int)response->message.len,
                 (const char *)response->message.data);
    }
    return &response->items[0].decision;
}

void raw_ping(struct raw_client *raw, uint64_t id) {
    raw->request = (struct wire_request){.id = id, .call = WIRE_CALL_PING};
    raw->request.payload = (struct wire_bytes){.data = (const uint8_t *)"hi", .len = 2};
    raw_send(raw, &raw->request);
    const struct wire_response *response = raw_receive(raw);
    assert_int_equal(response->id, id);
    assert_int_equal(response->status, WIRE_OK);
    assert_int_equal(response->payload.len, 2);
    assert_memory_equal(response->payload.data, "hi", 2);
}

struct pipeline_tally {
    uint8_t *n_seen; /* by id - 1 */
    size_t n_checks, n_allowed;
};

static void count_answer(void *arg, const struct wire_response *response) {
    struct pipeline_tally *tally = arg;
    assert_in_range(response->id, 1, tally->n_checks);
    assert_int_equal(response->status, WIRE_OK);
    tally->n_seen[response->id - 1]++;
    tally->n_allowed += response->items[0].decision.verdict == WIRE_ALLOW;
}

size_t raw_pipeline(struct raw_client *raw, const char *tenant, const char *resource, size_t n_checks,
                    size_t n_keys) {
    enum { CHECK_BYTES = 128 };
    uint8_t *bytes = malloc(n_checks * CHECK_BYTES + FRAME_MAX_BYTES);
    struct pipeline_tally tally = {.n_seen = calloc(n_checks, 1), .n_checks = n_checks};
    assert_non_null(bytes);
    assert_non_null(tally.n_seen);
    size_t n = 0;
    for (size_t i = 0; i < n_checks; i++) {
        char key[24];
        snprintf(key, sizeof key, "k%zu", i % n_keys);
        n += raw_encode(raw_check_request(raw, i + 1, raw_check_of(tenant, resource, key)), bytes + n);
        assert_true(n <= (i + 1) * CHECK_BYTES);
    }
    raw_exchange(raw, bytes, n, n_checks, count_answer, &tally);
    for (size_t i = 0; i < n_checks; i++) {
        assert_int_equal(tally.n_seen[i], 1);
    }
    free(tally.n_seen);
    free(bytes);
    return tally.n_allowed;
}
