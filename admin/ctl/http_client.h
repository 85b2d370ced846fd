/* http_client.h — one HTTP request after the other to one server, by libcurl; blocking.
 *
 * Follows no redirect and uses no proxy, so that a token goes where it was meant to and nowhere else. One thread. */
#ifndef SLUICE_CTL_HTTP_CLIENT_H
#define SLUICE_CTL_HTTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/buf.h"
#include "server/base/status.h"

enum { HTTP_CLIENT_MAX_BYTES = 16 * 1024 * 1024 };

struct http_client;

struct http_request {
    const char *method; /* "GET" */
    const char *url;    /* whole */
    const char *token;  /* sent as a bearer token; NULL: none */
    const char *body;   /* JSON, ended by a NUL; NULL: none */
    const char *header; /* one more, such as "If-Match: \"7\""; NULL: none */
    int64_t timeout_us; /* from the start to the last byte; at least a millisecond */
};

struct http_answer {
    long status;     /* HTTP's; an answer may have any */
    struct buf body; /* the caller deinits it; a NUL stands behind its end, when it is not empty */
};

/* NULL when memory is short. */
struct http_client *http_client_create(void);
/* Nulls the pointer; NULL inside is fine. */
void http_client_destroy(struct http_client **client);

/* Sends and waits for the whole answer. False with a sentence that names the server and says what to do: no
 * connection, no answer in time, an answer that breaks off or is too large. `*answer` is all zero then. */
bool http_client_send(struct http_client *client, const struct http_request *request,
                      struct http_answer *answer, struct status *status) __attribute__((warn_unused_result));

#endif
