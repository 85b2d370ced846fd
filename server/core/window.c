/* window.c — the arithmetic of windows; see window.h. */
#include "server/core/window.h"

static int64_t clamp(int64_t value, int64_t least, int64_t most) {
    return value < least ? least : value > most ? most : value;
}

int64_t window_pack(struct window_counts counts) {
    return counts.previous_tokens << 32 | counts.current_tokens;
}

struct window_counts window_unpack(const struct window *window, int64_t packed) {
    return (struct window_counts){
        .previous_tokens = clamp((int64_t)((uint64_t)packed >> 32), 0, 2 * window->count_tokens),
        .current_tokens = clamp(packed & UINT32_MAX, 0, 2 * window->count_tokens),
    };
}

struct window_counts window_move(const struct window *window, struct window_counts counts, int64_t from_us,
                                 int64_t to_us) {
    if (from_us >= calendar_start(window->period, to_us, 0)) {
        return counts;
    }
    bool is_next = from_us >= calendar_start(window->period, to_us, -1);
    return (struct window_counts){.previous_tokens = is_next ? counts.current_tokens : 0};
}

/* floor(tokens * part_us / whole_us); of months and 2 * 10^9 tokens the product needs 73 bits. */
static int64_t portion(int64_t tokens, int64_t part_us, int64_t whole_us) {
    return (int64_t)((__int128)tokens * part_us / whole_us);
}

int64_t window_left_tokens(const struct window *window, struct window_counts counts, int64_t at_us) {
    int64_t used_tokens = counts.current_tokens;
    if (window->is_sliding && counts.previous_tokens > 0) {
        int64_t start_us = calendar_start(window->period, at_us, 0);
        int64_t end_us = calendar_start(window->period, at_us, 1);
        used_tokens +=
            counts.previous_tokens - portion(counts.previous_tokens, at_us - start_us, end_us - start_us);
    }
    return clamp(window->count_tokens - used_tokens, -window->count_tokens, window->count_tokens);
}

/* When at most `most_tokens` of what was used in the period before one that lasts from `start_us` to `end_us` count. */
static int64_t fades_at(int64_t used_tokens, int64_t most_tokens, int64_t start_us, int64_t end_us) {
    return used_tokens <= most_tokens ? start_us
                                      : end_us - portion(most_tokens, end_us - start_us, used_tokens);
}

int64_t window_grants_at(const struct window *window, struct window_counts counts, int64_t cost_tokens,
                         int64_t at_us) {
    if (window_left_tokens(window, counts, at_us) >= cost_tokens) {
        return at_us;
    }
    int64_t start_us = calendar_start(window->period, at_us, 0);
    int64_t end_us = calendar_start(window->period, at_us, 1);
    int64_t room_tokens = window->count_tokens - cost_tokens;
    if (!window->is_sliding) {
        return end_us;
    }
    if (counts.current_tokens <= room_tokens) {
        return fades_at(counts.previous_tokens, room_tokens - counts.current_tokens, start_us, end_us);
    }
    return fades_at(counts.current_tokens, room_tokens, end_us, calendar_start(window->period, at_us, 2));
}

int64_t window_full_at(const struct window *window, struct window_counts counts, int64_t at_us) {
    if (counts.current_tokens > 0) {
        return calendar_start(window->period, at_us, window->is_sliding ? 2 : 1);
    }
    bool is_full = !window->is_sliding || counts.previous_tokens == 0;
    return is_full ? at_us : calendar_start(window->period, at_us, 1);
}
