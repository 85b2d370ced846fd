/* checks.c — a check over all records of its quota: what many keys share first, then the key's own; all or none. */
#include <stdlib.h>
#include <string.h>

#include "server/base/ensure.h"
#include "server/limit/limiter_state.h"

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

static void decide_locally(struct limiter_call *call, struct claim *claim, int64_t now_us) {
    struct fallback *fallback = call->limiter->options.fallback;
    bool is_peek = call->kind == LIMITER_PEEK;
    int64_t cost_tokens = claim->cost_tokens;
    if (store_outcome_may_have_charged(claim->outcome)) {
        fallback_doubt(fallback, claim->hash, now_us);
    }
    fallback_check(fallback, claim->hash, claim->part, cost_tokens, now_us, is_peek, &claim->verdict);
    int64_t there_tokens = claim->verdict.remaining_utok / BUCKET_UTOK_PER_TOKEN;
    if (!claim->verdict.allowed && claim->at_most && there_tokens >= 1 && there_tokens < cost_tokens) {
        cost_tokens = there_tokens;
        fallback_check(fallback, claim->hash, claim->part, cost_tokens, now_us, is_peek, &claim->verdict);
    }
    claim->granted_tokens = claim->verdict.allowed && !is_peek ? cost_tokens : 0;
}

static void decide_by_policy(struct claim *claim, bool is_allowed) {
    claim->verdict = (struct bucket_verdict){.allowed = is_allowed, .remaining_utok = INT64_MAX};
    claim->granted_tokens = is_allowed ? claim->cost_tokens : 0;
    claim->limit_is_unknown = true;
}

/* The store has failed for this claim: the quota says what decides. False when nobody does. */
static bool degrade(struct limiter_call *call, struct claim *claim, int64_t now_us) {
    if (call->limiter->options.fallback == NULL) {
        return false;
    }
    if (!call->is_degraded) {
        count_failure(call->limiter->metrics, claim->outcome);
    }
    call->is_degraded = true;
    switch (call->quota->on_store_failure) {
    case QUOTA_FAILS_LOCAL:
        decide_locally(call, claim, now_us);
        break;
    case QUOTA_FAILS_ALLOW:
        decide_by_policy(claim, true);
        break;
    case QUOTA_FAILS_DENY:
        decide_by_policy(claim, false);
        break;
    }
    claim->outcome = STORE_OK;
    claim->source = DECISION_LOCAL;
    return true;
}

/* ---- the claims ---- */

static uint32_t n_claims(const struct limiter_call *call) {
    return call->quota->n_parts;
}

static void free_claims(struct limiter_call *call) {
    if (call->claims != &call->claim) {
        free(call->claims);
    }
    call->claims = NULL;
}

static void count_key(struct limiter_call *call, struct claim *own, int64_t now_us) {
    struct hotkeys *hotkeys = call->limiter->options.hotkeys;
    if (hotkeys == NULL) {
        return;
    }
    if (!call->found.is_counted) {
        call->found.count = hotkeys_count(hotkeys, call->found.key_hash, now_us);
        if (call->found.count.is_new) {
            hotkeys_name(hotkeys, call->found.count.handle, call->tenant, call->resource, call->key);
        }
    }
    call->hotkey = call->found.count.handle;
    own->is_leased = own->is_leased || call->found.count.is_hot;
}

static void claim_on_done(struct claim *claim, int64_t now_us);

/* One is in the call. Of several, the first is asked for when the caller's bytes may be gone, and a reservation is to be
 * found again when its time is over: their names are copied. */
static bool place_claims(struct limiter_call *call) {
    uint32_t n = n_claims(call);
    if (n == 1 && (call->kind != LIMITER_RESERVE || !call->returns_on_timeout)) {
        call->claims = &call->claim;
        return true;
    }
    call->claims = malloc(n * sizeof *call->claims + limiter_names_bytes(call));
    if (call->claims != NULL) {
        limiter_copy_names(call, (uint8_t *)(call->claims + n));
    }
    return call->claims != NULL;
}

