/* registry.c — reads a quota file into a quota set; see registry.h for its form. */
#include "server/quota/registry.h"

#include <string.h>

#include "server/base/units.h"
#include "server/base/yaml_file.h"

static const struct {
    const char *name;
    enum bucket_algorithm algorithm;
} registry_algorithms[] = {{"token_bucket", BUCKET_TOKEN}, {"leaky_bucket", BUCKET_LEAKY}};
enum { REGISTRY_N_ALGORITHMS = sizeof registry_algorithms / sizeof registry_algorithms[0] };

static bool registry_is(struct bytes text, const char *word) {
    return text.len == strlen(word) && (text.len == 0 || memcmp(text.data, word, text.len) == 0);
}

/* ---- one limit ---- */

enum { LIMIT_NAME, LIMIT_ALGORITHM, LIMIT_RATE, LIMIT_BURST, LIMIT_SCOPE, LIMIT_N_FIELDS };

static const struct yaml_field registry_limit_fields[LIMIT_N_FIELDS] = {
    [LIMIT_NAME] = {"name", false},   [LIMIT_ALGORITHM] = {"algorithm", false}, [LIMIT_RATE] = {"rate", true},
    [LIMIT_BURST] = {"burst", false}, [LIMIT_SCOPE] = {"scope", false},
};

static bool registry_read_algorithm(struct yaml_node node, enum bucket_algorithm *algorithm,
                                    struct status *status) {
    if (!yaml_node_exists(node)) {
        *algorithm = BUCKET_TOKEN;
        return true;
    }
    if (!yaml_node_expect(node, YAML_TEXT, status)) {
        return false;
    }
    for (size_t i = 0; i < REGISTRY_N_ALGORITHMS; i++) {
        if (registry_is(yaml_node_text(node), registry_algorithms[i].name)) {
            *algorithm = registry_algorithms[i].algorithm;
            return true;
        }
    }
    return yaml_node_fail(node, status, "'%s' is neither token_bucket nor leaky_bucket",
                          units_show_text(yaml_node_text(node)).text);
}

static bool registry_read_rate(struct yaml_node node, struct bucket_limit *limit, struct status *status) {
    struct status reason;
    int64_t count, period_s;
    if (!yaml_node_expect(node, YAML_TEXT, status)) {
        return false;
    }
    return (units_read_rate(yaml_node_text(node), &count, &period_s, &reason) &&
            bucket_set_rate(limit, count, period_s, &reason)) ||
           yaml_node_fail(node, status, "%s", reason.text);
}

/* Without a burst: one second's worth of the rate, at least 1. */
static bool registry_read_burst(struct yaml_node node, struct bucket_limit *limit, struct status *status) {
    struct status reason;
    int64_t tokens = limit->count / limit->period_s;
    if (yaml_node_exists(node)) {
        if (!yaml_node_expect(node, YAML_TEXT, status)) {
            return false;
        }
        if (!units_read_integer(yaml_node_text(node), 1, BUCKET_MAX_TOKENS, &tokens, &reason)) {
            return yaml_node_fail(node, status, "%s", reason.text);
        }
    }
    limit->burst_utok = (tokens > 0 ? tokens : 1) * BUCKET_UTOK_PER_TOKEN;
    return true;
}

static bool registry_read_scope(struct yaml_node node, struct status *status) {
    if (!yaml_node_exists(node)) {
        return true;
    }
    return yaml_node_expect(node, YAML_TEXT, status) &&
           (registry_is(yaml_node_text(node), "key") ||
            yaml_node_fail(node, status, "'%s' is not supported; only key is",
                           units_show_text(yaml_node_text(node)).text));
}

static bool registry_read_name(struct yaml_node node, struct yaml_node limit_node, struct quota *quota,
                               struct status *status) {
    struct status reason;
    uint32_t index = quota->n_limits;
    const char *algorithm = registry_algorithms[quota->limits[index].algorithm].name;
    struct bytes name = {.data = (const uint8_t *)algorithm, .len = strlen(algorithm)};
    if (yaml_node_exists(node)) {
        if (!yaml_node_expect(node, YAML_TEXT, status)) {
            return false;
        }
        name = yaml_node_text(node);
    }
    return quota_name_limit(quota, index, name, &reason) ||
           yaml_node_fail(yaml_node_exists(node) ? node : limit_node, status, "%s", reason.text);
}

static bool registry_read_limit(struct yaml_node node, struct quota *quota, struct status *status) {
    struct yaml_node fields[LIMIT_N_FIELDS];
    if (quota->n_limits == BUCKET_MAX_LIMITS) {
        return yaml_node_fail(node, status, "is one too many; a quota has at most %d limits",
                              (int)BUCKET_MAX_LIMITS);
    }
    struct bucket_limit *limit = &quota->limits[quota->n_limits];
    bool is_good = yaml_node_fields(node, registry_limit_fields, LIMIT_N_FIELDS, fields, status) &&
                   registry_read_algorithm(fields[LIMIT_ALGORITHM], &limit->algorithm, status) &&
                   registry_read_name(fields[LIMIT_NAME], node, quota, status) &&
                   registry_read_rate(fields[LIMIT_RATE], limit, status) &&
                   registry_read_burst(fields[LIMIT_BURST], limit, status) &&
                   registry_read_scope(fields[LIMIT_SCOPE], status);
    quota->n_limits++;
    return is_good;
}

