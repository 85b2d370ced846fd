/* timeline.c — counting along a ladder of slot widths, each a multiple of the one before. */
#include "client/cmd/timeline.h"

enum { MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };

static const struct {
    int64_t width_s;
    const char *text;
} ladder[] = {
    {1, "second"},
    {5, "5 seconds"},
    {10, "10 seconds"},
    {30, "30 seconds"},
    {MINUTE_S, "minute"},
    {5 * MINUTE_S, "5 minutes"},
    {10 * MINUTE_S, "10 minutes"},
    {30 * MINUTE_S, "30 minutes"},
    {HOUR_S, "hour"},
    {3 * HOUR_S, "3 hours"},
    {6 * HOUR_S, "6 hours"},
    {12 * HOUR_S, "12 hours"},
    {DAY_S, "day"},
    {7 * DAY_S, "week"},
    {28 * DAY_S, "4 weeks"},
    {364 * DAY_S, "52 weeks"},
};
enum { N_RUNGS = sizeof ladder / sizeof ladder[0] };

void timeline_init(struct timeline *timeline) {
    *timeline = (struct timeline){.rung = 0};
}

int64_t timeline_width_s(const struct timeline *timeline) {
    return ladder[timeline->rung].width_s;
}

const char *timeline_width_text(const struct timeline *timeline) {
    return ladder[timeline->rung].text;
}

int64_t timeline_slot_at_s(const struct timeline *timeline, size_t slot) {
    return (timeline->first + (int64_t)slot) * timeline_width_s(timeline);
}

/* Moves to the next rung. Times are not negative, so division rounds towards the slot's beginning. */
static void widen(struct timeline *timeline) {
    int64_t factor = ladder[timeline->rung + 1].width_s / ladder[timeline->rung].width_s;
    int64_t first = timeline->first / factor;
    size_t n_slots = 0;
    for (size_t i = 0; i < timeline->n_slots; i++) {
        struct timeline_slot slot = timeline->slots[i];
        size_t to = (size_t)((timeline->first + (int64_t)i) / factor - first);
        timeline->slots[i] = (struct timeline_slot){0, 0};
        timeline->slots[to].n_allowed += slot.n_allowed;
        timeline->slots[to].n_denied += slot.n_denied;
        n_slots = to + 1;
    }
    timeline->rung++;
    timeline->first = first;
    timeline->n_slots = n_slots;
}

void timeline_add(struct timeline *timeline, int64_t at_us, bool is_allowed) {
    int64_t at_s = at_us / 1000000;
    if (timeline->n_slots == 0) {
        timeline->first = at_s / timeline_width_s(timeline);
    }
    while (at_s / timeline_width_s(timeline) - timeline->first >= TIMELINE_MAX_SLOTS &&
           timeline->rung + 1 < N_RUNGS) {
        widen(timeline);
    }
    int64_t at = at_s / timeline_width_s(timeline) - timeline->first;
    at = at < 0 ? 0 : at < TIMELINE_MAX_SLOTS ? at : TIMELINE_MAX_SLOTS - 1;
    struct timeline_slot *slot = &timeline->slots[at];
    *(is_allowed ? &slot->n_allowed : &slot->n_denied) += 1;
    if ((size_t)at >= timeline->n_slots) {
        timeline->n_slots = (size_t)at + 1;
    }
}

void timeline_fold(struct timeline *timeline, size_t max_slots) {
    while (timeline->n_slots > max_slots && timeline->rung + 1 < N_RUNGS) {
        widen(timeline);
    }
}
