/* report.h — what `replay` and `simulate` say at their end in the same words, as a table or as JSON. */
#ifndef SLUICE_CLIENT_CMD_REPORT_H
#define SLUICE_CLIENT_CMD_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "client/cmd/log_source.h"
#include "client/cmd/tally.h"

enum { REPORT_TOP_DEFAULT = 10, REPORT_TOP_MAX = 100 };

/* Warns of a log that should have been sorted but is too long for it; to be asked once, at the first entry. */
void report_warn_unsorted(FILE *err, const char *command, const struct log_source_stats *stats);

/* A row: the name in a column of its own, then what the format makes. */
void report_print_row(FILE *out, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Lines, bad lines with the numbers of the first ones, lines out of order; checks allowed, denied, failed. */
void report_print_counts(FILE *out, const struct log_source_stats *stats, const struct tally *tally);
/* The `top` (at most REPORT_TOP_MAX) addresses most denied. */
void report_print_most_denied(FILE *out, const struct tally *tally, size_t top);

/* Counts and addresses as an object for the caller to add to; NULL when memory is short. */
json_t *report_make_json(const struct log_source_stats *stats, const struct tally *tally, size_t top);

/* A JSON string; bytes that are not UTF-8 become '?'. NULL when memory is short. */
json_t *report_make_json_text(const char *text);

/* Prints a value on a line of its own and releases it. False when it is NULL or memory is short. */
bool report_print_json(FILE *out, json_t *json) __attribute__((warn_unused_result));
/* The same with the members of a second object added to the first; releases both. */
bool report_print_json_pair(FILE *out, json_t *json, json_t *more) __attribute__((warn_unused_result));

#endif
