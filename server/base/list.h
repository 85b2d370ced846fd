/* list.h — an intrusive doubly linked list: a node lives inside the struct it links.
 *
 * Nothing is allocated. A head is initialised with list_init and is a ring with itself when empty. */
#ifndef SLUICE_BASE_LIST_H
#define SLUICE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev, *next;
};

/* The struct of `type` whose member `member` is the node `node`. */
#define list_entry(node, type, member) ((type *)(void *)(((char *)(node)) - offsetof(type, member)))

static inline void list_init(struct list *head) {
    head->prev = head->next = head;
}

static inline bool list_is_empty(const struct list *head) {
    return head->next == head;
}

static inline void list_push_back(struct list *head, struct list *node) {
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_push_front(struct list *head, struct list *node) {
    list_push_back(head->next, node);
}

/* Unlinks and leaves the node a ring with itself, so that removing twice is harmless. */
static inline void list_remove(struct list *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* The first node, unlinked; NULL when empty. */
static inline struct list *list_pop_front(struct list *head) {
    if (list_is_empty(head)) {
        return NULL;
    }
    struct list *node = head->next;
    list_remove(node);
    return node;
}

/* Moves every node of `from` behind those of `to`. */
static inline void list_append_all(struct list *to, struct list *from) {
    struct list *node;
    while ((node = list_pop_front(from)) != NULL) {
        list_push_back(to, node);
    }
}

#endif
