/* bench_stats.c — counts answers; see bench_stats.h. */
#include "client/cmd/bench_stats.h"

#include <stdio.h>
#include <string.h>

static void note_error(struct bench_stats *stats, enum wire_status status, struct wire_bytes text) {
    if (stats->first_error[0] == '\0') {
        int n_bytes = text.len < WIRE_MESSAGE_MAX_BYTES ? (int)text.len : WIRE_MESSAGE_MAX_BYTES;
        snprintf(stats->first_error, sizeof stats->first_error, "%s: %.*s", wire_status_text(status), n_bytes,
                 (const char *)text.data);
    }
}

void bench_stats_add_failed(struct bench_stats *stats, enum wire_status status, uint64_t n_checks,
                            const char *reason) {
    if (n_checks > 0) {
        stats->n_errors[status] += n_checks;
        note_error(stats, status, (struct wire_bytes){(const uint8_t *)reason, strlen(reason)});
    }
}

static void add_decision(struct bench_stats *stats, const struct wire_decision *decision) {
    stats->n_degraded += decision->degraded;
    stats->n_would_deny += decision->would_deny;
    switch (decision->verdict) {
    case WIRE_ALLOW:
        stats->n_allowed[decision->source]++;
        break;
    case WIRE_DENY:
        stats->n_denied[decision->source]++;
        break;
    case WIRE_VERDICT_UNSPECIFIED:
        bench_stats_add_failed(stats, WIRE_UNKNOWN, 1, "a decision that neither allows nor denies");
        break;
    }
}

void bench_stats_add_answer(struct bench_stats *stats, const struct wire_response *response, size_t n_checks,
                            int64_t latency_us) {
    if (response->status != WIRE_OK) {
        stats->n_errors[response->status] += n_checks;
        note_error(stats, response->status, response->message);
        return;
    }
    if (response->n_items != n_checks) {
        bench_stats_add_failed(stats, WIRE_INTERNAL, n_checks, "not as many decisions as checks");
        return;
    }
    histogram_add(&stats->latency_us, latency_us > 0 ? (uint64_t)latency_us : 0);
    for (size_t i = 0; i < n_checks; i++) {
        const struct wire_item *item = &response->items[i];
        if (item->status == WIRE_OK) {
            add_decision(stats, &item->decision);
        } else {
            stats->n_errors[item->status]++;
            note_error(stats, item->status, item->message);
        }
    }
}

static uint64_t sum_of(const uint64_t *numbers, size_t n) {
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += numbers[i];
    }
    return sum;
}

uint64_t bench_stats_allowed(const struct bench_stats *stats) {
    return sum_of(stats->n_allowed, BENCH_STATS_SOURCES);
}

uint64_t bench_stats_denied(const struct bench_stats *stats) {
    return sum_of(stats->n_denied, BENCH_STATS_SOURCES);
}

uint64_t bench_stats_decided(const struct bench_stats *stats) {
    return bench_stats_allowed(stats) + bench_stats_denied(stats);
}

uint64_t bench_stats_failed(const struct bench_stats *stats) {
    return sum_of(stats->n_errors, BENCH_STATS_STATUSES);
}

double bench_stats_rate_per_s(const struct bench_stats *stats) {
    return stats->took_us > 0 ? (double)bench_stats_decided(stats) * 1e6 / (double)stats->took_us : 0;
}
