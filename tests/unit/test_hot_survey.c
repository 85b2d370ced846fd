/* test_hot_survey.c — every worker is asked, whoever waits is called once, and a worker that hangs holds up nobody. */
#include "tests/support/test_prelude.h"

#include "server/base/clock.h"
#include "server/hot_survey.h"

enum { N_WORKERS = 2, N_CHECKS = 20, SHORT_US = 20000, LONG_US = 60000000 };

/* The workers' loops turn when the test says so: one that it does not turn hangs. */
struct bench {
    struct ev_loop *loop, *worker_loops[N_WORKERS];
    struct hotkeys *hotkeys[N_WORKERS];
    struct hot_desk desks[N_WORKERS];
    struct hot_survey *survey;
};

/* What a caller was told. */
struct caller {
    struct bench *bench;
    int n_calls;
    size_t n_rows, n_silent;
    int64_t first_per_s;
    bool asks_again;
    struct hot_call *again;
};

static void setup(struct bench *bench, int64_t limit_us) {
    struct hotkeys_options options = {.hot_per_s = 1000, .least_hot_per_s = 100};
    struct hot_desk *desks[N_WORKERS];
    bench->loop = ev_loop_new(EVFLAG_AUTO);
    for (size_t i = 0; i < N_WORKERS; i++) {
        bench->worker_loops[i] = ev_loop_new(EVFLAG_AUTO);
        bench->hotkeys[i] = hotkeys_create(&options, clock_mono_us());
        assert_non_null(bench->hotkeys[i]);
        hot_desk_open(&bench->desks[i], bench->worker_loops[i], bench->hotkeys[i]);
        desks[i] = &bench->desks[i];
    }
    bench->survey = hot_survey_create(bench->loop, desks, N_WORKERS, limit_us);
    assert_non_null(bench->survey);
}

static void teardown(struct bench *bench) {
    for (size_t i = 0; i < N_WORKERS; i++) {
        hot_desk_close(&bench->desks[i]);
        hotkeys_destroy(&bench->hotkeys[i]);
        ev_loop_destroy(bench->worker_loops[i]);
    }
    hot_survey_destroy(&bench->survey);
    assert_null(bench->survey);
    ev_loop_destroy(bench->loop);
}

static struct bytes text(const char *string) {
    return (struct bytes){(const uint8_t *)string, strlen(string)};
}

static void count(struct bench *bench, size_t worker, const char *key) {
    struct hash128 hash = hash_bytes_wide(key, strlen(key), 1);
    for (int i = 0; i < N_CHECKS; i++) {
        struct hotkeys_count counted = hotkeys_count(bench->hotkeys[worker], hash, clock_mono_us());
        if (counted.is_new) {
            hotkeys_name(bench->hotkeys[worker], counted.handle, text("t"), text("r"), text(key));
        }
    }
}

static void on_done(void *arg, const struct hot_report *report) {
    struct caller *caller = arg;
    caller->n_calls++;
    caller->n_rows = report->n_rows;
    caller->n_silent = report->n_silent;
    caller->first_per_s = report->n_rows > 0 ? report->rows[0].checks_per_s : 0;
    if (caller->asks_again) {
        caller->asks_again = false;
        caller->again = hot_survey_ask(caller->bench->survey, on_done, caller);
    }
}

static struct hot_call *ask(struct bench *bench, struct caller *caller) {
    struct hot_call *call = hot_survey_ask(bench->survey, on_done, caller);
    assert_non_null(call);
    return call;
}

static void turn_worker(struct bench *bench, size_t worker) {
    ev_run(bench->worker_loops[worker], EVRUN_NOWAIT);
}

static void turn_all(struct bench *bench) {
    for (size_t i = 0; i < N_WORKERS; i++) {
        turn_worker(bench, i);
    }
    ev_run(bench->loop, EVRUN_NOWAIT);
}

static void await_calls(struct bench *bench, const struct caller *caller, int n_calls) {
    while (caller->n_calls < n_calls) {
        ev_run(bench->loop, EVRUN_ONCE);
    }
}

