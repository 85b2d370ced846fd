/* cluster_bench.h — a cluster client between two fake nodes, and what became of each call; for tests of cluster.h.
 *
 * All on one loop, that of the test. Assertions are cmocka's. */
#ifndef SLUICE_TESTS_SUPPORT_CLUSTER_BENCH_H
#define SLUICE_TESTS_SUPPORT_CLUSTER_BENCH_H

#include "server/store/cluster.h"
#include "tests/support/fake_redis.h"

enum {
    CLUSTER_BENCH_CALLS = 8,
    SLOT_OF_A = 5,
    SLOT_OF_B = 9000,
    CLUSTER_BENCH_SPLIT = 8192,
    CLUSTER_BENCH_USUAL_TIMEOUT_US = 1000000
};

/* The script of every call is "return 10\n", its hash this, its arguments of call 3 "k3" and "arg". */
#define CLUSTER_BENCH_SHA1 "0123456789012345678901234567890123456789"

struct cluster_bench_note {
    struct cluster_call call;
    struct cluster_bench *bench;
    uint8_t tail[128];
    int n_ends;
    enum store_outcome outcome;
    char text[64];
    bool asks_again; /* from its end, once */
};

struct cluster_bench {
    struct ev_loop *loop;
    struct fake_redis *a, *b; /* of the slots below CLUSTER_BENCH_SPLIT, and of the others */
    char nodes[32];           /* the address of a */
    struct redis_metrics metrics;
    struct cluster *cluster;
    struct cluster_bench_note notes[CLUSTER_BENCH_CALLS];
};

/* Step by step: the loop and the nodes; a client, in place of the one before; its being ready, and the nodes forget
 * what they have heard until then. The options are those of a client that knows a, with a cap of 3 calls. */
void cluster_bench_start(struct cluster_bench *bench);
struct cluster_options cluster_bench_options(const struct cluster_bench *bench);
void cluster_bench_create(struct cluster_bench *bench, const struct cluster_options *options);
void cluster_bench_await_ready(struct cluster_bench *bench);
/* All of it. Close ends the client first. */
void cluster_bench_open(struct cluster_bench *bench);
void cluster_bench_close(struct cluster_bench *bench);

/* Call `i`, which may be made again once it has ended. The second asserts that it is under way. */
enum store_outcome cluster_bench_submit_for(struct cluster_bench *bench, int i, uint16_t slot,
                                            int64_t timeout_us);
void cluster_bench_submit(struct cluster_bench *bench, int i, uint16_t slot);
/* A cluster_done_fn for calls that the test makes itself with a note's. */
void cluster_bench_on_done(struct cluster_call *call, enum store_outcome outcome,
                           const struct redis_reply *reply);
/* Waits for the end of call `i` and for nothing more. */
void cluster_bench_assert_ends(struct cluster_bench *bench, int i, enum store_outcome outcome,
                               const char *text);

#endif
