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
    int64_t answered_at_us;             /* 0: not answered */
    uint64_t remaining, reset_after_us; /* as decided; not known of a load by the library */
    uint32_t excused_us;                /* of its latency: what it was late for want of a processor */
    uint16_t key;                       /* its number in the load */
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

/* When which share of the frontends was cut off from a shard, by the decisions that they took. While M of N
 * decide locally and the others by Redis, the fleet may admit 1 + M/N times the rate; else the rate. */
struct cut_offs {
    size_t n_local; /* decisions without Redis */
    size_t n_steps;
    struct cut_off_step {
        int64_t at_us;
        double extra;    /* from here on: M/N, or 0 */
        double extra_us; /* its integral up to here */
    } * steps;           /* NULL when n_steps is 0 */
};

/* Looks at the decisions on the keys that are marked. False when memory is short. */
bool cut_offs_find(const struct record *records, size_t n_records, const bool keys[], unsigned n_frontends,
                   struct cut_offs *cut_offs) __attribute__((warn_unused_result));
void cut_offs_free(struct cut_offs *cut_offs);

/* What a limit may admit in the long run. */
struct pace {
    double rate_per_s;
    const struct cut_offs *cut_offs; /* NULL: there were none */
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
/* The same of a limit that the keys share that are marked, by number. */
double worst_shared_burst(const struct record *records, size_t n_records, const bool keys[],
                          const struct pace *pace);

#endif
