/* difference.c — pairs of counts in an array that grows with the tally's numbers. */
#include "client/cmd/difference.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd/report.h"
#include "client/cmd/show.h"

enum { FIRST_KEYS = 256 };

void difference_deinit(struct difference *difference) {
    free(difference->keys);
    *difference = (struct difference){0};
}

static bool has_room(struct difference *difference, size_t n_keys) {
    size_t cap = difference->cap_keys == 0 ? FIRST_KEYS : difference->cap_keys;
    while (cap < n_keys) {
        cap *= 2;
    }
    if (cap > difference->cap_keys) {
        struct difference_pair *keys = realloc(difference->keys, cap * sizeof *keys);
        if (keys == NULL) {
            return false;
        }
        memset(keys + difference->cap_keys, 0, (cap - difference->cap_keys) * sizeof *keys);
        difference->keys = keys;
        difference->cap_keys = cap;
    }
    difference->n_keys = n_keys > difference->n_keys ? n_keys : difference->n_keys;
    return true;
}

bool difference_count(struct difference *difference, uint32_t index, bool is_denied_before,
                      bool is_denied_after) {
    if (!has_room(difference, (size_t)index + 1)) {
        return false;
    }
    difference->keys[index].before += is_denied_before;
    difference->keys[index].after += is_denied_after;
    difference->total.before += is_denied_before;
    difference->total.after += is_denied_after;
    difference->n_requests++;
    return true;
}

/* How often the key was denied, by whoever denied it; 0 when it is not of this kind. */
static uint64_t count_of(struct difference_pair key, enum difference_kind kind) {
    switch (kind) {
    case DIFFERENCE_NEWLY_DENIED:
        return key.before == 0 ? key.after : 0;
    case DIFFERENCE_NEWLY_ALLOWED:
        return key.after == 0 ? key.before : 0;
    }
    return 0;
}

uint32_t difference_n_keys(const struct difference *difference, enum difference_kind kind) {
    uint32_t n = 0;
    for (size_t i = TALLY_OTHERS + 1; i < difference->n_keys; i++) {
        n += count_of(difference->keys[i], kind) > 0;
    }
    return n;
}

size_t difference_most(const struct difference *difference, enum difference_kind kind,
                       struct difference_row *rows, size_t cap) {
    size_t n = 0;
    for (size_t i = TALLY_OTHERS + 1; i < difference->n_keys; i++) {
        struct difference_row row = {(uint32_t)i, count_of(difference->keys[i], kind)};
        if (row.n_denied == 0 || (n == cap && (n == 0 || row.n_denied <= rows[n - 1].n_denied))) {
            continue;
        }
        size_t at = n < cap ? n++ : n - 1;
        for (; at > 0 && row.n_denied > rows[at - 1].n_denied; at--) {
            rows[at] = rows[at - 1];
        }
        rows[at] = row;
    }
    return n;
}

static size_t bounded(size_t top) {
    return top < REPORT_TOP_MAX ? top : REPORT_TOP_MAX;
}

static void print_keys(const struct difference *difference, enum difference_kind kind, const char *title,
                       const struct tally *tally, size_t top, FILE *out) {
    struct difference_row rows[REPORT_TOP_MAX];
    size_t n_rows = difference_most(difference, kind, rows, bounded(top));
    if (n_rows > 0) {
        fprintf(out, "\n%10s  %s\n", "denied", title);
    }
    for (size_t i = 0; i < n_rows; i++) {
        struct bytes key = tally_key(tally, rows[i].index);
        fprintf(out, "%10" PRIu64 "  %.*s\n", rows[i].n_denied, (int)key.len, (const char *)key.data);
    }
}

void difference_print(const struct difference *difference, const struct tally *tally, size_t top, FILE *out) {
    uint64_t before = difference->total.before, after = difference->total.after;
    report_print_row(out, "denied then", "%" PRIu64 " (%s), %" PRIu64 " %s", after,
                     show_share(after, difference->n_requests).text,
                     after < before ? before - after : after - before, after < before ? "fewer" : "more");
    report_print_row(out, "newly denied", "%" PRIu32 " (addresses denied then, never before)",
                     difference_n_keys(difference, DIFFERENCE_NEWLY_DENIED));
    report_print_row(out, "newly allowed", "%" PRIu32 " (addresses denied before, never then)",
                     difference_n_keys(difference, DIFFERENCE_NEWLY_ALLOWED));
    print_keys(difference, DIFFERENCE_NEWLY_DENIED, "newly denied addresses (denied then)", tally, top, out);
    print_keys(difference, DIFFERENCE_NEWLY_ALLOWED, "newly allowed addresses (denied before)", tally, top,
               out);
}

static json_t *make_keys(const struct difference *difference, enum difference_kind kind,
                         const struct tally *tally, size_t top) {
    struct difference_row rows[REPORT_TOP_MAX];
    size_t n_rows = difference_most(difference, kind, rows, bounded(top));
    json_t *list = json_array();
    for (size_t i = 0; i < n_rows; i++) {
        struct bytes key = tally_key(tally, rows[i].index);
        json_array_append_new(list, json_pack("{s:s%, s:I}", "address", key.data, key.len, "denied",
                                              (json_int_t)rows[i].n_denied));
    }
    return list;
}

json_t *difference_make_json(const struct difference *difference, const struct tally *tally, size_t top) {
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:o, s:o}", "denied", (json_int_t)difference->total.after, "denied_more",
        (json_int_t)difference->total.after - (json_int_t)difference->total.before, "addresses_newly_denied",
        (json_int_t)difference_n_keys(difference, DIFFERENCE_NEWLY_DENIED), "addresses_newly_allowed",
        (json_int_t)difference_n_keys(difference, DIFFERENCE_NEWLY_ALLOWED), "newly_denied",
        make_keys(difference, DIFFERENCE_NEWLY_DENIED, tally, top), "newly_allowed",
        make_keys(difference, DIFFERENCE_NEWLY_ALLOWED, tally, top));
}
