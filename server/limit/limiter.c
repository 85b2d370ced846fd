/* limiter.c — allow or deny; see limiter.h. */
#include "server/limit/limiter.h"

#include <stdlib.h>

#include "server/base/list.h"
#include "server/core/bucket_name.h"

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

void limiter_set_quotas(struct limiter *limiter, struct quota_set *quotas) {
    struct quota_set *old = limiter->quotas;
    limiter->quotas = quota_set_hold(quotas);
    quota_set_release(&old);
}

const char *limiter_outcome_text(enum limiter_outcome outcome) {
    switch (outcome) {
    case LIMITER_DECIDED:
    case LIMITER_UNDECIDED:
        break;
#define LIMITER_OUTCOME_TEXT(name, text)                                                                       \
    case LIMITER_##name:                                                                                       \
        return text;
        LIMITER_REFUSALS(LIMITER_OUTCOME_TEXT)
#undef LIMITER_OUTCOME_TEXT
    }
    return "";
}

static void count_decision(struct limiter_metrics *metrics, struct limiter_call *call) {
    bool takes = call->outcome == LIMITER_DECIDED && call->decision.allowed && call->kind != LIMITER_PEEK;
    call->decision.granted_tokens = takes ? call->cost_tokens : 0;
    if (call->outcome != LIMITER_DECIDED) {
        metric_inc(&metrics->undecided);
        return;
    }
    if (call->kind == LIMITER_PEEK) {
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
    case DECISION_LOCAL:
        metric_inc(allowed ? &metrics->allowed_local : &metrics->denied_local);
        break;
    case DECISION_LEASE:
    case DECISION_DENIED_CACHE:
        break;
    }
}

static void decide_by_default(struct limiter *limiter, struct limiter_call *call) {
    call->outcome = LIMITER_DECIDED;
    call->decision = (struct decision){
        .allowed = quota_set_unknown(limiter->quotas) == QUOTA_UNKNOWN_ALLOW,
        .source = DECISION_NONE,
        .limit_name = "",
    };
}

/* A quota that needs no bucket: unlimited, or banned by a limit whose rate is 0. */
static void decide_at_once(struct limiter_call *call, const struct quota *quota) {
    call->outcome = LIMITER_DECIDED;
    call->decision = (struct decision){
        .allowed = quota->is_unlimited, .matched = true, .source = DECISION_NONE, .limit_name = ""};
    for (uint32_t i = 0; i < quota->n_limits; i++) {
        if (quota->limits[i].count == 0) {
            call->decision.limit_name = quota->limit_names[i];
            call->decision.limit_tokens = quota->limits[i].burst_utok / BUCKET_UTOK_PER_TOKEN;
            call->decision.retry_after_us = BUCKET_MAX_EXACT;
            call->decision.reset_after_us = BUCKET_MAX_EXACT;
            break;
        }
    }
}

static void decide_by_verdict(struct limiter_call *call, const struct bucket_verdict *verdict) {
    const struct quota *quota = call->quota;
    int64_t remaining_utok = verdict->remaining_utok > 0 ? verdict->remaining_utok : 0;
    call->outcome = LIMITER_DECIDED;
    call->decision = (struct decision){
        .allowed = verdict->allowed,
        .matched = true,
        .source = call->limiter->store->ops->source,
        .limit_name = quota->limit_names[call->store.part->first_limit + verdict->limit_index],
        .limit_tokens = call->store.part->limits[verdict->limit_index].burst_utok / BUCKET_UTOK_PER_TOKEN,
        .remaining_tokens = remaining_utok / BUCKET_UTOK_PER_TOKEN,
        .retry_after_us = verdict->retry_after_us,
        .reset_after_us = verdict->reset_after_us,
        .wait_us = verdict->wait_us,
    };
}

/* ---- without the store ---- */

