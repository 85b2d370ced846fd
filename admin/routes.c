/* routes.c — what the admin endpoint answers to which path; see routes.h. */
#include "admin/routes.h"

#include <string.h>

static const char plain_text[] = "text/plain; charset=utf-8";
static const char prometheus_text[] = "text/plain; version=0.0.4; charset=utf-8";

static void answer_text(struct route_answer *answer, unsigned int status, const char *text) {
    answer->status = status;
    answer->content_type = plain_text;
    buf_consume(&answer->body, buf_len(&answer->body));
    if (!buf_append(&answer->body, text, strlen(text))) {
        answer->status = 500;
    }
}

static void answer_livez(struct server *server, struct route_answer *answer) {
    (void)server;
    answer_text(answer, 200, "alive\n");
}

static void answer_readyz(struct server *server, struct route_answer *answer) {
    if (server_is_ready(server)) {
        answer_text(answer, 200, "ready\n");
    } else {
        answer_text(answer, 503, "not ready: a worker has no connection to every Redis shard\n");
    }
}

static void answer_metrics(struct server *server, struct route_answer *answer) {
    answer->status = 200;
    answer->content_type = prometheus_text;
    if (!server_render_metrics(server, &answer->body)) {
        answer_text(answer, 500, "out of memory\n");
    }
}

static const struct route {
    const char *path;
    void (*answer)(struct server *server, struct route_answer *answer);
} routes[] = {
    {"/livez", answer_livez},
    {"/readyz", answer_readyz},
    {"/metrics", answer_metrics},
};

void routes_answer(struct server *server, const char *method, const char *path, struct route_answer *answer) {
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (strcmp(path, routes[i].path) != 0) {
            continue;
        }
        if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
            answer_text(answer, 405, "only GET and HEAD\n");
            return;
        }
        routes[i].answer(server, answer);
        return;
    }
    answer_text(answer, 404, "no such page; there are /livez, /readyz and /metrics\n");
}
