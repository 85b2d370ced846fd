/* test_protocol.c — what sluiced makes of good, odd, broken and hostile bytes, from one client and many. */
#include "tests/system/raw_client.h"

#include <dirent.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char quotas[] = "tenants:\n"
                             "  t:\n"
                             "    five: { limits: [ { name: per_key, rate: 1/h, burst: 5 } ] }\n"
                             "    many: { limits: [ { rate: 1/h, burst: 1000000 } ] }\n";

struct world {
    struct harness *harness;
    char quotas_path[HARNESS_PATH_BYTES];
    struct frontend frontend;
};

static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    *state = world;
    world->harness = harness_open();
    harness_write(world->harness, "quotas.yaml", quotas, world->quotas_path);
    FRONTEND_START(world->harness, &world->frontend, "--quotas", world->quotas_path);
    return 0;
}

static int close_world(void **state) {
    struct world *world = *state;
    frontend_stop(&world->frontend);
    harness_close(&world->harness);
    free(world);
    return 0;
}

static void assert_message(const struct wire_response *response, enum wire_status status, const char *part) {
    char message[WIRE_MESSAGE_MAX_BYTES + 1];
    snprintf(message, sizeof message, "%.*s", (int)response->message.len, (const char *)response->message.data);
    assert_string_equal(wire_status_text(response->status), wire_status_text(status));
    assert_contains(message, part);
}

/* Sends a frame with this body. */
static void send_body(struct raw_client *raw, const void *body, size_t n) {
    uint8_t header[FRAME_HEADER_BYTES];
    frame_put_header(header, (uint32_t)n);
    raw_send_bytes(raw, header, sizeof header);
    raw_send_bytes(raw, body, n);
}

static void test_frames_may_arrive_byte_by_byte(void **state) {
    struct world *world = *state;
    struct raw_client *raw = raw_open(&world->frontend);
    uint8_t bytes[FRAME_MAX_BYTES];
    size_t n = raw_encode(raw_check_request(raw, 9, raw_check_of("t", "five", "slow")), bytes);
    for (size_t i = 0; i < n; i++) {
        raw_send_bytes(raw, &bytes[i], 1);
        harness_sleep_ms(1);
    }
    const struct wire_response *response = raw_receive(raw);
    assert_int_equal(response->id, 9);
    assert_int_equal(response->items[0].decision.verdict, WIRE_ALLOW);
    assert_int_equal(response->items[0].decision.remaining, 4);
    raw_close(&raw);
}

static void test_two_frames_in_one_segment_are_both_answered(void **state) {
    struct world *world = *state;
    struct raw_client *raw = raw_open(&world->frontend);
    uint8_t bytes[2 * FRAME_MAX_BYTES];
    size_t n = raw_encode(raw_check_request(raw, 1, raw_check_of("t", "five", "twin")), bytes);
    n += raw_encode(raw_check_request(raw, 2, raw_check_of("t", "five", "twin")), bytes + n);
    raw_send_bytes(raw, bytes, n);
    uint64_t ids = raw_receive(raw)->id;
    ids += raw_receive(raw)->id;
    assert_int_equal(ids, 3);
    raw_close(&raw);
}

static void test_unknown_call_is_unimplemented_and_connection_survives(void **state) {
    struct world *world = *state;
    struct raw_client *raw = raw_open(&world->frontend);
    static const uint8_t body[] = {0x08, 5, 0x7a, 0}; /* id 5, and a field 15 that nobody knows */
    send_body(raw, body, sizeof body);
    const struct wire_response *response = raw_receive(raw);
    assert_int_equal(response->id, 5);
    assert_message(response, WIRE_UNIMPLEMENTED, "call");
    raw_ping(raw, 6);
    raw_close(&raw);
}

