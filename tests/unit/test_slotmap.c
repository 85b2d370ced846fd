/* test_slotmap.c — CLUSTER SLOTS into a map, and which map may replace which. */
#include "tests/support/test_prelude.h"

#include "server/store/slotmap.h"

enum { MAX_SEEN = 8 };

/* Numbers addresses in the order in which they are first named. */
struct seen {
    struct node_addr addrs[MAX_SEEN];
    uint16_t n_addrs, max;
};

static uint16_t number_of(void *arg, const struct node_addr *addr) {
    struct seen *seen = arg;
    for (uint16_t i = 0; i < seen->n_addrs; i++) {
        if (node_addr_is_same(&seen->addrs[i], addr)) {
            return i;
        }
    }
    if (seen->n_addrs == seen->max) {
        return SLOTMAP_NO_NODE;
    }
    seen->addrs[seen->n_addrs] = *addr;
    return seen->n_addrs++;
}

static const struct node_addr from = {.host = "10.0.0.9", .port = 7009};

static bool read_text(struct slotmap *map, struct seen *seen, const char *resp) {
    struct redis_reader *reader = redis_reader_create();
    const struct redis_reply *reply = NULL;
    redis_reader_feed(reader, (const uint8_t *)resp, strlen(resp));
    assert_int_equal(redis_reader_next(reader, &reply), REDIS_READER_REPLY);
    bool is_read = slotmap_read(map, reply, &from, number_of, seen);
    redis_reader_destroy(&reader);
    return is_read;
}

static struct slotmap map;

static void test_an_empty_map_covers_nothing(void **state) {
    (void)state;
    slotmap_init(&map);
    assert_int_equal(slotmap_node(&map, 0), SLOTMAP_NO_NODE);
    assert_int_equal(slotmap_node(&map, 16383), SLOTMAP_NO_NODE);
    assert_false(slotmap_is_complete(&map));
}

static void test_setting_slots_keeps_the_counts(void **state) {
    (void)state;
    slotmap_init(&map);
    slotmap_set(&map, 5, 1);
    slotmap_set(&map, 5, 1);
    assert_int_equal(map.n_covered, 1);
    slotmap_set(&map, 5, 2);
    assert_int_equal(map.n_covered, 1);
    assert_int_equal(map.n_slots_of_node[1], 0);
    assert_int_equal(map.n_slots_of_node[2], 1);
    slotmap_set_all(&map, 999);
    assert_true(slotmap_is_complete(&map));
    assert_int_equal(map.n_slots_of_node[999], 16384);
}

static void test_renumbered_it_covers_what_has_a_number(void **state) {
    (void)state;
    static struct slotmap from_map;
    static const uint16_t numbers[] = {7, SLOTMAP_NO_NODE, 0};
    slotmap_init(&from_map);
    slotmap_set(&from_map, 1, 0);
    slotmap_set(&from_map, 2, 1);
    slotmap_set(&from_map, 3, 2);
    slotmap_set(&from_map, 16383, 0);
    slotmap_set_all(&map, 5);
    slotmap_renumber(&map, &from_map, numbers);
    assert_int_equal(map.n_covered, 3);
    assert_int_equal(slotmap_node(&map, 1), 7);
    assert_int_equal(slotmap_node(&map, 2), SLOTMAP_NO_NODE);
    assert_int_equal(slotmap_node(&map, 3), 0);
    assert_int_equal(map.n_slots_of_node[7], 2);
    assert_int_equal(map.n_slots_of_node[5], 0);
}

static void test_ranges_with_replicas_are_read(void **state) {
    (void)state;
    struct seen seen = {.max = MAX_SEEN};
    assert_true(read_text(&map, &seen,
                          "*3\r\n"
                          "*4\r\n:0\r\n:99\r\n"
                          "*3\r\n$9\r\n127.0.0.1\r\n:7001\r\n$2\r\nid\r\n"
                          "*3\r\n$9\r\n127.0.0.1\r\n:7004\r\n$2\r\nid\r\n"
                          "*3\r\n:100\r\n:16382\r\n*4\r\n$9\r\n127.0.0.1\r\n:7002\r\n$2\r\nid\r\n*0\r\n"
                          "*3\r\n:16383\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:7001\r\n"));
    assert_true(slotmap_is_complete(&map));
    assert_int_equal(seen.n_addrs, 2);
    assert_int_equal(seen.addrs[0].port, 7001);
    assert_int_equal(seen.addrs[1].port, 7002);
    assert_int_equal(slotmap_node(&map, 99), 0);
    assert_int_equal(slotmap_node(&map, 100), 1);
    assert_int_equal(slotmap_node(&map, 16383), 0);
    assert_int_equal(map.n_slots_of_node[0], 101);
}

