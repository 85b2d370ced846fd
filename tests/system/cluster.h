/* cluster.h — a real Redis Cluster for a test, started by deploy/cluster/cluster.sh in the harness' folder. */
#ifndef SLUICE_TESTS_CLUSTER_H
#define SLUICE_TESTS_CLUSTER_H

#include "tests/system/harness.h"

enum { CLUSTER_MASTERS = 3, CLUSTER_NODES = 6 };

struct cluster {
    struct harness *harness;
    char dir[HARNESS_PATH_BYTES];
    char nodes[256];               /* "127.0.0.1:12000,…", as --redis-nodes takes it */
    uint16_t ports[CLUSTER_NODES]; /* masters first, as they were at the start */
};

/* One at a time for each harness; the harness' closing stops it. `wrapper` is a list of words put before the script, and
 * so before the nodes, or NULL. */
void cluster_start(struct harness *harness, struct cluster *cluster);
void cluster_start_wrapped(struct harness *harness, struct cluster *cluster, const char *const wrapper[]);

/* Sends one command to a node by redis-cli; its answer, as text, is in run->out. Fails the test on an error. */
void cluster_command(const struct cluster *cluster, struct run *run, uint16_t port, const char *const words[]);
#define CLUSTER_COMMAND(cluster, run, port, ...)                                                               \
    cluster_command(cluster, run, port, (const char *const[]){__VA_ARGS__, NULL})

/* The same to all nodes. */
void cluster_command_all(const struct cluster *cluster, const char *const words[]);
#define CLUSTER_COMMAND_ALL(cluster, ...) cluster_command_all(cluster, (const char *const[]){__VA_ARGS__, NULL})

/* A number from a section of a node's INFO, after the text `field`; 0 when it is not there. */
uint64_t cluster_info(const struct cluster *cluster, uint16_t port, const char *section, const char *field);
/* The slot of a Redis key; the port of the master that holds a slot; the port of a replica of a master. */
unsigned cluster_slot_of(const struct cluster *cluster, const char *key);
uint16_t cluster_master_of_slot(const struct cluster *cluster, unsigned slot);
uint16_t cluster_replica_of(const struct cluster *cluster, uint16_t master_port);
bool cluster_is_master(const struct cluster *cluster, uint16_t port);

/* Sends a signal to a node, such as SIGSTOP, or to all. */
void cluster_signal(const struct cluster *cluster, uint16_t port, int signal_number);
void cluster_signal_all(const struct cluster *cluster, int signal_number);
/* Starts those nodes again that do not run, and waits until the cluster is whole. */
void cluster_restart(struct cluster *cluster);

#endif
