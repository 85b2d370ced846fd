/* latency_plot.c — horizontal bars on a ladder of 1, 2, 5. */
#include "client/cmd/latency_plot.h"

#include "client/cmd/show.h"

enum { MAX_STEPS = 40, LABEL_CELLS = 8, NUMBER_CELLS = 9, GAP_CELLS = 2, BAR_MIN_CELLS = 10 };

struct steps {
    size_t first, n; /* the rows to be shown: first ... n - 1 */
    uint64_t up_to_us[MAX_STEPS];
    uint64_t n_values[MAX_STEPS];
    uint64_t longest;
};

static uint64_t next_step(uint64_t step) {
    uint64_t power = 1;
    while (power * 10 <= step) {
        power *= 10;
    }
    return step == power ? 2 * power : step == 2 * power ? 5 * power : 10 * power;
}

static void count(struct steps *steps, const struct histogram *latency_us) {
    uint64_t up_to_us = 1, n_below = 0;
    *steps = (struct steps){.first = MAX_STEPS};
    for (; n_below < latency_us->n && steps->n < MAX_STEPS; up_to_us = next_step(up_to_us)) {
        uint64_t n = histogram_count(latency_us, up_to_us) - n_below;
        if (n > 0 && steps->first == MAX_STEPS) {
            steps->first = steps->n;
        }
        steps->longest = n > steps->longest ? n : steps->longest;
        steps->up_to_us[steps->n] = up_to_us;
        steps->n_values[steps->n++] = n;
        n_below += n;
    }
}

static void print_bar(size_t n_full, size_t n_cells, const struct terminal *terminal, FILE *out) {
    fputs(n_full > 0 && terminal->has_colors ? "\033[36m" : "", out);
    for (size_t i = 0; i < n_full; i++) {
        fputs(terminal->is_utf8 ? "\u2588" : "#", out);
    }
    fputs(n_full > 0 && terminal->has_colors ? "\033[0m" : "", out);
    fprintf(out, "%*s", (int)(n_cells - n_full), "");
}

void latency_plot_print(const struct histogram *latency_us, const struct terminal *terminal, FILE *out) {
    size_t n_cells = terminal->width - LABEL_CELLS - 2 * NUMBER_CELLS - 3 * GAP_CELLS;
    struct steps steps;
    uint64_t n_so_far = 0;
    if (latency_us->n == 0) {
        return;
    }
    n_cells = n_cells < BAR_MIN_CELLS || n_cells > TERMINAL_WIDTH_MAX ? BAR_MIN_CELLS : n_cells;
    count(&steps, latency_us);
    fprintf(out, "%*s  %-*s  %*s  %*s\n", LABEL_CELLS, "up to", (int)n_cells, "latency", NUMBER_CELLS, "share",
            NUMBER_CELLS, "so far");
    for (size_t i = steps.first; i < steps.n; i++) {
        uint64_t n = steps.n_values[i];
        size_t n_full = (size_t)((double)n * (double)n_cells / (double)steps.longest + 0.5);
        n_so_far += n;
        fprintf(out, "%*s  ", LABEL_CELLS, show_duration(steps.up_to_us[i]).text);
        print_bar(n > 0 && n_full == 0 ? 1 : n_full, n_cells, terminal, out);
        fprintf(out, "  %*.3f%%  %*.3f%%\n", NUMBER_CELLS - 1, 100.0 * (double)n / (double)latency_us->n,
                NUMBER_CELLS - 1, 100.0 * (double)n_so_far / (double)latency_us->n);
    }
}
