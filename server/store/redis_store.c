/* redis_store.c — a store that asks Redis; see redis_store.h. */
#include "server/store/redis_store.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/clock.h"
#include "server/base/list.h"
#include "server/core/decision.h"
#include "server/core/slot.h"
#include "server/store/cluster.h"
#include "server/store/redis_request.h"
#include "server/store/script.h"
#include "server/store/store_key.h"

#define REFRESH_EVERY_US INT64_C(1000000)

enum script_index { SCRIPT_INDEX_CHECK };

struct redis_store {
    struct store store;
    struct cluster *cluster;
    struct list calls;   /* under way */
    int64_t calendar_us; /* what is to be added to monotonic time for Unix time, by Redis' last word */
};

/* One check under way; `tail` holds its words. */
struct check {
    struct cluster_call cluster;
    struct list in_calls;
    struct redis_store *redis;
    struct store_call *call;
    uint8_t *limits; /* in the tail */
    bool is_told;    /* what time it is, and asked once more */
    uint8_t tail[];
};

static struct redis_store *redis_store_of(struct store *store) {
    return list_entry(store, struct redis_store, store);
}

static struct script_check script_check_of(const struct store_call *call, int64_t unix_us) {
    return (struct script_check){.limits = call->part->limits,
                                 .n_limits = call->part->n_limits,
                                 .cost_tokens = call->cost_tokens,
                                 .unix_us = unix_us,
                                 .peek = call->peek,
                                 .charges_utok = call->charges_utok};
}

static void check_free(struct check *check) {
    list_remove(&check->in_calls);
    free(check);
}

/* The record that comes along tells Redis' time: the next windows are packed by it. */
static void conclude(struct redis_store *redis, struct store_call *call, enum store_outcome outcome,
                     const struct redis_reply *reply) {
    call->outcome = outcome;
    call->done_at_us = clock_mono_us();
    if (outcome == STORE_OK) {
        struct script_check script = script_check_of(call, 0);
        if (reply->kind == REDIS_KIND_STRING &&
            script_check_parse(reply->text, &script, &call->verdict, &call->record)) {
            call->record.at_us += call->done_at_us;
            call->record.calendar_us -= call->done_at_us;
            redis->calendar_us = call->record.calendar_us;
        } else {
            call->outcome = STORE_BAD_REPLY;
        }
    }
    call->done(call);
}

/* Windows around another time than Redis has were sent along, and nothing was done; now around that one. */
static enum store_outcome ask_again(struct check *check, int64_t unix_us) {
    const struct quota_part *part = check->call->part;
    int64_t now_us = clock_mono_us();
    check->is_told = true;
    check->redis->calendar_us = unix_us - now_us;
    script_limits_put(part->limits, part->n_limits, unix_us, check->limits);
    return cluster_submit(check->redis->cluster, &check->cluster, check->call->deadline_us, now_us);
}

static void check_done(struct cluster_call *cluster_call, enum store_outcome outcome,
                       const struct redis_reply *reply) {
    struct check *check = list_entry(cluster_call, struct check, cluster);
    struct redis_store *redis = check->redis;
    struct store_call *call = check->call;
    int64_t unix_us;
    if (outcome == STORE_OK && !check->is_told && reply->kind == REDIS_KIND_STRING &&
        script_tells_time(reply->text, &unix_us)) {
        outcome = ask_again(check, unix_us);
        if (outcome == STORE_OK) {
            return;
        }
    }
    check_free(check);
    conclude(redis, call, outcome, reply);
}

/* NULL when memory is short. */
static struct check *check_create(struct redis_store *redis, struct store_call *call, struct bytes key,
                                  struct bytes argument) {
    struct check *check = malloc(sizeof *check + key.len + argument.len + REDIS_TAIL_EXTRA_BYTES);
    if (check != NULL) {
        size_t n_tail_bytes = redis_put_tail(key, argument, check->tail);
        check->cluster = (struct cluster_call){
            .slot = slot_of_key(key),
            .script = SCRIPT_INDEX_CHECK,
            .tail = {.data = check->tail, .len = n_tail_bytes},
            .done = check_done,
        };
        check->redis = redis;
        check->call = call;
        check->limits = redis_tail_argument(check->tail, n_tail_bytes, argument.len) + SCRIPT_CHECK_HEAD_BYTES;
        check->is_told = false;
        list_init(&check->in_calls);
    }
    return check;
}

