/* test_bucket_property.c — C against Lua against exact arithmetic, on random traces of checks.
 *
 * A failure names the seed, the trace and the check; SLUICE_SEED=<seed> runs it again. */
#include "tests/support/test_prelude.h"

#include <inttypes.h>

#include "tests/property/lua_host.h"
#include "tests/property/rational.h"
#include "tests/property/trace.h"

#define START_US INT64_C(1790000000000000)

enum { N_TRACES = 3000, N_CHECKS = 120 };

/* Fails the test with where it happened. */
static void expect(const char *problem, uint64_t trace_number, int check_number) {
    if (problem != NULL) {
        fail_msg("%s (seed %" PRIu64 ", trace %" PRIu64 ", check %d)", problem, trace_seed(), trace_number,
                 check_number);
    }
}

static void check_now(struct bucket_record *record, const struct trace *trace, struct bucket_verdict *verdict) {
    bucket_check(record, trace->limits, trace->n_limits, trace->cost_tokens, trace->now_us, trace->peek,
                 verdict);
}

static bool same_record(const struct bucket_record *a, const struct bucket_record *b) {
    uint8_t a_bytes[SCRIPT_RECORD_MAX_BYTES], b_bytes[SCRIPT_RECORD_MAX_BYTES];
    size_t a_len = script_record_pack(a, a_bytes), b_len = script_record_pack(b, b_bytes);
    return a_len == b_len && memcmp(a_bytes, b_bytes, a_len) == 0;
}

/* --- C against Lua ------------------------------------------------------------------------------------- */

/* The same record twice: as C has it, and as the script keeps it in the host. */
struct twins {
    struct lua_host *host;
    struct bucket_record record;
    struct bucket_limit limits[BUCKET_MAX_LIMITS]; /* with which the record was written */
    uint32_t n_limits;
};

/* When the script's record has expired, C's must hold nothing but full buckets, and is forgotten as well. */
static const char *expire_both(struct twins *twins, int64_t now_us) {
    struct bytes value;
    int64_t expires_ms;
    struct bucket_verdict verdict;
    lua_host_set_now(twins->host, now_us);
    if (lua_host_value(twins->host, &value, &expires_ms) || twins->record.n_levels == 0) {
        return NULL;
    }
    bucket_check(&twins->record, twins->limits, twins->n_limits, 1, now_us, true, &verdict);
    twins->record.n_levels = 0;
    return verdict.full_after_us == 0 ? NULL : "expired before it was full";
}

static const char *compare_values(struct twins *twins, const struct trace *trace,
                                  const struct bucket_verdict *verdict) {
    struct bytes value;
    int64_t expires_ms;
    uint8_t expected[SCRIPT_RECORD_MAX_BYTES];
    bool exists = lua_host_value(twins->host, &value, &expires_ms);
    if (!verdict->changed) {
        return NULL;
    }
    size_t n = script_record_pack(&twins->record, expected);
    if (!exists || value.len != n || memcmp(value.data, expected, n) != 0) {
        return "C and Lua left different records";
    }
    int64_t full_at_us = trace->now_us + verdict->full_after_us;
    full_at_us = full_at_us < BUCKET_MAX_EXACT ? full_at_us : BUCKET_MAX_EXACT;
    return expires_ms == (full_at_us + 999) / 1000 ? NULL : "the record does not expire when it is full";
}

/* As the store does it: whoever is told that it is another time asks once more. */
static const char *ask_script(struct twins *twins, struct script_check *check, int64_t now_us,
                              struct bytes *reply) {
    uint8_t argument[SCRIPT_CHECK_ARG_MAX_BYTES];
    int64_t told_us;
    for (int i = 0; i < 2; i++) {
        size_t n = script_check_pack(check, argument, sizeof argument);
        if (!lua_host_eval(twins->host, (struct bytes){argument, n}, reply)) {
            return "the script failed";
        }
        if (!script_tells_time(*reply, &told_us)) {
            return NULL;
        }
        if (told_us != now_us) {
            return "the script told another time";
        }
        check->unix_us = told_us;
    }
    return "the script does not know its own time";
}

