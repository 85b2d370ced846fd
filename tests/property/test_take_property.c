/* test_take_property.c — take.lua and give.lua against C, on random traces: joined costs decide as single checks do,
 * what is given back never overfills, nothing is done twice, and what was said elsewhere is told as the embedded store
 * tells it.
 *
 * A failure names the seed, the trace and the step; SLUICE_SEED=<seed> runs it again. */
#include "tests/support/test_prelude.h"

#include <inttypes.h>

#include "server/store/embedded_store.h"
#include "server/store/script_give.h"
#include "server/store/script_take.h"
#include "tests/property/lua_host.h"
#include "tests/property/trace.h"

#define START_US INT64_C(1790000000000000)

enum { N_TRACES = 400, N_STEPS = 60, MOST_WISHES = 12 };

static const char *const memo_keys[] = {"memo", "another memo"};
static const char reservation_key[] = "reservation";

static void expect(const char *problem, uint64_t trace_number, int step) {
    if (problem != NULL) {
        fail_msg("%s (seed %" PRIu64 ", trace %" PRIu64 ", step %d)", problem, trace_seed(), trace_number,
                 step);
    }
}

/* One store by take.lua and give.lua, one by check.lua, and the record as C has it. */
struct bench {
    struct lua_host *host, *single;
    struct bucket_record record;
    struct trace trace;
    struct quota_part part;
    struct store_wish wishes[STORE_MAX_WISHES];
    uint32_t n_wishes;
    struct bucket_verdict verdict; /* the last */
    uint32_t memo;                 /* which of the memo's keys is meant */
};

static void create(struct bench *bench) {
    *bench = (struct bench){.host = lua_host_create(&script_take), .single = lua_host_create(&script_check)};
    assert_non_null(bench->host);
    assert_non_null(bench->single);
}

static void destroy(struct bench *bench) {
    lua_host_destroy(&bench->host);
    lua_host_destroy(&bench->single);
}

static void begin(struct bench *bench, uint64_t number) {
    trace_begin(&bench->trace, trace_seed(), number, START_US);
    if (number % 2 == 0) {
        trace_add_windows(&bench->trace);
    }
    lua_host_clear(bench->host);
    lua_host_clear(bench->single);
    bench->record.n_levels = 0;
    bench->verdict = (struct bucket_verdict){0};
}

/* Once the limits are full the scripts forget the record; C does it then as well. */
static void set_now(struct bench *bench) {
    struct bytes value;
    int64_t expires_ms;
    bench->part = (struct quota_part){.n_limits = bench->trace.n_limits, .limits = bench->trace.limits};
    lua_host_set_now(bench->host, bench->trace.now_us);
    lua_host_set_now(bench->single, bench->trace.now_us);
    if (!lua_host_value(bench->host, &value, &expires_ms)) {
        bench->record.n_levels = 0;
    }
}

/* Runs the script, and once more when it says that its windows are of another time. */
static bool ask(struct bench *bench, struct bytes argument, uint8_t *limits, struct bytes *reply) {
    const char *const keys[] = {NULL, memo_keys[bench->memo], reservation_key};
    int64_t unix_us = bench->trace.told_us;
    script_limits_put(bench->part.limits, bench->part.n_limits, unix_us, limits);
    if (!lua_host_eval_keys(bench->host, keys, 3, argument, reply)) {
        return false;
    }
    if (!script_tells_time(*reply, &unix_us)) {
        return true;
    }
    script_limits_put(bench->part.limits, bench->part.n_limits, unix_us, limits);
    return lua_host_eval_keys(bench->host, keys, 3, argument, reply);
}

static bool take(struct bench *bench, struct store_take *take) {
    uint8_t argument[SCRIPT_TAKE_ARG_MAX_BYTES];
    struct bytes reply;
    take->part = &bench->part;
    take->wishes = bench->wishes;
    size_t n = script_take_pack(take, argument);
    return n > 0 && lua_host_load(bench->host, &script_take) &&
           ask(bench, (struct bytes){argument, n}, argument + SCRIPT_TAKE_HEAD_BYTES, &reply) &&
           script_take_parse(reply, take);
}

