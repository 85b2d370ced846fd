/* account_call.c — the calls of the store that an account makes, and what their answers mean for who waits. */
#include <stdlib.h>

#include "server/base/ensure.h"
#include "server/limit/account.h"

/* Checks that are expected within a lease time: of fewer, one in fifty would leave a token unused. */
enum { LEAST_AHEAD = 4 };

static struct claim *claim_of(struct list *node) {
    return list_entry(node, struct claim, in_account);
}

/* ---- debts: what was granted locally goes with the next call ---- */

/* NULL: nothing is owed. */
static const int64_t *take_debt(struct account *account, struct fallback_debt *debt, int64_t now_us) {
    struct fallback *fallback = account->owner->options.fallback;
    account->debt_utok = 0;
    if (fallback == NULL || !fallback_take_debt(fallback, account->hash, account->part, now_us, debt)) {
        return NULL;
    }
    account->debt_utok = debt->spent_utok;
    return debt->charges_utok;
}

static void settle_debt(struct account *account, enum store_outcome outcome, int64_t now_us) {
    struct accounts_metrics *metrics = account->owner->options.metrics;
    if (account->debt_utok == 0) {
        return;
    }
    if (outcome == STORE_OK) {
        metric_inc(&metrics->debts);
    } else if (store_outcome_may_have_charged(outcome)) {
        metric_inc(&metrics->debts_ambiguous);
    } else {
        metric_inc(&metrics->debts_returned);
        fallback_return_debt(account->owner->options.fallback, account->hash, account->debt_utok, now_us);
    }
    account->debt_utok = 0;
}

enum { ROUND_TRIP_WEIGHT = 8 };

static void note_round_trip(struct account *account, int64_t now_us) {
    struct accounts *accounts = account->owner;
    accounts->round_trip_us += (now_us - account->asked_at_us - accounts->round_trip_us) / ROUND_TRIP_WEIGHT;
}

/* The store has decided. */
static void note_record(struct account *account, const struct bucket_record *record, int64_t full_after_us,
                        int64_t now_us) {
    struct fallback *fallback = account->owner->options.fallback;
    note_round_trip(account, now_us);
    if (fallback != NULL && account->quota->on_store_failure == QUOTA_FAILS_LOCAL) {
        fallback_note(fallback, account->hash, account->part, record, full_after_us, now_us);
    }
}

/* ---- answers ---- */

static void answer(struct claim *claim, const struct bucket_verdict *verdict, enum decision_source source) {
    claim->outcome = STORE_OK;
    claim->source = source;
    claim->verdict = *verdict;
    claim->granted_tokens = verdict->allowed ? claim->cost_tokens : 0;
}

/* The claim is one of many, and may yet give the tokens back: to this purse, or to the store. */
static void hold(struct account *account, struct claim *claim, uint32_t purse) {
    if (claim->is_one_of_many && claim->granted_tokens > 0) {
        claim->account = account;
        claim->purse = purse;
        claim->epoch = account->purse.epoch;
        account->n_held += claim->granted_tokens;
        account->n_held_now += purse > 0 ? claim->granted_tokens : 0;
    }
}

static int64_t instant_after(int64_t at_us, int64_t us) {
    return us < BUCKET_MAX_EXACT ? at_us + us : BUCKET_MAX_EXACT;
}

/* A denial by the store stands until its time; for `at_most_us` only, when somebody else may give tokens back. */
static void keep_denial(struct account *account, const struct claim *claim, int64_t at_most_us) {
    const struct bucket_verdict *verdict = &claim->verdict;
    int64_t retry_us = verdict->retry_after_us < at_most_us ? verdict->retry_after_us : at_most_us;
    int64_t remaining_utok = verdict->remaining_utok > 0 ? verdict->remaining_utok : 0;
    struct denial denial = {
        .until_us = account->asked_at_us + retry_us,
        .retry_at_us = instant_after(account->asked_at_us, verdict->retry_after_us),
        .full_at_us = instant_after(account->asked_at_us, verdict->reset_after_us),
        .cost_tokens = claim->at_most ? 1 : (uint32_t)claim->cost_tokens,
        .remaining_tokens = (uint32_t)(remaining_utok / BUCKET_UTOK_PER_TOKEN),
        .revision = account_revision(claim->quota, claim->part),
        .limit_index = verdict->limit_index,
    };
    if (retry_us > 0) {
        denied_keep(account->owner->denied, account->hash, &denial, account->asked_at_us);
    }
}