static void test_bad_fields_are_named_and_connection_survives(void **state) {
    struct world *world = *state;
    struct raw_client *raw = raw_open(&world->frontend);
    char long_text[300];
    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    struct {
        struct wire_check check;
        const char *field;
    } bad[] = {
        {raw_check_of("", "five", "k"), "tenant"},       {raw_check_of(long_text, "five", "k"), "tenant"},
        {raw_check_of("t\n", "five", "k"), "tenant"},    {raw_check_of("t", "", "k"), "resource"},
        {raw_check_of("t", long_text, "k"), "resource"}, {raw_check_of("t", "\x7f", "k"), "resource"},
        {raw_check_of("t", "five", long_text), "key"},   {raw_check_of("t", "five", "k"), "cost"},
    };
    bad[7].check.cost = WIRE_COST_MAX + 1;
    uint64_t before = frontend_metric(&world->frontend, "sluice_invalid_checks_total");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_message(raw_check(raw, 100 + i, bad[i].check), WIRE_INVALID_ARGUMENT, bad[i].field);
    }
    assert_int_equal(frontend_metric(&world->frontend, "sluice_invalid_checks_total") - before, 8);
    raw_ping(raw, 6);
    raw_close(&raw);
}

static void test_bad_request_fields_are_named(void **state) {
    struct world *world = *state;
    struct raw_client *raw = raw_open(&world->frontend);
    raw_check_request(raw, 3, raw_check_of("t", "five", "k"));
    raw->request.timeout_ms = WIRE_TIMEOUT_MAX_MS + 1;
    raw_send(raw, &raw->request);
    assert_message(raw_receive(raw), WIRE_INVALID_ARGUMENT, "timeout_ms");

    raw->request = (struct wire_request){.id = 4, .call = WIRE_CALL_CHECK_BATCH};
    raw_send(raw, &raw->request);
    assert_message(raw_receive(raw), WIRE_INVALID_ARGUMENT, "check_batch");

    uint8_t payload[WIRE_PAYLOAD_MAX_BYTES + 1] = {0};
    raw->request = (struct wire_request){.id = 5, .call = WIRE_CALL_PING};
    raw->request.payload = (struct wire_bytes){.data = payload, .len = sizeof payload};
    raw_send(raw, &raw->request);
    assert_message(raw_receive(raw), WIRE_INVALID_ARGUMENT, "payload");
    raw_ping(raw, 6);
    raw_close(&raw);
}

