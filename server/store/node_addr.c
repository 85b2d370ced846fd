/* node_addr.c — where a Redis node listens; see node_addr.h. */
#include "server/store/node_addr.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static bool is_unknown(struct bytes host) {
    return host.len == 0 || (host.len == 1 && host.data[0] == '?');
}

bool node_addr_set(struct bytes host, int64_t port, const struct node_addr *fallback, struct node_addr *addr) {
    if (port < 1 || port > UINT16_MAX || host.len > NODE_ADDR_HOST_MAX_BYTES) {
        return false;
    }
    if (is_unknown(host)) {
        if (fallback == NULL) {
            return false;
        }
        memcpy(addr->host, fallback->host, sizeof addr->host);
    } else {
        for (size_t i = 0; i < host.len; i++) {
            if (host.data[i] <= ' ' || host.data[i] == 0x7f) {
                return false;
            }
            addr->host[i] = (char)host.data[i];
        }
        addr->host[host.len] = '\0';
    }
    addr->port = (uint16_t)port;
    return true;
}

/* A decimal number of one to five digits; -1 when it is not. */
static int64_t parse_port(const uint8_t *digits, size_t n) {
    if (n < 1 || n > 5) {
        return -1;
    }
    int64_t port = 0;
    for (size_t i = 0; i < n; i++) {
        if (digits[i] < '0' || digits[i] > '9') {
            return -1;
        }
        port = port * 10 + (digits[i] - '0');
    }
    return port;
}

bool node_addr_parse(struct bytes text, const struct node_addr *fallback, struct node_addr *addr) {
    const uint8_t *colon = text.len > 0 ? memrchr(text.data, ':', text.len) : NULL;
    if (colon == NULL) {
        return false;
    }
    struct bytes host = {.data = text.data, .len = (size_t)(colon - text.data)};
    size_t n_port_bytes = text.len - host.len - 1;
    if (host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']') {
        host = (struct bytes){.data = host.data + 1, .len = host.len - 2};
        fallback = NULL;
    }
    return node_addr_set(host, parse_port(colon + 1, n_port_bytes), fallback, addr);
}

bool node_addr_is_same(const struct node_addr *a, const struct node_addr *b) {
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

void node_addr_format(const struct node_addr *addr, char text[NODE_ADDR_TEXT_BYTES]) {
    bool needs_brackets = strchr(addr->host, ':') != NULL;
    snprintf(text, NODE_ADDR_TEXT_BYTES, needs_brackets ? "[%s]:%u" : "%s:%u", addr->host,
             (unsigned)addr->port);
}

static uint32_t find_addresses(const struct node_addr *addr, int flags, struct sockaddr_storage *found,
                               uint32_t cap, const char **problem) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags};
    struct addrinfo *list = NULL;
    char port[8];
    snprintf(port, sizeof port, "%u", (unsigned)addr->port);
    int error = getaddrinfo(addr->host, port, &hints, &list);
    if (error != 0) {
        *problem = gai_strerror(error);
        return 0;
    }
    uint32_t n = 0;
    for (const struct addrinfo *one = list; one != NULL && n < cap; one = one->ai_next) {
        memset(&found[n], 0, sizeof found[n]);
        memcpy(&found[n], one->ai_addr, one->ai_addrlen);
        n++;
    }
    freeaddrinfo(list);
    return n;
}

bool node_addr_convert(const struct node_addr *addr, struct sockaddr_storage *found) {
    const char *problem;
    return find_addresses(addr, AI_NUMERICHOST | AI_NUMERICSERV, found, 1, &problem) == 1;
}

uint32_t node_addr_resolve(const struct node_addr *addr, struct sockaddr_storage *found, uint32_t cap,
                           const char **problem) {
    return find_addresses(addr, AI_NUMERICSERV, found, cap, problem);
}

socklen_t node_addr_socklen(const struct sockaddr_storage *address) {
    return address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}
