/* chaos.h — the world in which a scenario breaks something: a Redis Cluster, frontends, a load, and a judge.
 *
 * A scenario is a cmocka test in a file of its own and reads: begin, break, repair, judge, end. The cluster is
 * shared by all scenarios; each has frontends and a load of its own. Functions fail the test themselves. */
#ifndef SLUICE_TESTS_CHAOS_CHAOS_H
#define SLUICE_TESTS_CHAOS_CHAOS_H

#include "tests/chaos/load.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/tcp_proxy.h"
#include "tests/system/cluster.h"

enum {
    CHAOS_DEADLINE_US = 20 * 1000, /* request_timeout by default */
    CHAOS_SLACK_US = 10 * 1000,    /* of scheduling */
    CHAOS_RECOVERY_LIMIT_US = 5 * 1000 * 1000,
    CHAOS_MAX_ROWS = 32,
    CHAOS_ROW_BYTES = 200,
};

struct chaos {
    bool is_quick;
    struct harness *harness;
    struct cluster cluster;
    struct redis_fixture *single; /* a plain Redis, for what is easier shown with one; and */
    struct tcp_proxy proxy;       /* the way to it that some scenarios take */
    pid_t proxy_pid;
    struct frontend frontends[LOAD_FRONTENDS];
    struct load load;
    struct cut_offs cut_offs[LOAD_SHARDS]; /* found by the judge */
    const struct load_class *classes;
    const char *const *flags; /* more of them for the frontends; NULL: none */
    struct load_senders senders;
    int64_t begun_at_us, broken_at_us, repaired_at_us, healthy_at_us;
    size_t n_rows;
    char rows[CHAOS_MAX_ROWS][CHAOS_ROW_BYTES];
};

void chaos_open(struct chaos *chaos);
void chaos_close(struct chaos *chaos);

/* cmocka's, for each scenario. After one the cluster is whole and empty, whatever happened. */
int chaos_set_up(void **state);
int chaos_tear_down(void **state);

/* A hot key on each shard, asked for more than its limit, and many cold ones. Key i < 3 is the hot one of
 * shard i; shard 0 is the one to break. */
extern const struct load_class chaos_mixed_load[];
/* One key that may have 1000/s and is asked for more, and some cold ones. */
extern const struct load_class chaos_flood_load[];
/* A key of shard 0 that is asked for ten times as often as it may, and some cold ones; with the flags, a key is hot
 * for a frontend from 40 checks a second on. */
extern const struct load_class chaos_hot_load[];
extern const char *const chaos_hot_flags[];

/* Starts the frontends with the product's own limits, the load, and lets it run until all is healthy and a
 * little longer. By `chaos_begin` they know the cluster. */
void chaos_begin(struct chaos *chaos, const struct load_class classes[]);
void chaos_begin_at(struct chaos *chaos, const struct load_class classes[],
                    const char *const nodes[LOAD_FRONTENDS]);
void chaos_start_frontends(struct chaos *chaos, const struct load_class classes[],
                           const char *const nodes[LOAD_FRONTENDS]);
void chaos_start_frontend(struct chaos *chaos, size_t i, const char *nodes); /* one, again */
void chaos_start_load(struct chaos *chaos);

/* The mixed load with all frontends at one plain Redis, or at the proxy before it. */
void chaos_begin_single(struct chaos *chaos, uint16_t port);
/* Starts a plain Redis, with words before the program or NULL, and the proxy before it. */
uint16_t chaos_start_single(struct chaos *chaos, const char *const wrapper[]);
struct tcp_proxy_weather *chaos_start_proxy(struct chaos *chaos);

/* Notes the moment; the scenario does the rest. */
void chaos_break(struct chaos *chaos);
/* Notes the moment from which Redis is well, and waits until every check is decided by it again. */
void chaos_repair(struct chaos *chaos);

/* Ends the load, adds a row to the table, and asserts what every scenario must: each check answered in time and
 * decided, each key within its bound (README.md says which), healthy soon after the repair, and the metrics say the
 * same. */
void chaos_judge(struct chaos *chaos, const char *scenario);

/* The same, with what a scenario may cost beyond that. */
struct chaos_allowance {
    bool is_burst_again;  /* each limit's burst once more, as is allowed anyway where decisions were local */
    size_t n_undecided;   /* checks answered with an error */
    bool are_counts_lost; /* with a frontend that was killed */
};
void chaos_judge_with(struct chaos *chaos, const char *scenario, struct chaos_allowance allowance);

/* Stops the frontends; each must have lived and exits with 0. All nodes of the cluster must be alive. */
void chaos_end(struct chaos *chaos);

void chaos_print_table(const struct chaos *chaos);

/* The master of a shard as it is now, and a metric summed over the frontends. */
uint16_t chaos_master_of(const struct chaos *chaos, unsigned shard);
void chaos_await_master(const struct chaos *chaos, uint16_t port);
uint64_t chaos_metric(const struct chaos *chaos, const char *series);

#endif
