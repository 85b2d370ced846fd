/* redis_call.c — script calls of a store that are under way; see redis_call.h. */
#include "server/store/redis_call.h"

#include <stdlib.h>

#include "server/base/clock.h"
#include "server/core/slot.h"
#include "server/store/redis_request.h"

/* `tail` holds its words. */
struct redis_call {
    struct cluster_call cluster;
    struct list in_under_way;
    redis_call_concluded_fn concluded;
    void *operation;
    uint8_t tail[];
};

static void call_end(struct redis_call *call, enum store_outcome outcome, const struct redis_reply *reply) {
    redis_call_concluded_fn concluded = call->concluded;
    void *operation = call->operation;
    list_remove(&call->in_under_way);
    free(call);
    concluded(operation, outcome, reply, clock_mono_us());
}

static void call_done(struct cluster_call *cluster_call, enum store_outcome outcome,
                      const struct redis_reply *reply) {
    call_end(list_entry(cluster_call, struct redis_call, cluster), outcome, reply);
}

/* NULL when memory is short. */
static struct redis_call *call_create(enum redis_script script, const struct redis_call_words *words) {
    size_t n_bytes = words->argument.len + REDIS_TAIL_EXTRA_BYTES;
    for (uint32_t i = 0; i < words->n_keys; i++) {
        n_bytes += words->keys[i].len + REDIS_WORD_EXTRA_BYTES;
    }
    struct redis_call *call = malloc(sizeof *call + n_bytes);
    if (call != NULL) {
        size_t n_tail_bytes = redis_put_tail_of_keys(words->keys, words->n_keys, words->argument, call->tail);
        call->cluster = (struct cluster_call){
            .slot = slot_of_key(words->keys[0]),
            .script = (uint16_t)script,
            .tail = {.data = call->tail, .len = n_tail_bytes},
            .done = call_done,
        };
        list_init(&call->in_under_way);
    }
    return call;
}

enum store_outcome redis_call_start(struct redis_calls *calls, enum redis_script script,
                                    const struct redis_call_words *words, int64_t deadline_us, int64_t now_us,
                                    redis_call_concluded_fn concluded, void *operation) {
    struct redis_call *call = call_create(script, words);
    if (call == NULL) {
        return STORE_NO_MEMORY;
    }
    call->concluded = concluded;
    call->operation = operation;
    enum store_outcome outcome = cluster_submit(calls->cluster, &call->cluster, deadline_us, now_us);
    if (outcome != STORE_OK) {
        free(call);
        return outcome;
    }
    list_push_back(&calls->under_way, &call->in_under_way);
    return STORE_OK;
}

void redis_calls_end(struct redis_calls *calls) {
    while (!list_is_empty(&calls->under_way)) {
        struct redis_call *call = list_entry(calls->under_way.next, struct redis_call, in_under_way);
        cluster_abandon(&call->cluster);
        call_end(call, STORE_DOWN, NULL);
    }
}
