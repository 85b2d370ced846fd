/* limiter_state.h — what the parts of the limiter share; for server/limit/ alone. */
#ifndef SLUICE_LIMIT_LIMITER_STATE_H
#define SLUICE_LIMIT_LIMITER_STATE_H

#include "server/core/quota_memo.h"
#include "server/limit/accounts.h"
#include "server/limit/limiter.h"
#include "server/limit/returns.h"

struct limiter {
    struct limiter_options options;
    struct quota_set *quotas;
    struct quota_memo memo; /* of `quotas` */
    struct store *store;
    struct limiter_metrics *metrics;
    struct accounts *accounts;
    struct returns returns;
};

/* ---- limiter.c ---- */

/* The call is decided: counted, and its mode applied. */
void limiter_conclude(struct limiter_call *call, int64_t now_us);
/* The same of a call that was pending: it is told, and may be gone then. */
void limiter_finish(struct limiter_call *call, int64_t now_us);
/* Finds the quota, and the hash of the key's own bucket if it has buckets. */
void limiter_find(struct limiter *limiter, struct bytes tenant, struct bytes resource, struct bytes key,
                  struct limiter_found *found);
/* No quota, or one that needs no bucket: sets the decision on a check, which grants the cost or nothing. */
bool limiter_needs_no_bucket(const struct limiter *limiter, const struct quota *quota, int64_t cost_tokens,
                             struct decision *decision);
void limiter_count_decision(struct limiter_metrics *metrics, const struct decision *decision);
/* The name of the record that a part has for this call; borrows call->names. */
struct bucket_name limiter_name_of(const struct limiter_call *call, const struct quota_part *part);
size_t limiter_names_bytes(const struct limiter_call *call);
/* Copies call->names to `at`, where there is room for limiter_names_bytes. */
void limiter_copy_names(struct limiter_call *call, uint8_t *at);

/* The limit that the verdict on a record is about, and its figures. */
static inline void limiter_describe(struct decision *decision, const struct quota *quota,
                                    const struct quota_part *part, const struct bucket_verdict *verdict) {
    int64_t remaining_utok = verdict->remaining_utok > 0 ? verdict->remaining_utok : 0;
    uint32_t limit = part->first_limit + verdict->limit_index;
    decision->limit_name = quota->limit_names[limit];
    decision->limit_tokens = quota->limits[limit].burst_utok / BUCKET_UTOK_PER_TOKEN;
    decision->remaining_tokens = remaining_utok / BUCKET_UTOK_PER_TOKEN;
    decision->retry_after_us = verdict->retry_after_us;
    decision->reset_after_us = verdict->reset_after_us;
}

/* ---- checks.c: a check's claims, all or none ---- */

enum limiter_progress checks_start(struct limiter_call *call, int64_t now_us);
/* A claim for each part of the quota, not asked yet. False when memory is short: that is the outcome. */
bool checks_make_claims(struct limiter_call *call) __attribute__((warn_unused_result));
/* All claims have their answers, those that were asked. The claims are gone then. */
void checks_decide(struct limiter_call *call, int64_t now_us);
/* What the parts beyond the first came to, which have their answers: of those that allowed it, or denied it, what
 * decides. False: nothing that may be kept, since nobody decided, or the store did not. */
bool checks_sum_up(const struct limiter_call *call, bool is_allowed, struct store_elsewhere *sum);
/* An earlier call was decided so: by the first part's claim, and by what the others had come to then (NULL: there were
 * none), whatever they say now. The claims are gone then. */
void checks_recall(struct limiter_call *call, const struct store_elsewhere *earlier, int64_t now_us);
/* None of what was taken is needed; the claims are gone then. */
void checks_drop(struct limiter_call *call, int64_t now_us);

/* ---- peeks.c ---- */

enum limiter_progress peeks_start(struct limiter_call *call, int64_t now_us);

/* ---- bookings.c: what is noted beside a record, and what goes back ---- */

bool bookings_wants(const struct limiter_call *call);
/* Is a denial remembered as well? */
bool bookings_remembers(const struct limiter_call *call);
/* Asks for the first part's claim by a call that is done once. `is_denied`: the other parts have denied it, so nothing is
 * asked for; but if it was answered before, that is the answer. */
enum limiter_progress bookings_take(struct limiter_call *call, bool is_denied, int64_t now_us);
/* A refund or a settlement. */
enum limiter_progress bookings_give(struct limiter_call *call, int64_t now_us);
/* Gives back reservations whose time is over. */
void bookings_tick(struct limiter *limiter, int64_t now_us);

#endif
