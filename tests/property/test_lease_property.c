/* test_lease_property.c — leases: C against Lua on random traces, and the bound in virtual time.
 *
 * A failure names the seed and the trace; SLUICE_SEED=<seed> runs it again. */
#include "tests/support/test_prelude.h"

#include <inttypes.h>

#include "server/core/lease.h"
#include "server/store/packed.h"
#include "server/store/script_give.h"
#include "server/store/script_lease.h"
#include "tests/property/lease_trial.h"
#include "tests/property/lua_host.h"
#include "tests/property/trace.h"

#define START_US INT64_C(1790000000000000)

enum { N_TRACES = 1500, N_STEPS = 150, N_PURSES = 8, RECORD_MAX_BYTES = 57 + BUCKET_MAX_LIMITS * 12 };

/* --- C against Lua --- */

/* The same record twice: as C has it, and as the scripts keep it. */
struct twins {
    struct lua_host *check_host, *lease_host, *give_host;
    struct bucket_record record;
    struct lease_account account;
    struct bucket_limit limits[BUCKET_MAX_LIMITS]; /* with which it was written */
    uint32_t n_limits;
    int64_t full_at_us;
    struct lease_told purses[N_PURSES]; /* some that were granted */
};

static size_t pack_record(const struct twins *twins, uint8_t out[RECORD_MAX_BYTES]) {
    uint8_t plain[SCRIPT_RECORD_MAX_BYTES];
    const struct lease_account *account = &twins->account;
    size_t n = script_record_pack(&twins->record, plain);
    if (account->out_tokens + account->out_before_tokens + account->demand_tokens +
            account->demand_before_tokens ==
        0) {
        memcpy(out, plain, n);
        return n;
    }
    out = packed_put(out, 2, 1);
    out = packed_put(out, (uint64_t)twins->record.at_us, 8);
    out = packed_put(out, (uint64_t)account->out_tokens, 8);
    out = packed_put(out, (uint64_t)account->out_before_tokens, 8);
    out = packed_put(out, (uint64_t)account->given_tokens, 8);
    out = packed_put(out, (uint64_t)account->given_before_tokens, 8);
    out = packed_put(out, (uint64_t)account->demand_tokens, 8);
    out = packed_put(out, (uint64_t)account->demand_before_tokens, 8);
    packed_put_bytes(out, plain + SCRIPT_RECORD_HEAD_BYTES, n - SCRIPT_RECORD_HEAD_BYTES);
    return n + 48;
}

static void keep(struct twins *twins, const struct trace *trace, const struct bucket_record *record,
                 const struct lease_account *account) {
    twins->record = *record;
    twins->account = *account;
    memcpy(twins->limits, trace->limits, sizeof twins->limits);
    twins->n_limits = trace->n_limits;
    twins->full_at_us = lease_full_at_us(record, account, trace->limits, trace->n_limits);
}

/* What is forgotten must have been full, with nothing out. */
static const char *expire_both(struct twins *twins, int64_t now_us) {
    if (twins->record.n_levels == 0 || now_us / 1000 <= (twins->full_at_us + 999) / 1000) {
        return NULL;
    }
    struct bucket_record record = twins->record;
    struct lease_account account = twins->account;
    lease_refresh(&record, &account, twins->limits, twins->n_limits, now_us);
    for (uint32_t i = 0; i < twins->n_limits; i++) {
        if (record.levels[i].utok != twins->limits[i].burst_utok) {
            return "expired before it was full";
        }
    }
    twins->record = (struct bucket_record){0};
    twins->account = (struct lease_account){0};
    return account.out_tokens + account.out_before_tokens == 0 ? NULL : "expired with tokens out";
}

/* Runs one script on what the other one left. */
static const char *eval(struct twins *twins, struct lua_host *host, struct bytes argument, int64_t now_us,
                        bool is_written, struct bytes *reply) {
    uint8_t packed[RECORD_MAX_BYTES];
    struct bytes before = {packed, twins->record.n_levels > 0 ? pack_record(twins, packed) : 0};
    lua_host_set_now(host, now_us);
    lua_host_put_value(host, before);
    uint64_t n_sets = lua_host_n_sets(host);
    if (!lua_host_eval(host, argument, reply)) {
        return "the script failed";
    }
    return lua_host_n_sets(host) - n_sets == (is_written ? 1 : 0) ? NULL
                                                                  : "written without need, or not written";
}

