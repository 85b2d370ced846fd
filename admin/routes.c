/* routes.c — which calls the admin endpoint knows; see routes.h. */
#include "admin/routes.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "admin/handlers.h"
#include "admin/query.h"

#define KIB(n) ((n)*1024)
#define PAGED (QUERY_BIT(QUERY_AFTER) | QUERY_BIT(QUERY_LIMIT))

#define QUOTA "/v1/tenants/{t}/quotas/{r}"
#define BUCKET "/v1/tenants/{t}/buckets/{r}/{key}"

static const struct route routes[] = {
    {"GET", "/livez", ROUTE_OPEN, 0, 0, page_livez, "Does the process run?"},
    {"GET", "/readyz", ROUTE_OPEN, 0, 0, page_readyz, "Can checks be decided by the store?"},
    {"GET", "/metrics", ROUTE_OPEN, 0, 0, page_metrics, "All metrics as Prometheus text"},
    {"GET", QUOTA, ROUTE_LOOKS, 0, 0, api_quota_get, "One quota"},
    {"PUT", QUOTA, ROUTE_CHANGES, 0, KIB(64), api_quota_put, "Set a quota"},
    {"DELETE", QUOTA, ROUTE_CHANGES, 0, 0, api_quota_delete, "Delete a quota"},
    {"GET", "/v1/quotas", ROUTE_LOOKS, PAGED | QUERY_BIT(QUERY_TENANT) | QUERY_BIT(QUERY_PREFIX), 0,
     api_quotas_list, "List quotas"},
    {"POST", "/v1/quotas:apply", ROUTE_CHANGES, 0, KIB(1024), api_quotas_apply,
     "Make many changes, all of them or none"},
    {"GET", BUCKET, ROUTE_LOOKS, 0, 0, api_bucket_look, "The levels of a key's buckets now"},
    {"POST", BUCKET ":reset", ROUTE_CHANGES, QUERY_BIT(QUERY_LIMIT_NAME), 0, api_bucket_reset,
     "Fill a key's buckets, or one that is wider"},
    {"GET", "/v1/frontends", ROUTE_LOOKS, 0, 0, api_frontends_list, "The frontends that live"},
    {"GET", "/v1/changes", ROUTE_LOOKS, PAGED | QUERY_BIT(QUERY_TENANT), 0, api_changes_list,
     "Who changed what, and what was refused"},
    {"GET", "/v1/hotkeys", ROUTE_LOOKS, QUERY_BIT(QUERY_LIMIT), 0, api_hotkeys_list, "The keys checked most"},
    {"GET", "/v1/shadow", ROUTE_LOOKS, 0, 0, api_shadow_list, "What quotas in shadow mode would have denied"},
};
enum { N_ROUTES = sizeof routes / sizeof routes[0] };

static const struct {
    const char *parameter, *name;
} parts[ROUTE_N_PARTS] = {
    [ROUTE_TENANT] = {"{t}", "tenant"}, [ROUTE_RESOURCE] = {"{r}", "resource"}, [ROUTE_KEY] = {"{key}", "key"}};

const struct route *routes_list(size_t *n_routes) {
    *n_routes = N_ROUTES;
    return routes;
}

const char *route_part_name(enum route_part part) {
    return parts[part].name;
}

/* Matches one part of a path, between slashes, with one of a pattern. */
static bool match_part(struct bytes pattern, struct bytes part, struct bytes found[ROUTE_N_PARTS]) {
    for (size_t i = 0; i < ROUTE_N_PARTS; i++) {
        size_t len = strlen(parts[i].parameter);
        if (pattern.len < len || memcmp(pattern.data, parts[i].parameter, len) != 0) {
            continue;
        }
        size_t suffix_len = pattern.len - len;
        if (part.len < suffix_len ||
            memcmp(part.data + part.len - suffix_len, pattern.data + len, suffix_len) != 0) {
            return false;
        }
        found[i] = (struct bytes){.data = part.data, .len = part.len - suffix_len};
        return true;
    }
    return pattern.len == part.len && memcmp(pattern.data, part.data, part.len) == 0;
}

/* Cuts what stands before the next slash off `rest`, and the slash. False when nothing is left. */
static bool next_part(struct bytes *rest, struct bytes *part) {
    if (rest->data == NULL) {
        return false;
    }
    const uint8_t *slash = memchr(rest->data, '/', rest->len);
    *part = (struct bytes){.data = rest->data, .len = slash != NULL ? (size_t)(slash - rest->data) : rest->len};
    *rest = slash != NULL ? (struct bytes){.data = slash + 1, .len = rest->len - part->len - 1}
                          : (struct bytes){.data = NULL};
    return true;
}

static bool match_path(const char *text, struct bytes path, struct bytes found[ROUTE_N_PARTS]) {
    struct bytes pattern = {.data = (const uint8_t *)text, .len = strlen(text)}, want, part;
    memset(found, 0, ROUTE_N_PARTS * sizeof *found);
    while (next_part(&pattern, &want)) {
        if (!next_part(&path, &part) || !match_part(want, part, found)) {
            return false;
        }
    }
    return path.data == NULL;
}

static void allow(struct route_match *match, const char *method) {
    size_t used = strlen(match->allow);
    snprintf(match->allow + used, sizeof match->allow - used, "%s%s%s", used > 0 ? ", " : "", method,
             strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

void routes_find(const char *method, struct bytes path, struct route_match *match) {
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    *match = (struct route_match){.route = NULL};
    for (size_t i = 0; i < N_ROUTES; i++) {
        struct bytes found[ROUTE_N_PARTS];
        if (!match_path(routes[i].pattern, path, found)) {
            continue;
        }
        allow(match, routes[i].method);
        if (match->route == NULL && strcmp(routes[i].method, wanted) == 0) {
            match->route = &routes[i];
            memcpy(match->parts, found, sizeof found);
        }
    }
}
