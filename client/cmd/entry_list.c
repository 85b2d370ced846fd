/* entry_list.c — an array of small items and one run of bytes that their hosts lie in. */
#include "client/cmd/entry_list.h"

#include <stdlib.h>

#include "server/base/ensure.h"

enum { FIRST_CAP = 1024 };

struct entry_list_item {
    int64_t at_us;
    uint32_t host_at, host_bytes; /* host_at grows with every entry added */
};

void entry_list_init(struct entry_list *list, size_t max_entries) {
    *list = (struct entry_list){.max_entries = max_entries};
}

void entry_list_deinit(struct entry_list *list) {
    free(list->items);
    buf_deinit(&list->hosts);
    entry_list_init(list, 0);
}

static bool make_room(struct entry_list *list) {
    if (list->n < list->cap) {
        return true;
    }
    size_t cap = list->cap == 0 ? FIRST_CAP : 2 * list->cap;
    cap = cap < list->max_entries ? cap : list->max_entries;
    struct entry_list_item *items = cap > list->cap ? realloc(list->items, cap * sizeof *items) : NULL;
    if (items == NULL) {
        return false;
    }
    list->items = items;
    list->cap = cap;
    return true;
}

bool entry_list_add(struct entry_list *list, const struct access_log_entry *entry) {
    size_t host_at = buf_len(&list->hosts);
    if (host_at + entry->host.len > ENTRY_LIST_TEXT_MAX_BYTES || !make_room(list) ||
        !buf_append(&list->hosts, entry->host.data, entry->host.len)) {
        return false;
    }
    list->items[list->n++] = (struct entry_list_item){
        .at_us = entry->at_us, .host_at = (uint32_t)host_at, .host_bytes = (uint32_t)entry->host.len};
    return true;
}

/* Of one time, the one added first comes first: that makes any sort a stable one. */
static int compare_items(const void *left, const void *right) {
    const struct entry_list_item *a = left, *b = right;
    if (a->at_us != b->at_us) {
        return a->at_us < b->at_us ? -1 : 1;
    }
    return a->host_at < b->host_at ? -1 : a->host_at > b->host_at;
}

void entry_list_sort(struct entry_list *list) {
    ensure(list->n_taken, ==, 0);
    if (list->n > 1) {
        qsort(list->items, list->n, sizeof *list->items, compare_items);
    }
}

bool entry_list_take(struct entry_list *list, struct access_log_entry *entry) {
    if (list->n_taken == list->n) {
        return false;
    }
    const struct entry_list_item *item = &list->items[list->n_taken++];
    *entry = (struct access_log_entry){
        .host = {buf_front(&list->hosts) + item->host_at, item->host_bytes},
        .at_us = item->at_us,
    };
    return true;
}
