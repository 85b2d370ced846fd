/* wrong_password.c — the password of the frontends' user is changed, and their connections are cut. */
#include "tests/chaos/scenarios.h"

enum { LOCKED_OUT_MS = 2000 };

void chaos_wrong_password(void **state) {
    struct chaos *chaos = *state;
    char path[HARNESS_PATH_BYTES];
    harness_write(chaos->harness, "password", "hunter2\n", path);
    chaos->flags = (const char *const[]){"--redis-user", "sluice", "--redis-password-file", path, NULL};
    CLUSTER_COMMAND_ALL(&chaos->cluster, "acl", "setuser", "sluice", "on", ">hunter2", "~*", "+@all");
    chaos_begin(chaos, chaos_mixed_load);

    chaos_break(chaos);
    CLUSTER_COMMAND_ALL(&chaos->cluster, "acl", "setuser", "sluice", "resetpass", ">hunter3");
    CLUSTER_COMMAND_ALL(&chaos->cluster, "client", "kill", "user", "sluice");
    harness_sleep_ms(LOCKED_OUT_MS);
    CLUSTER_COMMAND_ALL(&chaos->cluster, "acl", "setuser", "sluice", "resetpass", ">hunter2");
    chaos_repair(chaos);

    chaos_judge(chaos, "wrong_password");
    assert_true(chaos_metric(chaos, "sluice_degraded_total{reason=\"down\"}") > 0);
    assert_true(chaos_metric(chaos, "sluice_redis_error_replies_total{code=\"WRONGPASS\"}") >= LOAD_FRONTENDS);
    char log[16 * 1024];
    harness_read(chaos->frontends[0].log_path, log, sizeof log);
    assert_contains(log, " error ");
    chaos_end(chaos);
    CLUSTER_COMMAND_ALL(&chaos->cluster, "acl", "deluser", "sluice");
}
