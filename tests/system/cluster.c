/* cluster.c — a real Redis Cluster for a test. */
#include "tests/system/cluster.h"

#include <signal.h>
#include <unistd.h>

enum { START_LIMIT_S = 60, COMMAND_LIMIT_S = 10 };

static const char *const cluster_script = "deploy/cluster/cluster.sh";

/* Tests that run side by side begin at different ports, below those that the kernel gives to clients. */
static unsigned first_port(void) {
    return 10000U + (unsigned)getpid() % 600U * 16U;
}

void cluster_start(struct harness *harness, struct cluster *cluster) {
    cluster_start_wrapped(harness, cluster, NULL);
}

void cluster_start_wrapped(struct harness *harness, struct cluster *cluster, const char *const wrapper[]) {
    cluster->harness = harness;
    char port[16];
    snprintf(port, sizeof port, "%u", first_port());
    const char *const own[] = {cluster_script, "start", harness_path(harness, "cluster", cluster->dir),
                               "--port",       port,    NULL};
    const char *argv[HARNESS_MAX_WORDS];
    harness_append_words(argv, harness_append_words(argv, 0, wrapper), own);
    struct run run;
    harness_run(harness, &run, START_LIMIT_S, argv);
    if (run.exit_code != 0 || sscanf(run.out, "nodes=%255s", cluster->nodes) != 1) {
        fail_msg("cluster.sh start: exit %d: %s%s", run.exit_code, run.out, run.err);
    }
    const char *at = cluster->nodes;
    for (size_t i = 0; i < CLUSTER_NODES; i++) {
        at = strchr(at, ':');
        assert_non_null(at);
        cluster->ports[i] = (uint16_t)strtoul(++at, NULL, 10);
    }
}

void cluster_signal(const struct cluster *cluster, uint16_t port, int signal_number) {
    char path[HARNESS_PATH_BYTES + 32], text[32];
    snprintf(path, sizeof path, "%s/node-%u/pid", cluster->dir, port);
    harness_read(path, text, sizeof text);
    pid_t pid = (pid_t)strtol(text, NULL, 10);
    assert_true(pid > 1);
    kill(pid, signal_number);
}

void cluster_signal_all(const struct cluster *cluster, int signal_number) {
    for (size_t i = 0; i < CLUSTER_NODES; i++) {
        cluster_signal(cluster, cluster->ports[i], signal_number);
    }
}

void cluster_restart(struct cluster *cluster) {
    struct run run;
    HARNESS_RUN(cluster->harness, &run, START_LIMIT_S, cluster_script, "restart", cluster->dir);
    if (run.exit_code != 0) {
        fail_msg("cluster.sh restart: exit %d: %s%s", run.exit_code, run.out, run.err);
    }
}

void cluster_command(const struct cluster *cluster, struct run *run, uint16_t port, const char *const words[]) {
    char port_text[16];
    snprintf(port_text, sizeof port_text, "%u", port);
    const char *const own[] = {"redis-cli", "-e", "-h", "127.0.0.1", "-p", port_text, NULL};
    const char *argv[HARNESS_MAX_WORDS];
    harness_append_words(argv, harness_append_words(argv, 0, own), words);
    harness_run(cluster->harness, run, COMMAND_LIMIT_S, argv);
    if (run->exit_code != 0) {
        fail_msg("redis-cli -p %u %s: %s%s", port, words[0], run->out, run->err);
    }
}

void cluster_command_all(const struct cluster *cluster, const char *const words[]) {
    for (size_t i = 0; i < CLUSTER_NODES; i++) {
        struct run run;
        cluster_command(cluster, &run, cluster->ports[i], words);
    }
}

uint64_t cluster_info(const struct cluster *cluster, uint16_t port, const char *section, const char *field) {
    struct run run;
    CLUSTER_COMMAND(cluster, &run, port, "info", section);
    const char *at = strstr(run.out, field);
    return at != NULL ? strtoull(at + strlen(field), NULL, 10) : 0;
}

unsigned cluster_slot_of(const struct cluster *cluster, const char *key) {
    struct run run;
    CLUSTER_COMMAND(cluster, &run, cluster->ports[0], "cluster", "keyslot", key);
    return (unsigned)strtoul(run.out, NULL, 10);
}

bool cluster_is_master(const struct cluster *cluster, uint16_t port) {
    struct run run;
    CLUSTER_COMMAND(cluster, &run, port, "role");
    return strncmp(run.out, "master\n", 7) == 0;
}

uint16_t cluster_replica_of(const struct cluster *cluster, uint16_t master_port) {
    for (size_t i = 0; i < CLUSTER_NODES; i++) {
        struct run run;
        unsigned master = 0;
        CLUSTER_COMMAND(cluster, &run, cluster->ports[i], "role");
        if (sscanf(run.out, "slave\n127.0.0.1\n%u", &master) == 1 && master == master_port) {
            return cluster->ports[i];
        }
    }
    fail_msg("node %u has no replica", master_port);
    return 0;
}

/* A line of CLUSTER NODES is: id ip:port@bus flags master ping pong epoch link slot slot-slot … */
static bool line_has_slot(const char *line, unsigned slot) {
    const char *at = line;
    for (int word = 0; word < 8 && at != NULL; word++) {
        at = strchr(at + 1, ' ');
    }
    while (at != NULL && *++at != '\0' && *at != '[') {
        unsigned first = 0, last = 0;
        int n = sscanf(at, "%u-%u", &first, &last);
        if (n >= 1 && slot >= first && slot <= (n == 2 ? last : first)) {
            return true;
        }
        at = strchr(at, ' ');
    }
    return false;
}

uint16_t cluster_master_of_slot(const struct cluster *cluster, unsigned slot) {
    struct run run;
    CLUSTER_COMMAND(cluster, &run, cluster->ports[0], "cluster", "nodes");
    char *rest = NULL;
    for (char *line = strtok_r(run.out, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        const char *colon = strchr(line, ':');
        if (colon != NULL && strstr(line, "fail") == NULL && line_has_slot(line, slot)) {
            return (uint16_t)strtoul(colon + 1, NULL, 10);
        }
    }
    fail_msg("no master has slot %u", slot);
    return 0;
}
