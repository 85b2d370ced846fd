/* node_addr.h — where a Redis node listens: a host, by number or name, and a port.
 *
 * Two addresses are the same node when their texts are the same. Only node_addr_resolve touches the system. */
#ifndef SLUICE_STORE_NODE_ADDR_H
#define SLUICE_STORE_NODE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "server/base/bytes.h"

enum { NODE_ADDR_HOST_MAX_BYTES = 253, NODE_ADDR_TEXT_BYTES = NODE_ADDR_HOST_MAX_BYTES + 10 };

struct node_addr {
    uint16_t port;
    char host[NODE_ADDR_HOST_MAX_BYTES + 1]; /* without brackets */
};

/* Reads "HOST:PORT", "[V6]:PORT", or Redis' "V6:PORT", which ends at its last colon. An empty host, or the "?"
 * that Redis writes when it knows none, is that of `fallback`; NULL: there is none. False when it is no address;
 * `addr` is then undefined. */
bool node_addr_parse(struct bytes text, const struct node_addr *fallback, struct node_addr *addr)
    __attribute__((warn_unused_result));
/* The same from parts, as CLUSTER SLOTS gives them. */
bool node_addr_set(struct bytes host, int64_t port, const struct node_addr *fallback, struct node_addr *addr)
    __attribute__((warn_unused_result));

bool node_addr_is_same(const struct node_addr *a, const struct node_addr *b);
/* "HOST:PORT", with brackets around a host that has colons. */
void node_addr_format(const struct node_addr *addr, char text[NODE_ADDR_TEXT_BYTES]);

/* The socket address of a host given by number; false when it is a name. Asks nobody. */
bool node_addr_convert(const struct node_addr *addr, struct sockaddr_storage *found)
    __attribute__((warn_unused_result));
/* Finds up to `cap` socket addresses; returns how many, 0 with half a sentence, never freed, in `problem`. A name
 * asks the system's resolver and BLOCKS until that answers: see resolver.h. */
uint32_t node_addr_resolve(const struct node_addr *addr, struct sockaddr_storage *found, uint32_t cap,
                           const char **problem);
/* What connect and bind want to know of an address found. */
socklen_t node_addr_socklen(const struct sockaddr_storage *address);

#endif
