/* plot.c — horizontal stacked bars. */
#include "client/cmd/plot.h"

#include <inttypes.h>
#include <time.h>

enum { BAR_MIN_CELLS = 12, NUMBER_MIN_CELLS = 7, LABEL_BYTES = 32, LEGEND_CELLS = 3 };

/* Where the label "2015-05-17 10:05:03" is cut. */
enum { LABEL_TO_DAY = 10, LABEL_TO_MINUTE = 16, LABEL_TO_SECOND = 19 };

struct plot {
    FILE *out;
    int label_cells, number_cells;
    size_t bar_cells;
    uint64_t longest; /* allowed and denied together */
    const char *allowed_mark, *denied_mark, *allowed_color, *denied_color, *plain;
};

static int digits_of(uint64_t number) {
    int n = 1;
    for (; number >= 10; number /= 10) {
        n++;
    }
    return n;
}

static struct plot plan(const struct timeline *timeline, const struct terminal *terminal, FILE *out) {
    struct plot plot = {.out = out, .number_cells = NUMBER_MIN_CELLS};
    uint64_t greatest = 0;
    for (size_t i = 0; i < timeline->n_slots; i++) {
        const struct timeline_slot *slot = &timeline->slots[i];
        uint64_t total = slot->n_allowed + slot->n_denied;
        plot.longest = total > plot.longest ? total : plot.longest;
        greatest = slot->n_allowed > greatest ? slot->n_allowed : greatest;
        greatest = slot->n_denied > greatest ? slot->n_denied : greatest;
    }
    if (digits_of(greatest) > plot.number_cells) {
        plot.number_cells = digits_of(greatest);
    }
    int64_t width_s = timeline_width_s(timeline);
    plot.label_cells = width_s < 60 ? LABEL_TO_SECOND : width_s < 86400 ? LABEL_TO_MINUTE : LABEL_TO_DAY;
    size_t other_cells = (size_t)plot.label_cells + 2 * (size_t)plot.number_cells + 6;
    plot.bar_cells =
        terminal->width < other_cells + BAR_MIN_CELLS ? BAR_MIN_CELLS : terminal->width - other_cells;
    plot.allowed_mark = terminal->is_utf8 ? "\u2588" : "#";
    plot.denied_mark = terminal->is_utf8 ? "\u2592" : "x";
    plot.allowed_color = terminal->has_colors ? "\033[32m" : "";
    plot.denied_color = terminal->has_colors ? "\033[31m" : "";
    plot.plain = terminal->has_colors ? "\033[0m" : "";
    return plot;
}

/* Cells for `n` of the longest bar, rounded to the nearest, at least one unless n is 0. */
static size_t cells_for(const struct plot *plot, uint64_t n) {
    double cells = (double)n * (double)plot->bar_cells / (double)plot->longest + 0.5;
    return n > 0 && cells < 1 ? 1 : (size_t)cells;
}

static void print_cells(const struct plot *plot, size_t n, const char *mark, const char *color) {
    fputs(n > 0 ? color : "", plot->out);
    for (size_t i = 0; i < n; i++) {
        fputs(mark, plot->out);
    }
    fputs(n > 0 ? plot->plain : "", plot->out);
}

static void print_row(const struct plot *plot, int64_t at_s, const struct timeline_slot *slot) {
    char label[LABEL_BYTES] = "";
    time_t at = (time_t)at_s;
    struct tm civil;
    if (gmtime_r(&at, &civil) != NULL) {
        strftime(label, sizeof label, "%Y-%m-%d %H:%M:%S", &civil);
    }
    size_t all = cells_for(plot, slot->n_allowed + slot->n_denied);
    size_t denied = cells_for(plot, slot->n_denied);
    if (all == denied && slot->n_allowed > 0) {
        if (all < plot->bar_cells) {
            all++;
        } else {
            denied--;
        }
    }
    fprintf(plot->out, "%.*s  ", plot->label_cells, label);
    print_cells(plot, all - denied, plot->allowed_mark, plot->allowed_color);
    print_cells(plot, denied, plot->denied_mark, plot->denied_color);
    fprintf(plot->out, "%*s  %*" PRIu64 "  %*" PRIu64 "\n", (int)(plot->bar_cells - all), "",
            plot->number_cells, slot->n_allowed, plot->number_cells, slot->n_denied);
}

static void print_head(const struct plot *plot, const char *width) {
    fprintf(plot->out, "checks per %s: ", width);
    print_cells(plot, LEGEND_CELLS, plot->allowed_mark, plot->allowed_color);
    fputs(" allowed, ", plot->out);
    print_cells(plot, LEGEND_CELLS, plot->denied_mark, plot->denied_color);
    fprintf(plot->out, " denied\n%-*s  %*s  %*s\n", plot->label_cells + 2 + (int)plot->bar_cells, "from (UTC)",
            plot->number_cells, "allowed", plot->number_cells, "denied");
}

void plot_print(const struct timeline *timeline, const struct terminal *terminal, FILE *out) {
    if (timeline->n_slots == 0) {
        return;
    }
    struct plot plot = plan(timeline, terminal, out);
    print_head(&plot, timeline_width_text(timeline));
    for (size_t i = 0; i < timeline->n_slots; i++) {
        print_row(&plot, timeline_slot_at_s(timeline, i), &timeline->slots[i]);
    }
}
