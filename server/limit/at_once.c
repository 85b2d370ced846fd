/* at_once.c — checks that are decided with no question to the store, and so with nothing to be kept of them.
 *
 * That is nearly every check of a key that is hot: out of a lease, or since a denial stands. What is not decided here
 * goes the whole way, by checks.c, which comes to the same answers. */
#include "server/limit/limiter_state.h"

/* One record, of the key alone, in the store; and the answer is the quota's own. */
static bool can_be_decided(const struct limiter *limiter, const struct quota *quota) {
    return quota != NULL && quota->n_parts == 1 && quota->parts[0].scope == BUCKET_PER_KEY &&
           quota->shadow == NULL && limiter->store->ops->source == DECISION_STORE;
}

static void count_key(struct limiter *limiter, const struct limiter_query *query, int64_t now_us,
                      struct limiter_found *found) {
    struct hotkeys *hotkeys = limiter->options.hotkeys;
    found->is_counted = true;
    found->count = (struct hotkeys_count){0};
    if (hotkeys != NULL) {
        found->count = hotkeys_count(hotkeys, found->key_hash, now_us);
        if (found->count.is_new) {
            hotkeys_name(hotkeys, found->count.handle, query->tenant, query->resource, query->key);
        }
    }
}

static bool decide(struct limiter *limiter, const struct limiter_query *query, int64_t now_us,
                   struct limiter_found *found, struct decision *decision) {
    const struct quota *quota = found->quota;
    count_key(limiter, query, now_us, found);
    struct accounts_question question;
    question.quota = quota;
    question.part = &quota->parts[0];
    question.cost_tokens = query->cost_tokens;
    question.is_leased = found->count.is_hot;
    if (!accounts_decide(limiter->accounts, found->key_hash, &question, now_us)) {
        return false;
    }
    decision->allowed = question.verdict.allowed;
    decision->matched = true;
    decision->degraded = decision->would_deny = decision->repeated = false;
    decision->source = question.source;
    decision->is_from_purse = question.source == DECISION_LEASE && decision->allowed;
    decision->granted_tokens = decision->allowed ? query->cost_tokens : 0;
    decision->wait_us = 0; /* no leaky bucket is leased, and who is denied does not wait */
    limiter_describe(decision, quota, &quota->parts[0], &question.verdict);
    if (found->count.handle != 0) {
        hotkeys_note_decision(limiter->options.hotkeys, found->count.handle, decision, now_us);
    }
    return true;
}

bool limiter_knows(const struct limiter *limiter, struct bytes tenant, struct bytes resource) {
    return quota_memo_was_last(&limiter->memo, tenant, resource);
}

bool limiter_decide(struct limiter *limiter, const struct limiter_query *query, int64_t now_us,
                    struct limiter_found *found, struct decision *decision) {
    limiter_find(limiter, query->tenant, query->resource, query->key, found);
    const struct quota *quota = found->quota;
    if (quota != NULL && quota->shadow != NULL) {
        return false;
    }
    bool is_decided = limiter_needs_no_bucket(limiter, quota, query->cost_tokens, decision) ||
                      (can_be_decided(limiter, quota) && decide(limiter, query, now_us, found, decision));
    if (is_decided) {
        limiter_count_decision(limiter->metrics, decision);
    }
    return is_decided;
}
