/* backoff.c — pauses with full jitter; see backoff.h. */
#include "client/backoff.h"

#include <sys/random.h>
#include <sys/types.h>

uint32_t backoff_bound_ms(uint32_t min_ms, uint32_t max_ms, uint32_t n_failures) {
    uint32_t bound_ms = min_ms;
    for (uint32_t i = 0; i < n_failures && bound_ms < max_ms; i++) {
        bound_ms = bound_ms > max_ms / 2 ? max_ms : bound_ms * 2;
    }
    return bound_ms < max_ms ? bound_ms : max_ms;
}

double backoff_draw_s(double bound_s) {
    uint32_t draw;
    if (getrandom(&draw, sizeof draw, GRND_NONBLOCK) != (ssize_t)sizeof draw) {
        draw = UINT32_MAX / 2;
    }
    return bound_s * (draw / (UINT32_MAX + 1.));
}
