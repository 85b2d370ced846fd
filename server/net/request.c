/* request.c — the pool of calls under way; see request.h. */
#include "server/net/request.h"

#include <stdlib.h>
#include <string.h>

void request_pool_init(struct request_pool *pool) {
    list_init(&pool->free);
    pool->n_free = 0;
}

void request_pool_deinit(struct request_pool *pool) {
    struct list *node;
    while ((node = list_pop_front(&pool->free)) != NULL) {
        free(list_entry(node, struct request, in_pool));
    }
    pool->n_free = 0;
}

struct request *request_borrow(struct request_pool *pool, uint32_t n_items) {
    struct request *request;
    if (n_items == 1 && !list_is_empty(&pool->free)) {
        request = list_entry(list_pop_front(&pool->free), struct request, in_pool);
        pool->n_free--;
    } else {
        request = malloc(sizeof *request + n_items * sizeof request->items[0]);
        if (request == NULL) {
            return NULL;
        }
    }
    request->conn = NULL;
    request->n_items = n_items;
    request->n_pending = 0;
    request->is_counted = request->all_or_nothing = request->is_granted = false;
    request->names = NULL;
    list_init(&request->in_conn);
    list_init(&request->in_pool);
    return request;
}

static void keep(struct bytes *bytes, uint8_t **to) {
    if (bytes->len > 0) {
        memcpy(*to, bytes->data, bytes->len);
    }
    bytes->data = *to;
    *to += bytes->len;
}

bool request_keep_names(struct request *request) {
    size_t n_bytes = 1; /* so that even empty names are somewhere */
    for (uint32_t i = 0; i < request->n_items; i++) {
        const struct limiter_call *call = &request->items[i].call;
        n_bytes += call->tenant.len + call->resource.len + call->key.len;
    }
    uint8_t *to = malloc(n_bytes);
    request->names = to;
    for (uint32_t i = 0; to != NULL && i < request->n_items; i++) {
        struct limiter_call *call = &request->items[i].call;
        keep(&call->tenant, &to);
        keep(&call->resource, &to);
        keep(&call->key, &to);
    }
    return request->names != NULL;
}

void request_return(struct request_pool *pool, struct request **request) {
    free((*request)->names);
    (*request)->names = NULL;
    if ((*request)->n_items == 1 && pool->n_free < REQUEST_POOL_MAX) {
        /* The most recently used memory is the warmest. */
        list_push_front(&pool->free, &(*request)->in_pool);
        pool->n_free++;
    } else {
        free(*request);
    }
    *request = NULL;
}
