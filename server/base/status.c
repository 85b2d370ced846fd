/* status.c — one sentence about what went wrong; see status.h. */
#include "server/base/status.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

int status_fail(struct status *status, const char *format, ...) {
    if (status != NULL) {
        va_list args;
        va_start(args, format);
        vsnprintf(status->text, sizeof status->text, format, args);
        va_end(args);
    }
    return 0;
}
