/* timeline.h — allowed and denied checks per slot of time, in fixed memory however long the log is.
 *
 * Slots begin one second wide; when the time to be counted lies beyond the last slot, slots are merged to the
 * next width of a ladder (1 s, 5 s, 10 s, 30 s, 1 min ... 1 day ...). They lie on multiples of it, UTC. One
 * thread. */
#ifndef SLUICE_CLIENT_CMD_TIMELINE_H
#define SLUICE_CLIENT_CMD_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TIMELINE_MAX_SLOTS = 4096 };

struct timeline_slot {
    uint64_t n_allowed, n_denied;
};

struct timeline {
    size_t rung;    /* of the ladder */
    int64_t first;  /* the first slot begins at first * width */
    size_t n_slots; /* up to the last one that counted something */
    struct timeline_slot slots[TIMELINE_MAX_SLOTS];
};

void timeline_init(struct timeline *timeline);

/* Counts a check at `at_us` (0 ... the year 2199); one from before the first slot counts there. */
void timeline_add(struct timeline *timeline, int64_t at_us, bool is_allowed);

/* Merges slots until there are at most `max_slots` (1 or more), or the widest slots are reached. */
void timeline_fold(struct timeline *timeline, size_t max_slots);

int64_t timeline_width_s(const struct timeline *timeline);
const char *timeline_width_text(const struct timeline *timeline); /* "3 hours", "day" */
/* When a slot begins. */
int64_t timeline_slot_at_s(const struct timeline *timeline, size_t slot);

#endif