static const char *compare(struct twins *twins, struct lua_host *host, int64_t now_us) {
    struct bytes value;
    int64_t expires_ms;
    uint8_t expected[RECORD_MAX_BYTES];
    lua_host_set_now(host, now_us);
    if (!lua_host_value(host, &value, &expires_ms)) {
        return "the record is gone";
    }
    size_t n = pack_record(twins, expected);
    if (value.len != n || memcmp(value.data, expected, n) != 0) {
        return "C and Lua left different records";
    }
    return expires_ms == (twins->full_at_us + 999) / 1000 ? NULL : "it expires at another time";
}

static const char *check_both(struct twins *twins, const struct trace *trace, struct bucket_verdict *verdict) {
    struct bucket_record record = twins->record, told;
    struct lease_account account = twins->account;
    bool is_dated_anew = lease_refresh(&record, &account, trace->limits, trace->n_limits, trace->now_us);
    trace_check(&record, trace, verdict);
    bool changed = verdict->changed || (is_dated_anew && !trace->peek);
    struct script_check check = trace_script_check(trace);
    struct bucket_verdict scripted;
    struct bytes reply;
    uint8_t argument[SCRIPT_CHECK_ARG_MAX_BYTES];
    size_t n = script_check_pack(&check, argument, sizeof argument);
    const char *problem =
        eval(twins, twins->check_host, (struct bytes){argument, n}, trace->now_us, changed, &reply);
    if (problem != NULL) {
        return problem;
    }
    if (!script_check_parse(reply, &check, &scripted, &told)) {
        return "the reply to a check was refused";
    }
    if (scripted.allowed != verdict->allowed || scripted.remaining_utok != verdict->remaining_utok ||
        scripted.limit_index != verdict->limit_index) {
        return "C and Lua decided differently";
    }
    if (!changed) {
        return NULL;
    }
    keep(twins, trace, &record, &account);
    return compare(twins, twins->check_host, trace->now_us);
}

static int64_t any_up_to(struct trace *trace, int64_t most) {
    uint64_t below = UINT64_C(1) << trace_random(trace, 40);
    return (int64_t)(trace_random(trace, below) % ((uint64_t)most + 1));
}

static struct lease_wish choose_wish(struct twins *twins, struct trace *trace) {
    struct lease_told *told = &twins->purses[trace_random(trace, N_PURSES)];
    struct lease_wish wish = {
        .only_returns = trace_random(trace, 8) == 0,
        .told = *told,
        .need_tokens = any_up_to(trace, BUCKET_MAX_TOKENS),
        .extra_tokens = any_up_to(trace, BUCKET_MAX_TOKENS),
        .seen_tokens = any_up_to(trace, LEASE_MAX_SEEN_TOKENS),
        .pace_per_s = any_up_to(trace, LEASE_MAX_PACE_PER_S),
        .lease_us = (int64_t)trace_random(trace, LEASE_TIME_MAX_US + 1),
    };
    if (trace_random(trace, 4) == 0) {
        wish.need_tokens = wish.extra_tokens = wish.seen_tokens = 0;
    }
    if (told->n_tokens > 0) {
        wish.told.n_unused = (int64_t)trace_random(trace, (uint64_t)told->n_tokens + 1);
    }
    *told = (struct lease_told){0};
    return wish;
}

static bool same_grant(const struct lease_grant *a, const struct lease_grant *b) {
    return a->epoch == b->epoch && a->n_there == b->n_there && a->n_to_come == b->n_to_come &&
           a->delay_us == b->delay_us && a->n_others == b->n_others;
}

