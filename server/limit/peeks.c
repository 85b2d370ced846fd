/* peeks.c — looks at every record of a quota and takes nothing; nothing is joined or leased. */
#include <stdlib.h>

#include "server/limit/limiter_state.h"

struct look {
    struct store_call store;
    struct limiter_call *call;
    struct claim *claim;
};

static void take_answer(struct look *look, const struct limiter *limiter) {
    struct claim *claim = look->claim;
    claim->is_asked = true;
    claim->outcome = look->store.outcome;
    claim->source = limiter->store->ops->source;
    claim->verdict = look->store.verdict;
}

static void look_on_done(struct store_call *store) {
    struct look *look = list_entry(store, struct look, store);
    struct limiter_call *call = look->call;
    struct fallback *fallback = call->limiter->options.fallback;
    int64_t now_us = store->done_at_us;
    if (fallback != NULL && store->outcome == STORE_OK && call->quota->on_store_failure == QUOTA_FAILS_LOCAL) {
        fallback_note(fallback, store->hash, store->part, &store->record, store->verdict.full_after_us, now_us);
    }
    take_answer(look, call->limiter);
    if (--call->n_pending == 0) {
        free(call->looks);
        checks_decide(call, now_us);
        limiter_finish(call, now_us);
    }
}

static void start_look(struct look *look, struct limiter_call *call, uint32_t i, int64_t now_us) {
    const struct limiter_options *options = &call->limiter->options;
    struct claim *claim = &call->claims[i];
    int64_t latest_us = now_us + options->store_timeout_us;
    *look = (struct look){
        .store = {.part = claim->part,
                  .name = claim->name,
                  .hash = claim->hash,
                  .cost_tokens = call->at_most ? 1 : call->cost_tokens,
                  .peek = true,
                  .deadline_us = claim->deadline_us < latest_us ? claim->deadline_us : latest_us,
                  .done = look_on_done},
        .call = call,
        .claim = claim,
    };
    if (store_check(call->limiter->store, &look->store, now_us) == STORE_PENDING) {
        call->n_pending++;
    } else {
        take_answer(look, call->limiter);
    }
}

enum limiter_progress peeks_start(struct limiter_call *call, int64_t now_us) {
    if (!checks_make_claims(call)) {
        return LIMITER_DONE;
    }
    call->looks = calloc(call->quota->n_parts, sizeof *call->looks);
    for (uint32_t i = 0; i < call->quota->n_parts; i++) {
        if (call->looks == NULL) {
            call->claims[i].is_asked = true;
            call->claims[i].outcome = STORE_NO_MEMORY;
        } else {
            start_look(&call->looks[i], call, i, now_us);
        }
    }
    if (call->n_pending > 0) {
        return LIMITER_PENDING;
    }
    free(call->looks);
    checks_decide(call, now_us);
    return LIMITER_DONE;
}
