/* endpoint.c — a frontend's address as text, and the socket addresses it stands for; see endpoint.h. */
#include "client/endpoint.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* The two parts of an address's text, borrowed from it. */
struct address_parts {
    const char *host, *port;
    size_t host_len, port_len; /* port_len 0: none was written */
};

static bool refuse(const char *text, const char *why, char *message, size_t cap) {
    snprintf(message, cap, "address \"%s\": %s", text, why);
    return false;
}

/* Sets `parts` from the text; returns NULL or what is wrong with it. */
static const char *split_address(const char *text, struct address_parts *parts, bool *is_v6_literal) {
    const char *rest;
    *is_v6_literal = text[0] == '[';
    if (*is_v6_literal) {
        const char *bracket = strchr(text, ']');
        if (bracket == NULL) {
            return "']' is missing";
        }
        parts->host = text + 1;
        parts->host_len = (size_t)(bracket - parts->host);
        rest = bracket + 1;
    } else {
        parts->host = text;
        parts->host_len = strcspn(text, ":");
        rest = text + parts->host_len;
        if (rest[0] == ':' && strchr(rest + 1, ':') != NULL) {
            return "an IPv6 address is written in brackets, as in [::1]:" ENDPOINT_DEFAULT_PORT;
        }
    }
    if (rest[0] != '\0' && rest[0] != ':') {
        return "only :PORT may follow the host";
    }
    parts->port = rest[0] == ':' ? rest + 1 : ENDPOINT_DEFAULT_PORT;
    parts->port_len = strlen(parts->port);
    return NULL;
}

static bool is_host(const struct address_parts *parts) {
    for (size_t i = 0; i < parts->host_len; i++) {
        unsigned char c = (unsigned char)parts->host[i];
        if (c <= ' ' || c == 0x7f) {
            return false;
        }
    }
    return parts->host_len > 0 && parts->host_len < ENDPOINT_HOST_BYTES;
}

static bool is_port(const struct address_parts *parts) {
    uint32_t number = 0;
    for (size_t i = 0; i < parts->port_len && number <= UINT16_MAX; i++) {
        if (parts->port[i] < '0' || parts->port[i] > '9') {
            return false;
        }
        number = number * 10 + (uint32_t)(parts->port[i] - '0');
    }
    return parts->port_len < ENDPOINT_PORT_BYTES && number > 0 && number <= UINT16_MAX;
}

bool endpoint_parse(struct endpoint *endpoint, const char *text, char *message, size_t cap) {
    struct address_parts parts;
    *endpoint = (struct endpoint){0};
    const char *problem = split_address(text, &parts, &endpoint->is_v6_literal);
    if (problem != NULL) {
        return refuse(text, problem, message, cap);
    }
    if (!is_host(&parts)) {
        return refuse(text, "the host is missing, too long, or holds a blank or control character", message,
                      cap);
    }
    if (!is_port(&parts)) {
        return refuse(text, "the port is not a number from 1 to 65535", message, cap);
    }
    memcpy(endpoint->host, parts.host, parts.host_len);
    memcpy(endpoint->port, parts.port, parts.port_len);
    snprintf(endpoint->name, sizeof endpoint->name, endpoint->is_v6_literal ? "[%s]:%s" : "%s:%s",
             endpoint->host, endpoint->port);
    return true;
}

bool endpoint_resolve(struct endpoint *endpoint, char *message, size_t cap) {
    struct addrinfo hints = {
        .ai_family = endpoint->is_v6_literal ? AF_INET6 : AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV | (endpoint->is_v6_literal ? AI_NUMERICHOST : 0),
    };
    int failure = getaddrinfo(endpoint->host, endpoint->port, &hints, &endpoint->addresses);
    if (failure != 0) {
        endpoint->addresses = NULL;
        snprintf(message, cap, "address \"%s\": %s", endpoint->name, gai_strerror(failure));
        return false;
    }
    return true;
}

void endpoint_deinit(struct endpoint *endpoint) {
    if (endpoint->addresses != NULL) {
        freeaddrinfo(endpoint->addresses);
        endpoint->addresses = NULL;
    }
}