bool checks_make_claims(struct limiter_call *call) {
    uint32_t n = n_claims(call);
    ensure(n, >=, 1);
    if (!place_claims(call)) {
        call->outcome = LIMITER_UNDECIDED;
        call->store_outcome = STORE_NO_MEMORY;
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct claim *claim = &call->claims[i];
        const struct quota_part *part = &call->quota->parts[i];
        *claim = (struct claim){
            .quota = call->quota,
            .part = part,
            .name = limiter_name_of(call, part),
            .cost_tokens = call->cost_tokens,
            .at_most = call->at_most,
            .is_leased = part->scope != BUCKET_PER_KEY,
            .is_one_of_many = n > 1,
            .deadline_us = call->store_deadline_us,
            .owner = call,
            .done = claim_on_done,
        };
        claim->hash = part->scope == BUCKET_PER_KEY
                          ? call->found.key_hash
                          : bucket_name_hash(&claim->name, call->limiter->options.seed);
    }
    return true;
}

static void give_back_from(struct limiter_call *call, uint32_t first, int64_t now_us) {
    for (uint32_t i = first; i < n_claims(call); i++) {
        struct claim *claim = &call->claims[i];
        if (claim->granted_tokens == 0 || claim->limit_is_unknown) {
            continue;
        }
        if (claim->source == DECISION_LOCAL) {
            fallback_give_back(call->limiter->options.fallback, claim->hash, claim->part, claim->granted_tokens,
                               now_us);
            claim->granted_tokens = 0;
        } else {
            accounts_give_back(call->limiter->accounts, claim, claim->granted_tokens, now_us);
            accounts_keep(claim);
        }
    }
}

/* ---- the decision ---- */

/* The longest denial; or else the limit with the least left. */
static const struct claim *find_deciding(const struct limiter_call *call, bool is_allowed) {
    const struct claim *deciding = NULL;
    for (uint32_t i = 0; i < n_claims(call); i++) {
        const struct claim *claim = &call->claims[i];
        if (claim->verdict.allowed != is_allowed || !claim->is_answered) {
            continue;
        }
        bool decides =
            deciding == NULL || (is_allowed ? claim->verdict.remaining_utok < deciding->verdict.remaining_utok
                                            : claim->verdict.retry_after_us > deciding->verdict.retry_after_us);
        deciding = decides ? claim : deciding;
    }
    return deciding;
}

static void describe(struct decision *decision, const struct claim *claim) {
    decision->source = claim->source;
    if (!claim->limit_is_unknown) {
        limiter_describe(decision, claim->quota, claim->part, &claim->verdict);
    }
}

/* What a check cost those who decided: the store, if one of the records was asked there. */
static enum decision_source source_of_all(const struct limiter_call *call, enum decision_source source) {
    for (uint32_t i = 0; i < n_claims(call); i++) {
        const struct claim *claim = &call->claims[i];
        if (claim->source == DECISION_LOCAL || (claim->source == DECISION_STORE && source == DECISION_LEASE)) {
            source = claim->source;
        }
    }
    return source;
}

static void decide(struct limiter_call *call, bool is_allowed) {
    struct decision *decision = &call->decision;
    *decision = (struct decision){.allowed = is_allowed, .matched = true, .limit_name = ""};
    decision->is_from_purse = call->claims[0].is_from_purse;
    describe(decision, find_deciding(call, is_allowed));
    for (uint32_t i = 0; i < n_claims(call); i++) {
        const struct claim *claim = &call->claims[i];
        decision->degraded = decision->degraded || claim->source == DECISION_LOCAL;
        if (is_allowed && claim->verdict.wait_us > decision->wait_us) {
            decision->wait_us = claim->verdict.wait_us;
        }
    }
    if (is_allowed) {
        decision->source = source_of_all(call, decision->source);
    }
}

