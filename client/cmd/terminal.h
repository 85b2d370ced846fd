/* terminal.h — what may be written to a descriptor: how wide, which characters, colours or not. */
#ifndef SLUICE_CLIENT_CMD_TERMINAL_H
#define SLUICE_CLIENT_CMD_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

enum { TERMINAL_WIDTH_MIN = 40, TERMINAL_WIDTH_DEFAULT = 80, TERMINAL_WIDTH_MAX = 240 };

struct terminal {
    bool is_terminal;
    bool is_utf8;    /* a terminal whose locale says UTF-8 */
    bool has_colors; /* a terminal, and NO_COLOR is not set */
    size_t width;    /* columns, within the bounds above; the default when it is none */
};

/* Reads the environment and the locale's LC_CTYPE, which main has set. */
struct terminal terminal_detect(int fd);

#endif
