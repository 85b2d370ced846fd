/* redis_call.h — script calls of a store that are under way: what each operation of redis_store.c is made of.
 *
 *   operation ─ keys, argument ─> redis_call_start ─> cluster … reply ─┬─> the operation's own `concluded`
 *                                        ^── it is another time there ─┘
 *
 * One thread. A call's memory is taken when it starts and freed before it is concluded. */
#ifndef SLUICE_STORE_REDIS_CALL_H
#define SLUICE_STORE_REDIS_CALL_H

#include <stdint.h>

#include "server/base/bytes.h"
#include "server/base/list.h"
#include "server/store/cluster.h"
#include "server/store/store.h"

enum redis_script { REDIS_SCRIPT_CHECK, REDIS_SCRIPT_TAKE, REDIS_SCRIPT_GIVE, REDIS_SCRIPT_LEASE };

/* The operations' `store` comes first: ops get a pointer to it. */
struct redis_calls {
    struct store store;
    struct cluster *cluster;
    struct list under_way;
    int64_t calendar_us; /* to be added to monotonic time for Unix time as Redis has it */
};

/* `reply` as in cluster_done_fn; `done_at_us` is now, monotonic. */
typedef void (*redis_call_concluded_fn)(void *operation, enum store_outcome outcome,
                                        const struct redis_reply *reply, int64_t done_at_us);

/* What the script is told; read only inside redis_call_start. */
struct redis_call_words {
    struct bytes keys[3]; /* in one slot */
    uint32_t n_keys;      /* the script's */
    struct bytes argument;
    const struct quota_part
        *part;        /* its limits are in the argument; lives until the call is concluded. NULL: none */
    size_t limits_at; /* there */
};

/* Windows are told the periods around the time that Redis is taken to have; when Redis knows better, the call is sent
 * once more, with those around its own. STORE_OK: under way, `concluded` is called exactly once, later. Any other outcome: it was not sent. */
enum store_outcome redis_call_start(struct redis_calls *calls, enum redis_script script,
                                    const struct redis_call_words *words, int64_t deadline_us, int64_t now_us,
                                    redis_call_concluded_fn concluded, void *operation)
    __attribute__((warn_unused_result));

/* Dates what a reply tells, from the time of the call on, in this process' monotonic time. */
void redis_call_date(struct bucket_record *record, int64_t done_at_us);

/* Concludes all that is under way as STORE_DOWN. */
void redis_calls_end(struct redis_calls *calls);

#endif