static const char *lease_both(struct twins *twins, struct trace *trace, struct lease_grant *grant) {
    struct bucket_record record = twins->record, told;
    struct lease_account account = twins->account;
    struct lease_wish wish = choose_wish(twins, trace);
    struct script_lease lease = {trace->limits, trace->n_limits, wish,
                                 trace->charges ? trace->charges_utok : NULL};
    bool changed = lease_grant_tokens(&record, &account, trace->limits, trace->n_limits, &wish,
                                      lease.charges_utok, trace->now_us, grant);
    struct lease_grant scripted;
    struct bytes reply;
    uint8_t argument[SCRIPT_LEASE_ARG_MAX_BYTES];
    size_t n = script_lease_pack(&lease, argument, sizeof argument);
    const char *problem =
        eval(twins, twins->lease_host, (struct bytes){argument, n}, trace->now_us, changed, &reply);
    if (problem != NULL) {
        return problem;
    }
    if (!script_lease_parse(reply, &lease, &scripted, &told)) {
        return "the reply to a lease was refused";
    }
    if (!same_grant(grant, &scripted)) {
        return "C and Lua granted differently";
    }
    twins->purses[trace_random(trace, N_PURSES)] =
        (struct lease_told){grant->epoch, grant->n_there + grant->n_to_come, 0};
    if (!changed) {
        return NULL;
    }
    keep(twins, trace, &record, &account);
    return compare(twins, twins->lease_host, trace->now_us);
}

/* Mostly so little that purses may have spent it; any number, too; and below zero. */
static int64_t choose_gift(const struct twins *twins, struct trace *trace) {
    int64_t out_tokens = twins->account.out_tokens + twins->account.out_before_tokens;
    int64_t most_tokens = trace_random(trace, 4) == 0 ? BUCKET_MAX_TOKENS : out_tokens;
    int64_t tokens = (int64_t)trace_random(trace, (uint64_t)most_tokens + 1);
    tokens = tokens < BUCKET_MAX_TOKENS ? tokens : BUCKET_MAX_TOKENS;
    return trace_random(trace, 8) == 0 ? -tokens : tokens;
}

static const char *give_both(struct twins *twins, struct trace *trace, bool *is_of_out) {
    struct bucket_record record = twins->record;
    struct lease_account account = twins->account;
    struct quota_part part = {.limits = trace->limits, .n_limits = trace->n_limits};
    struct lease_gift gift = {.gain_tokens = choose_gift(twins, trace),
                              .is_refund = trace_random(trace, 4) > 0};
    struct store_give give = {.part = &part, .tokens = gift.gain_tokens, .is_refund = gift.is_refund};
    bool changed = lease_give_tokens(&record, &account, trace->limits, trace->n_limits, &gift, trace->now_us);
    *is_of_out = gift.is_refund && account.given_tokens > 0 && gift.booked_utok > 0;
    struct bytes reply;
    uint8_t argument[SCRIPT_GIVE_ARG_MAX_BYTES];
    size_t n = script_give_pack(&give, argument);
    const char *problem =
        eval(twins, twins->give_host, (struct bytes){argument, n}, trace->now_us, changed, &reply);
    if (problem != NULL) {
        return problem;
    }
    if (!script_give_parse(reply, &give)) {
        return "the reply to a give was refused";
    }
    if (give.booked_utok != gift.booked_utok) {
        return "C and Lua gave differently";
    }
    if (!changed) {
        return NULL;
    }
    keep(twins, trace, &record, &account);
    return compare(twins, twins->give_host, trace->now_us);
}

static void expect(const char *problem, uint64_t trace_number, int step) {
    if (problem != NULL) {
        fail_msg("%s (seed %" PRIu64 ", trace %" PRIu64 ", step %d)", problem, trace_seed(), trace_number,
                 step);
    }
}