static const char *check_both(struct twins *twins, const struct trace *trace, struct bucket_verdict *verdict) {
    struct bytes reply;
    struct bucket_verdict scripted;
    uint64_t n_sets = lua_host_n_sets(twins->host);
    struct script_check check = trace_script_check(trace);
    struct bucket_record told;
    trace_check(&twins->record, trace, verdict);
    const char *problem = ask_script(twins, &check, trace->now_us, &reply);
    if (problem != NULL) {
        return problem;
    }
    if (!script_check_parse(reply, &check, &scripted, &told)) {
        return "the script's reply was refused";
    }
    told.at_us += trace->now_us;
    if (told.n_levels != twins->record.n_levels || (told.n_levels > 0 && !same_record(&told, &twins->record))) {
        return "the reply tells another record";
    }
    if (!trace_same_verdict(verdict, &scripted)) {
        return "C and Lua decided differently";
    }
    if (lua_host_n_sets(twins->host) - n_sets != (verdict->changed ? 1 : 0)) {
        return "written without need, or not written";
    }
    if (verdict->changed) {
        memcpy(twins->limits, trace->limits, sizeof twins->limits);
        twins->n_limits = trace->n_limits;
    }
    return compare_values(twins, trace, verdict);
}

/* A record that C and Lua might take for different things: cut, of another format, of any time and level. */
static void plant_any_record(struct twins *twins, struct trace *trace) {
    uint8_t bytes[SCRIPT_RECORD_MAX_BYTES + SCRIPT_RECORD_LEVEL_BYTES];
    struct bucket_record record = {.at_us = trace->now_us - (int64_t)trace_random(trace, 1000000)};
    record.n_levels = (uint32_t)trace_random(trace, BUCKET_MAX_LIMITS + 1);
    for (uint32_t i = 0; i < record.n_levels; i++) {
        int64_t any = (int64_t)trace_random(trace, UINT64_MAX);
        int64_t near = any % (2 * BUCKET_MAX_TOKENS * BUCKET_UTOK_PER_TOKEN);
        uint32_t id = i < trace->n_limits ? trace->limits[i].id : 77 + i;
        record.levels[i] = (struct bucket_level){id, i % 2 == 0 ? any : near};
    }
    if (trace_random(trace, 4) == 0) {
        record.at_us = trace_random(trace, 2) == 0 ? (int64_t)trace_random(trace, UINT64_MAX) : -1;
    }
    size_t n = script_record_pack(&record, bytes);
    memset(bytes + n, 0x41, sizeof bytes - n);
    if (trace_random(trace, 4) == 0) {
        n = (size_t)trace_random(trace, sizeof bytes + 1);
    }
    if (trace_random(trace, 4) == 0) {
        bytes[0] = (uint8_t)trace_random(trace, 256);
    }
    struct bytes value = {bytes, n};
    lua_host_put_value(twins->host, value);
    script_record_parse(value, &twins->record);
    memcpy(twins->limits, trace->limits, sizeof twins->limits);
    twins->n_limits = trace->n_limits;
}

static void compare_c_and_lua(bool has_windows) {
    struct twins twins = {.host = lua_host_create(&script_check)};
    assert_non_null(twins.host);
    uint64_t n_allowed = 0, n_denied = 0;
    for (uint64_t i = 0; i < N_TRACES; i++) {
        struct trace trace;
        struct bucket_verdict verdict = {0};
        trace_begin(&trace, trace_seed(), i, START_US);
        trace.may_step_back = i % 4 != 0;
        trace.may_change_quota = i % 3 != 0;
        trace.may_peek = true;
        trace.may_charge = i % 2 == 0;
        if (has_windows) {
            trace_add_windows(&trace);
        }
        lua_host_put_value(twins.host, (struct bytes){0});
        twins.record.n_levels = 0;
        for (int j = 0; j < N_CHECKS; j++) {
            if (i % 8 == 7 && j % 4 == 0) {
                plant_any_record(&twins, &trace);
            }
            expect(expire_both(&twins, trace.now_us), i, j);
            expect(check_both(&twins, &trace, &verdict), i, j);
            n_allowed += verdict.allowed;
            n_denied += !verdict.allowed;
            trace_next(&trace, &verdict);
        }
    }
    lua_host_destroy(&twins.host);
    /* The traces must be worth something. */
    assert_true(n_allowed > N_TRACES * N_CHECKS / 5);
    assert_true(n_denied > N_TRACES * N_CHECKS / 5);
}

static void test_lua_decides_and_writes_as_c_does(void **state) {
    (void)state;
    compare_c_and_lua(false);
}

static void test_lua_decides_by_windows_as_c_does(void **state) {
    (void)state;
    compare_c_and_lua(true);
}

