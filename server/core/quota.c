/* quota.c — one quota: rules and the object made of them; see quota.h. */
#include "server/core/quota.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/hash.h"
#include "server/base/units.h"

/* ---- rules ---- */

static bool is_limit_name_byte(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-';
}

/* A window's record does not hold what a bucket's does: under one name they have ids of their own. */
static uint32_t name_id(const struct bucket_limit *limit, uint32_t hash) {
    return bucket_is_window(limit) ? ~hash : hash;
}

bool quota_name_limit(struct quota_rules *rules, uint32_t index, struct bytes name, struct status *status) {
    if (name.len == 0 || name.len > QUOTA_LIMIT_NAME_MAX_BYTES) {
        return status_fail(status, "a limit's name has 1 to %d bytes, not %zu", (int)QUOTA_LIMIT_NAME_MAX_BYTES,
                           name.len);
    }
    for (size_t i = 0; i < name.len; i++) {
        if (!is_limit_name_byte(name.data[i])) {
            return status_fail(status, "'%s': a limit's name has only letters, digits and _ . -",
                               units_show_text(name).text);
        }
    }
    uint32_t hash = hash_stable32(name.data, name.len);
    for (uint32_t i = 0; i < index; i++) {
        if (rules->limits[i].id == hash || rules->limits[i].id == ~hash) {
            const char *other = rules->limit_names[i];
            bool is_same = strlen(other) == name.len && memcmp(other, name.data, name.len) == 0;
            return status_fail(status, "the name '%s' %s of limits[%u]; give each limit a name of its own",
                               units_show_text(name).text, is_same ? "is also that" : "is too much like that",
                               i);
        }
    }
    rules->limits[index].id = name_id(&rules->limits[index], hash);
    memmove(rules->limit_names[index], name.data, name.len);
    rules->limit_names[index][name.len] = '\0';
    return true;
}

/* Those of scope key, then the others, each in the order given. */
static void put_keys_first(struct quota_rules *rules) {
    struct quota_rules given = *rules;
    uint32_t n = 0;
    for (int is_wide = 0; is_wide < 2; is_wide++) {
        for (uint32_t i = 0; i < given.n_limits; i++) {
            if ((given.scopes[i] != BUCKET_PER_KEY) == is_wide) {
                rules->limits[n] = given.limits[i];
                rules->scopes[n] = given.scopes[i];
                memcpy(rules->limit_names[n], given.limit_names[i], sizeof given.limit_names[i]);
                n++;
            }
        }
    }
}

bool quota_rules_check(struct quota_rules *rules, struct status *status) {
    if (rules->is_unlimited) {
        return rules->n_limits == 0 || status_fail(status, "an unlimited quota has no limits");
    }
    if (rules->n_limits == 0 || rules->n_limits > BUCKET_MAX_LIMITS) {
        return status_fail(status, "a quota has 1 to %d limits, not %u", (int)BUCKET_MAX_LIMITS,
                           rules->n_limits);
    }
    for (uint32_t i = 0; i < rules->n_limits; i++) {
        const char *name = rules->limit_names[i];
        struct bytes text = {.data = (const uint8_t *)name, .len = strnlen(name, sizeof rules->limit_names[i])};
        if (!quota_name_limit(rules, i, text, status)) {
            return false;
        }
    }
    put_keys_first(rules);
    return true;
}

bool quota_check_scopes(const struct quota_rules *rules, struct bytes tenant, struct status *status) {
    bool is_everyone = tenant.len == 1 && tenant.data[0] == '*';
    for (uint32_t i = 0; i < rules->n_limits && !is_everyone; i++) {
        if (rules->scopes[i] == BUCKET_GLOBAL) {
            return status_fail(status, "'%s' has scope global, which is for quotas of tenant \"*\" alone",
                               rules->limit_names[i]);
        }
    }
    return true;
}

