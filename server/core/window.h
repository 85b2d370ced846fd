/* window.h — the arithmetic of limits that count in periods of the calendar, in integers, exact.
 *
 * What is kept of a window are two counts of whole tokens: used in the period that holds the instant at which the counts
 * are true, and in the one before. So the number of a quota may change at any time, and what was used stays used. At an
 * instant t of a period that lasts from s to e:
 *
 *   fixed     left = count - current
 *   sliding   left = count - current - ceil(previous * (e - t) / (e - s)): of the period before, that part counts
 *             which a window as long as the period would still reach, as if it had been used evenly
 *
 * A cost is granted when it is at most what is left.
 *
 *   fixed     grants at most `count` in each period; so 2 * count may come together where two periods meet
 *   sliding   grants at most `count` in each period too, and in any time T at most count * (1 + T / length), the length
 *             of the shortest period touched. For let T begin in one period and end in the k-th after it, of which the
 *             part f is over, where C was granted. After the last of these, current was C, and the period before counted
 *             for at least P * (1 - f), P being all that was granted in it; so P + C <= count + P * f <= count * (1 + f).
 *             The k - 1 periods before those two granted at most `count` each: in all count * (k + f), and T covers
 *             k - 1 + f periods at least.
 *
 * Rounding is against the caller, by less than one token. lua/lib/window.lua is the twin. Times are Unix time in
 * microseconds. Pure. */
#ifndef SLUICE_CORE_WINDOW_H
#define SLUICE_CORE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "server/core/calendar.h"

struct window {
    enum calendar_period period;
    bool is_sliding;
    int64_t count_tokens; /* 1 ... 10^9 */
};

/* At most 2 * count_tokens each: more than `count` were used when the store is told what was granted without it. */
struct window_counts {
    int64_t previous_tokens, current_tokens;
};

/* As one number of a record, and back. Unpack clamps what another quota has left. */
int64_t window_pack(struct window_counts counts);
struct window_counts window_unpack(const struct window *window, int64_t packed);

/* The counts at `to_us`, of those at `from_us`, which is no later. */
struct window_counts window_move(const struct window *window, struct window_counts counts, int64_t from_us,
                                 int64_t to_us);
/* -count_tokens ... count_tokens */
int64_t window_left_tokens(const struct window *window, struct window_counts counts, int64_t at_us);

/* From `at_us` on: the first instant that grants a cost of at most count_tokens if nobody else spends, and the first at
 * which all is left. */
int64_t window_grants_at(const struct window *window, struct window_counts counts, int64_t cost_tokens,
                         int64_t at_us);
int64_t window_full_at(const struct window *window, struct window_counts counts, int64_t at_us);

#endif
