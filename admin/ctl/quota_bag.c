/* quota_bag.c — collects quotas from files and pages. */
#include "admin/ctl/quota_bag.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/ctl/field.h"
#include "server/base/yaml_file.h"
#include "server/core/quota_set.h"
#include "server/quota/quota_json.h"
#include "server/quota/registry.h"

enum { FIRST_CAP = 64, PATH_BYTES = 32, READ_BYTES = 64 * 1024, FILE_MAX_BYTES = 256 * 1024 * 1024 };

void quota_bag_deinit(struct quota_bag *bag) {
    for (size_t i = 0; i < bag->n; i++) {
        free(bag->items[i].tenant);
        free(bag->items[i].resource);
        free(bag->items[i].text);
    }
    free(bag->items);
    *bag = (struct quota_bag){.items = NULL};
}

static bool make_room(struct quota_bag *bag) {
    if (bag->n < bag->cap) {
        return true;
    }
    size_t cap = bag->cap == 0 ? FIRST_CAP : 2 * bag->cap;
    struct quota_item *items = reallocarray(bag->items, cap, sizeof *items);
    if (items == NULL) {
        return false;
    }
    bag->items = items;
    bag->cap = cap;
    return true;
}

static char *copy(struct bytes text) {
    return strndup(text.len > 0 ? (const char *)text.data : "", text.len);
}

static bool add(struct quota_bag *bag, struct bytes tenant, struct bytes resource,
                const struct quota_rules *rules, int64_t revision) {
    struct buf text = {0};
    if (!make_room(bag) || !quota_json_write(rules, &text)) {
        return false;
    }
    struct quota_item item = {copy(tenant), copy(resource),
                              copy((struct bytes){buf_front(&text), buf_len(&text)}), revision};
    buf_deinit(&text);
    bag->items[bag->n++] = item;
    return item.tenant != NULL && item.resource != NULL && item.text != NULL;
}

int quota_item_compare(const struct quota_item *a, const struct quota_item *b) {
    int order = strcmp(a->tenant, b->tenant);
    return order != 0 ? order : strcmp(a->resource, b->resource);
}

static int compare(const void *left, const void *right) {
    return quota_item_compare(left, right);
}

void quota_bag_sort(struct quota_bag *bag) {
    if (bag->n > 1) {
        qsort(bag->items, bag->n, sizeof *bag->items, compare);
    }
}

/* ---- pages ---- */

static struct bytes text_of(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return (struct bytes){(const uint8_t *)json_string_value(value), json_string_length(value)};
}

static bool add_value(struct quota_bag *bag, const json_t *value, size_t place, struct status *status) {
    struct quota_rules rules;
    struct status reason = {""};
    char path[PATH_BYTES];
    struct bytes tenant = text_of(value, "tenant"), resource = text_of(value, "resource");
    snprintf(path, sizeof path, "quotas[%zu]", place);
    if (!quota_check_pattern(tenant, resource, &reason)) {
        return status_fail(status, "%s: %.300s", path, reason.text);
    }
    json_t *quota = json_object_get(value, "quota");
    if (quota == NULL) {
        return status_fail(status, "%s: 'quota' is missing", path);
    }
    snprintf(path, sizeof path, "quotas[%zu].quota", place);
    return quota_json_read_value(quota, path, &rules, status) &&
           (add(bag, tenant, resource, &rules, field_integer(value, "revision")) ||
            status_fail(status, "out of memory"));
}

bool quota_bag_add_page(void *bag_read, const json_t *page, struct status *status) {
    struct quota_bag *bag = bag_read;
    const json_t *quotas = field_list(page, "quotas");
    const char *fallback = field_text(page, "default");
    if (quotas == NULL) {
        return status_fail(status, "there is no list 'quotas' in it");
    }
    if (fallback[0] != '\0') {
        bag->is_deny = strcmp(fallback, "deny") == 0;
        bag->has_default = true;
        if (!bag->is_deny && strcmp(fallback, "allow") != 0) {
            return status_fail(status, "default: is neither allow nor deny");
        }
    }
    for (size_t i = 0; i < json_array_size(quotas); i++) {
        if (!add_value(bag, json_array_get(quotas, i), i, status)) {
            return false;
        }
    }
    return true;
}

/* ---- files ---- */

