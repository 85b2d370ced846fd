/* judge.c — a limiter and its store, alone together. */
#include "client/cmd/judge.h"

#include <stdlib.h>

#include "server/limit/limiter.h"
#include "server/store/embedded_store.h"

struct judge {
    struct store *store;
    struct limiter *limiter;
    struct limiter_metrics limiter_metrics;
    struct embedded_metrics store_metrics;
};

struct judge *judge_create(struct quota_set *quotas, uint64_t max_keys, struct status *status) {
    static const struct limiter_options options = {.store_timeout_us = 0};
    struct judge *judge = calloc(1, sizeof *judge);
    if (judge == NULL) {
        status_fail(status, "out of memory");
        return NULL;
    }
    judge->store = embedded_store_create(max_keys, quota_set_max_limits(quotas), &judge->store_metrics, status);
    if (judge->store != NULL) {
        judge->limiter = limiter_create(&options, quotas, judge->store, &judge->limiter_metrics);
        if (judge->limiter == NULL) {
            status_fail(status, "out of memory");
        }
    }
    if (judge->limiter == NULL) {
        judge_destroy(&judge);
    }
    return judge;
}

void judge_destroy(struct judge **judge) {
    if (*judge != NULL) {
        limiter_destroy(&(*judge)->limiter);
        store_destroy(&(*judge)->store);
    }
    free(*judge);
    *judge = NULL;
}

/* The embedded store decides at once, so a call is never pending. */
bool judge_decide(struct judge *judge, const struct judge_request *request, int64_t now_us,
                  struct decision *decision) {
    struct limiter_call call = {
        .tenant = request->tenant,
        .resource = request->resource,
        .key = request->key,
        .cost_tokens = request->cost_tokens,
        .deadline_us = INT64_MAX,
    };
    limiter_check(judge->limiter, &call, now_us);
    *decision = call.decision;
    return call.outcome == LIMITER_DECIDED;
}

bool judge_denies(const struct decision *decision) {
    return !decision->allowed || decision->would_deny;
}

uint64_t judge_n_shared(const struct judge *judge) {
    return metric_get(&judge->store_metrics.overflowed);
}
