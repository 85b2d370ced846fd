/* notes.h — notes of one fixed size, found by a hash, each until its own time: what a table.h is for buckets.
 *
 * Sets of 16 places. A new note takes a place that is free or whose time is over; when its set has none there is no
 * room for it: no note is forgotten before its time. Nothing of what it is about is kept but the 128-bit seeded hash.
 * Pure. */
#ifndef SLUICE_CORE_NOTES_H
#define SLUICE_CORE_NOTES_H

#include <stddef.h>
#include <stdint.h>

#include "server/base/hash.h"

enum { NOTES_WAYS = 16 };

struct notes;

/* Room for about `max_notes` (rounded up to a power of two of sets) of `note_bytes` each. NULL when memory is short.
 * Memory that was never used is never touched. */
struct notes *notes_create(uint64_t max_notes, size_t note_bytes);
void notes_destroy(struct notes **notes);

/* The note of `hash`, NULL when there is none (any more); valid until it is removed or its time is over. */
void *notes_find(struct notes *notes, struct hash128 hash, int64_t now_us);
/* A new note, all zero, that lasts while now_us < until_us; there must be none of `hash`. NULL: no room. */
void *notes_add(struct notes *notes, struct hash128 hash, int64_t now_us, int64_t until_us);
void notes_remove(void *note);

#endif