/* --- C against the rules ------------------------------------------------------------------------------- */

/* One microsecond before retry_after has passed the same check is denied, then it is allowed. */
static const char *retry_is_exact(const struct bucket_record *record, const struct trace *trace,
                                  const struct bucket_verdict *verdict) {
    if (verdict->allowed || trace->now_us + verdict->retry_after_us > BUCKET_MAX_NOW_US) {
        return NULL;
    }
    struct trace later = *trace;
    later.peek = true;
    struct bucket_record copy = *record;
    struct bucket_verdict then;
    later.now_us += verdict->retry_after_us - 1;
    check_now(&copy, &later, &then);
    if (verdict->retry_after_us < 1 || then.allowed) {
        return "granted before retry_after";
    }
    later.now_us++;
    check_now(&copy, &later, &then);
    return then.allowed ? NULL : "not granted at retry_after";
}

/* One microsecond before reset_after has passed the limit is not full, then it is. */
static const char *reset_is_exact(const struct bucket_record *record, const struct trace *trace,
                                  const struct bucket_verdict *verdict) {
    struct trace later = *trace;
    later.limits[0] = trace->limits[verdict->limit_index];
    later.n_limits = 1;
    later.peek = true;
    later.now_us += verdict->reset_after_us;
    if (later.now_us > BUCKET_MAX_NOW_US) {
        return NULL;
    }
    struct bucket_record copy = *record;
    struct bucket_verdict then;
    check_now(&copy, &later, &then);
    if (then.remaining_utok < later.limits[0].burst_utok) {
        return "not full at reset_after";
    }
    later.now_us--;
    check_now(&copy, &later, &then);
    bool waits_for_clock = record->n_levels > 0 && record->at_us > later.now_us;
    if (verdict->reset_after_us > 0 && !waits_for_clock && then.remaining_utok == later.limits[0].burst_utok) {
        return "full before reset_after";
    }
    return NULL;
}

static const char *check_by_rules(struct bucket_record *record, struct trace *trace,
                                  struct bucket_verdict *verdict) {
    struct bucket_record before = *record;
    struct bucket_verdict peeked;
    trace->peek = true;
    check_now(record, trace, &peeked);
    if (peeked.changed || !same_record(record, &before)) {
        return "peek changed the record";
    }
    trace->peek = false;
    check_now(record, trace, verdict);
    if (peeked.allowed != verdict->allowed || peeked.wait_us != verdict->wait_us ||
        peeked.retry_after_us != verdict->retry_after_us || peeked.limit_index != verdict->limit_index) {
        return "peek and check disagree";
    }
    bool dated_anew = before.n_levels > 0 && before.at_us > trace->now_us + BUCKET_CLOCK_SLACK_US;
    if (verdict->changed != (verdict->allowed || dated_anew) ||
        (!verdict->changed && !same_record(record, &before))) {
        return "a denial changed the record";
    }
    if (record->n_levels > 0 && record->at_us > trace->now_us + BUCKET_CLOCK_SLACK_US) {
        return "the record stays ahead of the clock";
    }
    const char *problem = retry_is_exact(record, trace, verdict);
    return problem != NULL ? problem : reset_is_exact(record, trace, verdict);
}

static void test_checks_keep_the_rules(void **state) {
    (void)state;
    for (uint64_t i = 0; i < N_TRACES; i++) {
        struct trace trace;
        struct bucket_record record = {0};
        struct bucket_verdict verdict = {0};
        trace_begin(&trace, trace_seed(), i, START_US);
        trace.may_step_back = i % 2 == 0;
        trace.may_change_quota = i % 3 == 0;
        for (int j = 0; j < N_CHECKS; j++) {
            expect(check_by_rules(&record, &trace, &verdict), i, j);
            trace_next(&trace, &verdict);
        }
    }
}

/* --- C against exact arithmetic ------------------------------------------------------------------------ */

struct judge {
    struct rational_bucket buckets[BUCKET_MAX_LIMITS];
    struct rational_window windows[BUCKET_MAX_LIMITS];
    int64_t n_admitted;
};

static void start_judge(struct judge *judge, const struct trace *trace) {
    judge->n_admitted = 0;
    for (uint32_t i = 0; i < trace->n_limits; i++) {
        rational_bucket_start(&judge->buckets[i], &trace->limits[i], trace->now_us);
        rational_window_start(&judge->windows[i], &trace->limits[i]);
    }
}

