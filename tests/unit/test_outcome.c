/* test_outcome.c — what came of a call, as people and programs read it. */
#include "tests/support/test_prelude.h"

#include "client/cmd/outcome.h"

static struct sluice_decision allowed(void) {
    return (struct sluice_decision){.allowed = true,
                                    .matched = true,
                                    .source = SLUICE_SOURCE_STORE,
                                    .limit_name = "per_key",
                                    .limit = 10,
                                    .remaining = 7,
                                    .reset_after_us = 600000,
                                    .granted = 3};
}

/* What `decision` prints, until the next call. */
static const char *print(const struct sluice_decision *decision, bool is_granted_told) {
    static char text[512];
    FILE *out = fmemopen(text, sizeof text, "w");
    assert_non_null(out);
    outcome_print_decision(out, decision, is_granted_told);
    fclose(out);
    return text;
}

static const char *print_booking(struct sluice_booking booking) {
    static char text[512];
    FILE *out = fmemopen(text, sizeof text, "w");
    assert_non_null(out);
    outcome_print_booking(out, &booking);
    fclose(out);
    return text;
}

static void test_decision_is_a_line(void **state) {
    struct sluice_decision decision = allowed();
    (void)state;
    assert_string_equal(print(&decision, false), "ALLOW  remaining 7/10  reset 600ms  source store\n");
    assert_string_equal(print(&decision, true),
                        "ALLOW  granted 3  remaining 7/10  reset 600ms  source store\n");
    decision.repeated = true;
    decision.wait_us = 2000;
    assert_string_equal(print(&decision, false),
                        "ALLOW  remaining 7/10  wait 2ms  reset 600ms  source store, repeated\n");
    decision = allowed();
    decision.allowed = false;
    decision.granted = 0;
    decision.retry_after_us = 5000;
    assert_string_equal(print(&decision, true),
                        "DENY  remaining 7/10  retry after 5ms  reset 600ms  source store\n");
    decision.retry_after_us = UINT64_C(1) << 53;
    assert_string_equal(print(&decision, true),
                        "DENY  remaining 7/10  never granted: the cost is above the burst"
                        "  reset 600ms  source store\n");
    decision.retry_after_us = 0;
    decision.returned = true;
    assert_string_equal(print(&decision, false), "DENY  returned: another check was denied  remaining 7/10"
                                                 "  reset 600ms  source store\n");
}

static void test_decision_without_a_bucket_says_why(void **state) {
    struct sluice_decision decision = {.allowed = true, .granted = 1};
    (void)state;
    assert_string_equal(print(&decision, false), "ALLOW  no quota matches\n");
    decision.matched = true;
    assert_string_equal(print(&decision, false), "ALLOW  unlimited\n");
    decision.allowed = false;
    snprintf(decision.limit_name, sizeof decision.limit_name, "per_key");
    assert_string_equal(print(&decision, false), "DENY  banned: the rate is 0\n");
    decision = (struct sluice_decision){
        .allowed = true, .granted = 4, .source = SLUICE_SOURCE_CALLER, .message = "no frontend"};
    assert_string_equal(print(&decision, true), "ALLOW  granted 4  source caller: no frontend\n");
}

static void test_decision_has_every_field_in_json(void **state) {
    struct sluice_decision decision = allowed();
    json_error_t error;
    (void)state;
    json_t *made = outcome_make_decision(&decision);
    json_t *expected =
        json_loads("{\"decision\":\"allow\",\"matched\":true,\"degraded\":false,\"would_deny\":false,"
                   "\"source\":\"store\",\"limit_name\":\"per_key\",\"limit\":10,\"remaining\":7,"
                   "\"retry_after_us\":0,\"reset_after_us\":600000,\"wait_us\":0,\"granted\":3,"
                   "\"repeated\":false,\"returned\":false}",
                   0, &error);
    assert_non_null(expected);
    assert_true(json_equal(made, expected));
    json_decref(made);
    json_decref(expected);
}

static void test_booking_is_a_line_or_json(void **state) {
    struct sluice_booking booking = {
        .matched = true, .returned = 5, .taken = 0, .limit_name = "per_key", .limit = 10, .remaining = 7};
    json_error_t error;
    (void)state;
    assert_string_equal(print_booking(booking), "BOOKED  returned 5  taken 0  remaining 7/10\n");
    booking.repeated = true;
    assert_string_equal(print_booking(booking), "BOOKED  returned 5  taken 0  remaining 7/10  repeated\n");
    json_t *made = outcome_make_booking(&booking);
    json_t *expected = json_loads("{\"matched\":true,\"repeated\":true,\"degraded\":false,\"returned\":5,"
                                  "\"taken\":0,\"limit_name\":\"per_key\",\"limit\":10,\"remaining\":7}",
                                  0, &error);
    assert_non_null(expected);
    assert_true(json_equal(made, expected));
    json_decref(made);
    json_decref(expected);
    assert_string_equal(print_booking((struct sluice_booking){.degraded = true}), "BOOKED  nothing was held\n");
    assert_string_equal(print_booking((struct sluice_booking){.matched = false}),
                        "BOOKED  nothing: no quota matches\n");
    assert_string_equal(print_booking((struct sluice_booking){.matched = true}),
                        "BOOKED  nothing: the quota has no bucket\n");
}

static void test_reservation_is_written_and_read_back(void **state) {
    uint8_t id[SLUICE_RESERVATION_BYTES] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0xab}, read[SLUICE_RESERVATION_BYTES];
    (void)state;
    struct outcome_id shown = outcome_show_id(id);
    assert_string_equal(shown.text, "00017f80ffab00000000000000000000");
    assert_true(outcome_read_id(shown.text, read));
    assert_memory_equal(read, id, sizeof id);
    assert_true(outcome_read_id("00017F80FFAB00000000000000000000", read));
    assert_memory_equal(read, id, sizeof id);
    assert_false(outcome_read_id("", read));
    assert_false(outcome_read_id("00017f80ffab0000000000000000000", read));
    assert_false(outcome_read_id("00017f80ffab000000000000000000000", read));
    assert_false(outcome_read_id("00017f80ffab0000000000000000000g", read));
    assert_false(outcome_read_id("-0017f80ffab00000000000000000000", read));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decision_is_a_line),
        cmocka_unit_test(test_decision_without_a_bucket_says_why),
        cmocka_unit_test(test_decision_has_every_field_in_json),
        cmocka_unit_test(test_booking_is_a_line_or_json),
        cmocka_unit_test(test_reservation_is_written_and_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