static void test_lua_leases_as_c_does(void **state) {
    (void)state;
    struct twins twins = {.check_host = lua_host_create(&script_check),
                          .lease_host = lua_host_create(&script_lease),
                          .give_host = lua_host_create(&script_give)};
    assert_non_null(twins.check_host);
    assert_non_null(twins.lease_host);
    assert_non_null(twins.give_host);
    uint64_t n_there = 0, n_to_come = 0, n_none = 0, n_given = 0;
    for (uint64_t i = 0; i < N_TRACES; i++) {
        struct trace trace;
        struct bucket_verdict verdict = {0};
        struct lease_grant grant;
        trace_begin(&trace, trace_seed(), i, START_US);
        trace.may_step_back = i % 4 == 1;
        trace.may_change_quota = i % 3 == 1;
        trace.may_peek = true;
        trace.may_charge = i % 4 == 2;
        twins.record.n_levels = 0;
        twins.account = (struct lease_account){0};
        memset(twins.purses, 0, sizeof twins.purses);
        for (int j = 0; j < N_STEPS; j++) {
            expect(expire_both(&twins, trace.now_us), i, j);
            uint64_t which = trace_random(&trace, 6);
            if (which == 0) {
                bool is_of_out;
                expect(give_both(&twins, &trace, &is_of_out), i, j);
                n_given += is_of_out;
            } else if (which < 3) {
                expect(check_both(&twins, &trace, &verdict), i, j);
            } else {
                expect(lease_both(&twins, &trace, &grant), i, j);
                n_there += grant.n_there > 0;
                n_to_come += grant.n_to_come > 0;
                n_none += grant.n_there + grant.n_to_come == 0;
            }
            /* Mostly little time passes, so that purses are told while they are accounted for. */
            int64_t before_us = trace.now_us;
            trace_next(&trace, &verdict);
            if (trace_random(&trace, 4) != 0 && trace.now_us > before_us) {
                trace.now_us = before_us + (int64_t)trace_random(&trace, 240000);
            }
        }
    }
    lua_host_destroy(&twins.check_host);
    lua_host_destroy(&twins.lease_host);
    lua_host_destroy(&twins.give_host);
    printf("grants there %" PRIu64 ", to come %" PRIu64 ", none %" PRIu64 "; given beside leases %" PRIu64 "\n",
           n_there, n_to_come, n_none, n_given);
    assert_true(n_given > N_TRACES);
    assert_true(n_there > N_TRACES * N_STEPS / 10);
    assert_true(n_to_come > N_TRACES * N_STEPS / 50);
    assert_true(n_none > N_TRACES * N_STEPS / 10);
}

/* --- the bound, in every window --- */

enum { N_TRIALS = 600 };

static void choose_trial_limits(struct trace *random, struct lease_trial *trial) {
    static const int64_t rates[][2] = {{1, 60},  {1, 1},   {7, 3},    {10, 1},
                                       {100, 1}, {999, 1}, {1000, 1}, {20000, 1}};
    trial->n_limits = trace_random(random, 3) == 0 ? 2 + (uint32_t)trace_random(random, 2) : 1;
    uint64_t rate = trace_random(random, sizeof rates / sizeof *rates);
    for (uint32_t i = 0; i < trial->n_limits; i++) {
        struct bucket_limit *limit = &trial->limits[i];
        *limit = (struct bucket_limit){.id = i + 1};
        assert_true(bucket_set_rate(limit, rates[rate][0] * (1 + i), rates[rate][1], NULL));
        /* 0.02 to 2 seconds' worth, or a few tokens. */
        int64_t most_tokens = 1 + 2 * limit->count / limit->period_s;
        int64_t tokens = 1 + (int64_t)trace_random(random, (uint64_t)most_tokens);
        tokens = trace_random(random, 4) == 0 ? 1 + tokens / 50 : tokens;
        limit->burst_utok = tokens * BUCKET_UTOK_PER_TOKEN + (int64_t)trace_random(random, 2) * 123456;
    }
}

static void choose_trial(struct lease_trial *trial, uint64_t number) {
    static const double demands[] = {0.9, 1, 1.2, 3, 30};
    struct trace random = {.random = trace_seed() * 1000003 + number};
    *trial = (struct lease_trial){.seed = trace_random(&random, UINT64_MAX)};
    choose_trial_limits(&random, trial);
    double rate_per_s = (double)trial->limits[0].count / (double)trial->limits[0].period_s;
    trial->n_workers = 1 + (uint32_t)trace_random(&random, LEASE_TRIAL_MAX_WORKERS);
    trial->is_skewed = trace_random(&random, 2) == 0;
    double demand = demands[trace_random(&random, sizeof demands / sizeof *demands)];
    trial->checks_per_s = rate_per_s * (rate_per_s > 1000 && demand > 3 ? 3 : demand);
    trial->max_cost_tokens = trace_random(&random, 4) == 0 ? 5 : 1;
    trial->seconds = rate_per_s < 1 ? 1200 : rate_per_s < 100 ? 60 : 3;
    trial->latency_us = trace_random(&random, 2) == 0 ? 1000 : 20000;
    trial->losses_per_million = trace_random(&random, 2) == 0 ? 0 : 30000;
    trial->deaths_per_million = trace_random(&random, 2) == 0 ? 0 : 10000;
    trial->plain_checks_percent = trace_random(&random, 2) == 0 ? 0 : 10;
    trial->refunds_percent = trace_random(&random, 3) == 0 ? 20 : 0;
}