static bool give(struct bench *bench, struct store_give *give) {
    uint8_t argument[SCRIPT_GIVE_ARG_MAX_BYTES];
    struct bytes reply;
    give->part = &bench->part;
    size_t n = script_give_pack(give, argument);
    return n > 0 && lua_host_load(bench->host, &script_give) &&
           ask(bench, (struct bytes){argument, n}, argument + SCRIPT_GIVE_HEAD_BYTES, &reply) &&
           script_give_parse(reply, give);
}

static bool same_record(const struct bucket_record *a, const struct bucket_record *b) {
    uint8_t a_bytes[SCRIPT_RECORD_MAX_BYTES], b_bytes[SCRIPT_RECORD_MAX_BYTES];
    size_t a_len = script_record_pack(a, a_bytes), b_len = script_record_pack(b, b_bytes);
    return a->n_levels == b->n_levels &&
           (a->n_levels == 0 || (a_len == b_len && memcmp(a_bytes, b_bytes, a_len) == 0));
}

/* Do both hosts keep the same, for as long? */
static bool same_values(struct bench *bench) {
    struct bytes value = {0}, single = {0};
    int64_t expires_ms = 0, single_expires_ms = 0;
    bool exists = lua_host_value(bench->host, &value, &expires_ms);
    bool single_exists = lua_host_value(bench->single, &single, &single_expires_ms);
    return exists == single_exists && value.len == single.len && expires_ms == single_expires_ms &&
           (value.len == 0 || memcmp(value.data, single.data, value.len) == 0);
}

/* Costs that a trace chose, one after the other, and the least of all as well. */
static void choose_wishes(struct bench *bench) {
    int64_t left_tokens = bench->verdict.remaining_utok / BUCKET_UTOK_PER_TOKEN;
    bench->n_wishes = 1 + (uint32_t)trace_random(&bench->trace, MOST_WISHES);
    for (uint32_t i = 0; i < bench->n_wishes; i++) {
        const int64_t costs[] = {1, left_tokens / 2, left_tokens, bench->trace.cost_tokens,
                                 bench->trace.limits[0].burst_utok / BUCKET_UTOK_PER_TOKEN / 3};
        int64_t cost = costs[trace_random(&bench->trace, sizeof costs / sizeof *costs)];
        bench->wishes[i].cost_tokens = cost < 1 ? 1 : cost > BUCKET_MAX_TOKENS ? BUCKET_MAX_TOKENS : cost;
    }
}

/* The same costs as single checks by check.lua, and in C. */
static const char *check_each(struct bench *bench) {
    struct trace trace = bench->trace;
    for (uint32_t i = 0; i < bench->n_wishes; i++) {
        uint8_t argument[SCRIPT_CHECK_ARG_MAX_BYTES];
        struct bytes reply;
        struct bucket_verdict told;
        struct bucket_record record;
        trace.cost_tokens = bench->wishes[i].cost_tokens;
        trace.told_us = trace.now_us;
        struct script_check check = trace_script_check(&trace);
        size_t n = script_check_pack(&check, argument, sizeof argument);
        if (!lua_host_eval(bench->single, (struct bytes){argument, n}, &reply) ||
            !script_check_parse(reply, &check, &told, &record)) {
            return "the check failed";
        }
        trace_check(&bench->record, &trace, &bench->verdict);
        if (!trace_same_verdict(&told, &bench->wishes[i].verdict) ||
            !trace_same_verdict(&bench->verdict, &bench->wishes[i].verdict)) {
            return "joined and single checks are decided differently";
        }
        trace.charges = false;
    }
    return NULL;
}

static const char *take_and_check(struct bench *bench) {
    struct store_take all = {.n_wishes = bench->n_wishes,
                             .charges_utok = bench->trace.charges ? bench->trace.charges_utok : NULL};
    if (!take(bench, &all)) {
        return "the take failed";
    }
    const char *problem = check_each(bench);
    if (problem != NULL) {
        return problem;
    }
    all.record.at_us += bench->trace.now_us;
    if (!same_record(&all.record, &bench->record)) {
        return "the take tells another record";
    }
    return same_values(bench) ? NULL : "joined and single checks leave different records";
}