static void test_a_host_left_out_is_the_one_that_answered(void **state) {
    (void)state;
    struct seen seen = {.max = MAX_SEEN};
    assert_true(read_text(&map, &seen,
                          "*3\r\n"
                          "*3\r\n:0\r\n:1\r\n*2\r\n$-1\r\n:7001\r\n"
                          "*3\r\n:2\r\n:3\r\n*2\r\n$0\r\n\r\n:7002\r\n"
                          "*3\r\n:4\r\n:5\r\n*2\r\n$1\r\n?\r\n:7003\r\n"));
    assert_int_equal(seen.n_addrs, 3);
    for (uint16_t i = 0; i < 3; i++) {
        assert_string_equal(seen.addrs[i].host, "10.0.0.9");
        assert_int_equal(seen.addrs[i].port, 7001 + i);
    }
}

static void test_ranges_of_a_node_without_a_number_stay_open(void **state) {
    (void)state;
    struct seen seen = {.max = 1};
    assert_true(read_text(&map, &seen,
                          "*3\r\n"
                          "*3\r\n:0\r\n:10\r\n*2\r\n$1\r\na\r\n:7001\r\n"
                          "*3\r\n:11\r\n:20\r\n*2\r\n$1\r\nb\r\n:7002\r\n"
                          "*3\r\n:21\r\n:30\r\n*2\r\n$1\r\na\r\n:0\r\n"));
    assert_int_equal(map.n_covered, 11);
    assert_int_equal(slotmap_node(&map, 11), SLOTMAP_NO_NODE);
    assert_int_equal(slotmap_node(&map, 21), SLOTMAP_NO_NODE);
}

static void test_replies_of_another_form_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "+OK\r\n",
        "$3\r\nabc\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n*2\r\n:0\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:-1\r\n:1\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:2\r\n:1\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n$1\r\n0\r\n:1\r\n*2\r\n$1\r\na\r\n:1\r\n",
    };
    struct seen seen = {.max = MAX_SEEN};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_false(read_text(&map, &seen, texts[i]));
    }
    assert_int_equal(seen.n_addrs, 0);
}

static void test_ranges_that_overlap_are_refused(void **state) {
    (void)state;
    struct seen seen = {.max = MAX_SEEN};
    assert_true(read_text(&map, &seen,
                          "*2\r\n*3\r\n:0\r\n:9\r\n*2\r\n$1\r\na\r\n:1\r\n"
                          "*3\r\n:10\r\n:16383\r\n*2\r\n$1\r\nb\r\n:1\r\n"));
    assert_false(read_text(&map, &seen,
                           "*2\r\n*3\r\n:0\r\n:10\r\n*2\r\n$1\r\na\r\n:1\r\n"
                           "*3\r\n:10\r\n:16383\r\n*2\r\n$1\r\nb\r\n:1\r\n"));
}

/* ---- mutations ---- */