static void test_undecodable_body_is_answered_with_id_0(void **state) {
    struct world *world = *state;
    struct raw_client *raw = raw_open(&world->frontend);
    static const uint8_t garbage[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint64_t before = frontend_metric(&world->frontend, "sluice_malformed_requests_total");
    send_body(raw, garbage, sizeof garbage);
    const struct wire_response *response = raw_receive(raw);
    assert_int_equal(response->id, 0);
    assert_message(response, WIRE_INVALID_ARGUMENT, "protobuf");
    assert_int_equal(frontend_metric(&world->frontend, "sluice_malformed_requests_total") - before, 1);
    raw_ping(raw, 6);
    raw_close(&raw);
}

static void test_empty_body_is_answered(void **state) {
    struct world *world = *state;
    struct raw_client *raw = raw_open(&world->frontend);
    send_body(raw, NULL, 0);
    assert_message(raw_receive(raw), WIRE_UNIMPLEMENTED, "call");
    raw_ping(raw, 6);
    raw_close(&raw);
}

/* A ping, then a field nobody knows that fills the frame to the last byte. */
static void test_largest_frame_is_answered(void **state) {
    struct world *world = *state;
    struct raw_client *raw = raw_open(&world->frontend);
    static uint8_t body[FRAME_BODY_MAX_BYTES];
    uint32_t rest = FRAME_BODY_MAX_BYTES - 8;
    const uint8_t head[] = {0x08,
                            7,
                            0x3a,
                            0,
                            0x7a,
                            (uint8_t)(rest & 0x7f) | 0x80,
                            (uint8_t)(rest >> 7 & 0x7f) | 0x80,
                            (uint8_t)(rest >> 14)};
    memcpy(body, head, sizeof head);
    send_body(raw, body, sizeof body);
    assert_int_equal(raw_receive(raw)->id, 7);
    raw_ping(raw, 8);
    raw_close(&raw);
}

/* The server closes after these bytes and counts why. */
static void expect_close_after(const struct frontend *frontend, const uint8_t *bytes, size_t n,
                               const char *series) {
    uint64_t before = frontend_metric(frontend, series);
    struct raw_client *raw = raw_open(frontend);
    raw_send_bytes(raw, bytes, n);
    raw_expect_closed(raw);
    raw_close(&raw);
    frontend_await_metric(frontend, series, before + 1);
}

static void test_one_byte_over_64_kib_closes(void **state) {
    struct world *world = *state;
    static const uint8_t header[] = {0, 0, 1, 0, 1};
    expect_close_after(&world->frontend, header, sizeof header,
                       "sluice_connections_closed_total{reason=\"too_large\"}");
}

static void test_bad_flag_closes(void **state) {
    struct world *world = *state;
    static const uint8_t flag[] = {1};
    expect_close_after(&world->frontend, flag, sizeof flag,
                       "sluice_connections_closed_total{reason=\"bad_flag\"}");
}

static void test_garbage_closes(void **state) {
    struct world *world = *state;
    static const char http[] = "GET / HTTP/1.1\r\n\r\n";
    expect_close_after(&world->frontend, (const uint8_t *)http, sizeof http - 1,
                       "sluice_connections_closed_total{reason=\"bad_flag\"}");
}

static void test_half_a_frame_then_silence_closes(void **state) {
    struct world *world = *state;
    struct frontend frontend;
    FRONTEND_START(world->harness, &frontend, "--frame-timeout", "300ms");
    struct raw_client *idle = raw_open(&frontend);
    raw_ping(idle, 1);
    static const uint8_t half[] = {0, 0, 0, 0, 10, 8, 1};
    int64_t started_at_us = harness_now_us();
    expect_close_after(&frontend, half, sizeof half,
                       "sluice_connections_closed_total{reason=\"frame_timeout\"}");
    assert_true(harness_now_us() - started_at_us >= 290000);
    raw_ping(idle, 2); /* silence between frames is no offence */
    raw_close(&idle);
    frontend_stop(&frontend);
}

static void test_keys_that_differ_after_a_nul_have_different_buckets(void **state) {
    struct world *world = *state;
    struct raw_client *raw = raw_open(&world->frontend);
    struct wire_check check = raw_check_of("t", "five", "");
    static const uint8_t keys[3][3] = {{'a', 0, 'x'}, {'a', 0, 'y'}, {'a', 0, 0}};
    for (size_t i = 0; i < 3; i++) {
        check.key = (struct wire_bytes){.data = keys[i], .len = 3};
        assert_int_equal(raw_decide(raw, check)->remaining, 4);
    }
    check.key.len = 1;
    assert_int_equal(raw_decide(raw, check)->remaining, 4);
    check.key.len = 3;
    assert_int_equal(raw_decide(raw, check)->remaining, 3);
    raw_close(&raw);
}

static void test_burst_is_usable_to_the_last_token_then_denied(void **state) {
    struct world *world = *state;
    struct raw_client *raw = raw_open(&world->frontend);
    struct wire_check check = raw_check_of("t", "five", "burst");
    for (uint64_t left = 5; left-- > 0;) {
        const struct wire_decision *decision = raw_decide(raw, check);
        assert_int_equal(decision->verdict, WIRE_ALLOW);
        assert_int_equal(decision->source, WIRE_SOURCE_EMBEDDED);
        assert_int_equal(decision->limit, 5);
        assert_int_equal(decision->remaining, left);
        assert_true(decision->matched);
        assert_int_equal(decision->limit_name.len, strlen("per_key"));
        assert_memory_equal(decision->limit_name.data, "per_key", strlen("per_key"));
    }
    const struct wire_decision *denial = raw_decide(raw, check);
    assert_int_equal(denial->verdict, WIRE_DENY);
    assert_in_range(denial->retry_after_us, 3500000000ULL, 3600000000ULL);
    assert_true(raw_decide(raw, raw_check_of("t", "unheard-of", "k"))->verdict == WIRE_ALLOW);
    assert_false(raw->response.items[0].decision.matched);
    raw_close(&raw);
}

static void test_peek_takes_nothing(void **state) {
    struct world *world = *state;
    struct raw_client *raw = raw_open(&world->frontend);
    struct wire_check check = raw_check_of("t", "five", "peeked");
    assert_int_equal(raw_decide(raw, check)->remaining, 4);
    for (int i = 0; i < 3; i++) {
        raw_check_request(raw, 5, check);
        raw->request.call = WIRE_CALL_PEEK;
        raw_send(raw, &raw->request);
        raw_receive(raw);
    }
    assert_int_equal(raw_decide(raw, check)->remaining, 3);
    raw_close(&raw);
}

static void test_batch_is_decided_and_answered_in_order(void **state) {
    struct world *world = *state;
    struct raw_client *raw = raw_open(&world->frontend);
    raw->request = (struct wire_request){.id = 11, .call = WIRE_CALL_CHECK_BATCH, .n_checks = WIRE_BATCH_MAX};
    for (size_t i = 0; i < WIRE_BATCH_MAX; i++) {
        raw->request.checks[i] = raw_check_of("t", "many", "batch");
    }
    raw->request.checks[100] = raw_check_of("", "many", "batch");
    raw_send(raw, &raw->request);
    const struct wire_response *response = raw_receive(raw);
    assert_int_equal(response->id, 11);
    assert_int_equal(response->status, WIRE_OK);
    assert_int_equal(response->n_items, WIRE_BATCH_MAX);
    uint64_t left = 1000000;
    for (size_t i = 0; i < WIRE_BATCH_MAX; i++) {
        if (i == 100) {
            assert_int_equal(response->items[i].status, WIRE_INVALID_ARGUMENT);
            continue;
        }
        assert_int_equal(response->items[i].status, WIRE_OK);
        assert_int_equal(response->items[i].decision.remaining, --left);
    }
    raw_close(&raw);
}

static void test_10000_pipelined_requests_are_each_answered_once(void **state) {
    struct world *world = *state;
    static const char series[] = "sluice_requests_total{call=\"check\"}";
    uint64_t before = frontend_metric(&world->frontend, series);
    struct raw_client *raw = raw_open(&world->frontend);
    assert_int_equal(raw_pipeline(raw, "t", "five", 10000, 1000), 1000 * 5);
    assert_int_equal(frontend_metric(&world->frontend, series) - before, 10000);
    raw_close(&raw);
}

static uint64_t resident_kib(const struct frontend *frontend) {
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/status", (int)frontend->pid);
    harness_read(path, text, sizeof text);
    const char *at = strstr(text, "VmRSS:");
    assert_non_null(at);
    return strtoull(at + strlen("VmRSS:"), NULL, 10);
}

/* Sends whole frames until nothing has gone out for a second; returns how many bytes went. */
static size_t send_until_stuck(struct raw_client *raw, const uint8_t *bytes, size_t n) {
    size_t n_sent = 0;
    struct pollfd one = {.fd = raw->fd, .events = POLLOUT};
    while (poll(&one, 1, 1000) == 1) {
        size_t at = n_sent % n;
        ssize_t sent = send(raw->fd, bytes + at, n - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        assert_true(sent > 0);
        n_sent += (size_t)sent;
        if (n_sent > 64 * 1024 * 1024) {
            fail_msg("sluiced reads on and on from a client that does not read");
        }
    }
    return n_sent;
}

static void test_client_that_does_not_read_is_paused_and_costs_little(void **state) {
    struct world *world = *state;
    struct frontend frontend;
    FRONTEND_START(world->harness, &frontend, "--max-output-bytes", "65536");
    struct raw_client *greedy = raw_open(&frontend);
    struct raw_client *modest = raw_open(&frontend);
    uint8_t bytes[FRAME_MAX_BYTES], payload[200] = {0};
    struct wire_request *ping = &greedy->request;
    *ping = (struct wire_request){.id = 1, .call = WIRE_CALL_PING};
    ping->payload = (struct wire_bytes){.data = payload, .len = sizeof payload};
    size_t n = raw_encode(ping, bytes);
    uint64_t before_kib = resident_kib(&frontend);
    size_t n_sent = send_until_stuck(greedy, bytes, n);
    assert_in_range(resident_kib(&frontend), 1, before_kib + 8 * 1024);
    assert_true(frontend_metric(&frontend, "sluice_connections_paused_total") >= 1);
    raw_ping(modest, 2); /* others are served meanwhile */
    /* Once it reads, it gets every answer. */
    size_t n_rest = (n - n_sent % n) % n;
    raw_exchange(greedy, bytes + n_sent % n, n_rest, (n_sent + n_rest) / n, NULL, NULL);
    raw_ping(greedy, 3);
    raw_close(&greedy);
    raw_close(&modest);
    frontend_stop(&frontend);
}

static void test_connections_above_the_cap_are_closed_at_once(void **state) {
    struct world *world = *state;
    struct frontend frontend;
    FRONTEND_START(world->harness, &frontend, "--max-connections", "4");
    struct raw_client *raw[4];
    for (size_t i = 0; i < 4; i++) {
        raw[i] = raw_open(&frontend);
        raw_ping(raw[i], i);
    }
    struct raw_client *fifth = raw_open(&frontend);
    raw_expect_closed(fifth);
    raw_close(&fifth);
    assert_int_equal(frontend_metric(&frontend, "sluice_connections_refused_total"), 1);
    assert_int_equal(frontend_metric(&frontend, "sluice_connections_open"), 4);
    raw_close(&raw[0]);
    frontend_await_metric(&frontend, "sluice_connections_open", 3);
    raw[0] = raw_open(&frontend);
    for (size_t i = 0; i < 4; i++) {
        raw_ping(raw[i], i);
        raw_close(&raw[i]);
    }
    frontend_stop(&frontend);
}

static size_t count_descriptors(const struct frontend *frontend) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)frontend->pid);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    size_t n = 0;
    while (readdir(dir) != NULL) {
        n++;
    }
    closedir(dir);
    return n;
}