static enum store_outcome start_check(struct redis_store *redis, struct store_call *call, int64_t now_us) {
    uint8_t key[STORE_KEY_MAX_BYTES], argument[SCRIPT_CHECK_ARG_MAX_BYTES];
    struct bytes key_bytes = {.data = key, .len = store_key_write(&call->name, key, sizeof key)};
    struct script_check script = script_check_of(call, now_us + redis->calendar_us);
    struct bytes argument_bytes = {.data = argument,
                                   .len = script_check_pack(&script, argument, sizeof argument)};
    if (key_bytes.len == 0 || argument_bytes.len == 0) {
        return STORE_REFUSED; /* beyond the limits that quota.h sets */
    }
    struct check *check = check_create(redis, call, key_bytes, argument_bytes);
    if (check == NULL) {
        return STORE_NO_MEMORY;
    }
    enum store_outcome outcome = cluster_submit(redis->cluster, &check->cluster, call->deadline_us, now_us);
    if (outcome != STORE_OK) {
        check_free(check);
        return outcome;
    }
    list_push_back(&redis->calls, &check->in_calls);
    return STORE_OK;
}

static enum store_progress redis_check(struct store *store, struct store_call *call, int64_t now_us) {
    enum store_outcome outcome = start_check(redis_store_of(store), call, now_us);
    if (outcome == STORE_OK) {
        return STORE_PENDING;
    }
    call->outcome = outcome;
    return STORE_DONE;
}

static bool redis_is_ready(const struct store *store) {
    const struct redis_store *redis = (const struct redis_store *)(const void *)store;
    return cluster_is_ready(redis->cluster);
}

static void redis_destroy(struct store *store) {
    struct redis_store *redis = redis_store_of(store);
    while (!list_is_empty(&redis->calls)) {
        struct check *check = list_entry(redis->calls.next, struct check, in_calls);
        struct store_call *call = check->call;
        cluster_abandon(&check->cluster);
        check_free(check);
        conclude(redis, call, STORE_DOWN, NULL);
    }
    cluster_destroy(&redis->cluster);
    free(redis);
}

struct store *redis_store_create(struct ev_loop *loop, const struct redis_store_options *options,
                                 struct redis_metrics *metrics, struct status *status) {
    static const struct store_ops ops = {
        .source = DECISION_STORE,
        .check = redis_check,
        .is_ready = redis_is_ready,
        .destroy = redis_destroy,
    };
    static const struct script *const scripts[] = {[SCRIPT_INDEX_CHECK] = &script_check};
    struct redis_store *redis = malloc(sizeof *redis);
    if (redis == NULL) {
        status_fail(status, "redis store: out of memory");
        return NULL;
    }
    struct cluster_options cluster_options = {
        .nodes = options->nodes,
        .user = options->user,
        .password = options->password,
        .connect_timeout_us =
            options->connect_timeout_us > 0 ? options->connect_timeout_us : REDIS_STORE_CONNECT_TIMEOUT_US,
        .max_inflight_per_node = options->max_inflight_per_node > 0 ? options->max_inflight_per_node
                                                                    : REDIS_STORE_MAX_INFLIGHT_PER_NODE,
        .refresh_every_us = REFRESH_EVERY_US,
        .breaker = options->breaker,
        .slot_board = options->slot_board,
        .scripts = scripts,
        .n_scripts = sizeof scripts / sizeof scripts[0],
    };
    struct status reason;
    *redis = (struct redis_store){.store.ops = &ops, .calendar_us = clock_wall_us() - clock_mono_us()};
    list_init(&redis->calls);
    redis->cluster = cluster_create(loop, &cluster_options, metrics, &reason);
    if (redis->cluster == NULL) {
        status_fail(status, "redis store: %s", reason.text);
        free(redis);
        return NULL;
    }
    return &redis->store;
}
