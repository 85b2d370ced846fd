/* request.h — a call under way: who waits for it, and the checks it consists of.
 *
 * Borrowed from the worker's pool and given back when answered. It outlives its connection: when that closes,
 * the request is orphaned (conn becomes NULL), its answers are dropped, and it is returned once its last check
 * is done. One thread. */
#ifndef SLUICE_NET_REQUEST_H
#define SLUICE_NET_REQUEST_H

#include <stdint.h>

#include "proto/wire.h"
#include "server/base/list.h"
#include "server/limit/limiter.h"
#include "server/net/answer.h"
#include "server/net/conn.h"

struct request_item {
    struct request *request;
    struct answer answer; /* set once the item is not pending */
    struct limiter_call call;
};

struct request {
    struct service *service;
    struct conn *conn; /* NULL once orphaned */
    struct list in_conn;
    struct list in_pool;
    uint64_t id;
    enum wire_call call;
    int64_t started_at_us, deadline_us;
    uint32_t n_items, n_pending;
    bool is_counted;                 /* among the connection's checks in flight */
    bool all_or_nothing, is_granted; /* what a batch is to be, and is */
    uint8_t *names;                  /* of all its checks, when they are needed again; owned, else NULL */
    struct request_item items[];
};

enum { REQUEST_POOL_MAX = 4096 };

/* Keeps requests of one item for reuse; larger ones come from the heap. */
struct request_pool {
    struct list free;
    uint32_t n_free;
};

void request_pool_init(struct request_pool *pool);
void request_pool_deinit(struct request_pool *pool);

/* A request of `n_items` items, all out fields unset; NULL when memory is short. */
struct request *request_borrow(struct request_pool *pool, uint32_t n_items);
void request_return(struct request_pool *pool, struct request **request);

/* Makes the names in the items' calls, which they borrow, the request's own. False when memory is short. */
bool request_keep_names(struct request *request) __attribute__((warn_unused_result));

#endif
