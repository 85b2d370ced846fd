/* query.c — the part of a URL behind '?'; see query.h. */
#include "admin/query.h"

#include <stdio.h>
#include <string.h>

#include "admin/percent.h"
#include "server/base/units.h"

enum { NAMES_BYTES = 128 };

static const struct {
    const char *name;
    size_t max_bytes;
} fields[QUERY_N_FIELDS] = {
#define QUERY_ROW(field, name, max_bytes) {#name, max_bytes},
    QUERY_FIELDS(QUERY_ROW)};

#define QUERY_SUM(field, name, max_bytes) +max_bytes
_Static_assert(QUERY_ROOM_BYTES >= 0 QUERY_FIELDS(QUERY_SUM), "there is room for each value");

const char *query_field_name(enum query_field field) {
    return fields[field].name;
}

static bool fail_unknown(struct bytes name, unsigned known, struct status *status) {
    char names[NAMES_BYTES] = "";
    for (size_t i = 0, used = 0; i < QUERY_N_FIELDS && used < sizeof names; i++) {
        if ((known & QUERY_BIT(i)) != 0) {
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used > 0 ? ", " : ": ",
                                     fields[i].name);
        }
    }
    return status_fail(status, "%s: there is no such parameter here%s%s", units_show_text(name).text,
                       names[0] != '\0' ? "; the parameters are" : "", names);
}

static bool find_field(struct bytes name, unsigned known, size_t *field, struct status *status) {
    for (*field = 0; *field < QUERY_N_FIELDS; (*field)++) {
        const char *other = fields[*field].name;
        if ((known & QUERY_BIT(*field)) != 0 && name.len == strlen(other) &&
            memcmp(name.data, other, name.len) == 0) {
            return true;
        }
    }
    return fail_unknown(name, known, status);
}

/* One "name=value". */
static bool read_pair(struct bytes pair, unsigned known, struct query *query, size_t *room_used,
                      struct status *status) {
    const uint8_t *equals = memchr(pair.data, '=', pair.len);
    struct bytes name = {.data = pair.data, .len = equals != NULL ? (size_t)(equals - pair.data) : pair.len};
    struct bytes value = {.data = equals != NULL ? equals + 1 : pair.data + pair.len};
    value.len = (size_t)(pair.data + pair.len - value.data);
    size_t field, len;
    struct status reason;
    if (!find_field(name, known, &field, status)) {
        return false;
    }
    if (query->values[field].data != NULL) {
        return status_fail(status, "%s: is given twice", fields[field].name);
    }
    uint8_t *room = query->room + *room_used;
    if (!percent_decode(value, room, fields[field].max_bytes, &len, &reason)) {
        return status_fail(status, "%s: %s", fields[field].name, reason.text);
    }
    query->values[field] = (struct bytes){.data = room, .len = len};
    *room_used += len;
    return true;
}

bool query_read(struct bytes text, unsigned known, struct query *query, struct status *status) {
    size_t room_used = 0;
    memset(query->values, 0, sizeof query->values);
    query->limit = QUERY_DEFAULT_LIMIT;
    while (text.len > 0) {
        const uint8_t *end = memchr(text.data, '&', text.len);
        struct bytes pair = {.data = text.data, .len = end != NULL ? (size_t)(end - text.data) : text.len};
        if (!read_pair(pair, known, query, &room_used, status)) {
            return false;
        }
        size_t used = pair.len + (end != NULL);
        text = (struct bytes){.data = text.data + used, .len = text.len - used};
    }
    if (query->values[QUERY_LIMIT].data != NULL) {
        int64_t limit;
        struct status reason;
        if (!units_read_integer(query->values[QUERY_LIMIT], 1, QUERY_MAX_LIMIT, &limit, &reason)) {
            return status_fail(status, "limit: %s", reason.text);
        }
        query->limit = (uint32_t)limit;
    }
    return true;
}
