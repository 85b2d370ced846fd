/* fleet.c — how many frontends live; see fleet.h. */
#include "server/quota/fleet.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fleet_init(struct fleet *fleet, uint32_t assumed_size, uint64_t seed, uint64_t other_seed) {
    *fleet = (struct fleet){.size = assumed_size};
    snprintf(fleet->id, sizeof fleet->id, "%016" PRIx64 "%016" PRIx64, seed, other_seed);
    memcpy(fleet->jitter, &seed, sizeof fleet->jitter);
}

static bool set_size(struct fleet *fleet, uint32_t size) {
    bool is_changed = size != fleet->size;
    fleet->size = size;
    fleet->lower_size = 0;
    return is_changed;
}

bool fleet_hear(struct fleet *fleet, int64_t n_live, int64_t now_us) {
    if (n_live < 1) {
        return false;
    }
    uint32_t n = n_live < UINT32_MAX ? (uint32_t)n_live : UINT32_MAX;
    bool is_steady = fleet->lower_size > 0 && now_us - fleet->heard_at_us <= FLEET_ANSWER_GAP_US;
    fleet->heard_at_us = now_us;
    if (n >= fleet->size) {
        return set_size(fleet, n);
    }
    if (!is_steady) {
        fleet->lower_size = n;
        fleet->lower_since_us = now_us;
    } else if (n > fleet->lower_size) {
        fleet->lower_size = n;
    }
    return now_us - fleet->lower_since_us >= FLEET_LOWER_AFTER_US && set_size(fleet, fleet->lower_size);
}

int64_t fleet_pause_us(struct fleet *fleet, bool was_answered) {
    double most_us = was_answered ? FLEET_BEAT_EVERY_US * 1.1 : FLEET_BEAT_AGAIN_US * 1.5;
    double spread_us = was_answered ? FLEET_BEAT_EVERY_US * 0.2 : FLEET_BEAT_AGAIN_US * 1.0;
    return (int64_t)(most_us - erand48(fleet->jitter) * spread_us);
}

size_t fleet_write_beat(const struct fleet *fleet, const char *about, uint8_t out[FLEET_BEAT_MAX_BYTES]) {
    size_t n = strnlen(about, FLEET_ABOUT_MAX_BYTES);
    memcpy(out, fleet->id, FLEET_ID_BYTES);
    memcpy(out + FLEET_ID_BYTES, about, n);
    return FLEET_ID_BYTES + n;
}
