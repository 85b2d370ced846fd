/* fake_store.h — a store under the test's thumb: decides at once or when told, as told. */
#ifndef SLUICE_TESTS_FAKE_STORE_H
#define SLUICE_TESTS_FAKE_STORE_H

#include "server/store/store.h"

enum { FAKE_STORE_MAX_PENDING = 64 };

struct fake_store {
    struct store store;
    bool is_pending; /* else decide at once */
    enum store_outcome outcome;
    struct bucket_verdict verdict;
    struct bucket_record record; /* of a call concluded later, at done_at_us */
    int64_t done_at_us;
    int n_asked;
    struct store_call last; /* as it was asked; the charge of its first limit follows */
    bool was_charged;
    int64_t charge_utok;
    struct store_call *pending[FAKE_STORE_MAX_PENDING];
    int n_pending;
};

/* Decides at once, allowing with 4.5 tokens left, until told otherwise. */
void fake_store_init(struct fake_store *fake);
/* Concludes the pending call at `place` with the fake's outcome and verdict. */
void fake_store_conclude(struct fake_store *fake, int place);

#endif