static void test_joined_costs_are_decided_as_single_checks(void **state) {
    (void)state;
    struct bench bench;
    create(&bench);
    uint64_t n_allowed = 0, n_denied = 0;
    for (uint64_t i = 0; i < N_TRACES; i++) {
        begin(&bench, i);
        bench.trace.may_step_back = i % 4 != 0;
        bench.trace.may_change_quota = i % 3 != 0;
        bench.trace.may_charge = i % 2 == 0;
        for (int j = 0; j < N_STEPS; j++) {
            set_now(&bench);
            choose_wishes(&bench);
            expect(take_and_check(&bench), i, j);
            for (uint32_t k = 0; k < bench.n_wishes; k++) {
                n_allowed += bench.wishes[k].verdict.allowed;
                n_denied += !bench.wishes[k].verdict.allowed;
            }
            trace_next(&bench.trace, &bench.verdict);
        }
    }
    destroy(&bench);
    assert_true(n_allowed > 1000 && n_denied > 1000);
}

static int64_t least_level(const struct bench *bench) {
    int64_t levels_utok[BUCKET_MAX_LIMITS], least_utok = INT64_MAX;
    bucket_levels(&bench->record, bench->trace.limits, bench->trace.n_limits, bench->trace.now_us, levels_utok);
    for (uint32_t i = 0; i < bench->trace.n_limits; i++) {
        least_utok = levels_utok[i] < least_utok ? levels_utok[i] : least_utok;
    }
    return least_utok;
}

static const char *take_at_most(struct bench *bench) {
    int64_t wished = bench->wishes[0].cost_tokens;
    int64_t there = least_level(bench) / BUCKET_UTOK_PER_TOKEN;
    int64_t granted = there < 1 ? 0 : there < wished ? there : wished;
    struct store_take most = {.n_wishes = 1, .at_most = true};
    if (!take(bench, &most)) {
        return "the take failed";
    }
    if (most.granted_tokens != granted || bench->wishes[0].verdict.allowed != (granted > 0)) {
        return "not what is there";
    }
    bucket_check(&bench->record, bench->part.limits, bench->part.n_limits, granted > 0 ? granted : 1,
                 bench->trace.now_us, false, &bench->verdict);
    most.record.at_us += bench->trace.now_us;
    return trace_same_verdict(&bench->verdict, &bench->wishes[0].verdict) &&
                   same_record(&most.record, &bench->record)
               ? NULL
               : "not as a check for what is there";
}

static void test_at_most_takes_what_is_there(void **state) {
    (void)state;
    struct bench bench;
    create(&bench);
    for (uint64_t i = 0; i < N_TRACES; i++) {
        begin(&bench, i);
        bench.trace.may_step_back = i % 4 == 0;
        for (int j = 0; j < N_STEPS; j++) {
            set_now(&bench);
            choose_wishes(&bench);
            expect(take_at_most(&bench), i, j);
            trace_next(&bench.trace, &bench.verdict);
        }
    }
    destroy(&bench);
}

/* Any gain or loss, by give.lua and by bucket_book. */
static const char *give_and_book(struct bench *bench) {
    int64_t gains_utok[BUCKET_MAX_LIMITS];
    struct store_give back = {.tokens = (int64_t)trace_random(&bench->trace, 2) == 0
                                            ? bench->wishes[0].cost_tokens
                                            : -bench->wishes[0].cost_tokens};
    for (uint32_t i = 0; i < BUCKET_MAX_LIMITS; i++) {
        gains_utok[i] = back.tokens * BUCKET_UTOK_PER_TOKEN;
    }
    if (!give(bench, &back)) {
        return "the give failed";
    }
    bool is_booked = bench->record.n_levels > 0 || back.tokens < 0;
    int64_t booked_utok = is_booked ? bucket_book(&bench->record, bench->part.limits, bench->part.n_limits,
                                                  gains_utok, bench->trace.now_us)
                                    : 0;
    back.record.at_us += bench->trace.now_us;
    if (booked_utok != back.booked_utok || !same_record(&back.record, &bench->record)) {
        return "C and Lua gave differently";
    }
    int64_t levels_utok[BUCKET_MAX_LIMITS];
    bucket_levels(&bench->record, bench->part.limits, bench->part.n_limits, bench->trace.now_us, levels_utok);
    for (uint32_t i = 0; i < bench->record.n_levels; i++) {
        int64_t burst_utok = bench->part.limits[i].burst_utok;
        if (levels_utok[i] > burst_utok || levels_utok[i] < -burst_utok) {
            return "a level beyond its bounds";
        }
    }
    return NULL;
}

