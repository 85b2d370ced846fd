/* redis_take.h — the operations of redis_store.c beside `check`: take, give and lease, as struct store_ops has them. */
#ifndef SLUICE_STORE_REDIS_TAKE_H
#define SLUICE_STORE_REDIS_TAKE_H

#include <stdint.h>

#include "server/store/store.h"

/* `store` is the first member of a struct redis_calls. */
enum store_progress redis_take(struct store *store, struct store_take *take, int64_t now_us);
enum store_progress redis_give(struct store *store, struct store_give *give, int64_t now_us);
enum store_progress redis_lease(struct store *store, struct store_lease *lease, int64_t now_us);

#endif
