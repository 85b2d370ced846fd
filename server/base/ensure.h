/* ensure.h — checks of what must be true whatever the outside does; on in production.
 *
 * Never used on input from the network, a file or Redis. Prints both values and aborts. */
#ifndef SLUICE_BASE_ENSURE_H
#define SLUICE_BASE_ENSURE_H

#include <stdint.h>

/* ensure(conn->magic, ==, CONN_MAGIC); pointers go through ensure_not_null. */
#define ensure(left, op, right)                                                                                \
    do {                                                                                                       \
        intmax_t ensure_left = (intmax_t)(left), ensure_right = (intmax_t)(right);                             \
        if (__builtin_expect(!(ensure_left op ensure_right), 0)) {                                             \
            ensure_failed(__FILE__, __LINE__, #left " " #op " " #right, ensure_left, ensure_right);            \
        }                                                                                                      \
    } while (0)

#define ensure_not_null(pointer)                                                                               \
    do {                                                                                                       \
        if (__builtin_expect((pointer) == NULL, 0)) {                                                          \
            ensure_failed(__FILE__, __LINE__, #pointer " is not NULL", 0, 0);                                  \
        }                                                                                                      \
    } while (0)

_Noreturn void ensure_failed(const char *file, int line, const char *text, intmax_t left, intmax_t right);

#endif