static void test_the_tables_of_all_workers_are_merged(void **state) {
    (void)state;
    struct bench bench;
    struct caller caller = {0};
    setup(&bench, LONG_US);
    count(&bench, 0, "everywhere");
    count(&bench, 1, "everywhere");
    count(&bench, 1, "once");
    ask(&bench, &caller);
    ev_run(bench.loop, EVRUN_NOWAIT);
    turn_worker(&bench, 0);
    ev_run(bench.loop, EVRUN_NOWAIT);
    assert_int_equal(caller.n_calls, 0);
    turn_all(&bench);
    assert_int_equal(caller.n_calls, 1);
    assert_int_equal(caller.n_rows, 2);
    assert_int_equal(caller.n_silent, 0);
    assert_true(caller.first_per_s > N_CHECKS);
    turn_all(&bench);
    assert_int_equal(caller.n_calls, 1);
    teardown(&bench);
}

static void test_a_worker_that_hangs_is_left_out_and_its_late_answer_dropped(void **state) {
    (void)state;
    struct bench bench;
    struct caller first = {0}, second = {0};
    setup(&bench, SHORT_US);
    count(&bench, 0, "here");
    count(&bench, 1, "there");
    ask(&bench, &first);
    turn_worker(&bench, 0);
    await_calls(&bench, &first, 1);
    assert_int_equal(first.n_rows, 1);
    assert_int_equal(first.n_silent, 1);
    turn_all(&bench); /* it has come round, and nobody waits */
    ask(&bench, &second);
    turn_all(&bench);
    assert_int_equal(first.n_calls, 1);
    assert_int_equal(second.n_calls, 1);
    assert_int_equal(second.n_rows, 2);
    assert_int_equal(second.n_silent, 0);
    teardown(&bench);
}

/* The form that it never looked at is replaced; the one filled in late is no answer to a later question. */
static void test_a_late_answer_does_not_count_for_the_next_survey(void **state) {
    (void)state;
    struct bench bench;
    struct caller first = {0}, second = {0};
    setup(&bench, SHORT_US);
    ask(&bench, &first);
    await_calls(&bench, &first, 1);
    assert_int_equal(first.n_silent, 2);
    turn_worker(&bench, 0);
    ask(&bench, &second);
    ev_run(bench.loop, EVRUN_NOWAIT);
    assert_int_equal(second.n_calls, 0);
    turn_all(&bench);
    assert_int_equal(second.n_calls, 1);
    assert_int_equal(second.n_silent, 0);
    teardown(&bench);
}

static void test_who_asks_meanwhile_shares_the_result(void **state) {
    (void)state;
    struct bench bench;
    struct caller first = {0}, second = {0}, gone = {0};
    setup(&bench, LONG_US);
    count(&bench, 0, "k");
    ask(&bench, &first);
    struct hot_call *call = ask(&bench, &gone);
    turn_worker(&bench, 0);
    ask(&bench, &second);
    hot_survey_abandon(&call);
    assert_null(call);
    turn_all(&bench);
    assert_int_equal(first.n_calls, 1);
    assert_int_equal(second.n_calls, 1);
    assert_int_equal(second.n_rows, 1);
    assert_int_equal(gone.n_calls, 0);
    teardown(&bench);
}

static void test_a_callback_may_ask_again(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, LONG_US);
    struct caller caller = {.bench = &bench, .asks_again = true};
    ask(&bench, &caller);
    turn_all(&bench);
    assert_int_equal(caller.n_calls, 1);
    assert_non_null(caller.again);
    turn_all(&bench);
    assert_int_equal(caller.n_calls, 2);
    teardown(&bench);
}

static void test_who_waits_at_the_end_is_called_with_what_is_there(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, LONG_US);
    struct caller caller = {.bench = &bench, .asks_again = true};
    count(&bench, 0, "k");
    ask(&bench, &caller);
    turn_worker(&bench, 0);
    ev_run(bench.loop, EVRUN_NOWAIT);
    assert_int_equal(caller.n_calls, 0);
    teardown(&bench);
    assert_int_equal(caller.n_calls, 1);
    assert_int_equal(caller.n_rows, 1);
    assert_int_equal(caller.n_silent, 1);
    assert_null(caller.again);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_tables_of_all_workers_are_merged),
        cmocka_unit_test(test_a_worker_that_hangs_is_left_out_and_its_late_answer_dropped),
        cmocka_unit_test(test_a_late_answer_does_not_count_for_the_next_survey),
        cmocka_unit_test(test_who_asks_meanwhile_shares_the_result),
        cmocka_unit_test(test_a_callback_may_ask_again),
        cmocka_unit_test(test_who_waits_at_the_end_is_called_with_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
