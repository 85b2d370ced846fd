/* limiter_bench.c — a limiter over the store as it should be; see limiter_bench.h. */
#include "tests/support/test_prelude.h"

#include "tests/support/limiter_bench.h"

#include "tests/support/quota_fixture.h"

static struct bytes of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static void open_with(struct limiter_bench *bench, const char *quotas, struct hotkeys *hotkeys) {
    *bench = (struct limiter_bench){
        .truth = model_truth_create(),
        .fallback = fallback_create(FALLBACK_MIN_KEYS, BUCKET_MAX_LIMITS),
        .hotkeys = hotkeys,
        .quotas = quota_fixture_load(quotas),
        .now_us = BENCH_START_US,
    };
    assert_non_null(bench->truth);
    assert_non_null(bench->fallback);
    model_store_init(&bench->store, bench->truth, BENCH_ROUND_TRIP_US);
    struct limiter_options options = {
        .store_timeout_us = 8000, .seed = BENCH_SEED, .fallback = bench->fallback, .hotkeys = bench->hotkeys};
    bench->limiter = limiter_create(&options, bench->quotas, &bench->store.store, &bench->metrics);
    assert_non_null(bench->limiter);
}

void bench_open(struct limiter_bench *bench, const char *quotas) {
    open_with(bench, quotas, NULL);
}

void bench_open_hot(struct limiter_bench *bench, const char *quotas, uint32_t hot_per_s) {
    struct hotkeys_options options = {.hot_per_s = hot_per_s, .least_hot_per_s = hot_per_s};
    struct hotkeys *hotkeys = hotkeys_create(&options, BENCH_START_US);
    assert_non_null(hotkeys);
    open_with(bench, quotas, hotkeys);
}

void bench_close(struct limiter_bench *bench) {
    model_store_run(&bench->store, INT64_MAX - 1);
    limiter_destroy(&bench->limiter);
    hotkeys_destroy(&bench->hotkeys);
    quota_set_release(&bench->quotas);
    fallback_destroy(&bench->fallback);
    model_store_deinit(&bench->store);
    model_truth_destroy(&bench->truth);
}

void bench_set_quotas(struct limiter_bench *bench, const char *quotas) {
    quota_set_release(&bench->quotas);
    bench->quotas = quota_fixture_load(quotas);
    limiter_set_quotas(bench->limiter, bench->quotas);
}

void bench_pass(struct limiter_bench *bench, int64_t us) {
    bench->now_us += us;
    model_store_run(&bench->store, bench->now_us);
    limiter_tick(bench->limiter, bench->now_us);
}

static void note_done(struct limiter_call *limiter_call) {
    struct bench_call *call = list_entry(limiter_call, struct bench_call, call);
    const char *name = limiter_call->kind == LIMITER_REFUND || limiter_call->kind == LIMITER_SETTLE
                           ? limiter_call->booking.limit_name
                           : limiter_call->decision.limit_name;
    assert_ptr_equal(limiter_call->tenant.data, call->names[0]); /* the caller's own fields stay as they were */
    assert_ptr_equal(limiter_call->key.data, call->names[2]);
    snprintf(call->limit_name, sizeof call->limit_name, "%s", name);
    call->n_done++;
}

struct bench_call bench_call_of(enum limiter_kind kind, int64_t cost_tokens) {
    return (struct bench_call){.call = {.kind = kind, .cost_tokens = cost_tokens, .done = note_done},
                               .names = {"t", "r", "alice"}};
}

bool bench_start(struct limiter_bench *bench, struct bench_call *call) {
    struct limiter_call *asked = &call->call;
    asked->tenant = of(call->names[0]);
    asked->resource = of(call->names[1]);
    asked->key = of(call->names[2]);
    asked->idempotency_key = of(call->names[3]);
    asked->deadline_us = asked->deadline_us > 0 ? asked->deadline_us : bench->now_us + 20000;
    bool is_pending = limiter_check(bench->limiter, asked, bench->now_us) == LIMITER_PENDING;
    if (is_pending) {
        memset(call->names, '?', sizeof call->names);
    } else {
        note_done(asked);
    }
    return is_pending;
}

void bench_finish(struct limiter_bench *bench, struct bench_call *call) {
    bool is_pending = bench_start(bench, call);
    for (int i = 0; is_pending && call->n_done == 0 && i < 20; i++) {
        bench_pass(bench, BENCH_ROUND_TRIP_US / 2);
    }
    assert_int_equal(call->n_done, 1);
}

struct bench_call bench_ask(struct limiter_bench *bench, enum limiter_kind kind, int64_t cost_tokens) {
    struct bench_call call = bench_call_of(kind, cost_tokens);
    bench_finish(bench, &call);
    return call;
}

static const struct quota_part *part_of(const struct limiter_bench *bench, enum bucket_scope scope,
                                        struct bucket_name *name) {
    const struct quota *quota = quota_set_find(bench->quotas, of("t"), of("r"));
    for (uint32_t i = 0; i < quota->n_parts; i++) {
        if (quota->parts[i].scope == scope) {
            *name = quota_part_bucket(quota, &quota->parts[i], of("t"), of("r"), of("alice"));
            return &quota->parts[i];
        }
    }
    fail_msg("no part of scope %d", (int)scope);
    return NULL;
}

struct hash128 bench_hash(struct limiter_bench *bench, enum bucket_scope scope) {
    struct bucket_name name;
    part_of(bench, scope, &name);
    return bucket_name_hash(&name, BENCH_SEED);
}

int64_t bench_level(struct limiter_bench *bench, enum bucket_scope scope) {
    struct bucket_name name;
    const struct quota_part *part = part_of(bench, scope, &name);
    return model_truth_level(bench->truth, bucket_name_hash(&name, BENCH_SEED), part, bench->now_us);
}

void bench_settle_down(struct limiter_bench *bench) {
    for (int i = 0; i < 40; i++) {
        bench_pass(bench, 10000);
    }
}

void bench_assert_levels(struct limiter_bench *bench, int64_t own, int64_t all) {
    bench_settle_down(bench);
    assert_int_equal(bench_level(bench, BUCKET_PER_KEY), own);
    assert_int_equal(bench_level(bench, BUCKET_PER_RESOURCE), all);
}

struct bench_call bench_ask_once(struct limiter_bench *bench, enum limiter_kind kind, int64_t cost_tokens,
                                 const char *key) {
    struct bench_call call = bench_call_of(kind, cost_tokens);
    snprintf(call.names[3], sizeof call.names[3], "%s", key);
    bench_finish(bench, &call);
    return call;
}

struct bench_call bench_reserve(struct limiter_bench *bench, int64_t tokens, uint8_t id, bool returns) {
    struct bench_call call = bench_call_of(LIMITER_RESERVE, tokens);
    call.call.reservation[0] = id;
    call.call.ttl_us = 2000000;
    call.call.returns_on_timeout = returns;
    bench_finish(bench, &call);
    return call;
}

struct bench_call bench_settle(struct limiter_bench *bench, uint8_t id, int64_t used_tokens) {
    struct bench_call call = bench_call_of(LIMITER_SETTLE, used_tokens);
    call.call.reservation[0] = id;
    bench_finish(bench, &call);
    return call;
}
