/* test_service_calls.c — refunds, reservations, settlements and all-or-nothing batches, and what is decided at once, with
 * a limiter that does as it is told. */
#include "tests/support/test_prelude.h"

#include <sys/socket.h>

#include "tests/support/service_bench.h"

/* ---- a limiter under the test's thumb, in the place of limit/limiter.c's ---- */

enum { MAX_CALLS = 16, KEY_BYTES = 16 };

struct limiter {
    bool is_pending;
    char decided_keys[4]; /* one byte each: checks of them are decided at once */
    int n_decided;
    bool knows_names;            /* of all checks */
    char denied_key[KEY_BYTES];  /* checks of it are denied */
    enum decision_source source; /* of those allowed */
    bool would_deny;
    enum limiter_outcome outcome; /* of all but undos */
    enum limiter_outcome undone;  /* of undos */
    enum store_outcome store_outcome;
    struct limiter_booking booking;
    const uint8_t *first_reservation; /* not NULL: what is repeated */
    int n_calls;
    struct limiter_call seen[MAX_CALLS];
    char keys[MAX_CALLS][KEY_BYTES];
    struct limiter_call *calls[MAX_CALLS];
};

static void decide(struct limiter *limiter, struct limiter_call *call, const char *key) {
    bool allowed = strcmp(key, limiter->denied_key) != 0;
    call->outcome = call->is_undo ? limiter->undone : limiter->outcome;
    call->store_outcome = limiter->store_outcome;
    call->booking = limiter->booking;
    call->decision = (struct decision){.allowed = allowed,
                                       .matched = true,
                                       .source = limiter->source,
                                       .limit_name = "per_key",
                                       .would_deny = limiter->would_deny,
                                       .granted_tokens = allowed ? call->cost_tokens : 0,
                                       .retry_after_us = allowed ? 0 : 9};
    if (limiter->first_reservation != NULL) {
        memcpy(call->reservation, limiter->first_reservation, sizeof call->reservation);
        call->decision.repeated = true;
    }
}

/* What the whole way is told that was found. */
static uint64_t mark_of(const char *key) {
    return 100 + (uint64_t)key[0];
}

bool limiter_knows(const struct limiter *limiter, struct bytes tenant, struct bytes resource) {
    return limiter->knows_names && tenant.len > 0 && resource.len > 0;
}

bool limiter_decide(struct limiter *limiter, const struct limiter_query *query, int64_t now_us,
                    struct limiter_found *found, struct decision *decision) {
    char key[KEY_BYTES] = {0};
    struct limiter_call call = {.cost_tokens = query->cost_tokens};
    (void)now_us;
    assert_true(query->key.len < KEY_BYTES);
    memcpy(key, query->key.data, query->key.len);
    found->key_hash.low = mark_of(key);
    if (strchr(limiter->decided_keys, key[0]) == NULL) {
        return false;
    }
    limiter->n_decided++;
    decide(limiter, &call, key);
    *decision = call.decision;
    return true;
}

enum limiter_progress limiter_check(struct limiter *limiter, struct limiter_call *call, int64_t now_us) {
    int place = limiter->n_calls++;
    (void)now_us;
    assert_true(place < MAX_CALLS && call->key.len < KEY_BYTES);
    limiter->seen[place] = *call;
    limiter->calls[place] = call;
    memcpy(limiter->keys[place], call->key.data, call->key.len);
    if (limiter->is_pending) {
        return LIMITER_PENDING;
    }
    decide(limiter, call, limiter->keys[place]);
    return LIMITER_DONE;
}

static void conclude(struct limiter *limiter, int place) {
    decide(limiter, limiter->calls[place], limiter->keys[place]);
    limiter->calls[place]->done(limiter->calls[place]);
}

const char *limiter_outcome_text(enum limiter_outcome outcome) {
    return outcome == LIMITER_NOT_FOUND ? "reservation_id: unknown" : "idempotency_key: was used";
}

/* ---- the bench ---- */

