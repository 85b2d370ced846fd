/* overflow.c — one shared bucket record for each part of a quota; see overflow.h. */
#include "server/core/overflow.h"

#include <stdlib.h>
#include <string.h>

static bool make_room(struct overflow *overflow, uint32_t n) {
    struct bucket_record **records = reallocarray(overflow->records, n, sizeof(struct bucket_record *));
    if (records == NULL) {
        return false;
    }
    memset(records + overflow->n_records, 0, (n - overflow->n_records) * sizeof(struct bucket_record *));
    *overflow = (struct overflow){.records = records, .n_records = n};
    return true;
}

struct bucket_record *overflow_record(struct overflow *overflow, uint32_t part_index) {
    if (part_index >= overflow->n_records && !make_room(overflow, part_index + 1)) {
        return NULL;
    }
    if (overflow->records[part_index] == NULL) {
        overflow->records[part_index] = calloc(1, sizeof(struct bucket_record));
    }
    return overflow->records[part_index];
}

void overflow_deinit(struct overflow *overflow) {
    for (uint32_t i = 0; i < overflow->n_records; i++) {
        free(overflow->records[i]);
    }
    free(overflow->records);
    *overflow = (struct overflow){0};
}
