/* bench_report.c — rows and members; see bench_report.h and client/BENCH.md. */
#include "client/cmd/bench_report.h"

#include <inttypes.h>

#include "client/cmd/latency_plot.h"
#include "client/cmd/report.h"
#include "client/cmd/show.h"

/* From this share of a core on, the generator may be what limits. */
#define BUSY_SHARE 0.9

static double own_cpu_share(const struct bench_stats *stats) {
    return stats->took_us > 0 ? (double)stats->cpu_us / (double)stats->took_us : 0;
}

static double per_check(const struct bench_result *result, double amount) {
    return result->counters.n_decisions > 0 ? amount / result->counters.n_decisions : 0;
}

static const char *source_name(size_t source) {
    return source == WIRE_SOURCE_NONE ? "no quota" : wire_source_text((enum wire_source)source);
}

/* --- table ----------------------------------------------------------------------------------------------- */

static void print_load(const struct bench_settings *settings, FILE *out) {
    char kind[64] = "closed loop";
    if (settings->rate_per_s > 0) {
        snprintf(kind, sizeof kind, "open loop, %" PRId64 "/s, %s", settings->rate_per_s,
                 settings->is_poisson ? "Poisson" : "constant");
    }
    report_print_row(out, "load", "%s; %" PRId64 " connections, each with up to %" PRId64 " frames in flight%s",
                     kind, settings->n_connections, settings->pipeline,
                     settings->is_spinning ? "; never asleep" : "");
    report_print_row(out, "batch", "%" PRId64 " per frame, cost %" PRId64, settings->batch, settings->cost);
    report_print_row(out, "keys", "%s", settings->keys);
}

static void print_sources(const char *name, const uint64_t by_source[BENCH_STATS_SOURCES], FILE *out) {
    for (size_t i = 0; i < BENCH_STATS_SOURCES; i++) {
        if (by_source[i] > 0) {
            fprintf(out, "%s%s %" PRIu64, name, source_name(i), by_source[i]);
            name = ", ";
        }
    }
}

static void print_decisions(const struct bench_stats *stats, FILE *out) {
    uint64_t n_allowed = bench_stats_allowed(stats), n_denied = bench_stats_denied(stats);
    report_print_row(out, "checks sent", "%" PRIu64, stats->n_sent);
    report_print_row(out, "allowed", "%" PRIu64 " (%s)", n_allowed, show_share(n_allowed, stats->n_sent).text);
    report_print_row(out, "denied", "%" PRIu64 " (%s)", n_denied, show_share(n_denied, stats->n_sent).text);
    if (n_allowed + n_denied > 0) {
        fprintf(out, "%-14s ", "decided by");
        print_sources(n_allowed > 0 ? "allow: " : "", stats->n_allowed, out);
        fputs(n_allowed > 0 && n_denied > 0 ? "; " : "", out);
        print_sources(n_denied > 0 ? "deny: " : "", stats->n_denied, out);
        fputc('\n', out);
    }
    if (stats->n_degraded > 0) {
        report_print_row(out, "degraded", "%" PRIu64 " (%s)", stats->n_degraded,
                         show_share(stats->n_degraded, stats->n_sent).text);
    }
    if (stats->n_would_deny > 0) {
        report_print_row(out, "would deny", "%" PRIu64 " (%s), allowed by shadow mode", stats->n_would_deny,
                         show_share(stats->n_would_deny, stats->n_sent).text);
    }
}

static void print_errors(const struct bench_stats *stats, FILE *out) {
    report_print_row(out, "errors", "%" PRIu64, bench_stats_failed(stats));
    for (size_t i = 0; i < BENCH_STATS_STATUSES; i++) {
        if (stats->n_errors[i] > 0) {
            report_print_row(out, "", "%s %" PRIu64, wire_status_text((enum wire_status)i), stats->n_errors[i]);
        }
    }
    if (stats->first_error[0] != '\0') {
        report_print_row(out, "first error", "%s", stats->first_error);
    }
    if (stats->n_late > 0) {
        report_print_row(out, "late answers", "%" PRIu64 " frames", stats->n_late);
    }
    if (stats->n_conns_lost > 0) {
        report_print_row(out, "lost", "connections, %" PRIu64 " times", stats->n_conns_lost);
    }
}

static void print_latency(const struct bench_result *result, FILE *out) {
    const struct bench_stats *stats = result->stats;
    const struct histogram *latency = &stats->latency_us, *lag = &stats->lag_us;
    report_print_row(out, "rate", "%s over %s", show_rate(bench_stats_decided(stats), stats->took_us).text,
                     show_duration(stats->took_us).text);
    report_print_row(out, "latency", "p50 %s  p90 %s  p99 %s  p99.9 %s  p99.99 %s  max %s",
                     show_duration(histogram_percentile(latency, 0.5)).text,
                     show_duration(histogram_percentile(latency, 0.9)).text,
                     show_duration(histogram_percentile(latency, 0.99)).text,
                     show_duration(histogram_percentile(latency, 0.999)).text,
                     show_duration(histogram_percentile(latency, 0.9999)).text,
                     show_duration(latency->max).text);
    if (result->settings.rate_per_s > 0) {
        report_print_row(out, "behind pace", "p50 %s  p99 %s  max %s",
                         show_duration(histogram_percentile(lag, 0.5)).text,
                         show_duration(histogram_percentile(lag, 0.99)).text, show_duration(lag->max).text);
    }
    if (stats->n_not_sent > 0) {
        report_print_row(out, "never sent", "%" PRIu64 " checks that were due: the rate was not kept",
                         stats->n_not_sent);
    }
}

