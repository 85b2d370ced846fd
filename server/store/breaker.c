/* breaker.c — opens on failures and silence, closes on good probes; see breaker.h. */
#include "server/store/breaker.h"

#include <stdlib.h>
#include <string.h>

enum { PERCENT = 100, LOOKS_FOR_SILENCE = 4 };

/* The probe after next keeps its distance, at random, so that workers and frontends do not knock in step. */
static void put_off_probe(struct breaker *breaker, int64_t now_us) {
    int64_t every_us = breaker->options->probe_every_us;
    breaker->probe_at_us = now_us + every_us + (int64_t)(erand48(breaker->jitter) * (double)every_us);
}

static void empty_window(struct breaker *breaker, int64_t now_us) {
    memset(breaker->slices, 0, sizeof breaker->slices);
    breaker->slice = 0;
    breaker->slice_ends_at_us = now_us + BREAKER_SLICE_US;
    breaker->looked_at_us = now_us;
    breaker->silent_us = 0;
}

void breaker_init(struct breaker *breaker, const struct breaker_options *options, uint64_t seed,
                  int64_t now_us) {
    *breaker = (struct breaker){.options = options};
    memcpy(breaker->jitter, &seed, sizeof breaker->jitter);
    empty_window(breaker, now_us);
}

static void open_breaker(struct breaker *breaker, int64_t now_us) {
    breaker->is_open = true;
    breaker->has_probe = false;
    breaker->n_good_probes = 0;
    put_off_probe(breaker, now_us);
}

static void close_breaker(struct breaker *breaker, int64_t now_us) {
    breaker->is_open = false;
    empty_window(breaker, now_us);
}

/* ---- closed ---- */

/* Begins new slices until one holds `now_us`. */
static void turn_window(struct breaker *breaker, int64_t now_us) {
    if (now_us >= breaker->slice_ends_at_us + BREAKER_SLICES * BREAKER_SLICE_US) {
        memset(breaker->slices, 0, sizeof breaker->slices);
        breaker->slice_ends_at_us = now_us + BREAKER_SLICE_US;
    }
    while (now_us >= breaker->slice_ends_at_us) {
        breaker->slice = (breaker->slice + 1) % BREAKER_SLICES;
        breaker->slices[breaker->slice] = (struct breaker_slice){0};
        breaker->slice_ends_at_us += BREAKER_SLICE_US;
    }
}

static bool has_failed(const struct breaker *breaker) {
    uint64_t n_good = 0, n_bad = 0;
    for (uint32_t i = 0; i < BREAKER_SLICES; i++) {
        n_good += breaker->slices[i].n_good;
        n_bad += breaker->slices[i].n_bad;
    }
    return n_good + n_bad >= breaker->options->min_samples &&
           n_bad * PERCENT >= (n_good + n_bad) * breaker->options->failure_percent;
}

/* Adds up the time in which nothing came, as far as somebody looked. */
static bool is_silent(struct breaker *breaker, struct breaker_view view, int64_t now_us) {
    int64_t step_us = now_us - breaker->looked_at_us;
    breaker->looked_at_us = now_us;
    if (!view.has_work || view.n_answered != breaker->n_answered) {
        breaker->n_answered = view.n_answered;
        breaker->silent_us = 0;
        return false;
    }
    int64_t longest_us = breaker->options->silence_us / LOOKS_FOR_SILENCE;
    breaker->silent_us += step_us < longest_us ? step_us : longest_us;
    return breaker->silent_us >= longest_us * LOOKS_FOR_SILENCE;
}

static void count(struct breaker *breaker, enum breaker_sign sign, int64_t now_us) {
    switch (sign) {
    case BREAKER_GOOD:
        breaker->slices[breaker->slice].n_good++;
        return;
    case BREAKER_BAD:
        turn_window(breaker, now_us);
        breaker->slices[breaker->slice].n_bad++;
        if (has_failed(breaker)) {
            open_breaker(breaker, now_us);
        }
        return;
    case BREAKER_NO_SIGN:
        return;
    }
}

/* ---- open ---- */

static enum breaker_pass ask_for_probe(struct breaker *breaker, int64_t now_us) {
    if (breaker->has_probe || now_us < breaker->probe_at_us) {
        return BREAKER_REFUSE;
    }
    breaker->has_probe = true;
    put_off_probe(breaker, now_us);
    return BREAKER_PROBE;
}

static void end_probe(struct breaker *breaker, enum breaker_sign sign, int64_t now_us) {
    breaker->has_probe = false;
    switch (sign) {
    case BREAKER_GOOD:
        if (++breaker->n_good_probes == BREAKER_GOOD_PROBES) {
            close_breaker(breaker, now_us);
        }
        return;
    case BREAKER_BAD:
        open_breaker(breaker, now_us);
        return;
    case BREAKER_NO_SIGN:
        return;
    }
}

/* ---- what the cluster calls ---- */

enum breaker_pass breaker_ask(struct breaker *breaker, struct breaker_view view, int64_t now_us) {
    if (now_us < breaker->looked_at_us) {
        now_us = breaker->looked_at_us;
    }
    if (!breaker->is_open) {
        if (now_us >= breaker->slice_ends_at_us) {
            turn_window(breaker, now_us);
        }
        if (!is_silent(breaker, view, now_us) || !breaker->options->is_on) {
            return BREAKER_PASS;
        }
        open_breaker(breaker, now_us);
    }
    return ask_for_probe(breaker, now_us);
}

void breaker_end(struct breaker *breaker, enum breaker_pass pass, enum breaker_sign sign, int64_t now_us) {
    if (breaker->is_open) {
        if (pass == BREAKER_PROBE && breaker->has_probe) {
            end_probe(breaker, sign, now_us);
        }
    } else if (breaker->options->is_on) {
        count(breaker, sign, now_us);
    }
}

void breaker_hope(struct breaker *breaker) {
    breaker->probe_at_us = INT64_MIN;
}