static void test_what_is_given_stays_within_the_bounds(void **state) {
    (void)state;
    struct bench bench;
    create(&bench);
    for (uint64_t i = 0; i < N_TRACES; i++) {
        begin(&bench, i);
        bench.trace.may_step_back = i % 4 == 0;
        bench.trace.may_change_quota = i % 3 == 0;
        for (int j = 0; j < N_STEPS; j++) {
            set_now(&bench);
            choose_wishes(&bench);
            if (j % 2 == 0) {
                struct store_take some = {.n_wishes = 1};
                assert_true(take(&bench, &some));
                bucket_check(&bench.record, bench.part.limits, bench.part.n_limits, bench.wishes[0].cost_tokens,
                             bench.trace.now_us, false, &bench.verdict);
            } else {
                expect(give_and_book(&bench), i, j);
            }
            trace_next(&bench.trace, &bench.verdict);
        }
    }
    destroy(&bench);
}

/* The same take, as it was at first and again some time later: with a memo, and with a reservation as well. */
static const char *take_twice(struct bench *bench, bool reserves, int64_t *granted_tokens) {
    const struct store_memo memo = {.fingerprint = "0123456789abcde", .ttl_us = INT64_C(600000000)};
    const struct store_memo other = {.fingerprint = "another one", .ttl_us = INT64_C(600000000)};
    const struct store_reservation reservation = {.id = "the first", .ttl_us = INT64_C(600000000)};
    const struct store_reservation later = {.id = "the second", .ttl_us = INT64_C(600000000)};
    struct store_take first = {.n_wishes = 1,
                               .at_most = trace_random(&bench->trace, 2) == 0,
                               .memo = &memo,
                               .reservation = reserves ? &reservation : NULL};
    struct store_take again = first, reused = first;
    struct bytes value = {0};
    int64_t expires_ms = 0;
    uint8_t before[LUA_HOST_VALUE_MAX_BYTES];
    if (!take(bench, &first) || first.answer != STORE_FRESH) {
        return "the first take failed";
    }
    bench->verdict = bench->wishes[0].verdict;
    *granted_tokens = first.granted_tokens;
    bool exists = lua_host_value(bench->host, &value, &expires_ms);
    size_t n_bytes = exists ? value.len : 0;
    if (exists) {
        memcpy(before, value.data, n_bytes);
    }
    lua_host_set_now(bench->host, bench->trace.now_us + (int64_t)trace_random(&bench->trace, 500000000));
    uint64_t n_sets = lua_host_n_sets(bench->host);
    again.reservation = reserves ? &later : NULL;
    reused.memo = &other;
    if (!take(bench, &again) || again.answer != STORE_REPEATED || !take(bench, &reused) ||
        reused.answer != STORE_KEY_REUSED) {
        return "the second take was not told from the first";
    }
    if (lua_host_n_sets(bench->host) != n_sets ||
        (lua_host_value(bench->host, &value, &expires_ms) &&
         (value.len != n_bytes || memcmp(value.data, before, n_bytes) != 0))) {
        return "the second take wrote";
    }
    bool is_same = trace_same_verdict(&bench->verdict, &bench->wishes[0].verdict) &&
                   first.granted_tokens == again.granted_tokens;
    bool is_first_id = !reserves || memcmp(again.reservation_id, reservation.id, sizeof reservation.id) == 0;
    return is_same && is_first_id ? NULL : "the second take was told another answer";
}

