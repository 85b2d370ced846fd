/* breaker.h — stops asking a node that fails, so that nobody waits for it, and finds out when it is well again.
 *
 *   CLOSED ── too many failures in a second, or silence ──> OPEN ── 5 good probes in a row ──> CLOSED
 *
 * While it is open one real call at a time is let through as a probe, one each probe_every_us to twice that; a
 * failed one begins the count anew. Half-open is: open, with a probe under way.
 * Pure, in virtual time: it reads no clock, writes no log, and knows neither sockets nor calls. Memory is the
 * owner's. Times are monotonic microseconds; one that goes back is taken for the latest seen. */
#ifndef SLUICE_STORE_BREAKER_H
#define SLUICE_STORE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum { BREAKER_SLICES = 10, BREAKER_GOOD_PROBES = 5 };

#define BREAKER_SLICE_US INT64_C(100000) /* so that the window is a second */

struct breaker_options {
    bool is_on;               /* off: lets everything through, for ever */
    uint32_t min_samples;     /* fewer in the window decide nothing */
    uint32_t failure_percent; /* of the samples in the window: opens at so many */
    int64_t silence_us;       /* opens when no reply came for so long with work under way */
    int64_t probe_every_us;
};

/* What the node had done when a call was about to be sent to it. */
struct breaker_view {
    bool has_work;       /* commands are under way there */
    uint64_t n_answered; /* replies it has given; any number that changes with each */
};

struct breaker {
    const struct breaker_options *options;
    bool is_open;
    /* while closed */
    struct breaker_slice {
        uint32_t n_good, n_bad;
    } slices[BREAKER_SLICES]; /* a ring */
    uint32_t slice;           /* the one being filled */
    int64_t slice_ends_at_us;
    uint64_t n_answered; /* as seen last */
    int64_t looked_at_us, silent_us;
    /* while open */
    bool has_probe;
    uint32_t n_good_probes; /* in a row */
    int64_t probe_at_us;    /* the next one, not before */
    unsigned short jitter[3];
};

/* Closed and empty. Borrows `options`, which must outlive it. */
void breaker_init(struct breaker *breaker, const struct breaker_options *options, uint64_t seed,
                  int64_t now_us);

enum breaker_pass {
    BREAKER_PASS,
    BREAKER_PROBE,  /* pass, as the only probe; must end in breaker_end */
    BREAKER_REFUSE, /* do not ask the node, and record nothing */
};

/* May a call go to the node? May find that the node is silent, and open. A step between two looks counts at most
 * a quarter of silence_us, so that a pause of our own is not taken for the node's. */
enum breaker_pass breaker_ask(struct breaker *breaker, struct breaker_view view, int64_t now_us)
    __attribute__((warn_unused_result));

/* The short way for all calls of a turn of the loop but the first: true stands for BREAKER_PASS, false for no
 * answer yet. */
static inline bool breaker_was_asked(const struct breaker *breaker, int64_t now_us) {
    return now_us == breaker->looked_at_us && !breaker->is_open;
}

enum breaker_sign {
    BREAKER_GOOD,    /* it answered, in time and to the point */
    BREAKER_BAD,     /* it did not, or cannot work */
    BREAKER_NO_SIGN, /* the call ended for reasons of its own */
};

/* How a call that passed ended; may open or close. What was sent before it opened says nothing any more. */
void breaker_end(struct breaker *breaker, enum breaker_pass pass, enum breaker_sign sign, int64_t now_us);

/* The short way for the good end of a call while closed. False while open: breaker_end is to be told. */
static inline bool breaker_count_good(struct breaker *breaker) {
    breaker->slices[breaker->slice].n_good++;
    return !breaker->is_open;
}

/* There is reason to hope, such as a new connection: the next probe may go at once. */
void breaker_hope(struct breaker *breaker);

#endif