bool quota_rules_are_equal(const struct quota_rules *a, const struct quota_rules *b) {
    bool is_equal = a->is_unlimited == b->is_unlimited && a->on_store_failure == b->on_store_failure &&
                    a->mode == b->mode && a->n_limits == b->n_limits;
    for (uint32_t i = 0; is_equal && i < a->n_limits; i++) {
        is_equal = bucket_limit_is_equal(&a->limits[i], &b->limits[i]) && a->scopes[i] == b->scopes[i] &&
                   strcmp(a->limit_names[i], b->limit_names[i]) == 0;
    }
    return is_equal;
}

/* A name that may end in a '*' when `is_pattern`; "*" alone is always allowed. */
static bool check_name(const char *what, struct bytes name, size_t max_bytes, bool is_pattern,
                       struct status *status) {
    if (name.len == 0 || name.len > max_bytes) {
        return status_fail(status, "a %s's name has 1 to %zu bytes, not %zu", what, max_bytes, name.len);
    }
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] < 0x20 || name.data[i] == 0x7f) {
            return status_fail(status, "the %s '%s' has a control character", what, units_show_text(name).text);
        }
        bool is_place = i == name.len - 1 && (is_pattern || i == 0);
        if (name.data[i] == '*' && !is_place) {
            return status_fail(status, "the %s '%s' has a '*' that does not %s", what,
                               units_show_text(name).text, is_pattern ? "end it" : "stand alone");
        }
    }
    return true;
}

bool quota_check_pattern(struct bytes tenant, struct bytes resource, struct status *status) {
    return check_name("tenant", tenant, QUOTA_TENANT_MAX_BYTES, false, status) &&
           check_name("resource", resource, QUOTA_RESOURCE_MAX_BYTES, true, status);
}

/* ---- the object ----
 *
 * One block: struct quota, limits, shadow counters, parts, pointers to the limits' names, then all texts: tenant,
 * resource, the names with a NUL each. */

static size_t names_bytes(const struct quota_rules *rules) {
    size_t n = 0;
    for (uint32_t i = 0; i < rules->n_limits; i++) {
        n += strlen(rules->limit_names[i]) + 1;
    }
    return n;
}

static uint32_t count_parts(const struct quota_rules *rules) {
    uint32_t n = rules->n_limits > 0 && rules->scopes[0] == BUCKET_PER_KEY;
    for (uint32_t i = 0; i < rules->n_limits; i++) {
        n += rules->scopes[i] != BUCKET_PER_KEY;
    }
    return n;
}

static void write_parts(struct quota *quota, const struct quota_rules *rules, struct quota_part *parts) {
    uint32_t n_keyed = 0;
    while (n_keyed < rules->n_limits && rules->scopes[n_keyed] == BUCKET_PER_KEY) {
        n_keyed++;
    }
    for (uint32_t i = 0, first = 0; i < quota->n_parts; i++) {
        parts[i] = (struct quota_part){.scope = rules->scopes[first],
                                       .index = quota->index * BUCKET_MAX_LIMITS + i,
                                       .first_limit = first,
                                       .n_limits = first < n_keyed ? n_keyed : 1,
                                       .limits = quota->limits + first};
        first += parts[i].n_limits;
    }
    quota->parts = parts;
}

/* Copies to `*at` and moves it behind the copy, which is returned. */
static void *append(uint8_t **at, const void *bytes, size_t n_bytes) {
    uint8_t *copy = *at;
    memcpy(copy, bytes, n_bytes);
    *at += n_bytes;
    return copy;
}