static const char *settle_once(struct bench *bench, int64_t reserved_tokens) {
    bool was_granted = reserved_tokens > 0;
    static const uint8_t id[STORE_RESERVATION_ID_BYTES] = {1};
    int64_t actual = (int64_t)trace_random(&bench->trace, (uint64_t)(2 * reserved_tokens + 1));
    actual = actual < BUCKET_MAX_TOKENS ? actual : BUCKET_MAX_TOKENS;
    struct store_give settle = {.tokens = actual, .reservation_id = id}, again = settle;
    lua_host_set_now(bench->host, bench->trace.now_us);
    if (!give(bench, &settle) || settle.is_unknown != !was_granted) {
        return "a reservation is not known";
    }
    if (was_granted && settle.reserved_tokens != reserved_tokens) {
        return "another number was reserved";
    }
    if (!give(bench, &again) || !again.is_unknown) {
        return "a reservation was settled twice";
    }
    int64_t gain_utok = (reserved_tokens - actual) * BUCKET_UTOK_PER_TOKEN;
    return !was_granted || llabs(settle.booked_utok) <= llabs(gain_utok) ? NULL : "more was booked than is due";
}

static void test_what_has_a_memo_is_done_once(void **state) {
    (void)state;
    struct bench bench;
    create(&bench);
    for (uint64_t i = 0; i < N_TRACES; i++) {
        begin(&bench, i);
        for (int j = 0; j < N_STEPS; j++) {
            lua_host_clear(bench.host); /* of the memo of the step before; the record with it, but not always */
            set_now(&bench);
            choose_wishes(&bench);
            struct store_take some = {.n_wishes = 1};
            assert_true(j % 2 == 0 || take(&bench, &some));
            bool reserves = i % 2 == 0;
            int64_t granted_tokens = 0;
            expect(take_twice(&bench, reserves, &granted_tokens), i, j);
            if (reserves) {
                expect(settle_once(&bench, granted_tokens), i, j);
            }
            trace_next(&bench.trace, &bench.verdict);
        }
    }
    destroy(&bench);
}

/* ---- what other records said ---- */

enum { N_CALLERS = 2, N_CALLS_OF_A_TRACE = 24, MEMO_S = 86400 };

/* All that the calls of one fingerprint have in common. */
struct caller {
    struct store_memo memo;
    struct store_reservation reservation;
    bool at_most, reserves;
    int64_t cost_tokens;
};

static void choose_callers(struct bench *bench, struct caller callers[N_CALLERS]) {
    for (uint8_t i = 0; i < N_CALLERS; i++) {
        choose_wishes(bench);
        callers[i] = (struct caller){
            .memo = {.fingerprint = {i}, .ttl_us = MEMO_S * INT64_C(1000000)},
            .reservation = {.ttl_us = MEMO_S * INT64_C(1000000)},
            .at_most = trace_random(&bench->trace, 2) == 0,
            .reserves = trace_random(&bench->trace, 2) == 0,
            .cost_tokens = bench->wishes[0].cost_tokens,
        };
    }
}

static int64_t figure(struct bench *bench) {
    return (int64_t)trace_random(&bench->trace, (uint64_t)BUCKET_MAX_EXACT + 1);
}

static struct store_elsewhere said(struct bench *bench, bool is_allowed) {
    return (struct store_elsewhere){
        .limit_id = (uint32_t)trace_random(&bench->trace, UINT32_MAX),
        .verdict = {.allowed = is_allowed,
                    .remaining_utok = figure(bench) - figure(bench),
                    .retry_after_us = is_allowed ? 0 : figure(bench),
                    .reset_after_us = figure(bench),
                    .wait_us = figure(bench)},
    };
}

static bool is_same_said(const struct store_elsewhere *a, const struct store_elsewhere *b) {
    return a->limit_id == b->limit_id && a->verdict.allowed == b->verdict.allowed &&
           a->verdict.remaining_utok == b->verdict.remaining_utok &&
           a->verdict.retry_after_us == b->verdict.retry_after_us &&
           a->verdict.reset_after_us == b->verdict.reset_after_us && a->verdict.wait_us == b->verdict.wait_us;
}

