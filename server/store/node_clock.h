/* node_clock.h — how far the clock of a Redis node is ahead of this frontend's, from readings over the network.
 *
 * The node's clock was read at some moment of the round trip, so the middle of it is wrong by half of it at most:
 * the reading with the shortest round trip of the last few tells best. Two readings that cannot both be true mean
 * that a clock has been set in between, and the older one is dropped. Pure; microseconds. */
#ifndef SLUICE_STORE_NODE_CLOCK_H
#define SLUICE_STORE_NODE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

enum { NODE_CLOCK_READINGS = 8 };

/* A reading that took longer tells too little. */
#define NODE_CLOCK_MAX_ROUND_TRIP_US INT64_C(100000)
/* The last reading tells nothing any more after so long. */
#define NODE_CLOCK_VALID_US INT64_C(10000000)

struct node_clock_reading {
    int64_t ahead_us;
    int64_t round_trip_us;
};

/* An all-zero one has no reading. */
struct node_clock {
    struct node_clock_reading readings[NODE_CLOCK_READINGS]; /* the latest first */
    uint32_t n_readings;
    int64_t read_at_us; /* the latest; monotonic */
};

/* The node said `node_us` (since 1970), asked at `asked_at_us` and heard at `now_us` (both monotonic), when this
 * frontend's wall clock said `wall_us`. False when that took too long, and nothing is changed. */
bool node_clock_read(struct node_clock *clock, int64_t node_us, int64_t wall_us, int64_t asked_at_us,
                     int64_t now_us);

/* How far the node is ahead; negative: behind. False when there is no reading that is valid at `now_us`. */
bool node_clock_ahead(const struct node_clock *clock, int64_t now_us, int64_t *ahead_us)
    __attribute__((warn_unused_result));

#endif
