/* fleet.h — how many frontends live, as far as one of them may believe what Redis counts.
 *
 * Each frontend sends heartbeats (lua/heartbeat.lua), and the reply is how many live. The number divides a limit
 * among the frontends while Redis is gone, so one that is too low would admit too much. Therefore a higher number
 * counts at once, and a lower one only when for FLEET_LOWER_AFTER_US every answer was lower and none was missing
 * for long: a Redis that starts anew knows nobody, and the frontends come back to it one by one. Without an
 * answer the last number stays.
 *
 * Pure: no I/O, time is an argument (monotonic microseconds). One thread. */
#ifndef SLUICE_QUOTA_FLEET_H
#define SLUICE_QUOTA_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The script's keys, in one slot. */
#define FLEET_KEY_SEEN "{sluice}:fleet"
#define FLEET_KEY_TOLD "{sluice}:frontends"

#define FLEET_BEAT_EVERY_US INT64_C(2000000) /* give or take a tenth */
#define FLEET_BEAT_AGAIN_US INT64_C(500000)  /* when one was not answered; give or take a half */
#define FLEET_LOWER_AFTER_US INT64_C(10000000)
#define FLEET_ANSWER_GAP_US INT64_C(5000000) /* answers further apart are not steady */

enum { FLEET_ID_BYTES = 32, FLEET_ABOUT_MAX_BYTES = 480 };
enum { FLEET_BEAT_MAX_BYTES = FLEET_ID_BYTES + FLEET_ABOUT_MAX_BYTES };

struct fleet {
    char id[FLEET_ID_BYTES + 1]; /* of this frontend, in hex: random, new at each start */
    uint32_t size;
    uint32_t lower_size; /* the highest number heard since lower_since_us; 0: the last was not lower */
    int64_t lower_since_us;
    int64_t heard_at_us;
    unsigned short jitter[3];
};

/* Until the first answer `assumed_size` frontends live, this one included. The seeds are random. */
void fleet_init(struct fleet *fleet, uint32_t assumed_size, uint64_t seed, uint64_t other_seed);

/* What Redis counted; a number below 1 is no answer. True when `size` has changed. */
bool fleet_hear(struct fleet *fleet, int64_t n_live, int64_t now_us) __attribute__((warn_unused_result));

/* How long to wait before the next heartbeat, at random, so that the fleet does not beat in step. */
int64_t fleet_pause_us(struct fleet *fleet, bool was_answered);

/* Writes the script's argument and returns its length: `about` is what others may read about this frontend, cut
 * to FLEET_ABOUT_MAX_BYTES; empty, it says that this frontend leaves. */
size_t fleet_write_beat(const struct fleet *fleet, const char *about, uint8_t out[FLEET_BEAT_MAX_BYTES]);

#endif
