/* record.h — what became of each check of a load, and the arithmetic that judges it.
 *
 * Pure. Records lie in the order in which they were sent; times are of the monotonic clock. */
#ifndef SLUICE_TESTS_CHAOS_RECORD_H
#define SLUICE_TESTS_CHAOS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

struct record {
    int64_t sent_at_us;
    int64_t answered_at_us; /* what the load itself was late is taken off; 0: not answered */
    uint16_t key;           /* its number in the load */
    uint8_t frontend;
    uint8_t status, verdict, source; /* as in wire.h */
    bool is_degraded;
};

/* Decided by Redis, or by what Redis handed out. */
bool record_is_healthy(const struct record *record);
bool record_is_admitted(const struct record *record);

/* A part of the records: those sent in [from_us, to_us), of the keys that are marked. */
struct part {
    int64_t from_us, to_us;
    const bool *keys; /* by number; NULL: all */
};

struct tally {
    size_t n_checks, n_unanswered;
    size_t n_undecided; /* answered with an error */
    size_t n_allowed, n_denied;
    size_t n_local; /* of the decided: by a local bucket */
    int64_t p50_us, p99_us, p999_us, max_us;
};

/* False when memory is short. */
bool tally_part(const struct record *records, size_t n_records, struct part part, struct tally *tally)
    __attribute__((warn_unused_result));

/* When the last check at or after `from_us` was sent that was not healthy; 0 when there is none. */
int64_t last_unhealthy_us(const struct record *records, size_t n_records, int64_t from_us);

/* The rate that a limit may admit: rate_per_s, and `factor` times that between from_us and to_us. */
struct pace {
    double rate_per_s;
    double factor;
    int64_t from_us, to_us;
};

/* Tokens that accrue at this pace from one time to another. */
double pace_tokens(const struct pace *pace, int64_t from_us, int64_t to_us);

/* How many checks of the key were admitted. */
size_t count_admitted(const struct record *records, size_t n_records, uint16_t key, int64_t from_us,
                      int64_t to_us);

/* Over all windows: the most that was admitted beyond what accrued in the window. A limit with this burst holds
 * when the result is no more than the burst. A window goes from the sending of its first check to the last
 * answer, so the true window is never longer, whenever between the two a check was decided: a limit that holds
 * is never accused, one that does not may get away with what accrues during the latency of one check. */
double worst_burst(const struct record *records, size_t n_records, uint16_t key, const struct pace *pace);

#endif
