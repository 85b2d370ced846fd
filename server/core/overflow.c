/* overflow.c — one shared bucket record for each quota; see overflow.h. */
#include "server/core/overflow.h"

#include <stdlib.h>
#include <string.h>

struct bucket_record *overflow_record(struct overflow *overflow, uint32_t quota_index) {
    if (quota_index >= overflow->n_records) {
        uint32_t n = quota_index + 1;
        struct bucket_record *records = realloc(overflow->records, n * sizeof *records);
        if (records == NULL) {
            return NULL;
        }
        memset(records + overflow->n_records, 0, (n - overflow->n_records) * sizeof *records);
        *overflow = (struct overflow){.records = records, .n_records = n};
    }
    return &overflow->records[quota_index];
}

void overflow_deinit(struct overflow *overflow) {
    free(overflow->records);
    *overflow = (struct overflow){0};
}
