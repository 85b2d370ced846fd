/* test_bench_checks.c — what a load asks: names, batches, tenants; and what is refused before anything is sent. */
#include "tests/support/test_prelude.h"

#include "client/cmd/bench_checks.h"
#include "proto/frame.h"

static const struct bench_checks_options plain = {
    .tenants = "acme", .resource = "api", .keys = "uniform:50", .cost = 3, .batch = 1, .seed = 1};

static struct bench_checks checks;
static struct wire_request request;

static void init(const struct bench_checks_options *options) {
    struct status status = {""};
    if (!bench_checks_init(&checks, options, &status)) {
        fail_msg("%s", status.text);
    }
}

static bool is_text(struct wire_bytes bytes, const char *text) {
    return bytes.len == strlen(text) && memcmp(bytes.data, text, bytes.len) == 0;
}

static void test_a_frame_of_one_is_a_check(void **state) {
    (void)state;
    init(&plain);
    bench_checks_fill(&checks, &request);
    assert_int_equal(request.call, WIRE_CALL_CHECK);
    assert_int_equal(request.n_checks, 1);
    assert_true(is_text(request.checks[0].tenant, "acme"));
    assert_true(is_text(request.checks[0].resource, "api"));
    assert_int_equal(request.checks[0].key.len, BENCH_KEYS_KEY_BYTES);
    assert_int_equal(request.checks[0].cost, 3);
    bench_checks_deinit(&checks);
}

static void test_a_batch_has_a_key_for_each_check(void **state) {
    struct bench_checks_options options = plain;
    bool are_different = false;
    (void)state;
    options.batch = 32;
    init(&options);
    bench_checks_fill(&checks, &request);
    assert_int_equal(request.call, WIRE_CALL_CHECK_BATCH);
    assert_int_equal(request.n_checks, 32);
    for (size_t i = 1; i < 32; i++) {
        are_different |= memcmp(request.checks[0].key.data, request.checks[i].key.data, 24) != 0;
    }
    assert_true(are_different);
    bench_checks_deinit(&checks);
}

static void test_tenants_are_asked_about_as_often(void **state) {
    enum { N = 9000 };
    struct bench_checks_options options = plain;
    int n_a = 0, n_bb = 0, n_c = 0;
    (void)state;
    options.tenants = "a,bb,c";
    init(&options);
    for (int i = 0; i < N; i++) {
        bench_checks_fill(&checks, &request);
        n_a += is_text(request.checks[0].tenant, "a");
        n_bb += is_text(request.checks[0].tenant, "bb");
        n_c += is_text(request.checks[0].tenant, "c");
    }
    assert_int_equal(n_a + n_bb + n_c, N);
    assert_in_range(n_a, 2750, 3250);
    assert_in_range(n_bb, 2750, 3250);
    bench_checks_deinit(&checks);
}

static void test_a_seed_repeats_its_checks(void **state) {
    static struct bench_checks same;
    static struct wire_request other;
    struct status status;
    (void)state;
    init(&plain);
    assert_true(bench_checks_init(&same, &plain, &status));
    for (int i = 0; i < 100; i++) {
        bench_checks_fill(&checks, &request);
        bench_checks_fill(&same, &other);
        assert_memory_equal(request.checks[0].key.data, other.checks[0].key.data, 24);
    }
    bench_checks_deinit(&checks);
    bench_checks_deinit(&same);
}

/* The longest names that are let through still make a frame. */
static void test_what_is_accepted_fits_into_a_frame(void **state) {
    static uint8_t frame[FRAME_MAX_BYTES];
    char resource[WIRE_RESOURCE_MAX_BYTES + 1] = "", tenant[WIRE_TENANT_MAX_BYTES + 1] = "";
    struct bench_checks_options options = plain;
    struct status status;
    (void)state;
    memset(resource, 'r', WIRE_RESOURCE_MAX_BYTES);
    memset(tenant, 't', WIRE_TENANT_MAX_BYTES);
    options.resource = resource;
    options.tenants = tenant;
    options.cost = WIRE_COST_MAX;
    options.batch = WIRE_BATCH_MAX;
    init(&options);
    bench_checks_fill(&checks, &request);
    request.id = UINT64_MAX;
    assert_true(wire_encode_request(&request, frame, sizeof frame) > 0);
    bench_checks_deinit(&checks);

    options.keys = "file:/dev/null";
    assert_false(bench_checks_init(&checks, &options, &status));
    assert_non_null(strstr(status.text, "/dev/null: it is empty"));
}

static void assert_refused(const struct bench_checks_options *options, const char *part) {
    struct status status = {""};
    assert_false(bench_checks_init(&checks, options, &status));
    if (strstr(status.text, part) == NULL) {
        fail_msg("'%s' does not say '%s'", status.text, part);
    }
    bench_checks_deinit(&checks);
}

static void test_what_no_frontend_would_take_is_refused(void **state) {
    struct bench_checks_options options = plain;
    char many[2 * BENCH_CHECKS_TENANTS_MAX + 2];
    (void)state;
    options.tenants = "a,,b";
    assert_refused(&options, "tenant");
    options.tenants = "";
    assert_refused(&options, "tenant");
    for (size_t i = 0; i <= BENCH_CHECKS_TENANTS_MAX; i++) {
        memcpy(many + 2 * i, "t,", 2);
    }
    many[2 * BENCH_CHECKS_TENANTS_MAX + 1] = '\0';
    options.tenants = many;
    assert_refused(&options, "more than 64");
    options = plain;
    options.resource = "";
    assert_refused(&options, "resource");
    options = plain;
    options.keys = "some";
    assert_refused(&options, "--keys");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_frame_of_one_is_a_check),
        cmocka_unit_test(test_a_batch_has_a_key_for_each_check),
        cmocka_unit_test(test_tenants_are_asked_about_as_often),
        cmocka_unit_test(test_a_seed_repeats_its_checks),
        cmocka_unit_test(test_what_is_accepted_fits_into_a_frame),
        cmocka_unit_test(test_what_no_frontend_would_take_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
