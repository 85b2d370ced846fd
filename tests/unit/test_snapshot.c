/* test_snapshot.c — a snapshot read back, and every way in which one may be damaged. */
#include "tests/support/test_prelude.h"

#include <sys/stat.h>
#include <unistd.h>

#include "server/quota/snapshot.h"
#include "tests/support/text_bytes.h"

static struct quota_set *sample(void) {
    struct quota_set *set = quota_set_create();
    struct quota_rules unlimited = {.is_unlimited = true}, limited = {.n_limits = 1, .mode = QUOTA_IN_SHADOW};
    struct status status;
    assert_non_null(set);
    assert_true(quota_name_limit(&limited, 0, text_bytes("second"), &status));
    assert_true(bucket_set_rate(&limited.limits[0], 100, 1, &status));
    limited.limits[0].burst_utok = 200 * BUCKET_UTOK_PER_TOKEN;
    assert_true(quota_set_put(set, text_bytes("acme"), text_bytes("api.*"), &limited, 7, &status));
    assert_true(quota_set_put(set, text_bytes("*"), text_bytes("*"), &unlimited, 9, &status));
    quota_set_set_revision(set, 12);
    quota_set_set_unknown(set, QUOTA_UNKNOWN_DENY);
    return set;
}

static void encode(struct buf *out) {
    struct quota_set *set = sample();
    assert_true(snapshot_encode(set, out));
    quota_set_release(&set);
}

static void expect_sample(struct quota_set *set) {
    struct quota_rules rules;
    assert_non_null(set);
    assert_int_equal(quota_set_revision(set), 12);
    assert_int_equal(quota_set_count(set), 2);
    assert_int_equal(quota_set_unknown(set), QUOTA_UNKNOWN_DENY);
    const struct quota *quota = quota_set_get(set, text_bytes("acme"), text_bytes("api.*"));
    assert_non_null(quota);
    assert_int_equal(quota->revision, 7);
    quota_get_rules(quota, &rules);
    assert_int_equal(rules.mode, QUOTA_IN_SHADOW);
    assert_int_equal(rules.limits[0].burst_utok, 200 * BUCKET_UTOK_PER_TOKEN);
    assert_string_equal(rules.limit_names[0], "second");
    quota = quota_set_get(set, text_bytes("*"), text_bytes("*"));
    assert_true(quota != NULL && quota->is_unlimited);
}

static void test_what_is_written_is_read(void **state) {
    (void)state;
    struct buf bytes = {0};
    struct status status;
    encode(&bytes);
    struct quota_set *set = snapshot_decode((struct bytes){buf_front(&bytes), buf_len(&bytes)}, &status);
    expect_sample(set);
    quota_set_release(&set);
    buf_deinit(&bytes);
}

static void expect_refused(const uint8_t *bytes, size_t n, const char *what, size_t at) {
    struct status status = {{0}};
    uint8_t *exact = malloc(n > 0 ? n : 1); /* so that a step beyond it is noticed */
    assert_non_null(exact);
    memcpy(exact, bytes, n);
    if (snapshot_decode((struct bytes){exact, n}, &status) != NULL || status.text[0] == '\0') {
        fail_msg("taken, or refused without a reason: %s at byte %zu", what, at);
    }
    free(exact);
}

static void test_each_truncation_is_refused(void **state) {
    (void)state;
    struct buf bytes = {0};
    encode(&bytes);
    for (size_t n = 0; n < buf_len(&bytes); n++) {
        expect_refused(buf_front(&bytes), n, "cut", n);
    }
    assert_true(buf_append(&bytes, "\n", 1));
    expect_refused(buf_front(&bytes), buf_len(&bytes), "longer", 0);
    buf_deinit(&bytes);
}

static void test_each_flipped_bit_is_refused(void **state) {
    (void)state;
    struct buf bytes = {0};
    encode(&bytes);
    for (size_t at = 0; at < buf_len(&bytes); at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes.data[bytes.start + at] ^= (uint8_t)(1U << bit);
            expect_refused(buf_front(&bytes), buf_len(&bytes), "flipped", at);
            bytes.data[bytes.start + at] ^= (uint8_t)(1U << bit);
        }
    }
    buf_deinit(&bytes);
}

static void test_file_is_replaced_whole_and_read_back(void **state) {
    (void)state;
    char dir[] = "/tmp/test_snapshot.XXXXXX", path[64], other[64];
    bool is_absent;
    struct status status;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/quotas", dir);
    snprintf(other, sizeof other, "%s/quotas.new", dir);
    assert_null(snapshot_read(path, &is_absent, &status));
    assert_true(is_absent);
    struct quota_set *set = sample();
    assert_true(snapshot_write(path, set, &status));
    assert_true(snapshot_write(path, set, &status));
    quota_set_release(&set);
    assert_int_equal(access(other, F_OK), -1);
    set = snapshot_read(path, &is_absent, &status);
    expect_sample(set);
    quota_set_release(&set);
    assert_int_equal(truncate(path, 100), 0);
    assert_null(snapshot_read(path, &is_absent, &status));
    assert_false(is_absent);
    assert_non_null(strstr(status.text, "quotas: its length or checksum is wrong"));
    assert_int_equal(truncate(path, (off_t)SNAPSHOT_MAX_BYTES + 1), 0);
    assert_null(snapshot_read(path, &is_absent, &status));
    assert_non_null(strstr(status.text, "larger than any snapshot"));
    assert_null(snapshot_read(dir, &is_absent, &status));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

static void test_folder_that_is_not_there_is_told(void **state) {
    (void)state;
    struct status status;
    struct quota_set *set = sample();
    assert_false(snapshot_write("/nonexistent/quotas", set, &status));
    assert_string_equal(status.text, "/nonexistent/quotas: No such file or directory");
    quota_set_release(&set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_each_truncation_is_refused),
        cmocka_unit_test(test_each_flipped_bit_is_refused),
        cmocka_unit_test(test_file_is_replaced_whole_and_read_back),
        cmocka_unit_test(test_folder_that_is_not_there_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