/* Of what the others gave, no more is kept than the first one grants. */
static void keep_all(struct limiter_call *call, int64_t n_tokens, int64_t now_us) {
    for (uint32_t i = 0; i < n_claims(call); i++) {
        struct claim *claim = &call->claims[i];
        int64_t n_over = claim->granted_tokens - n_tokens;
        if (claim->source == DECISION_LOCAL) {
            if (n_over > 0 && !claim->limit_is_unknown) {
                fallback_give_back(call->limiter->options.fallback, claim->hash, claim->part, n_over, now_us);
            }
            continue;
        }
        if (n_over > 0) {
            accounts_give_back(call->limiter->accounts, claim, n_over, now_us);
        }
        accounts_keep(claim);
    }
}

static int64_t least_granted(const struct limiter_call *call, uint32_t first) {
    int64_t least = call->cost_tokens;
    for (uint32_t i = first; i < n_claims(call); i++) {
        least = call->claims[i].granted_tokens < least ? call->claims[i].granted_tokens : least;
    }
    return least;
}

/* Did every claim from `first` on get an answer (or a stand-in for one), and was each granted? */
static bool judge(struct limiter_call *call, uint32_t first, int64_t now_us) {
    bool is_granted = true;
    for (uint32_t i = first; i < n_claims(call); i++) {
        struct claim *claim = &call->claims[i];
        if (!claim->is_asked) {
            is_granted = false;
            continue;
        }
        if (!claim->is_answered && claim->outcome != STORE_OK && !degrade(call, claim, now_us)) {
            call->outcome = LIMITER_UNDECIDED;
            call->store_outcome = claim->outcome;
            claim->granted_tokens = 0;
            claim->verdict = (struct bucket_verdict){0};
        }
        claim->is_answered = true;
        is_granted = is_granted && claim->verdict.allowed;
    }
    return is_granted;
}

static void end(struct limiter_call *call, bool is_granted, int64_t now_us) {
    if (call->outcome == LIMITER_DECIDED) {
        decide(call, is_granted);
    }
    if (is_granted) {
        call->decision.granted_tokens = call->kind == LIMITER_PEEK ? 0 : least_granted(call, 0);
        keep_all(call, call->decision.granted_tokens, now_us);
    } else {
        give_back_from(call, 0, now_us);
    }
    free_claims(call);
}

void checks_decide(struct limiter_call *call, int64_t now_us) {
    end(call, judge(call, 0, now_us), now_us);
}

void checks_drop(struct limiter_call *call, int64_t now_us) {
    give_back_from(call, 0, now_us);
    free_claims(call);
}

/* ---- what is told again ---- */

bool checks_sum_up(const struct limiter_call *call, bool is_allowed, struct store_elsewhere *sum) {
    const struct claim *deciding = find_deciding(call, is_allowed);
    if (deciding == NULL || deciding->limit_is_unknown || (!is_allowed && deciding->source == DECISION_LOCAL)) {
        return false;
    }
    sum->limit_id = deciding->part->limits[deciding->verdict.limit_index].id;
    sum->verdict = deciding->verdict;
    for (uint32_t i = 1; is_allowed && i < n_claims(call); i++) {
        int64_t wait_us = call->claims[i].verdict.wait_us;
        sum->verdict.wait_us = wait_us > sum->verdict.wait_us ? wait_us : sum->verdict.wait_us;
    }
    return true;
}

/* The claim on the limit's part says what it said then. False: the quota has no such limit any more. */
static bool recall_limit(struct limiter_call *call, const struct store_elsewhere *earlier) {
    for (uint32_t i = 1; i < n_claims(call); i++) {
        struct claim *claim = &call->claims[i];
        for (uint32_t j = 0; j < claim->part->n_limits; j++) {
            if (claim->part->limits[j].id == earlier->limit_id) {
                claim->verdict = earlier->verdict;
                claim->verdict.limit_index = j;
                claim->is_answered = true;
                claim->limit_is_unknown = false;
                return true;
            }
        }
    }
    return false;
}

