/* fake_frontend.h — a frontend that answers as a test tells it to, on loopback, in a loop of the test's choice.
 *
 * Requests are decoded and handed to the test; what is answered goes out at the loop's next turn, several
 * answers of one turn in one segment. Failures inside end the test. */
#ifndef SLUICE_TESTS_SUPPORT_FAKE_FRONTEND_H
#define SLUICE_TESTS_SUPPORT_FAKE_FRONTEND_H

#include <ev.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

#define FAKE_RESERVATION "fake-reservation" /* what it calls every reservation */

struct fake_frontend;
struct fake_peer; /* one connection to it */

/* `request` is borrowed for the duration of the call. */
typedef void (*fake_request_fn)(void *arg, struct fake_peer *peer, const struct wire_request *request);

/* Listens on 127.0.0.1; port 0 takes a free one. Stop closes everything and nulls the pointer. */
struct fake_frontend *fake_frontend_start(struct ev_loop *loop, uint16_t port, fake_request_fn on_request,
                                          void *arg);
void fake_frontend_stop(struct fake_frontend **fake);
uint16_t fake_frontend_port(const struct fake_frontend *fake);
const char *fake_frontend_address(const struct fake_frontend *fake); /* "127.0.0.1:PORT" */
unsigned fake_frontend_accepted(const struct fake_frontend *fake);   /* connections so far */
/* Writes at most so many bytes in each turn of the loop; 0: all. */
void fake_frontend_set_slice(struct fake_frontend *fake, size_t n_bytes);
void fake_frontend_drop_peers(struct fake_frontend *fake);

/* Any bytes; a response; the response that suits a request: allowed, with `remaining` in each decision; booked, with
 * 3 tokens given back. */
void fake_peer_send(struct fake_peer *peer, const void *bytes, size_t n);
void fake_peer_answer(struct fake_peer *peer, const struct wire_response *response);
void fake_peer_allow(struct fake_peer *peer, const struct wire_request *request, uint64_t remaining);
/* Closes at once; the peer must not be used afterwards. */
void fake_peer_close(struct fake_peer *peer);
/* The same as a machine that has forgotten the connection: what the other side sends now is not taken. */
void fake_peer_reset(struct fake_peer *peer);

/* A port on 127.0.0.1 that refuses connections for as long as `*fd` is open. */
uint16_t fake_refusing_port(int *fd);

#endif
