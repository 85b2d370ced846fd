/* pacer.c — log time to real time. */
#include "client/cmd/pacer.h"

/* Slow factors stretch a log beyond any clock; this is 31 years. */
#define MAX_OFFSET_US 1e15

void pacer_init(struct pacer *pacer, double speed) {
    *pacer = (struct pacer){.speed = speed};
}

int64_t pacer_due_us(struct pacer *pacer, int64_t at_us, int64_t now_us) {
    if (!pacer->has_started) {
        pacer->has_started = true;
        pacer->first_at_us = at_us;
        pacer->started_at_us = pacer->latest_due_us = now_us;
    }
    if (pacer->speed > 0 && at_us > pacer->first_at_us) {
        double offset_us = (double)(at_us - pacer->first_at_us) / pacer->speed;
        int64_t due_us =
            pacer->started_at_us + (int64_t)(offset_us < MAX_OFFSET_US ? offset_us : MAX_OFFSET_US);
        pacer->latest_due_us = due_us > pacer->latest_due_us ? due_us : pacer->latest_due_us;
    }
    return pacer->latest_due_us;
}
