/* bench_load.h — sends checks over many connections for a while, in a closed or an open loop.
 *
 *   closed  every connection always has `pipeline` frames in flight: the next is due when one is answered
 *   open    frames are due at their times, whatever became of those before; one that finds every connection full
 *           waits, and its latency counts from when it was due
 *
 *   turn    answers and news of connections -> (before the loop sleeps) send what is due and has room -> flush
 *
 * One load, one loop, one thread. */
#ifndef SLUICE_CLIENT_CMD_BENCH_LOAD_H
#define SLUICE_CLIENT_CMD_BENCH_LOAD_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/cmd/bench_checks.h"
#include "client/cmd/bench_stats.h"
#include "server/base/status.h"

enum { BENCH_LOAD_CONNECTIONS_MAX = 65536, BENCH_LOAD_IN_FLIGHT_MAX = 1 << 22 };

struct bench_load;

/* Called about every tenth of a second while a phase runs. */
typedef void (*bench_load_tick_fn)(void *arg, const struct bench_stats *stats, uint64_t elapsed_us);

struct bench_load_options {
    const char *const *servers; /* connections go round them; borrowed for the call */
    size_t n_servers;
    uint32_t n_connections;
    uint32_t pipeline;   /* frames in flight of each connection, at most */
    double frames_per_s; /* over all connections; 0: closed loop */
    bool is_poisson;     /* else at a constant rate */
    bool is_spinning;    /* while a phase runs the loop never sleeps, so that no server has to wake it */
    int64_t timeout_us;  /* a frame not answered so long after it was sent, and up to a quarter, has failed */
    uint64_t seed;       /* of the Poisson process */
    struct bench_checks *checks; /* borrowed */
    bench_load_tick_fn on_tick;  /* may be NULL */
    void *tick_arg;
};

/* Looks the servers up, which blocks. NULL with a sentence. */
struct bench_load *bench_load_create(struct ev_loop *loop, const struct bench_load_options *options,
                                     struct status *status);
void bench_load_destroy(struct bench_load **load);

/* Runs the loop until every connection is up. False with a sentence when one cannot be made, or when interrupted. */
bool bench_load_connect(struct bench_load *load, struct status *status) __attribute__((warn_unused_result));

/* Sends for so long, waits for the answers, and fills `stats`. Nothing is in flight when it returns. */
void bench_load_run(struct bench_load *load, int64_t duration_us, struct bench_stats *stats);

/* For signals: the first call ends the sending, the second does not wait for answers either. No phase begins
 * afterwards. */
void bench_load_interrupt(struct bench_load *load);
bool bench_load_is_interrupted(const struct bench_load *load);

#endif
