/* test_lease_redis.c — the lease script in a real redis-server: random calls against C, when a record that is
 * leased from expires, and the bound on the real clock. */
#include "tests/support/test_prelude.h"

#include <inttypes.h>
#include <time.h>

#include "server/core/lease.h"
#include "server/store/script_lease.h"
#include "tests/property/rational.h"
#include "tests/property/trace.h"
#include "tests/property/script_redis.h"

enum { N_TRACES = 200, N_CALLS = 60, N_WORKERS = 3 };

static int64_t clock_us(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void test_script_loads_under_its_hash(void **state) {
    script_redis_load(*state, &script_lease);
}

/* now_us < 0: at the server's own time. */
static struct lease_grant eval(struct script_redis *redis, const char *key, const struct script_lease *lease,
                               int64_t now_us, struct bucket_record *record) {
    uint8_t argument[SCRIPT_LEASE_ARG_MAX_BYTES];
    char now[32];
    snprintf(now, sizeof now, "%" PRId64, now_us);
    size_t n = script_lease_pack(lease, argument, sizeof argument);
    const struct bytes args[] = {text_bytes("EVALSHA"), text_bytes(script_lease.sha1),
                                 text_bytes("1"),       text_bytes(key),
                                 {argument, n},         text_bytes(now)};
    struct redis_answer answer = script_redis_send(redis, args, now_us < 0 ? 5 : 6);
    struct lease_grant grant = {0};
    if (answer.kind != REDIS_BULK || !script_lease_parse(answer.text, lease, &grant, record)) {
        fail_msg("reply of %zu bytes not understood: %.*s", answer.text.len, (int)answer.text.len,
                 (const char *)answer.text.data);
    }
    return grant;
}

static struct lease_wish choose_wish(struct trace *trace, struct lease_told *told) {
    int64_t most = trace->limits[0].burst_utok / BUCKET_UTOK_PER_TOKEN + 1;
    struct lease_wish wish = {
        .only_returns = trace_random(trace, 8) == 0,
        .told = *told,
        .need_tokens = (int64_t)trace_random(trace, (uint64_t)most),
        .extra_tokens = (int64_t)trace_random(trace, (uint64_t)most),
        .seen_tokens = (int64_t)trace_random(trace, 100000),
        .pace_per_s = (int64_t)trace_random(trace, 100000),
        .lease_us = lease_time_us(trace->limits, 1),
    };
    wish.told.n_unused = told->n_tokens / (1 + (int64_t)trace_random(trace, 4));
    return wish;
}

/* The traces live in the future, so that no record expires by the server's clock. */
static void test_random_leases_are_those_of_c(void **state) {
    struct script_redis *redis = *state;
    int64_t start_us = clock_us(CLOCK_REALTIME) + TRACE_YEAR_US;
    for (uint64_t i = 0; i < N_TRACES; i++) {
        struct trace trace;
        struct bucket_record record = {0}, told;
        struct lease_account account = {0};
        struct lease_told purse = {0};
        char key[32];
        snprintf(key, sizeof key, "trace %" PRIu64, i);
        trace_begin(&trace, trace_seed(), i, start_us);
        for (int j = 0; j < N_CALLS; j++) {
            struct lease_wish wish = choose_wish(&trace, &purse);
            struct script_lease lease = {trace.limits, trace.n_limits, wish, NULL};
            struct lease_grant grant, scripted = eval(redis, key, &lease, trace.now_us, &told);
            struct bucket_record next = record;
            struct lease_account next_account = account;
            if (lease_grant_tokens(&next, &next_account, trace.limits, trace.n_limits, &wish, NULL,
                                   trace.now_us, &grant)) {
                record = next;
                account = next_account;
            }
            if (grant.n_there != scripted.n_there || grant.n_to_come != scripted.n_to_come ||
                grant.delay_us != scripted.delay_us || grant.n_others != scripted.n_others ||
                told.levels[0].utok != next.levels[0].utok) {
                fail_msg("C and Redis granted differently (seed %" PRIu64 ", trace %" PRIu64 ", call %d)",
                         trace_seed(), i, j);
            }
            purse = (struct lease_told){grant.epoch, grant.n_there + grant.n_to_come, 0};
            trace.now_us += (int64_t)trace_random(&trace, 200000);
        }
    }
}

static void test_record_outlives_what_is_out(void **state) {
    struct script_redis *redis = *state;
    struct bucket_limit limit = {.id = 1, .count = 1000, .period_s = 1, .burst_utok = 1000000000};
    struct bucket_record record;
    struct script_lease lease = {&limit, 1, {.need_tokens = 40}, NULL};
    int64_t now_us = (clock_us(CLOCK_REALTIME) + TRACE_YEAR_US) / LEASE_EPOCH_US * LEASE_EPOCH_US;
    (void)eval(redis, "outlives", &lease, now_us, &record);
    struct redis_answer answer = script_redis_call(redis, "PEXPIRETIME", "outlives", NULL);
    assert_int_equal(answer.integer, (now_us + 2 * LEASE_EPOCH_US) / 1000 + 40);
    lease.wish = (struct lease_wish){.only_returns = true, .told = {now_us / LEASE_EPOCH_US, 40, 30}};
    (void)eval(redis, "outlives", &lease, now_us, &record);
    answer = script_redis_call(redis, "PEXPIRETIME", "outlives", NULL);
    assert_int_equal(answer.integer, now_us / 1000 + 10);
}

/* Workers that spend whatever they get, as fast as they can, for a second and a half. */
static void test_never_more_than_burst_and_rate_on_the_real_clock(void **state) {
    struct script_redis *redis = *state;
    struct bucket_limit limit = {.id = 1, .count = 2000, .period_s = 1, .burst_utok = 200000000};
    struct lease_purse purses[N_WORKERS] = {0};
    struct lease_pace paces[N_WORKERS] = {0};
    struct rational_window window;
    int64_t lease_us = lease_time_us(&limit, 1), start_us = clock_us(CLOCK_MONOTONIC), n_admitted = 0;
    rational_window_start(&window, &limit);
    for (int64_t now_us = start_us; now_us < start_us + 1500000; now_us = clock_us(CLOCK_MONOTONIC)) {
        size_t i = (size_t)now_us % N_WORKERS;
        int64_t when_us;
        lease_pace_note(&paces[i], 1, now_us);
        enum lease_take take = lease_purse_take(&purses[i], 1, now_us, &when_us);
        if (take == LEASE_TAKEN) {
            assert_true(rational_window_admit(&window, 1, now_us));
            n_admitted++;
        } else if (take == LEASE_EMPTY) {
            struct bucket_record record;
            struct script_lease lease = {&limit, 1, lease_next_wish(&purses[i], &paces[i], 1, lease_us, now_us),
                                         NULL};
            struct lease_grant grant = eval(redis, "real", &lease, -1, &record);
            lease_purse_fill(&purses[i], &grant, &limit, 1, lease_us, now_us, clock_us(CLOCK_MONOTONIC));
        }
    }
    printf("%" PRId64 " admitted of 3200\n", n_admitted);
    assert_true(n_admitted > 2000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_script_loads_under_its_hash),
        cmocka_unit_test(test_random_leases_are_those_of_c),
        cmocka_unit_test(test_record_outlives_what_is_out),
        cmocka_unit_test(test_never_more_than_burst_and_rate_on_the_real_clock),
    };
    return cmocka_run_group_tests(tests, script_redis_set_up, script_redis_tear_down);
}
