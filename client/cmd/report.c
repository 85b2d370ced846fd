/* report.c — the common part of both reports. */
#include "client/cmd/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd/show.h"

enum { NAME_CELLS = 14 };

void report_warn_unsorted(FILE *err, const char *command, const struct log_source_stats *stats) {
    if (stats->is_beyond_sort) {
        fprintf(
            err,
            "sluice %s: too many lines to sort by time (more than %d, or memory is short); they are taken in\n"
            "the order of the log, and one dated before a line above it counts at that line's time\n",
            command, LOG_SOURCE_SORT_MAX);
    }
}

void report_print_row(FILE *out, const char *name, const char *format, ...) {
    va_list arguments;
    fprintf(out, "%-*s ", NAME_CELLS, name);
    va_start(arguments, format);
    vfprintf(out, format, arguments);
    va_end(arguments);
    fputc('\n', out);
}

static void print_bad_lines(FILE *out, const struct log_source_stats *stats) {
    fprintf(out, "%-*s %" PRIu64, NAME_CELLS, "bad lines", stats->n_bad);
    for (size_t i = 0; i < stats->n_bad && i < LOG_SOURCE_BAD_NAMED; i++) {
        fprintf(out, "%s%" PRIu64, i == 0 ? " (number " : ", ", stats->bad[i].number);
    }
    if (stats->n_bad > 0) {
        fprintf(out, "%s; first: %s)", stats->n_bad > LOG_SOURCE_BAD_NAMED ? ", ..." : "",
                access_log_outcome_text(stats->bad[0].outcome));
    }
    fputc('\n', out);
}

static void print_out_of_order(FILE *out, const struct log_source_stats *stats) {
    fprintf(out, "%-*s %" PRIu64, NAME_CELLS, "out of order", stats->n_backward);
    if (stats->n_backward > 0) {
        fprintf(out, " (dated before a line above; %s)", stats->is_sorted ? "sorted by time" : "not sorted");
    }
    fputc('\n', out);
}

void report_print_counts(FILE *out, const struct log_source_stats *stats, const struct tally *tally) {
    uint64_t n_allowed = tally_total(tally, TALLY_ALLOWED), n_denied = tally_total(tally, TALLY_DENIED);
    uint64_t n_failed = tally_total(tally, TALLY_FAILED), n_all = n_allowed + n_denied + n_failed;
    report_print_row(out, "lines", "%" PRIu64, stats->n_lines);
    print_bad_lines(out, stats);
    print_out_of_order(out, stats);
    report_print_row(out, "allowed", "%" PRIu64 " (%s)", n_allowed, show_share(n_allowed, n_all).text);
    report_print_row(out, "denied", "%" PRIu64 " (%s)", n_denied, show_share(n_denied, n_all).text);
    report_print_row(out, "errors", "%" PRIu64, n_failed);
    report_print_row(out, "addresses", "%" PRIu32 ", %" PRIu32 " of them denied at least once",
                     tally_n_keys(tally), tally_n_denied_keys(tally));
    if (tally_n_others(tally) > 0) {
        report_print_row(out, "", "%" PRIu64 " checks of further addresses are counted, but not by address",
                         tally_n_others(tally));
    }
}

void report_print_most_denied(FILE *out, const struct tally *tally, size_t top) {
    struct tally_row rows[REPORT_TOP_MAX];
    size_t n_rows = tally_most_denied(tally, rows, top < REPORT_TOP_MAX ? top : REPORT_TOP_MAX);
    if (n_rows == 0) {
        return;
    }
    fprintf(out, "\n%10s %10s %7s  %s\n", "denied", "allowed", "share", "most denied addresses");
    for (size_t i = 0; i < n_rows; i++) {
        uint64_t n_allowed = rows[i].n[TALLY_ALLOWED], n_denied = rows[i].n[TALLY_DENIED];
        fprintf(out, "%10" PRIu64 " %10" PRIu64 " %7s  %.*s\n", n_denied, n_allowed,
                show_share(n_denied, n_allowed + n_denied + rows[i].n[TALLY_FAILED]).text, (int)rows[i].key.len,
                (const char *)rows[i].key.data);
    }
}

static json_t *make_bad_lines(const struct log_source_stats *stats) {
    json_t *list = json_array();
    for (size_t i = 0; i < stats->n_bad && i < LOG_SOURCE_BAD_NAMED; i++) {
        json_array_append_new(list, json_pack("{s:I, s:s}", "line", (json_int_t)stats->bad[i].number, "problem",
                                              access_log_outcome_text(stats->bad[i].outcome)));
    }
    return list;
}

static json_t *make_most_denied(const struct tally *tally, size_t top) {
    struct tally_row rows[REPORT_TOP_MAX];
    size_t n_rows = tally_most_denied(tally, rows, top < REPORT_TOP_MAX ? top : REPORT_TOP_MAX);
    json_t *list = json_array();
    for (size_t i = 0; i < n_rows; i++) {
        json_array_append_new(list, json_pack("{s:s%, s:I, s:I, s:I}", "address", rows[i].key.data,
                                              rows[i].key.len, "denied", (json_int_t)rows[i].n[TALLY_DENIED],
                                              "allowed", (json_int_t)rows[i].n[TALLY_ALLOWED], "errors",
                                              (json_int_t)rows[i].n[TALLY_FAILED]));
    }
    return list;
}

json_t *report_make_json(const struct log_source_stats *stats, const struct tally *tally, size_t top) {
    return json_pack(
        "{s:I, s:I, s:o, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "lines", (json_int_t)stats->n_lines,
        "bad_lines", (json_int_t)stats->n_bad, "first_bad_lines", make_bad_lines(stats), "out_of_order_lines",
        (json_int_t)stats->n_backward, "sorted_by_time", stats->is_sorted, "allowed",
        (json_int_t)tally_total(tally, TALLY_ALLOWED), "denied", (json_int_t)tally_total(tally, TALLY_DENIED),
        "errors", (json_int_t)tally_total(tally, TALLY_FAILED), "addresses", (json_int_t)tally_n_keys(tally),
        "addresses_denied", (json_int_t)tally_n_denied_keys(tally), "checks_of_other_addresses",
        (json_int_t)tally_n_others(tally), "most_denied", make_most_denied(tally, top));
}

json_t *report_make_json_text(const char *text) {
    json_t *json = json_string(text);
    if (json != NULL) {
        return json;
    }
    char *copy = strdup(text);
    for (char *at = copy; at != NULL && *at != '\0'; at++) {
        if ((unsigned char)*at >= 0x80) {
            *at = '?';
        }
    }
    json = copy == NULL ? NULL : json_string(copy);
    free(copy);
    return json;
}

bool report_print_json(FILE *out, json_t *json) {
    bool is_printed = json != NULL && json_dumpf(json, out, JSON_COMPACT) == 0;
    json_decref(json);
    if (is_printed) {
        fputc('\n', out);
    }
    return is_printed;
}

bool report_print_json_pair(FILE *out, json_t *json, json_t *more) {
    bool is_whole = json != NULL && more != NULL && json_object_update_missing(json, more) == 0;
    json_decref(more);
    if (!is_whole) {
        json_decref(json);
        return false;
    }
    return report_print_json(out, json);
}
