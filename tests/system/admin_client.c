/* admin_client.c — a plain blocking HTTP connection to the admin port. */
#include "tests/system/admin_client.h"

#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

struct admin_client *admin_open(const struct frontend *frontend, const char *token) {
    struct admin_client *client = calloc(1, sizeof *client);
    assert_non_null(client);
    client->token = token;
    client->fd = connect_to(frontend->admin_port);
    assert_true(client->fd >= 0);
    return client;
}

void admin_close(struct admin_client **client) {
    close((*client)->fd);
    free(*client);
    *client = NULL;
}

void admin_send_bytes(struct admin_client *client, const void *bytes, size_t n_bytes) {
    const char *at = bytes;
    while (n_bytes > 0) {
        ssize_t n = send(client->fd, at, n_bytes, MSG_NOSIGNAL);
        assert_true(n > 0);
        at += n;
        n_bytes -= (size_t)n;
    }
}

void admin_send(struct admin_client *client, const char *method, const char *path, const char *headers,
                const char *body) {
    char head[ADMIN_HEAD_BYTES], length[64] = "", token[128] = "";
    bool has_type = strcasestr(headers, "Content-Type:") != NULL;
    if (body != NULL) {
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(body));
    }
    if (client->token != NULL) {
        snprintf(token, sizeof token, "Authorization: Bearer %s\r\n", client->token);
    }
    int n = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: test\r\n%s%s%s%s\r\n", method, path, token,
                     length, body != NULL && !has_type ? "Content-Type: application/json\r\n" : "", headers);
    assert_in_range(n, 1, sizeof head - 1);
    admin_send_bytes(client, head, (size_t)n);
    if (body != NULL) {
        admin_send_bytes(client, body, strlen(body));
    }
}

/* Reads until `n_bytes` are there, or the end of a head when it is 0. Returns where that ends. */
static size_t read_some(struct admin_client *client, size_t n_bytes) {
    for (;;) {
        client->in[client->n_in] = '\0';
        const char *end = n_bytes == 0 ? strstr(client->in, "\r\n\r\n") : NULL;
        if (end != NULL) {
            return (size_t)(end + 4 - client->in);
        }
        if (n_bytes > 0 && client->n_in >= n_bytes) {
            return n_bytes;
        }
        struct pollfd one = {.fd = client->fd, .events = POLLIN};
        if (poll(&one, 1, ADMIN_LIMIT_MS) <= 0) {
            fail_msg("no whole answer in time, but: %s", client->in);
        }
        ssize_t n = recv(client->fd, client->in + client->n_in, sizeof client->in - 1 - client->n_in, 0);
        if (n <= 0) {
            fail_msg("closed before the whole answer, after: %s", client->in);
        }
        client->n_in += (size_t)n;
    }
}

int admin_receive(struct admin_client *client, bool has_body) {
    size_t head_len = read_some(client, 0);
    assert_true(head_len < sizeof client->head);
    memcpy(client->head, client->in, head_len);
    client->head[head_len] = '\0';
    const char *length = strcasestr(client->head, "\r\nContent-Length:");
    size_t body_len = has_body && length != NULL ? (size_t)atol(length + strlen("\r\nContent-Length:")) : 0;
    assert_true(body_len < sizeof client->body);
    if (body_len > 0) {
        read_some(client, head_len + body_len);
    }
    memcpy(client->body, client->in + head_len, body_len);
    client->body[body_len] = '\0';
    client->n_in -= head_len + body_len;
    memmove(client->in, client->in + head_len + body_len, client->n_in);
    assert_int_equal(sscanf(client->head, "HTTP/1.1 %d", &client->status), 1);
    return client->status;
}

int admin_call(struct admin_client *client, const char *method, const char *path, const char *headers,
               const char *body) {
    admin_send(client, method, path, headers, body);
    return admin_receive(client, strcmp(method, "HEAD") != 0);
}

void admin_expect(struct admin_client *client, const char *method, const char *path, const char *body,
                  int status, const char *part) {
    if (admin_call(client, method, path, "", body) != status || strstr(client->body, part) == NULL) {
        fail_msg("%s %s: not %d with '%s' but %d: %s", method, path, status, part, client->status,
                 client->body);
    }
}
