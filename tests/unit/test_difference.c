/* test_difference.c — who is newly denied or allowed, in which order, and how it is told. */
#include "tests/support/test_prelude.h"

#include "client/cmd/difference.h"

struct world {
    struct tally *tally;
    struct difference difference;
};

static void count_times(struct world *world, const char *key, bool is_before, bool is_after, int n) {
    uint32_t index = tally_index(world->tally, (struct bytes){(const uint8_t *)key, strlen(key)});
    for (int i = 0; i < n; i++) {
        assert_true(difference_count(&world->difference, index, is_before, is_after));
    }
}

/* Of 20 requests 6 are denied before and 9 after; the last key has no number of its own. */
static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->tally = tally_create(5);
    assert_non_null(world->tally);
    count_times(world, "free", false, false, 5);
    count_times(world, "rare", false, true, 1);
    count_times(world, "often", false, true, 4);
    count_times(world, "both", true, false, 1);
    count_times(world, "both", false, true, 3);
    count_times(world, "freed", true, false, 4);
    count_times(world, "freed", false, false, 1);
    count_times(world, "one too many", true, true, 1);
    *state = world;
    return 0;
}

static int close_world(void **state) {
    struct world *world = *state;
    difference_deinit(&world->difference);
    assert_null(world->difference.keys);
    tally_destroy(&world->tally);
    free(world);
    return 0;
}

static void test_only_keys_denied_on_one_side_alone_are_new(void **state) {
    const struct world *world = *state;
    struct difference_row rows[4];
    assert_int_equal(difference_n_keys(&world->difference, DIFFERENCE_NEWLY_DENIED), 2);
    assert_int_equal(difference_n_keys(&world->difference, DIFFERENCE_NEWLY_ALLOWED), 1);
    assert_int_equal(difference_most(&world->difference, DIFFERENCE_NEWLY_DENIED, rows, 4), 2);
    assert_memory_equal(tally_key(world->tally, rows[0].index).data, "often", 5);
    assert_int_equal(rows[0].n_denied, 4);
    assert_memory_equal(tally_key(world->tally, rows[1].index).data, "rare", 4);
    assert_int_equal(rows[1].n_denied, 1);
    assert_int_equal(difference_most(&world->difference, DIFFERENCE_NEWLY_DENIED, rows, 1), 1);
    assert_int_equal(rows[0].n_denied, 4);
    assert_int_equal(difference_most(&world->difference, DIFFERENCE_NEWLY_DENIED, rows, 0), 0);
}

static void test_the_table(void **state) {
    const struct world *world = *state;
    char *text = NULL;
    size_t n_text = 0;
    FILE *out = open_memstream(&text, &n_text);
    assert_non_null(out);
    difference_print(&world->difference, world->tally, 10, out);
    fclose(out);
    assert_string_equal(text, "denied then    9 (45.0%), 3 more\n"
                              "newly denied   2 (addresses denied then, never before)\n"
                              "newly allowed  1 (addresses denied before, never then)\n"
                              "\n"
                              "    denied  newly denied addresses (denied then)\n"
                              "         4  often\n"
                              "         1  rare\n"
                              "\n"
                              "    denied  newly allowed addresses (denied before)\n"
                              "         4  freed\n");
    free(text);
}

static void test_the_json(void **state) {
    const struct world *world = *state;
    json_t *json = difference_make_json(&world->difference, world->tally, 1);
    char *text = json_dumps(json, JSON_COMPACT);
    assert_string_equal(text, "{\"denied\":9,\"denied_more\":3,\"addresses_newly_denied\":2,"
                              "\"addresses_newly_allowed\":1,"
                              "\"newly_denied\":[{\"address\":\"often\",\"denied\":4}],"
                              "\"newly_allowed\":[{\"address\":\"freed\",\"denied\":4}]}");
    free(text);
    json_decref(json);
}

/* Grows through several doublings; in the array the last number comes first. */
static void test_many_keys_keep_their_counts(void **state) {
    enum { N_KEYS = 3000 };
    struct difference difference = {0};
    struct difference_row rows[2];
    (void)state;
    for (uint32_t i = N_KEYS; i > 0; i--) {
        assert_true(difference_count(&difference, i, true, false));
    }
    assert_true(difference_count(&difference, 1234, true, false));
    assert_int_equal(difference_n_keys(&difference, DIFFERENCE_NEWLY_ALLOWED), N_KEYS);
    assert_int_equal(difference_most(&difference, DIFFERENCE_NEWLY_ALLOWED, rows, 2), 2);
    assert_int_equal(rows[0].index, 1234);
    assert_int_equal(rows[0].n_denied, 2);
    assert_int_equal(rows[1].index, 1);
    difference_deinit(&difference);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_only_keys_denied_on_one_side_alone_are_new, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(test_the_table, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_the_json, open_world, close_world),
        cmocka_unit_test(test_many_keys_keep_their_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
