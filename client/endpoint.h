/* endpoint.h — a frontend's address as text, and the socket addresses it stands for.
 *
 * The text is "HOST", "HOST:PORT", "[V6]" or "[V6]:PORT"; without a port it is 7380. Parsing is pure, resolving
 * blocks. An endpoint does not change after it was resolved. */
#ifndef SLUICE_CLIENT_ENDPOINT_H
#define SLUICE_CLIENT_ENDPOINT_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    ENDPOINT_HOST_BYTES = 254, /* a DNS name has at most 253 */
    ENDPOINT_PORT_BYTES = 6,
    ENDPOINT_NAME_BYTES = ENDPOINT_HOST_BYTES + ENDPOINT_PORT_BYTES + 2,
};
#define ENDPOINT_DEFAULT_PORT "7380"

struct endpoint {
    char host[ENDPOINT_HOST_BYTES]; /* without brackets */
    char port[ENDPOINT_PORT_BYTES]; /* 1 ... 65535 in decimal */
    bool is_v6_literal;
    char name[ENDPOINT_NAME_BYTES]; /* "HOST:PORT" or "[V6]:PORT", for a person */
    struct addrinfo *addresses;     /* at least one once resolved; owned */
};

/* Takes the text apart; sets everything but `addresses`, which becomes NULL. False with a sentence in `message`
 * when the text is no address. */
bool endpoint_parse(struct endpoint *endpoint, const char *text, char *message, size_t cap)
    __attribute__((warn_unused_result));

/* Looks the host up (blocking) and fills `addresses`. False with a sentence when there is none. */
bool endpoint_resolve(struct endpoint *endpoint, char *message, size_t cap) __attribute__((warn_unused_result));

/* Frees the addresses. Harmless on an all-zero endpoint and when done twice. */
void endpoint_deinit(struct endpoint *endpoint);

#endif