static void test_many_connections_come_and_go(void **state) {
    enum { ROUNDS = 5, AT_ONCE = 100 };
    struct world *world = *state;
    const struct frontend *frontend = &world->frontend;
    frontend_await_metric(frontend, "sluice_connections_open", 0);
    uint64_t before = frontend_metric(frontend, "sluice_connections_accepted_total");
    size_t n_descriptors = count_descriptors(frontend);
    for (int round = 0; round < ROUNDS; round++) {
        struct raw_client *raw[AT_ONCE];
        for (size_t i = 0; i < AT_ONCE; i++) {
            raw[i] = raw_open(frontend);
        }
        for (size_t i = 0; i < AT_ONCE; i++) {
            if (i % 2 == 0) {
                raw_ping(raw[i], i);
            } else {
                raw_send(raw[i], raw_check_request(raw[i], i, raw_check_of("t", "many", "fleeting")));
            }
            raw_close(&raw[i]); /* every second one leaves before its answer */
        }
    }
    frontend_await_metric(frontend, "sluice_connections_accepted_total", before + ROUNDS * AT_ONCE);
    frontend_await_metric(frontend, "sluice_connections_open", 0);
    int64_t deadline_us = harness_now_us() + 10000000;
    while (count_descriptors(frontend) > n_descriptors) { /* that of the last look at the metrics closes soon */
        assert_true(harness_now_us() < deadline_us);
        harness_sleep_ms(10);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_may_arrive_byte_by_byte),
        cmocka_unit_test(test_two_frames_in_one_segment_are_both_answered),
        cmocka_unit_test(test_unknown_call_is_unimplemented_and_connection_survives),
        cmocka_unit_test(test_bad_fields_are_named_and_connection_survives),
        cmocka_unit_test(test_bad_request_fields_are_named),
        cmocka_unit_test(test_undecodable_body_is_answered_with_id_0),
        cmocka_unit_test(test_empty_body_is_answered),
        cmocka_unit_test(test_largest_frame_is_answered),
        cmocka_unit_test(test_one_byte_over_64_kib_closes),
        cmocka_unit_test(test_bad_flag_closes),
        cmocka_unit_test(test_garbage_closes),
        cmocka_unit_test(test_half_a_frame_then_silence_closes),
        cmocka_unit_test(test_keys_that_differ_after_a_nul_have_different_buckets),
        cmocka_unit_test(test_burst_is_usable_to_the_last_token_then_denied),
        cmocka_unit_test(test_peek_takes_nothing),
        cmocka_unit_test(test_batch_is_decided_and_answered_in_order),
        cmocka_unit_test(test_10000_pipelined_requests_are_each_answered_once),
        cmocka_unit_test(test_client_that_does_not_read_is_paused_and_costs_little),
        cmocka_unit_test(test_connections_above_the_cap_are_closed_at_once),
        cmocka_unit_test(test_many_connections_come_and_go),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
