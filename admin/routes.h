/* routes.h — which calls the admin endpoint knows: method, path, who may, what answers it.
 *
 * Paths have parameters: {t} a tenant, {r} a resource, {key} a key; each stands for a whole part between slashes, or
 * for its beginning when more follows, as in {key}:reset. They are matched as they were sent, so that an encoded
 * slash belongs to the parameter. admin/openapi.yaml describes the same calls. Pure functions. */
#ifndef SLUICE_ADMIN_ROUTES_H
#define SLUICE_ADMIN_ROUTES_H

#include <stddef.h>
#include <stdint.h>

#include "server/base/bytes.h"

struct call;

enum route_access {
    ROUTE_OPEN,   /* anybody; nothing but the path counts */
    ROUTE_LOOKS,  /* viewers and operators */
    ROUTE_CHANGES /* operators */
};

enum route_part { ROUTE_TENANT, ROUTE_RESOURCE, ROUTE_KEY, ROUTE_N_PARTS };

struct route {
    const char *method, *pattern;
    enum route_access access;
    unsigned query;          /* the parameters that it takes; see query.h */
    uint32_t max_body_bytes; /* of JSON, which it needs then; 0: it takes no body */
    void (*handle)(struct call *call);
    const char *summary;
};

enum { ROUTE_ALLOW_BYTES = 64 };

struct route_match {
    const struct route *route;         /* NULL: none has this path, or `allow` says which methods it has */
    struct bytes parts[ROUTE_N_PARTS]; /* as they stand in the path; data is NULL for those that it has not */
    char allow[ROUTE_ALLOW_BYTES];     /* "GET, HEAD" */
};

/* `path` is all before '?', not decoded. HEAD finds what GET finds. */
void routes_find(const char *method, struct bytes path, struct route_match *match);

const struct route *routes_list(size_t *n_routes);
/* What stands for it in problems: "tenant". */
const char *route_part_name(enum route_part part);

#endif