struct quota *quota_create(struct bytes tenant, struct bytes resource, const struct quota_rules *rules,
                           uint32_t index, uint64_t revision) {
    size_t limits_bytes = rules->n_limits * sizeof rules->limits[0];
    size_t pointers_bytes = rules->n_limits * sizeof(char *);
    size_t shadow_bytes = rules->mode == QUOTA_IN_SHADOW ? sizeof(struct quota_shadow) : 0;
    size_t parts_bytes = count_parts(rules) * sizeof(struct quota_part);
    struct quota *quota = calloc(1, sizeof *quota + limits_bytes + shadow_bytes + parts_bytes + pointers_bytes +
                                        names_bytes(rules) + tenant.len + resource.len);
    if (quota == NULL) {
        return NULL;
    }
    atomic_init(&quota->n_holds, 1);
    quota->index = index;
    quota->revision = revision;
    quota->n_limits = rules->n_limits;
    quota->tenant_len = (uint8_t)tenant.len;
    quota->resource_len = (uint8_t)resource.len;
    quota->is_unlimited = rules->is_unlimited;
    quota->mode = rules->mode;
    quota->on_store_failure = rules->on_store_failure;
    uint8_t *at = (uint8_t *)(quota + 1);
    quota->limits = append(&at, rules->limits, limits_bytes);
    quota->shadow = shadow_bytes > 0 ? (struct quota_shadow *)(void *)at : NULL;
    at += shadow_bytes;
    quota->n_parts = (uint8_t)count_parts(rules);
    write_parts(quota, rules, (struct quota_part *)(void *)at);
    at += parts_bytes;
    const char **names = (const char **)(void *)at;
    quota->limit_names = names;
    at += pointers_bytes;
    append(&at, tenant.data, tenant.len);
    append(&at, resource.data, resource.len);
    for (uint32_t i = 0; i < rules->n_limits; i++) {
        names[i] = append(&at, rules->limit_names[i], strlen(rules->limit_names[i]) + 1);
        quota->is_banned = quota->is_banned || rules->limits[i].count == 0;
    }
    return quota;
}

struct quota *quota_hold(struct quota *quota) {
    atomic_fetch_add_explicit(&quota->n_holds, 1, memory_order_relaxed);
    return quota;
}

void quota_release(struct quota **quota) {
    if (*quota != NULL && atomic_fetch_sub_explicit(&(*quota)->n_holds, 1, memory_order_acq_rel) == 1) {
        free(*quota);
    }
    *quota = NULL;
}

struct bytes quota_tenant(const struct quota *quota) {
    return (struct bytes){.data = (const uint8_t *)(quota->limit_names + quota->n_limits),
                          .len = quota->tenant_len};
}

struct bytes quota_resource(const struct quota *quota) {
    return (struct bytes){.data = quota_tenant(quota).data + quota->tenant_len, .len = quota->resource_len};
}

struct bucket_name quota_part_bucket(const struct quota *quota, const struct quota_part *part,
                                     struct bytes tenant, struct bytes resource, struct bytes key) {
    if (part->scope != BUCKET_PER_KEY) {
        const char *name = quota->limit_names[part->first_limit];
        key = (struct bytes){.data = (const uint8_t *)name, .len = strlen(name)};
    }
    return bucket_name_of(part->scope, tenant, resource, key);
}

void quota_get_rules(const struct quota *quota, struct quota_rules *rules) {
    *rules = (struct quota_rules){
        .is_unlimited = quota->is_unlimited,
        .on_store_failure = quota->on_store_failure,
        .mode = quota->mode,
        .n_limits = quota->n_limits,
    };
    for (uint32_t i = 0; i < quota->n_limits; i++) {
        rules->limits[i] = quota->limits[i];
        memcpy(rules->limit_names[i], quota->limit_names[i], strlen(quota->limit_names[i]) + 1);
    }
    for (uint32_t i = 0; i < quota->n_parts; i++) {
        for (uint32_t j = 0; j < quota->parts[i].n_limits; j++) {
            rules->scopes[quota->parts[i].first_limit + j] = quota->parts[i].scope;
        }
    }
}

static int compare_bytes(struct bytes a, struct bytes b) {
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter > 0 ? memcmp(a.data, b.data, shorter) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

int quota_compare(const struct quota *quota, struct bytes tenant, struct bytes resource) {
    int order = compare_bytes(quota_tenant(quota), tenant);
    return order != 0 ? order : compare_bytes(quota_resource(quota), resource);
}