static bool add_set(struct quota_bag *bag, const struct quota_set *set, struct status *status) {
    for (uint32_t i = 0; i < quota_set_n_places(set); i++) {
        const struct quota *quota = quota_set_at(set, i);
        struct quota_rules rules;
        if (quota == NULL) {
            continue;
        }
        quota_get_rules(quota, &rules);
        if (!add(bag, quota_tenant(quota), quota_resource(quota), &rules, 0)) {
            return status_fail(status, "out of memory");
        }
    }
    bag->is_deny = quota_set_unknown(set) == QUOTA_UNKNOWN_DENY;
    return true;
}

/* Whether the file itself states a default, which a set cannot tell. */
static bool states_default(const char *name, const char *text, size_t len) {
    enum { N_FIELDS = 2 };
    static const struct yaml_field fields[N_FIELDS] = {{"default", false}, {"tenants", true}};
    struct yaml_node values[N_FIELDS];
    struct status status;
    struct yaml_file *file = yaml_file_parse(name, text, len, &status);
    bool is_stated = file != NULL && yaml_node_exists(yaml_file_root(file)) &&
                     yaml_node_fields(yaml_file_root(file), fields, N_FIELDS, values, &status) &&
                     yaml_node_exists(values[0]);
    yaml_file_destroy(&file);
    return is_stated;
}

static bool read_yaml(struct quota_bag *bag, const char *name, const char *text, size_t len,
                      struct status *status) {
    struct quota_set *set = registry_load_text(name, text, len, status);
    bool is_read = set != NULL && add_set(bag, set, status);
    quota_set_release(&set);
    bag->has_default = is_read && states_default(name, text, len);
    return is_read;
}

static bool refuse_twins(const struct quota_bag *bag, const char *name, struct status *status) {
    for (size_t i = 1; i < bag->n; i++) {
        if (quota_item_compare(&bag->items[i - 1], &bag->items[i]) == 0) {
            return status_fail(status, "%s: %s %s is there twice", name, bag->items[i].tenant,
                               bag->items[i].resource);
        }
    }
    return true;
}

static bool read_page(struct quota_bag *bag, const char *name, const json_t *page, struct status *status) {
    struct status reason = {""};
    return quota_bag_add_page(bag, page, &reason) || status_fail(status, "%s: %.400s", name, reason.text);
}

bool quota_bag_read_text(struct quota_bag *bag, const char *name, const char *text, size_t len,
                         struct status *status) {
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    bool is_read = json_object_get(json, "quotas") != NULL ? read_page(bag, name, json, status)
                                                           : read_yaml(bag, name, text, len, status);
    json_decref(json);
    if (is_read) {
        quota_bag_sort(bag);
        is_read = refuse_twins(bag, name, status);
    }
    if (!is_read) {
        quota_bag_deinit(bag);
    }
    return is_read;
}

static bool read_stream(FILE *stream, const char *name, struct buf *text, struct status *status) {
    while (buf_len(text) <= FILE_MAX_BYTES) {
        uint8_t *to = buf_reserve(text, READ_BYTES);
        if (to == NULL) {
            return status_fail(status, "%s: out of memory", name);
        }
        size_t n = fread(to, 1, READ_BYTES, stream);
        if (n == 0) {
            return !ferror(stream) || status_fail(status, "%s: cannot be read: %s", name, strerror(errno));
        }
        buf_commit(text, n);
    }
    return status_fail(status, "%s: is too large", name);
}

bool quota_bag_read_file(struct quota_bag *bag, const char *path, struct status *status) {
    bool is_stdin = strcmp(path, "-") == 0;
    const char *name = is_stdin ? "standard input" : path;
    FILE *stream = is_stdin ? stdin : fopen(path, "rbe");
    struct buf text = {0};
    if (stream == NULL) {
        return status_fail(status, "%s: cannot be opened: %s", path, strerror(errno));
    }
    bool is_read = read_stream(stream, name, &text, status);
    if (!is_stdin) {
        fclose(stream);
    }
    if (is_read) {
        const char *start = buf_len(&text) > 0 ? (const char *)buf_front(&text) : "";
        is_read = quota_bag_read_text(bag, name, start, buf_len(&text), status);
    }
    buf_deinit(&text);
    return is_read;
}
