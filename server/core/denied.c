/* denied.c — denials that still stand, in sets found by hash; see denied.h. */
#include "server/core/denied.h"

#include <stdlib.h>
#include <string.h>

enum { N_SETS = DENIED_PLACES / DENIED_WAYS };

enum { LINE_BYTES = 64 };

struct place {
    _Alignas(LINE_BYTES) struct hash128 hash;
    struct denial denial; /* until_us 0: free */
};
_Static_assert(sizeof(struct place) == LINE_BYTES, "a look is one line");

struct denied {
    struct place sets[N_SETS][DENIED_WAYS];
};

struct denied *denied_create(void) {
    struct denied *denied = aligned_alloc(LINE_BYTES, sizeof *denied);
    if (denied != NULL) {
        memset(denied, 0, sizeof *denied);
    }
    return denied;
}

void denied_destroy(struct denied **denied) {
    free(*denied);
    *denied = NULL;
}

static struct place *set_of(struct denied *denied, struct hash128 hash) {
    return denied->sets[hash.low % N_SETS];
}

static struct place *find(struct denied *denied, struct hash128 hash) {
    struct place *set = set_of(denied, hash);
    for (int i = 0; i < DENIED_WAYS; i++) {
        if (set[i].hash.high == hash.high && set[i].hash.low == hash.low) {
            return &set[i];
        }
    }
    return NULL;
}

const struct denial *denied_find(struct denied *denied, struct hash128 hash, uint64_t revision,
                                 int64_t cost_tokens, int64_t now_us) {
    const struct place *place = find(denied, hash);
    if (place == NULL || now_us >= place->denial.until_us || place->denial.revision != revision ||
        cost_tokens < place->denial.cost_tokens) {
        return NULL;
    }
    return &place->denial;
}

/* Its own, or the one whose denial ends first. */
static struct place *place_for(struct denied *denied, struct hash128 hash) {
    struct place *own = find(denied, hash), *set = set_of(denied, hash), *first = &set[0];
    for (int i = 1; i < DENIED_WAYS; i++) {
        first = set[i].denial.until_us < first->denial.until_us ? &set[i] : first;
    }
    return own != NULL ? own : first;
}

void denied_keep(struct denied *denied, struct hash128 hash, const struct denial *denial, int64_t asked_at_us) {
    struct place *place = place_for(denied, hash);
    *place = (struct place){.hash = hash, .denial = *denial};
    if (denial->until_us - asked_at_us > DENIED_MAX_US) {
        place->denial.until_us = asked_at_us + DENIED_MAX_US;
    }
}

void denied_forget(struct denied *denied, struct hash128 hash) {
    struct place *place = find(denied, hash);
    if (place != NULL) {
        *place = (struct place){0};
    }
}
