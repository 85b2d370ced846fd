/* fake_store.c — a store under the test's thumb; see fake_store.h. */
#include "tests/support/fake_store.h"

static enum store_progress fake_check(struct store *store, struct store_call *call, int64_t now_us) {
    (void)now_us;
    struct fake_store *fake = (struct fake_store *)(void *)store;
    fake->n_asked++;
    fake->last = *call;
    fake->was_charged = call->charges_utok != NULL;
    fake->charge_utok = fake->was_charged ? call->charges_utok[0] : 0;
    if (fake->is_pending && fake->n_pending < FAKE_STORE_MAX_PENDING) {
        fake->pending[fake->n_pending++] = call;
        return STORE_PENDING;
    }
    call->outcome = fake->outcome;
    call->verdict = fake->verdict;
    return STORE_DONE;
}

static bool fake_is_ready(const struct store *store) {
    (void)store;
    return true;
}

static void fake_destroy(struct store *store) {
    (void)store;
}

void fake_store_init(struct fake_store *fake) {
    static const struct store_ops ops = {
        .source = DECISION_STORE, .check = fake_check, .is_ready = fake_is_ready, .destroy = fake_destroy};
    *fake = (struct fake_store){
        .store.ops = &ops,
        .outcome = STORE_OK,
        .verdict = {.allowed = true, .remaining_utok = 4500000, .reset_after_us = 7},
    };
}

void fake_store_conclude(struct fake_store *fake, int place) {
    struct store_call *call = fake->pending[place];
    call->outcome = fake->outcome;
    call->verdict = fake->verdict;
    call->record = fake->record;
    call->done_at_us = fake->done_at_us;
    call->done(call);
}