struct bench {
    struct limiter limiter;
    struct service_bench line;
};

static int setup(void **state) {
    struct bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    bench->limiter.source = DECISION_STORE;
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

static void expect_text(struct wire_bytes bytes, const char *expected) {
    assert_int_equal(bytes.len, strlen(expected));
    assert_memory_equal(bytes.data, expected, bytes.len);
}

static const struct wire_response *ask(struct bench *bench, enum wire_call call, uint64_t tokens) {
    bench->line.request.id = 7;
    bench->line.request.call = call;
    bench->line.request.n_checks = 1;
    bench->line.request.checks[0] = (struct wire_check){.tenant = text("demo"),
                                                        .resource = text("hello"),
                                                        .key = text("alice"),
                                                        .cost = tokens,
                                                        .idempotency_key = text("once")};
    service_bench_send(&bench->line);
    return service_bench_receive(&bench->line);
}

/* ---- one call ---- */

static void test_wishes_of_a_check_reach_the_limiter(void **state) {
    struct bench *bench = *state;
    bench->line.request = (struct wire_request){.id = 1, .call = WIRE_CALL_CHECK, .n_checks = 1};
    bench->line.request.checks[0] = (struct wire_check){
        .tenant = text("demo"), .resource = text("hello"), .key = text("alice"), .cost = 5, .at_most = true};
    service_bench_send(&bench->line);
    assert_int_equal(service_bench_receive(&bench->line)->items[0].decision.granted, 5);
    assert_int_equal(bench->limiter.seen[0].kind, LIMITER_CHECK);
    assert_true(bench->limiter.seen[0].at_most);
    assert_int_equal(bench->limiter.seen[0].idempotency_key.len, 0);
    (void)ask(bench, WIRE_CALL_CHECK, 1);
    assert_false(bench->limiter.seen[1].at_most);
    assert_int_equal(bench->limiter.seen[1].idempotency_key.len, 4);
}

static void test_refund_is_booked(void **state) {
    struct bench *bench = *state;
    bench->limiter.booking = (struct limiter_booking){.matched = true,
                                                      .limit_name = "per_key",
                                                      .limit_tokens = 10,
                                                      .remaining_tokens = 8,
                                                      .returned_tokens = 4};
    const struct wire_response *response = ask(bench, WIRE_CALL_REFUND, 5);
    assert_int_equal(response->id, 7);
    assert_int_equal(response->status, WIRE_OK);
    assert_int_equal(response->call, WIRE_CALL_REFUND);
    assert_int_equal(response->booked.returned, 4);
    assert_int_equal(response->booked.remaining, 8);
    expect_text(response->booked.limit_name, "per_key");
    assert_int_equal(bench->limiter.seen[0].kind, LIMITER_REFUND);
    assert_int_equal(bench->limiter.seen[0].cost_tokens, 5);
    assert_false(bench->limiter.seen[0].is_undo);
    assert_int_equal(metric_get(&bench->line.metrics.refund_requests), 1);
}

static void test_reservation_has_an_id_of_its_own(void **state) {
    struct bench *bench = *state;
    bench->line.request = (struct wire_request){.ttl_ms = 1500, .on_timeout = WIRE_ON_TIMEOUT_RETURN};
    const struct wire_response *response = ask(bench, WIRE_CALL_RESERVE, 5);
    assert_int_equal(response->status, WIRE_OK);
    assert_int_equal(response->call, WIRE_CALL_RESERVE);
    assert_int_equal(response->items[0].decision.granted, 5);
    assert_int_equal(response->reservation_id.len, WIRE_RESERVATION_ID_BYTES);
    assert_memory_equal(response->reservation_id.data, bench->limiter.seen[0].reservation,
                        WIRE_RESERVATION_ID_BYTES);
    assert_int_equal(bench->limiter.seen[0].kind, LIMITER_RESERVE);
    assert_int_equal(bench->limiter.seen[0].ttl_us, 1500000);
    assert_true(bench->limiter.seen[0].returns_on_timeout);
    bench->line.request.on_timeout = WIRE_ON_TIMEOUT_STAND;
    (void)ask(bench, WIRE_CALL_RESERVE, 5);
    assert_false(bench->limiter.seen[1].returns_on_timeout);
    assert_memory_not_equal(bench->limiter.seen[0].reservation, bench->limiter.seen[1].reservation,
                            WIRE_RESERVATION_ID_BYTES);
    assert_int_equal(metric_get(&bench->line.metrics.reserve_requests), 2);
}

static void test_repeated_reservation_is_the_first_one(void **state) {
    struct bench *bench = *state;
    bench->line.request = (struct wire_request){.ttl_ms = 1500};
    bench->limiter.first_reservation = (const uint8_t *)"0123456789abcdef";
    const struct wire_response *response = ask(bench, WIRE_CALL_RESERVE, 5);
    expect_text(response->reservation_id, "0123456789abcdef");
    assert_true(response->items[0].decision.repeated);
}

static void test_denied_reservation_has_no_id(void **state) {
    struct bench *bench = *state;
    bench->line.request = (struct wire_request){.ttl_ms = 1500};
    snprintf(bench->limiter.denied_key, KEY_BYTES, "alice");
    const struct wire_response *response = ask(bench, WIRE_CALL_RESERVE, 5);
    assert_int_equal(response->status, WIRE_OK);
    assert_int_equal(response->items[0].decision.verdict, WIRE_DENY);
    assert_int_equal(response->items[0].decision.retry_after_us, 9);
    assert_int_equal(response->reservation_id.len, 0);
}

static void test_reservation_without_a_bucket_is_settled_without_the_limiter(void **state) {
    struct bench *bench = *state;
    static const uint8_t nothing[WIRE_RESERVATION_ID_BYTES];
    bench->line.request = (struct wire_request){.ttl_ms = 1500};
    bench->limiter.source = DECISION_NONE;
    const struct wire_response *response = ask(bench, WIRE_CALL_RESERVE, 5);
    assert_int_equal(response->reservation_id.len, sizeof nothing);
    assert_memory_equal(response->reservation_id.data, nothing, sizeof nothing);
    bench->line.request = (struct wire_request){.reservation_id = {nothing, sizeof nothing}};
    response = ask(bench, WIRE_CALL_SETTLE, 3);
    assert_int_equal(response->status, WIRE_OK);
    assert_int_equal(response->call, WIRE_CALL_REFUND);
    assert_true(response->booked.degraded);
    assert_int_equal(bench->limiter.n_calls, 1);
}

static void test_settlement_is_booked_or_not_found(void **state) {
    struct bench *bench = *state;
    bench->line.request = (struct wire_request){.reservation_id = text("0123456789abcdef")};
    bench->limiter.booking =
        (struct limiter_booking){.matched = true, .limit_name = "per_key", .taken_tokens = 2, .repeated = true};
    const struct wire_response *response = ask(bench, WIRE_CALL_SETTLE, 0);
    assert_int_equal(response->status, WIRE_OK);
    assert_int_equal(response->booked.taken, 2);
    assert_true(response->booked.repeated);
    assert_int_equal(bench->limiter.seen[0].kind, LIMITER_SETTLE);
    assert_int_equal(bench->limiter.seen[0].cost_tokens, 0);
    assert_memory_equal(bench->limiter.seen[0].reservation, "0123456789abcdef", 16);
    bench->limiter.outcome = LIMITER_NOT_FOUND;
    response = ask(bench, WIRE_CALL_SETTLE, 0);
    assert_int_equal(response->status, WIRE_NOT_FOUND);
    expect_text(response->message, "reservation_id: unknown");
    bench->limiter.outcome = LIMITER_KEY_REUSED;
    response = ask(bench, WIRE_CALL_SETTLE, 0);
    assert_int_equal(response->status, WIRE_INVALID_ARGUMENT);
    expect_text(response->message, "idempotency_key: was used");
    assert_int_equal(metric_get(&bench->line.metrics.settle_requests), 3);
}

static void test_booking_that_nobody_can_tell_of_is_unavailable(void **state) {
    struct bench *bench = *state;
    char expected[256];
    bench->limiter.outcome = LIMITER_UNDECIDED;
    bench->limiter.store_outcome = STORE_TIMEOUT;
    const struct wire_response *response = ask(bench, WIRE_CALL_REFUND, 5);
    assert_int_equal(response->status, WIRE_UNAVAILABLE);
    snprintf(expected, sizeof expected, "%s; it may have been booked", store_outcome_text(STORE_TIMEOUT));
    expect_text(response->message, expected);
}

static void test_bad_calls_do_not_reach_the_limiter(void **state) {
    struct bench *bench = *state;
    bench->line.request = (struct wire_request){.ttl_ms = 0};
    assert_int_equal(ask(bench, WIRE_CALL_RESERVE, 5)->status, WIRE_INVALID_ARGUMENT);
    expect_text(bench->line.response.message, "ttl_ms: 0, at least 1");
    bench->line.request = (struct wire_request){.reservation_id = text("short")};
    assert_int_equal(ask(bench, WIRE_CALL_SETTLE, 5)->status, WIRE_INVALID_ARGUMENT);
    expect_text(bench->line.response.message, "reservation_id: 5 bytes, it has 16");
    assert_int_equal(ask(bench, WIRE_CALL_REFUND, 0)->status, WIRE_INVALID_ARGUMENT);
    expect_text(bench->line.response.message, "tokens: 0, at least 1");
    assert_int_equal(ask(bench, WIRE_CALL_PEEK, 1)->status, WIRE_INVALID_ARGUMENT);
    expect_text(bench->line.response.message, "idempotency_key: a peek takes nothing and has none");
    assert_int_equal(bench->limiter.n_calls, 0);
}

/* ---- all or nothing ---- */

static void ask_all(struct bench *bench, const char *const *keys, size_t n) {
    bench->line.request =
        (struct wire_request){.id = 5, .call = WIRE_CALL_CHECK_BATCH, .all_or_nothing = true, .n_checks = n};
    for (size_t i = 0; i < n; i++) {
        bench->line.request.checks[i] = (struct wire_check){
            .tenant = text("demo"), .resource = text("hello"), .key = text(keys[i]), .cost = i + 1};
    }
    service_bench_send(&bench->line);
}

static const char *const abc[] = {"a", "b", "c"};

static void test_all_are_granted(void **state) {
    struct bench *bench = *state;
    ask_all(bench, abc, 3);
    const struct wire_response *response = service_bench_receive(&bench->line);
    assert_int_equal(response->status, WIRE_OK);
    assert_true(response->granted);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(response->items[i].decision.verdict, WIRE_ALLOW);
        assert_int_equal(response->items[i].decision.granted, i + 1);
    }
    assert_int_equal(bench->limiter.n_calls, 3);
}

