/* routes.h — what the admin endpoint answers to which path.
 *
 *   GET /livez    200 while the process runs; never depends on Redis
 *   GET /readyz   200 when checks can be decided, else 503 with the reason
 *   GET /metrics  Prometheus text */
#ifndef SLUICE_ADMIN_ROUTES_H
#define SLUICE_ADMIN_ROUTES_H

#include "server/base/buf.h"
#include "server/server.h"

struct route_answer {
    unsigned int status; /* HTTP's */
    const char *content_type;
    struct buf body; /* the caller deinits it */
};

/* Answers `method` on `path`; unknown paths get 404, other methods 405, each with a sentence. */
void routes_answer(struct server *server, const char *method, const char *path, struct route_answer *answer);

#endif
