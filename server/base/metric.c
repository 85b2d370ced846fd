/* metric.c — renders counted things as Prometheus text; see metric.h. */
#include "server/base/metric.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { METRIC_NAME_BYTES = 600 }; /* of an item, escaped */

const char *metric_kind_text(enum metric_kind kind) {
    switch (kind) {
    case METRIC_COUNTER:
    case METRIC_COUNTER_US:
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

static bool append_head(struct buf *out, const struct metric_desc *desc) {
    char line[512];
    snprintf(line, sizeof line, "# HELP %s %s\n# TYPE %s %s\n", desc->family, desc->help, desc->family,
             metric_kind_text(desc->kind));
    return append_text(out, line);
}

static bool append_row(struct buf *out, const struct metric_desc *desc, uint64_t value) {
    char number[32], line[512];
    bool has_labels = desc->labels[0] != '\0';
    if (desc->kind == METRIC_COUNTER_US) {
        snprintf(number, sizeof number, "%" PRIu64 ".%06" PRIu64, value / 1000000, value % 1000000);
    } else {
        snprintf(number, sizeof number, "%" PRIu64, value);
    }
    snprintf(line, sizeof line, "%s%s%s%s %s\n", desc->family, has_labels ? "{" : "", desc->labels,
             has_labels ? "}" : "", number);
    return append_text(out, line);
}

bool metric_render(struct buf *out, const struct metric_desc *descs, size_t n_descs, const void *const *structs,
                   size_t n_structs) {
    for (size_t i = 0; i < n_descs; i++) {
        const struct metric_desc *desc = &descs[i];
        if ((i == 0 || strcmp(desc->family, descs[i - 1].family) != 0) && !append_head(out, desc)) {
            return false;
        }
        if (!append_row(out, desc, sum_of(desc, structs, n_structs))) {
            return false;
        }
    }
    return true;
}

/* As Prometheus wants a label's value. */
static void escape_label(const char *text, char *out, size_t cap) {
    size_t n = 0;
    for (; *text != '\0' && n + 3 < cap; text++) {
        if (*text == '"' || *text == '\\' || *text == '\n') {
            out[n++] = '\\';
        }
        out[n++] = (char)(*text == '\n' ? 'n' : *text);
    }
    out[n] = '\0';
}

bool metric_render_items(struct buf *out, const struct metric_desc *descs, size_t n_descs, const void *items,
                         size_t n_items, size_t item_bytes) {
    for (size_t i = 0; i < n_descs; i++) {
        if (!append_head(out, &descs[i])) {
            return false;
        }
        for (size_t j = 0; j < n_items; j++) {
            const char *item = (const char *)items + j * item_bytes;
            char name[METRIC_NAME_BYTES], line[METRIC_NAME_BYTES + 256];
            double value;
            escape_label(item, name, sizeof name);
            memcpy(&value, item + descs[i].offset, sizeof value);
            snprintf(line, sizeof line, "%s{%s=\"%s\"} %.6f\n", descs[i].family, descs[i].labels, name, value);
            if (!append_text(out, line)) {
                return false;
            }
        }
    }
    return true;
}
