/* url.c — percent-encoding, by the list of what needs none. */
#include "admin/ctl/url.h"

#include <stdarg.h>
#include <string.h>

static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

static bool append_encoded(struct buf *url, const char *text) {
    static const char hex[] = "0123456789ABCDEF";
    /* "." and ".." alone would be taken for steps in the path */
    bool is_dots = text[strspn(text, ".")] == '\0';
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        char code[] = {'%', hex[c >> 4], hex[c & 15]};
        bool is_plain = strchr(unreserved, c) != NULL && !(is_dots && c == '.');
        if (!(is_plain ? buf_append(url, text, 1) : buf_append(url, code, sizeof code))) {
            return false;
        }
    }
    return true;
}

bool url_append(struct buf *url, const char *form, ...) {
    va_list arguments;
    bool is_good = true;
    va_start(arguments, form);
    for (; *form != '\0' && is_good; form++) {
        is_good =
            *form == '%' ? append_encoded(url, va_arg(arguments, const char *)) : buf_append(url, form, 1);
    }
    va_end(arguments);
    uint8_t *end = is_good ? buf_reserve(url, 1) : NULL;
    if (end != NULL) {
        *end = '\0';
    }
    return end != NULL;
}
