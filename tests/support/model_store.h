/* model_store.h — the store as it should be, in virtual time: one truth, and the ways of frontends to it.
 *
 * The truth keeps records by the rules of core/. A call is executed half a round trip after it was made and is done
 * after the whole one, when model_store_run comes to that time. */
#ifndef SLUICE_TESTS_MODEL_STORE_H
#define SLUICE_TESTS_MODEL_STORE_H

#include "server/core/lease.h"
#include "server/store/store.h"

enum { MODEL_CHAINS = 65536, MODEL_MAX_CALLS = 1024, MODEL_MAX_NOTES = 64 };

#define MODEL_SCOPE(scope) (1U << (scope))

struct model_record {
    struct model_record *next; /* in the chain of its hash */
    struct hash128 hash;
    struct bucket_record record;
    struct lease_account account;
};

/* A reservation, or the answer to a call with an idempotency key. */
struct model_note {
    bool is_used;
    uint8_t id[STORE_MEMO_KEY_MAX_BYTES];
    size_t id_len;
    uint8_t fingerprint[STORE_FINGERPRINT_BYTES];
    int64_t tokens;
    struct bucket_verdict verdict;
    bool has_elsewhere;
    struct store_elsewhere elsewhere;
};

struct model_truth {
    struct model_record *chains[MODEL_CHAINS];
    struct model_note reservations[MODEL_MAX_NOTES], memos[MODEL_MAX_NOTES];
    uint64_t n_calls;
};

struct model_call;

struct model_store {
    struct store store;
    struct model_truth *truth;
    int64_t round_trip_us;
    bool is_down;               /* calls are refused at once */
    uint32_t down_scopes;       /* those on records of these scopes: MODEL_SCOPE of each */
    enum store_outcome failure; /* with this */
    bool loses_replies;         /* calls are executed, and fail as STORE_LOST */
    struct model_call *calls;
    uint32_t n_calls;
};

struct model_truth *model_truth_create(void);
/* Nulls the pointer. */
void model_truth_destroy(struct model_truth **truth);
void model_store_init(struct model_store *model, struct model_truth *truth, int64_t round_trip_us);
void model_store_deinit(struct model_store *model);
/* As a store that is destroyed: its calls are done as STORE_DOWN, those made meanwhile at once. */
void model_store_end(struct model_store *model);
/* Executes and concludes whatever is due until then, in its order. */
void model_store_run(struct model_store *model, int64_t now_us);
/* The next instant at which something is due; INT64_MAX: nothing is. */
int64_t model_store_next(const struct model_store *model);
/* The tokens there are in a record's limit, whole ones; what purses hold is not in it. */
int64_t model_truth_level(const struct model_truth *truth, struct hash128 hash, const struct quota_part *part,
                          int64_t now_us);

#endif
