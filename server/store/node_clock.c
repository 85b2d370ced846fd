/* node_clock.c — how far the clock of a Redis node is ahead; see node_clock.h. */
#include "server/store/node_clock.h"

/* Whether the truth can lie within half a round trip of both. */
static bool agree(const struct node_clock_reading *a, const struct node_clock_reading *b) {
    int64_t apart_us = a->ahead_us > b->ahead_us ? a->ahead_us - b->ahead_us : b->ahead_us - a->ahead_us;
    return apart_us <= (a->round_trip_us + b->round_trip_us) / 2 + 1;
}

bool node_clock_read(struct node_clock *clock, int64_t node_us, int64_t wall_us, int64_t asked_at_us,
                     int64_t now_us) {
    int64_t round_trip_us = now_us - asked_at_us;
    if (round_trip_us > NODE_CLOCK_MAX_ROUND_TRIP_US) {
        return false;
    }
    struct node_clock_reading latest = {
        .ahead_us = node_us - (wall_us - round_trip_us / 2),
        .round_trip_us = round_trip_us,
    };
    struct node_clock_reading kept[NODE_CLOCK_READINGS] = {latest};
    uint32_t n_kept = 1;
    for (uint32_t i = 0; i < clock->n_readings && n_kept < NODE_CLOCK_READINGS; i++) {
        if (agree(&latest, &clock->readings[i])) {
            kept[n_kept++] = clock->readings[i];
        }
    }
    for (uint32_t i = 0; i < n_kept; i++) {
        clock->readings[i] = kept[i];
    }
    clock->n_readings = n_kept;
    clock->read_at_us = now_us;
    return true;
}

bool node_clock_ahead(const struct node_clock *clock, int64_t now_us, int64_t *ahead_us) {
    if (clock->n_readings == 0 || now_us - clock->read_at_us > NODE_CLOCK_VALID_US) {
        return false;
    }
    const struct node_clock_reading *best = &clock->readings[0];
    for (uint32_t i = 1; i < clock->n_readings; i++) {
        if (clock->readings[i].round_trip_us < best->round_trip_us) {
            best = &clock->readings[i];
        }
    }
    *ahead_us = best->ahead_us;
    return true;
}
