/* progress.c — carriage return, line, erase to the end. */
#include "client/cmd/progress.h"

enum { BAR_CELLS = 24 };

void progress_init(struct progress *progress, FILE *out, const struct terminal *terminal) {
    *progress = (struct progress){.out = terminal->is_terminal ? out : NULL, .width = terminal->width};
}

void progress_show(struct progress *progress, uint64_t done, uint64_t total, const char *text) {
    static const char full[] = "########################", empty[] = "........................";
    char line[TERMINAL_WIDTH_MAX + 1];
    if (progress->out == NULL) {
        return;
    }
    if (total > 0) {
        double share = done < total ? (double)done / (double)total : 1;
        int n_full = (int)(share * BAR_CELLS);
        snprintf(line, sizeof line, "[%.*s%.*s] %3d%%  %s", n_full, full, BAR_CELLS - n_full, empty,
                 (int)(share * 100), text);
    } else {
        snprintf(line, sizeof line, "%s", text);
    }
    /* One cell is left free: writing into the last one makes some terminals wrap. */
    fprintf(progress->out, "\r%.*s\033[K", (int)progress->width - 1, line);
    fflush(progress->out);
    progress->is_shown = true;
}

void progress_clear(struct progress *progress) {
    if (progress->is_shown) {
        fputs("\r\033[K", progress->out);
        fflush(progress->out);
    }
    progress->is_shown = false;
}