static void print_costs(const struct bench_result *result, FILE *out) {
    const struct bench_stats *stats = result->stats;
    double share = own_cpu_share(stats);
    if (result->has_counters) {
        report_print_row(out, "frontends", "%.3fus of CPU and %.3f store calls per check, %.0f decided",
                         per_check(result, result->counters.cpu_us),
                         per_check(result, result->counters.n_store_calls), result->counters.n_decisions);
    }
    report_print_row(out, "this program", "%.0f%% of a CPU%s", share * 100,
                     share >= BUSY_SHARE ? "; it may be what limits the rate" : "");
}

void bench_report_print(const struct bench_result *result, const struct terminal *terminal, FILE *out) {
    print_load(&result->settings, out);
    print_decisions(result->stats, out);
    print_errors(result->stats, out);
    print_latency(result, out);
    print_costs(result, out);
    if (result->is_interrupted) {
        report_print_row(out, "interrupted", "this is what was seen so far");
    }
    if (result->stats->latency_us.n > 0) {
        fputc('\n', out);
        latency_plot_print(&result->stats->latency_us, terminal, out);
    }
}

/* --- JSON ------------------------------------------------------------------------------------------------ */

static json_t *make_settings(const struct bench_settings *settings) {
    return json_pack("{s:s, s:I, s:b, s:b, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:I, s:I, s:I}", "loop",
                     settings->rate_per_s > 0 ? "open" : "closed", "rate_per_s",
                     (json_int_t)settings->rate_per_s, "poisson", settings->is_poisson, "spin",
                     settings->is_spinning, "connections", (json_int_t)settings->n_connections, "pipeline",
                     (json_int_t)settings->pipeline, "batch", (json_int_t)settings->batch, "cost",
                     (json_int_t)settings->cost, "tenants", report_make_json_text(settings->tenants),
                     "resource", report_make_json_text(settings->resource), "keys",
                     report_make_json_text(settings->keys), "duration_us", (json_int_t)settings->duration_us,
                     "warm_up_us", (json_int_t)settings->warm_up_us, "seed", (json_int_t)settings->seed);
}

static json_t *make_sources(const uint64_t by_source[BENCH_STATS_SOURCES]) {
    json_t *sources = json_object();
    for (size_t i = 0; i < BENCH_STATS_SOURCES; i++) {
        json_object_set_new(sources, wire_source_text((enum wire_source)i),
                            json_integer((json_int_t)by_source[i]));
    }
    return sources;
}

static json_t *make_errors(const struct bench_stats *stats) {
    json_t *errors = json_object();
    for (size_t i = 0; i < BENCH_STATS_STATUSES; i++) {
        if (stats->n_errors[i] > 0) {
            json_object_set_new(errors, wire_status_text((enum wire_status)i),
                                json_integer((json_int_t)stats->n_errors[i]));
        }
    }
    return errors;
}

static json_t *make_percentiles(const struct histogram *histogram) {
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "p50", (json_int_t)histogram_percentile(histogram, 0.5),
                     "p90", (json_int_t)histogram_percentile(histogram, 0.9), "p99",
                     (json_int_t)histogram_percentile(histogram, 0.99), "p99.9",
                     (json_int_t)histogram_percentile(histogram, 0.999), "p99.99",
                     (json_int_t)histogram_percentile(histogram, 0.9999), "max", (json_int_t)histogram->max);
}

static json_t *make_frontends(const struct bench_result *result) {
    if (!result->has_counters) {
        return json_null();
    }
    return json_pack("{s:f, s:f, s:I}", "cpu_us_per_check", per_check(result, result->counters.cpu_us),
                     "store_calls_per_check", per_check(result, result->counters.n_store_calls), "decisions",
                     (json_int_t)result->counters.n_decisions);
}

json_t *bench_report_make_json(const struct bench_result *result) {
    const struct bench_stats *stats = result->stats;
    return json_pack(
        "{s:o, s:I, s:I, s:I, s:I, s:o, s:o, s:I, s:I, s:I, s:o, s:o, s:I, s:I, s:I, s:f, s:o, s:o, s:o, s:f, "
        "s:b}",
        "settings", make_settings(&result->settings), "sent", (json_int_t)stats->n_sent, "not_sent",
        (json_int_t)stats->n_not_sent, "allowed", (json_int_t)bench_stats_allowed(stats), "denied",
        (json_int_t)bench_stats_denied(stats), "allowed_by", make_sources(stats->n_allowed), "denied_by",
        make_sources(stats->n_denied), "degraded", (json_int_t)stats->n_degraded, "would_deny",
        (json_int_t)stats->n_would_deny, "errors", (json_int_t)bench_stats_failed(stats), "errors_by_status",
        make_errors(stats), "first_error", report_make_json_text(stats->first_error), "late_frames",
        (json_int_t)stats->n_late, "connections_lost", (json_int_t)stats->n_conns_lost, "took_us",
        (json_int_t)stats->took_us, "rate_per_s", bench_stats_rate_per_s(stats), "latency_us",
        make_percentiles(&stats->latency_us), "behind_us", make_percentiles(&stats->lag_us), "frontends",
        make_frontends(result), "own_cpu_share", own_cpu_share(stats), "interrupted", result->is_interrupted);
}
