/* test_redis_error.c — error replies find their row, and redirects their address. */
#include "tests/support/test_prelude.h"

#include "server/store/redis_error.h"
#include "server/store/redis_metrics.h"

static struct bytes of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static void test_codes_are_told_apart_by_their_first_word(void **state) {
    (void)state;
    assert_int_equal(redis_error_of(of("MOVED 1 h:1")), REDIS_ERROR_MOVED);
    assert_int_equal(redis_error_of(of("ASK 1 h:1")), REDIS_ERROR_ASK);
    assert_int_equal(redis_error_of(of("NOSCRIPT No matching script.")), REDIS_ERROR_NOSCRIPT);
    assert_int_equal(redis_error_of(of("WRONGPASS invalid")), REDIS_ERROR_WRONGPASS);
    assert_int_equal(redis_error_of(of("BUSY")), REDIS_ERROR_BUSY);
    assert_int_equal(redis_error_of(of("BUSYGROUP x")), REDIS_ERROR_OTHER);
    assert_int_equal(redis_error_of(of("OO")), REDIS_ERROR_OTHER);
    assert_int_equal(redis_error_of(of("other x")), REDIS_ERROR_OTHER);
    assert_int_equal(redis_error_of((struct bytes){0}), REDIS_ERROR_OTHER);
}

static void test_what_was_not_executed_and_may_go_well_is_sent_again(void **state) {
    (void)state;
    assert_int_equal(redis_error_action(REDIS_ERROR_MOVED), REDIS_ACT_MOVED);
    assert_int_equal(redis_error_action(REDIS_ERROR_ASK), REDIS_ACT_ASK);
    assert_int_equal(redis_error_action(REDIS_ERROR_NOSCRIPT), REDIS_ACT_BODY);
    assert_int_equal(redis_error_action(REDIS_ERROR_CLUSTERDOWN), REDIS_ACT_REFRESH);
    assert_int_equal(redis_error_action(REDIS_ERROR_READONLY), REDIS_ACT_ONCE_MORE);
    assert_int_equal(redis_error_action(REDIS_ERROR_TRYAGAIN), REDIS_ACT_LATER);
    assert_int_equal(redis_error_action(REDIS_ERROR_OOM), REDIS_ACT_REFUSE);
    assert_int_equal(redis_error_action(REDIS_ERROR_OTHER), REDIS_ACT_REFUSE);
}

static void test_a_node_that_cannot_work_is_at_fault(void **state) {
    (void)state;
    assert_true(redis_error_is_fault(REDIS_ERROR_CLUSTERDOWN));
    assert_true(redis_error_is_fault(REDIS_ERROR_LOADING));
    assert_true(redis_error_is_fault(REDIS_ERROR_OOM));
    assert_true(redis_error_is_fault(REDIS_ERROR_BUSY));
    assert_true(redis_error_is_fault(REDIS_ERROR_WRONGPASS));
    assert_false(redis_error_is_fault(REDIS_ERROR_MOVED));
    assert_false(redis_error_is_fault(REDIS_ERROR_NOSCRIPT));
    assert_false(redis_error_is_fault(REDIS_ERROR_TRYAGAIN));
    assert_false(redis_error_is_fault(REDIS_ERROR_READONLY));
    assert_false(redis_error_is_fault(REDIS_ERROR_OTHER));
}

static void test_where_an_operator_must_act_it_is_an_error(void **state) {
    (void)state;
    assert_int_equal(redis_error_level(REDIS_ERROR_BUSY), LOG_ERROR);
    assert_int_equal(redis_error_level(REDIS_ERROR_NOAUTH), LOG_ERROR);
    assert_int_equal(redis_error_level(REDIS_ERROR_NOPERM), LOG_ERROR);
    assert_int_equal(redis_error_level(REDIS_ERROR_WRONGPASS), LOG_ERROR);
    assert_int_equal(redis_error_level(REDIS_ERROR_LOADING), LOG_WARN);
    assert_int_equal(redis_error_level(REDIS_ERROR_OTHER), LOG_WARN);
}

static void assert_redirect(const char *text, const char *expected) {
    struct bytes address;
    assert_true(redis_error_redirect(of(text), &address));
    assert_int_equal(address.len, strlen(expected));
    assert_memory_equal(address.data, expected, address.len);
}

static void test_a_redirects_address_is_found(void **state) {
    (void)state;
    assert_redirect("MOVED 3999 127.0.0.1:6381", "127.0.0.1:6381");
    assert_redirect("ASK 16383 ::1:6381", "::1:6381");
    assert_redirect("MOVED 0 :6381", ":6381");
}

static void test_a_redirect_of_another_form_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "MOVED",      "MOVED ",       "MOVED 1",   "MOVED 1 ",      "MOVED x h:1",          "MOVED 16384 h:1",
        "MOVED  h:1", "MOVED -1 h:1", "MOVED h:1", "MOVED 1 h:1 x", "MOVED 99999999999 h:1"};
    struct bytes address;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_false(redis_error_redirect(of(texts[i]), &address));
    }
    assert_false(redis_error_redirect((struct bytes){0}, &address));
}

static void test_a_server_without_cluster_mode_is_known(void **state) {
    (void)state;
    assert_true(redis_error_is_no_cluster(of("ERR This instance has cluster support disabled")));
    assert_false(redis_error_is_no_cluster(of("ERR This instance has cluster support")));
    assert_false(redis_error_is_no_cluster(of("ERR unknown command")));
}

static void test_each_error_has_its_own_counter(void **state) {
    (void)state;
    static struct redis_metrics metrics;
    for (int i = 0; i < REDIS_ERROR_COUNT; i++) {
        metric_inc(redis_metrics_error(&metrics, (enum redis_error)i));
        for (int j = 0; j < REDIS_ERROR_COUNT; j++) {
            assert_int_equal(metric_get(redis_metrics_error(&metrics, (enum redis_error)j)), j <= i);
        }
    }
    assert_int_equal(metric_get(&metrics.errors_moved), 1);
    assert_int_equal(metric_get(&metrics.errors_wrongpass), 1);
    assert_int_equal(metric_get(&metrics.errors_other), 1);
    assert_int_equal(metric_get(&metrics.timeouts), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes_are_told_apart_by_their_first_word),
        cmocka_unit_test(test_what_was_not_executed_and_may_go_well_is_sent_again),
        cmocka_unit_test(test_a_node_that_cannot_work_is_at_fault),
        cmocka_unit_test(test_where_an_operator_must_act_it_is_an_error),
        cmocka_unit_test(test_a_redirects_address_is_found),
        cmocka_unit_test(test_a_redirect_of_another_form_is_refused),
        cmocka_unit_test(test_a_server_without_cluster_mode_is_known),
        cmocka_unit_test(test_each_error_has_its_own_counter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
