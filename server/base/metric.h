/* metric.h — how modules declare what they count, and how it becomes Prometheus text.
 *
 * A module lists its metrics once in its header: X(field, KIND, "family", "labels", "sentence"), and makes its
 * struct of the list with METRIC_FIELD. One thread adds, any thread reads: relaxed atomics.
 *
 * Of things that come and go at run time, such as nodes, a list of the same form makes the struct of one of them,
 * with METRIC_ITEM_FIELD behind a name; "labels" is then the name of the label whose value is that name. These
 * are plain structs, filled for each rendering. */
#ifndef SLUICE_BASE_METRIC_H
#define SLUICE_BASE_METRIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/buf.h"

enum metric_kind {
    METRIC_COUNTER,
    METRIC_COUNTER_US, /* kept in microseconds, shown in seconds */
    METRIC_GAUGE,
};

/* One row of the table that describes a struct of metrics. Rows of one family stand next to each other. */
struct metric_desc {
    const char *family; /* "sluice_checks_total" */
    const char *labels; /* "result=\"allow\"" or ""; of items: "node" */
    enum metric_kind kind;
    const char *help;
    size_t offset; /* of the _Atomic uint64_t in the struct; of items: of the double */
};

#define METRIC_FIELD(field, kind, family, labels, help) _Atomic uint64_t field;
#define METRIC_ITEM_FIELD(field, kind, family, label, help) double field;

static inline void metric_add(_Atomic uint64_t *metric, uint64_t n) {
    atomic_store_explicit(metric, atomic_load_explicit(metric, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void metric_inc(_Atomic uint64_t *metric) {
    metric_add(metric, 1);
}

static inline void metric_dec(_Atomic uint64_t *metric) {
    atomic_store_explicit(metric, atomic_load_explicit(metric, memory_order_relaxed) - 1, memory_order_relaxed);
}

static inline void metric_set(_Atomic uint64_t *metric, uint64_t value) {
    atomic_store_explicit(metric, value, memory_order_relaxed);
}

static inline uint64_t metric_get(const _Atomic uint64_t *metric) {
    return atomic_load_explicit(metric, memory_order_relaxed);
}

const char *metric_kind_text(enum metric_kind kind);

/* Appends HELP, TYPE and value of every row, summed over `structs` (each of the type the rows describe).
 * False when memory is short. */
bool metric_render(struct buf *out, const struct metric_desc *descs, size_t n_descs, const void *const *structs,
                   size_t n_structs) __attribute__((warn_unused_result));

/* Appends HELP and TYPE of every row, and a value for each of `n_items` structs of `item_bytes` each, that begin
 * with the item's name, a text in an array. False when memory is short. */
bool metric_render_items(struct buf *out, const struct metric_desc *descs, size_t n_descs, const void *items,
                         size_t n_items, size_t item_bytes) __attribute__((warn_unused_result));

#endif
