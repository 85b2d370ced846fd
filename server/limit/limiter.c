/* limiter.c — which way a call goes, and how its end is counted; see limiter.h. */
#include "server/limit/limiter.h"

#include <stdlib.h>
#include <string.h>

#include "server/limit/limiter_state.h"

struct limiter *limiter_create(const struct limiter_options *options, struct quota_set *quotas,
                               struct store *store, struct limiter_metrics *metrics) {
    struct limiter *limiter = calloc(1, sizeof *limiter);
    if (limiter == NULL) {
        return NULL;
    }
    *limiter = (struct limiter){
        .options = *options, .quotas = quota_set_hold(quotas), .store = store, .metrics = metrics};
    struct accounts_options accounts_options = {
        .store = store,
        .fallback = options->fallback,
        .store_timeout_us = options->store_timeout_us,
        .metrics = &metrics->accounts,
    };
    limiter->accounts = accounts_create(&accounts_options);
    if (limiter->accounts == NULL) {
        limiter_destroy(&limiter);
    }
    return limiter;
}

void limiter_destroy(struct limiter **limiter) {
    if (*limiter != NULL) {
        accounts_destroy(&(*limiter)->accounts);
        returns_deinit(&(*limiter)->returns);
        quota_set_release(&(*limiter)->quotas);
        free(*limiter);
    }
    *limiter = NULL;
}

void limiter_set_quotas(struct limiter *limiter, struct quota_set *quotas) {
    struct quota_set *old = limiter->quotas;
    limiter->quotas = quota_set_hold(quotas);
    quota_memo_clear(&limiter->memo);
    quota_set_release(&old);
}

const char *limiter_outcome_text(enum limiter_outcome outcome) {
    switch (outcome) {
    case LIMITER_DECIDED:
    case LIMITER_UNDECIDED:
        return "";
#define LIMITER_TEXT(name, text)                                                                               \
    case LIMITER_##name:                                                                                       \
        return text;
        LIMITER_REFUSALS(LIMITER_TEXT)
#undef LIMITER_TEXT
    }
    return "";
}

/* ---- counting ---- */

void limiter_count_decision(struct limiter_metrics *metrics, const struct decision *decision) {
    bool allowed = decision->allowed;
    switch (decision->source) {
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
        metric_inc(allowed ? &metrics->allowed_lease : &metrics->denied_lease);
        break;
    case DECISION_DENIED_CACHE:
        metric_inc(&metrics->denied_denied_cache); /* in shadow mode as well: it was a denial */
        break;
    }
}

static void count_call(const struct limiter_call *call) {
    struct limiter_metrics *metrics = call->limiter->metrics;
    if (call->outcome == LIMITER_UNDECIDED) {
        metric_inc(&metrics->undecided);
        return;
    }
    if (call->decision.repeated || call->booking.repeated) {
        metric_inc(&metrics->repeated);
    }
    if (call->outcome != LIMITER_DECIDED) {
        return;
    }
    switch (call->kind) {
    case LIMITER_CHECK:
    case LIMITER_RESERVE:
        limiter_count_decision(metrics, &call->decision);
        break;
    case LIMITER_PEEK:
        metric_inc(&metrics->peeks);
        break;
    case LIMITER_REFUND:
        metric_inc(&metrics->refunds);
        break;
    case LIMITER_SETTLE:
        metric_inc(&metrics->settlements);
        break;
    }
}

/* In shadow mode the answer is counted and then allowed, and nobody is told to wait. */
static void apply_mode(struct limiter_call *call) {
    struct decision *decision = &call->decision;
    struct quota_shadow *shadow = call->quota != NULL ? call->quota->shadow : NULL;
    bool decides = call->kind != LIMITER_REFUND && call->kind != LIMITER_SETTLE;
    if (shadow == NULL || !decides || call->outcome != LIMITER_DECIDED) {
        return;
    }
    decision->would_deny = !decision->allowed;
    decision->allowed = true;
    decision->retry_after_us = 0;
    decision->wait_us = 0;
    if (call->kind == LIMITER_PEEK) {
        return;
    }
    if (decision->would_deny) {
        decision->granted_tokens = call->cost_tokens;
        metric_inc(&call->limiter->metrics->would_deny);
    }
    atomic_fetch_add_explicit(decision->would_deny ? &shadow->n_would_deny : &shadow->n_allowed, 1,
                              memory_order_relaxed);
}

void limiter_conclude(struct limiter_call *call, int64_t now_us) {
    apply_mode(call);
    if (call->hotkey != 0 && call->outcome == LIMITER_DECIDED) {
        hotkeys_note_decision(call->limiter->options.hotkeys, call->hotkey, &call->decision, now_us);
    }
    count_call(call);
}

void limiter_finish(struct limiter_call *call, int64_t now_us) {
    struct quota_set *held = call->held;
    limiter_conclude(call, now_us);
    call->done(call);
    quota_set_release(&held);
}

/* ---- what needs no bucket ---- */

/* A limit whose rate is 0. */
static void describe_ban(const struct quota *quota, struct decision *decision) {
    for (uint32_t i = 0; i < quota->n_limits; i++) {
        if (quota->limits[i].count == 0) {
            decision->limit_name = quota->limit_names[i];
            decision->limit_tokens = quota->limits[i].burst_utok / BUCKET_UTOK_PER_TOKEN;
            decision->retry_after_us = BUCKET_MAX_EXACT;
            decision->reset_after_us = BUCKET_MAX_EXACT;
            break;
        }
    }
}

