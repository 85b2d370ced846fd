/* bench_compare.h — a run of `bench` beside an earlier one: the ratios, and which settings differ.
 *
 * Both are the objects that `bench --json` prints. */
#ifndef SLUICE_CLIENT_CMD_BENCH_COMPARE_H
#define SLUICE_CLIENT_CMD_BENCH_COMPARE_H

#include <jansson.h>
#include <stdio.h>

#include "server/base/status.h"

/* Reads a file that holds one such object. The caller releases it; NULL with a sentence. */
json_t *bench_compare_load(const char *path, struct status *status);

/* Prints a row for each figure that both have: here, there, here / there. */
void bench_compare_print(json_t *run, const json_t *base, FILE *out);

/* The same ratios as an object: figures by name, null where one has none or the base's is 0, and the names of the
 * settings that differ. NULL when memory is short. */
json_t *bench_compare_make_json(json_t *run, const json_t *base);

#endif
