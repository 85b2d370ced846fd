/* percent.c — percent-encoding; see percent.h. */
#include "admin/percent.h"

#include <ctype.h>
#include <string.h>

/* `c` is a hexadecimal digit. */
static uint8_t value_of(uint8_t c) {
    return (uint8_t)(isdigit(c) ? c - '0' : tolower(c) - 'a' + 10);
}

bool percent_decode(struct bytes text, uint8_t *out, size_t cap, size_t *len, struct status *status) {
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '%') {
            if (text.len - i < 3 || !isxdigit(text.data[i + 1]) || !isxdigit(text.data[i + 2])) {
                return status_fail(status, "'%%' is not followed by two hexadecimal digits");
            }
            c = (uint8_t)(value_of(text.data[i + 1]) * 16 + value_of(text.data[i + 2]));
            i += 2;
        }
        if (n == cap) {
            return status_fail(status, "is longer than %zu bytes", cap);
        }
        out[n++] = c;
    }
    *len = n;
    return true;
}