bool limiter_needs_no_bucket(const struct limiter *limiter, const struct quota *quota, int64_t cost_tokens,
                             struct decision *decision) {
    if (quota != NULL && !quota->is_unlimited && !quota->is_banned) {
        return false;
    }
    bool allowed =
        quota != NULL ? quota->is_unlimited : quota_set_unknown(limiter->quotas) == QUOTA_UNKNOWN_ALLOW;
    *decision = (struct decision){.allowed = allowed,
                                  .matched = quota != NULL,
                                  .source = DECISION_NONE,
                                  .limit_name = "",
                                  .granted_tokens = allowed ? cost_tokens : 0};
    if (quota != NULL && !allowed) {
        describe_ban(quota, decision);
    }
    return true;
}

/* ---- the call ---- */

struct bucket_name limiter_name_of(const struct limiter_call *call, const struct quota_part *part) {
    struct bytes key = call->names.key;
    if (part->scope != BUCKET_PER_KEY) {
        const char *limit_name = call->quota->limit_names[part->first_limit];
        key = (struct bytes){.data = (const uint8_t *)limit_name, .len = strlen(limit_name)};
    }
    return bucket_name_of(part->scope, call->names.tenant, call->names.resource, key);
}

size_t limiter_names_bytes(const struct limiter_call *call) {
    const struct limiter_names *names = &call->names;
    return names->tenant.len + names->resource.len + names->key.len + names->idempotency_key.len;
}

void limiter_copy_names(struct limiter_call *call, uint8_t *at) {
    call->names.tenant = bytes_copy(&at, call->names.tenant);
    call->names.resource = bytes_copy(&at, call->names.resource);
    call->names.key = bytes_copy(&at, call->names.key);
    call->names.idempotency_key = bytes_copy(&at, call->names.idempotency_key);
}

/* Of what is left of a request's time, a quarter is kept to decide without the store. */
static int64_t store_deadline(const struct limiter_call *call, int64_t now_us) {
    return now_us + (call->deadline_us - now_us) / 4 * 3;
}

static enum limiter_progress start(struct limiter_call *call, int64_t now_us) {
    switch (call->kind) {
    case LIMITER_CHECK:
    case LIMITER_RESERVE:
        return checks_start(call, now_us);
    case LIMITER_PEEK:
        return peeks_start(call, now_us);
    case LIMITER_REFUND:
    case LIMITER_SETTLE:
        return bookings_give(call, now_us);
    }
    return LIMITER_DONE;
}

void limiter_find(struct limiter *limiter, struct bytes tenant, struct bytes resource, struct bytes key,
                  struct limiter_found *found) {
    const struct quota_memo_place *place =
        quota_memo_find(&limiter->memo, limiter->quotas, limiter->options.seed, tenant, resource);
    found->quota = place->quota;
    found->is_counted = false;
    if (place->quota != NULL && !place->quota->is_unlimited) {
        found->key_hash = bucket_name_hash_key(place->prefix, key);
    }
}

/* All that a call has before it is known what becomes of it. */
static void begin(struct limiter *limiter, struct limiter_call *call) {
    call->limiter = limiter;
    call->names = (struct limiter_names){call->tenant, call->resource, call->key, call->idempotency_key};
    if (!call->is_found) {
        limiter_find(limiter, call->tenant, call->resource, call->key, &call->found);
    }
    call->is_found = false;
    call->quota = call->found.quota;
    call->outcome = LIMITER_DECIDED;
    call->decision = (struct decision){.limit_name = ""};
    call->booking = (struct limiter_booking){.limit_name = ""};
    call->hotkey = 0;
    call->n_pending = 0;
    call->booking_call = NULL;
    call->is_degraded = false;
}

enum limiter_progress limiter_check(struct limiter *limiter, struct limiter_call *call, int64_t now_us) {
    begin(limiter, call);
    int64_t cost_tokens = call->kind == LIMITER_PEEK ? 0 : call->cost_tokens;
    if (limiter_needs_no_bucket(limiter, call->quota, cost_tokens, &call->decision)) {
        call->booking.matched = call->quota != NULL;
        limiter_conclude(call, now_us);
        return LIMITER_DONE;
    }
    call->store_deadline_us = store_deadline(call, now_us);
    call->held = limiter->quotas; /* held once the call is pending */
    if (start(call, now_us) == LIMITER_PENDING) {
        quota_set_hold(call->held);
        return LIMITER_PENDING;
    }
    limiter_conclude(call, now_us);
    return LIMITER_DONE;
}

void limiter_forget(struct limiter *limiter, struct hash128 hash) {
    accounts_forget(limiter->accounts, hash);
}

void limiter_tick(struct limiter *limiter, int64_t now_us) {
    struct hotkeys *hotkeys = limiter->options.hotkeys;
    if (hotkeys != NULL) {
        hotkeys_tick(hotkeys, now_us);
        metric_set(&limiter->metrics->hot_keys, hotkeys_n_hot(hotkeys));
    }
    accounts_tick(limiter->accounts, now_us);
    bookings_tick(limiter, now_us);
}

void limiter_drain(struct limiter *limiter, int64_t now_us) {
    accounts_drain(limiter->accounts, now_us);
}
