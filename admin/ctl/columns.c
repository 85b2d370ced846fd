/* columns.c — lays out a table of texts. */
#include "admin/ctl/columns.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/ensure.h"

enum { GAP_CELLS = 2 };

/* In characters of UTF-8: every byte that does not continue one. */
static size_t count_characters(const char *text) {
    size_t n = 0;
    for (; *text != '\0'; text++) {
        n += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return n;
}

/* In place: C0 and DEL by one '?', and C1, which UTF-8 writes as c2 80 ... c2 9f, by two. */
static void tame(char *text) {
    for (unsigned char *at = (unsigned char *)text; *at != '\0'; at++) {
        if (*at < ' ' || *at == 0x7f) {
            *at = '?';
        } else if (*at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0) {
            *at = at[1] = '?';
        }
    }
}

char *columns_tame(const char *text, char *out, size_t cap) {
    snprintf(out, cap, "%s", text);
    tame(out);
    return out;
}

void columns_init(struct columns *columns, const char *const heads[]) {
    *columns = (struct columns){.n_columns = 0};
    while (heads[columns->n_columns] != NULL) {
        columns->n_columns++;
    }
    ensure(columns->n_columns, <=, COLUMNS_MAX);
    for (size_t i = 0; i < columns->n_columns && heads[0][0] != '\0'; i++) {
        columns_add(columns, "%s", heads[i]);
    }
}

void columns_deinit(struct columns *columns) {
    buf_deinit(&columns->texts);
    columns->n_cells = 0;
}

void columns_add(struct columns *columns, const char *format, ...) {
    char *text;
    va_list arguments;
    va_start(arguments, format);
    int n = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (n < 0) {
        columns->is_short = true;
        return;
    }
    tame(text);
    size_t *width = &columns->width[columns->n_cells % columns->n_columns];
    size_t n_characters = count_characters(text);
    *width = n_characters > *width ? n_characters : *width;
    columns->n_cells++;
    columns->is_short |= !buf_append(&columns->texts, text, (size_t)n + 1);
    free(text);
}

/* The last column is not filled up. */
static void print_cell(const struct columns *columns, size_t place, const char *text, FILE *out) {
    size_t column = place % columns->n_columns;
    fputs(text, out);
    if (column + 1 == columns->n_columns) {
        fputc('\n', out);
        return;
    }
    for (size_t n = count_characters(text); n < columns->width[column] + GAP_CELLS; n++) {
        fputc(' ', out);
    }
}

bool columns_print(struct columns *columns, FILE *out) {
    size_t n_full = columns->n_cells - columns->n_cells % columns->n_columns;
    for (size_t i = 0; i < n_full && !columns->is_short; i++) {
        const char *text = (const char *)buf_front(&columns->texts);
        print_cell(columns, i, text, out);
        buf_consume(&columns->texts, strlen(text) + 1);
    }
    columns->n_cells -= n_full;
    return !columns->is_short;
}