/* The record's time is the judge's: while the clock is behind it by the slack, nothing accrues. */
static const char *judge_admission(struct judge *judge, const struct trace *trace,
                                   const struct bucket_record *record) {
    judge->n_admitted++;
    for (uint32_t i = 0; i < trace->n_limits; i++) {
        rational_bucket_advance(&judge->buckets[i], record->at_us);
        if (!rational_bucket_charge(&judge->buckets[i], trace->cost_tokens)) {
            return "admitted more than the exact bucket holds";
        }
        if (!rational_window_admit(&judge->windows[i], trace->cost_tokens, record->at_us)) {
            return "admitted more than burst + rate * T in a window";
        }
        int64_t lead_utok = rational_bucket_lead(&judge->buckets[i], record->levels[i].utok);
        if (lead_utok < 0 || lead_utok > judge->n_admitted) {
            return "rounded by more than one micro-token for an admission";
        }
    }
    return NULL;
}

static void test_never_more_than_exact_arithmetic_allows(void **state) {
    (void)state;
    for (uint64_t i = 0; i < N_TRACES; i++) {
        struct trace trace;
        struct judge judge;
        struct bucket_record record = {0};
        struct bucket_verdict verdict = {0};
        trace_begin(&trace, trace_seed(), i, START_US);
        start_judge(&judge, &trace);
        for (int j = 0; j < N_CHECKS; j++) {
            check_now(&record, &trace, &verdict);
            if (verdict.allowed) {
                expect(judge_admission(&judge, &trace, &record), i, j);
            }
            trace_next(&trace, &verdict);
            if (j % 10 == 9 && trace.now_us + 1000 > record.at_us) {
                trace.now_us -= (int64_t)trace_random(&trace, 1000); /* a clock a little behind */
            }
        }
    }
}

/* A limit that is asked for more than it has, a million times: what rounding has cost it by the end. */
static void drift_of(const int64_t rate[2], int64_t burst_tokens, int64_t step_us) {
    enum { N_OPERATIONS = 1000000 };
    struct trace trace;
    struct judge judge;
    struct bucket_record record = {0};
    struct bucket_verdict verdict = {0};
    trace_begin(&trace, trace_seed(), 0, START_US);
    trace.n_limits = 1;
    trace.limits[0] = (struct bucket_limit){.id = 1, .burst_utok = burst_tokens * BUCKET_UTOK_PER_TOKEN};
    assert_true(bucket_set_rate(&trace.limits[0], rate[0], rate[1], NULL));
    start_judge(&judge, &trace);
    for (int j = 0; j < N_OPERATIONS; j++) {
        check_now(&record, &trace, &verdict);
        if (verdict.allowed) {
            expect(judge_admission(&judge, &trace, &record), 0, j);
        }
        trace.now_us += 1 + (int64_t)trace_random(&trace, (uint64_t)step_us);
    }
    int64_t lead_utok = rational_bucket_lead(&judge.buckets[0], record.levels[0].utok);
    assert_true(judge.n_admitted > N_OPERATIONS / 16);
    assert_true((double)lead_utok <= 1e-6 * (double)judge.n_admitted * (double)BUCKET_UTOK_PER_TOKEN);
}

static void test_no_drift_after_a_million_operations(void **state) {
    (void)state;
    drift_of((const int64_t[]){10000000, 1}, 1, 1);
    drift_of((const int64_t[]){999983, 7}, 3, 10);
    drift_of((const int64_t[]){100, 1}, 50, 15000);
    drift_of((const int64_t[]){5000000, 86400}, 10, 30000);
    drift_of((const int64_t[]){20, 3600}, 1, 200000000);
    drift_of((const int64_t[]){7, 86400}, 1, 2500000000);
}

/* Two admitted checks leave at least the first one's cost / rate apart, to the microsecond. */
static void test_leaky_departures_keep_their_distance(void **state) {
    (void)state;
    for (uint64_t i = 0; i < N_TRACES; i++) {
        struct trace trace;
        struct bucket_record record = {0};
        struct bucket_verdict verdict = {0};
        trace_begin(&trace, trace_seed(), i, START_US);
        trace.n_limits = 1;
        trace.limits[0].algorithm = BUCKET_LEAKY;
        __int128 departed_us = 0, cost_utok = 0;
        for (int j = 0; j < N_CHECKS; j++) {
            check_now(&record, &trace, &verdict);
            if (verdict.allowed) {
                __int128 leaves_us = trace.now_us + verdict.wait_us;
                if (verdict.wait_us < BUCKET_MAX_EXACT &&
                    (leaves_us - departed_us + 1) * trace.limits[0].count <
                        cost_utok * trace.limits[0].period_s) {
                    expect("departures too close", i, j);
                }
                departed_us = leaves_us;
                cost_utok = (__int128)trace.cost_tokens * BUCKET_UTOK_PER_TOKEN;
            }
            trace_next(&trace, &verdict);
        }
    }
}

