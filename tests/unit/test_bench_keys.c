/* test_bench_keys.c — choices of keys: what is accepted, what comes, what is refused. */
#include "tests/support/test_prelude.h"

#include <unistd.h>

#include "client/cmd/bench_keys.h"

static char path[64];

static const char *choose_file(const char *text, size_t n, char choice[80]) {
    snprintf(path, sizeof path, "/tmp/sluice_keys_XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), n);
    assert_int_equal(close(fd), 0);
    snprintf(choice, 80, "file:%s", path);
    return choice;
}

static void init(struct bench_keys *keys, const char *choice) {
    struct status status = {""};
    if (!bench_keys_init(keys, choice, &status)) {
        fail_msg("%s: %s", choice, status.text);
    }
}

static void assert_next(struct bench_keys *keys, const char *expected) {
    struct rng rng = {1};
    uint8_t numbered[BENCH_KEYS_KEY_BYTES];
    struct bytes key = bench_keys_next(keys, &rng, numbered);
    assert_int_equal(key.len, strlen(expected));
    assert_memory_equal(key.data, expected, key.len);
}

static uint64_t number_of(struct bytes key) {
    char text[BENCH_KEYS_KEY_BYTES + 1];
    assert_int_equal(key.len, BENCH_KEYS_KEY_BYTES);
    memcpy(text, key.data, key.len);
    text[key.len] = '\0';
    assert_memory_equal(text, "bench:", 6);
    return strtoull(text + 6, NULL, 10);
}

static void test_one_key_is_always_the_same(void **state) {
    struct bench_keys keys;
    (void)state;
    init(&keys, "one");
    assert_next(&keys, "bench:000000000000000000");
    assert_next(&keys, "bench:000000000000000000");
    bench_keys_deinit(&keys);
}

static void test_uniform_keys_are_all_there_and_no_others(void **state) {
    enum { N = 100 };
    bool is_seen[N] = {false};
    struct rng rng = {9};
    struct bench_keys keys;
    (void)state;
    init(&keys, "uniform:100");
    assert_int_equal(keys.n, N);
    for (int i = 0; i < 100 * N; i++) {
        uint8_t numbered[BENCH_KEYS_KEY_BYTES];
        uint64_t number = number_of(bench_keys_next(&keys, &rng, numbered));
        assert_true(number < N);
        is_seen[number] = true;
    }
    for (int i = 0; i < N; i++) {
        assert_true(is_seen[i]);
    }
    bench_keys_deinit(&keys);
}

/* Of two keys, the first has 2 / 3 when s is 1. */
static void test_zipf_keys_begin_with_the_most_frequent(void **state) {
    enum { N_DRAWS = 30000 };
    static const struct {
        const char *choice;
        double share_of_first, s;
    } cases[] = {{"zipf:2:1", 2.0 / 3, 1}, {"zipf:2:0", 0.5, 0}, {"zipf:2", 0.665, 0.99}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rng rng = {4};
        struct bench_keys keys;
        int n_first = 0;
        init(&keys, cases[i].choice);
        assert_true(keys.zipf.s == cases[i].s);
        for (int drawn = 0; drawn < N_DRAWS; drawn++) {
            uint8_t numbered[BENCH_KEYS_KEY_BYTES];
            n_first += number_of(bench_keys_next(&keys, &rng, numbered)) == 0;
        }
        double share = (double)n_first / N_DRAWS;
        assert_true(share > cases[i].share_of_first - 0.02 && share < cases[i].share_of_first + 0.02);
        bench_keys_deinit(&keys);
    }
}

static void test_lines_of_a_file_come_in_their_order_and_again(void **state) {
    static const char text[] = "alice\n\nbob with a blank\nnul\0inside";
    struct bench_keys keys;
    struct rng rng = {1};
    uint8_t numbered[BENCH_KEYS_KEY_BYTES];
    char choice[80];
    (void)state;
    init(&keys, choose_file(text, sizeof text - 1, choice));
    assert_int_equal(keys.n, 4);
    for (int round = 0; round < 2; round++) {
        assert_next(&keys, "alice");
        assert_next(&keys, "");
        assert_next(&keys, "bob with a blank");
        assert_int_equal(bench_keys_next(&keys, &rng, numbered).len, 10);
    }
    bench_keys_deinit(&keys);
    bench_keys_deinit(&keys);
    unlink(path);
}

static void test_a_file_that_ends_with_a_newline_has_no_empty_key(void **state) {
    struct bench_keys keys;
    char choice[80];
    (void)state;
    init(&keys, choose_file("a\nb\n", 4, choice));
    assert_int_equal(keys.n, 2);
    assert_next(&keys, "a");
    assert_next(&keys, "b");
    assert_next(&keys, "a");
    bench_keys_deinit(&keys);
    unlink(path);
}

static void test_a_long_file_is_read_whole(void **state) {
    enum { N_LINES = 40000, LINE_BYTES = 11 };
    char *text = malloc(N_LINES * LINE_BYTES + 1), choice[80], expected[16];
    struct bench_keys keys;
    (void)state;
    assert_non_null(text);
    for (int i = 0; i < N_LINES; i++) {
        snprintf(text + (size_t)i * LINE_BYTES, LINE_BYTES + 1, "%010d\n", i);
    }
    init(&keys, choose_file(text, N_LINES * LINE_BYTES, choice));
    assert_int_equal(keys.n, N_LINES);
    for (int i = 0; i < N_LINES; i++) {
        snprintf(expected, sizeof expected, "%010d", i);
        assert_next(&keys, expected);
    }
    bench_keys_deinit(&keys);
    unlink(path);
    free(text);
}

static void assert_refused(const char *choice, const char *part) {
    struct bench_keys keys;
    struct status status = {""};
    assert_false(bench_keys_init(&keys, choice, &status));
    if (strstr(status.text, part) == NULL) {
        fail_msg("%s: '%s' does not say '%s'", choice, status.text, part);
    }
    bench_keys_deinit(&keys);
}

static void test_what_is_no_choice_is_refused(void **state) {
    static const char *const wrong[] = {"",
                                        "two",
                                        "uniform",
                                        "uniform:",
                                        "uniform:0",
                                        "zipf:",
                                        "zipf:0",
                                        "zipf:10:",
                                        "zipf:10:x",
                                        "zipf:10:11",
                                        "zipf:-1",
                                        "zipf:9:-1",
                                        "zipf:9:1.0.0",
                                        "uniform:5:1",
                                        "oneself",
                                        "uniform:9999999999999"};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_refused(wrong[i], "--keys: ");
    }
    assert_refused("zipf:10:x", "'x' is not an exponent");
    assert_refused("file:/no/such/file", "cannot be opened");
    assert_refused("file:/tmp", "cannot be read");
}

static void test_a_file_without_keys_or_with_too_long_ones_is_refused(void **state) {
    char choice[80], text[300];
    (void)state;
    assert_refused(choose_file("", 0, choice), "it is empty");
    unlink(path);
    memset(text, 'x', sizeof text);
    text[0] = '\n';
    assert_refused(choose_file(text, 1 + 257, choice), "line 2 has 257 bytes");
    unlink(path);
    struct bench_keys keys;
    init(&keys, choose_file(text, 1 + 256, choice));
    bench_keys_deinit(&keys);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_key_is_always_the_same),
        cmocka_unit_test(test_uniform_keys_are_all_there_and_no_others),
        cmocka_unit_test(test_zipf_keys_begin_with_the_most_frequent),
        cmocka_unit_test(test_lines_of_a_file_come_in_their_order_and_again),
        cmocka_unit_test(test_a_file_that_ends_with_a_newline_has_no_empty_key),
        cmocka_unit_test(test_a_long_file_is_read_whole),
        cmocka_unit_test(test_what_is_no_choice_is_refused),
        cmocka_unit_test(test_a_file_without_keys_or_with_too_long_ones_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
