/* ensure.c — what happens when something that must be true is not; see ensure.h. */
#include "server/base/ensure.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void ensure_failed(const char *file, int line, const char *text, intmax_t left, intmax_t right) {
    fprintf(stderr, "%s:%d: ensure failed: %s (%jd, %jd)\n", file, line, text, left, right);
    abort();
}
