/* accounts.h — one worker's dealings with records: what it asks the store, who waits, and which tokens it holds.
 *
 *   accounts_claim ─ the purse has tokens ─ granted    (a lease: no round trip)            ┐ accounts_decide: no more
 *                  ├ a denial still stands ─ denied    (denied.h: no round trip either)    ┘ than this, and no claim
 *                  ├ a call for the record is under way ─ waits for the next one
 *                  └ asks ─ one claim: store_check; several: one store_take, which decides them in their order; of a
 *                           record that is leased: one store_lease, which brings tokens for later as well
 *
 * So there is one call under way for each record, and what queues meanwhile becomes the next one. An account exists
 * for as long as its record is asked about or tokens of it are held; a purse that is over gives back what is left in
 * it. When the store fails, the claims say so, and what the quota says is then the limiter's affair; debts of the
 * fallback are told with each call.
 *
 * One thread; time is an argument. */
#ifndef SLUICE_LIMIT_ACCOUNTS_H
#define SLUICE_LIMIT_ACCOUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/list.h"
#include "server/base/metric.h"
#include "server/core/decision.h"
#include "server/core/quota.h"
#include "server/limit/fallback.h"
#include "server/store/store.h"

#define ACCOUNTS_METRICS(X)                                                                                    \
    X(calls_check, METRIC_COUNTER, "sluice_store_calls_total", "kind=\"check\"",                               \
      "Calls of the store that decide, by kind: of one check, of several at once, or for a lease")             \
    X(calls_take, METRIC_COUNTER, "sluice_store_calls_total", "kind=\"take\"", "")                             \
    X(calls_lease, METRIC_COUNTER, "sluice_store_calls_total", "kind=\"lease\"", "")                           \
    X(coalesced, METRIC_COUNTER, "sluice_coalesced_total", "", "Checks that shared a call of the store")       \
    X(leased_tokens, METRIC_COUNTER, "sluice_leased_tokens_total", "result=\"granted\"",                       \
      "Tokens of leases: granted by the store, and given back to it unused")                                   \
    X(returned_tokens, METRIC_COUNTER, "sluice_leased_tokens_total", "result=\"returned\"", "")                \
    X(debts, METRIC_COUNTER, "sluice_debts_total", "result=\"told\"",                                          \
      "Debts of keys (what was granted locally) that went with a check, by what became of them")               \
    X(debts_returned, METRIC_COUNTER, "sluice_debts_total", "result=\"kept\"", "")                             \
    X(debts_ambiguous, METRIC_COUNTER, "sluice_debts_total", "result=\"ambiguous\"", "")

struct accounts_metrics {
    ACCOUNTS_METRICS(METRIC_FIELD)
};

struct accounts_options {
    struct store *store;       /* borrowed, as are the others */
    struct fallback *fallback; /* NULL: the store is one that does not fail */
    int64_t store_timeout_us;
    struct accounts_metrics *metrics;
};

struct account;
struct claim;
struct limiter_call;
typedef void (*claim_done_fn)(struct claim *claim, int64_t now_us);

/* What one check wants of one record. */
struct claim {
    /* in; the name is read only inside accounts_claim, quota and part until the claim is done */
    const struct quota *quota;
    const struct quota_part *part; /* of the quota */
    struct bucket_name name;
    struct hash128 hash; /* of the name */
    int64_t cost_tokens;
    bool at_most;   /* takes what is there, at least 1 */
    bool is_leased; /* the record is worth a lease, if its limits can be leased */
    bool
        is_one_of_many; /* the check has other claims: accounts_keep or accounts_give_back is called in the end */
    int64_t deadline_us;
    struct limiter_call *owner;
    claim_done_fn done;
    /* out: outcome; and when it is STORE_OK the rest */
    enum store_outcome outcome;
    enum decision_source source;
    int64_t granted_tokens;
    struct bucket_verdict verdict;
    bool is_from_purse; /* what was granted came out of a lease, be it one that was waited for */
    bool is_asked, is_answered, limit_is_unknown; /* its owner's */
    /* its account's */
    struct list in_account;
    bool is_waiting, is_starting;
    struct account *account; /* of which it holds tokens */
    uint32_t purse;          /* that these are of; 0: of none, the store granted them */
    int64_t epoch;
};

enum claim_progress { CLAIM_DONE, CLAIM_PENDING };

/* What a check wants of the only record of its quota: all of its cost or nothing. */
struct accounts_question {
    const struct quota *quota;
    const struct quota_part *part; /* of the quota */
    int64_t cost_tokens;
    bool is_leased;
    /* the answer */
    enum decision_source source;
    struct bucket_verdict verdict;
};

struct accounts;

/* NULL when memory is short. */
struct accounts *accounts_create(const struct accounts_options *options);
/* Nothing may be pending any more. What purses still hold lapses. Nulls the pointer. */
void accounts_destroy(struct accounts **accounts);

/* Answers by what is here of the record with this hash: out of the purse, or since a denial stands. False: neither says anything, nothing has happened,
 * and a claim is to be made. */
bool accounts_decide(struct accounts *accounts, struct hash128 hash, struct accounts_question *question,
                     int64_t now_us) __attribute__((warn_unused_result));

/* DONE: the out fields are set, `done` is never called. PENDING: it is called exactly once, later; at the deadline plus
 * the loop's latency at the latest. */
enum claim_progress accounts_claim(struct accounts *accounts, struct claim *claim, int64_t now_us);
/* Of a granted claim that is one of many, and of its name as well if the store decides at once: so many tokens are not
 * needed; and then, what it took (and did not give back) is spent. */
void accounts_keep(struct claim *claim);
void accounts_give_back(struct accounts *accounts, struct claim *claim, int64_t tokens, int64_t now_us);

/* The record has got tokens otherwise: no denial stands any more. */
void accounts_forget_denial(struct accounts *accounts, struct hash128 hash);
/* It was deleted: whatever is known of it, and what was leased of it, is forgotten as well. */
void accounts_forget(struct accounts *accounts, struct hash128 hash);

/* Returns what is left in purses that are over. In every turn of the loop. */
void accounts_tick(struct accounts *accounts, int64_t now_us);
/* Leases no more, and returns what is left in all purses. */
void accounts_drain(struct accounts *accounts, int64_t now_us);

#endif
