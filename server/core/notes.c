/* notes.c — notes of one fixed size, each until its own time; see notes.h. */
#include "server/core/notes.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/list.h"

/* All zero: free, for any now_us >= 0. */
struct place {
    struct hash128 hash;
    int64_t until_us;
    int64_t note[]; /* of any type that is aligned as this */
};

struct notes {
    uint64_t set_mask;
    size_t note_bytes, place_bytes;
    uint8_t *places;
};

struct notes *notes_create(uint64_t max_notes, size_t note_bytes) {
    uint64_t n_sets = 1;
    while (n_sets * NOTES_WAYS < max_notes && n_sets < UINT64_C(1) << 40) {
        n_sets *= 2;
    }
    struct notes *notes = malloc(sizeof *notes);
    if (notes == NULL) {
        return NULL;
    }
    size_t place_bytes =
        sizeof(struct place) + (note_bytes + sizeof(int64_t) - 1) / sizeof(int64_t) * sizeof(int64_t);
    *notes = (struct notes){.set_mask = n_sets - 1, .note_bytes = note_bytes, .place_bytes = place_bytes};
    notes->places = calloc(n_sets, NOTES_WAYS * place_bytes);
    if (notes->places == NULL) {
        notes_destroy(&notes);
    }
    return notes;
}

void notes_destroy(struct notes **notes) {
    if (*notes != NULL) {
        free((*notes)->places);
        free(*notes);
    }
    *notes = NULL;
}

static struct place *place_of(struct notes *notes, struct hash128 hash, size_t way) {
    uint64_t index = (hash.high & notes->set_mask) * NOTES_WAYS + way;
    return (struct place *)(void *)(notes->places + index * notes->place_bytes);
}

void *notes_find(struct notes *notes, struct hash128 hash, int64_t now_us) {
    for (size_t way = 0; way < NOTES_WAYS; way++) {
        struct place *place = place_of(notes, hash, way);
        if (place->until_us > now_us && place->hash.low == hash.low && place->hash.high == hash.high) {
            return place->note;
        }
    }
    return NULL;
}

void *notes_add(struct notes *notes, struct hash128 hash, int64_t now_us, int64_t until_us) {
    for (size_t way = 0; way < NOTES_WAYS; way++) {
        struct place *place = place_of(notes, hash, way);
        if (place->until_us <= now_us) {
            place->hash = hash;
            place->until_us = until_us;
            memset(place->note, 0, notes->note_bytes);
            return place->note;
        }
    }
    return NULL;
}

void notes_remove(void *note) {
    list_entry(note, struct place, note)->until_us = 0;
}