static void assert_returned(const struct wire_decision *decision, uint64_t granted) {
    assert_int_equal(decision->verdict, WIRE_DENY);
    assert_true(decision->returned);
    assert_int_equal(decision->granted, granted);
}

static void assert_undo(const struct bench *bench, int place, const char *key, int64_t tokens) {
    const struct limiter_call *undo = &bench->limiter.seen[place];
    assert_true(undo->is_undo);
    assert_int_equal(undo->kind, LIMITER_REFUND);
    assert_int_equal(undo->undo_source, DECISION_STORE);
    assert_int_equal(undo->cost_tokens, tokens);
    assert_int_equal(undo->idempotency_key.len, 0);
    assert_string_equal(bench->limiter.keys[place], key);
}

static void test_one_denial_gives_the_others_back(void **state) {
    struct bench *bench = *state;
    snprintf(bench->limiter.denied_key, KEY_BYTES, "b");
    ask_all(bench, abc, 3);
    const struct wire_response *response = service_bench_receive(&bench->line);
    assert_int_equal(response->status, WIRE_OK);
    assert_false(response->granted);
    assert_returned(&response->items[0].decision, 0);
    assert_int_equal(response->items[1].decision.verdict, WIRE_DENY);
    assert_false(response->items[1].decision.returned);
    assert_int_equal(response->items[1].decision.retry_after_us, 9);
    assert_returned(&response->items[2].decision, 0);
    assert_int_equal(bench->limiter.n_calls, 5);
    assert_undo(bench, 3, "a", 1);
    assert_undo(bench, 4, "c", 3);
    assert_int_equal(metric_get(&bench->line.metrics.returned), 2);
}