static void count_failure(struct limiter_metrics *metrics, enum store_outcome outcome) {
    switch (outcome) {
#define FAILURE_CASE(name, field, may_have_charged, text)                                                      \
    case STORE_##name:                                                                                         \
        metric_inc(&metrics->degraded_##field);                                                                \
        break;
        STORE_FAILURES(FAILURE_CASE)
#undef FAILURE_CASE
    case STORE_OK:
        break;
    }
}

static void decide_locally(struct limiter_call *call, int64_t now_us) {
    const struct store_call *store = &call->store;
    struct bucket_verdict verdict;
    if (store_outcome_may_have_charged(store->outcome)) {
        fallback_doubt(call->limiter->options.fallback, store->hash, now_us);
    }
    fallback_check(call->limiter->options.fallback, store->hash, store->part, call->cost_tokens, now_us,
                   call->kind == LIMITER_PEEK, &verdict);
    decide_by_verdict(call, &verdict);
}

static void decide_by_policy(struct limiter_call *call, bool is_allowed) {
    call->outcome = LIMITER_DECIDED;
    call->decision = (struct decision){.allowed = is_allowed, .matched = true, .limit_name = ""};
}

static void decide_degraded(struct limiter_call *call, int64_t now_us) {
    count_failure(call->limiter->metrics, call->store.outcome);
    switch (call->quota->on_store_failure) {
    case QUOTA_FAILS_LOCAL:
        decide_locally(call, now_us);
        break;
    case QUOTA_FAILS_ALLOW:
        decide_by_policy(call, true);
        break;
    case QUOTA_FAILS_DENY:
        decide_by_policy(call, false);
        break;
    }
    call->decision.source = DECISION_LOCAL;
    call->decision.degraded = true;
}

/* ---- debts: what was granted locally goes with a check of the key ---- */

static void take_debt(struct limiter_call *call, struct fallback_debt *debt, int64_t now_us) {
    struct store_call *store = &call->store;
    if (fallback_take_debt(call->limiter->options.fallback, store->hash, store->part, now_us, debt)) {
        call->debt_utok = debt->spent_utok;
        store->charges_utok = debt->charges_utok;
    }
}

static void settle_debt(struct limiter_call *call, int64_t now_us) {
    struct limiter_metrics *metrics = call->limiter->metrics;
    if (call->store.outcome == STORE_OK) {
        metric_inc(&metrics->debts);
    } else if (store_outcome_may_have_charged(call->store.outcome)) {
        metric_inc(&metrics->debts_ambiguous);
    } else {
        metric_inc(&metrics->debts_returned);
        fallback_return_debt(call->limiter->options.fallback, call->store.hash, call->debt_utok, now_us);
    }
}

/* ---- hot keys ---- */

static void count_key(struct limiter_call *call, int64_t now_us) {
    struct hotkeys *hotkeys = call->limiter->options.hotkeys;
    if (hotkeys == NULL || call->kind == LIMITER_PEEK) {
        return;
    }
    struct hotkeys_count count = hotkeys_count(hotkeys, call->store.hash, now_us);
    call->hotkey = count.handle;
    if (count.is_new) {
        hotkeys_name(hotkeys, count.handle, call->tenant, call->resource, call->key);
    }
}

static void note_decision(struct limiter_call *call, int64_t now_us) {
    if (call->hotkey != 0 && call->outcome == LIMITER_DECIDED) {
        hotkeys_note_decision(call->limiter->options.hotkeys, call->hotkey, &call->decision, now_us);
    }
}

void limiter_tick(struct limiter *limiter, int64_t now_us) {
    struct hotkeys *hotkeys = limiter->options.hotkeys;
    if (hotkeys != NULL) {
        hotkeys_tick(hotkeys, now_us);
        metric_set(&limiter->metrics->hot_keys, hotkeys_n_hot(hotkeys));
    }
}

/* ---- the check ---- */

/* In shadow mode the answer is counted and then allowed, and nobody is told to wait. */
static void apply_mode(struct limiter_call *call, const struct quota *quota) {
    struct decision *decision = &call->decision;
    if (quota->shadow == NULL || call->outcome != LIMITER_DECIDED) {
        return;
    }
    decision->would_deny = !decision->allowed;
    decision->allowed = true;
    decision->retry_after_us = 0;
    decision->wait_us = 0;
    if (call->kind == LIMITER_PEEK) {
        return;
    }
    atomic_fetch_add_explicit(decision->would_deny ? &quota->shadow->n_would_deny : &quota->shadow->n_allowed,
                              1, memory_order_relaxed);
    if (decision->would_deny) {
        metric_inc(&call->limiter->metrics->would_deny);
    }
}

/* The store has decided, or failed to. */
static void conclude(struct limiter_call *call, int64_t now_us) {
    struct limiter *limiter = call->limiter;
    const struct store_call *store = &call->store;
    if (call->debt_utok > 0) {
        settle_debt(call, now_us);
    }
    if (store->outcome == STORE_OK) {
        decide_by_verdict(call, &store->verdict);
    } else if (limiter->options.fallback != NULL) {
        decide_degraded(call, now_us);
    } else {
        call->outcome = LIMITER_UNDECIDED;
        call->store_outcome = store->outcome;
    }
    apply_mode(call, call->quota);
    note_decision(call, now_us);
    count_decision(limiter->metrics, call);
}

static void limiter_on_store_done(struct store_call *store) {
    struct limiter_call *call = list_entry(store, struct limiter_call, store);
    struct fallback *fallback = call->limiter->options.fallback;
    struct quota_set *held = call->held;
    if (fallback != NULL && store->outcome == STORE_OK && call->quota->on_store_failure == QUOTA_FAILS_LOCAL) {
        fallback_note(fallback, store->hash, store->part, &store->record, store->verdict.full_after_us,
                      store->done_at_us);
    }
    conclude(call, store->done_at_us);
    call->done(call);
    quota_set_release(&held);
}

/* Time remains to decide without the store. */
static int64_t store_deadline(const struct limiter *limiter, const struct limiter_call *call, int64_t now_us) {
    int64_t most_us = (call->deadline_us - now_us) / 4 * 3;
    return now_us + (limiter->options.store_timeout_us < most_us ? limiter->options.store_timeout_us : most_us);
}

enum limiter_progress limiter_check(struct limiter *limiter, struct limiter_call *call, int64_t now_us) {
    const struct quota *quota = quota_set_find(limiter->quotas, call->tenant, call->resource);
    if (call->kind > LIMITER_PEEK || call->at_most || call->idempotency_key.len > 0) {
        call->outcome = LIMITER_UNDECIDED; /* no store can do this yet */
        call->store_outcome = STORE_REFUSED;
        return LIMITER_DONE;
    }
    if (quota == NULL) {
        decide_by_default(limiter, call);
        count_decision(limiter->metrics, call);
        return LIMITER_DONE;
    }
    call->limiter = limiter;
    if (quota->is_unlimited || quota->is_banned) {
        decide_at_once(call, quota);
        apply_mode(call, quota);
        count_decision(limiter->metrics, call);
        return LIMITER_DONE;
    }
    struct fallback_debt debt;
    call->quota = quota;
    call->debt_utok = 0;
    call->hotkey = 0;
    call->store = (struct store_call){
        .part = &quota->parts[0],
        .name = bucket_name_of(BUCKET_PER_KEY, call->tenant, call->resource, call->key),
        .cost_tokens = call->cost_tokens,
        .peek = call->kind == LIMITER_PEEK,
        .deadline_us = store_deadline(limiter, call, now_us),
        .done = limiter_on_store_done,
    };
    call->store.hash = bucket_name_hash(&call->store.name, limiter->options.seed);
    count_key(call, now_us);
    if (limiter->options.fallback != NULL) {
        take_debt(call, &debt, now_us);
    }
    if (store_check(limiter->store, &call->store, now_us) == STORE_PENDING) {
        call->held = quota_set_hold(limiter->quotas);
        return LIMITER_PENDING;
    }
    conclude(call, now_us);
    return LIMITER_DONE;
}
