/* query.h — the part of a URL behind '?', read strictly: no names but those that the call knows, each once. */
#ifndef SLUICE_ADMIN_QUERY_H
#define SLUICE_ADMIN_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/base/status.h"
#include "server/core/quota.h"

enum {
    QUERY_MAX_LIMIT = 1000,
    QUERY_DEFAULT_LIMIT = 100,
    QUERY_AFTER_MAX_BYTES = 512,
    QUERY_ROOM_BYTES = 1024
};

/* X(FIELD, name, longest value in bytes) */
#define QUERY_FIELDS(X)                                                                                        \
    X(TENANT, tenant, 64)                                                                                      \
    X(PREFIX, prefix, 128)                                                                                     \
    X(AFTER, after, QUERY_AFTER_MAX_BYTES)                                                                     \
    X(LIMIT, limit, 16)                                                                                        \
    X(LIMIT_NAME, limit_name, QUOTA_LIMIT_NAME_MAX_BYTES)

enum query_field {
#define QUERY_ENUM(field, name, max_bytes) QUERY_##field,
    QUERY_FIELDS(QUERY_ENUM)
#undef QUERY_ENUM
        QUERY_N_FIELDS
};

/* Which fields a call knows: a sum of these. */
#define QUERY_BIT(field) (1U << (field))

struct query {
    struct bytes values[QUERY_N_FIELDS]; /* decoded; data is NULL when it was not given */
    uint32_t limit;                      /* QUERY_DEFAULT_LIMIT when none was given */
    uint8_t room[QUERY_ROOM_BYTES];      /* holds the values */
};

const char *query_field_name(enum query_field field);

/* `query` must not move afterwards. False with "name: reason". */
bool query_read(struct bytes text, unsigned known, struct query *query, struct status *status)
    __attribute__((warn_unused_result));

#endif
