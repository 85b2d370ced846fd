/* redis_call.c — script calls of a store that are under way; see redis_call.h. */
#include "server/store/redis_call.h"

#include <stdlib.h>

#include "server/base/clock.h"
#include "server/core/slot.h"
#include "server/store/redis_request.h"
#include "server/store/script.h"

/* `tail` holds its words. */
struct redis_call {
    struct cluster_call cluster;
    struct list in_under_way;
    struct redis_calls *calls;
    redis_call_concluded_fn concluded;
    void *operation;
    const struct quota_part *part;
    uint8_t *limits; /* in the tail */
    bool is_told;    /* what time it is there, and sent once more */
    uint8_t tail[];
};

static void call_end(struct redis_call *call, enum store_outcome outcome, const struct redis_reply *reply) {
    redis_call_concluded_fn concluded = call->concluded;
    void *operation = call->operation;
    list_remove(&call->in_under_way);
    free(call);
    concluded(operation, outcome, reply, clock_mono_us());
}

static void put_windows(struct redis_call *call, int64_t unix_us) {
    const struct quota_part *part = call->part;
    for (uint32_t i = 0; part != NULL && i < part->n_limits; i++) {
        if (bucket_is_window(&part->limits[i])) {
            script_limits_put(part->limits, part->n_limits, unix_us, call->limits);
            return;
        }
    }
}

/* The windows were of another time than Redis has, and nothing was done. */
static enum store_outcome send_again(struct redis_call *call, int64_t unix_us) {
    int64_t now_us = clock_mono_us();
    call->is_told = true;
    call->calls->calendar_us = unix_us - now_us;
    put_windows(call, unix_us);
    return cluster_submit(call->calls->cluster, &call->cluster, call->cluster.deadline_us, now_us);
}

static void call_done(struct cluster_call *cluster_call, enum store_outcome outcome,
                      const struct redis_reply *reply) {
    struct redis_call *call = list_entry(cluster_call, struct redis_call, cluster);
    int64_t unix_us;
    if (outcome == STORE_OK && !call->is_told && reply->kind == REDIS_KIND_STRING &&
        script_tells_time(reply->text, &unix_us)) {
        outcome = send_again(call, unix_us);
        if (outcome == STORE_OK) {
            return;
        }
    }
    call_end(call, outcome, reply);
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
        call->part = words->part;
        call->limits = redis_tail_argument(call->tail, n_tail_bytes, words->argument.len) + words->limits_at;
        call->is_told = false;
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
    call->calls = calls;
    call->concluded = concluded;
    call->operation = operation;
    put_windows(call, now_us + calls->calendar_us);
    enum store_outcome outcome = cluster_submit(calls->cluster, &call->cluster, deadline_us, now_us);
    if (outcome != STORE_OK) {
        free(call);
        return outcome;
    }
    list_push_back(&calls->under_way, &call->in_under_way);
    return STORE_OK;
}

void redis_call_date(struct bucket_record *record, int64_t done_at_us) {
    record->at_us += done_at_us;
    if (record->calendar_us != 0) {
        record->calendar_us -= done_at_us;
    }
}

void redis_calls_end(struct redis_calls *calls) {
    while (!list_is_empty(&calls->under_way)) {
        struct redis_call *call = list_entry(calls->under_way.next, struct redis_call, in_under_way);
        cluster_abandon(&call->cluster);
        call_end(call, STORE_DOWN, NULL);
    }
}