void checks_recall(struct limiter_call *call, const struct store_elsewhere *earlier, int64_t now_us) {
    struct claim *first = &call->claims[0];
    bool is_denied = earlier != NULL && !earlier->verdict.allowed;
    give_back_from(call, 1, now_us);
    for (uint32_t i = 1; i < n_claims(call); i++) {
        call->claims[i].source = first->source;
        call->claims[i].verdict = (struct bucket_verdict){0};
        call->claims[i].is_answered = false;
    }
    bool is_recalled = earlier != NULL && recall_limit(call, earlier);
    first->is_answered = !is_denied || !is_recalled;
    first->limit_is_unknown = is_denied;
    decide(call, first->verdict.allowed && !is_denied);
    call->decision.repeated = true;
    call->decision.granted_tokens = first->granted_tokens;
    free_claims(call);
}

/* ---- the way of a check ---- */

static enum claim_progress ask(struct limiter_call *call, uint32_t i, int64_t now_us) {
    struct claim *claim = &call->claims[i];
    claim->is_asked = true;
    enum claim_progress progress = accounts_claim(call->limiter->accounts, claim, now_us);
    call->n_pending += progress == CLAIM_PENDING;
    return progress;
}

/* The key's own record, or the first one, by the others' leave. */
static enum limiter_progress ask_first(struct limiter_call *call, int64_t now_us) {
    struct claim *first = &call->claims[0];
    call->is_at_first = true;
    first->cost_tokens = least_granted(call, 1);
    if (bookings_wants(call)) {
        first->is_asked = true;
        return bookings_take(call, false, now_us);
    }
    if (ask(call, 0, now_us) == CLAIM_PENDING) {
        return LIMITER_PENDING;
    }
    checks_decide(call, now_us);
    return LIMITER_DONE;
}

/* The others have their answers. If they deny it, none of them keeps anything, whatever is known of it at the first. */
static enum limiter_progress go_on(struct limiter_call *call, int64_t now_us) {
    if (judge(call, 1, now_us)) {
        return ask_first(call, now_us);
    }
    if (call->outcome == LIMITER_DECIDED && bookings_remembers(call)) {
        give_back_from(call, 1, now_us);
        return bookings_take(call, true, now_us);
    }
    end(call, false, now_us);
    return LIMITER_DONE;
}

static void claim_on_done(struct claim *claim, int64_t now_us) {
    struct limiter_call *call = claim->owner;
    call->n_pending--;
    if (call->n_pending > 0) {
        return;
    }
    if (call->is_at_first) {
        checks_decide(call, now_us);
        limiter_finish(call, now_us);
    } else if (go_on(call, now_us) == LIMITER_DONE) {
        limiter_finish(call, now_us);
    }
}

/* Nearly every check: its quota has one record, and nothing is noted beside it. What many claims come to is then what
 * the one has come to. */
static enum limiter_progress check_one(struct limiter_call *call, int64_t now_us) {
    const struct claim *claim = &call->claims[0];
    call->is_at_first = true;
    if (ask(call, 0, now_us) == CLAIM_PENDING) {
        return LIMITER_PENDING;
    }
    if (claim->outcome != STORE_OK) {
        checks_decide(call, now_us);
        return LIMITER_DONE;
    }
    call->decision.allowed = claim->verdict.allowed;
    call->decision.matched = true;
    call->decision.wait_us = claim->verdict.allowed ? claim->verdict.wait_us : 0;
    call->decision.granted_tokens = claim->granted_tokens;
    call->decision.is_from_purse = claim->is_from_purse;
    describe(&call->decision, claim);
    free_claims(call);
    return LIMITER_DONE;
}

enum limiter_progress checks_start(struct limiter_call *call, int64_t now_us) {
    call->is_at_first = false;
    if (!checks_make_claims(call)) {
        return LIMITER_DONE;
    }
    count_key(call, &call->claims[0], now_us);
    if (n_claims(call) == 1 && !bookings_wants(call)) {
        return check_one(call, now_us);
    }
    bool is_denied = false;
    for (uint32_t i = 1; i < n_claims(call) && !is_denied; i++) {
        const struct claim *claim = &call->claims[i];
        is_denied = ask(call, i, now_us) == CLAIM_DONE && claim->outcome == STORE_OK && !claim->verdict.allowed;
    }
    return call->n_pending > 0 ? LIMITER_PENDING : go_on(call, now_us);
}
