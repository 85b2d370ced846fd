/* test_keeper.c — sets that come close together are written once, and the last one is never lost. */
#include "tests/support/test_prelude.h"

#include <unistd.h>

#include "server/base/log.h"
#include "server/keeper.h"
#include "server/quota/snapshot.h"
#include "tests/support/fake_redis.h"

struct bench {
    struct ev_loop *loop;
    char dir[32], path[64];
    struct keeper_metrics metrics;
    struct keeper *keeper;
};

static void setup(struct bench *bench, const char *file) {
    *bench = (struct bench){.loop = ev_loop_new(EVFLAG_AUTO), .dir = "/tmp/test_keeper.XXXXXX"};
    assert_non_null(mkdtemp(bench->dir));
    snprintf(bench->path, sizeof bench->path, "%s/%s", bench->dir, file);
    bench->keeper = keeper_create(bench->loop, bench->path, &bench->metrics);
    assert_non_null(bench->keeper);
}

static void teardown(struct bench *bench) {
    keeper_destroy(&bench->keeper);
    unlink(bench->path);
    assert_int_equal(rmdir(bench->dir), 0);
    ev_loop_destroy(bench->loop);
}

static void keep(struct bench *bench, uint64_t revision) {
    struct quota_set *set = quota_set_create();
    assert_non_null(set);
    quota_set_set_revision(set, revision);
    keeper_keep(bench->keeper, set);
    quota_set_release(&set);
}

static uint64_t kept(const struct bench *bench) {
    bool is_absent;
    struct status status;
    struct quota_set *set = snapshot_read(bench->path, &is_absent, &status);
    uint64_t revision = set != NULL ? quota_set_revision(set) : 0;
    quota_set_release(&set);
    return revision;
}

static void test_sets_close_together_are_written_once(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, "quotas");
    keep(&bench, 1);
    keep(&bench, 2);
    keep(&bench, 3);
    turn_until(bench.loop, metric_get(&bench.metrics.written) == 1);
    assert_int_equal(kept(&bench), 3);
    teardown(&bench);
}

static void test_what_is_not_written_yet_is_written_at_the_end(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, "quotas");
    keep(&bench, 5);
    keeper_destroy(&bench.keeper);
    assert_int_equal(kept(&bench), 5);
    teardown(&bench);
}

static void test_file_that_cannot_be_written_is_counted(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, "no/such/folder");
    keep(&bench, 5);
    keeper_destroy(&bench.keeper);
    assert_int_equal(metric_get(&bench.metrics.failed), 1);
    teardown(&bench);
}

int main(void) {
    log_configure(LOG_ERROR, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets_close_together_are_written_once),
        cmocka_unit_test(test_what_is_not_written_yet_is_written_at_the_end),
        cmocka_unit_test(test_file_that_cannot_be_written_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
