/* test_quota_json_property.c — whatever rules there are: what is written is read back as the same, to the byte. */
#include "tests/support/test_prelude.h"

#include "server/quota/quota_json.h"

enum { N_RULES = 20000 };

static uint64_t next_random(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

/* Numbers of every size. */
static int64_t random_up_to(uint64_t *random, int64_t max) {
    int64_t value = (int64_t)(next_random(random) >> next_random(random) % 31);
    return value % max + 1;
}

static void make_name(uint64_t *random, uint32_t index, char name[QUOTA_LIMIT_NAME_MAX_BYTES + 1]) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t len = 1 + next_random(random) % (QUOTA_LIMIT_NAME_MAX_BYTES - 1);
    name[0] = (char)('a' + index); /* no two the same */
    for (size_t i = 1; i <= len; i++) {
        name[i] = letters[next_random(random) % (sizeof letters - 1)];
    }
    name[len] = '\0';
}

static void make_window(uint64_t *random, struct bucket_limit *limit) {
    static const enum calendar_period periods[] = {CALENDAR_MINUTE, CALENDAR_HOUR, CALENDAR_DAY, CALENDAR_WEEK,
                                                   CALENDAR_MONTH};
    enum bucket_algorithm algorithm =
        next_random(random) % 2 == 0 ? BUCKET_FIXED_WINDOW : BUCKET_SLIDING_WINDOW;
    assert_true(bucket_set_window(limit, algorithm, random_up_to(random, BUCKET_MAX_TOKENS),
                                  periods[next_random(random) % 5], NULL));
}

static void make_limit(uint64_t *random, struct bucket_limit *limit) {
    static const int64_t periods_s[] = {1, 60, 3600, 86400, 30 * 86400};
    if (next_random(random) % 3 == 0) {
        make_window(random, limit);
        return;
    }
    bool is_ban = next_random(random) % 20 == 0;
    limit->algorithm = next_random(random) % 2 == 0 ? BUCKET_TOKEN : BUCKET_LEAKY;
    limit->burst_utok = random_up_to(random, BUCKET_MAX_TOKENS) * BUCKET_UTOK_PER_TOKEN;
    limit->count = 0;
    limit->period_s = 1;
    while (!is_ban && !bucket_set_rate(limit, random_up_to(random, BUCKET_MAX_RATE_PER_S),
                                       periods_s[next_random(random) % 5], NULL)) {
    }
}

static void make_rules(uint64_t *random, struct quota_rules *rules) {
    *rules = (struct quota_rules){.is_unlimited = next_random(random) % 30 == 0};
    if (rules->is_unlimited) {
        return;
    }
    rules->mode = (enum quota_mode)(next_random(random) % 2);
    rules->on_store_failure = (enum quota_on_store_failure)(next_random(random) % 3);
    rules->n_limits = 1 + (uint32_t)(next_random(random) % BUCKET_MAX_LIMITS);
    for (uint32_t i = 0; i < rules->n_limits; i++) {
        make_limit(random, &rules->limits[i]);
        make_name(random, i, rules->limit_names[i]);
        rules->scopes[i] = (enum bucket_scope)(next_random(random) % (BUCKET_GLOBAL + 1));
    }
}

static void write_rules(const struct quota_rules *rules, struct buf *out) {
    buf_consume(out, buf_len(out));
    assert_true(quota_json_write(rules, out));
}

static void test_what_is_written_is_read_back(void **state) {
    (void)state;
    uint64_t random = 1;
    struct buf first = {0}, second = {0};
    for (int i = 0; i < N_RULES; i++) {
        struct quota_rules rules, again;
        struct status status = {""};
        make_rules(&random, &rules);
        assert_true(quota_rules_check(&rules, &status));
        write_rules(&rules, &first);
        bool is_read = quota_json_read((struct bytes){buf_front(&first), buf_len(&first)}, &again, &status);
        assert_string_equal(status.text, "");
        assert_true(is_read);
        assert_true(quota_rules_are_equal(&rules, &again));
        write_rules(&again, &second);
        assert_int_equal(buf_len(&first), buf_len(&second));
        assert_memory_equal(buf_front(&first), buf_front(&second), buf_len(&first));
    }
    buf_deinit(&first);
    buf_deinit(&second);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_written_is_read_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
