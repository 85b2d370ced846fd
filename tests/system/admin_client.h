/* admin_client.h — a plain blocking HTTP connection to the admin port that sends just what a test wants. */
#ifndef SLUICE_TESTS_ADMIN_CLIENT_H
#define SLUICE_TESTS_ADMIN_CLIENT_H

#include "tests/system/frontend.h"

enum { ADMIN_HEAD_BYTES = 4096, ADMIN_BODY_BYTES = 2 * 1024 * 1024, ADMIN_LIMIT_MS = 20000 };

struct admin_client {
    int fd;
    const char *token; /* shown with each request; NULL: none */
    int status;        /* of the last answer, and */
    char head[ADMIN_HEAD_BYTES];
    char body[ADMIN_BODY_BYTES]; /* as text */
    size_t n_in;
    char in[ADMIN_HEAD_BYTES + ADMIN_BODY_BYTES];
};

/* Heap. Fails the test if nobody listens. Close nulls. */
struct admin_client *admin_open(const struct frontend *frontend, const char *token);
void admin_close(struct admin_client **client);

/* Sends a request, with `headers` (lines that end in \r\n; "" for none) and a body unless that is NULL, which is said
 * to be JSON unless the headers say otherwise. */
void admin_send(struct admin_client *client, const char *method, const char *path, const char *headers,
                const char *body);
void admin_send_bytes(struct admin_client *client, const void *bytes, size_t n_bytes);
/* Waits for the answer and returns its status; a HEAD's has no body. */
int admin_receive(struct admin_client *client, bool has_body);
/* Both. */
int admin_call(struct admin_client *client, const char *method, const char *path, const char *headers,
               const char *body);
/* The same, which must get this status, and `part` in its body. */
void admin_expect(struct admin_client *client, const char *method, const char *path, const char *body,
                  int status, const char *part);

#endif
