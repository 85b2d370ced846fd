/* terminal.c — asks the descriptor, the environment and the locale. */
#include "client/cmd/terminal.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct terminal terminal_detect(int fd) {
    struct terminal terminal = {.width = TERMINAL_WIDTH_DEFAULT};
    struct winsize size;
    if (!isatty(fd)) {
        return terminal;
    }
    terminal.is_terminal = true;
    terminal.is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    const char *no_color = getenv("NO_COLOR");
    terminal.has_colors = no_color == NULL || no_color[0] == '\0';
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        terminal.width = size.ws_col < TERMINAL_WIDTH_MIN   ? TERMINAL_WIDTH_MIN
                         : size.ws_col > TERMINAL_WIDTH_MAX ? TERMINAL_WIDTH_MAX
                                                            : size.ws_col;
    }
    return terminal;
}
