/* limiter.c — allow or deny: finds the quota of a check and has a store decide; see limiter.h. */
#include "server/limit/limiter.h"

#include <stdlib.h>

#include "server/base/list.h"

struct limiter {
    struct limiter_options options;
    struct quota_set *quotas;
    struct store *store;
    struct limiter_metrics *metrics;
};

struct limiter *limiter_create(const struct limiter_options *options, struct quota_set *quotas,
                               struct store *store, struct limiter_metrics *metrics) {
    struct limiter *limiter = malloc(sizeof *limiter);
    if (limiter == NULL) {
        return NULL;
    }
    *limiter = (struct limiter){
        .options = *options, .quotas = quota_set_hold(quotas), .store = store, .metrics = metrics};
    return limiter;
}

void limiter_destroy(struct limiter **limiter) {
    if (*limiter != NULL) {
        quota_set_release(&(*limiter)->quotas);
        free(*limiter);
    }
    *limiter = NULL;
}

static void count_decision(struct limiter_metrics *metrics, const struct limiter_call *call) {
    if (call->outcome != STORE_OK) {
        metric_inc(&metrics->undecided);
        return;
    }
    if (call->peek) {
        metric_inc(&metrics->peeks);
        return;
    }
    bool allowed = call->decision.allowed;
    switch (call->decision.source) {
    case DECISION_NONE:
        metric_inc(allowed ? &metrics->allowed_none : &metrics->denied_none);
        break;
    case DECISION_STORE:
        metric_inc(allowed ? &metrics->allowed_store : &metrics->denied_store);
        break;
    case DECISION_EMBEDDED:
        metric_inc(allowed ? &metrics->allowed_embedded : &metrics->denied_embedded);
        break;
    case DECISION_LEASE:
    case DECISION_DENIED_CACHE:
    case DECISION_LOCAL:
        break;
    }
}

static void decide_by_default(struct limiter *limiter, struct limiter_call *call) {
    call->outcome = STORE_OK;
    call->decision = (struct decision){
        .allowed = quota_set_unknown(limiter->quotas) == QUOTA_UNKNOWN_ALLOW,
        .source = DECISION_NONE,
        .limit_name = "",
    };
}

static void take_verdict(struct limiter *limiter, struct limiter_call *call) {
    call->outcome = call->store.outcome;
    if (call->outcome == STORE_OK) {
        const struct bucket_verdict *verdict = &call->store.verdict;
        const struct quota *quota = call->store.quota;
        int64_t remaining_utok = verdict->remaining_utok > 0 ? verdict->remaining_utok : 0;
        call->decision = (struct decision){
            .allowed = verdict->allowed,
            .matched = true,
            .source = limiter->store->ops->source,
            .limit_name = quota->limit_names[verdict->limit_index],
            .limit_tokens = quota->limits[verdict->limit_index].burst_utok / BUCKET_UTOK_PER_TOKEN,
            .remaining_tokens = remaining_utok / BUCKET_UTOK_PER_TOKEN,
            .retry_after_us = verdict->retry_after_us,
            .reset_after_us = verdict->reset_after_us,
            .wait_us = verdict->wait_us,
        };
    }
    count_decision(limiter->metrics, call);
}

static void limiter_on_store_done(struct store_call *store_call) {
    struct limiter_call *call = list_entry(store_call, struct limiter_call, store);
    struct quota_set *held = call->held;
    take_verdict(call->limiter, call);
    call->done(call);
    quota_set_release(&held);
}

enum limiter_progress limiter_check(struct limiter *limiter, struct limiter_call *call, int64_t now_us) {
    const struct quota *quota = quota_set_find(limiter->quotas, call->tenant, call->resource);
    if (quota == NULL) {
        decide_by_default(limiter, call);
        count_decision(limiter->metrics, call);
        return LIMITER_DONE;
    }
    int64_t store_deadline_us = now_us + limiter->options.store_timeout_us;
    call->limiter = limiter;
    call->store = (struct store_call){
        .quota = quota,
        .tenant = call->tenant,
        .resource = call->resource,
        .key = call->key,
        .cost_tokens = call->cost_tokens,
        .peek = call->peek,
        .deadline_us = store_deadline_us < call->deadline_us ? store_deadline_us : call->deadline_us,
        .done = limiter_on_store_done,
    };
    if (store_check(limiter->store, &call->store, now_us) == STORE_PENDING) {
        call->held = quota_set_hold(limiter->quotas);
        return LIMITER_PENDING;
    }
    take_verdict(limiter, call);
    return LIMITER_DONE;
}