/* The smallest that was denied says most. */
static void keep_least_denial(struct account *account, int64_t at_most_us) {
    const struct claim *least = NULL;
    for (struct list *node = account->asked.next; node != &account->asked; node = node->next) {
        const struct claim *claim = claim_of(node);
        bool is_denied = claim->outcome == STORE_OK && !claim->verdict.allowed;
        if (is_denied && (least == NULL || claim->cost_tokens < least->cost_tokens)) {
            least = claim;
        }
    }
    if (least != NULL && !account->is_outdated) {
        keep_denial(account, least, at_most_us);
    }
}

static void fail_all(struct account *account, enum store_outcome outcome) {
    for (struct list *node = account->asked.next; node != &account->asked; node = node->next) {
        claim_of(node)->outcome = outcome;
    }
}

/* ---- one claim: a check ---- */

static void check_ended(struct account *account, int64_t now_us) {
    const struct store_call *call = &account->call.check;
    settle_debt(account, call->outcome, now_us);
    if (call->outcome != STORE_OK) {
        fail_all(account, call->outcome);
    } else {
        note_record(account, &call->record, call->verdict.full_after_us, now_us);
        answer(claim_of(account->asked.next), &call->verdict, DECISION_STORE);
        hold(account, claim_of(account->asked.next), 0);
        keep_least_denial(account, DENIED_MAX_US);
    }
    account_on_done(account, now_us);
}

static void check_on_done(struct store_call *call) {
    check_ended(list_entry(call, struct account, call.check), call->done_at_us);
}

static void ask_check(struct account *account, int64_t now_us) {
    struct fallback_debt debt;
    account->asks = ACCOUNT_CHECKS;
    account->call.check = (struct store_call){
        .part = account->part,
        .name = account->name,
        .hash = account->hash,
        .cost_tokens = claim_of(account->asked.next)->cost_tokens,
        .charges_utok = take_debt(account, &debt, now_us),
        .deadline_us = account->deadline_us,
        .done = check_on_done,
    };
    metric_inc(&account->owner->options.metrics->calls_check);
    if (store_check(account->owner->options.store, &account->call.check, now_us) == STORE_DONE) {
        check_ended(account, now_us);
    }
}

/* ---- several at once, or one that is content with less: a take ---- */

static void take_ended(struct account *account, int64_t now_us) {
    const struct store_take *take = &account->call.take;
    settle_debt(account, take->outcome, now_us);
    if (take->outcome != STORE_OK) {
        fail_all(account, take->outcome);
    } else {
        uint32_t i = 0;
        for (struct list *node = account->asked.next; node != &account->asked; node = node->next, i++) {
            struct claim *claim = claim_of(node);
            answer(claim, &take->wishes[i].verdict, DECISION_STORE);
            claim->granted_tokens = take->at_most ? take->granted_tokens : claim->granted_tokens;
            hold(account, claim, 0);
        }
        note_record(account, &take->record, take->wishes[i - 1].verdict.full_after_us, now_us);
        keep_least_denial(account, DENIED_MAX_US);
    }
    free(account->wishes);
    account->wishes = NULL;
    account_on_done(account, now_us);
}

static void take_on_done(struct store_take *take) {
    take_ended(list_entry(take, struct account, call.take), take->done_at_us);
}

