/* entry_list.h — keeps the entries of a log in bounded memory and gives them back, by time if asked to.
 *
 * Used by log_source only. At most the given number of entries and ENTRY_LIST_TEXT_MAX_BYTES of their hosts are
 * kept. One thread. */
#ifndef SLUICE_CLIENT_CMD_ENTRY_LIST_H
#define SLUICE_CLIENT_CMD_ENTRY_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/cmd/access_log.h"
#include "server/base/buf.h"

enum { ENTRY_LIST_TEXT_MAX_BYTES = 64 * 1024 * 1024 };

struct entry_list {
    size_t max_entries;
    struct entry_list_item *items;
    size_t n, cap;
    size_t n_taken;
    struct buf hosts;
};

void entry_list_init(struct entry_list *list, size_t max_entries);
void entry_list_deinit(struct entry_list *list);

/* Copies an entry to the end. False when the list is full or memory is short; it is unchanged then. */
bool entry_list_add(struct entry_list *list, const struct access_log_entry *entry)
    __attribute__((warn_unused_result));
/* Sorts by time; those of one time stay in the order they were added. Only before the first take, and nothing
 * may be added after it. */
void entry_list_sort(struct entry_list *list);
/* Gives the next entry; its host is borrowed until the next add. False when there is none left. */
bool entry_list_take(struct entry_list *list, struct access_log_entry *entry)
    __attribute__((warn_unused_result));

#endif
