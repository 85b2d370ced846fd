/* test_degraded_property.c — a fleet of limiters over one store that comes and goes, in virtual time: what they
 * admit together, however the store flaps and for whomever. */
#include "tests/support/test_prelude.h"

#include <inttypes.h>

#include "server/limit/limiter.h"
#include "tests/property/trace.h"

#define START_US INT64_C(1000000000)
#define STEP_US INT64_C(2000)

enum { MAX_FRONTENDS = 4, N_RUNS = 60, RUN_STEPS = 6000 };

/* The truth, or the way of one frontend to it. */
struct model_store {
    struct store store;
    struct bucket_record *record; /* shared by all ways */
    bool is_down;
    enum store_outcome failure; /* when it is down: certainly not charged, or nobody knows (but it was not) */
    struct store_call *pending;
};

static enum store_progress model_check(struct store *store, struct store_call *call, int64_t now_us) {
    struct model_store *model = (struct model_store *)(void *)store;
    if (model->is_down) {
        call->outcome = model->failure;
        return STORE_DONE;
    }
    struct trace trace = {.now_us = now_us, .n_limits = 1, .cost_tokens = call->cost_tokens};
    trace.limits[0] = call->part->limits[0];
    trace.charges = call->charges_utok != NULL;
    trace.charges_utok[0] = trace.charges ? call->charges_utok[0] : 0;
    trace_check(model->record, &trace, &call->verdict);
    call->record = *model->record;
    call->done_at_us = now_us;
    call->outcome = STORE_OK;
    model->pending = call;
    return STORE_PENDING;
}

static const struct store_ops model_ops = {.source = DECISION_STORE, .check = model_check};

struct fleet {
    uint32_t n;
    struct quota_set *quotas;
    struct bucket_record record;
    struct frontend {
        struct model_store store;
        struct fallback *fallback;
        struct limiter_metrics metrics;
        struct limiter *limiter;
    } frontends[MAX_FRONTENDS];
};

static struct bytes text(const char *string) {
    return (struct bytes){.data = (const uint8_t *)string, .len = strlen(string)};
}

static void fleet_make(struct fleet *fleet, uint32_t n, int64_t rate_per_s, int64_t burst_tokens) {
    struct status status;
    struct quota_rules rules = {.n_limits = 1};
    *fleet = (struct fleet){.n = n, .quotas = quota_set_create()};
    assert_true(quota_name_limit(&rules, 0, text("one"), &status));
    assert_true(bucket_set_rate(&rules.limits[0], rate_per_s, 1, &status));
    rules.limits[0].burst_utok = burst_tokens * BUCKET_UTOK_PER_TOKEN;
    assert_true(quota_set_put(fleet->quotas, text("t"), text("r"), &rules, 0, &status));
    for (uint32_t i = 0; i < n; i++) {
        struct frontend *frontend = &fleet->frontends[i];
        frontend->store = (struct model_store){.store.ops = &model_ops, .record = &fleet->record};
        frontend->fallback = fallback_create(FALLBACK_MIN_KEYS, 1);
        fallback_set_fleet_size(frontend->fallback, n);
        struct limiter_options options = {.store_timeout_us = 8000, .fallback = frontend->fallback};
        frontend->limiter = limiter_create(&options, fleet->quotas, &frontend->store.store, &frontend->metrics);
        assert_non_null(frontend->limiter);
    }
}

static void fleet_unmake(struct fleet *fleet) {
    for (uint32_t i = 0; i < fleet->n; i++) {
        limiter_destroy(&fleet->frontends[i].limiter);
        fallback_destroy(&fleet->frontends[i].fallback);
    }
    quota_set_release(&fleet->quotas);
}

static void on_done(struct limiter_call *call) {
    (void)call;
}

static bool ask(struct frontend *frontend, int64_t now_us) {
    struct limiter_call call = {.tenant = text("t"),
                                .resource = text("r"),
                                .key = text("k"),
                                .cost_tokens = 1,
                                .deadline_us = now_us + 20000,
                                .done = on_done};
    if (limiter_check(frontend->limiter, &call, now_us) == LIMITER_PENDING) {
        frontend->store.pending->done(frontend->store.pending);
    }
    return call.decision.allowed;
}

static int64_t ask_all(struct fleet *fleet, int64_t now_us) {
    int64_t n_admitted = 0;
    for (uint32_t i = 0; i < fleet->n; i++) {
        for (int j = 0; j < 4; j++) {
            n_admitted += ask(&fleet->frontends[i], now_us);
        }
    }
    return n_admitted;
}