/* --- windows against a plain model: every grant is remembered, and added up anew for each question ------- */

struct grants {
    int64_t at_us[N_CHECKS], tokens[N_CHECKS];
    int n;
};

static int64_t granted_between(const struct grants *grants, int64_t from_us, int64_t to_us) {
    int64_t sum = 0;
    for (int i = 0; i < grants->n; i++) {
        sum += grants->at_us[i] >= from_us && grants->at_us[i] < to_us ? grants->tokens[i] : 0;
    }
    return sum;
}

static bool model_grants(const struct grants *grants, const struct bucket_limit *limit, int64_t cost_tokens,
                         int64_t now_us) {
    enum calendar_period period = (enum calendar_period)limit->period_s;
    int64_t start_us = calendar_start(period, now_us, 0), end_us = calendar_start(period, now_us, 1);
    int64_t room = limit->count - cost_tokens - granted_between(grants, start_us, end_us);
    __int128 fading = 0;
    if (limit->algorithm == BUCKET_SLIDING_WINDOW) {
        fading =
            (__int128)granted_between(grants, calendar_start(period, now_us, -1), start_us) * (end_us - now_us);
    }
    return (__int128)room * (end_us - start_us) >= fading;
}

/* At the last grant: never more than count in its period, nor, of a sliding window, count * (1 + T / length). */
static const char *keeps_bounds(const struct grants *grants, const struct bucket_limit *limit) {
    enum calendar_period period = (enum calendar_period)limit->period_s;
    int64_t last_us = grants->at_us[grants->n - 1];
    int64_t shortest_us = period == CALENDAR_MONTH ? 28 * INT64_C(86400000000) : period * INT64_C(1000000);
    int64_t start_us = calendar_start(period, last_us, 0);
    if (granted_between(grants, start_us, last_us + 1) > limit->count) {
        return "more than count in a period";
    }
    for (int i = 0; limit->algorithm == BUCKET_SLIDING_WINDOW && i < grants->n; i++) {
        int64_t time_us = last_us - grants->at_us[i];
        __int128 most = (__int128)limit->count * (shortest_us + time_us);
        if ((__int128)granted_between(grants, grants->at_us[i], last_us + 1) * shortest_us > most) {
            return "more than count * (1 + T / length) in T";
        }
    }
    return NULL;
}

static void test_windows_grant_what_a_plain_model_grants(void **state) {
    (void)state;
    for (uint64_t i = 0; i < N_TRACES; i++) {
        struct trace trace;
        struct bucket_record record = {0};
        struct bucket_verdict verdict = {0};
        struct grants grants = {.n = 0};
        trace_begin(&trace, trace_seed(), i, START_US);
        do {
            trace_add_windows(&trace);
            trace.n_limits = 1;
        } while (!bucket_is_window(&trace.limits[0]));
        for (int j = 0; j < N_CHECKS; j++) {
            bool granted = model_grants(&grants, &trace.limits[0], trace.cost_tokens, trace.now_us);
            check_now(&record, &trace, &verdict);
            expect(verdict.allowed == granted ? NULL : "the model decides differently", i, j);
            expect(retry_is_exact(&record, &trace, &verdict), i, j);
            if (granted) {
                grants.at_us[grants.n] = trace.now_us;
                grants.tokens[grants.n++] = trace.cost_tokens;
                expect(keeps_bounds(&grants, &trace.limits[0]), i, j);
            }
            trace_next(&trace, &verdict);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lua_decides_and_writes_as_c_does),
        cmocka_unit_test(test_lua_decides_by_windows_as_c_does),
        cmocka_unit_test(test_checks_keep_the_rules),
        cmocka_unit_test(test_never_more_than_exact_arithmetic_allows),
        cmocka_unit_test(test_no_drift_after_a_million_operations),
        cmocka_unit_test(test_leaky_departures_keep_their_distance),
        cmocka_unit_test(test_windows_grant_what_a_plain_model_grants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