static uint32_t next_random(uint32_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* One to four times: a byte changed to one that RESP has a use for, left out, or doubled. */
static size_t mutate(char *text, size_t len, uint32_t *seed) {
    static const char useful[] = "*$:+-\r\n0123456789";
    for (uint32_t n = 1 + next_random(seed) % 4; n > 0; n--) {
        size_t at = next_random(seed) % len;
        switch (next_random(seed) % 4) {
        case 0:
            memmove(text + at, text + at + 1, --len - at);
            break;
        case 1:
            memmove(text + at + 1, text + at, len++ - at);
            break;
        default:
            text[at] = useful[next_random(seed) % (sizeof useful - 1)];
            break;
        }
    }
    return len;
}

static void assert_consistent(const struct slotmap *judged) {
    static uint16_t counts[SLOTMAP_MAX_NODES];
    uint32_t n_covered = 0;
    memset(counts, 0, sizeof counts);
    for (uint32_t slot = 0; slot < SLOT_COUNT; slot++) {
        uint16_t node = slotmap_node(judged, (uint16_t)slot);
        assert_true(node < MAX_SEEN || node == SLOTMAP_NO_NODE);
        if (node != SLOTMAP_NO_NODE) {
            counts[node]++;
            n_covered++;
        }
    }
    assert_int_equal(judged->n_covered, n_covered);
    assert_memory_equal(counts, judged->n_slots_of_node, sizeof counts);
}

static void test_a_mutated_reply_is_read_consistently_or_refused(void **state) {
    (void)state;
    static const char good[] = "*3\r\n*4\r\n:0\r\n:5460\r\n*3\r\n$9\r\n127.0.0.1\r\n:7001\r\n$2\r\nid\r\n"
                               "*3\r\n$9\r\n127.0.0.1\r\n:7004\r\n$2\r\nid\r\n"
                               "*3\r\n:5461\r\n:10922\r\n*4\r\n$0\r\n\r\n:7002\r\n$2\r\nid\r\n*0\r\n"
                               "*3\r\n:10923\r\n:16383\r\n*2\r\n$-1\r\n:7003\r\n";
    enum { N_MUTANTS = 4000 };
    uint32_t seed = 1;
    int n_read = 0, n_refused = 0;
    for (int i = 0; i < N_MUTANTS; i++) {
        char text[sizeof good + 8];
        struct seen seen = {.max = MAX_SEEN};
        struct redis_reader *reader = redis_reader_create();
        const struct redis_reply *reply;
        memcpy(text, good, sizeof good - 1);
        size_t len = mutate(text, sizeof good - 1, &seed);
        redis_reader_feed(reader, (const uint8_t *)text, len);
        if (redis_reader_next(reader, &reply) == REDIS_READER_REPLY) {
            bool is_read = slotmap_read(&map, reply, &from, number_of, &seen);
            n_read += is_read;
            n_refused += !is_read;
            if (is_read) {
                assert_consistent(&map);
            }
        }
        redis_reader_destroy(&reader);
    }
    assert_in_range(n_read, N_MUTANTS / 20, N_MUTANTS);
    assert_in_range(n_refused, N_MUTANTS / 40, N_MUTANTS);
}

static void test_an_empty_reply_is_an_empty_map(void **state) {
    (void)state;
    struct seen seen = {.max = MAX_SEEN};
    assert_true(read_text(&map, &seen, "*0\r\n"));
    assert_int_equal(map.n_covered, 0);
}

static void test_holes_never_replace_a_complete_map(void **state) {
    (void)state;
    static struct slotmap holes, complete;
    slotmap_init(&holes);
    slotmap_set(&holes, 1, 1);
    slotmap_init(&complete);
    slotmap_set_all(&complete, 0);
    assert_false(slotmap_may_replace(&holes, &complete));
    assert_true(slotmap_may_replace(&complete, &holes));
    assert_true(slotmap_may_replace(&holes, &holes));
    assert_true(slotmap_may_replace(&complete, &complete));
    assert_false(slotmap_is_same(&holes, &complete));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_map_covers_nothing),
        cmocka_unit_test(test_setting_slots_keeps_the_counts),
        cmocka_unit_test(test_renumbered_it_covers_what_has_a_number),
        cmocka_unit_test(test_ranges_with_replicas_are_read),
        cmocka_unit_test(test_a_host_left_out_is_the_one_that_answered),
        cmocka_unit_test(test_ranges_of_a_node_without_a_number_stay_open),
        cmocka_unit_test(test_replies_of_another_form_are_refused),
        cmocka_unit_test(test_ranges_that_overlap_are_refused),
        cmocka_unit_test(test_a_mutated_reply_is_read_consistently_or_refused),
        cmocka_unit_test(test_an_empty_reply_is_an_empty_map),
        cmocka_unit_test(test_holes_never_replace_a_complete_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
