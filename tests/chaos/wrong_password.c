/* wrong_password.c — the password of the frontends' user is changed, and their connections are cut. */
#include "tests/chaos/scenarios.h"

enum { LOCKED_OUT_MS = 2000 };

static void tell_all(const struct chaos *chaos, const char *const words[]) {
    for (size_t i = 0; i < CLUSTER_NODES; i++) {
        struct run run;
        cluster_command(&chaos->cluster, &run, chaos->cluster.ports[i], words);
    }
}
#define TELL_ALL(chaos, ...) tell_all(chaos, (const char *const[]){__VA_ARGS__, NULL})

void chaos_wrong_password(void **state) {
    struct chaos *chaos = *state;
    char path[HARNESS_PATH_BYTES];
    harness_write(chaos->harness, "password", "hunter2\n", path);
    chaos->flags = (const char *const[]){"--redis-user", "sluice", "--redis-password-file", path, NULL};
    TELL_ALL(chaos, "acl", "setuser", "sluice", "on", ">hunter2", "~*", "+@all");
    chaos_begin(chaos, chaos_mixed_load);

    chaos_break(chaos);
    TELL_ALL(chaos, "acl", "setuser", "sluice", "resetpass", ">hunter3");
    TELL_ALL(chaos, "client", "kill", "user", "sluice");
    harness_sleep_ms(LOCKED_OUT_MS);
    TELL_ALL(chaos, "acl", "setuser", "sluice", "resetpass", ">hunter2");
    chaos_repair(chaos);

    chaos_judge(chaos, "wrong_password");
    assert_true(chaos_metric(chaos, "sluice_degraded_total{reason=\"down\"}") > 0);
    assert_true(chaos_metric(chaos, "sluice_redis_error_replies_total{code=\"WRONGPASS\"}") >= LOAD_FRONTENDS);
    char log[16 * 1024];
    harness_read(chaos->frontends[0].log_path, log, sizeof log);
    assert_contains(log, " error ");
    chaos_end(chaos);
    TELL_ALL(chaos, "acl", "deluser", "sluice");
}
