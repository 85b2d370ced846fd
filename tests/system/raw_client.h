/* raw_client.h — a plain blocking connection to sluiced that sends exactly the bytes a test wants.
 *
 * It knows nothing of client/: a fault there must not hide one in the server. */
#ifndef SLUICE_TESTS_RAW_CLIENT_H
#define SLUICE_TESTS_RAW_CLIENT_H

#include "proto/frame.h"
#include "proto/wire.h"
#include "tests/system/frontend.h"

enum { RAW_LIMIT_MS = 20000 };

struct raw_client {
    int fd;
    struct wire_codec *codec;
    struct wire_request request;   /* scratch for the helpers below; and */
    struct wire_response response; /* the last answer, valid until the next */
    size_t n_in, n_taken;          /* bytes read into `in`; of these, those that were decoded */
    uint8_t in[2 * FRAME_MAX_BYTES];
};

/* Heap. Fails the test if nobody listens. Close nulls. */
struct raw_client *raw_open(const struct frontend *frontend);
void raw_close(struct raw_client **raw);

void raw_send_bytes(struct raw_client *raw, const void *bytes, size_t n);
void raw_send(struct raw_client *raw, const struct wire_request *request);

/* Waits for an answer; fails the test if the connection closes or none comes in RAW_LIMIT_MS. */
const struct wire_response *raw_receive(struct raw_client *raw);
/* Reads to the end of the stream and returns how many answers came; fails the test unless the server closes. */
size_t raw_drain(struct raw_client *raw);
/* Fails the test unless the server closes the connection without another answer. */
void raw_expect_closed(struct raw_client *raw);

/* Sends bytes and takes answers at the same time, as a client must that pipelines without bound, until
 * `n_answers` came. `on_answer` may be NULL. */
typedef void (*raw_answer_fn)(void *arg, const struct wire_response *response);
void raw_exchange(struct raw_client *raw, const uint8_t *bytes, size_t n_bytes, size_t n_answers,
                  raw_answer_fn on_answer, void *arg);

/* Sends so many checks of cost 1 without waiting, going round keys k0, k1, …; fails the test unless each is
 * answered OK exactly once. Returns how many were allowed. */
size_t raw_pipeline(struct raw_client *raw, const char *tenant, const char *resource, size_t n_checks,
                    size_t n_keys);

/* Encodes a request; returns its length. */
size_t raw_encode(const struct wire_request *request, uint8_t out[FRAME_MAX_BYTES]);

/* A check of cost 1; the texts are borrowed. */
struct wire_check raw_check_of(const char *tenant, const char *resource, const char *key);
/* A request of one check; valid until the next use of raw->request. */
const struct wire_request *raw_check_request(struct raw_client *raw, uint64_t id, struct wire_check check);

/* One round trip; the answer must be to this request. */
const struct wire_response *raw_check(struct raw_client *raw, uint64_t id, struct wire_check check);
/* One round trip that must be answered OK; returns the decision. */
const struct wire_decision *raw_decide(struct raw_client *raw, struct wire_check check);
/* A ping that must be answered: the connection is alive. */
void raw_ping(struct raw_client *raw, uint64_t id);

#endif
