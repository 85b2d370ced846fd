/* record.c — counts, percentiles, and the bound over every window; see record.h. */
#include "tests/chaos/record.h"

#include <math.h>
#include <stdlib.h>

bool record_is_healthy(const struct record *record) {
    return record->answered_at_us != 0 && record->status == WIRE_OK && !record->is_degraded &&
           (record->source == WIRE_SOURCE_STORE || record->source == WIRE_SOURCE_LEASE ||
            record->source == WIRE_SOURCE_DENIED_CACHE);
}

bool record_is_admitted(const struct record *record) {
    return record->answered_at_us != 0 && record->status == WIRE_OK && record->verdict == WIRE_ALLOW;
}

static bool is_in(const struct record *record, struct part part) {
    return record->sent_at_us >= part.from_us && record->sent_at_us < part.to_us &&
           (part.keys == NULL || part.keys[record->key]);
}

static int compare_latencies(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

/* The value that `per_mille` of the sorted values do not exceed. */
static int64_t percentile(const int64_t *sorted, size_t n, size_t per_mille) {
    size_t rank = (n * per_mille + 999) / 1000;
    return n == 0 ? 0 : sorted[rank > 0 ? rank - 1 : 0];
}

static void count_answer(struct tally *tally, const struct record *record) {
    if (record->status != WIRE_OK) {
        tally->n_undecided++;
        return;
    }
    tally->n_allowed += record->verdict == WIRE_ALLOW;
    tally->n_denied += record->verdict == WIRE_DENY;
    tally->n_local += record->source == WIRE_SOURCE_LOCAL;
}

bool tally_part(const struct record *records, size_t n_records, struct part part, struct tally *tally) {
    *tally = (struct tally){0};
    int64_t *latencies_us = malloc((n_records + 1) * sizeof *latencies_us);
    if (latencies_us == NULL) {
        return false;
    }
    size_t n_answered = 0;
    for (size_t i = 0; i < n_records; i++) {
        const struct record *record = &records[i];
        if (!is_in(record, part)) {
            continue;
        }
        tally->n_checks++;
        if (record->answered_at_us == 0) {
            tally->n_unanswered++;
            continue;
        }
        latencies_us[n_answered++] = record->answered_at_us - record->sent_at_us - record->excused_us;
        count_answer(tally, record);
    }
    qsort(latencies_us, n_answered, sizeof *latencies_us, compare_latencies);
    tally->p50_us = percentile(latencies_us, n_answered, 500);
    tally->p99_us = percentile(latencies_us, n_answered, 990);
    tally->p999_us = percentile(latencies_us, n_answered, 999);
    tally->max_us = percentile(latencies_us, n_answered, 1000);
    free(latencies_us);
    return true;
}

int64_t last_unhealthy_us(const struct record *records, size_t n_records, int64_t from_us) {
    for (size_t i = n_records; i > 0 && records[i - 1].sent_at_us >= from_us; i--) {
        if (!record_is_healthy(&records[i - 1])) {
            return records[i - 1].sent_at_us;
        }
    }
    return 0;
}

enum { MAX_FRONTENDS = 16 };

/* What a frontend did last. */
enum standing { STANDING_UNKNOWN, STANDING_HEALTHY, STANDING_LOCAL };

static double extra_of(const enum standing standings[], unsigned n_frontends) {
    unsigned n_local = 0, n_healthy = 0;
    for (unsigned i = 0; i < n_frontends; i++) {
        n_local += standings[i] == STANDING_LOCAL;
        n_healthy += standings[i] == STANDING_HEALTHY;
    }
    return n_healthy > 0 ? (double)n_local / n_frontends : 0;
}

static double extra_us_at(const struct cut_off_step *step, int64_t at_us) {
    return step->extra_us + step->extra * (double)(at_us - step->at_us);
}

bool cut_offs_find(const struct record *records, size_t n_records, const bool keys[], unsigned n_frontends,
                   struct cut_offs *cut_offs) {
    enum standing standings[MAX_FRONTENDS] = {STANDING_UNKNOWN};
    struct cut_off_step last = {0};
    *cut_offs = (struct cut_offs){.steps = malloc((n_records + 1) * sizeof *cut_offs->steps)};
    if (cut_offs->steps == NULL || n_frontends > MAX_FRONTENDS) {
        cut_offs_free(cut_offs);
        return false;
    }
    for (size_t i = 0; i < n_records; i++) {
        const struct record *record = &records[i];
        if (!keys[record->key] || record->answered_at_us == 0 || record->status != WIRE_OK) {
            continue;
        }
        standings[record->frontend] = record_is_healthy(record) ? STANDING_HEALTHY : STANDING_LOCAL;
        cut_offs->n_local += !record_is_healthy(record);
        double extra = extra_of(standings, n_frontends);
        if (extra != last.extra) {
            last = (struct cut_off_step){record->sent_at_us, extra, extra_us_at(&last, record->sent_at_us)};
            cut_offs->steps[cut_offs->n_steps++] = last;
        }
    }
    return true;
}

void cut_offs_free(struct cut_offs *cut_offs) {
    free(cut_offs->steps);
    *cut_offs = (struct cut_offs){0};
}

/* The integral of what was beyond the rate, up to a time. */
static double extra_us_until(const struct cut_offs *cut_offs, int64_t at_us) {
    size_t low = 0, high = cut_offs != NULL ? cut_offs->n_steps : 0;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (cut_offs->steps[middle].at_us <= at_us) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? 0 : extra_us_at(&cut_offs->steps[low - 1], at_us);
}

double pace_tokens(const struct pace *pace, int64_t from_us, int64_t to_us) {
    double extra_us = extra_us_until(pace->cut_offs, to_us) - extra_us_until(pace->cut_offs, from_us);
    return pace->rate_per_s * ((double)(to_us - from_us) + extra_us) / 1e6;
}

size_t count_admitted(const struct record *records, size_t n_records, uint16_t key, int64_t from_us,
                      int64_t to_us) {
    size_t n = 0;
    for (size_t i = 0; i < n_records; i++) {
        n += records[i].key == key && record_is_admitted(&records[i]) && records[i].sent_at_us >= from_us &&
             records[i].sent_at_us < to_us;
    }
    return n;
}

/* Of one key, or of those that are marked. */
static double worst_of(const struct record *records, size_t n_records, uint16_t key, const bool keys[],
                       const struct pace *pace) {
    double worst = 0, best_start = -INFINITY;
    int64_t last_answer_us = 0;
    size_t n_admitted = 0;
    for (size_t i = 0; i < n_records; i++) {
        const struct record *record = &records[i];
        bool is_meant = keys != NULL ? keys[record->key] : record->key == key;
        if (!is_meant || !record_is_admitted(record)) {
            continue;
        }
        double start = pace_tokens(pace, 0, record->sent_at_us) - (double)n_admitted;
        best_start = fmax(best_start, start);
        if (record->answered_at_us > last_answer_us) {
            last_answer_us = record->answered_at_us;
        }
        n_admitted++;
        worst = fmax(worst, best_start + (double)n_admitted - pace_tokens(pace, 0, last_answer_us));
    }
    return worst;
}

double worst_burst(const struct record *records, size_t n_records, uint16_t key, const struct pace *pace) {
    return worst_of(records, n_records, key, NULL, pace);
}

double worst_shared_burst(const struct record *records, size_t n_records, const bool keys[],
                          const struct pace *pace) {
    return worst_of(records, n_records, 0, keys, pace);
}
