/* test_allocation_service.c — a frame whose calls find no memory: what was decided before is answered as decided, since
 * it was taken, and the rest is refused. The limiter does as it is told. */
#include "tests/support/test_prelude.h"

#include "tests/support/failing_malloc.h"
#include "tests/support/service_bench.h"

/* ---- a limiter that decides checks of "a" at once, and others when asked ---- */

struct limiter {
    int n_decided, n_checked;
};

static struct decision granted(int64_t tokens) {
    return (struct decision){.allowed = true,
                             .matched = true,
                             .source = DECISION_LEASE,
                             .limit_name = "own",
                             .granted_tokens = tokens};
}

bool limiter_knows(const struct limiter *limiter, struct bytes tenant, struct bytes resource) {
    return limiter == NULL && tenant.len == resource.len;
}

bool limiter_decide(struct limiter *limiter, const struct limiter_query *query, int64_t now_us,
                    struct limiter_found *found, struct decision *decision) {
    (void)now_us;
    *found = (struct limiter_found){.is_counted = true};
    if (query->key.data[0] != 'a') {
        return false;
    }
    limiter->n_decided++;
    *decision = granted(query->cost_tokens);
    return true;
}

enum limiter_progress limiter_check(struct limiter *limiter, struct limiter_call *call, int64_t now_us) {
    (void)now_us;
    limiter->n_checked++;
    call->outcome = LIMITER_DECIDED;
    call->decision = granted(call->cost_tokens);
    return LIMITER_DONE;
}

const char *limiter_outcome_text(enum limiter_outcome outcome) {
    (void)outcome;
    return "";
}

/* ---- the bench ---- */

struct bench {
    struct limiter limiter;
    struct service_bench line;
};

static int setup(void **state) {
    struct bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    service_bench_open(&bench->line, &bench->limiter);
    *state = bench;
    return 0;
}

static int teardown(void **state) {
    struct bench *bench = *state;
    service_bench_close(&bench->line);
    free(bench);
    return 0;
}

static struct wire_bytes text(const char *string) {
    return (struct wire_bytes){.data = (const uint8_t *)string, .len = strlen(string)};
}

/* A batch of as many checks as `keys` has characters, each a key. */
static void ask(struct bench *bench, const char *keys) {
    struct wire_request *request = &bench->line.request;
    *request = (struct wire_request){.id = 7, .call = WIRE_CALL_CHECK_BATCH, .n_checks = strlen(keys)};
    for (size_t i = 0; i < request->n_checks; i++) {
        request->checks[i] = (struct wire_check){.tenant = text("demo"),
                                                 .resource = text("hello"),
                                                 .key = {(const uint8_t *)keys + i, 1},
                                                 .cost = 1};
    }
    failing_malloc_begin();
    service_bench_send(&bench->line);
    failing_malloc_end();
    assert_int_equal(service_bench_receive(&bench->line)->id, 7);
}

static bool ask_twice(void *arg) {
    struct bench *bench = arg;
    const struct wire_response *response = &bench->line.response;
    ask(bench, "aa");
    assert_int_equal(response->n_items, 2);
    bench->limiter.n_checked = 0;
    ask(bench, "aax");
    assert_int_equal(response->status, WIRE_OK);
    assert_int_equal(response->n_items, 3);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(response->items[i].status, WIRE_OK);
        assert_int_equal(response->items[i].decision.granted, 1);
    }
    bool is_whole = response->items[2].status == WIRE_OK;
    assert_int_equal(bench->limiter.n_checked, is_whole);
    if (!is_whole) {
        assert_int_equal(response->items[2].status, WIRE_RESOURCE_EXHAUSTED);
        assert_true(response->items[2].message.len > 0);
    }
    return is_whole;
}

static void test_what_was_decided_is_answered_without_memory_for_the_rest(void **state) {
    struct bench *bench = *state;
    for (int i = 0; i < 4; i++) {
        ask(bench, "aaaaaaaa"); /* buffers, which take turns, are large enough from now on */
    }
    failing_malloc_sweep(ask_twice, bench, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_was_decided_is_answered_without_memory_for_the_rest, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
