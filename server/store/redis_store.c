/* redis_store.c — a store that asks Redis; see redis_store.h. */
#include "server/store/redis_store.h"

#include <stdlib.h>

#include "server/base/clock.h"
#include "server/base/list.h"
#include "server/core/decision.h"
#include "server/store/cluster.h"
#include "server/store/redis_call.h"
#include "server/store/redis_take.h"
#include "server/store/script.h"
#include "server/store/script_lease.h"
#include "server/store/store_key.h"

#define REFRESH_EVERY_US INT64_C(1000000)

static struct redis_calls *redis_calls_of(struct store *store) {
    return list_entry(store, struct redis_calls, store);
}

static struct script_check script_check_of(const struct store_call *call) {
    return (struct script_check){.limits = call->part->limits,
                                 .n_limits = call->part->n_limits,
                                 .cost_tokens = call->cost_tokens,
                                 .peek = call->peek,
                                 .charges_utok = call->charges_utok};
}

static void check_concluded(void *operation, enum store_outcome outcome, const struct redis_reply *reply,
                            int64_t done_at_us) {
    struct store_call *call = operation;
    call->outcome = outcome;
    call->done_at_us = done_at_us;
    if (outcome == STORE_OK) {
        struct script_check script = script_check_of(call);
        if (reply->kind == REDIS_KIND_STRING &&
            script_check_parse(reply->text, &script, &call->verdict, &call->record)) {
            redis_call_date(&call->record, done_at_us);
        } else {
            call->outcome = STORE_BAD_REPLY;
        }
    }
    call->done(call);
}

static enum store_outcome start_check(struct redis_calls *calls, struct store_call *call, int64_t now_us) {
    uint8_t key[STORE_KEY_MAX_BYTES], argument[SCRIPT_CHECK_ARG_MAX_BYTES];
    struct script_check script = script_check_of(call);
    struct redis_call_words words = {
        .keys = {{.data = key, .len = store_key_write(&call->name, key, sizeof key)}},
        .n_keys = 1,
        .argument = {.data = argument, .len = script_check_pack(&script, argument, sizeof argument)},
        .part = call->part,
        .limits_at = SCRIPT_CHECK_HEAD_BYTES,
    };
    if (words.keys[0].len == 0 || words.argument.len == 0) {
        return STORE_REFUSED; /* beyond the limits that quota.h sets */
    }
    return redis_call_start(calls, REDIS_SCRIPT_CHECK, &words, call->deadline_us, now_us, check_concluded,
                            call);
}

static enum store_progress redis_check(struct store *store, struct store_call *call, int64_t now_us) {
    enum store_outcome outcome = start_check(redis_calls_of(store), call, now_us);
    if (outcome == STORE_OK) {
        return STORE_PENDING;
    }
    call->outcome = outcome;
    return STORE_DONE;
}

static bool redis_is_ready(const struct store *store) {
    const struct redis_calls *calls = (const struct redis_calls *)(const void *)store;
    return cluster_is_ready(calls->cluster);
}

static void redis_destroy(struct store *store) {
    struct redis_calls *calls = redis_calls_of(store);
    redis_calls_end(calls);
    cluster_destroy(&calls->cluster);
    free(calls);
}

struct store *redis_store_create(struct ev_loop *loop, const struct redis_store_options *options,
                                 struct redis_metrics *metrics, struct status *status) {
    static const struct store_ops ops = {
        .source = DECISION_STORE,
        .check = redis_check,
        .take = redis_take,
        .give = redis_give,
        .lease = redis_lease,
        .is_ready = redis_is_ready,
        .destroy = redis_destroy,
    };
    static const struct script *const scripts[] = {
        [REDIS_SCRIPT_CHECK] = &script_check,
        [REDIS_SCRIPT_TAKE] = &script_take,
        [REDIS_SCRIPT_GIVE] = &script_give,
        [REDIS_SCRIPT_LEASE] = &script_lease,
    };
    struct redis_calls *calls = malloc(sizeof *calls);
    if (calls == NULL) {
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
    *calls = (struct redis_calls){.store.ops = &ops, .calendar_us = clock_wall_us() - clock_mono_us()};
    list_init(&calls->under_way);
    calls->cluster = cluster_create(loop, &cluster_options, metrics, &reason);
    if (calls->cluster == NULL) {
        status_fail(status, "redis store: %s", reason.text);
        free(calls);
        return NULL;
    }
    return &calls->store;
}
