/* quota_list.c — a page of the quotas in order; see quota_list.h. The best so far are kept in a heap. */
#include "server/core/quota_list.h"

#include <string.h>

static bool begins_with(struct bytes text, struct bytes prefix) {
    return text.len >= prefix.len && (prefix.len == 0 || memcmp(text.data, prefix.data, prefix.len) == 0);
}

static bool is_listed(const struct quota *quota, const struct quota_list *list) {
    struct bytes tenant = quota_tenant(quota), resource = quota_resource(quota);
    if (list->tenant.len > 0 && (tenant.len != list->tenant.len || !begins_with(tenant, list->tenant))) {
        return false;
    }
    return begins_with(resource, list->resource_prefix) &&
           quota_compare(quota, list->after_tenant, list->after_resource) > 0;
}

static bool is_behind(const struct quota *a, const struct quota *b) {
    return quota_compare(a, quota_tenant(b), quota_resource(b)) > 0;
}

/* Puts a quota on top of a heap whose greatest is on top, in place of what was there. */
static void heap_replace(const struct quota **heap, uint32_t n, const struct quota *quota) {
    uint32_t at = 0;
    for (uint32_t child = 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && is_behind(heap[child + 1], heap[child])) {
            child++;
        }
        if (!is_behind(heap[child], quota)) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = quota;
}

static void heap_add(const struct quota **heap, uint32_t n, const struct quota *quota) {
    uint32_t at = n;
    while (at > 0 && is_behind(quota, heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = quota;
}

uint32_t quota_list_read(const struct quota_list *list, const struct quota_set *set,
                         const struct quota **quotas, uint32_t max) {
    uint32_t n = 0, n_places = quota_set_n_places(set);
    for (uint32_t place = 0; place < n_places; place++) {
        const struct quota *quota = quota_set_at(set, place);
        if (quota == NULL || max == 0 || (n == max && !is_behind(quotas[0], quota)) ||
            !is_listed(quota, list)) {
            continue;
        }
        if (n < max) {
            heap_add(quotas, n++, quota);
        } else {
            heap_replace(quotas, n, quota);
        }
    }
    for (uint32_t unsorted = n; unsorted > 1; unsorted--) {
        const struct quota *last = quotas[0];
        heap_replace(quotas, unsorted - 1, quotas[unsorted - 1]);
        quotas[unsorted - 1] = last;
    }
    return n;
}