static void test_answer_waits_for_what_goes_back(void **state) {
    struct bench *bench = *state;
    bench->limiter.is_pending = true;
    snprintf(bench->limiter.denied_key, KEY_BYTES, "a");
    ask_all(bench, abc, 3);
    conclude(&bench->limiter, 2);
    conclude(&bench->limiter, 0);
    service_bench_expect_nothing(&bench->line);
    conclude(&bench->limiter, 1);
    assert_int_equal(bench->limiter.n_calls, 5);
    assert_undo(bench, 3, "b", 2);
    assert_undo(bench, 4, "c", 3);
    service_bench_expect_nothing(&bench->line);
    assert_int_equal(metric_get(&bench->line.metrics.pending), 1);
    conclude(&bench->limiter, 4);
    bench->limiter.undone = LIMITER_UNDECIDED;
    conclude(&bench->limiter, 3);
    const struct wire_response *response = service_bench_receive(&bench->line);
    assert_false(response->granted);
    assert_returned(&response->items[1].decision, 2); /* nobody can say that it is back */
    assert_returned(&response->items[2].decision, 0);
    assert_int_equal(metric_get(&bench->line.metrics.pending), 0);
}

static void test_what_took_nothing_is_not_given_back(void **state) {
    struct bench *bench = *state;
    snprintf(bench->limiter.denied_key, KEY_BYTES, "c");
    bench->limiter.source = DECISION_NONE;
    ask_all(bench, abc, 3);
    assert_returned(&service_bench_receive(&bench->line)->items[0].decision, 0);
    assert_int_equal(bench->limiter.n_calls, 3);
    bench->limiter.source = DECISION_STORE;
    bench->limiter.would_deny = true;
    ask_all(bench, abc, 3);
    assert_returned(&service_bench_receive(&bench->line)->items[0].decision, 0);
    assert_int_equal(bench->limiter.n_calls, 6);
}