static void ask_take(struct account *account, int64_t now_us) {
    struct fallback_debt debt;
    account->wishes = calloc(account->n_asked, sizeof *account->wishes);
    account->asks = ACCOUNT_TAKES;
    if (account->wishes == NULL) {
        account->call.take.outcome = STORE_NO_MEMORY;
        take_ended(account, now_us);
        return;
    }
    uint32_t i = 0;
    for (struct list *node = account->asked.next; node != &account->asked; node = node->next) {
        account->wishes[i++].cost_tokens = claim_of(node)->cost_tokens;
    }
    account->call.take = (struct store_take){
        .part = account->part,
        .name = account->name,
        .hash = account->hash,
        .wishes = account->wishes,
        .n_wishes = account->n_asked,
        .at_most = claim_of(account->asked.next)->at_most,
        .charges_utok = take_debt(account, &debt, now_us),
        .deadline_us = account->deadline_us,
        .done = take_on_done,
    };
    metric_inc(&account->owner->options.metrics->calls_take);
    metric_add(&account->owner->options.metrics->coalesced, account->n_asked > 1 ? account->n_asked : 0);
    if (store_take(account->owner->options.store, &account->call.take, now_us) == STORE_DONE) {
        ensure(account->call.take.outcome, !=, STORE_OK);
        take_ended(account, now_us);
    }
}

/* ---- a lease ---- */

/* Until the limit is full, if what is left in the purse is not used. */
static int64_t reset_after(const struct account *account, int64_t now_us) {
    int64_t reset_us = account->standing.reset_after_us - (now_us - account->standing_at_us), saved_us = 0;
    if (reset_us > 0 && account->standing_token_us > 0 &&
        __builtin_mul_overflow(lease_purse_left(&account->purse, now_us), account->standing_token_us,
                               &saved_us)) {
        return 0;
    }
    return reset_us > saved_us ? reset_us - saved_us : 0;
}

bool account_draw(struct account *account, int64_t cost_tokens, int64_t now_us,
                  struct bucket_verdict *verdict) {
    int64_t when_us = 0;
    enum lease_take taken = lease_purse_take(&account->purse, cost_tokens, now_us, &when_us);
    if (taken == LEASE_EMPTY) {
        return false;
    }
    const struct bucket_verdict *standing = &account->standing;
    int64_t ready_utok = lease_purse_ready(&account->purse, now_us) * BUCKET_UTOK_PER_TOKEN;
    verdict->allowed = taken == LEASE_TAKEN;
    verdict->changed = false;
    verdict->limit_index = standing->limit_index;
    verdict->remaining_utok = ready_utok + (standing->remaining_utok > 0 ? standing->remaining_utok : 0);
    verdict->retry_after_us = verdict->allowed ? 0 : when_us - now_us;
    verdict->reset_after_us = reset_after(account, now_us);
    verdict->wait_us = 0; /* of token buckets */
    verdict->full_after_us = standing->full_after_us;
    return true;
}

bool account_take_from_purse(struct account *account, struct claim *claim, int64_t now_us) {
    struct bucket_verdict verdict;
    int64_t cost_tokens = claim->cost_tokens;
    if (claim->at_most) {
        int64_t ready = lease_purse_ready(&account->purse, now_us);
        cost_tokens = ready < 1 ? 1 : ready < cost_tokens ? ready : cost_tokens;
    }
    if (!account_draw(account, cost_tokens, now_us, &verdict)) {
        return false;
    }
    answer(claim, &verdict, DECISION_LEASE);
    if (verdict.allowed) {
        claim->granted_tokens = cost_tokens;
        claim->is_from_purse = true;
    }
    hold(account, claim, account->purse_number);
    return true;
}

/* In their order, as far as the purse goes; who goes without is told what the record says, with what the purse took out
 * of it. */
static void hand_out(struct account *account, const struct bucket_record *record, int64_t now_us) {
    for (struct list *node = account->asked.next; node != &account->asked; node = node->next) {
        struct claim *claim = claim_of(node);
        struct bucket_record levels = *record;
        struct bucket_verdict verdict;
        if (account_take_from_purse(account, claim, now_us)) {
            claim->source = DECISION_STORE; /* it had to wait for it */
            continue;
        }
        int64_t left_utok = lease_purse_left(&account->purse, now_us) * BUCKET_UTOK_PER_TOKEN;
        for (uint32_t i = 0; i < levels.n_levels; i++) {
            levels.levels[i].utok += left_utok;
        }
        bucket_check(&levels, account->part->limits, account->part->n_limits,
                     claim->at_most ? 1 : claim->cost_tokens, now_us, true, &verdict);
        verdict.allowed = false;
        answer(claim, &verdict, DECISION_STORE);
    }
}