static const char *compare(const struct store_take *told, const struct store_take *expected) {
    if (expected->outcome != STORE_OK || told->answer != expected->answer) {
        return "one store has answered before, and the other one has not";
    }
    if (told->answer == STORE_KEY_REUSED) {
        return NULL;
    }
    if (told->granted_tokens != expected->granted_tokens ||
        !trace_same_verdict(&told->wishes[0].verdict, &expected->wishes[0].verdict)) {
        return "the stores answer differently";
    }
    if (told->granted_tokens > 0 && told->reservation != NULL &&
        memcmp(told->reservation_id, expected->reservation_id, STORE_RESERVATION_ID_BYTES) != 0) {
        return "the stores hold it under different names";
    }
    bool is_same = told->answer != STORE_REPEATED ||
                   (told->has_earlier == expected->has_earlier &&
                    (!told->has_earlier || is_same_said(&told->earlier, &expected->earlier)));
    return is_same ? NULL : "the stores tell different things of other records";
}

/* One call, in any of the ways it may be made, by the script and by the embedded store. */
static const char *take_in_both(struct bench *bench, struct caller *caller, struct store *embedded) {
    bool is_denied = trace_random(&bench->trace, 2) == 0;
    struct store_elsewhere elsewhere = said(bench, !is_denied);
    struct store_take told = {
        .n_wishes = 1,
        .at_most = caller->at_most,
        .memo = &caller->memo,
        .reservation = caller->reserves ? &caller->reservation : NULL,
        .elsewhere = trace_random(&bench->trace, 3) > 0 ? &elsewhere : NULL,
        .is_denied_elsewhere = is_denied,
    };
    struct store_take expected = told;
    struct store_wish wish;
    caller->memo.key = (struct bytes){(const uint8_t *)memo_keys[bench->memo], strlen(memo_keys[bench->memo])};
    caller->reservation.id[0] = (uint8_t)bench->memo;
    wish.cost_tokens = bench->wishes[0].cost_tokens =
        caller->at_most ? 1 + (int64_t)trace_random(&bench->trace, (uint64_t)caller->cost_tokens)
                        : caller->cost_tokens;
    expected.part = &bench->part;
    expected.hash = (struct hash128){.low = 1};
    expected.wishes = &wish;
    uint64_t n_sets = lua_host_n_sets(bench->host);
    if (!take(bench, &told)) {
        return "the take failed";
    }
    n_sets = lua_host_n_sets(bench->host) - n_sets;
    if (told.answer != STORE_FRESH ? n_sets > 0 : is_denied && n_sets != (told.elsewhere != NULL)) {
        return "more was written than a note";
    }
    (void)store_take(embedded, &expected, bench->trace.now_us);
    return compare(&told, &expected);
}

static void test_what_was_said_elsewhere_is_told_again(void **state) {
    (void)state;
    struct bench bench;
    struct embedded_metrics metrics = {0};
    struct status status;
    create(&bench);
    for (uint64_t i = 0; i < N_TRACES; i++) {
        struct caller callers[N_CALLERS];
        struct store *embedded = embedded_store_create(64, BUCKET_MAX_LIMITS, &metrics, &status);
        assert_non_null(embedded);
        begin(&bench, i);
        choose_callers(&bench, callers);
        for (int j = 0; j < N_CALLS_OF_A_TRACE; j++) {
            set_now(&bench);
            bench.memo = (uint32_t)trace_random(&bench.trace, 2);
            expect(take_in_both(&bench, &callers[trace_random(&bench.trace, N_CALLERS)], embedded), i, j);
            bench.trace.now_us += (int64_t)trace_random(&bench.trace, 2000000);
            bench.trace.told_us = bench.trace.now_us;
        }
        store_destroy(&embedded);
    }
    destroy(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_joined_costs_are_decided_as_single_checks),
        cmocka_unit_test(test_at_most_takes_what_is_there),
        cmocka_unit_test(test_what_is_given_stays_within_the_bounds),
        cmocka_unit_test(test_what_has_a_memo_is_done_once),
        cmocka_unit_test(test_what_was_said_elsewhere_is_told_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