static void test_what_nobody_can_decide_spoils_the_batch(void **state) {
    struct bench *bench = *state;
    bench->limiter.is_pending = true;
    bench->limiter.store_outcome = STORE_NO_MEMORY;
    ask_all(bench, abc, 2);
    conclude(&bench->limiter, 0);
    bench->limiter.outcome = LIMITER_UNDECIDED;
    conclude(&bench->limiter, 1);
    conclude(&bench->limiter, 2);
    const struct wire_response *response = service_bench_receive(&bench->line);
    assert_false(response->granted);
    assert_returned(&response->items[0].decision, 0);
    assert_int_equal(response->items[1].status, WIRE_RESOURCE_EXHAUSTED);
}

static void test_one_bad_check_refuses_the_batch(void **state) {
    struct bench *bench = *state;
    ask_all(bench, (const char *const[]){"a", "b"}, 2);
    (void)service_bench_receive(&bench->line);
    bench->line.request.checks[1].tenant.len = 0;
    service_bench_send(&bench->line);
    const struct wire_response *response = service_bench_receive(&bench->line);
    assert_int_equal(response->status, WIRE_INVALID_ARGUMENT);
    expect_text(response->message, "checks[1].tenant: empty");
    assert_int_equal(bench->limiter.n_calls, 2);
}

