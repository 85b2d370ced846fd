/* difference.h — what two judges of the same requests, one before and one after a change, denied to each key.
 *
 * A key is newly denied when the change denies it at least once and nothing did before, and newly allowed the other
 * way round. Keys go by their numbers in a tally; those it does not keep apart count in the totals alone.
 * Memory: 16 bytes for each key. One thread. */
#ifndef SLUICE_CLIENT_CMD_DIFFERENCE_H
#define SLUICE_CLIENT_CMD_DIFFERENCE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "client/cmd/tally.h"

struct difference_pair {
    uint64_t before, after; /* requests denied */
};

/* All zero: nothing was counted. */
struct difference {
    struct difference_pair *keys; /* by the tally's number */
    size_t n_keys, cap_keys;
    struct difference_pair total;
    uint64_t n_requests;
};

void difference_deinit(struct difference *difference);

/* Counts one request. False when memory is short: nothing was counted. */
bool difference_count(struct difference *difference, uint32_t index, bool is_denied_before,
                      bool is_denied_after) __attribute__((warn_unused_result));

enum difference_kind { DIFFERENCE_NEWLY_DENIED, DIFFERENCE_NEWLY_ALLOWED };

struct difference_row {
    uint32_t index;
    uint64_t n_denied; /* after the change when newly denied, before it when newly allowed */
};

uint32_t difference_n_keys(const struct difference *difference, enum difference_kind kind);
/* Fills `rows` with the keys most often denied among these, at most `cap`: falling counts, equal ones in the order
 * in which they were first seen. Returns how many there are. */
size_t difference_most(const struct difference *difference, enum difference_kind kind,
                       struct difference_row *rows, size_t cap);

/* Totals, and the `top` (at most REPORT_TOP_MAX) keys of either kind; `tally` knows the keys. The object is NULL when
 * memory is short. */
void difference_print(const struct difference *difference, const struct tally *tally, size_t top, FILE *out);
json_t *difference_make_json(const struct difference *difference, const struct tally *tally, size_t top);

#endif