static void test_no_window_admits_more_than_burst_and_rate(void **state) {
    (void)state;
    uint64_t n_admitted = 0, n_tight = 0, n_refunds = 0;
    for (uint64_t i = 0; i < N_TRIALS; i++) {
        struct lease_trial trial;
        struct lease_result result;
        choose_trial(&trial, i);
        assert_true(lease_trial_run(&trial, &result));
        if (result.n_admitted > 0 && result.over_tokens > 0) {
            fail_msg("%.3f tokens too many (seed %" PRIu64 ", trial %" PRIu64 ")", result.over_tokens,
                     trace_seed(), i);
        }
        n_admitted += result.n_admitted;
        n_tight += result.over_tokens > -1;
        n_refunds += result.n_refunds;
    }
    /* The bound must have been reached often, or nothing was shown. */
    printf("%" PRIu64 " admitted, the bound within a token in %" PRIu64 " trials; %" PRIu64 " refunds\n",
           n_admitted, n_tight, n_refunds);
    assert_true(n_admitted > 1000 * N_TRIALS);
    assert_true(n_tight > N_TRIALS / 4);
    assert_true(n_refunds > 100 * N_TRIALS);
}

/* --- what is served, and at which cost --- */

struct loss {
    const char *name;
    int64_t latency_us;
    uint32_t losses_per_million, deaths_per_million;
    double least_served; /* when demand is 1.2 times the rate or more, and the burst 0.1 seconds' worth */
};

static void serve(const struct loss *loss, double burst_s, double demand) {
    double least = 1, most_calls = 0;
    for (int kind = 0; kind < 3; kind++) {
        struct lease_trial trial = {
            .seed = trace_seed() + (uint64_t)kind,
            .n_limits = 1,
            .n_workers = kind == 0 ? 1 : LEASE_TRIAL_MAX_WORKERS,
            .is_skewed = kind == 2,
            .checks_per_s = 1000 * demand,
            .max_cost_tokens = 1,
            .seconds = 6,
            .latency_us = loss->latency_us,
            .losses_per_million = loss->losses_per_million,
            .deaths_per_million = loss->deaths_per_million,
        };
        trial.limits[0] = (struct bucket_limit){.id = 1, .count = 1000, .period_s = 1};
        trial.limits[0].burst_utok = (int64_t)(burst_s * 1000) * BUCKET_UTOK_PER_TOKEN;
        struct lease_result result;
        assert_true(lease_trial_run(&trial, &result));
        assert_true(result.over_tokens <= 0);
        least = result.served < least ? result.served : least;
        most_calls = result.calls > most_calls ? result.calls : most_calls;
    }
    printf("%-28s burst %4.2f s demand %4.1f: served %.4f, calls per check %.4f\n", loss->name, burst_s, demand,
           least, most_calls);
    if (demand >= 1.2 && burst_s >= 0.1) {
        assert_true(least >= loss->least_served);
    }
    if (demand >= 30 && burst_s >= 0.2) {
        assert_true(most_calls <= 0.01);
    }
}

static void test_the_rate_is_served_with_few_calls(void **state) {
    (void)state;
    static const struct loss losses[] = {
        {"1 ms", 1000, 0, 0, 0.98},
        {"20 ms", 20000, 0, 0, 0.98},
        {"20 ms, 1 % lost, some die", 20000, 10000, 1000, 0.95},
    };
    static const double bursts_s[] = {0.02, 0.1, 0.2, 2}, demands[] = {0.9, 1, 1.2, 3, 30};
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        for (size_t j = 0; j < sizeof bursts_s / sizeof *bursts_s; j++) {
            for (size_t k = 0; k < sizeof demands / sizeof *demands; k++) {
                serve(&losses[i], bursts_s[j], demands[k]);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lua_leases_as_c_does),
        cmocka_unit_test(test_no_window_admits_more_than_burst_and_rate),
        cmocka_unit_test(test_the_rate_is_served_with_few_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