static void test_orphaned_batch_still_gives_back(void **state) {
    struct bench *bench = *state;
    bench->limiter.is_pending = true;
    snprintf(bench->limiter.denied_key, KEY_BYTES, "a");
    ask_all(bench, abc, 2);
    assert_int_equal(send(bench->line.peer, "\1", 1, 0), 1); /* breaks the framing */
    service_bench_turn(&bench->line);
    conclude(&bench->limiter, 0);
    conclude(&bench->limiter, 1);
    assert_undo(bench, 2, "b", 2);
    conclude(&bench->limiter, 2);
    assert_int_equal(metric_get(&bench->line.metrics.orphaned), 1);
    assert_int_equal(metric_get(&bench->line.metrics.pending), 0);
}

/* ---- at once ---- */

static void batch_of(struct bench *bench, const char *const *keys, size_t n) {
    bench->line.request = (struct wire_request){.id = 9, .call = WIRE_CALL_CHECK_BATCH, .n_checks = n};
    for (size_t i = 0; i < n; i++) {
        bench->line.request.checks[i] = (struct wire_check){
            .tenant = text("demo"), .resource = text("hello"), .key = text(keys[i]), .cost = i + 1};
    }
    service_bench_send(&bench->line);
}

static void test_what_is_decided_at_once_makes_no_call(void **state) {
    static const char *const keys[] = {"a", "b", "a"};
    struct bench *bench = *state;
    snprintf(bench->limiter.decided_keys, sizeof bench->limiter.decided_keys, "ab");
    snprintf(bench->limiter.denied_key, KEY_BYTES, "b");
    bench->line.request = (struct wire_request){.id = 8, .call = WIRE_CALL_CHECK, .n_checks = 1};
    bench->line.request.checks[0] =
        (struct wire_check){.tenant = text("demo"), .resource = text("hello"), .key = text("a"), .cost = 5};
    service_bench_send(&bench->line);
    const struct wire_response *response = service_bench_receive(&bench->line);
    assert_int_equal(response->id, 8);
    assert_int_equal(response->items[0].decision.granted, 5);
    expect_text(response->items[0].decision.limit_name, "per_key");

    batch_of(bench, keys, 3);
    response = service_bench_receive(&bench->line);
    assert_int_equal(response->id, 9);
    assert_int_equal(response->n_items, 3);
    assert_int_equal(response->items[0].decision.granted, 1);
    assert_int_equal(response->items[1].decision.verdict, WIRE_DENY);
    assert_int_equal(response->items[2].decision.granted, 3);
    assert_int_equal(bench->limiter.n_decided, 4);
    assert_int_equal(bench->limiter.n_calls, 0);
    assert_int_equal(metric_get(&bench->line.metrics.pending), 0);
}

/* The rest of a check is judged, whatever is known of its names. */
static void test_names_that_are_known_are_not_judged_again(void **state) {
    struct bench *bench = *state;
    snprintf(bench->limiter.decided_keys, sizeof bench->limiter.decided_keys, "a");
    bench->limiter.knows_names = true;
    bench->line.request = (struct wire_request){.id = 8, .call = WIRE_CALL_CHECK, .n_checks = 1};
    bench->line.request.checks[0] =
        (struct wire_check){.tenant = text("de\nmo"), .resource = text("hello"), .key = text("a"), .cost = 5};
    service_bench_send(&bench->line);
    assert_int_equal(service_bench_receive(&bench->line)->items[0].decision.granted, 5);
    bench->line.request.checks[0].cost = WIRE_COST_MAX + 1;
    service_bench_send(&bench->line);
    assert_int_equal(service_bench_receive(&bench->line)->status, WIRE_INVALID_ARGUMENT);
    assert_int_equal(bench->limiter.n_decided, 1);
}