/* ---- quotas, tenants, the file ---- */

static bool registry_read_failure(struct yaml_node node, enum quota_on_store_failure *on_failure,
                                  struct status *status) {
    static const char *const words[] = {
        [QUOTA_FAILS_LOCAL] = "local", [QUOTA_FAILS_ALLOW] = "allow", [QUOTA_FAILS_DENY] = "deny"};
    if (!yaml_node_exists(node)) {
        return true;
    }
    if (!yaml_node_expect(node, YAML_TEXT, status)) {
        return false;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (registry_is(yaml_node_text(node), words[i])) {
            *on_failure = (enum quota_on_store_failure)i;
            return true;
        }
    }
    return yaml_node_fail(node, status, "'%s' is none of local, allow and deny",
                          units_show_text(yaml_node_text(node)).text);
}

static bool registry_read_quota(struct yaml_node node, struct bytes tenant, struct quota_set *set,
                                struct status *status) {
    enum { QUOTA_LIMITS, QUOTA_ON_STORE_FAILURE, QUOTA_N_FIELDS };
    static const struct yaml_field fields[QUOTA_N_FIELDS] = {
        [QUOTA_LIMITS] = {"limits", true}, [QUOTA_ON_STORE_FAILURE] = {"on_store_failure", false}};
    struct yaml_node values[QUOTA_N_FIELDS];
    struct quota quota = {0};
    struct status reason;
    if (!yaml_node_fields(node, fields, QUOTA_N_FIELDS, values, status) ||
        !yaml_node_expect(values[QUOTA_LIMITS], YAML_LIST, status) ||
        !registry_read_failure(values[QUOTA_ON_STORE_FAILURE], &quota.on_store_failure, status)) {
        return false;
    }
    for (struct yaml_node limit = yaml_node_first(values[QUOTA_LIMITS]); yaml_node_exists(limit);
         limit = yaml_node_next(limit)) {
        if (!registry_read_limit(limit, &quota, status)) {
            return false;
        }
    }
    return quota_set_add(set, tenant, yaml_node_key(node), &quota, &reason) ||
           yaml_node_fail(node, status, "%s", reason.text);
}

static bool registry_read_tenants(struct yaml_node node, struct quota_set *set, struct status *status) {
    if (!yaml_node_expect(node, YAML_MAP, status)) {
        return false;
    }
    for (struct yaml_node tenant = yaml_node_first(node); yaml_node_exists(tenant);
         tenant = yaml_node_next(tenant)) {
        if (!yaml_node_expect(tenant, YAML_MAP, status)) {
            return false;
        }
        struct yaml_node quota = yaml_node_first(tenant);
        for (; yaml_node_exists(quota); quota = yaml_node_next(quota)) {
            if (!registry_read_quota(quota, yaml_node_key(tenant), set, status)) {
                return false;
            }
        }
    }
    return true;
}

static bool registry_read_default(struct yaml_node node, struct quota_set *set, struct status *status) {
    if (!yaml_node_exists(node)) {
        return true;
    }
    if (!yaml_node_expect(node, YAML_TEXT, status)) {
        return false;
    }
    bool is_deny = registry_is(yaml_node_text(node), "deny");
    if (!is_deny && !registry_is(yaml_node_text(node), "allow")) {
        return yaml_node_fail(node, status, "'%s' is neither allow nor deny",
                              units_show_text(yaml_node_text(node)).text);
    }
    quota_set_set_unknown(set, is_deny ? QUOTA_UNKNOWN_DENY : QUOTA_UNKNOWN_ALLOW);
    return true;
}

static bool registry_read_root(const struct yaml_file *file, const char *name, struct quota_set *set,
                               struct status *status) {
    enum { ROOT_DEFAULT, ROOT_TENANTS, ROOT_N_FIELDS };
    static const struct yaml_field fields[ROOT_N_FIELDS] = {{"default", false}, {"tenants", true}};
    struct yaml_node values[ROOT_N_FIELDS];
    struct yaml_node root = yaml_file_root(file);
    if (!yaml_node_exists(root)) {
        return status_fail(status, "%s: the file is empty; 'tenants' is needed", name);
    }
    return yaml_node_fields(root, fields, ROOT_N_FIELDS, values, status) &&
           registry_read_default(values[ROOT_DEFAULT], set, status) &&
           registry_read_tenants(values[ROOT_TENANTS], set, status);
}

/* Takes over the file; it may be NULL, with the reason in `status` already. */
static struct quota_set *registry_load(struct yaml_file *file, const char *name, struct status *status) {
    if (file == NULL) {
        return NULL;
    }
    struct quota_set *set = quota_set_create();
    if (set == NULL) {
        status_fail(status, "%s: out of memory", name);
    } else if (!registry_read_root(file, name, set, status)) {
        quota_set_release(&set);
    }
    yaml_file_destroy(&file);
    return set;
}

struct quota_set *registry_load_file(const char *path, struct status *status) {
    return registry_load(yaml_file_load(path, status), path, status);
}

struct quota_set *registry_load_text(const char *name, const char *text, size_t len, struct status *status) {
    return registry_load(yaml_file_parse(name, text, len, status), name, status);
}

struct quota_set *registry_load_demo(struct status *status) {
    static const char text[] = "tenants: {demo: {'*': {limits: [{name: per_key, rate: 5/s, burst: 10}]}}}";
    return registry_load_text("demo quotas", text, sizeof text - 1, status);
}
