/* limiter_bench.h — a limiter over the store as it should be, in virtual time; for tests of server/limit/. */
#ifndef SLUICE_TESTS_LIMITER_BENCH_H
#define SLUICE_TESTS_LIMITER_BENCH_H

#include "server/limit/limiter.h"
#include "tests/support/model_store.h"

#define BENCH_START_US INT64_C(1700000000000000)
#define BENCH_ROUND_TRIP_US INT64_C(1000)
#define BENCH_SEED UINT64_C(7)

struct limiter_bench {
    struct model_truth *truth;
    struct model_store store;
    struct fallback *fallback;
    struct hotkeys *hotkeys; /* NULL: no key is hot */
    struct limiter_metrics metrics;
    struct quota_set *quotas;
    struct limiter *limiter;
    int64_t now_us;
};

struct bench_call {
    struct limiter_call call;
    int n_done;
    char names
        [4]
        [16]; /* tenant, resource, key, idempotency key; what the caller passes; overwritten once limiter_check has returned */
    char limit_name[33]; /* as it was when the call was done */
};

/* `quotas` as a file of quotas has them. With a fallback, of a fleet of one. */
void bench_open(struct limiter_bench *bench, const char *quotas);
/* The same, and keys are hot from so many checks per second on. */
void bench_open_hot(struct limiter_bench *bench, const char *quotas, uint32_t hot_per_s);
void bench_close(struct limiter_bench *bench);
void bench_set_quotas(struct limiter_bench *bench, const char *quotas);
/* Time passes, and the store and the limiter have their turns. */
void bench_pass(struct limiter_bench *bench, int64_t us);

/* A check of t/r/alice, to be changed and then started. */
struct bench_call bench_call_of(enum limiter_kind kind, int64_t cost_tokens);
/* True: pending. What the caller passed is gone then. */
bool bench_start(struct limiter_bench *bench, struct bench_call *call);
/* Starts it, and lets time pass until it is done. */
void bench_finish(struct limiter_bench *bench, struct bench_call *call);
struct bench_call bench_ask(struct limiter_bench *bench, enum limiter_kind kind, int64_t cost_tokens);

/* What the store has of t/r/alice in the part of this scope, in whole tokens. */
int64_t bench_level(struct limiter_bench *bench, enum bucket_scope scope);
struct hash128 bench_hash(struct limiter_bench *bench, enum bucket_scope scope);

/* With an idempotency key. */
struct bench_call bench_ask_once(struct limiter_bench *bench, enum limiter_kind kind, int64_t cost_tokens,
                                 const char *key);
/* For two seconds, under an id that begins with this byte. */
struct bench_call bench_reserve(struct limiter_bench *bench, int64_t tokens, uint8_t id, bool returns);
/* The reservation whose id begins with this byte. */
struct bench_call bench_settle(struct limiter_bench *bench, uint8_t id, int64_t used_tokens);
/* So long that nothing is on lease any more. */
void bench_settle_down(struct limiter_bench *bench);
/* What the store has then of t/r/alice, of the key and of the resource. */
void bench_assert_levels(struct limiter_bench *bench, int64_t own, int64_t all);

#endif
