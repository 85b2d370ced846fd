/* bytes.h — a borrowed run of bytes, NULs allowed. */
#ifndef SLUICE_BASE_BYTES_H
#define SLUICE_BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>

struct bytes {
    const uint8_t *data; /* borrowed; may be NULL when len is 0 */
    size_t len;
};

#endif
