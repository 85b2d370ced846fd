/* hotkey_list.c — rows of hot keys, and several lists made one; see hotkey_list.h. */
#include "server/core/hotkey_list.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/ensure.h"

static void append(struct hotkey_name *name, size_t at, struct bytes part, size_t max_bytes) {
    ensure(part.len, <=, max_bytes);
    if (part.len > 0) {
        memcpy(name->text + at, part.data, part.len);
    }
}

void hotkey_name_set(struct hotkey_name *name, struct bytes tenant, struct bytes resource, struct bytes key) {
    append(name, 0, tenant, QUOTA_TENANT_MAX_BYTES);
    append(name, tenant.len, resource, QUOTA_RESOURCE_MAX_BYTES);
    append(name, tenant.len + resource.len, key, QUOTA_KEY_MAX_BYTES);
    name->tenant_bytes = (uint8_t)tenant.len;
    name->resource_bytes = (uint8_t)resource.len;
    name->key_bytes = (uint16_t)key.len;
}

struct bytes hotkey_name_tenant(const struct hotkey_name *name) {
    return (struct bytes){name->text, name->tenant_bytes};
}

struct bytes hotkey_name_resource(const struct hotkey_name *name) {
    return (struct bytes){name->text + name->tenant_bytes, name->resource_bytes};
}

struct bytes hotkey_name_key(const struct hotkey_name *name) {
    return (struct bytes){name->text + name->tenant_bytes + name->resource_bytes, name->key_bytes};
}

static int compare_bytes(struct bytes a, struct bytes b) {
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_names(const void *left, const void *right) {
    const struct hotkey_name *a = &((const struct hotkey *)left)->name;
    const struct hotkey_name *b = &((const struct hotkey *)right)->name;
    int order = compare_bytes(hotkey_name_tenant(a), hotkey_name_tenant(b));
    if (order == 0) {
        order = compare_bytes(hotkey_name_resource(a), hotkey_name_resource(b));
    }
    return order != 0 ? order : compare_bytes(hotkey_name_key(a), hotkey_name_key(b));
}

static int compare_rates(const void *left, const void *right) {
    int64_t a = ((const struct hotkey *)left)->checks_per_s, b = ((const struct hotkey *)right)->checks_per_s;
    return a != b ? (a < b) - (a > b) : compare_names(left, right);
}

static void add_rates(struct hotkey *sum, const struct hotkey *row) {
    sum->checks_per_s += row->checks_per_s;
    sum->denied_per_s += row->denied_per_s;
    for (size_t i = 0; i < DECISION_N_SOURCES; i++) {
        sum->decided_per_s[i] += row->decided_per_s[i];
    }
    sum->is_hot = sum->is_hot || row->is_hot;
}

size_t hotkey_list_merge(struct hotkey *rows, size_t n_rows) {
    size_t n = 0;
    if (n_rows == 0) {
        return 0;
    }
    qsort(rows, n_rows, sizeof *rows, compare_names);
    for (size_t i = 1; i < n_rows; i++) {
        if (compare_names(&rows[n], &rows[i]) == 0) {
            add_rates(&rows[n], &rows[i]);
        } else if (++n != i) {
            rows[n] = rows[i];
        }
    }
    n++;
    qsort(rows, n, sizeof *rows, compare_rates);
    return n;
}