static void lease_ended(struct account *account, int64_t now_us) {
    const struct store_lease *lease = &account->call.lease;
    const struct quota_part *part = account->part;
    settle_debt(account, lease->outcome, now_us);
    if (lease->outcome != STORE_OK) {
        fail_all(account, lease->outcome);
        account_on_done(account, now_us);
        return;
    }
    struct bucket_record levels = lease->record;
    int64_t n_granted = lease->grant.n_there + lease->grant.n_to_come;
    bucket_check(&levels, part->limits, part->n_limits, 1, now_us, true, &account->standing);
    account->standing_at_us = now_us;
    const struct bucket_limit *limit = &part->limits[account->standing.limit_index];
    account->standing_token_us = BUCKET_UTOK_PER_TOKEN * limit->period_s / limit->count;
    note_record(account, &lease->record, account->standing.full_after_us, now_us);
    lease_purse_fill(&account->purse, &lease->grant, part->limits, part->n_limits, lease->wish.lease_us,
                     account->asked_at_us, now_us);
    account->purse_number++;
    metric_add(&account->owner->options.metrics->leased_tokens, (uint64_t)n_granted);
    hand_out(account, &lease->record, now_us);
    if (account->is_outdated) {
        account_forget_tokens(account);
    } else if (n_granted == 0) {
        /* What others hold may come back; and what they have told meanwhile is in the record. */
        keep_least_denial(account, lease->grant.n_others > 0 ? LEASE_TIME_MAX_US : DENIED_MAX_US);
    }
    account_on_done(account, now_us);
}

static void lease_on_done(struct store_lease *lease) {
    lease_ended(list_entry(lease, struct account, call.lease), lease->done_at_us);
}

/* A call tells of one epoch, and first of the older one, which lapses sooner: what became of tokens of earlier purses and
 * of this one; the rest waits for the next call. What claims still hold is told when it is known. */
static void tell_oldest(struct account *account, struct lease_told *told) {
    struct lease_told *late = account->late;
    if (told->n_tokens > 0) {
        account_add_late(account, told->epoch, told->n_tokens - account->n_held_now, told->n_unused);
    }
    account->n_held_now = 0;
    bool is_first = late[1].n_tokens == 0 || (late[0].n_tokens > 0 && late[0].epoch < late[1].epoch);
    struct lease_told *oldest = is_first ? &late[0] : &late[1];
    *told = *oldest;
    *oldest = (struct lease_told){0};
}

static void ask_lease(struct account *account, struct lease_wish wish, int64_t now_us) {
    struct fallback_debt debt;
    account->asks = ACCOUNT_LEASES;
    tell_oldest(account, &wish.told);
    account->purse_number++;
    metric_add(&account->owner->options.metrics->returned_tokens, (uint64_t)wish.told.n_unused);
    account->call.lease = (struct store_lease){
        .part = account->part,
        .name = account->name,
        .hash = account->hash,
        .wish = wish,
        .charges_utok = take_debt(account, &debt, now_us),
        .deadline_us = account->deadline_us,
        .done = lease_on_done,
    };
    metric_inc(&account->owner->options.metrics->calls_lease);
    if (store_lease(account->owner->options.store, &account->call.lease, now_us) == STORE_DONE) {
        ensure(account->call.lease.outcome, !=, STORE_OK);
        lease_ended(account, now_us);
    }
}

/* ---- which of them ---- */

/* One that is content with less has a take of its own; a lease serves it like any other. */
static bool goes_along(const struct account *account, struct list *node, bool is_lease) {
    const struct claim *claim = claim_of(node);
    bool is_alone =
        !is_lease && account->n_asked > 0 && (claim->at_most || claim_of(account->asked.next)->at_most);
    return account->n_asked < ACCOUNT_MAX_ASKED && !is_alone && account_fits(account, claim->part);
}