/* Those before are not decided again, and what was found of the first that goes on is handed on. */
static void test_a_batch_goes_on_where_one_is_not_decided(void **state) {
    static const char *const keys[] = {"a", "x", "a", "y"};
    struct bench *bench = *state;
    bench->limiter.is_pending = true;
    snprintf(bench->limiter.decided_keys, sizeof bench->limiter.decided_keys, "a");
    snprintf(bench->limiter.denied_key, KEY_BYTES, "y");
    batch_of(bench, keys, 4);
    service_bench_expect_nothing(&bench->line);
    assert_int_equal(bench->limiter.n_decided, 1);
    assert_int_equal(bench->limiter.n_calls, 3);
    assert_string_equal(bench->limiter.keys[0], "x");
    assert_true(bench->limiter.seen[0].is_found);
    assert_int_equal(bench->limiter.seen[0].found.key_hash.low, mark_of("x"));
    assert_false(bench->limiter.seen[1].is_found);
    for (int i = 2; i >= 0; i--) {
        conclude(&bench->limiter, i);
    }
    const struct wire_response *response = service_bench_receive(&bench->line);
    assert_int_equal(response->n_items, 4);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(response->items[i].decision.granted, i + 1);
        expect_text(response->items[i].decision.limit_name, "per_key");
    }
    assert_int_equal(response->items[3].decision.verdict, WIRE_DENY);
}

static void test_wishes_and_bad_checks_are_not_decided_at_once(void **state) {
    static const char *const keys[] = {"a", "a"};
    struct bench *bench = *state;
    snprintf(bench->limiter.decided_keys, sizeof bench->limiter.decided_keys, "a");
    bench->line.request = (struct wire_request){.id = 1, .call = WIRE_CALL_CHECK, .n_checks = 1};
    bench->line.request.checks[0] = (struct wire_check){
        .tenant = text("demo"), .resource = text("hello"), .key = text("a"), .cost = 5, .at_most = true};
    service_bench_send(&bench->line);
    (void)service_bench_receive(&bench->line);
    bench->line.request.checks[0].at_most = false;
    bench->line.request.checks[0].idempotency_key = text("once");
    service_bench_send(&bench->line);
    (void)service_bench_receive(&bench->line);
    bench->line.request.checks[0].idempotency_key = (struct wire_bytes){0};
    bench->line.request.call = WIRE_CALL_PEEK;
    service_bench_send(&bench->line);
    (void)service_bench_receive(&bench->line);
    assert_int_equal(bench->limiter.n_calls, 3);
    bench->line.request.call = WIRE_CALL_CHECK;
    bench->line.request.checks[0].tenant = (struct wire_bytes){0};
    service_bench_send(&bench->line);
    assert_int_equal(service_bench_receive(&bench->line)->status, WIRE_INVALID_ARGUMENT);
    assert_int_equal(metric_get(&bench->line.metrics.invalid), 1);
    bench->line.request.all_or_nothing = true;
    ask_all(bench, keys, 2);
    assert_int_equal(bench->limiter.n_calls, 5);
    assert_int_equal(bench->limiter.n_decided, 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(test_wishes_of_a_check_reach_the_limiter),
        test(test_refund_is_booked),
        test(test_reservation_has_an_id_of_its_own),
        test(test_repeated_reservation_is_the_first_one),
        test(test_denied_reservation_has_no_id),
        test(test_reservation_without_a_bucket_is_settled_without_the_limiter),
        test(test_settlement_is_booked_or_not_found),
        test(test_booking_that_nobody_can_tell_of_is_unavailable),
        test(test_bad_calls_do_not_reach_the_limiter),
        test(test_all_are_granted),
        test(test_one_denial_gives_the_others_back),
        test(test_answer_waits_for_what_goes_back),
        test(test_what_took_nothing_is_not_given_back),
        test(test_what_nobody_can_decide_spoils_the_batch),
        test(test_one_bad_check_refuses_the_batch),
        test(test_orphaned_batch_still_gives_back),
        test(test_what_is_decided_at_once_makes_no_call),
        test(test_names_that_are_known_are_not_judged_again),
        test(test_a_batch_goes_on_where_one_is_not_decided),
        test(test_wishes_and_bad_checks_are_not_decided_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