/* One run: random rate, burst and lengths of outages; four times the demand at every step. */
struct run {
    struct trace random;
    struct fleet fleet;
    int64_t rate, burst, mean_steps;
    int64_t room; /* the burst, or more when a check that all N would make exceeds it */
    int64_t n_admitted;
    int64_t turned_at_step[MAX_FRONTENDS];
};

static void run_begin(struct run *run, uint64_t number) {
    trace_begin(&run->random, trace_seed(), number, START_US);
    run->rate = 200 + (int64_t)trace_random(&run->random, 800);
    run->burst = 1 + (int64_t)trace_random(&run->random, 300);
    run->mean_steps = 1 + (int64_t)trace_random(&run->random, 1000);
    run->n_admitted = 0;
    memset(run->turned_at_step, 0, sizeof run->turned_at_step);
    fleet_make(&run->fleet, 1 + (uint32_t)(number / 2 % MAX_FRONTENDS), run->rate, run->burst);
    for (uint32_t i = 0; i < run->fleet.n; i++) {
        run->fleet.frontends[i].store.failure = number % 2 == 0 ? STORE_DOWN : STORE_LOST;
    }
    run->room = run->burst > run->fleet.n ? run->burst : run->fleet.n;
}

/* A breaker wants five good probes 100 ms apart or more, so nothing comes and goes faster for a frontend. */
static bool turns(struct run *run, uint32_t who, int64_t step) {
    enum { LEAST_STEPS = 250 };
    bool is_turning = step - run->turned_at_step[who] >= LEAST_STEPS &&
                      trace_random(&run->random, (uint64_t)run->mean_steps) == 0;
    run->turned_at_step[who] = is_turning ? step : run->turned_at_step[who];
    return is_turning;
}

static void expect_at_most(const struct run *run, uint64_t number, double n_due) {
    if ((double)run->n_admitted > n_due) {
        fail_msg("run %" PRIu64 " (seed %" PRIu64 "): %" PRId64 " admitted, %.0f due", number, trace_seed(),
                 run->n_admitted, n_due);
    }
}

static void test_flapping_store_neither_doubles_the_rate_nor_halves_it(void **state) {
    (void)state;
    for (uint64_t number = 0; number < N_RUNS; number++) {
        struct run run;
        bool is_down = false;
        run_begin(&run, number);
        for (int64_t step = 0; step < RUN_STEPS; step++) {
            is_down = is_down != turns(&run, 0, step);
            for (uint32_t i = 0; i < run.fleet.n; i++) {
                run.fleet.frontends[i].store.is_down = is_down;
            }
            run.n_admitted += ask_all(&run.fleet, START_US + step * STEP_US);
            expect_at_most(&run, number, (double)(2 * run.room) + (double)(run.rate * step * STEP_US) * 1e-6);
        }
        bool is_small = run.burst < 10; /* it overflows between two steps */
        assert_true(is_small ||
                    (double)run.n_admitted >= 0.95 * (double)(run.rate * RUN_STEPS * STEP_US) * 1e-6);
        fleet_unmake(&run.fleet);
    }
}

/* While M of N are cut off, they have their share beside what the store admits. When all were, and the store comes
 * back to some only, it has filled up meanwhile, by a burst at most, and the others have not told it yet. */
static void test_frontends_cut_off_one_by_one_add_their_share_at_most(void **state) {
    (void)state;
    for (uint64_t number = 0; number < N_RUNS; number++) {
        struct run run;
        double n_due = 0, n_filled = 0;
        run_begin(&run, number);
        uint32_t n = run.fleet.n;
        for (int64_t step = 0; step < RUN_STEPS; step++) {
            uint32_t n_down = 0;
            for (uint32_t i = 0; i < n; i++) {
                bool *is_down = &run.fleet.frontends[i].store.is_down;
                *is_down = *is_down != turns(&run, i, step);
                n_down += *is_down;
            }
            run.n_admitted += ask_all(&run.fleet, START_US + step * STEP_US);
            double n_step = (double)(run.rate * STEP_US) * 1e-6;
            n_due += n_down < n && n_filled > (double)run.room ? (double)run.room : n_down < n ? n_filled : 0;
            n_filled = n_down < n ? 0 : n_filled + n_step;
            expect_at_most(&run, number, (double)(2 * run.room) + n_due);
            n_due += n_step * (n_down < n ? 1. + (double)n_down / n : 1.);
        }
        fleet_unmake(&run.fleet);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flapping_store_neither_doubles_the_rate_nor_halves_it),
        cmocka_unit_test(test_frontends_cut_off_one_by_one_add_their_share_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