/* Moves those who wait to those who are asked for, as far as one call serves them; returns what they cost in all. */
static int64_t begin(struct account *account, bool is_lease, int64_t now_us) {
    int64_t n_tokens = 0;
    account->asked_at_us = now_us;
    account->deadline_us = now_us + account->owner->options.store_timeout_us;
    account->n_asked = 0;
    account->is_outdated = false;
    while (!list_is_empty(&account->waiting) && goes_along(account, account->waiting.next, is_lease)) {
        struct claim *claim = claim_of(list_pop_front(&account->waiting));
        list_push_back(&account->asked, &claim->in_account);
        account->n_asked++;
        n_tokens += claim->cost_tokens;
        account->deadline_us =
            claim->deadline_us < account->deadline_us ? claim->deadline_us : account->deadline_us;
    }
    return n_tokens;
}

static bool can_be_leased(const struct quota_part *part) {
    bool is_leasable = true;
    for (uint32_t i = 0; i < part->n_limits; i++) {
        is_leasable = is_leasable && part->limits[i].algorithm == BUCKET_TOKEN;
    }
    return is_leasable;
}

/* Of a key's own record a lease that holds no time is nothing but a take. What many keys share is leased even so, no
 * more than is needed: what a check gives back then was accounted for all the while. */
static bool is_worth_a_lease(const struct quota_part *part, int64_t lease_us) {
    return lease_us > 0 || (part->scope != BUCKET_PER_KEY && can_be_leased(part));
}

/* The quota may have changed since the account was made: each is decided by that with which it came. A purse goes on
 * where the new limits can be leased as well. */
static void follow_quota(struct account *account) {
    const struct claim *first = claim_of(account->waiting.next);
    if (!account_fits(account, first->part) && !can_be_leased(first->part)) {
        account_forget_tokens(account);
    }
    if (first->part != account->part) {
        quota_release(&account->quota);
        /* Held as what it is: only the count of holds changes. */
        account->quota = quota_hold((struct quota *)(uintptr_t)first->quota);
        account->part = first->part;
    }
}

/* 0: for no longer than it takes to ask. A lease that is over when it comes serves nobody; and tokens that may wait in
 * vain for somebody who wants them are better left where all can have them. */
static int64_t find_lease_us(const struct account *account, int64_t now_us) {
    int64_t lease_us = lease_time_us(account->part->limits, account->part->n_limits);
    int64_t n_ahead = lease_pace_per_s(&account->pace, now_us) * lease_us / 1000000;
    return lease_us > 2 * account->owner->round_trip_us && n_ahead >= LEAST_AHEAD ? lease_us : 0;
}

void account_ask(struct account *account, int64_t now_us) {
    follow_quota(account);
    int64_t lease_us = find_lease_us(account, now_us);
    bool wants_lease =
        account->wants_lease && is_worth_a_lease(account->part, lease_us) && !account->owner->is_draining;
    bool has_to_tell = account_has_late(account) || lease_purse_has_to_be_told(&account->purse, now_us);
    int64_t n_tokens = begin(account, wants_lease || has_to_tell, now_us);
    account->wants_lease = account->wants_lease && !list_is_empty(&account->waiting);
    if (wants_lease || has_to_tell) {
        n_tokens = n_tokens < BUCKET_MAX_TOKENS ? n_tokens : BUCKET_MAX_TOKENS;
        if (list_is_empty(&account->in_leased)) {
            list_push_back(&account->owner->leased, &account->in_leased);
        }
        lease_us = wants_lease ? lease_us : 0;
        ask_lease(account, lease_next_wish(&account->purse, &account->pace, n_tokens, lease_us, now_us),
                  now_us);
    } else if (account->n_asked == 1 && !claim_of(account->asked.next)->at_most) {
        ask_check(account, now_us);
    } else {
        ask_take(account, now_us);
    }
}

bool account_return(struct account *account, int64_t now_us) {
    if (!account_has_late(account) && !lease_purse_has_to_be_told(&account->purse, now_us)) {
        return false;
    }
    begin(account, true, now_us);
    ask_lease(account, lease_last_wish(&account->purse, &account->pace, now_us), now_us);
    return true;
}
