/* text_bytes.h — a C string as bytes, for tests. */
#ifndef SLUICE_TESTS_SUPPORT_TEXT_BYTES_H
#define SLUICE_TESTS_SUPPORT_TEXT_BYTES_H

#include "server/base/bytes.h"

/* Borrowed; without the NUL. */
static inline struct bytes text_bytes(const char *text) {
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

#endif
