/* metric.c — renders counted things as Prometheus text; see metric.h. */
#include "server/base/metric.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *metric_kind_text(enum metric_kind kind) {
    switch (kind) {
    case METRIC_COUNTER:
        return "counter";
    case METRIC_GAUGE:
        return "gauge";
    }
    return "untyped";
}

static uint64_t sum_of(const struct metric_desc *desc, const void *const *structs, size_t n_structs) {
    uint64_t sum = 0;
    for (size_t i = 0; i < n_structs; i++) {
        sum += metric_get((const _Atomic uint64_t *)(const void *)((const char *)structs[i] + desc->offset));
    }
    return sum;
}

static bool append_text(struct buf *out, const char *text) {
    return buf_append(out, text, strlen(text));
}

bool metric_render(struct buf *out, const struct metric_desc *descs, size_t n_descs, const void *const *structs,
                   size_t n_structs) {
    for (size_t i = 0; i < n_descs; i++) {
        const struct metric_desc *desc = &descs[i];
        char line[512];
        if (i == 0 || strcmp(desc->family, descs[i - 1].family) != 0) {
            snprintf(line, sizeof line, "# HELP %s %s\n# TYPE %s %s\n", desc->family, desc->help, desc->family,
                     metric_kind_text(desc->kind));
            if (!append_text(out, line)) {
                return false;
            }
        }
        bool has_labels = desc->labels[0] != '\0';
        snprintf(line, sizeof line, "%s%s%s%s %" PRIu64 "\n", desc->family, has_labels ? "{" : "", desc->labels,
                 has_labels ? "}" : "", sum_of(desc, structs, n_structs));
        if (!append_text(out, line)) {
            return false;
        }
    }
    return true;
}
