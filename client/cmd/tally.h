/* tally.h — counts allowed, denied and failed checks for each key, and finds those most denied.
 *
 * Memory is bounded: at most TALLY_MAX_KEYS keys and TALLY_TEXT_MAX_BYTES of their bytes are kept apart (about
 * 80 MiB in all, reached by growing); checks of any further key are counted together under TALLY_OTHERS.
 * One thread. */
#ifndef SLUICE_CLIENT_CMD_TALLY_H
#define SLUICE_CLIENT_CMD_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "server/base/bytes.h"

enum { TALLY_MAX_KEYS = (1 << 20) - 1, TALLY_TEXT_MAX_BYTES = 32 * 1024 * 1024, TALLY_OTHERS = 0 };

enum tally_result { TALLY_ALLOWED, TALLY_DENIED, TALLY_FAILED, TALLY_N_RESULTS };

struct tally_row {
    struct bytes key; /* borrowed from the tally until the next tally_index */
    uint64_t n[TALLY_N_RESULTS];
};

struct tally;

/* `max_keys`: 1 ... TALLY_MAX_KEYS. NULL when memory is short. */
struct tally *tally_create(uint32_t max_keys);
void tally_destroy(struct tally **tally);

/* The number of a key, stable from then on; TALLY_OTHERS when it is not kept apart: no room or no memory. */
uint32_t tally_index(struct tally *tally, struct bytes key);
void tally_count(struct tally *tally, uint32_t index, enum tally_result result);

/* The key of a number above TALLY_OTHERS; borrowed until the next tally_index. */
struct bytes tally_key(const struct tally *tally, uint32_t index);

/* Over all keys, the others among them. */
uint64_t tally_total(const struct tally *tally, enum tally_result result);
/* Checks that were not counted under a key of their own. */
uint64_t tally_n_others(const struct tally *tally);
uint32_t tally_n_keys(const struct tally *tally);
/* Keys denied at least once. */
uint32_t tally_n_denied_keys(const struct tally *tally);

/* Fills `rows` with the keys most often denied, at most `cap`: falling counts, equal ones by key. Returns how
 * many there are; keys never denied are none of them. */
size_t tally_most_denied(const struct tally *tally, struct tally_row *rows, size_t cap);

#endif
