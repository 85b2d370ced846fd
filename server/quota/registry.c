/* registry.c — reads a quota file into a quota set; see registry.h for its form. */
#include "server/quota/registry.h"

#include <string.h>

#include "server/base/units.h"
#include "server/base/yaml_file.h"
#include "server/quota/quota_form.h"

static bool registry_is(struct bytes text, const char *word) {
    return text.len == strlen(word) && (text.len == 0 || memcmp(text.data, word, text.len) == 0);
}

/* ---- one quota ---- */

/* The text of a node, if there is one; its data is not NULL then. */
static bool registry_read_text(struct yaml_node node, struct bytes *text, struct status *status) {
    *text = (struct bytes){0};
    if (!yaml_node_exists(node)) {
        return true;
    }
    if (!yaml_node_expect(node, YAML_TEXT, status)) {
        return false;
    }
    *text = yaml_node_text(node);
    if (text->data == NULL) {
        text->data = (const uint8_t *)"";
    }
    return true;
}

static bool registry_read_limit(struct yaml_node node, struct quota_rules *rules, struct status *status) {
    struct yaml_node values[QUOTA_N_LIMIT_FIELDS];
    struct bytes texts[QUOTA_N_LIMIT_FIELDS];
    if (!yaml_node_fields(node, quota_limit_fields, QUOTA_N_LIMIT_FIELDS, values, status)) {
        return false;
    }
    for (size_t i = 0; i < QUOTA_N_LIMIT_FIELDS; i++) {
        if (!registry_read_text(values[i], &texts[i], status)) {
            return false;
        }
    }
    enum quota_limit_field field;
    struct status reason;
    if (quota_form_add_limit(rules, texts, &field, &reason)) {
        return true;
    }
    bool is_given = field < QUOTA_N_LIMIT_FIELDS && yaml_node_exists(values[field]);
    return yaml_node_fail(is_given ? values[field] : node, status, "%s", reason.text);
}

/* All but the limits, which are in values[QUOTA_FIELD_LIMITS]. */
static bool registry_read_rules(struct yaml_node node, struct yaml_node values[QUOTA_N_FIELDS],
                                struct quota_rules *rules, struct status *status) {
    struct bytes texts[QUOTA_N_FIELDS] = {{0}};
    if (!yaml_node_fields(node, quota_fields, QUOTA_N_FIELDS, values, status)) {
        return false;
    }
    if (yaml_node_exists(values[QUOTA_FIELD_LIMITS])) {
        if (!yaml_node_expect(values[QUOTA_FIELD_LIMITS], YAML_LIST, status)) {
            return false;
        }
        texts[QUOTA_FIELD_LIMITS].data = (const uint8_t *)"";
    }
    for (size_t i = QUOTA_FIELD_LIMITS + 1; i < QUOTA_N_FIELDS; i++) {
        if (!registry_read_text(values[i], &texts[i], status)) {
            return false;
        }
    }
    enum quota_field field;
    struct status reason;
    if (!quota_form_begin(rules, texts, &field, &reason)) {
        return yaml_node_fail(field < QUOTA_N_FIELDS ? values[field] : node, status, "%s", reason.text);
    }
    return true;
}

static bool registry_read_quota(struct yaml_node node, struct bytes tenant, struct quota_set *set,
                                struct status *status) {
    struct yaml_node values[QUOTA_N_FIELDS];
    struct quota_rules rules;
    struct status reason;
    if (!registry_read_rules(node, values, &rules, status)) {
        return false;
    }
    if (!rules.is_unlimited) {
        struct yaml_node limit = yaml_node_first(values[QUOTA_FIELD_LIMITS]);
        for (; yaml_node_exists(limit); limit = yaml_node_next(limit)) {
            if (!registry_read_limit(limit, &rules, status)) {
                return false;
            }
        }
    }
    return quota_set_put(set, tenant, yaml_node_key(node), &rules, 0, &reason) ||
           yaml_node_fail(node, status, "%s", reason.text);
}

/* ---- tenants, the file ---- */

static bool registry_read_tenants(struct yaml_node node, struct quota_set *set, struct status *status) {
    if (yaml_node_kind(node) == YAML_MAP && !yaml_node_exists(yaml_node_first(node))) {
        return true; /* "{}" says that none are meant */
    }
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
